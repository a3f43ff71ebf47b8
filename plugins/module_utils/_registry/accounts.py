# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose account is sent to a registry, if arguments, variables and the environment name different ones.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import same_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import (
    ACCOUNT,
    environment_variable,
    settable,
)


def select_account(levels: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """The user name, password and auth file of the first level that has any of them.

    A lower level completes it with the other half, unless its password is that of another user. No level is read after
    the account is complete.
    """
    account: dict[str, t.Any] = {}
    for level in levels:
        given = {name: level[name] for name in ACCOUNT if level.get(name) not in (None, "")}
        if not account:
            account = given
        elif "username" in account:
            if "password" in given and given.get("username", account["username"]) == account["username"]:
                account["password"] = given["password"]
        elif "username" in given and "password" not in given:
            account["username"] = given["username"]
        if "authfile" in account or {"username", "password"} <= account.keys():
            break
    return account


def environment_account(registry: str | None) -> dict[str, t.Any]:
    """The account in the environment of this process, without a user of another registry.

    An auth file stays, since its entries name their registries.
    """
    found = {name: os.environ.get(environment_variable(name)) for name in ACCOUNT}
    authfile = found["authfile"]
    if authfile:
        return {"authfile": os.path.expanduser(os.path.expandvars(authfile))}
    return {} if foreign_account(registry) else found


def foreign_account(registry: str | None) -> str | None:
    """Why ZOT_USERNAME and ZOT_PASSWORD are not for *registry*; None if they are, or if they are not set."""
    owner = os.environ.get("ZOT_REGISTRY")
    given = [name for name in ("ZOT_USERNAME", "ZOT_PASSWORD") if os.environ.get(name)]
    if not given or not owner or not registry or same_registry(owner, registry):
        return None
    host = owner.rpartition("@")[2]  # before it there may be a password
    return f"{' and '.join(given)} in the environment {'is' if len(given) == 1 else 'are'} for ZOT_REGISTRY, {host}"


def require_complete(account: t.Mapping[str, t.Any], names: t.Mapping[str, str], *, reason: str | None = None) -> None:
    """Raise ZotError for half an account. *names* are the options of the module.

    *reason* says why the account in the environment does not complete it.
    """
    options = {name: names.get(name, name) for name in ACCOUNT}
    if {"username", "authfile"} <= account.keys():
        raise ZotError(
            "invalid_option",
            f"{options['authfile']} and {options['username']} are mutually exclusive",
            hint=f"Remove one of {settable('authfile', options['authfile'])} and"
            f" {settable('username', options['username'])}.",
        )
    missing = [name for name in ("username", "password") if name not in account]
    if len(missing) == 1 and "authfile" not in account:
        user = account.get("username")
        raise ZotError(
            "invalid_option",
            f"the user {user!r} has no password" if user else "the password has no user name",
            hint=f"Set {settable(missing[0], options[missing[0]])}.{f' {reason}.' if reason else ''}",
        )
