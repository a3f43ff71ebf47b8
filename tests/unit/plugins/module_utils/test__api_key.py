# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of zot_api_key that need keys of a great age, which Zot does not make."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._api_key import ApiKey, run

DAY = 86400
NOW = 1_800_000_000.0
OPTIONS = {
    "label": "ci",
    "state": "present",
    "expires_in": "90d",
    "renew_before": "14d",
    "keep": None,
    "in_use": None,
    "force": False,
    "uuid": None,
    "unused_for": "30d",
}


class Keys:
    """An account with keys that only reads: each test runs in check mode."""

    username = "puller"
    from_key = False
    now = NOW

    def __init__(self, *keys: ApiKey) -> None:
        self._keys = list(keys)

    def read(self) -> list[ApiKey]:
        return self._keys


def key(uuid: str, age: float, *, left: float | None = 60, used: float | None = None, label: str = "ci") -> ApiKey:
    """A key; all times in days from now."""
    expires = None if left is None else NOW + left * DAY
    return ApiKey(uuid, label, NOW - age * DAY, expires, None if used is None else NOW - used * DAY, "somebody")


def planned(*keys: ApiKey, **options: t.Any) -> dict[str, t.Any]:
    return run(t.cast("t.Any", Keys(*keys)), {**OPTIONS, **options}, dry_run=True)


@pytest.mark.parametrize(
    ("found", "is_unused"),
    [
        (key("a", 40), True),
        (key("a", 40, used=31), True),
        (key("a", 40, used=29), False),
        (key("a", 29), False),  # its holder may not have it yet
        (key("a", 40, label="another"), True),
        (key("a", 100, left=-1), False),  # nobody can use it
        (key("a", 40, left=None), True),
    ],
)
def test_unused(found: ApiKey, is_unused: bool) -> None:
    assert [each["uuid"] for each in planned(found)["unused"]] == (["a"] if is_unused else [])


def test_a_revoked_key_is_not_listed_as_unused() -> None:
    assert planned(key("a", 40), state="absent")["unused"] == []


@pytest.mark.parametrize(
    ("age", "left", "creates"), [(75, 15, False), (76, 14, True), (30, 30, False), (30, 61, True), (0, None, True)]
)
def test_young_enough(age: float, left: float | None, creates: bool) -> None:
    assert planned(key("a", age, left=left))["created"] is creates


@pytest.mark.parametrize(
    ("options", "revoked"),
    [
        ({}, ["old", "held", "lost", "new"]),
        ({"in_use": "held"}, ["old", "lost"]),  # another run may be about to write the new key
        ({"in_use": "new"}, ["old", "held", "lost"]),
        ({"uuid": "lost"}, ["lost"]),
        ({"uuid": "nobody"}, []),
    ],
)
def test_which_keys_are_revoked(options: dict[str, t.Any], revoked: list[str]) -> None:
    keys = [key("old", 80), key("held", 2), key("lost", 0.01), key("new", 0.005)]
    found = planned(*keys, state="absent", **options)["revoked"]
    assert [each["uuid"] for each in found] == revoked
