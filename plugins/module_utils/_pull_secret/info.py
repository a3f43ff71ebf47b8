# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide whether the pods of a namespace can pull with a pull secret, and plan its repair.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import unreadable_texts
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    secret_names,
    service_account_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    REPLACEABLE,
    TYPE,
    EntryUpdate,
    PullSecret,
    held_key,
    key_label,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.checks import (
    Check,
    check_pull_secret,
    fitting_entries,
    problems,
)
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.state import (
    Scope,
    State,
    probe_images,
    read_state,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options


@dataclass(frozen=True)
class Repair:
    """The changes to make. Without an *update* the secret does not change."""

    accounts: tuple[str, ...] = ()
    action: str = "none"
    update: EntryUpdate | None = None
    changes: tuple[str, ...] = ()

    def for_ansible(self) -> dict[str, t.Any]:
        """The value of C(repair) in the result."""
        return {"action": self.action, "changes": list(self.changes), "service_accounts": list(self.accounts)}


def run(client: ApiClient, task: Task, options: Options, scope: Scope) -> dict[str, t.Any]:
    """Return the verdict on a scope. Raises ClusterError and ZotError."""
    state = read_state(client, scope)
    checks = _checks(state, task, options)
    repair = plan_repair(state, checks)
    if scope.assume_repaired:
        state = repaired(state, repair)
        checks = _checks(state, task, options)
        repair = plan_repair(state, checks)
    found, key = problems(checks), held_key(state.secret, scope.registry)
    # The registry refuses an expired key like a wrong password.
    expired = list(filter(None, [key.expiry_text(time.time(), 0)])) if key and found else []
    expires = key.expiry_text(time.time(), scope.warned) if key and scope.warned is not None else None
    unread = [each for each in unreadable_texts(state.unreadable) if not any(each in text for text in found)]
    return {
        "changed": False,
        "namespace": scope.namespace,
        "name": scope.secret,
        "registry": scope.registry,
        "cluster": client.server,
        "account": _first_user(state),
        "checks": [check.for_ansible() for check in checks],
        "key": key.for_ansible() if key else None,
        "key_label": key_label(client.server, scope.namespace, scope.secret, state.service_accounts),
        "usable": all(check.verdict == "ok" for check in checks if check.check != "named"),
        "ok": all(check.verdict == "ok" for check in checks) and not state.unreadable,
        "problems": [*expired, *found, *(printable(f"{each}.") for each in unread)],
        "unreadable": [dict(each) for each in state.unreadable],
        "repair": repair.for_ansible(),
        # Ansible shows them.
        **({"warnings": [f"{expires} Run the playbook killinit.zot.rotate."]} if expires else {}),
    }


def _checks(state: State, task: Task, options: Options) -> list[Check]:
    content = state.content
    return check_pull_secret(state, probe_images(task, options, content, state.needed) if content else {})


def _first_user(state: State) -> str | None:
    """The user name that kubelet tries first."""
    entries = fitting_entries(state, state.content) if state.content else {}
    names = [entry.username for found in entries.values() for entry in found if entry.is_complete]
    return printable(names[0]) if names else None


def plan_repair(state: State, checks: t.Sequence[Check]) -> Repair:
    """The repair for failed checks. The secret does not change if it already has exactly the credentials of the scope.

    There is no repair for a secret that something else uses.
    """
    wrong = [check for check in checks if _is_curable(check)]
    accounts = _account_updates(state)
    if not wrong:
        return Repair(accounts)
    old = state.content or PullSecret.read({})
    update = old.with_entry(*state.scope.names)
    changes = update.changes(state.scope.credentials)
    if state.secret is None:
        return Repair(accounts, "create", update, changes)
    if old.type not in REPLACEABLE:
        return Repair()
    if not changes and old.type in FIELDS and not old.problems:
        return Repair(accounts)
    # Only the current type can be patched, and only a secret that is not immutable.
    action = "merge" if old.type == TYPE and not state.secret.get("immutable") else "replace"
    return Repair(accounts, action, update, changes)


def repaired(state: State, repair: Repair) -> State:
    """The state after a repair, without writing anything. Raises ZotError if the credentials are missing."""
    scope, secret = state.scope, state.secret
    if repair.update:
        if not scope.credentials:
            raise ZotError(
                "invalid_option",
                f"assume_repaired needs the credentials for the {scope.title}",
                hint="Set repair_username and repair_password.",
            )
        secret = {"kind": "Secret", "type": TYPE, "data": {FIELDS[TYPE]: repair.update.data(scope.credentials)}}
    accounts = dict(state.service_accounts or {})
    for name in repair.accounts:
        names = (*secret_names(accounts[name]), scope.secret)
        accounts[name] = {**accounts[name], "imagePullSecrets": [{"name": each} for each in names]}
    unread = state.service_accounts is None
    return replace(state, secret=secret, service_accounts=None if unread else accounts, elsewhere=None)


def _is_curable(check: Check) -> bool:
    if check.verdict != "failed":
        return False
    if check.check == "read":
        return check.error_class in ("unauthorized", "denied")
    return check.check in ("exists", "type", "json", "entry", "auth")


def _account_updates(state: State) -> tuple[str, ...]:
    """The service accounts that must name the secret, for the workloads that name none themselves."""
    specifications = [template_of(workload)["spec"] for workload in state.workloads]
    used = {service_account_of(each) for each in specifications if not secret_names(each)}
    accounts = (state.service_accounts or {}).items()
    return tuple(name for name, each in accounts if name in used and state.scope.secret not in secret_names(each))
