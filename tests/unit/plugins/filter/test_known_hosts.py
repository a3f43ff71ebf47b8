# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible import context
from ansible.errors import AnsibleFilterError

from ansible_collections.killinit.zot.plugins.filter._known_hosts import _known_hosts

GROUPS = {"all": ["solo", "a", "b"], "ungrouped": ["solo"], "eu": ["a", "b"], "empty": []}
# AWX may have an inventory without hosts, or with localhost only.
NO_HOSTS: dict[str, list[str]] = {"all": [], "ungrouped": []}


@pytest.mark.parametrize(
    "pattern", ["localhost", "all", "eu", "a, b", "eu:solo", "eu:!a", "eu:&a", "!a", "~a|b", "eu[0]", ["a", "eu"]]
)
def test_hosts_of_the_inventory(pattern: t.Any) -> None:
    assert _known_hosts(pattern, GROUPS) == pattern


def test_localhost_needs_no_inventory() -> None:
    assert _known_hosts("localhost", NO_HOSTS) == "localhost"
    assert _known_hosts("all", {"all": ["localhost"], "ungrouped": ["localhost"]}) == "all"


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("typo", "typo"),
        ("eu,typo", "typo"),
        ("eu:typo", "typo"),
        (["a", "typo"], "typo"),
        ("empty", "empty"),
        ("eu:!eu", "eu,!eu"),
        (5349, "5349"),
        (",", ""),
        (None, "None"),
    ],
)
def test_no_hosts(pattern: t.Any, name: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"zot_hosts names {name}, which is not a host or a group with hosts"):
        _known_hosts(pattern, GROUPS)


def test_a_syntax_check_needs_no_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", {"syntax": True})
    assert _known_hosts("production", NO_HOSTS) == "production"


def test_the_message_names_the_variable() -> None:
    with pytest.raises(AnsibleFilterError, match="zot_publish_host names typo, which"):
        _known_hosts("typo", GROUPS, "zot_publish_host")
    with pytest.raises(AnsibleFilterError, match="zot_hosts names all, which"):
        _known_hosts("all", NO_HOSTS)
