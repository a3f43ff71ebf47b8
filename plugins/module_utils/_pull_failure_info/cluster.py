# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods of a cluster that cannot pull, with their pull secrets, service accounts and nodes.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Readings
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object, is_name
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_keys import PullKey, held_key
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    PullSecret,
    SecretEntry,
    secret_names,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable

# The secret and the entry of a pull without credentials, as kubelet pulls if it finds none.
ANONYMOUS = ("", SecretEntry("", "", "", "", contradicts=False))


@dataclass(frozen=True)
class FailingPods:
    """The pods of a namespace that cannot pull, as *failures*, and the resources of the cluster that explain them.

    *pull_secret* is the secret that pods should name. *secrets* are the pull secrets that exist, *unreadable_secrets*
    those that the user may not read. *keys* are the API keys that are recorded in the secrets. *service_accounts* and
    *platforms* (of the nodes) are None if they were not read. *connection* is the result of connection_options().
    *aliases* are other names of the registry.
    """

    namespace: str
    registry: str
    pull_secret: str
    failures: t.Sequence[PullFailure]
    secrets: t.Mapping[str, PullSecret] = field(default_factory=dict)
    keys: t.Mapping[str, PullKey] = field(default_factory=dict)
    unreadable_secrets: t.Collection[str] = ()
    service_accounts: t.Mapping[str, Object] | None = None
    platforms: t.Mapping[str, str] | None = None
    connection: t.Mapping[str, str] = field(default_factory=dict)
    aliases: t.Sequence[str] = ()

    def in_registry(self, failure: PullFailure) -> Reference | None:
        """The image with the name of the registry in the task, if it is in this registry."""
        reference = failed_image(failure)
        reference = reference.known_as(self.registry, self.aliases) if reference else None
        return reference if reference and reference.registry == self.registry else None

    def pull_secrets(self, failure: PullFailure) -> list[str]:
        """The pull secrets of the pod; else those that a new pod would get; else the secret that it should name."""
        usual = [self.pull_secret] if self.in_registry(failure) else []
        return list(failure.secrets) or self.of_service_account(failure) or usual

    def of_service_account(self, failure: PullFailure) -> list[str]:
        """The pull secrets that the service account names now. A pod gets them only when it is created."""
        return secret_names((self.service_accounts or {}).get(failure.service_account, {}))

    def entries(self, failure: PullFailure) -> list[tuple[str, SecretEntry]]:
        """The entries that kubelet tries for the image, in this order, each with the name of its secret."""
        reference, found = failed_image(failure), []
        for name in self.pull_secrets(failure):
            secret = self.secrets.get(name)
            if secret is None or secret.type not in FIELDS:
                continue
            if secret.problems:
                # kubelet then uses none of the pod's pull secrets.
                return []
            fitting = secret.for_image(reference.name) if reference else []
            found += [(name, entry) for entry in fitting if entry.is_complete]
        # kubelet sorts the entries of all secrets together.
        return sorted(found, key=lambda each: each[1].key, reverse=True)

    def refusal(self, entries: t.Sequence[tuple[str, SecretEntry]], repair: str) -> tuple[str, str, str]:
        """Why the registry rejects the credentials in these entries: cause, message and remedy.

        The registry itself gives the same answer to an expired key and to a wrong password.
        """
        where = ", ".join(f"{entry.key} of the secret {name}" for name, entry in entries)
        held = [self.keys[name] for name, entry in entries if name in self.keys and entry.key == self.registry]
        if not held:
            return "credentials_refused", f"the registry rejects the credentials in the entry {where} (401)", repair
        cause, rejects = "key_revoked", f"the registry rejects the API key {held[0].uuid} in the entry {where} (401)"
        reason = f"it would expire at {held[0].expires_at}, so it has been revoked"
        if held[0].expiry_text(time.time(), 0):
            cause, reason = "key_expired", f"it has expired at {held[0].expires_at}"
        remedy = f"Renew the key (killinit.zot.rotate). Or {repair[0].lower()}{repair[1:]}"
        return cause, printable(f"{rejects}: {reason}"), remedy

    def images(self) -> dict[str, list[Reference]]:
        """The images of the registry that cannot be pulled, by repository."""
        found: dict[str, dict[Reference, None]] = {}
        for reference in map(self.in_registry, self.failures):
            if reference:
                found.setdefault(reference.repository, {})[reference] = None
        return {repository: list(images) for repository, images in found.items()}

    def users(self) -> list[tuple[str, str, SecretEntry]]:
        """The credentials that kubelet uses, without duplicates: repository, name of the secret, entry."""
        found: dict[tuple[str, str, SecretEntry], None] = {}
        for failure in self.failures:
            reference = self.in_registry(failure)
            if reference:
                entries = self.entries(failure)
                anonymous = [] if failure.secrets and entries else [ANONYMOUS]
                found.update(dict.fromkeys((reference.repository, *each) for each in [*entries, *anonymous]))
        return list(found)


def read_failing_pods(readings: Readings, found: FailingPods) -> FailingPods:
    """Read only the resources that are needed to explain the failures in *found*."""
    namespace, failures = found.namespace, found.failures
    # Kubernetes copies the pull secrets of the service account into a pod that names none.
    if not all(each.secrets for each in failures):
        found = replace(found, service_accounts=_by_name(readings.list("serviceaccounts", namespace)))
    # The platform of a node matters only for images that the registry can describe.
    nodes = _by_name(readings.list("nodes")) if found.images() else None
    secrets: dict[str, PullSecret] = {}
    keys: dict[str, PullKey] = {}
    forbidden: set[str] = set()
    for name in dict.fromkeys(name for each in failures for name in found.pull_secrets(each) if is_name(name)):
        known = len(readings.unreadable)
        secret = readings.get("secrets", namespace, name)
        if secret:
            secrets[name] = PullSecret.read(secret)
            key = held_key(secret, found.registry)
            keys.update({name: key} if key else {})
        elif len(readings.unreadable) > known:
            forbidden.add(name)
    platforms = None if nodes is None else {name: _platform(node) for name, node in nodes.items()}
    return replace(found, secrets=secrets, keys=keys, unreadable_secrets=forbidden, platforms=platforms)


def failed_image(failure: PullFailure) -> Reference | None:
    """The image that cannot be pulled. Without a registry it is in Docker Hub. None if it is malformed."""
    try:
        return Reference.parse(failure.image, registry="docker.io")
    except InvalidReferenceError:
        return None


def _by_name(objects: t.Sequence[Object] | None) -> dict[str, Object] | None:
    return None if objects is None else {each["metadata"]["name"]: each for each in objects}


def _platform(node: Object) -> str:
    information = node["status"]["nodeInfo"]
    return f"{information['operatingSystem']}/{information['architecture']}"
