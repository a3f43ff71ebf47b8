# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster and a registry say about pods that cannot pull: the facts from which the causes are found.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import difflib
import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Readings
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object, is_name, secret_names
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    PullKey,
    PullSecret,
    SecretEntry,
    held_key,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_attachment, is_upload
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options

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


T = t.TypeVar("T")

# The timeout of one request in seconds. A registry that does not answer is also a result.
_TIMEOUT = 10
_PARALLEL = 4
# The maximum number of suggestions for a mistyped name.
_CANDIDATES = 5


@dataclass(frozen=True)
class RepositoryAnswer:
    """The answer of the registry about the images of one repository, for one user.

    *secret* is the pull secret with the credentials of the user, empty for a request without credentials. Without an
    *error* the user may read. *images* and *tags* are the results of the reads. *tags* is None if the repository does
    not exist, which is certain only if *listed* is true.
    """

    repository: str
    secret: str = ""
    error: ZotError | None = None
    images: t.Mapping[Reference, Image] = field(default_factory=dict)
    tags: t.Sequence[str] | None = None
    listed: bool = False


@dataclass(frozen=True)
class RegistryAnswers:
    """The answers of the registry to the *operator* and to the users of the *pods*.

    *candidates* are images to suggest instead of one that does not exist, the newest first. *catalog* lists all
    repositories.
    """

    operator: t.Sequence[RepositoryAnswer] = ()
    pods: t.Sequence[RepositoryAnswer] = ()
    candidates: t.Mapping[Reference, Image] = field(default_factory=dict)
    catalog: t.Sequence[str] = ()

    def of_pod(self, reference: Reference, secrets: t.Collection[str]) -> list[RepositoryAnswer]:
        """The answers to the credentials of these secrets. The empty name stands for a request without credentials."""
        return [each for each in self.pods if each.repository == reference.repository and each.secret in secrets]

    def image(self, reference: Reference, answers: t.Iterable[RepositoryAnswer]) -> Image | None:
        """The image, from the operator's answer or one of these; None if it is not known."""
        found = (each.images.get(reference) for each in [*self._of_operator(reference), *answers])
        return next(filter(None, found), None)

    def tags(self, reference: Reference, answers: t.Iterable[RepositoryAnswer]) -> list[str] | None:
        """The tags of the repository; None if it does not exist, or if that is not known."""
        listed = [each.tags for each in [*self._of_operator(reference), *answers] if each.listed]
        return list(listed[0]) if listed and listed[0] is not None else None

    def nearest_tags(self, reference: Reference, answers: t.Iterable[RepositoryAnswer]) -> list[Reference]:
        """The most similar tags, the newest image first."""
        tags = [tag for tag in self.tags(reference, answers) or () if not is_attachment(tag) and not is_upload(tag)]
        nearest = [reference.tagged(tag) for tag in _nearest(reference.tag or "latest", tags)]
        known = [each for each in self.candidates if each in nearest]
        return [*known, *(each for each in nearest if each not in known)]

    def nearest_repositories(self, reference: Reference, answers: t.Sequence[RepositoryAnswer]) -> list[Reference]:
        """The same tag in the most similar repositories; empty if the repository exists."""
        if self.tags(reference, answers) is not None:
            return []
        return [replace(reference, repository=name) for name in _nearest(reference.repository, self.catalog)]

    def wanted_candidates(self, pods: FailingPods) -> list[Reference]:
        """The images to suggest instead of those that do not exist."""
        found: dict[Reference, None] = {}
        # Many pods of a workload fail for one image: what is similar to it is expensive to find.
        wanted = dict.fromkeys((pods.in_registry(each), tuple(pods.pull_secrets(each))) for each in pods.failures)
        for reference, secrets in wanted:
            if reference:
                answers = self.of_pod(reference, [*secrets, ""])
                image = self.image(reference, answers)
                if image and not image.manifest:
                    near = [*self.nearest_tags(reference, answers), *self.nearest_repositories(reference, answers)]
                    found.update(dict.fromkeys(near))
        return list(found)

    def _of_operator(self, reference: Reference) -> list[RepositoryAnswer]:
        return [each for each in self.operator if each.repository == reference.repository]


