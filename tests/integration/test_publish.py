# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_publish, as an engineer runs it: `ansible-playbook killinit.zot.publish`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from integration.support import Module, ReadsOnly, recap

from environment.images import Images
from environment.registry import Registry

Playbook = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def release(images: Images, repository: str) -> dict[str, Any]:
    """The variables of a release: one image for two architectures, and one without an index."""
    return {
        "zot_publish_revision": "r1",
        "zot_publish_images": [
            {
                "repository": f"{repository}/openclaw",
                "archives": {"amd64": str(images["buildah-amd64"]), "arm64": str(images["buildah-arm64"])},
            },
            {"repository": f"{repository}/workspace", "archive": str(images["skopeo-amd64"])},
        ],
    }


def _report(run: CompletedProcess[str]) -> dict[str, Any]:
    """What set_stats passed on, from the end of the output."""
    return json.loads(re.search(r"RUN: (\{.*\})", run.stdout).group(1))["zot_publish_report"]


def _table(run: CompletedProcess[str]) -> list[str]:
    """The lines that show what is there."""
    return json.loads(re.search(r"Show what is there\] \*+\nok: .*=> (\{[^}]*\})", run.stdout).group(1))["msg"]


def test_release(
    release: dict[str, Any],
    repository: str,
    registry: Registry,
    environment: dict[str, str],
    playbook: Playbook,
    module: Module,
    reads_only: ReadsOnly,
) -> None:
    """Foretold by check mode, done, and done again without a write."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    with reads_only():
        planned = playbook("killinit.zot.publish", "--check", "--diff", **release)
    done = playbook("killinit.zot.publish", "--diff", **release)
    with reads_only():
        again = playbook("killinit.zot.publish", **release)
        planned_again = playbook("killinit.zot.publish", "--check", **release)

    for run in (planned, done, again, planned_again):
        assert run.returncode == 0, run.stdout + run.stderr
    assert [recap(run)["changed"] for run in (planned, done, again, planned_again)] == [3, 3, 0, 0]
    assert sorted(_report(planned)["written"]) == sorted(_report(done)["written"])
    tags = (
        "openclaw:r1-amd64",
        "openclaw:r1-arm64",
        "openclaw:r1",
        "openclaw:latest",
        "workspace:r1",
        "workspace:latest",
    )
    references = [f"{registry.host}/{repository}/{name}" for name in tags]
    assert sorted(_report(done)["written"]) == sorted(references)
    assert _report(again)["written"] == []
    assert _report(done)["changed"] is True
    assert _report(again)["changed"] is False
    assert _report(again)["images"] == _report(done)["images"]

    there = module("zot_image_info", images=references)["images"]
    amd64, arm64, index, latest, workspace, workspace_latest = there
    assert [entry["digest"] for entry in index["manifests"]] == [amd64["digest"], arm64["digest"]]
    assert latest["digest"] == index["digest"]
    assert workspace_latest["digest"] == workspace["digest"]
    assert [image["pinned"] for image in _report(done)["images"]] == [index["pinned"], workspace["pinned"]]
    for image in there:
        assert re.search(rf"{image['tag']} +{image['digest'][7:19]} +{', '.join(image['platforms'])} ", done.stdout)
    # Looked at once more, or read by the modules that had nothing to do: it is the same.
    assert _table(again) == _table(planned_again) == _table(done)
    assert re.search(r"Look at what is there\] \*+\nskipping: ", again.stdout)


def test_new_revision_moves_latest(release: dict[str, Any], images: Images, playbook: Playbook) -> None:
    """And the diff shows from what to what; the old revision stays."""
    assert playbook("killinit.zot.publish", **release).returncode == 0
    release["zot_publish_revision"] = "r2"
    release["zot_publish_images"][0]["archives"]["amd64"] = str(images["changed-layer"])
    moved = playbook("killinit.zot.publish", "--diff", **release)
    assert moved.returncode == 0, moved.stdout
    # The first line is the tag, the rest what it meant before and means now.
    change = re.search(
        r"--- before: \S+openclaw:latest\n(?:.*\n){3}"
        r'-    "digest": "(sha256:.{64})",\n'
        r'\+    "digest": "(sha256:.{64})",',
        moved.stdout,
    )
    assert change, moved.stdout
    assert change.group(1) != change.group(2)


def test_no_shared_tag_moves_before_every_architecture_is_in(
    release: dict[str, Any], images: Images, playbook: Playbook, repository: str, module: Module
) -> None:
    """The archive for arm64 is for amd64: the image beside it is held back as well."""
    release["zot_publish_images"][0]["archives"]["arm64"] = str(images["buildah-amd64"])
    run = playbook("killinit.zot.publish", **release)
    assert run.returncode == 2
    assert "is for linux/amd64, not for linux/arm64" in run.stdout + run.stderr
    names = [
        f"{repository}/{name}" for name in ("openclaw:r1-amd64", "openclaw:r1", "openclaw:latest", "workspace:latest")
    ]
    assert [image["exists"] for image in module("zot_image_info", images=names)["images"]] == [
        True,
        False,
        False,
        False,
    ]


def test_by_path_and_with_variables_of_the_roles(
    release: dict[str, Any], registry: Registry, environment: dict[str, str], playbook: Playbook
) -> None:
    """As AWX starts it; the account in the variables that the roles share."""
    for name in ("ZOT_REGISTRY", "ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_CA_PATH"):
        del environment[name]
    account = {"zot_username": registry.writer.username, "zot_password": registry.writer.password}
    shared = {"zot_registry": registry.host, "zot_ca_path": str(registry.ca), **account}
    run = playbook(ROOT / "playbooks" / "publish.yml", **release, **shared)
    assert run.returncode == 0, run.stdout + run.stderr
    assert recap(run)["changed"] == 3


def test_typed_at_a_command_line(release: dict[str, Any], playbook: Playbook, repository: str, module: Module) -> None:
    """Or into a survey of AWX: a list is one text there."""
    assert playbook("killinit.zot.publish", **release, zot_publish_tags="latest, stable").returncode == 0
    found = module("zot_image_info", repositories=[f"{repository}/workspace"])["repositories"][0]
    assert sorted(found["tags"]) == ["latest", "r1", "stable"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"zot_publish_revision": None}, "zot_publish_revision"),
        ({"zot_publish_images": [{"repository": "a/b"}]}, "either archives or archive"),
        ({"zot_publish_images": [{"archive": "a.tar"}]}, "repository"),
    ],
    ids=["no revision", "no archive", "no repository"],
)
def test_variables_that_cannot_be_used(
    broken: dict[str, Any], said: str, release: dict[str, Any], registry: Registry, playbook: Playbook
) -> None:
    """An error that names them, before anything is asked of the registry."""
    before = len(registry.requests())
    variables = {name: value for name, value in {**release, **broken}.items() if value is not None}
    run = playbook("killinit.zot.publish", **variables)
    assert run.returncode == 2
    assert said in run.stdout + run.stderr
    assert not registry.requests()[before:]
