# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose account is sent to which registry."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import (
    environment_account,
    foreign_account,
    select_account,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import require_complete

Level = t.Dict[str, t.Optional[str]]  # noqa: UP006 - Python 3.9 evaluates it
ME, ME_TOO, YOU = ({"username": name, "password": secret} for name, secret in (("me", "1"), ("me", "2"), ("you", "3")))
USER, OTHER_USER, PASSWORD, FILE = {"username": "me"}, {"username": "you"}, {"password": "4"}, {"authfile": "/f"}


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([{}, {}, {}], {}),
        ([ME, YOU, FILE], ME),
        ([{}, YOU, ME], YOU),
        ([{}, {}, ME], ME),
        ([FILE, ME, YOU], FILE),
        ([{}, FILE, YOU], FILE),
        ([ME, FILE, {}], ME),
        # The other half of the same user.
        ([USER, {}, PASSWORD], {**USER, **PASSWORD}),
        ([{}, USER, PASSWORD], {**USER, **PASSWORD}),
        ([USER, ME, ME_TOO], ME),
        ([PASSWORD, {}, USER], {**USER, **PASSWORD}),
        # Never the password of another user.
        ([USER, YOU, {}], USER),
        ([USER, YOU, PASSWORD], {**USER, **PASSWORD}),
        ([USER, OTHER_USER, ME], ME),
        ([PASSWORD, YOU, {}], PASSWORD),
        ([PASSWORD, YOU, USER], {**USER, **PASSWORD}),
        # An auth file does not complete a user.
        ([USER, FILE, {}], USER),
        ([USER, FILE, PASSWORD], {**USER, **PASSWORD}),
        # Empty and null are not set.
        ([{"username": "", "password": None}, ME, {}], ME),
        ([{"username": "me", "password": ""}, PASSWORD, {}], {**USER, **PASSWORD}),
        # Both of one level are an error, which require_complete() raises.
        ([{**ME, **FILE}, {}, {}], {**ME, **FILE}),
    ],
)
def test_the_account(levels: list[Level], expected: Level) -> None:
    assert select_account(levels) == expected


def test_no_level_is_read_after_a_complete_account() -> None:
    """It may be a vault whose password is unknown."""

    def levels() -> t.Iterator[Level]:
        yield USER
        yield PASSWORD
        raise AssertionError("the account is complete")

    assert select_account(levels()) == {**USER, **PASSWORD}


@pytest.mark.parametrize(
    ("owner", "registry", "used"),
    [
        ("zot.example", "zot.example", True),
        ("ZOT.example:443", "zot.example", True),
        ("zot.example", "Zot.Example:443", True),
        ("zot.example:5000", "zot.example", False),
        ("zot.example", "zot.example.evil", False),
        ("zot.example", "127.0.0.1:5000", False),
        (None, "127.0.0.1:5000", True),
        ("", "127.0.0.1:5000", True),
        ("zot.example", None, True),
    ],
)
def test_the_account_of_the_environment_is_for_its_registry(
    monkeypatch: pytest.MonkeyPatch, owner: str | None, registry: str | None, used: bool
) -> None:
    for name, value in (("REGISTRY", owner), ("USERNAME", "me"), ("PASSWORD", "1")):
        if value is not None:
            monkeypatch.setenv(f"ZOT_{name}", value)
    assert bool(select_account([environment_account(registry)])) is used
    reason = foreign_account(registry)
    assert (reason is None) is used
    if reason:
        assert reason == f"ZOT_USERNAME and ZOT_PASSWORD in the environment are for ZOT_REGISTRY, {owner}"
    # The entries of an auth file name their registries.
    monkeypatch.setenv("ZOT_AUTHFILE", "/f")
    assert select_account([environment_account(registry)]) == FILE


def test_the_reason_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """ZOT_REGISTRY may contain one, though that is an error."""
    monkeypatch.setenv("ZOT_REGISTRY", "me:s3cret@zot.example")
    monkeypatch.setenv("ZOT_PASSWORD", "s3cret-too")
    assert foreign_account("h.example") == "ZOT_PASSWORD in the environment is for ZOT_REGISTRY, zot.example"


@pytest.mark.parametrize("account", [{}, ME, FILE, {**FILE, **PASSWORD}])
def test_a_complete_account(account: Level) -> None:
    require_complete(account, {})


@pytest.mark.parametrize(
    ("account", "names", "message"),
    [
        (USER, {}, "the user 'me' has no password. Set zot_password (variable), password (option) or ZOT_PASSWORD"),
        (PASSWORD, {}, "the password has no user name. Set zot_username (variable), username (option) or ZOT_USERNAME"),
        (USER, {"password": "registry_password"}, "Set zot_password (variable), registry_password (option) or"),
        (USER, {"password": "source_password"}, "Set zot_promote_source_password (variable) or source_password (opti"),
        ({**ME, **FILE}, {}, "authfile and username are mutually exclusive"),
    ],
)
def test_half_an_account_is_an_error(account: Level, names: dict[str, str], message: str) -> None:
    with pytest.raises(ZotError) as raised:
        require_complete(account, names, reason="ZOT_PASSWORD is for another registry")
    text = raised.value.for_ansible()["msg"]
    assert raised.value.error_class == "invalid_option"
    assert message in text
    assert ("ZOT_PASSWORD is for another registry." in text) is ("mutually" not in message)
