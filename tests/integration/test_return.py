# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of the modules match their RETURN: the keys and the types."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from integration.returned import Returned, documented, faults
from integration.support import Module

from environment.images import Images


@pytest.fixture
def runs(images: Images, repository: str, module: Module) -> Callable[[str], list[tuple[str, Returned]]]:
    """Run a module in every way in which it returns something else; each result with "success" or "failure"."""
    target = {"repository": f"{repository}/app", "archive": str(images["changed-layer"])}
    amd64 = {**target, "archive": str(images["buildah-amd64"]), "tags": ["1-amd64"]}
    arm64 = {**target, "archive": str(images["buildah-arm64"]), "tags": ["1-arm64"]}
    moved = {**target, "archive": str(images["changed-env"]), "tags": ["latest"], "keep_previous": "{tag}-previous"}

    def run(name: str) -> list[tuple[str, Returned]]:
        if name == "zot_push":
            return [
                ("success", module(name, **target, tags=["latest"], check=True)),
                ("success", module(name, **target, tags=["latest"])),
                ("success", module(name, **moved)),
                ("success", module(name, images=[amd64, arm64])),
                ("failure", module(name, **target, tags=["latest"], platform="linux/s390x")),
                ("failure", module(name, **target, tags=["2"], password="wrong")),
            ]
        assert not module("zot_push", images=[amd64, arm64])["failed"]
        index = {"repository": f"{repository}/app", "manifests": ["1-amd64", "1-arm64"], "tags": ["1", "latest"]}
        if name == "zot_index":
            return [
                ("success", module(name, **index, check=True)),
                ("success", module(name, **index)),
                ("success", module(name, images=[index])),
                ("failure", module(name, **{**index, "manifests": ["absent"]})),
            ]
        assert not module("zot_index", **index)["failed"]
        tag = {"repository": f"{repository}/app", "source": "1", "tags": ["stable"]}
        if name == "zot_tag":
            return [
                ("success", module(name, **tag, check=True)),
                ("success", module(name, **tag)),
                ("success", module(name, images=[{**tag, "source": "1-amd64", "keep_previous": "{tag}-previous"}])),
                ("success", module(name, **{**tag, "source": None}, state="absent")),
                ("failure", module(name, **{**tag, "source": "absent"})),
            ]
        absent = f"{repository}/absent"
        names = [f"{repository}/app:{tag}" for tag in ("1", "1-amd64", "absent")]
        return [
            ("success", module(name, images=names, repositories=[f"{repository}/app", absent], catalog=True)),
            ("success", module(name, images=names, query="images[0].digest")),
            ("success", module(name, images=names, repositories=[f"{repository}/app", absent], details=True)),
            ("success", module(name, images=names, referrers=True)),
            ("failure", module(name, images=names, password="wrong")),
        ]

    return run


@pytest.mark.parametrize("name", ["zot_push", "zot_index", "zot_tag", "zot_image_info"])
def test_returned_as_documented(name: str, runs: Callable[[str], list[tuple[str, Returned]]]) -> None:
    """In success and in failure; and every documented key occurs."""
    keys = documented(name)
    results = runs(name)
    assert [kind for kind, result in results if result["failed"] != (kind == "failure")] == []
    assert [fault for kind, result in results for fault in faults(keys, result, kind)] == []
    assert keys.keys() - {key for _kind, result in results for key in result} == set()
