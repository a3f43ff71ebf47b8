# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writes of a publication, in the order in which another job cannot break them.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._index import append_index, is_index_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._publish.look import ArchivePart, Publication
from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import ThreadPool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Move
from ansible_collections.killinit.zot.plugins.module_utils._tag.write import (
    OVERWRITE_HINT,
    look_again,
    move_tag,
    set_tag,
    written_by_another,
)


class Publisher:
    """Writes what the publications of a task need. An error of one image ends the task before the next step."""

    def __init__(
        self,
        session: Session,
        registry: Registry,
        pool: ThreadPool,
        moves: list[Move],
        uploaded: list[Reference],
        gate: t.Callable[[], None],
    ) -> None:
        """*moves* and *uploaded* receive the tags that are written. *gate* raises ZotError to stop the shared tags."""
        self._session, self._registry, self._pool = session, registry, pool
        self._moves, self._uploaded, self._gate = moves, uploaded, gate

    def publish(self, publications: t.Sequence[Publication]) -> None:
        """Upload, look again, move the tags of the revision, then the shared tags, and confirm all of them."""
        pending = [each for each in publications if not each.is_done]
        # Each tag is read after the uploads, before and after its move, and at the end.
        self._registry.expect(5 * sum(len(each.outcome.tags) for each in pending))
        if any(part.found is None for each in pending for part in each.parts):
            self._upload(pending)
        for step in (self._look_again, self._move_revision):
            if not _failed(pending):
                self._each(step, pending)
        if not _failed(pending):
            self._gate()
        for step in (self._require_revision, self._move_shared):
            if not _failed(pending):
                self._each(step, pending)
        if not _failed(pending):
            self._each(self._confirm, publications)

    def _each(self, step: t.Callable[[Publication], None], publications: t.Sequence[Publication]) -> None:
        def take(publication: Publication) -> None:
            with publication.outcome.catch():
                step(publication)

        list(self._pool.map(take, publications))

    def _upload(self, publications: t.Sequence[Publication]) -> None:
        """Push the images that the registry does not have. An archive is read by one thread."""
        pusher = ArchivePusher(self._registry, self._session)
        archives: dict[int, list[tuple[Publication, ArchivePart]]] = {}
        for publication in publications:
            for part in publication.parts:
                if part.found is None:
                    archives.setdefault(id(part.archive), []).append((publication, part))

        def upload(parts: t.Sequence[tuple[Publication, ArchivePart]]) -> None:
            for publication, part in parts:
                with publication.outcome.catch():
                    # Another job with the same archives may have uploaded the image meanwhile.
                    there = self._registry.image(part.upload)
                    if part.image.held_by(there):
                        part.found = there
                    else:
                        part.found = pusher.upload(part.archive, part.image, there)
                        self._uploaded.append(part.upload)

        list(self._pool.map(upload, archives.values()))

    def _look_again(self, publication: Publication) -> None:
        """Read the tags of the revision again after the uploads, which can take minutes."""
        overwrite, revision = publication.request.overwrite, publication.revision
        for part in publication.parts:
            now = self._registry.digest(part.tag)
            if part.settled or now == part.before.digest or now == _digest(part):
                continue
            there = self._registry.image(part.tag)
            if part.image.held_by(there):
                part.found, part.settled = there, True
            elif there.manifest and not overwrite:
                raise _another_job(part.tag, now, part.described)
            part.before = there
            publication.outcome.found(there, settled=part.settled)
            if not publication.indexed:
                publication.revision = there
        if publication.indexed and self._registry.digest(revision.reference) != revision.digest:
            publication.revision = there = self._registry.image(revision.reference)
            if there.manifest and not (overwrite or publication.is_published(there)):
                raise _another_job(revision.reference, there.digest, "the index of this task")
        publication.settle()
        if not publication.is_published(publication.revision):
            for part in publication.parts:
                self._hold(part)

    def _hold(self, part: ArchivePart) -> None:
        """Make sure that the upload tag holds the image that the revision will refer to.

        It may be found only under the tag of its architecture, which another job may overwrite.
        """
        if self._registry.digest(part.upload) == _digest(part):
            return
        there = self._registry.image(part.upload)
        if part.image.held_by(there) and part.before.digest != _digest(part):
            part.found = there  # a job with another skopeo has pushed the same image
        else:
            set_tag(self._registry, part.upload, _digest(part))

    def _move_revision(self, publication: Publication) -> None:
        """Move the tags of the architectures, then the tag of the revision."""
        if publication.indexed and publication.index is None:
            publication.index = self._index(publication)
        for part in publication.parts:
            if not part.settled and part.found:
                self._move(publication, part.before, part.found, shared=False)
        revision = publication.revision
        if publication.indexed and publication.index and not publication.is_published(revision):
            self._move(publication, revision, publication.index, shared=False)

    def _index(self, publication: Publication) -> Image:
        """Write the index to its upload tag, unless an earlier task has done it."""
        entries, upload = publication.entries, publication.upload
        there = self._registry.image(upload)
        if not is_index_of(there.manifest, entries):
            there = append_index(self._registry, publication.members, entries, upload)
            self._uploaded.append(upload)
        return there._replace(children=tuple(each.manifest for each in publication.members if each.manifest))

    def _require_revision(self, publication: Publication) -> None:
        """Require that the revision is still this one: the gate may take minutes."""
        published, revision = publication.published, publication.request.revision
        if published and not all(map(publication.is_published, publication.shared)):
            now = self._registry.digest(revision)
            if now != published.digest:
                raise _another_job(revision, now, f"{published.digest}, which this task published")

    def _move_shared(self, publication: Publication) -> None:
        for image in publication.shared:
            if publication.published and not publication.is_published(image):
                self._move(publication, image, publication.published, shared=True)

    def _move(self, publication: Publication, before: Image, after: Image, *, shared: bool) -> None:
        """Move one tag by digest. Another job may move a shared tag, but not a tag of this revision."""
        tag, keep_previous = before.reference, publication.keeper_of(before)
        move = Move.plan(tag, before.digest, after.digest, keep_previous, self._registry.digest)
        self._moves.append(move)
        after = after._replace(reference=tag)
        if look_again(
            self._registry,
            move,
            keep_previous,
            may_replace=shared or publication.request.overwrite,
            outcome=publication.outcome,
            refusal=lambda now: _another_job(tag, now, f"{after.digest}, which this task has uploaded"),
        ):
            move_tag(self._registry, move)
            publication.outcome.wrote(after, previous_tag=move.previous_tag)
        else:
            publication.outcome.found(after, settled=True)

    def _confirm(self, publication: Publication) -> None:
        """Set an error for each tag that another job has moved, and for members that do not exist any more."""
        absent = {part.tag for part in publication.parts if part.settled and not part.before.digest}
        held = set()
        for tag in publication.outcome.tags:
            expected = tag.after.reference
            if expected in absent:
                continue
            now = self._registry.digest(expected)
            held.add(now)
            if now != tag.after.digest:
                error = written_by_another(expected, now, f"but this task published {tag.after.digest}")
                publication.outcome.fail(error, expected)
        for part in publication.parts:
            pinned = part.tag.pinned(_digest(part))
            if pinned.digest not in held and self._registry.digest(pinned) is None:
                message = f"{publication.request.revision} lists {pinned}, which does not exist any more"
                publication.outcome.fail(ZotError("not_found", message, hint=_LOST_HINT), part.tag)


_LOST_HINT = "Another client removed the image. Run the task again: it pushes the image again."


def _digest(part: ArchivePart) -> str:
    return (part.found.digest if part.found else None) or ""


def _failed(publications: t.Sequence[Publication]) -> bool:
    return any(each.outcome.failed for each in publications)


def _another_job(reference: Reference, now: str | None, ours: str) -> ZotError:
    return ZotError(
        "denied",
        f"{reference} holds {now or 'nothing'}, not {ours}: another job published this revision with other content",
        hint=f"Use one job per revision. {OVERWRITE_HINT}",
    )
