# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give pull secrets API keys that expire, and renew the keys in time.

Private to killinit.zot: it may change at any time.

A new key is written and used before the keys that it replaces are revoked. So the pods can pull at every moment, and if
a run ends anywhere, the next run finishes it. An API key never leaves this file, except to the registry and the secret.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils import _api_key
from ansible_collections.killinit.zot.plugins.module_utils._api_key import ApiKeys
from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    PullCredentials,
    PullKey,
    held_credentials,
    held_key,
)
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret import info as pull_secret_info
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret import run as pull_secret
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.request import Request, pull_credentials
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.state import Scope
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import texts_option

_SET_THE_USER = "Set pull_username and pull_password (zot_pull_secret_username and zot_pull_secret_password)."
_ANOTHER_RUN = "The pull secret holds another key than the new one: another run rotates it, too."


@dataclass
class _Outcome:
    """What happened to the pull secret of one namespace. *failed* is the class of the first error."""

    namespace: str
    name: str
    result: str = "failed"
    changed: bool = False
    account: str | None = None
    label: str | None = None
    uuid: str | None = None
    expires_at: str | None = None
    last_used_at: str | None = None
    proof: str | None = None
    revoked: list[dict[str, t.Any]] = field(default_factory=list)
    unused: list[dict[str, t.Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    diff: dict[str, t.Any] | None = None
    failed: str | None = None

    def fail(self, error: ZotError | ClusterError) -> None:
        """Record an error."""
        fields = error.for_ansible()
        self.failed = self.failed or fields["error_class"]
        self.problems.append(fields["msg"])

    def hold(self, key: t.Mapping[str, t.Any] | None, listed: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        """Record the key that the secret holds. *listed* are the keys of its label."""
        self.uuid, self.expires_at = (key["uuid"], key["expires_at"]) if key else (None, None)
        self.last_used_at = next((each["last_used_at"] for each in listed if each["uuid"] == self.uuid), None)

    def for_ansible(self) -> dict[str, t.Any]:
        """An entry of C(secrets) in the result."""
        return {name: value for name, value in asdict(self).items() if name not in ("unused", "diff", "failed")}


def run(
    client: ApiClient,
    task: Task,
    options: Options,
    params: t.Mapping[str, t.Any],
    hide: pull_secret.Hide,
    *,
    dry_run: bool,
) -> dict[str, t.Any]:
    """Renew the keys of all namespaces, and return the result of the module. With *dry_run* nothing changes.

    An error of one namespace is in the result. Raises ZotError and InvalidNameError for an invalid option, ZotError if
    the user has no API keys, and ClusterError if the cluster does not answer.
    """
    scopes = [
        Scope.of({**params, "namespace": name, "allow_empty": True})
        for name in dict.fromkeys(texts_option("namespaces", params["namespaces"]))
    ]
    if not scopes:
        raise ZotError("invalid_option", "namespaces is empty", hint="Name at least one namespace.")
    rotation = _Rotation(client, task, options, params, hide, dry_run)
    # An error of the options, the user or the registry is the same for all namespaces.
    rotation.manage(rotation.owner, label="-", dry_run=True)
    outcomes = [_Outcome(scope.namespace, scope.secret) for scope in scopes]
    unavailable: ZotError | ClusterError | None = None
    for scope, outcome in zip(scopes, outcomes):
        if unavailable:
            outcome.fail(unavailable)
            continue
        try:
            rotation.rotate(scope, outcome)
        except (ZotError, ClusterError) as error:
            outcome.fail(error)
            # Do not wait for the same timeout in each namespace.
            gone = error.status is None if isinstance(error, ClusterError) else error.error_class == "unavailable"
            unavailable = error if gone else None
    revoked = [each for outcome in outcomes for each in outcome.revoked]
    gone_keys = {each["uuid"] for each in revoked}
    unused = {each["uuid"]: each for outcome in outcomes for each in outcome.unused if each["uuid"] not in gone_keys}
    return {
        "changed": any(each.changed for each in outcomes),
        "ok": not any(each.problems for each in outcomes),
        "registry": options.registry,
        "cluster": client.server,
        "secrets": [each.for_ansible() for each in outcomes],
        "unused": list(unused.values()),
        "problems": [f"{each.namespace}: {text}" for each in outcomes for text in each.problems],
        "error_class": next((each.failed for each in outcomes if each.failed), None),
        "diff": [each.diff for each in outcomes if each.diff],
    }


@dataclass
class _Rotation:
    """The requests of one task. *owner* asks with the account of the pods."""

    client: ApiClient
    task: Task
    options: Options
    params: t.Mapping[str, t.Any]
    hide: pull_secret.Hide
    dry_run: bool

    def __post_init__(self) -> None:
        account = pull_credentials(self.params)
        if account is None:
            raise ZotError("invalid_option", "the user of the keys is not given", hint=_SET_THE_USER)
        self.owner = self._keys_of(account)

    def manage(self, keys: ApiKeys, *, label: str, dry_run: bool | None = None, **more: t.Any) -> dict[str, t.Any]:
        """Call zot_api_key for the keys of a label."""
        rules = {name: self.params[name] for name in ("expires_in", "renew_before", "unused_for")}
        given = {"state": "present", "keep": None, "in_use": None, "uuid": None, "force": False, **rules, **more}
        return _api_key.run(keys, {**given, "label": label}, dry_run=self.dry_run if dry_run is None else dry_run)

    def rotate(self, scope: Scope, outcome: _Outcome) -> None:
        """Renew the key of one pull secret if necessary, and then revoke its other keys."""
        before = self._use(scope)
        label, held = before["key_label"], before["key"]
        outcome.account = before["account"]
        if label is None:
            reason = "; ".join(before["problems"]) or "the namespace has no service account default"
            raise ZotError("not_found", f"the label of the keys is not known: {reason}", hint="Correct the cause.")
        outcome.label = label
        # A key that is not in the secret, for example of a run that was interrupted, is of no use.
        force = self.params["force_renewal"] or held is None
        made = self.manage(self.owner, label=label, in_use=held and held["uuid"], force=force)
        outcome.changed, outcome.unused = made["changed"], made["unused"]
        outcome.hold(held, made["api_keys"])
        now = self._write(scope, outcome, before, made) if made["created"] else before
        if self.dry_run and made["created"]:
            # The new key would solve the problems of the old one.
            outcome.expires_at = made["expires_at"]
        elif not outcome.problems:
            self._revoke_others(scope, outcome, now, made)
        if not outcome.problems:
            outcome.result = "renewed" if made["created"] else "kept"

    def _use(self, scope: Scope) -> dict[str, t.Any]:
        """Use the pull secret as the pods use it."""
        return pull_secret_info.run(self.client, self.task, self.options, scope)

    def _write(
        self, scope: Scope, outcome: _Outcome, before: t.Mapping[str, t.Any], made: t.Mapping[str, t.Any]
    ) -> dict[str, t.Any]:
        """Write a new key. Returns what the secret is worth afterwards. In check mode find out if it can be written."""
        # Check mode has no key.
        password = made.get("key", "zak_")
        self.hide([password] if "key" in made else [])
        request = Request(
            scope.namespace,
            scope.secret,
            scope.names,
            PullCredentials(made["account"], password),
            tuple(before["repair"]["service_accounts"]),
            self.params["force"],
            True,
            PullKey(made["uuid"] or "", outcome.label or "", made["expires_at"]),
            (before["key"] or {}).get("uuid"),
        )
        may_follow = False
        try:
            written = pull_secret.run(self.client, request, self.hide, check_mode=self.dry_run)
            outcome.diff = written["diff"]
        except (ZotError, ClusterError) as error:
            outcome.fail(error)
            # After a lost answer, the write may still happen.
            may_follow = error.retryable
        if self.dry_run:
            return dict(before)
        now = self._use(scope)
        outcome.account = now["account"]
        outcome.hold(now["key"], ())
        if outcome.uuid == made["uuid"]:
            # Only the answer was lost. If a service account does not name the secret, the checks say so.
            outcome.problems, outcome.failed = [], None
        else:
            if not outcome.problems:
                outcome.problems.append(_ANOTHER_RUN)
            if not may_follow:
                outcome.revoked += self.manage(
                    self.owner, label=outcome.label or "", state="absent", uuid=made["uuid"]
                )["revoked"]
        return now

    def _revoke_others(
        self, scope: Scope, outcome: _Outcome, now: t.Mapping[str, t.Any], made: t.Mapping[str, t.Any]
    ) -> None:
        """Revoke the other keys of the label, with the key that the secret holds, which proves that this key works.

        The images alone do not: kubelet may have pulled them with another entry, for example for C(host/repository).
        """
        outcome.problems += now["problems"]
        if not now["usable"] or not (made["created"] or len(made["api_keys"]) > 1):
            return
        secret = self.client.get("secrets", scope.namespace, scope.secret)
        key, credentials = held_key(secret, scope.registry), held_credentials(secret, scope.registry)
        if key is None or credentials is None or key.uuid != outcome.uuid:
            outcome.problems.append(_ANOTHER_RUN)
            return
        holder = self._keys_of(credentials)
        done = self.manage(holder, label=outcome.label or "", state="absent", in_use=key.uuid)
        outcome.changed = outcome.changed or done["changed"]
        outcome.revoked += done["revoked"]
        outcome.unused = done["unused"]
        outcome.hold(now["key"], done["api_keys"])
        is_pulled = any(each["check"] == "read" for each in now["checks"])
        outcome.proof = "images" if is_pulled else "registry"

    def _keys_of(self, credentials: PullCredentials) -> ApiKeys:
        username, password = credentials.username, credentials.password
        options = replace(self.options, username=username, password=password, authfile=None, ambient=False)
        return ApiKeys(self.task.session(options))
