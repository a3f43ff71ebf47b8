# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that publishes: a full disk, a root that cannot be written to, tools that are not what they should be."""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from reliability.support import Site, archive, require_correct_result, tags_in, wait_until

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


def _program(path: Path, script: str, mode: int = 0o755) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("tool", ["skopeo", "crane"])
@pytest.mark.parametrize(
    ("what", "error_class", "message"),
    [
        ("missing", "tool_missing", "which is not a program"),
        ("not executable", "tool_missing", "which is not a program"),
        ("no program", "tool_missing", "cannot start"),
        ("too old", "tool_missing", "unknown"),
        ("printing rubbish", "tool_failed", "invalid|digest|holds nothing"),
        ("failing with rubbish", "tool_failed", "�"),
        ("failing in silence", "tool_failed", "exit status 3 without output"),
    ],
)
def test_tool(
    site: Site, tool: str, what: str, error_class: str, message: str, work: dict[str, Any], tmp_path: Path
) -> None:
    """The error names the tool, and where to get it."""
    module, registry, repository = site.module, site.registry, site.repository
    rubbish = r"printf 'a\000\377\033[31m{\n'; printf '\000\377\033[31m{\n' >&2"
    path = tmp_path / "tool"
    options = {
        "missing": lambda: str(path),
        "not executable": lambda: _program(path, "exit", 0o644),
        "no program": lambda: str(path),
        # crane does not know the options of skopeo, and says so as every program does that is made with cobra.
        "too old": lambda: (
            shutil.which("crane")
            if tool == "skopeo"
            else _program(path, """echo 'Error: unknown command "manifest" for "crane"' >&2; exit 1""")
        ),
        "printing rubbish": lambda: _program(path, rubbish),
        "failing with rubbish": lambda: _program(path, f"{rubbish}; exit 1"),
        "failing in silence": lambda: _program(path, "exit 3"),
    }
    if what == "no program":
        path.write_bytes(b"\x7fELF and nothing else")
        path.chmod(0o755)
    for name, given in [("zot_push", work), *(_others(repository) if tool == "crane" else ())]:
        result = module(name, **given, **{f"{tool}_path": options[what]()})
        assert (result["failed"], result["error_class"]) == (True, error_class), result
        assert re.search(message, result["msg"]), result["msg"]
        require_correct_result(result, {}, tags_in(registry, repository))
    assert module("zot_push", **work)["changed"] is True


@pytest.mark.parametrize("tool", ["skopeo", "crane"])
def test_stalled_tool(site: Site, tool: str, work: dict[str, Any], tmp_path: Path) -> None:
    """At the time limit it ends, with all that it has started."""
    module, registry, repository = site.module, site.registry, site.repository
    children = tmp_path / "children"
    path = _program(tmp_path / "tool", f"sleep 1000 & echo $$ $! >>{children}; wait")
    for name, given in [("zot_push", work), *(_others(repository) if tool == "crane" else ())]:
        result = module(name, timeout=2, **given, **{f"{tool}_path": path})
        assert (result["failed"], result["error_class"]) == (True, "unavailable"), result
        assert "did not finish within 2 seconds" in result["msg"]
        pids = children.read_text().split()
        assert len(pids) >= 2
        wait_until(partial(_have_ended, pids), "the tool and its children end", 5)
        require_correct_result(result, {}, tags_in(registry, repository))
        children.unlink()
    assert module("zot_push", **work)["changed"] is True


def _have_ended(pids: list[str]) -> bool:
    return not any(_runs(pid) for pid in pids)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
