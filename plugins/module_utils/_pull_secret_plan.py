# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to write so that a pull secret is good.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import base64
import json
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    PullSecret,
    printable,
    secret_names,
    service_account_of,
    users,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import template_of

Object = t.Mapping[str, t.Any]

_TYPE = next(iter(FIELDS))
# It has a copy of the data, which would be of yesterday.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def repairs(
    view: Object,
    registry: str,
    checks: t.Sequence[Object],
    username: str | None = None,
    password: str | None = None,
    authfile: str | None = None,
) -> dict[str, t.Any]:
    """Return what to write, as objects and in words."""
    plan: dict[str, t.Any] = {"secret": {}, "recreate": False, "lines": [], "problem": ""}
    after = dict(view)
    wrong = [check for check in checks if _is_curable(check)]
    if wrong:
        account = (username, password) if username and password else _account_in(authfile, registry)
        if account:
            plan.update(_secret(view, registry, wrong, *account))
        else:
            plan["problem"] = f"to repair secret/{view['name']}, give zot_username and zot_password" + (
                f"; zot_authfile has no account for {registry}" if authfile else ""
            )
    if plan["secret"]:
        old = (view["secret"] or [{}])[0]
        after["secret"] = [{**old, **plan["secret"], "type": plan["secret"].get("type") or old["type"]}]
    accounts = _service_accounts(view, registry)
    plan["service_accounts"] = accounts
    for account_ in accounts:
        plan["lines"].append(f"serviceaccount/{account_['metadata']['name']}: imagePullSecrets gets {view['name']}")
    changed = {each["metadata"]["name"]: each for each in accounts}
    if changed:
        after["service_accounts"] = [changed.get(each["metadata"]["name"], each) for each in view["service_accounts"]]
    return {**plan, "view": after}


def _is_curable(check: Object) -> bool:
    if check["verdict"] != "failed":
        return False
    if check["check"] == "read":
        return check["error_class"] in ("unauthorized", "denied")
    return check["check"] in ("exists", "type", "json", "entry", "auth")


def _account_in(authfile: str | None, registry: str) -> tuple[str, str] | None:
    """The account that an auth file has for a registry."""
    field = FIELDS[_TYPE]
    content = base64.b64encode((authfile or "{}").encode()).decode()
    entries = PullSecret.read({"type": _TYPE, "data": {field: content}}).for_image(registry)
    return next(((entry.username, entry.password) for entry in entries if entry.is_complete), None)


def _secret(view: Object, registry: str, wrong: t.Sequence[Object], username: str, password: str) -> dict[str, t.Any]:
    there: Object = (view["secret"] or [{}])[0]
    old = PullSecret.read(there) if there else None
    recreate = old is not None and (old.type not in FIELDS or bool(there.get("immutable")))
    kind = old.type if old and old.type in FIELDS else _TYPE
    bad = {key for check in wrong for key in check["entries"]}
    auths = _kept(old, registry, bad) if old else {}
    auths[registry] = _new_entry(username, password)
    lines = _lines(old, auths)
    if old and not (recreate or lines or old.problems):
        return {}
    document = auths if kind != _TYPE else {"auths": auths}
    content = base64.b64encode(json.dumps(document).encode()).decode()
    secret: dict[str, t.Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": view["name"], "namespace": view["namespace"]},
        "data": {FIELDS[kind]: content},
    }
    title = f"secret/{view['name']}"
    if not old:
        lines.insert(0, f"{title}: is created")
    elif recreate:
        why = f"it is of type {old.type}" if old.type not in FIELDS else "it is immutable"
        lines.insert(0, f"{title}: is deleted and created again, since {why}")
        secret["metadata"].update(_kept_metadata(there["metadata"]))
        secret["data"] = {**(there.get("data") or {}), **secret["data"]}
        secret.update({name: there[name] for name in ("immutable",) if name in there})
    else:
        lines.insert(0, f"{title}: changes")
    if recreate or not old:
        secret["type"] = kind
    return {"secret": secret, "recreate": recreate, "lines": lines}


def _new_entry(username: str, password: str) -> dict[str, str]:
    """An entry as C(kubectl create secret docker-registry) writes it."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"username": username, "password": password, "auth": auth}


def _kept(old: PullSecret, registry: str, bad: t.Collection[str]) -> dict[str, t.Any]:
    """The entries that stay: those for other registries, and those for parts of this one that nothing is wrong with."""
    read = {entry.name: entry for entry in old.entries}
    kept = {}
    for name, value in old.auths.items():
        entry = read.get(name)
        if entry and entry.host == registry and (entry.key == registry or entry.key in bad):
            continue
        if entry:
            kept[name] = value
    return kept


def _lines(old: PullSecret | None, auths: Object) -> list[str]:
    """What becomes of each entry, under the name that can be shown."""
    before = {printable(name): value for name, value in (old.auths if old else {}).items()}
    after = {printable(name): value for name, value in auths.items()}
    words = []
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after:
            words.append(f"entry {name}: goes")
        elif name not in before:
            words.append(f"entry {name}: comes")
        elif after[name] != before[name]:
            words.append(f"entry {name}: gets another account")
    return words


def _kept_metadata(metadata: Object) -> dict[str, t.Any]:
    kept = {name: dict(metadata[name]) for name in ("labels", "annotations") if metadata.get(name)}
    kept.get("annotations", {}).pop(_LAST_APPLIED, None)
    return kept


def _service_accounts(view: Object, registry: str) -> list[dict[str, t.Any]]:
    """The service accounts that are to name the secret, for the workloads that name none themselves."""
    specifications = [template_of(workload)["spec"] for workload in users(view, registry)]
    wanted = {service_account_of(each) for each in specifications if not secret_names(each)}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": each["metadata"]["name"], "namespace": view["namespace"]},
            "imagePullSecrets": [{"name": name} for name in (*secret_names(each), view["name"])],
        }
        for each in view["service_accounts"] or ()
        if each["metadata"]["name"] in wanted and view["name"] not in secret_names(each)
    ]
