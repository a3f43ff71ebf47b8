# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a cluster and a registry that concerns images that cannot be pulled.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    Entry,
    PullSecret,
    secret_names,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference

# The secret and the entry of a pull without credentials, as kubelet pulls if it finds none.
ANONYMOUS = ("", Entry("", "", "", "", contradicts=False))
# The maximum number of suggestions for a mistyped name.
_CANDIDATES = 5


@dataclass(frozen=True)
class ClusterState:
    """The state of the cluster.

    *pull_secret* is the secret that pods should name. *secrets* are the pull secrets that exist, *unreadable_secrets*
    those that the user may not read. *service_accounts* and *platforms* (of the nodes) are None if they were not read.
    *connection* is the result of connection_options().
    """

    namespace: str
    registry: str
    pull_secret: str
    failures: t.Sequence[PullFailure]
    secrets: t.Mapping[str, PullSecret] = field(default_factory=dict)
    unreadable_secrets: t.Collection[str] = ()
    service_accounts: t.Mapping[str, Object] | None = None
    platforms: t.Mapping[str, str] | None = None
    connection: t.Mapping[str, str] = field(default_factory=dict)

    def in_registry(self, failure: PullFailure) -> Reference | None:
        """The image, if it is in the registry of the task."""
        reference = reference_of(failure)
        return reference if reference and reference.registry == self.registry else None

    def pull_secrets(self, failure: PullFailure) -> list[str]:
        """The pull secrets of the pod; else those that a new pod would get; else the secret that it should name."""
        usual = [self.pull_secret] if self.in_registry(failure) else []
        return list(failure.secrets) or self.of_service_account(failure) or usual

    def of_service_account(self, failure: PullFailure) -> list[str]:
        """The pull secrets that the service account names now. A pod gets them only when it is created."""
        return secret_names((self.service_accounts or {}).get(failure.service_account, {}))

    def entries(self, failure: PullFailure, reference: Reference) -> list[tuple[str, Entry]]:
        """The entries that kubelet tries for the image, in this order, each with the name of its secret."""
        found = []
        for name in self.pull_secrets(failure):
            secret = self.secrets.get(name)
            if secret is None or secret.type not in FIELDS:
                continue
            if secret.problems:
                # kubelet then uses none of the pod's pull secrets.
                return []
            found += [(name, entry) for entry in secret.for_image(reference.name) if entry.is_complete]
        # kubelet sorts the entries of all secrets together.
        return sorted(found, key=lambda each: each[1].key, reverse=True)

    def images(self) -> dict[str, list[Reference]]:
        """The images of the registry that cannot be pulled, by repository."""
        found: dict[str, dict[Reference, None]] = {}
        for reference in map(self.in_registry, self.failures):
            if reference:
                found.setdefault(reference.repository, {})[reference] = None
        return {repository: list(images) for repository, images in found.items()}

    def accounts(self) -> list[tuple[str, str, Entry]]:
        """The credentials that kubelet uses, without duplicates: repository, name of the secret, entry."""
        found: dict[tuple[str, str, Entry], None] = {}
        for failure in self.failures:
            reference = self.in_registry(failure)
            if reference:
                entries = self.entries(failure, reference)
                anonymous = [] if failure.secrets and entries else [ANONYMOUS]
                found.update(dict.fromkeys((reference.repository, *each) for each in [*entries, *anonymous]))
        return list(found)


@dataclass(frozen=True)
class ImageFacts:
    """The image of one reference in the registry. *created* may be empty, and *size* is 0 for an index."""

    exists: bool
    digest: str = ""
    platforms: tuple[str, ...] = ()
    is_index: bool = False
    created: str = ""
    size: int = 0


@dataclass(frozen=True)
class Answer:
    """The answer of the registry about the images of one repository, for one user.

    *secret* is the pull secret with the credentials of the user, empty for a request without credentials. *error* is
    the class of the error, empty if the user may read. *images* and *tags* are the results of the reads. *tags* is None
    if the repository does not exist, which is certain only if *listed* is true.
    """

    repository: str
    secret: str = ""
    error: str = ""
    message: str = ""
    images: t.Mapping[str, ImageFacts] = field(default_factory=dict)
    tags: t.Sequence[str] | None = None
    listed: bool = False


@dataclass(frozen=True)
class RegistryState:
    """The answers of the registry to the *operator* and to the users of the *pods*.

    *candidates* are images to suggest instead of one that does not exist. *catalog* lists all repositories.
    """

    operator: t.Sequence[Answer] = ()
    pods: t.Sequence[Answer] = ()
    candidates: t.Mapping[str, ImageFacts] = field(default_factory=dict)
    catalog: t.Sequence[str] = ()

    def of_pod(self, reference: Reference, secrets: t.Collection[str]) -> list[Answer]:
        """The answers to the credentials of these secrets. The empty name stands for a request without credentials."""
        return [each for each in self.pods if each.repository == reference.repository and each.secret in secrets]

    def image(self, reference: Reference, answers: t.Iterable[Answer]) -> ImageFacts | None:
        """The image, from the operator's answer or one of these; None if it is not known."""
        for answer in [*self._of_operator(reference), *answers]:
            if str(reference) in answer.images:
                return answer.images[str(reference)]
        return None

    def tags(self, reference: Reference, answers: t.Iterable[Answer]) -> list[str] | None:
        """The tags of the repository; None if it does not exist, or if that is not known."""
        for answer in [*self._of_operator(reference), *answers]:
            if answer.listed:
                return None if answer.tags is None else list(answer.tags)
        return None

    def nearest_tags(self, reference: Reference, answers: t.Iterable[Answer]) -> list[Reference]:
        """The most similar tags, sorted by build time, the newest first."""
        tags = [tag for tag in self.tags(reference, answers) or () if not tag.startswith("sha256-")]
        nearest = [reference.tagged(tag) for tag in _nearest(reference.tag or "latest", tags)]
        return sorted(nearest, key=lambda each: self.candidate(each).created, reverse=True)

    def nearest_repositories(self, reference: Reference, answers: t.Sequence[Answer]) -> list[Reference]:
        """The same tag in the most similar repositories; empty if the repository exists."""
        if self.tags(reference, answers) is not None:
            return []
        return [replace(reference, repository=name) for name in _nearest(reference.repository, self.catalog)]

    def candidate(self, reference: Reference) -> ImageFacts:
        """A suggested image."""
        return self.candidates.get(str(reference)) or ImageFacts(exists=False)

    def wanted_candidates(self, cluster: ClusterState) -> list[Reference]:
        """The images to suggest instead of those that do not exist."""
        found: dict[Reference, None] = {}
        for failure in cluster.failures:
            reference = cluster.in_registry(failure)
            if reference:
                answers = self.of_pod(reference, [*cluster.pull_secrets(failure), ""])
                image = self.image(reference, answers)
                if image and not image.exists:
                    near = [*self.nearest_tags(reference, answers), *self.nearest_repositories(reference, answers)]
                    found.update(dict.fromkeys(near))
        return list(found)

    def _of_operator(self, reference: Reference) -> list[Answer]:
        return [each for each in self.operator if each.repository == reference.repository]


def reference_of(failure: PullFailure) -> Reference | None:
    """The image as a reference; None if it is malformed."""
    try:
        return Reference.parse(failure.image, registry="docker.io")
    except InvalidReferenceError:
        return None


def _nearest(name: str, names: t.Sequence[str]) -> list[str]:
    """The names that are most similar to *name*, the nearest first."""
    return difflib.get_close_matches(name, names, n=_CANDIDATES, cutoff=0.0)