def query_registry(task: Task, options: Options, failing: FailingPods) -> RegistryAnswers:
    """Query every image of the registry that the pods cannot pull.

    Raises ZotError for an invalid option. Every other error is an answer.
    """
    images = failing.images()
    if not images:
        return RegistryAnswers()
    requests = _Requests(task, replace(options, timeout=min(options.timeout, _TIMEOUT), retries=0))
    try:
        registry = Registry(task.session(requests.options))
        with thread_pool(_PARALLEL) as pool:
            operator = list(pool.map(lambda each: requests.describe(registry, *each), images.items()))
            # If the operator can read the images, one request shows whether a user of a pod may read the repository.
            known = {answer.repository: _one_of(images[answer.repository], answer) for answer in operator}

            def query_as_pod(user: tuple[str, str, SecretEntry]) -> RepositoryAnswer:
                repository, secret, entry = user
                return requests.query_as_pod(secret, entry, images[repository], known[repository])

            answers = RegistryAnswers(operator, list(pool.map(query_as_pod, failing.users())))
            if any(each.listed and each.tags is None for each in [*operator, *answers.pods]):
                answers = replace(answers, catalog=requests.catalog(registry))
            found = pool.map(lambda each: requests.candidate(registry, each), answers.wanted_candidates(failing))
            newest = sorted(filter(None, found), key=lambda each: each[0], reverse=True)
            return replace(answers, candidates={image.reference: image for _created, image in newest})
    except ZotError as error:
        if error.error_class == "invalid_option":
            raise
        return RegistryAnswers([RepositoryAnswer(each, error=error) for each in images])


class _Requests:
    """Sends short requests to the registry, and no more after one of them has timed out."""

    def __init__(self, task: Task, options: Options) -> None:
        self.options = options
        self._task = task
        self._timed_out: ZotError | None = None

    def describe(
        self, registry: Registry, repository: str, images: t.Sequence[Reference], secret: str = ""
    ) -> RepositoryAnswer:
        """Read images, and the tags of the repository if an image does not exist."""
        try:
            found = {each: self._call(registry.image, each) for each in images}
            if all(each.manifest for each in found.values()):
                return RepositoryAnswer(repository, secret, images=found)
            return RepositoryAnswer(
                repository, secret, images=found, tags=self._call(registry.tags, images[0]), listed=True
            )
        except ZotError as error:
            if error.error_class == "invalid_option":
                raise
            # Without the tags it is not known whether the image or the whole repository is missing.
            return RepositoryAnswer(repository, secret, error)

    def query_as_pod(
        self, secret: str, entry: SecretEntry, images: t.Sequence[Reference], known: Reference | None
    ) -> RepositoryAnswer:
        """Query the *known* image with the credentials of a pod, or all images if none is known."""
        repository = images[0].repository
        username, password = entry.username or None, entry.password or None
        options = replace(self.options, username=username, password=password, authfile=None, ambient=False)
        try:
            registry = Registry(self._task.session(options))
            if known is None:
                return self.describe(registry, repository, images, secret)
            self._call(registry.digest, known)
            return RepositoryAnswer(repository, secret)
        except ZotError as error:
            return RepositoryAnswer(repository, secret, error)

    def catalog(self, registry: Registry) -> list[str]:
        """All repositories that the operator may read; empty if they cannot be listed."""
        try:
            return self._call(registry.catalog)
        except ZotError:
            return []

    def candidate(self, registry: Registry, reference: Reference) -> tuple[str, Image] | None:
        """The build time of a suggested image, and the image; None if it cannot be read."""
        try:
            return self._call(_with_build_time, registry, reference)
        except ZotError:
            return None

    def _call(self, method: t.Callable[..., T], *arguments: t.Any) -> T:
        if self._timed_out:
            raise self._timed_out
        began = time.monotonic()
        try:
            return method(*arguments)
        except ZotError as error:
            if error.error_class == "unavailable" and time.monotonic() - began >= self.options.timeout:
                self._timed_out = error
            raise


def _one_of(images: t.Sequence[Reference], answer: RepositoryAnswer) -> Reference | None:
    """An image that exists, if there is one; None if the answer is an error."""
    exists = [each for each in images if not answer.error and answer.images[each].manifest]
    return next(iter(exists), None if answer.error else images[0])


def _with_build_time(registry: Registry, reference: Reference) -> tuple[str, Image]:
    """The build time of an image, and the image. Raises ZotError."""
    image = registry.image(reference)
    config = image.config
    if image.manifest and image.manifest.is_index:
        # The platforms of an index are usually built together, so the build time of one is enough.
        with registry.valid_response(reference):
            pinned = [reference.pinned(entry.digest) for entry in image.manifest.entries if entry.platform]
        config = registry.image(pinned[0]).config if pinned else None
    return str((config or {}).get("created") or ""), image


def _nearest(name: str, names: t.Sequence[str]) -> list[str]:
    """The names that are most similar to *name*, the nearest first."""
    return difflib.get_close_matches(name, names, n=_CANDIDATES, cutoff=0.0)
