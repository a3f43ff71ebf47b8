# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks collect from their clusters."""

from __future__ import annotations

import typing as t

import pytest

plugin_file = pytest.importorskip("ansible_collections.killinit.zot.plugins.lookup._of_clusters")

GROUPS = {"all": ["web", "eu", "us"], "clusters": ["eu", "us"]}
VALUES = {"web": {"entry": 0}, "eu": {"entry": 1}, "us": {}, "localhost": {"entry": 2}}


class HostVars(dict[str, t.Any]):
    """The variables of hosts, with the names of those that were read."""

    def __init__(self) -> None:
        super().__init__(VALUES)
        self.read: list[str] = []

    def __getitem__(self, name: str) -> t.Any:
        self.read.append(name)
        return super().__getitem__(name)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("clusters", {"eu": 1, "us": {}}),
        (["eu", "localhost"], {"eu": 1, "localhost": 2}),
        ("clusters:!us", {"eu": 1}),
        ("nothing", {}),
    ],
)
def test_each_host_of_the_pattern_is_read_once(pattern: t.Any, expected: dict[str, t.Any]) -> None:
    hosts = HostVars()
    (found,) = plugin_file.LookupModule().run(["entry", pattern], {"groups": GROUPS, "hostvars": hosts})
    assert found == expected
    assert sorted(hosts.read) == sorted(expected)
