# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the registry has of a revision: its images, and the images that its tags hold.

Private to killinit.zot: it may change at any time.

Only an index that is whole counts as published: an index that has lost a member may be replaced, and is repaired by
publishing the same archives.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._index import index_entries, is_index_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Platform, origin_text
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._publish.request import PublishRequest
from ansible_collections.killinit.zot.plugins.module_utils._push.request import (
    ArchivedImage,
    OpenedArchive,
    upload_reference,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import UNWRITTEN, Outcome
from ansible_collections.killinit.zot.plugins.module_utils._tag.write import OVERWRITE_HINT, REPLACE_HINT, occupied


@dataclass
class ArchivePart:
    """An image of an archive, with its own tag: that of its architecture, or of the revision if there is no index.

    *before* is what the tag holds. *found* is the image in the registry, also if it has another digest there than after
    another push. *settled* is whether the tag needs no move. *lost* is whether the index of the revision lists an image
    for this platform that the registry does not have.
    """

    archive: OpenedArchive
    image: ArchivedImage
    tag: Reference
    before: Image
    found: Image | None = None
    settled: bool = False
    lost: bool = False

    @property
    def upload(self) -> Reference:
        """The tag that holds the image until its own tag may move to it."""
        return upload_reference(self.image.identity, self.tag)

    @property
    def planned(self) -> Image:
        """The image that the tag gets, without a digest if the registry does not have it yet."""
        return self.found or Image(self.tag, None, self.image.archive.config)

    @property
    def described(self) -> str:
        """The image as text. Its digest in the registry is not known before the push."""
        return f"the image of {self.image.archive.path}{origin_text(self.image.archive.config)}"


@dataclass
class Publication:
    """One image of the revision. *revision* and *shared* are what these tags hold.

    *indexed* is whether the revision is an index of the parts, and *index* that index, with its members, once the
    registry has it. *broken* is the digest of the revision if that is an index that is not whole, and *unusable* the
    same if the index has lost something that is not an image of the parts, so that the parts cannot repair it.
    """

    request: PublishRequest
    outcome: Outcome
    parts: list[ArchivePart] = field(default_factory=list)
    indexed: bool = True
    revision: Image = field(init=False)
    broken: str | None = None
    unusable: str | None = None
    index: Image | None = None
    shared: list[Image] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.revision = Image(self.request.revision)

    @property
    def members(self) -> list[Image]:
        """The images of the parts that the registry has."""
        return [part.found for part in self.parts if part.found]

    @property
    def entries(self) -> list[tuple[Platform, str]]:
        """What the index lists. Raises ZotError for images that cannot be in one index."""
        return index_entries(self.members)

    @property
    def published(self) -> Image | None:
        """The image that the tags get: the index, or the only image. None if the registry does not have it yet."""
        return self.index if self.indexed else self.parts[0].found

    @property
    def planned(self) -> Image:
        """The image that the tags get, without a digest if it is not known yet."""
        if self.published:
            return self.published
        if not self.indexed:
            return self.parts[0].planned
        platforms = sorted(part.image.platform.normalized for part in self.parts if part.image.platform)
        return Image(self.request.revision, planned=tuple(platforms))

    @property
    def upload(self) -> Reference:
        """The tag that holds the index until the tag of the revision may move to it."""
        return upload_reference(self.entries, self.request.revision)

    @property
    def is_done(self) -> bool:
        """Whether no tag of the image needs a move."""
        images = (self.revision, *self.shared)
        return all(part.settled for part in self.parts) and all(map(self.is_published, images))

    def is_published(self, image: Image) -> bool:
        """Whether a tag that holds *image* needs no move."""
        if not self.indexed:
            return self.parts[0].image.held_by(image)
        return (
            len(self.members) == len(self.parts)
            and image.digest != (self.unusable or UNWRITTEN)
            and is_index_of(image.manifest, self.entries)
        )

    def keeper_of(self, image: Image) -> str | None:
        """The option keep_previous for a tag that holds *image*. An index that is not whole is not kept."""
        return None if image.digest and image.digest == self.broken else self.request.keep_previous

    def settle(self) -> None:
        """Take the index that a tag of the image holds already, and record the tags that need no move."""
        for image in (self.revision, *self.shared):
            published = self.is_published(image)
            if published and self.indexed:
                children = tuple(member.manifest for member in self.members if member.manifest)
                image = image._replace(children=children)
                self.index = self.index or image
            self.outcome.found(image, settled=published)


def look(registry: Registry, readers: Executor, publication: Publication) -> None:
    """Read the tags of an image. Raises ZotError if it would replace another image of the revision."""
    request = publication.request
    revision = publication.revision = registry.image(request.revision)
    if publication.indexed:
        _look_at_index(registry, readers, publication)
        for part in publication.parts:
            # zot_prune removes the tags of architectures. Then the result has the image that the index lists.
            now = part.found._replace(reference=part.tag) if part.settled and part.found else part.before
            publication.outcome.found(now, settled=part.settled)
    else:
        (part,) = publication.parts
        if revision.manifest and registry.missing(revision.reference, revision.manifest):
            publication.broken = revision.digest
        _look_at_tag(registry, part, revision)
        if revision.manifest and not (part.settled or request.overwrite or publication.broken):
            raise occupied(revision, part.described)
    publication.shared = list(readers.map(lambda tag: _shared_image(registry, publication, tag), request.shared))
    publication.settle()


def holds_parts(registry: Registry, publication: Publication, image: Image) -> bool:
    """Whether a tag that holds *image* will need no move, although not all parts have a digest yet.

    Only check mode reads the members of the index. A push knows the digests before it compares, and each read of a
    manifest counts as a pull.
    """
    if not publication.indexed or image.manifest is None or publication.is_published(image):
        return publication.is_published(image)
    listed = dict(image.manifest.by_platform)
    if sorted(listed) != sorted(_platforms(publication.parts)):
        return False
    for part, platform in zip(publication.parts, _platforms(publication.parts)):
        with registry.valid_response(image.reference):
            member = image.reference.pinned(listed[platform])
        if not (part.found.digest == member.digest if part.found else part.image.held_by(registry.image(member))):
            return False
    return True


def _look_at_index(registry: Registry, readers: Executor, publication: Publication) -> None:
    revision, parts = publication.revision, publication.parts
    manifest = revision.manifest
    listed = dict(manifest.by_platform) if manifest and manifest.is_index else {}
    members = list(readers.map(lambda part: _look_at_part(registry, revision.reference, listed, part), parts))
    ours = {listed.get(platform) for platform in _platforms(parts)}
    others = [entry for entry in (manifest.entries if manifest else ()) if entry.digest not in ours]
    with registry.valid_response(revision.reference):
        pinned = [revision.reference.pinned(entry.digest) for entry in others]
    exist = list(readers.map(registry.digest, pinned))
    publication.unusable = revision.digest if None in exist else None
    publication.broken = revision.digest if None in exist or any(part.lost for part in parts) else None
    if manifest is None or publication.request.overwrite:
        return
    more = [str(entry.platform) for entry, digest in zip(others, exist) if entry.platform and digest]
    _require_same(publication, members, more)


def _require_same(publication: Publication, members: t.Sequence[Image | None], more: t.Sequence[str]) -> None:
    """Raise ZotError if the published index has other images for the parts, or *more* platforms."""
    revision = publication.revision
    for part, member in zip(publication.parts, members):
        absent = member is None and not publication.broken
        if absent or (member and member.manifest and not part.image.held_by(member)):
            held = f"{member.digest}{origin_text(member.config)}" if member else "nothing"
            actual = f"{held} for {part.image.platform}"
            raise ZotError(
                "denied",
                f"{revision.reference} is published as {revision.digest}, which has {actual}, not {part.described}",
                hint=OVERWRITE_HINT,
            )
    if more:
        raise ZotError(
            "denied",
            f"{revision.reference} is published as {revision.digest}, which also has {', '.join(more)}: its new index"
            " would lose that",
            hint=f"Publish all platforms of the revision, or use a new revision. {REPLACE_HINT}",
        )


def _platforms(parts: t.Iterable[ArchivePart]) -> list[Platform]:
    return [part.image.platform.normalized for part in parts if part.image.platform]


def _look_at_part(
    registry: Registry, revision: Reference, listed: t.Mapping[Platform, str], part: ArchivePart
) -> Image | None:
    """Read the tag of an architecture. Return the image that the index of the revision lists for its platform."""
    platform = part.image.platform
    digest = listed.get(platform.normalized) if platform else None
    with registry.valid_response(revision):
        member = registry.image(revision.pinned(digest)) if digest else None
    part.lost = bool(member and not member.manifest)
    if member is None or not part.image.held_by(member):
        _look_at_tag(registry, part, registry.image(part.tag))
        return member
    part.found = member
    now = registry.digest(part.tag)
    if now:
        part.before = member._replace(reference=part.tag) if now == member.digest else registry.image(part.tag)
    # The index has the image. A tag that zot_prune has removed is not needed, and another image is that of a job that
    # did not notice the index.
    part.settled = now is None or part.image.held_by(part.before)
    return member


def _look_at_tag(registry: Registry, part: ArchivePart, before: Image) -> None:
    """Find the image of a part under its own tag, or under its upload tag."""
    part.before = before
    part.settled = part.image.held_by(before)
    there = before if part.settled else registry.image(part.upload)
    part.found = there if part.image.held_by(there) else None


def _shared_image(registry: Registry, publication: Publication, tag: Reference) -> Image:
    """The image of a shared tag. Zot counts the read of a manifest as a pull, so an equal digest is enough."""
    published = publication.revision
    if publication.is_published(published) and registry.digest(tag) == published.digest:
        return published._replace(reference=tag)
    return registry.image(tag)
