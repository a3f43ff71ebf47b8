# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images to copy: the options name them, and the source has their digests, platforms and attachments.

Private to killinit.zot: it may change at any time.

Unchanged images are found with the search extension of Zot, which returns many images in one request and does not
count them as pulls. Images to copy are read from the registry itself: the extension has its own database, which can
differ from the registry after a crash, and it does not list signatures.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import INDEX_TYPES, Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import attachment_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, not_whole
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import (
    Referrer,
    all_referrers,
    referrers,
    tagged_referrers,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import SearchedImage, search_images
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    optional_text,
    overwrite_option,
    text_option,
    texts_option,
)


@dataclass(frozen=True)
class CopyRequest:
    """One image: its *source* by tag or digest, the *tag* of the same name at the destination, and the shared tags.

    *repository* is any reference to the destination repository. *overwrite* is the value of the option.
    """

    source: Reference
    repository: Reference
    tag: Reference | None
    shared_tags: tuple[Reference, ...]
    overwrite: t.Any = field(compare=False)
    keep_previous: str | None

    @property
    def references(self) -> tuple[Reference, ...]:
        """All tags that the task writes at the destination, the shared tags last."""
        return tuple(dict.fromkeys([*([self.tag] if self.tag else []), *self.shared_tags]))

    def may_move(self, reference: Reference) -> bool:
        """Whether a tag of the destination may move to another image."""
        return reference in self.shared_tags or reference in overwrite_option(self.overwrite, [reference])


def copy_requests(source: Registry, destination: Registry, params: t.Mapping[str, t.Any]) -> list[CopyRequest]:
    """The images of one item of the options. Raises ZotError for an invalid option."""
    repository = text_option("repository", params["repository"])
    source_repository = optional_text("source_repository", params["source_repository"]) or repository
    keep_previous = optional_text("keep_previous", params["keep_previous"])
    tags, digests, shared = (
        texts_option(name, [] if params[name] is None else params[name]) for name in ("tags", "digests", "shared_tags")
    )
    if not tags and not digests:
        raise ZotError("invalid_option", f"tags and digests are empty for {repository}: list at least one")
    for digest in digests:
        if not is_digest(digest):
            raise ZotError("invalid_option", f"{digest!r} in digests of {repository} is not a digest")
    if shared and len({*tags, *digests}) > 1:
        raise ZotError(
            "invalid_option", f"shared_tags of {repository} needs exactly one image, not {', '.join(tags + digests)}"
        )
    shared_tags = destination.references(repository, shared)
    references = destination.references(repository, tags)
    whole = destination.reference(repository, "latest")
    origin = source.reference(source_repository, "latest")
    if whole.name == origin.name:
        raise ZotError(
            "invalid_option",
            f"{whole.name} is both the source and the destination",
            hint="Give another source_repository or source_registry. To add a tag to an image, use"
            " killinit.zot.zot_tag.",
        )
    overwrite = params["overwrite"]
    overwrite_option(overwrite, references)  # raises now if it is not valid
    found: list[tuple[Reference, Reference | None]] = [(origin.tagged(each.tag or ""), each) for each in references]
    found += [(origin.pinned(each), None) for each in dict.fromkeys(digests)]
    return [CopyRequest(read, whole, tag, shared_tags, overwrite, keep_previous) for read, tag in found]


@dataclass(frozen=True)
class Contents:
    """An image at the source, by digest. *members* are the digests of the manifests of an index.

    *images* are the members with a platform: buildx also lists attestations as members.
    """

    source: Reference
    platforms: t.Sequence[str]
    members: t.Sequence[str]
    images: t.Sequence[str]
    referrers: t.Sequence[Referrer]

    @property
    def digest(self) -> str:
        """The digest of the manifest or index."""
        return str(self.source.digest)

    def carries(self, kind: str) -> bool:
        """Whether the image itself, or the image of each of its platforms, has an attachment of this kind."""
        subjects = {each.subject for each in self.referrers if kind in each.kinds}
        images = self.images or self.members
        return self.digest in subjects or (bool(images) and subjects.issuperset(images))


