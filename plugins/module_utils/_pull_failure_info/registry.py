# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query a registry for images that cannot be pulled, with the credentials of the pods and of the operator.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t
from dataclasses import replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import Entry
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.state import (
    Answer,
    ClusterState,
    ImageFacts,
    RegistryState,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Task

T = t.TypeVar("T")

# The timeout of one request in seconds. A registry that does not answer is also a result.
_TIMEOUT = 10
_PARALLEL = 4


def ask_registry(task: Task, options: Options, cluster: ClusterState) -> RegistryState:
    """Query every image of the registry that the cluster cannot pull.

    Raises ZotError for an invalid option. Every other error is an answer.
    """
    images = cluster.images()
    if not images:
        return RegistryState()
    probe = _Probe(task, replace(options, timeout=min(options.timeout, _TIMEOUT), retries=0))
    try:
        reader = probe.operator()
        with thread_pool(_PARALLEL) as pool:
            operator = list(pool.map(lambda each: probe.describe(reader, *each), images.items()))
            # If the operator can read the images, one request shows whether a user of a pod may read the repository.
            known = {answer.repository: _one_of(images[answer.repository], answer) for answer in operator}

            def query_as_pod(account: tuple[str, str, Entry]) -> Answer:
                repository, secret, entry = account
                return probe.query_as_pod(secret, entry, images[repository], known[repository])

            pods = list(pool.map(query_as_pod, cluster.accounts()))
            state = RegistryState(operator, pods)
            if any(answer.listed and answer.tags is None for answer in [*operator, *pods]):
                state = replace(state, catalog=probe.catalog(reader))
            near = state.wanted_candidates(cluster)
            candidates = dict(zip(map(str, near), pool.map(lambda each: probe.candidate(reader, each), near)))
            return replace(state, candidates={name: facts for name, facts in candidates.items() if facts})
    except ZotError as error:
        if error.error_class == "invalid_option":
            raise
        return RegistryState([Answer(each, "", error.error_class, str(error)) for each in images])


class _Probe:
    """Sends short requests to the registry, and no more after one of them has timed out."""

    def __init__(self, task: Task, options: Options) -> None:
        self._task, self._options = task, options
        self._timed_out: ZotError | None = None
        self._lock = threading.Lock()

    def operator(self) -> Registry:
        """A reader with the credentials of the operator."""
        return Registry(self._task.session(self._options))

    def describe(self, reader: Registry, repository: str, images: t.Sequence[Reference], secret: str = "") -> Answer:
        """Read images, and the tags of the repository if an image does not exist."""
        try:
            facts = {str(each): self._call(describe_image, reader, each) for each in images}
            if all(each.exists for each in facts.values()):
                return Answer(repository, secret, images=facts)
            return Answer(repository, secret, images=facts, tags=self._call(reader.tags, images[0]), listed=True)
        except ZotError as error:
            if error.error_class == "invalid_option":
                raise
            # Without the tags it is not known whether the image or the whole repository is missing.
            return Answer(repository, secret, error.error_class, str(error))

    def query_as_pod(self, secret: str, entry: Entry, images: t.Sequence[Reference], known: Reference | None) -> Answer:
        """Query the *known* image with the credentials of a pod, or all images if none is known."""
        repository = images[0].repository
        username, password = entry.username or None, entry.password or None
        options = replace(self._options, username=username, password=password, authfile=None, ambient=False)
        try:
            reader = Registry(self._task.session(options))
            if known is None:
                return self.describe(reader, repository, images, secret)
            self._call(reader.digest, known)
            return Answer(repository, secret)
        except ZotError as error:
            return Answer(repository, secret, error.error_class, str(error))

    def catalog(self, reader: Registry) -> list[str]:
        """All repositories that the operator may read; empty if they cannot be listed."""
        try:
            return self._call(reader.catalog)
        except ZotError:
            return []

    def candidate(self, reader: Registry, reference: Reference) -> ImageFacts | None:
        """A suggested image; None if it cannot be read."""
        try:
            return self._call(describe_image, reader, reference, created=True)
        except ZotError:
            return None

    def _call(self, method: t.Callable[..., T], *arguments: t.Any, **options: t.Any) -> T:
        with self._lock:
            if self._timed_out:
                raise self._timed_out
        began = time.monotonic()
        try:
            return method(*arguments, **options)
        except ZotError as error:
            if error.error_class == "unavailable" and time.monotonic() - began >= self._options.timeout:
                with self._lock:
                    self._timed_out = error
            raise


def _one_of(images: t.Sequence[Reference], answer: Answer) -> Reference | None:
    """An image that exists, if there is one; None if the answer is an error."""
    exists = [each for each in images if not answer.error and answer.images[str(each)].exists]
    return next(iter(exists), None if answer.error else images[0])


def describe_image(reader: Registry, reference: Reference, *, created: bool = False) -> ImageFacts:
    """Read the image of a reference. With *created*, the build time is also read for an index. Raises ZotError."""
    image = reader.image(reference)
    manifest, config = image.manifest, image.config
    if manifest is None:
        return ImageFacts(exists=False)
    if created and manifest.is_index:
        # The platforms of an index are usually built together, so the build time of one is enough.
        with reader.valid_response(reference):
            pinned = [reference.pinned(entry.digest) for entry in manifest.entries if entry.platform]
        config = reader.image(pinned[0]).config if pinned else None
    return ImageFacts(
        exists=True,
        digest=manifest.digest,
        platforms=tuple(image.platforms),
        is_index=manifest.is_index,
        created=str((config or {}).get("created") or ""),
        size=manifest.size,
    )
