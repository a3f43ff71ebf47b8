# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of zot_pull_secret, and the contents that a pull secret must have. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object, namespace_name, object_name
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    REPLACEABLE,
    TYPE,
    EntryUpdate,
    PullCredentials,
    PullKey,
    PullSecret,
    held_key,
    key_annotation,
    printable_key,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import UNQUOTED, printable, text_problem, words
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import registry_option

# The annotation of a copy: the metadata of the secret that is replaced.
COPY_OF = "killinit.zot/before-repair"
_SUFFIX = "-before-repair"
_LONGEST_NAME = 253
# kubectl keeps a copy of the old data in this annotation.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# What a new secret takes over. A finalizer is set again by its controller.
_KEPT_METADATA = ("labels", "annotations", "ownerReferences")


@dataclass(frozen=True)
class Request:
    """The options of a task. *registries* are the names that the images of the registry may have.

    If *key* is set, the password is this API key. It replaces the key with the UUID *replaces*; None if the secret held
    none.
    """

    namespace: str
    name: str
    registries: tuple[str, ...]
    credentials: PullCredentials | None = field(repr=False)
    service_accounts: tuple[str, ...]
    force: bool
    present: bool
    key: PullKey | None = None
    replaces: str | None = None

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Request:
        """Parse the options. Raises ZotError or InvalidNameError."""
        registries = (registry_option(params["registry"]), *map(registry_option, words(params["registry_aliases"])))
        return cls(
            namespace_name(params["namespace"]),
            object_name(params["name"]),
            tuple(dict.fromkeys(registries)),
            pull_credentials(params),
            tuple(dict.fromkeys(map(object_name, words(params["service_accounts"])))),
            params["force"],
            params["state"] == "present",
        )

    @property
    def title(self) -> str:
        """The secret, as a part of a sentence."""
        return f"secret {self.name} in namespace {self.namespace}"

    @property
    def copy(self) -> str:
        """The name under which a secret is kept while it is replaced."""
        if len(self.name) + len(_SUFFIX) <= _LONGEST_NAME:
            return self.name + _SUFFIX
        mark = hashlib.sha256(self.name.encode()).hexdigest()[:12]
        return f"{self.name[: _LONGEST_NAME - len(_SUFFIX) - len(mark) - 1].rstrip('.-')}-{mark}{_SUFFIX}"


def pull_credentials(params: t.Mapping[str, t.Any]) -> PullCredentials | None:
    """The options pull_username and pull_password; None without them. Raises ZotError."""
    username, password = params["pull_username"], params["pull_password"]
    for name, value in (("pull_username", username), ("pull_password", password)):
        if value is not None and text_problem(name, value):
            # The message does not have the value.
            problem = f"{name} (zot_pull_secret_{name[len('pull_') :]}) is not text{UNQUOTED}"
            raise ZotError("invalid_option", problem, hint="Quote the value.")
    return PullCredentials(username, password) if username and password else None


@dataclass(frozen=True)
class SecretPlan:
    """What happens to the secret: *action* is C(none), C(create), C(merge), C(replace) or C(delete).

    *data*, *metadata* and *immutable* are those of the secret afterwards. *changes* are texts without secrets.
    """

    action: str
    changes: tuple[str, ...] = ()
    data: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    metadata: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    immutable: bool = False

    def document(self, request: Request, *, dry_run: bool = False) -> Object:
        """The new secret. A dry run has another name, because the old secret still exists."""
        name = {"generateName": f"{request.name[:200]}-"} if dry_run else {"name": request.name}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TYPE,
            "metadata": {**self.metadata, **name, "namespace": request.namespace},
            "data": dict(self.data),
            **({"immutable": True} if self.immutable else {}),
        }