class Source:
    """Reads the images of requests. Every method raises ZotError."""

    def __init__(self, reader: Registry, *, attached: bool) -> None:
        """With *attached* the attachments of the images are read, too."""
        self._reader = reader
        self._attached = attached
        self._tags: dict[str, frozenset[str]] = {}

    def search(
        self, requests: t.Iterable[CopyRequest], at_destination: t.Mapping[Reference, SearchedImage]
    ) -> dict[CopyRequest, Contents]:
        """Return the images whose tag has the same digest in both registries."""
        candidates = [request for request in requests if request.tag in at_destination]
        repositories = {request.source.repository for request in candidates if self._attached}
        sources = [request.source for request in candidates]
        found, tags = search_images(self._reader.http(), sources, sorted(repositories))
        self._tags.update({name: frozenset(listed) for name, listed in tags.items()})
        same = [
            request
            for request in candidates
            if request.source in found
            and request.tag
            and found[request.source].digest == at_destination[request.tag].digest
            and (not self._attached or request.source.repository in tags)
        ]
        return {request: self._searched(request, found[request.source]) for request in same}

    def _searched(self, request: CopyRequest, image: SearchedImage) -> Contents:
        pinned = request.source.pinned(image.digest)
        platforms = [platform for platform in image.members.values() if platform]
        members = [member for member in image.members if member != image.digest]
        subjects = [image.digest, *members] if self._attached else []
        found = [each for subject in subjects for each in self._searched_referrers(pinned.pinned(subject), image)]
        images = [member for member in members if image.members[member]]
        distinct = list({(each.digest, each.tag): each for each in found}.values())
        return Contents(pinned, platforms, members, images, distinct)

    def _searched_referrers(self, subject: Reference, image: SearchedImage) -> list[Referrer]:
        digest, tags = str(subject.digest), self._tags[subject.repository]
        if digest not in image.signed:
            listed = [each for each in image.referrers if each.subject == digest]
            return [*listed, *tagged_referrers(self._reader, subject, tags)]
        listed = referrers(self._reader, subject, tags)
        if image.signed[digest] > sum(each.is_signature_of_zot for each in listed):
            listed += tagged_referrers(self._reader, subject, [attachment_tag(digest, "sig")])
        return listed

    def read_tags(self, image: Reference) -> None:
        """Read all tags of a repository, because a tag can attach a signature. Must be called before read()."""
        self._tags[image.repository] = frozenset(self._reader.tags(image) or ()) if self._attached else frozenset()

    def read(self, request: CopyRequest) -> Contents:
        """Read an image from the registry itself."""
        source = request.source
        manifest = self._reader.manifest(source)
        if manifest is None:
            raise ZotError(
                "not_found",
                f"cannot copy {source}: it does not exist",
                hint="Check the digest. The garbage collection of the registry deletes an image that has no tag."
                if source.digest
                else self._reader.nearest_tags(source),
            )
        pinned = source.pinned(manifest.digest)
        members = self._members(pinned, manifest)
        platforms = self._reader.platforms(pinned, manifest)
        with self._reader.valid_response(source):
            images = [entry.digest for entry in manifest.entries if entry.platform]
        return Contents(pinned, platforms, members, images, self._referrers(pinned, members))

    def require_members(self, contents: Contents, members: t.Iterable[str]) -> None:
        """Raise ZotError unless these members of an index exist."""
        lost = [each for each in members if self._reader.digest(contents.source.pinned(each)) is None]
        if lost:
            platforms = dict(zip(contents.images, contents.platforms))
            raise not_whole(contents.source, [(platforms.get(each), each) for each in lost])

    def _members(self, index: Reference, manifest: Manifest) -> list[str]:
        """The digests of the members of an index, including those of nested indexes."""
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

    def _referrers(self, image: Reference, members: t.Iterable[str]) -> list[Referrer]:
        if not self._attached:
            return []
        tags = self._tags[image.repository]
        return all_referrers(
            [str(image.digest), *members],
            lambda digests: [
                each for digest in digests for each in referrers(self._reader, image.pinned(digest), tags)
            ],
        )
