# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers of a registry about images that cannot be pulled, to the users of the pods and to the operator.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import difflib
import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import SecretEntry
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_attachment, is_upload
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.cluster import FailingPods
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Task

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
