# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_rollback_info on a real registry; test_release_clusters.py has the role and the playbook."""

from __future__ import annotations

from typing import Any

import pytest
from integration.support import Module, ReadsOnly

from environment.images import Images


@pytest.fixture
def published(images: Images, module: Module, repository: str) -> list[str]:
    """An index of two architectures, published as two revisions; their digests."""

    def publish(revision: str, amd64: str) -> str:
        members = {"amd64": amd64, "arm64": "buildah-arm64"}
        pushes = [
            {"archive": str(images[archive]), "repository": repository, "tags": [f"{revision}-{name}"]}
            for name, archive in members.items()
        ]
        assert not module("zot_push", images=pushes)["failed"]
        index = {"repository": repository, "manifests": [f"{revision}-{name}" for name in members]}
        index |= {"tags": [revision, "latest"], "keep_previous": "{tag}-previous"}
        result = module("zot_index", images=[index])
        assert not result["failed"], result
        digest: str = result["images"][0]["digest"]
        return digest

    return [publish("r1", "buildah-amd64"), publish("r2", "changed-layer")]


def test_what_was_found_can_be_tagged(
    published: list[str], module: Module, repository: str, reads_only: ReadsOnly
) -> None:
    """The tag moves back, and a second rollback finds nothing to move."""
    options: dict[str, Any] = {"images": [{"repository": repository}]}
    with reads_only():
        found = module("zot_rollback_info", **options)
    assert (found["ok"], found["revision"]) == (True, "r1"), found
    assert found["moves"] == [{"repository": repository, "source": published[0], "tags": ["latest"]}]
    moved = module("zot_tag", images=found["moves"])
    assert [(each["from"], each["to"]) for each in moved["moved"]] == [(published[1], published[0])]
    again = module("zot_rollback_info", **options)
    assert (again["ok"], again["revision"], again["moves"]) == (True, "r1", [])
    forward = module("zot_rollback_info", revision="r2", **options)
    assert forward["moves"] == [{"repository": repository, "source": published[1], "tags": ["latest"]}]


def test_what_is_missing(published: list[str], module: Module, repository: str, reads_only: ReadsOnly) -> None:
    """An unknown revision, and a repository that does not exist, for which Zot answers 400 and not 404."""
    assert len(set(published)) == 2
    names = [repository, f"{repository}/none"]
    with reads_only():
        found = module("zot_rollback_info", images=[{"repository": name} for name in names], revision="r3")
    assert (found["ok"], found["moves"]) == (False, [])
    known, absent = found["problems"]
    assert f"{repository}:r3 does not exist" in known
    assert "2 revisions" in known
    assert absent.endswith(f"{repository}/none has no revision")
