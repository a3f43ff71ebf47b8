# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide whether the pods of a namespace can pull with a pull secret.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Client
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import unreadable_text
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.checks import (
    Check,
    check_pull_secret,
    fitting_entries,
    problems,
)
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.probes import probe
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.repair import Account, apply, plan
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.state import (
    Scope,
    State,
    read_state,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Task


def assess(
    client: Client,
    task: Task,
    options: Options,
    scope: Scope,
    *,
    account: Account | None = None,
    assume_repaired: bool = False,
) -> dict[str, t.Any]:
    """Return the verdict on a scope. With *assume_repaired*, predict the verdict after a repair with *account*.

    Raises ClusterError and ZotError.
    """
    state = read_state(client, scope)
    checks = _checks(state, task, options)
    repair = plan(state, checks, account)
    if assume_repaired:
        state = apply(state, repair, account)
        checks = _checks(state, task, options)
        repair = plan(state, checks, account)
    found = problems(checks)
    unread = [each for each in map(unreadable_text, state.unreadable) if not any(each in text for text in found)]
    return {
        "namespace": scope.namespace,
        "name": scope.secret,
        "registry": scope.registry,
        "cluster": client.server,
        "account": _account(state),
        "checks": [check.for_ansible() for check in checks],
        "ok": all(check.verdict == "ok" for check in checks) and not state.unreadable,
        "problems": [*found, *(printable(f"{each}.") for each in unread)],
        "unreadable": [dict(each) for each in state.unreadable],
        "repair": repair.for_ansible(),
    }


def _checks(state: State, task: Task, options: Options) -> list[Check]:
    secret = PullSecret.read(state.secret) if state.secret else None
    return check_pull_secret(state, probe(task, options, secret, state.needed) if secret else {})


def _account(state: State) -> str | None:
    """The user name that kubelet tries first."""
    entries = fitting_entries(state, PullSecret.read(state.secret)) if state.secret else {}
    names = [entry.username for found in entries.values() for entry in found if entry.is_complete]
    return printable(names[0]) if names else None
