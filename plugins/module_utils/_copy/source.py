# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the source of a copy holds: the digest, the platforms, and everything that is attached.

Private to killinit.zot: it may change at any time.

An image that the destination already has is read from the search extension of Zot, which answers for many images in
one request and counts no pull. What is copied is read from the registry itself: the extension has a database of its
own, which can differ from the registry after a crash.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._copy.request import CopyRequest
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import INDEX_TYPES, Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import (
    Referrer,
    all_referrers,
    referrers,
    tagged_referrers,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import (
    SearchedImage,
    search_images,
    search_referrers,
)

# How deep the search extension is asked for what is attached to attachments. Deeper ones are read from the registry.
_LEVELS = 4

Attached = dict[Reference, list[Referrer]]


@dataclass(frozen=True)
class Contents:
    """An image at the source, by digest. *members* are the digests of the manifests of an index."""

    source: Reference
    platforms: t.Sequence[str]
    members: t.Sequence[str]
    referrers: t.Sequence[Referrer]

    @property
    def digest(self) -> str:
        """The digest of the manifest or index."""
        return str(self.source.digest)

    def carries(self, kind: str) -> bool:
        """Whether something of that kind is attached to the image itself, or to each of its members."""
        subjects = {each.subject for each in self.referrers if kind in each.kinds}
        return self.digest in subjects or (bool(self.members) and subjects.issuperset(self.members))


class Source:
    """Reads the images of *requests*. Every method raises ZotError."""

    def __init__(self, reader: Reader, *, attached: bool) -> None:
        """With *attached* it also reads what is attached to them."""
        self._reader = reader
        self._attached = attached
        self._tags: dict[str, frozenset[str]] = {}

    def read_tags(self, repository: str) -> None:
        """Read all tags of a repository, since a tag can attach a signature. Must precede the other methods."""
        self._tags[repository] = (
            frozenset(self._reader.http().tags(repository) or ()) if self._attached else frozenset()
        )

    def search(self, held: t.Mapping[CopyRequest, str | None]) -> dict[CopyRequest, Contents]:
        """The images of which the search extension says that the destination *held* the same digest under the tag."""
        asked = [request for request, digest in held.items() if request.tag and digest]
        found = search_images(self._reader.http(), [request.source for request in asked])
        same = [each for each in asked if each.source in found and found[each.source].digest == held[each]]
        known: Attached = {}
        for request in same:
            image = found[request.source]
            known.update({request.source.pinned(each): [] for each in (image.digest, *image.members)})
            for referrer in image.referrers:
                known[request.source.pinned(referrer.subject)].append(referrer)
        if self._attached:
            self._search_deeper(known)
        return {request: self._searched(request, found[request.source], known) for request in same}

    def _search_deeper(self, known: Attached) -> None:
        """Add what is attached to the referrers that are *known*."""
        level = dict(known)
        for _level in range(_LEVELS):
            following = [subject.pinned(each.digest) for subject, listed in level.items() for each in listed]
            level = search_referrers(self._reader.http(), [each for each in following if each not in known])
            known.update(level)

    def _searched(self, request: CopyRequest, image: SearchedImage, known: Attached) -> Contents:
        pinned = request.source.pinned(image.digest)
        platforms = [platform for platform in image.members.values() if platform]
        members = [member for member in image.members if member != image.digest]
        return Contents(pinned, platforms, members, self._referrers(pinned, members, known))

    def read(self, request: CopyRequest) -> Contents:
        """The image by the registry itself."""
        source = request.source
        manifest = self._reader.manifest(source)
        if manifest is None:
            raise ZotError(
                "not_found",
                f"cannot copy {source}: it does not exist",
                hint=f"{self._reader.nearest_tags(source)} Nothing was written.",
            )
        pinned = source.pinned(manifest.digest)
        members = self._members(pinned, manifest)
        platforms = self._reader.platforms(pinned, manifest)
        return Contents(pinned, platforms, members, self._referrers(pinned, members, {}))

    def _members(self, index: Reference, manifest: Manifest) -> list[str]:
        """The digests of the members of an index, and of those of an index in it."""
        found: list[str] = []
        with self._reader.valid_response(index):
            entries = [
                (index.pinned(each.digest), fields.get("mediaType"))
                for each, fields in zip(manifest.entries, manifest.document.get("manifests") or ())
            ]
        for pinned, media_type in entries:
            found.append(str(pinned.digest))
            inner = self._reader.manifest(pinned) if media_type in INDEX_TYPES else None
            found += self._members(pinned, inner) if inner else []
        return list(dict.fromkeys(found))

    def _referrers(self, image: Reference, members: t.Iterable[str], known: Attached) -> list[Referrer]:
        if not self._attached:
            return []
        tags = self._tags[image.repository]

        def attached(digests: t.Sequence[str]) -> t.Iterator[Referrer]:
            for subject in map(image.pinned, digests):
                if subject in known:
                    yield from known[subject]
                    yield from tagged_referrers(self._reader, subject, tags)
                else:
                    yield from referrers(self._reader, subject, tags)

        return all_referrers([str(image.digest), *members], attached)
