# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shared tags that a rollback has moved, and the images that it covers.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.release_records import (
    RecordedImage,
    ReleaseRecord,
    known_reference,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import references_option


@dataclass(frozen=True)
class MovedTag:
    """A shared tag with its digest before the rollback, which may be unknown, and after it.

    *revision* is the revision of the digest before.
    """

    tag: Reference
    before: str | None
    after: str
    revision: str | None = None


@dataclass(frozen=True)
class Rollback:
    """The report of the role zot_rollback. *is_exact* is true if the user has named the *revision*."""

    moves: t.Sequence[MovedTag]
    revision: str | None
    is_exact: bool

    @classmethod
    def of(cls, option: t.Mapping[str, t.Any] | None, registry: str) -> Rollback | None:
        """The option C(rollback) of a task. Raises ZotError."""
        if not option:
            return None
        if not option.get("ok"):
            raise ZotError("invalid_option", "rollback is not the report of a rollback that succeeded")
        images, revision = option.get("images"), option.get("revision")
        if not isinstance(images, list) or not all(isinstance(each, dict) for each in images):
            raise ZotError("invalid_option", "rollback.images is not a list of shared tags")
        problem = None if revision is None else text_problem("rollback.revision", revision)
        if problem:
            raise ZotError("invalid_option", problem)
        moves = []
        for each in images:
            (tag,) = references_option("rollback.images", [each.get("reference")], registry)
            before, after = each.get("from"), each.get("to")
            if not isinstance(after, str) or not is_digest(after):
                raise ZotError("invalid_option", f"rollback.images has no digest in to for {tag}")
            before = before if isinstance(before, str) and is_digest(before) else None
            moves.append(MovedTag(tag, before, after, each.get("from_revision")))
        return cls(moves, revision or None, bool(option.get("exact")) and bool(revision))

    @property
    def names(self) -> frozenset[str]:
        """The repositories of the rollback, with their registry."""
        return frozenset(each.tag.name for each in self.moves)

    def move(self, reference: Reference) -> MovedTag | None:
        """The move of the tag that a reference names."""
        tagged = reference.tagged(reference.tag) if reference.tag else None
        return next((each for each in self.moves if each.tag == tagged), None)

    def lost(self, name: str) -> frozenset[str]:
        """The digests that the tags of a repository have lost. Empty if an earlier rollback has moved the tags."""
        return frozenset(
            each.before for each in self.moves if each.tag.name == name and each.before and each.before != each.after
        )

    def after(self, name: str) -> frozenset[str]:
        """The digests that the tags of a repository have now."""
        return frozenset(each.after for each in self.moves if each.tag.name == name)

    def is_done(self, record: ReleaseRecord) -> bool:
        """Whether this rollback, or an earlier one to the same revision, wrote the record."""
        return record.is_rollback and record.revision == self.revision

    def undoes(self, record: ReleaseRecord, image: RecordedImage) -> bool:
        """Whether the record says that a release started an image that is rolled back."""
        if image.name not in self.names or self.is_done(record):
            return False
        lost, after = self.lost(image.name), self.after(image.name)
        if image.runs in after:
            # The release has the same image as the one before it, but it has set its own revision.
            moved = {each.revision for each in self.moves if each.before != each.after}
            return image.before != image.after and record.revision is not None and record.revision in moved
        if lost:
            return image.runs in lost
        # The tags were moved by a rollback that did not finish. It restored what has the digest of the tags.
        return self.is_exact or image.ran in after or any(image.before.endswith(f"@{each}") for each in after)

    def references(self, record: ReleaseRecord | None) -> t.Iterator[Reference]:
        """What must be read in the registry to restore the workload of a record."""
        for image in record.images.values() if record else ():
            before = known_reference(image.before)
            yield before.tagged(before.tag) if before.tag else before
            for digest in filter(None, (before.digest, image.ran)):
                yield before.pinned(digest)

    @property
    def lost_references(self) -> list[Reference]:
        """The images that the tags have lost, by digest."""
        return [tag.pinned(digest) for tag in (each.tag for each in self.moves) for digest in self.lost(tag.name)]
