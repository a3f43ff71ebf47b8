# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of a pull secret, each with its verdict, reason and remedy.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    Object,
    name_of,
    secret_names,
    service_account_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    REPLACEABLE,
    PullSecret,
    SecretEntry,
    printable_key,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.state import REFUSALS, Probe, Scope, State
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import settable

Probes = t.Mapping[str, t.Sequence[Probe]]

_REPAIR = "run the role zot_pull_secret with zot_pull_secret_repair=true"
_CREDENTIALS = "zot_pull_secret_username and zot_pull_secret_password"
_RIGHTS = "Grant this permission to the user of the kubeconfig: see the README of the role zot_pull_secret."
_REMEDIES: t.Mapping[str, str] = {
    "unavailable": "Check that the registry runs and can be reached from this host, then run the task again.",
    "tls": f"Set {settable('ca_path', 'registry_ca_path')} to the CA certificate of the registry.",
}


@dataclass(frozen=True)
class Check:
    """One check of the pull secret."""

    check: str
    resource: str
    verdict: str
    reason: str
    remedy: str = ""
    error_class: str | None = None

    def for_ansible(self) -> dict[str, t.Any]:
        """An entry of C(checks) in the result. The texts are escaped: they contain names from cluster and registry."""
        return {**asdict(self), "reason": printable(self.reason), "remedy": printable(self.remedy)}


def check_pull_secret(state: State, probes: Probes) -> list[Check]:
    """All checks of a state. *probes* are the probes of its images."""
    return [*_secret_checks(state, probes), *_named(state)]


def problems(checks: t.Sequence[Check]) -> list[str]:
    """A sentence for each reason why a check is not ok."""
    found: dict[str, str] = {}
    for check in checks:
        if check.verdict != "ok":
            found.setdefault(check.reason, check.remedy)
    return [printable(" ".join(filter(None, (f"{reason}.", remedy)))) for reason, remedy in found.items()]


def fitting_entries(state: State, secret: PullSecret) -> dict[str, list[SecretEntry]]:
    """The entries that kubelet uses for each repository; for the whole registry if no repository is needed."""
    return {name: secret.for_image(name) for name in state.needed or [state.scope.registry]}


def _secret_checks(state: State, probes: Probes) -> t.Iterator[Check]:
    scope, resource = state.scope, f"secret/{state.scope.secret}"
    secret = state.content
    exists = Check("exists", resource, "ok", f"the {scope.title} exists") if secret else _absent(state)
    kind = _type(scope, secret) if secret else _follows("type", resource, exists)
    yield from (exists, kind)
    if not secret or secret.type not in REPLACEABLE:
        yield from (_follows(name, resource, kind) for name in ("json", "entry", "auth"))
        yield _follows("read", scope.registry, kind)
        return
    fitting = fitting_entries(state, secret)
    entry = _entry(scope, secret, fitting)
    auth = _auth(scope, entry, fitting)
    yield from (_json(scope, secret), entry, auth)
    if state.unread_workloads:
        yield Check("read", scope.registry, "unknown", state.unread_workloads, _RIGHTS)
    for repository, images in state.needed.items():
        tried = probes.get(repository)
        yield _read(scope, repository, images, tried) if tried else _follows("read", repository, auth)


def _follows(name: str, resource: str, cause: Check) -> Check:
    """A check that is not possible because another check is not ok."""
    return Check(name, resource, "unknown", cause.reason)


def _absent(state: State) -> Check:
    scope, resource = state.scope, f"secret/{state.scope.secret}"
    if state.unread_secret:
        return Check("exists", resource, "unknown", state.unread_secret, _RIGHTS)
    reason = f"the {scope.title} does not exist"
    if state.elsewhere is None:
        reason += "; other namespaces could not be searched"
    elif state.elsewhere:
        where = ", ".join(state.elsewhere)
        reason += f"; a secret of this name exists in {where}, but pods can use only secrets of their own namespace"
    return Check("exists", resource, "failed", reason, f"To create it, {_REPAIR}, {_CREDENTIALS}.")


