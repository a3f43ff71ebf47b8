# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    image_uses,
    name_of,
    owner_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference

CLUSTER = json.loads((Path(__file__).parents[3] / "captured_cluster.json").read_text(encoding="utf-8"))
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
        pytest.param("h.example/app:latest", "Always", id="latest"),
        pytest.param("h.example/app", "Always", id="no tag"),
        pytest.param("app", "Always", id="no registry"),
        pytest.param("h.example:5000/app", "Always", id="a port is no tag"),
        pytest.param("h.example:5000/app:1", "IfNotPresent", id="port and tag"),
        pytest.param("h.example/app:1", "IfNotPresent", id="another tag"),
        pytest.param("h.example/app:not-latest", "IfNotPresent", id="a tag that ends like latest"),
        pytest.param(f"h.example/app@{DIGEST}", "IfNotPresent", id="digest"),
        pytest.param(f"h.example/app:1@{DIGEST}", "IfNotPresent", id="tag and digest"),
    ],
)
def test_pull_policy_where_none_is_given(image: str, policy: str) -> None:
    container, volume = image_uses(
        {
            "containers": [{"name": "app", "image": image}],
            "volumes": [{"name": "data", "image": {"reference": image}}],
        }
    )
    assert (container.pull_policy, volume.pull_policy) == (policy, policy)


@pytest.mark.parametrize("policy", ["Always", "IfNotPresent", "Never"])
def test_pull_policy_that_is_given(policy: str) -> None:
    for image in ("h.example/app:latest", "h.example/app:1"):
        container, volume = image_uses(
            {
                "containers": [{"name": "app", "image": image, "imagePullPolicy": policy}],
                "volumes": [{"name": "data", "image": {"reference": image, "pullPolicy": policy}}],
            }
        )
        assert (container.pull_policy, volume.pull_policy) == (policy, policy)


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
    ("image", "reference"),
    [
        pytest.param("h.example/a/b:1", Reference("h.example", "a/b", "1"), id="tag"),
        pytest.param("h.example/a/b", Reference("h.example", "a/b", "latest"), id="no tag"),
        pytest.param(f"h.example/a@{DIGEST}", Reference("h.example", "a", None, DIGEST), id="digest"),
        pytest.param(f"h.example/a:1@{DIGEST}", Reference("h.example", "a", "1", DIGEST), id="both"),
        pytest.param("nginx:1", None, id="Docker Hub"),
        pytest.param("library/nginx:1", None, id="Docker Hub with a path"),
        pytest.param("oci.killinit.cc/openclaw/UPPER:1", None, id="capitals"),
        pytest.param("h.example/a@sha256:12", None, id="half a digest"),
        pytest.param("h.example/a:", None, id="an empty tag"),
    ],
)
def test_reference(image: str, reference: Reference | None) -> None:
    (use,) = image_uses({"containers": [{"name": "app", "image": image}]})
    assert use.reference() == reference


def pod(*owners: tuple[str, str, bool], code: str | None = None) -> dict[str, t.Any]:
    references = [
        {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": controller}
        for kind, name, controller in owners
    ]
    labels = {"labels": {"pod-template-hash": code}} if code else {}
    return {"metadata": {"name": "p", "ownerReferences": references, **labels}}


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        pytest.param({"metadata": {"name": "p"}}, None, id="nobody's"),
        pytest.param({"metadata": {"name": "p", "ownerReferences": None}}, None, id="null"),
        pytest.param(pod(("ReplicaSet", "a-b-77", True), code="77"), ("Deployment", "a-b"), id="of a Deployment"),
        pytest.param(pod(("ReplicaSet", "a-77", True)), None, id="of a ReplicaSet alone"),
        pytest.param(pod(("ReplicaSet", "a-77", True), code="78"), None, id="of a ReplicaSet with another hash"),
        pytest.param(pod(("ReplicaSet", "a77", True), code="77"), None, id="the hash is part of the name"),
        pytest.param(pod(("Job", "a", True)), None, id="of a Job"),
        pytest.param(pod(("Fleet", "a-77", True), code="77"), None, id="of another kind with a hash"),
        pytest.param(pod(("StatefulSet", "a", False)), None, id="not its controller"),
        pytest.param(pod(("Node", "n", False), ("DaemonSet", "a", True)), ("DaemonSet", "a"), id="the second controls"),
    ],
)
def test_owner(pod: dict[str, t.Any], owner: tuple[str, str] | None) -> None:
    assert owner_of(pod) == owner


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicaSet"])
def test_the_owner_of_another_api_group(kind: str) -> None:
    """As OpenKruise has it."""
    found = pod((kind, "a-77", True), code="77")
    assert owner_of(found) is not None
    found["metadata"]["ownerReferences"][0]["apiVersion"] = "apps.kruise.io/v1beta1"
    assert owner_of(found) is None


def test_owner_of_captured_pods() -> None:
    assert {each["metadata"]["name"]: owner_of(each) for each in CLUSTER["fresh"]["pods"]} == {
        "openclaw-77bb8558ff-ljk25": ("Deployment", "openclaw"),
        "stateful-0": ("StatefulSet", "stateful"),
        "daemon-lqtpf": ("DaemonSet", "daemon"),
    }
