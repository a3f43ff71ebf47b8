# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the pods of a namespace can pull with a pull secret, and what to do if not.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    Entry,
    PullSecret,
    needed,
    printable,
    secret_names,
    service_account_of,
    users,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import name_of, template_of

Object = t.Mapping[str, t.Any]

_CURE = "zot_pull_secret_state=present"


@dataclass(frozen=True)
class _Check:
    check: str
    subject: str
    verdict: str
    message: str
    remedy: str = ""
    error_class: str | None = None
    entries: t.Sequence[str] = ()


def judge(view: Object, registry: str, probed: t.Sequence[Object] = ()) -> list[dict[str, t.Any]]:
    """Return every check with its verdict and its remedy."""
    checks = [*_access(view), *_secret(view, registry, probed), *_named(view, registry)]
    return [{**asdict(check), "entries": list(check.entries)} for check in checks]


def _access(view: Object) -> t.Iterator[_Check]:
    remedy = "Grant the right (the README of the role lists the least that it needs), or name another kubeconfig."
    for refused in view["refused"]:
        yield _Check("access", "cluster", "failed", refused, remedy)


def _secret(view: Object, registry: str, probed: t.Sequence[Object]) -> t.Iterator[_Check]:
    subject = f"secret/{view['name']}"
    if not view["secret"]:
        why = f"{subject} could not be read" if view["secret"] is None else _missing(view, subject)
        verdict = "unknown" if view["secret"] is None else "failed"
        remedy = f"Create it: {_CURE} does, from zot_username and zot_password." if verdict == "failed" else ""
        yield _Check("exists", subject, verdict, why, remedy)
        for check in ("type", "json", "entry", "auth", "read"):
            yield _Check(check, subject, "unknown", why)
        return
    yield _Check("exists", subject, "ok", f"it is in namespace {view['namespace']}")
    secret = PullSecret.read(view["secret"][0])
    yield _type(subject, secret)
    yield _json(subject, secret)
    wanted = needed(view, registry)
    # Without a workload it is the registry as a whole that an entry has to be for.
    fitting = {name: secret.for_image(name) for name in wanted or [registry]}
    yield _entry(subject, secret, registry, fitting)
    yield _auth(subject, list(dict.fromkeys(entry for entries in fitting.values() for entry in entries)))
    yield from _read(view, registry, wanted, probed)


def _missing(view: Object, subject: str) -> str:
    text = f"there is no {subject} in namespace {view['namespace']}"
    if view["elsewhere"]:
        where = ", ".join(view["elsewhere"])
        return f"{text}; the one in {where} is of no use there, since a pod can use only those of its own namespace"
    return text if view["elsewhere"] is not None else f"{text}; other namespaces could not be looked at"


def _type(subject: str, secret: PullSecret) -> _Check:
    if secret.type in FIELDS:
        return _Check("type", subject, "ok", f"it is of type {secret.type}")
    message = f"it is of type {secret.type}, which kubelet does not look at"
    return _Check(
        "type",
        subject,
        "failed",
        message,
        f"Delete it and create it as {next(iter(FIELDS))}, since a type cannot be changed: {_CURE} does.",
    )


def _json(subject: str, secret: PullSecret) -> _Check:
    if not secret.problems:
        return _Check("json", subject, "ok", f"its {secret.data_key} can be read")
    message = f"{'; '.join(secret.problems)}: kubelet then reads none of a pod's pull secrets"
    remedy = f"Write it anew: {_CURE} does, and keeps the entries that can be read."
    return _Check("json", subject, "failed", message, remedy)


def _entry(subject: str, secret: PullSecret, registry: str, fitting: t.Mapping[str, list[Entry]]) -> _Check:
    without = [name for name, entries in fitting.items() if not entries]
    if without:
        keys = ", ".join(sorted(printable(entry.name) for entry in secret.entries))
        message = f"none of its entries is for {', '.join(without)}; it has {keys or 'none'}"
        remedy = f"Give it an entry with the key {registry}, host and port as in the images: {_CURE} does."
        return _Check("entry", subject, "failed", message, remedy)
    used = list(dict.fromkeys(entry.key for entries in fitting.values() for entry in entries))
    return _Check("entry", subject, "ok", f"kubelet uses the entry {', then '.join(used)}", entries=used)


def _auth(subject: str, entries: t.Sequence[Entry]) -> _Check:
    if not entries:
        return _Check("auth", subject, "unknown", "it has no entry to look at")
    problems = {}
    for entry in entries:
        if not entry.is_complete:
            problems[entry.key] = f"the entry {entry.key} lacks the user name or the password"
        elif entry.contradicts:
            problems[entry.key] = (
                f"in the entry {entry.key} auth is not base64 of username:password as they stand beside it,"
                " and kubelet takes what is in auth"
            )
    if problems:
        remedy = f"Write auth, username and password from one account: {_CURE} does."
        return _Check("auth", subject, "failed", "; ".join(problems.values()), remedy, entries=list(problems))
    return _Check("auth", subject, "ok", "auth is user name and password", entries=[entry.key for entry in entries])


