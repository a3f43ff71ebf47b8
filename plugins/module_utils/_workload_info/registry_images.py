# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images in the registry that workloads name and pods report.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    ImageUse,
    Object,
    digest_of,
    image_uses,
    reference_to,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import lost_members
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool

_PARALLEL = 8


class RegistryImages:
    """The images of one registry, by reference and by digest. *assumed* are references that a dry run would move."""

    def __init__(
        self, registry: Registry, assumed: t.Iterable[Reference] = (), moved: t.Mapping[Reference, str] | None = None
    ) -> None:
        """*moved* are the digests of tags that a dry run would move."""
        self.name = registry.name
        self.assumed = frozenset(assumed)
        self._moved = moved or {}
        self._registry = registry
        self._digests: dict[Reference, str | None] = {}
        self._whole: dict[Reference, Image] = {}
        self._by_digest: dict[str, Image] = {}

    def read(self, references: t.Iterable[Reference]) -> None:
        """Read the digests of references that have not been read yet. Raises ZotError.

        This is faster than reading whole images, and the registry does not count it as a pull.
        """
        new = [each for each in dict.fromkeys(references) if each not in self._digests]
        if new:
            with thread_pool(_PARALLEL) as pool:
                self._digests.update(zip(new, pool.map(self._registry.digest, map(self._now, new))))

    def read_whole(self, references: t.Iterable[Reference]) -> bool:
        """Read the manifests and configurations of references. False if all have been read before. Raises ZotError."""
        new = [each for each in dict.fromkeys(references) if each not in self._whole]
        if new:
            with thread_pool(_PARALLEL) as pool:
                images = dict(zip(new, pool.map(self._registry.with_children, map(self._now, new))))
            self._whole.update(images)
            self._digests.update((reference, image.digest) for reference, image in images.items())
            self._by_digest.update((image.digest, image) for image in images.values() if image.digest)
        return bool(new)

    def incomplete(self, reference: Reference | None) -> str | None:
        """Why no new pod can use an image that was read whole on some platform: the member that its index has lost."""
        image = self._whole.get(reference) if reference else None
        error = lost_members(image) if image else None
        return error.message if error else None

    def _now(self, reference: Reference) -> Reference:
        digest = self._moved.get(reference)
        return reference.pinned(digest) if digest else reference

    def held(self, use: ImageUse) -> Reference | None:
        """The reference of an image of this registry, by its name; None for another image."""
        reference = use.reference()
        return reference if reference and reference.registry == self.name else None

    def holds(self, use: ImageUse) -> bool:
        """Whether the image is in this registry, by its name."""
        return self.held(use) is not None

    def is_used_by(self, workload: Object) -> bool:
        """Whether the template of the workload names an image of this registry."""
        return any(map(self.holds, image_uses(template_of(workload)["spec"])))

    @property
    def references(self) -> t.Collection[Reference]:
        """All references that were read."""
        return self._digests.keys()

    def exists(self, reference: Reference | None) -> bool:
        """Whether a reference that was read exists."""
        return bool(reference and self._digests.get(reference))

    def is_published(self, reference: Reference) -> bool:
        """Whether a reference exists, or will exist when a dry run is repeated without check mode."""
        return self.exists(reference) or reference in self.assumed

    def digest(self, reference: Reference | None) -> str | None:
        """The digest of a reference; None if it does not exist, or if a dry run would move it."""
        return None if reference is None or reference in self.assumed else self._digests.get(reference)

    def matches(self, running: str, reference: Reference | None) -> bool:
        """Whether the image that a pod reports as *running* is that of *reference*.

        A runtime may report the digest of the index, of the manifest of a platform, or of a configuration. It stores
        images by their configuration, so it may also report another image with the same configuration.
        """
        digest, own = digest_of(running), self._digests.get(reference) or "" if reference else ""
        image = self._by_digest.get(own)
        entries = image.manifest.entries if image and image.manifest else ()
        expected = self._configurations(own)
        if digest in (own, *(entry.digest for entry in entries), *expected.values()):
            return True
        other = self._configurations(digest)
        # The platform of the node is not known here, so the configurations of all common platforms must be equal.
        shared = expected.keys() & other.keys()
        return bool(shared) and all(expected[platform] == other[platform] for platform in shared)

    def can_resolve(self, running: str) -> bool:
        """Whether the registry has the image that a pod reports as *running*."""
        return bool(self._configurations(digest_of(running)))

    def behind(self, reported: t.Iterable[str]) -> list[Reference]:
        """The references in this registry of the images that pods report."""
        found = []
        for text in reported:
            digest = digest_of(text)
            found += [reference for reference, known in self._digests.items() if known == digest]
            reference = reference_to(text)
            if reference and reference.registry == self.name and reference.digest:
                found.append(reference)
        return found

    def _configurations(self, digest: str) -> dict[str, str]:
        """The digest of the configuration for each platform of an image that was read whole."""
        image = self._by_digest.get(digest)
        if image is None or image.manifest is None:
            return {}
        if not image.manifest.is_index:
            return dict.fromkeys(image.platforms, image.manifest.config_digest)
        children = {child.digest: child.config_digest for child in image.children}
        entries = [(str(each.platform), children.get(each.digest)) for each in image.manifest.entries if each.platform]
        return {platform: config for platform, config in entries if config}
