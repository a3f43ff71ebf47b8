# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands for pods that fail in several places at once. tests/cluster types what these tests only compare."""

from __future__ import annotations

import shlex
import typing as t

import pytest
import yaml

from ansible_collections.killinit.zot.plugins.module_utils._cluster.commands import Commands

KUBECTL = "kubectl --namespace=openclaw"
USES = {
    "app": "container",
    "web": "container",
    "first": "init container",
    "data": "image volume",
    "more": "image volume",
}


def commands(subject: str = "deployment/openclaw", *, pods: t.Sequence[str] = ("b", "a"), uses: str = "") -> Commands:
    chosen = uses.split() or list(USES)
    return Commands(
        "openclaw",
        [{"subject": subject, "name": name, "use": USES[name], "pod": pod} for name in chosen for pod in pods],
    )


def patched(command: str) -> t.Any:
    """The specification of the pods in a patch, as kubectl reads it."""
    head, _word, patch = command.partition(" --patch ")
    assert head == f"{KUBECTL} patch deployment/openclaw"
    (text,) = shlex.split(patch)
    return yaml.safe_load(text)["spec"]["template"]["spec"]


def test_set_image() -> None:
    containers, volumes = commands().set_image("h/r:2")
    assert containers == f"{KUBECTL} set image deployment/openclaw app=h/r:2 web=h/r:2 first=h/r:2"
    assert patched(volumes) == {
        "volumes": [{"name": name, "image": {"reference": "h/r:2"}} for name in ("data", "more")],
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


@pytest.mark.parametrize(
    ("subject", "pods", "expected"),
    [
        ("deployment/openclaw", ("b", "a"), ["delete pod a b"]),
        ("deployment/openclaw", tuple("abcde"), ["delete pod a b c d e"]),
        ("deployment/openclaw", tuple("abcdef"), ["rollout restart deployment/openclaw"]),
        ("job/once", tuple("abcdef"), ["delete pod a b c d e f"]),
        ("pod/alone", ("alone",), []),
    ],
)
def test_again(subject: str, pods: tuple[str, ...], expected: list[str]) -> None:
    assert commands(subject, pods=pods, uses="app").again() == [f"{KUBECTL} {each}" for each in expected]