def _read(
    view: Object, registry: str, wanted: t.Mapping[str, list[str]], probed: t.Sequence[Object]
) -> t.Iterator[_Check]:
    if view["workloads"] is None:
        yield _Check("read", registry, "unknown", "the workloads could not be read")
    elif not wanted:
        yield _Check("read", registry, "ok", f"no workload of namespace {view['namespace']} needs an image of it")
    for repository in wanted:
        results = [each for each in probed if each["item"]["repository"] == repository]
        yield _outcome(repository, results)


def _outcome(repository: str, results: t.Sequence[Object]) -> _Check:
    """What the accounts can do in one repository: as with kubelet, one that can read it is enough."""
    if not results:
        return _Check("read", repository, "unknown", "there is no account to try")
    for result in results:
        if "images" in result:
            entry = result["item"]["entry"]
            absent = [image["reference"] for image in result["images"] if not image["exists"]]
            message = f"the account of the entry {entry} reads it"
            if not absent:
                return _Check("read", repository, "ok", message, entries=[entry])
            message = f"{message}, but {', '.join(absent)} is not there"
            remedy = "Push it, or correct the image of the workload."
            return _Check("read", repository, "failed", message, remedy, "not_found", [entry])
    entries = [result["item"]["entry"] for result in results]
    accounts = f"the account of the entry {', '.join(entries)}"
    classes = {str(result.get("error_class") or "tool_failed"): result for result in results}
    for error_class, result in classes.items():
        if error_class not in ("unauthorized", "denied"):
            # A result without a class is that of a module that broke down, whose text nobody has looked through.
            hint = str(result.get("hint") or "Look at the task with zot_image_info.")
            message = str(result["msg"]).replace(hint, "") if "hint" in result else "zot_image_info ended unexpectedly"
            return _Check("read", repository, "unknown", message.rstrip(" ."), hint, error_class, entries)
    if "denied" in classes:
        message = f"the registry knows {accounts}, but does not let it read (403)"
        remedy = f"Give the account the right to read there, or take another: {_CURE} does, from zot_username."
        return _Check("read", repository, "failed", message, remedy, "denied", entries)
    message = f"the registry does not accept {accounts} (401)"
    remedy = f"Put in the right password: {_CURE} does, from zot_username and zot_password."
    return _Check("read", repository, "failed", message, remedy, "unauthorized", entries)


def _named(view: Object, registry: str) -> t.Iterator[_Check]:
    if view["workloads"] is None:
        yield _Check("named", f"namespace/{view['namespace']}", "unknown", "the workloads could not be read")
        return
    there = {name_of(workload) for workload in view["workloads"]}
    for name in view["only"]:
        if name.lower() not in there:
            message = f"there is no {name} in namespace {view['namespace']}"
            yield _Check("named", name, "failed", message, "Correct zot_pull_secret_workloads, or deploy it.")
    accounts = view["service_accounts"]
    by_name = None if accounts is None else {each["metadata"]["name"]: each for each in accounts}
    for workload in users(view, registry):
        yield _naming(workload, view["name"], by_name)


def _naming(workload: Object, name: str, accounts: t.Mapping[str, Object] | None) -> _Check:
    """Whether a new pod of a workload gets the secret.

    A service account's pull secrets go only to a pod that names none itself:
    https://github.com/kubernetes/kubernetes/blob/v1.37.2/plugin/pkg/admission/serviceaccount/admission.go
    """
    subject, specification = name_of(workload), template_of(workload)["spec"]
    own = secret_names(specification)
    if name in own:
        return _Check("named", subject, "ok", f"it names {name}")
    if own:
        message = f"it names {', '.join(own)} and not {name}; then those of its service account do not count"
        return _Check("named", subject, "failed", message, f"Add {name} to imagePullSecrets in its pod template.")
    account = service_account_of(specification)
    if accounts is None:
        message = f"it names no pull secret, and the service account {account} could not be read"
        return _Check("named", subject, "unknown", message)
    if account not in accounts:
        message = f"it names no pull secret, and there is no service account {account}"
        return _Check("named", subject, "failed", message, f"Create the service account {account}.")
    if name in secret_names(accounts[account]):
        return _Check("named", subject, "ok", f"its service account {account} names {name}")
    message = f"neither it nor its service account {account} names {name}"
    remedy = (
        f"Add it to imagePullSecrets of serviceaccount/{account}: {_CURE} does. Only pods created after that have it."
    )
    return _Check("named", subject, "failed", message, remedy)
