# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set or remove the entry of a registry in a pull secret, so that no end of the run loses an entry.

Private to killinit.zot: it may change at any time.

A secret that cannot be changed is replaced: it is copied, deleted and created again, and then the copy is deleted. Each
run begins with the entries of both, so that it finishes an interrupted run.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import owner_text
from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object, secret_names
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    API_KEYS,
    TYPE,
    PullSecret,
    hidden_texts,
    printable_key,
)
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.request import (
    Request,
    SecretPlan,
    copy_of,
    is_copy,
    plan,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

# How often the secret is read again if something else changes it at the same time, and the first pause in seconds.
_TRIES = 6
_PAUSE = 0.2
# Seconds until a deleted secret must be gone. A finalizer delays that.
_LONGEST_DELETION = 60.0
_POLL = 0.5


Hide = t.Callable[[t.Iterable[str]], None]


def run(client: ApiClient, request: Request, hide: Hide, *, check_mode: bool = False) -> dict[str, t.Any]:
    """Make the changes, and return the result. Raises ClusterError and ZotError.

    *hide* receives the texts that no output may contain: the error of an admission webhook may quote what it refuses.
    """
    writer = _Writer(client, request, hide, check_mode=check_mode)
    before, done, has_copy = writer.secret()
    accounts = writer.service_accounts(names_secret=request.present) if _updates_accounts(request, done, before) else []
    return {
        "changed": done.action != "none" or has_copy or bool(accounts),
        "namespace": request.namespace,
        "name": request.name,
        "registry": request.registries[0],
        "cluster": client.server,
        "action": done.action,
        "changes": list(done.changes),
        "service_accounts": accounts,
        "diff": _diff(request, before, done, accounts),
    }


def _updates_accounts(request: Request, done: SecretPlan, before: Object | None) -> bool:
    """Whether the service accounts change: without the entry of this registry, they may name the secret for others."""
    return request.present or done.action == "delete" or (done.action == "none" and before is None)


def _diff(request: Request, before: Object | None, done: SecretPlan, accounts: list[str]) -> dict[str, t.Any]:
    """The diff of the entries, without their data."""
    after = None if done.action == "delete" else {"type": TYPE, "data": done.data} if done.data else before
    return {
        "before_header": request.title,
        "after_header": request.title,
        "before": {**_shown(before), "changes": [], "service_accounts": []},
        "after": {**_shown(after), "changes": list(done.changes), "service_accounts": accounts},
    }


def _shown(secret: Object | None) -> dict[str, t.Any]:
    content = PullSecret.read(secret or {})
    return {"type": content.type if secret else None, "entries": sorted(map(printable_key, content.auths))}


class _Writer:
    """The requests of one run."""

    def __init__(self, client: ApiClient, request: Request, hide: Hide, *, check_mode: bool) -> None:
        self._client = client
        self._hide = hide
        self._request = request
        self._check_mode = check_mode

    def secret(self) -> tuple[Object | None, SecretPlan, bool]:
        """Make the changes of the secret. Return the secret before, the plan, and whether an earlier copy existed."""
        first: tuple[Object | None, SecretPlan, bool] | None = None
        for attempt in range(1, _TRIES + 1):
            secret, copy = self._get(self._request.name), self._copy()
            wanted = plan(self._request, secret, copy)
            for each in (secret, copy, {"type": TYPE, "data": wanted.data}):
                self._hide(hidden_texts(each or {}))
            # A later attempt may find what the first one has written.
            first = first or (secret, wanted, copy is not None)
            self._require_no_manager(secret, wanted)
            if secret is None and wanted.action == "create":
                Selection(self._request.namespace).require_namespace(self._client, "secrets")
            if self._check_mode:
                break
            try:
                self._apply(wanted, secret, copy)
                break
            except ClusterError as error:
                # 404: the object to change was deleted. A namespace that is missing was found before.
                if error.status not in (404, 409) or attempt == _TRIES:
                    raise
            time.sleep(_PAUSE * attempt)
        return t.cast("tuple[Object | None, SecretPlan, bool]", first)

    def _apply(self, wanted: SecretPlan, secret: Object | None, copy: Object | None) -> None:
        if wanted.action == "create":
            self._create(wanted)
        elif wanted.action == "merge" and secret:
            annotations = {API_KEYS: wanted.metadata.get("annotations", {}).get(API_KEYS)}
            self._patch(secret, {"data": dict(wanted.data), "metadata": {"annotations": annotations}})
        elif wanted.action == "delete" and secret:
            self._delete(secret)
        elif wanted.action == "replace" and secret:
            copy = self._replace(wanted, secret, copy)
        if copy:
            self._delete(copy)

    def _replace(self, wanted: SecretPlan, secret: Object, copy: Object | None) -> Object:
        """Replace a secret that cannot be changed. Return the copy."""
        # If the creation failed after the deletion, no pod could pull. Quotas and policies are tested, too.
        self._client.write(
            "create",
            "secrets",
            self._request.namespace,
            None,
            wanted.document(self._request, dry_run=True),
            dry_run=True,
        )
        document = copy_of(self._request, secret, copy)
        if copy is None:
            found = self._get(self._request.copy)
            if found and not is_copy(found):
                raise ZotError(
                    "invalid_option",
                    f"the {self._request.title} must be replaced, and its copy needs the name {self._request.copy}",
                    hint="Another secret has this name. Rename or remove that secret.",
                )
            copy = self._client.write("create", "secrets", self._request.namespace, None, document)
        else:
            copy = self._patch(
                copy, {"metadata": {"annotations": document["metadata"]["annotations"]}, "data": document["data"]}
            )
        self._delete(secret)
        self._create(wanted)
        return copy

    def service_accounts(self, *, names_secret: bool) -> list[str]:
        """Add the secret to the service accounts, or remove it from them. Return those that changed."""
        return [each for each in self._request.service_accounts if self._service_account(each, names_secret)]

    def _service_account(self, name: str, names_secret: bool) -> bool:
        namespace, secret = self._request.namespace, self._request.name
        for attempt in range(1, _TRIES + 1):
            account = self._client.get("serviceaccounts", namespace, name)
            if account is None:
                if not names_secret:
                    return False
                message = f"the service account {name} does not exist"
                raise Selection(namespace).nothing(
                    message, "serviceaccounts", hint=f"Create the service account {name}."
                )
            if (secret in secret_names(account)) is names_secret:
                return False
            kept = [each for each in account.get("imagePullSecrets") or () if each.get("name") != secret]
            body = {
                # The API server refuses the patch if the list has changed since it was read.
                "metadata": {"resourceVersion": account["metadata"].get("resourceVersion")},
                "imagePullSecrets": [*kept, {"name": secret}] if names_secret else kept,
            }
            if self._check_mode:
                return True
            try:
                self._client.write("patch", "serviceaccounts", namespace, name, body)
                return True
            except ClusterError as error:
                if error.status not in (404, 409) or attempt == _TRIES:
                    raise
            time.sleep(_PAUSE * attempt)
        return True

    def _require_no_manager(self, secret: Object | None, wanted: SecretPlan) -> None:
        owner = owner_text(secret) if secret and wanted.action != "none" else None
        if owner and not self._request.force:
            raise ZotError(
                "denied",
                f"the {self._request.title} is managed by {owner}, which would undo the change",
                hint="Change the credentials there, or set force (zot_pull_secret_force) to true.",
            )

    def _copy(self) -> Object | None:
        """The copy that an interrupted run has left."""
        found = self._get(self._request.copy)
        return found if is_copy(found) else None

    def _get(self, name: str) -> Object | None:
        return self._client.get("secrets", self._request.namespace, name)

    def _create(self, wanted: SecretPlan) -> None:
        hint = "Correct the cause, then run the task again: it creates the secret with all its entries."
        self._client.write(
            "create", "secrets", self._request.namespace, None, wanted.document(self._request), hint=hint
        )

    def _patch(self, secret: Object, body: Object) -> Object:
        metadata = secret["metadata"]
        # The API server refuses the patch if the secret has changed since it was read.
        version = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        changed = {**body, "metadata": {**body.get("metadata", {}), **version}}
        return self._client.write("patch", "secrets", self._request.namespace, metadata["name"], changed)

    def _delete(self, secret: Object) -> None:
        """Delete a secret, unless it has changed since it was read, and wait until it does not exist."""
        metadata = secret["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        if not metadata.get("deletionTimestamp"):
            version = {"uid": uid, "resourceVersion": metadata["resourceVersion"]}
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": version}
            answer = self._client.write("delete", "secrets", self._request.namespace, name, body)
            if answer.get("kind") == "Status":  # and not the secret, which then waits for its finalizers
                return
        end = time.monotonic() + _LONGEST_DELETION
        while True:
            found = self._get(name)
            if found is None or found["metadata"]["uid"] != uid:
                return
            if time.monotonic() >= end:
                break
            time.sleep(_POLL)
        finalizers = ", ".join(found["metadata"].get("finalizers") or ()) or "none"
        raise ClusterError(
            f"it was not removed within {_LONGEST_DELETION:g} seconds, its finalizers are: {finalizers}",
            verb="delete",
            resource=f"secrets/{name}",
            namespace=self._request.namespace,
            status=504,
            hint="Check the controller of the finalizer, then run the task again: it writes all entries again.",
        )
