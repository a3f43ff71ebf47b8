# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module is killed before each of its writes. The same command again ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from integration.support import Bare, Module
from reliability.support import Site, archive, tags_in, tools_of, wait_until

from environment.faults import Fault

WRITE = "(PUT|DELETE) .*/manifests/"
KEEP = {"keep_previous": "{tag}-previous", "parallel": 1}
# What runs, and how many writes it needs. The tag latest holds an index of amd64 and arm64.
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "push": ("zot_push", {"tags": ["r3", "latest"], **KEEP}, 4),
    "index": ("zot_index", {"manifests": ["arm64", "s390x"], "tags": ["r2", "latest"], **KEEP}, 3),
    "tag": ("zot_tag", {"source": "amd64", "tags": ["latest", "stable"], **KEEP}, 4),
    "roll back": ("zot_tag", {"source": "latest-previous", "tags": ["latest", "stable"], "parallel": 1}, 2),
    "remove": ("zot_tag", {"tags": ["latest", "amd64"], "state": "absent", "parallel": 1}, 2),
}


@pytest.fixture
def template(repository: str, module: Module, tmp_path: Path) -> str:
    """A repository whose tags hold what the cases start with."""
    members = ("amd64", "arm64", "s390x")
    for name in members:
        path = archive(tmp_path / f"{name}.tar", architecture=name)
        assert not module("zot_push", archive=str(path), repository=repository, tags=[name])["failed"]
    for tag, listed in {"stable": members, "latest-previous": members[1:], "latest": members[:2]}.items():
        assert not module("zot_index", repository=repository, manifests=list(listed), tags=[tag])["failed"]
    return repository


@pytest.mark.parametrize("case", CASES)
def test_every_point(site: Site, case: str, template: str, bare: Bare, tmp_path: Path) -> None:
    """The last point is after the last write: nothing is left to do."""
    registry, module, start = site.registry, site.module, site.start
    name, options, writes = CASES[case]
    if name == "zot_push":
        options = {**options, "archive": str(archive(tmp_path / "new.tar"))}

    def prepared(number: int) -> str:
        copy = f"{template}/{number}"
        run = bare("crane", "copy", "--all-tags", "--jobs=1", f"{registry.host}/{template}", f"{registry.host}/{copy}")
        assert run.returncode == 0, run.stderr
        return copy

    undisturbed = prepared(0)
    assert module(name, repository=undisturbed, **options)["changed"] is True
    for number in range(1, writes + 2):
        repository, fault = prepared(number), Fault("hold", WRITE, after=number - 1, times=1)
        site.proxy.set(fault)
        process = start(name, site.proxy, repository=repository, **options).process
        wait_until(lambda: site.proxy.recorded_requests() or process.poll() is not None, "a write or the end")  # noqa: B023
        assert bool(site.proxy.recorded_requests()) is (number <= writes)
        process.kill()
        process.communicate(timeout=60)
        again = module(name, repository=repository, **options)
        assert (again["failed"], again["changed"]) == (False, number <= writes), again
        # The tool of the killed module still runs. Its late write changes nothing.
        site.proxy.set()
        wait_until(lambda: not tools_of(site.proxy.host), "the tool of the killed module ends")
        assert tags_in(registry, repository) == tags_in(registry, undisturbed)