def _type(scope: Scope, secret: PullSecret) -> Check:
    resource = f"secret/{scope.secret}"
    if secret.type in FIELDS:
        return Check("type", resource, "ok", f"the {scope.title} has the type {secret.type}")
    reason = f"the {scope.title} has the type {secret.type}, which kubelet ignores"
    if secret.type not in REPLACEABLE:
        remedy = "A repair does not replace it, because something else uses a secret of this type. Set the option name"
        remedy += " (zot_pull_secret_name) to another name, and name that pull secret in the workloads."
        return Check("type", resource, "failed", reason, remedy)
    remedy = f"The type of a secret cannot be changed. To replace the secret, {_REPAIR}, {_CREDENTIALS}."
    return Check("type", resource, "failed", reason, remedy)


def _json(scope: Scope, secret: PullSecret) -> Check:
    resource = f"secret/{scope.secret}"
    if not secret.problems:
        return Check("json", resource, "ok", f"kubelet can read {secret.data_key} of the {scope.title}")
    reason = f"kubelet cannot read the {scope.title}: {'; '.join(secret.problems)}. It then ignores all pull secrets"
    remedy = f"To write the secret again without the entries that cannot be read, {_REPAIR}, {_CREDENTIALS}."
    return Check("json", resource, "failed", f"{reason} of the pod", remedy)


def _entry(scope: Scope, secret: PullSecret, fitting: t.Mapping[str, list[SecretEntry]]) -> Check:
    resource = f"secret/{scope.secret}"
    without = [name for name, entries in fitting.items() if not entries]
    if without:
        keys = ", ".join(sorted(printable_key(entry.name) for entry in secret.entries))
        reason = f"the {scope.title} has no entry for {', '.join(without)}; its entries are for {keys or 'no registry'}"
        remedy = f"To add an entry with the key {' and '.join(scope.names)}, {_REPAIR}, {_CREDENTIALS}."
        other = [name for name in dict.fromkeys(each.partition("/")[0] for each in without) if name not in scope.names]
        if other:
            # Kubelet compares the names as they are written.
            remedy = f"Add {' and '.join(other)} to {settable('registry_aliases')}. {remedy}"
        return Check("entry", resource, "failed", reason, remedy)
    used = tuple(dict.fromkeys(entry.key for entries in fitting.values() for entry in entries))
    reason = f"kubelet uses the entries {', '.join(used)} of the {scope.title}"
    return Check("entry", resource, "ok", reason)


def _auth(scope: Scope, entry: Check, fitting: t.Mapping[str, list[SecretEntry]]) -> Check:
    """Whether the entries for each repository have credentials. One valid entry is enough."""
    resource = f"secret/{scope.secret}"
    if not any(fitting.values()):
        return _follows("auth", resource, entry)
    valid: list[SecretEntry] = []
    wrong: dict[str, str] = {}
    for entries in fitting.values():
        good = [each for each in entries if each.is_complete and not each.contradicts]
        valid += good
        wrong.update({each.key: _fault(each) for each in entries if not good})
    if wrong:
        reason = f"the {scope.title} has invalid credentials: {'; '.join(wrong.values())}"
        remedy = f"To write auth, username and password of the same user, {_REPAIR}, {_CREDENTIALS}."
        return Check("auth", resource, "failed", reason, remedy)
    return Check("auth", resource, "ok", f"the {scope.title} has {users(valid)}")


def _fault(entry: SecretEntry) -> str:
    if not entry.is_complete:
        return f"the entry {entry.key} has no user name or no password"
    return f"auth in the entry {entry.key} is not base64 of its username:password, and kubelet uses auth"


def users(entries: t.Iterable[SecretEntry]) -> str:
    """The users of entries, as a part of a sentence."""
    return " and ".join(dict.fromkeys(f"the user {each.username} (entry {each.key})" for each in entries))


