# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the repair of a pull secret, and predict the state after it.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import template_of
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    REPLACEABLE,
    Entry,
    PullSecret,
    printable_key,
    secret_names,
    service_account_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.checks import TYPE, Check
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.state import State
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

# A key of an entry may be a URL with a user and a password, which kubelet ignores. The role has the same expression.
_USER_INFO = re.compile(r"^(https?://)?[^/?#]*@")


@dataclass(frozen=True)
class Account:
    """The credentials that a repair writes."""

    username: str
    password: str = field(repr=False)

    def entry(self) -> dict[str, str]:
        """An entry in the form of C(kubectl create secret docker-registry)."""
        auth = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"username": self.username, "password": self.password, "auth": auth}


@dataclass(frozen=True)
class Repair:
    """The changes to make. *keep* are the keys of the entries in *data_key* to keep, without a user and a password.

    *service_accounts* are those that must name the secret, each with its C(name) and the C(patch).
    """

    action: str = "none"
    data_key: str | None = None
    keep: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    service_accounts: tuple[dict[str, t.Any], ...] = ()

    def for_ansible(self) -> dict[str, t.Any]:
        """The value of C(repair) in the result."""
        lists = ("keep", "changes", "service_accounts")
        return {name: list(value) if name in lists else value for name, value in asdict(self).items()}


def plan(state: State, checks: t.Sequence[Check], account: Account | None) -> Repair:
    """The repair for failed checks. The secret does not change if it already has exactly these credentials.

    There is no repair for a secret that something else uses.
    """
    service_accounts = _service_accounts(state)
    registry = state.scope.registry
    wrong = [check for check in checks if _is_curable(check)]
    if not wrong:
        return Repair(service_accounts=service_accounts)
    if state.secret is None:
        return Repair("create", None, (), (f"entry {registry}: added",), service_accounts)
    old = PullSecret.read(state.secret)
    if old.type not in REPLACEABLE:
        return Repair()
    bad = {key for check in wrong for key in check.entries}
    kept = [entry for entry in old.entries if _is_kept(entry, registry, bad)]
    changes = _changes(old, kept, registry, account)
    # Only the current type can be patched, and only a secret that is not immutable.
    action = "merge" if old.type == TYPE and not state.secret.get("immutable") else "replace"
    if not changes and old.type in FIELDS and not old.problems:
        return Repair(service_accounts=service_accounts)
    keep = tuple(dict.fromkeys(_USER_INFO.sub(r"\1", entry.name) for entry in kept))
    return Repair(action, old.data_key if keep else None, keep, changes, service_accounts)


def apply(state: State, repair: Repair, account: Account | None) -> State:
    """The state after a repair, without writing anything. Raises ZotError if the credentials are missing."""
    scope, secret = state.scope, state.secret
    if repair.action != "none":
        if not account:
            raise ZotError(
                "invalid_option",
                f"assume_repaired needs the credentials for the {scope.title}",
                hint="Set repair_username and repair_password.",
            )
        auths = PullSecret.read(secret).auths if secret else {}
        kept = {_USER_INFO.sub(r"\1", name): value for name, value in auths.items()}
        kept = {name: value for name, value in kept.items() if name in repair.keep}
        content = json.dumps({"auths": {**kept, scope.registry: account.entry()}}).encode()
        metadata = {"name": scope.secret, "namespace": scope.namespace}
        data = {FIELDS[TYPE]: base64.b64encode(content).decode()}
        secret = {"kind": "Secret", "metadata": metadata, "type": TYPE, "data": data}
    accounts = dict(state.service_accounts or {})
    for each in repair.service_accounts:
        accounts[each["name"]] = {**accounts[each["name"]], "imagePullSecrets": each["patch"]["imagePullSecrets"]}
    return state.changed(secret, None if state.service_accounts is None else accounts)


def _is_curable(check: Check) -> bool:
    if check.verdict != "failed":
        return False
    if check.check == "read":
        return check.error_class in ("unauthorized", "denied")
    return check.check in ("exists", "type", "json", "entry", "auth")


def _is_kept(entry: Entry, registry: str, bad: t.Collection[str]) -> bool:
    """Whether to keep an entry: those for other registries, and valid ones for repositories of this registry."""
    if entry.host == registry:
        return entry.key != registry and entry.key not in bad
    # A key that kubelet cannot parse may contain a password at an unknown place.
    return bool(entry.key) or "@" not in entry.name


def _changes(old: PullSecret, kept: t.Sequence[Entry], registry: str, account: Account | None) -> tuple[str, ...]:
    """The change of each entry, by its key without secrets."""
    names = {registry, *(entry.name for entry in kept)}
    words = {printable_key(name): "removed" for name in old.auths if name not in names}
    if registry not in old.auths:
        words[registry] = "credentials updated" if registry in words else "added"
    elif not account or old.auths[registry] != account.entry():
        words[registry] = "credentials updated"
    return tuple(printable(f"entry {key}: {word}") for key, word in words.items())


def _service_accounts(state: State) -> tuple[dict[str, t.Any], ...]:
    """The service accounts that must name the secret, for the workloads that name none themselves.

    A patch replaces their list of pull secrets as a whole:
    https://github.com/kubernetes/api/blob/v0.37.2/core/v1/types.go (ServiceAccount, listType=atomic)
    """
    scope = state.scope
    specifications = [template_of(workload)["spec"] for workload in state.workloads]
    used = {service_account_of(each) for each in specifications if not secret_names(each)}
    return tuple(
        {
            "name": name,
            "patch": {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {
                    "name": name,
                    "namespace": scope.namespace,
                    # With this field the API server refuses the patch if the list has changed since it was read.
                    **{key: account["metadata"][key] for key in ("resourceVersion",) if key in account["metadata"]},
                },
                "imagePullSecrets": [{"name": each} for each in (*secret_names(account), scope.secret)],
            },
        }
        for name, account in (state.service_accounts or {}).items()
        if name in used and scope.secret not in secret_names(account)
    )
