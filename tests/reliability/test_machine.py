# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that publishes: a full disk, and a root that cannot be written to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from reliability.support import Site, archive, require_correct_result, tags_in

from environment.images import Images

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def work(repository: str, tmp_path: Path) -> dict[str, Any]:
    """A push of an image that nobody has."""
    path = archive(tmp_path / "amd64.tar", size=200_000)
    return {"archive": str(path), "repository": repository, "tags": ["1"]}


def _others(repository: str) -> list[tuple[str, dict[str, Any]]]:
    """The modules that run crane alone, and what to give them."""
    index = {"repository": repository, "manifests": ["1"], "tags": ["2"]}
    return [("zot_index", index), ("zot_image_info", {"images": [f"{repository}:1"]})]


def _mounted(script: str) -> list[str]:
    """What starts a module in a file system of its own, which *script* has changed."""
    return ["unshare", "--mount", "sh", "-euc", f'{script}; exec "$@"', "sh"]


@needs_root
@pytest.mark.parametrize("room", ["nr_inodes=2", "nr_inodes=3", "size=4k", "size=64k"])
def test_disk_full(site: Site, room: str, work: dict[str, Any], images: Images, tmp_path: Path) -> None:
    """In the temporary directory: for the first file, for the next, for an archive that has to be expanded."""
    start, registry, repository = site.start, site.registry, site.repository
    work["archive"] = str(images["gzip"])
    place = tmp_path / "ansible"
    prefix = _mounted(f"mkdir -p {place}; mount -t tmpfs -o {room} none {place}; mkdir -p {place}/ansible-tmp-full")
    # The others have nothing to expand.
    for name, given in [("zot_push", work), *(_others(repository) if "inodes" in room else ())]:
        result = start(name, registry, prefix=prefix, own="ansible-tmp-full", **given).result()
        assert (result["failed"], result["error_class"]) == (True, "tool_failed"), result
        assert "No space left on device" in result["msg"]
        assert "remote_tmp" in result["hint"]
        require_correct_result(result, {}, tags_in(registry, repository))
    assert start("zot_push", registry, **work).result()["changed"] is True


@needs_root
@pytest.mark.parametrize("what", ["no policy.json", "HOME cannot be written to", "root cannot be written to"])
def test_execution_environment(site: Site, what: str, work: dict[str, Any], tmp_path: Path) -> None:
    """As in a container: not even an XDG_RUNTIME_DIR. Nothing of it matters."""
    start, registry, repository = site.start, site.registry, site.repository
    (tmp_path / "ansible").mkdir()
    empty = "for each in /etc/containers /usr/share/containers; do [ ! -e $each ] || mount -t tmpfs none $each; done"
    script = {
        "no policy.json": empty,
        "HOME cannot be written to": f"mkdir {tmp_path}/home; mount -t tmpfs -o ro none {tmp_path}/home",
        "root cannot be written to": f"mount --bind {tmp_path} {tmp_path}; mount -o remount,bind,ro /",
    }[what]
    script += f"; export HOME={tmp_path}/home; unset XDG_RUNTIME_DIR"
    prefix = _mounted(script.replace("mkdir", "mkdir -p"))
    for changed in (True, False):
        for name, given in [("zot_push", work), *_others(repository)]:
            result = start(name, registry, prefix=prefix, **given).result()
            assert (result["failed"], result["changed"]) == (False, changed and name != "zot_image_info"), result
    assert result["images"][0]["platforms"] == ["linux/amd64"]
    assert sorted(tags_in(registry, repository)) == ["1", "2"]
