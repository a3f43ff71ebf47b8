# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images in the registry that workloads name and pods report.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Object
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pods import digest_of
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import (
    ImageUse,
    image_uses,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._image_info import read_images
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool

_PARALLEL = 8


def reference_of(use: ImageUse) -> str | None:
    """The reference to read from the registry for an image: by its tag if it has one, else by its digest."""
    reference = use.reference()
    if reference is None:
        return None
    return str(reference.tagged(reference.tag) if reference.tag else reference)


def pinned_of(use: ImageUse) -> str | None:
    """The reference by digest of a pinned image, which is what a runtime pulls; None for an image without a digest."""
    reference = use.reference()
    return str(reference.pinned(reference.digest)) if reference and reference.digest else None


class RegistryState:
    """The images of one registry, by reference and by digest. *assumed* are references that a dry run would move."""

    def __init__(self, registry: str, images: t.Iterable[Object] = (), assumed: t.Collection[str] = ()) -> None:
        self.registry = registry
        self.assumed = frozenset(assumed)
        self._references: dict[str, Object] = {}
        self._digests: dict[str, Object] = {}
        self._whole: set[str] = set()
        self.add(images)

    def add(self, images: t.Iterable[Object]) -> None:
        """Add images in the form of the results of zot_image_info."""
        for image in images:
            self._references[image["reference"]] = image
            if image["exists"]:
                self._digests[image["digest"]] = image

    def read(self, reader: Registry, references: t.Iterable[str]) -> None:
        """Read the digests of references that have not been read yet. Raises ZotError.

        This is faster than reading whole images, and the registry does not count it as a pull.
        """
        missing = [text for text in dict.fromkeys(references) if text not in self._references]
        if missing:
            self.add(_read_digests(reader, missing))

    def read_whole(self, reader: Registry, references: t.Iterable[str]) -> bool:
        """Read the manifests and configurations of references. False if all have been read before. Raises ZotError."""
        missing = [text for text in dict.fromkeys(references) if text not in self._whole]
        if missing:
            query = {"images": missing, "repositories": [], "catalog": False, "query": None, "parallel": _PARALLEL}
            self.add(read_images(reader, query)["images"])
            self._whole.update(missing)
        return bool(missing)

    def holds(self, use: ImageUse) -> bool:
        """Whether the image is in this registry, by its name."""
        reference = use.reference()
        return bool(reference and reference.registry == self.registry)

    def is_used_by(self, workload: Object) -> bool:
        """Whether the template of the workload names an image of this registry."""
        return any(map(self.holds, image_uses(template_of(workload)["spec"])))

    @property
    def references(self) -> t.Collection[str]:
        """All references that were read."""
        return self._references.keys()

    def image(self, reference: str | None) -> Object | None:
        """The image of a reference that was read."""
        return self._references.get(reference or "")

    def digest(self, reference: str) -> str | None:
        """The digest of a reference; None if it does not exist, or if a dry run would move it."""
        image = self._references.get(reference)
        return image["digest"] if image and reference not in self.assumed else None

    def matches(self, running: str, image: Object) -> bool:
        """Whether the image that a pod reports as *running* is *image*.

        A runtime may report the digest of the index, of the manifest of a platform, or of a configuration. It stores
        images by their configuration, so it may also report another image with the same configuration.
        """
        digest, expected = digest_of(running), _configurations(image)
        if digest in (image["digest"], *(entry["digest"] for entry in image["manifests"]), *expected.values()):
            return True
        other = self._configurations(digest)
        # The platform of the node is not known here, so the configurations of all common platforms must be equal.
        shared = expected.keys() & other.keys()
        return bool(shared) and all(expected[platform] == other[platform] for platform in shared)

    def can_resolve(self, running: str) -> bool:
        """Whether the registry has the image that a pod reports as *running*."""
        return bool(self._configurations(digest_of(running)))

    def behind(self, reported: t.Iterable[str]) -> list[str]:
        """The references in this registry of the images that pods report."""
        found = []
        for text in reported:
            digest = digest_of(text)
            found += [name for name, image in self._references.items() if image["digest"] == digest]
            try:
                reference = Reference.parse(text)
            except InvalidReferenceError:
                continue
            if reference.registry == self.registry and reference.digest:
                found.append(str(reference))
        return found

    def _configurations(self, digest: str) -> dict[str, str]:
        return _configurations(self._digests[digest]) if digest in self._digests else {}


def _read_digests(reader: Registry, references: t.Sequence[str]) -> list[Object]:
    """Images with only their digest, in the form of the results of zot_image_info."""
    with thread_pool(_PARALLEL) as pool:
        digests = list(pool.map(lambda text: reader.digest(reader.parse(text)), references))
    return [
        {
            "reference": text,
            "exists": bool(digest),
            "digest": digest,
            "platforms": [],
            "manifest": None,
            "manifests": [],
        }
        for text, digest in zip(references, digests)
    ]


def _configurations(image: Object) -> dict[str, str]:
    """The digest of the configuration for each platform."""
    documents = [(entry["platform"], entry["manifest"] or {}) for entry in image["manifests"]]
    documents += [(platform, image["manifest"]) for platform in image["platforms"] if not image["manifests"]]
    return {
        platform: document["config"]["digest"]
        for platform, document in documents
        if platform and document and "config" in document
    }
