# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a registry: their names as option, variable and environment variable, and whose account is sent.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import same_registry

ACCOUNT = ("username", "password", "authfile")
SETTINGS = (
    "registry",
    *ACCOUNT,
    "ca_path",
    "validate_certs",
    "timeout",
    "retries",
    "skopeo_path",
    "crane_path",
    "registry_aliases",
)
# The options of the modules that also read a cluster. There the plain names are those of the cluster.
OPTIONS_BESIDE_A_CLUSTER: t.Mapping[str, str] = {
    **{name: name for name in ("registry", "crane_path", "registry_aliases")},
    **{name: f"registry_{name}" for name in (*ACCOUNT, "ca_path", "validate_certs", "timeout")},
}


@dataclass(frozen=True)
class Options:
    """The options that all modules share. *registry* is the default registry of references.

    With *ambient*, the default auth files of skopeo and crane are also searched for credentials. *foreign_account* says
    why the account in the environment is not used. *names* are the names of these options in the module, if it has
    other ones.
    """

    registry: str | None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    authfile: str | None = None
    ambient: bool = True
    ca_path: str | None = None
    validate_certs: bool = True
    timeout: int = 600
    retries: int = 3
    skopeo_path: str | None = None
    crane_path: str | None = None
    registry_aliases: t.Sequence[str] = ()
    foreign_account: str | None = None
    names: t.Mapping[str, str] = field(default_factory=dict)

    def name_of(self, setting: str) -> str:
        """The name of an option in the module."""
        return self.names.get(setting, setting)


def variable(setting: str) -> str:
    """The Ansible variable of a setting."""
    return f"zot_{setting}"


def environment_variable(setting: str) -> str:
    """The environment variable of a setting."""
    return f"ZOT_{setting.upper()}"


def given(setting: str, option: str | None = None) -> str:
    """The two names by which a play sets a setting. *option* is its name in the module."""
    option = option or setting
    # The play that copies sets the options of the source by variables of its own.
    name = variable(f"promote_{option}" if option.startswith("source_") else setting)
    return f"{name} (variable) or {option} (option)"


def settable(setting: str, option: str | None = None) -> str:
    """All names by which the reader of an error can set a setting."""
    if option and option.startswith("source_"):  # the environment has only the settings of the destination
        return given(setting, option)
    names = f"{variable(setting)} (variable), {option or setting} (option)"
    return f"{names} or {environment_variable(setting)} (environment)"


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