def _read(scope: Scope, repository: str, images: t.Sequence[Reference], probes: t.Sequence[Probe]) -> Check:
    """Whether kubelet can pull every image of a repository. One user who may read the image is enough."""
    refused = [each for each in probes if each.error and each.error.error_class in REFUSALS]
    absent = [each for each in probes if not each.error and not each.exists]
    unknown = [each for each in probes if each.error and each.error.error_class not in REFUSALS]
    if refused:
        return _refused(scope, repository, refused)
    if absent:
        missing = ", ".join(str(each.image) for each in absent)
        reason = f"{users(each.entries[-1] for each in absent)} can read {repository}, but {missing} does not exist"
        return Check("read", repository, "failed", reason, "Push the image, or correct the workload.", "not_found")
    if unknown:
        error = t.cast(ZotError, unknown[0].error)
        reason = f"{users(unknown[0].entries[-1:])} could not be tried at {scope.registry}: {error}"
        remedy = _REMEDIES.get(error.error_class, error.hint)
        return Check("read", repository, "unknown", reason.rstrip(" ."), remedy, error.error_class)
    entries = [each.entries[-1] for each in probes]
    reason = f"{users(entries)} can read {', '.join(map(str, images))}"
    return Check("read", repository, "ok", reason)


def _refused(scope: Scope, repository: str, probes: t.Sequence[Probe]) -> Check:
    entries = tuple(dict.fromkeys(entry for each in probes for entry in each.entries))
    if any(each.error and each.error.error_class == "denied" for each in probes):
        reason = f"the registry {scope.registry} does not let {users(entries)} read {repository} (403)"
        remedy = f"Give the user read access to the repository. Or, to write another user, {_REPAIR}, {_CREDENTIALS}."
        return Check("read", repository, "failed", reason, remedy, "denied")
    reason = f"the registry {scope.registry} rejects the password of {users(entries)} for {repository} (401)"
    remedy = f"To write valid credentials, {_REPAIR}, {_CREDENTIALS}."
    return Check("read", repository, "failed", reason, remedy, "unauthorized")


def _named(state: State) -> t.Iterator[Check]:
    scope = state.scope
    if state.unread_workloads:
        yield Check("named", f"namespace/{scope.namespace}", "unknown", state.unread_workloads, _RIGHTS)
    for name in state.missing:
        reason = f"{name} does not exist in namespace {scope.namespace}"
        remedy = "Deploy the workload, or correct the option workloads (zot_pull_secret_workloads)."
        yield Check("named", str(name), "failed", reason, remedy)
    for workload in state.workloads:
        yield _naming(state, workload)


def _naming(state: State, workload: Object) -> Check:
    """Whether a new pod of a workload gets the secret.

    The pull secrets of a service account are added only to a pod that names none itself:
    https://github.com/kubernetes/kubernetes/blob/v1.37.2/plugin/pkg/admission/serviceaccount/admission.go
    """
    name, namespace = state.scope.secret, state.scope.namespace
    subject, specification = name_of(workload), template_of(workload)["spec"]
    own = secret_names(specification)
    if name in own:
        return _together(state, workload, f"{subject} names the pull secret {name}")
    if own:
        reason = f"{subject} in namespace {namespace} names the pull secrets {', '.join(own)} and not {name}"
        remedy = f"Add {name} to imagePullSecrets in the pod template of {subject}."
        return Check("named", subject, "failed", f"{reason}; those of its service account are then ignored", remedy)
    account = service_account_of(specification)
    if state.service_accounts is None:
        return Check("named", subject, "unknown", state.unread("serviceaccounts"), _RIGHTS)
    if account not in state.service_accounts:
        reason = f"{subject} names no pull secret, and the service account {account} does not exist"
        remedy = f"Create the service account {account}."
        return Check("named", subject, "failed", f"{reason} in namespace {namespace}", remedy)
    if name in secret_names(state.service_accounts[account]):
        return _together(state, workload, f"the service account {account} of {subject} names the pull secret {name}")
    reason = f"neither {subject} nor its service account {account} names the pull secret {name}"
    remedy = f"To add it to the service account, {_REPAIR}. Only pods that are created afterwards use it."
    return Check("named", subject, "failed", f"{reason} in namespace {namespace}", remedy)


def _together(state: State, workload: Object, reason: str) -> Check:
    """The check of a workload whose pods get the secret, together with the other pull secrets of the pods."""
    subject, broken = name_of(workload), [name for name in state.named_secrets(workload) if name in state.broken]
    if not broken:
        return Check("named", subject, "ok", reason)
    why = " and ".join(f"{name}, which kubelet cannot read: {state.broken[name]}" for name in broken)
    reason = f"{reason}, but also {why}. It then ignores all pull secrets of the pod"
    return Check("named", subject, "failed", reason, f"Correct or remove the secret {', '.join(broken)}.")