def plan(request: Request, secret: Object | None, copy: Object | None) -> SecretPlan:
    """The change of *secret*. The entries of *copy*, which an interrupted run left, are added. Raises ZotError."""
    if secret is None and copy is None and not request.present:
        return SecretPlan("none")
    current, content = PullSecret.read(secret or {}), _joined(secret, copy)
    if secret and current.type not in REPLACEABLE:
        raise ZotError(
            "invalid_option",
            f"the {request.title} has the type {current.type}, so that something else uses it",
            hint="Set name (zot_pull_secret_name) to another name.",
        )
    lasts = secret is not None and not secret["metadata"].get("deletionTimestamp")
    usable = lasts and current.type in FIELDS and not current.problems
    names = request.registries
    _require_unchanged(request, secret)
    if request.present and not request.credentials:
        if not usable or not {*names} <= {entry.key for entry in content.entries}:
            reason = f"the {request.title} needs the credentials of a user who may pull from {names[0]}"
            hint = "Set pull_username and pull_password (zot_pull_secret_username and zot_pull_secret_password)."
            raise ZotError("invalid_option", reason, hint=hint)
        names = ()
    update = content.with_entry(*names) if names and request.present else content.without_entry(*names)
    others = {**_others(copy), **_others(secret)}
    restored = [f"entry {printable_key(name)}: restored" for name in update.kept if name not in current.auths]
    restored += [printable(f"data {name}: restored") for name in others if name not in _others(secret)]
    changes = (*update.changes(request.credentials), *restored)
    marks = _key_annotation(request, secret)
    if secret and not changes and (usable or not request.present) and marks.items() <= _annotations(secret).items():
        return SecretPlan("none")
    if update.is_empty and not others:
        return SecretPlan("delete" if secret else "none", changes)
    data = {**others, FIELDS[TYPE]: update.data(request.credentials)}
    kept = _kept(secret, copy)
    annotations = {**kept.get("metadata", {}).get("annotations", {}), **marks}
    metadata = {**kept.get("metadata", {}), **({"annotations": annotations} if annotations else {})}
    return SecretPlan(_action(secret, current), changes, data, metadata, bool(kept.get("immutable")))


def _require_unchanged(request: Request, secret: Object | None) -> None:
    """Raise ZotError if another task has written another API key since the caller read the secret."""
    found = held_key(secret, request.registries[0]) if request.key else None
    if request.key and found and found.uuid not in (request.replaces, request.key.uuid):
        raise ZotError(
            "invalid_option",
            f"the {request.title} meanwhile holds the API key {found.uuid}, which another task has written",
            hint="Nothing was written. Run the task again: it uses that key.",
        )


def _key_annotation(request: Request, secret: Object | None) -> dict[str, str]:
    if not (request.key and request.credentials):
        return {}
    return key_annotation(secret, request.registries, request.key, request.credentials.password)


def _annotations(secret: Object) -> dict[str, str]:
    return dict(secret["metadata"].get("annotations") or {})


def _action(secret: Object | None, current: PullSecret) -> str:
    if secret is None:
        return "create"
    fixed = current.type != TYPE or secret.get("immutable") or secret["metadata"].get("deletionTimestamp")
    return "replace" if fixed else "merge"


def _joined(secret: Object | None, copy: Object | None) -> PullSecret:
    """The content of the secret together with what an interrupted run kept of it."""
    kept = PullSecret.read(copy or {})
    return PullSecret.read(secret).joined(kept) if secret else kept


def copy_of(request: Request, secret: Object, copy: Object | None) -> Object:
    """The copy that is kept while a secret is replaced: everything of *secret* and of an earlier *copy*."""
    content = _joined(secret, copy)
    text = (secret.get("data") or {}).get(content.data_key)
    entries = {content.data_key: text} if text else {}
    if copy:
        entries = {FIELDS[TYPE]: EntryUpdate(content, (), tuple(content.auths)).data(None)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        # The API server does not check the data of this type.
        "type": "Opaque",
        "metadata": {
            "name": request.copy,
            "namespace": request.namespace,
            # Only a record of the metadata: what manages the secret could remove a copy with the same labels.
            "annotations": {COPY_OF: json.dumps(_kept(secret, copy), sort_keys=True)},
        },
        "data": {**_others(copy), **_others(secret), **entries},
    }


def is_copy(secret: Object | None) -> bool:
    """Whether a run of this module created a secret to keep another one."""
    return COPY_OF in ((secret or {}).get("metadata", {}).get("annotations") or {})


def _others(secret: Object | None) -> dict[str, str]:
    """The data of a secret that are no entries."""
    data = (secret or {}).get("data") or {}
    return {name: value for name, value in data.items() if name not in FIELDS.values()}


def _kept(secret: Object | None, copy: Object | None) -> dict[str, t.Any]:
    """What a new secret takes over in addition to the data: from the old secret, or from the record in its copy."""
    if secret is None:
        recorded = ((copy or {}).get("metadata", {}).get("annotations") or {}).get(COPY_OF, "{}")
        return dict(json.loads(recorded))
    metadata = {name: secret["metadata"][name] for name in _KEPT_METADATA if secret["metadata"].get(name)}
    if "annotations" in metadata:
        annotations = metadata["annotations"].items()
        metadata["annotations"] = {name: text for name, text in annotations if name != _LAST_APPLIED}
    return {"metadata": metadata, "immutable": bool(secret.get("immutable"))}
