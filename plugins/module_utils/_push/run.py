# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Push archives, each only to the tags that do not refer to its image yet.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, origin_text
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._push.request import (
    ArchivedImage,
    OpenedArchive,
    PushRequest,
    push_requests,
    require_distinct_tags,
    upload_reference,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import (
    NOTHING_WRITTEN,
    Move,
    Outcome,
    keeper_of,
    report,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.write import confirm, look_again, move_tag, occupied

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher


@dataclass
class _Push:
    """An image of an archive whose tags were read. *stale* are the tags to write."""

    request: PushRequest
    image: ArchivedImage
    outcome: Outcome
    stale: list[Image] = field(default_factory=list)

    def keeper(self, image: Image) -> Reference | None:
        """The reference that keeps *image* when its tag moves; None if *image* does not exist or is pushed again."""
        if not image.digest or self.image.held_by(image):
            return None
        return keeper_of(image.reference, self.request.keep_previous)

    def is_guarded(self, image: Image) -> bool:
        """Whether the image that the tag holds when it moves may not be replaced, or must be kept."""
        replaceable = image.reference in self.request.overwrite and not self.request.keep_previous
        return not replaceable and not self.image.held_by(image)


@dataclass
class _Read:
    """An archive that was read, and a push for each of its images.

    *outcomes* has an outcome also for an archive that could not be read.
    """

    archive: OpenedArchive
    outcomes: list[Outcome]
    pushes: list[_Push] = field(default_factory=list)


def run(session: Session, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Push the archives of *params*. With *dry_run* only report what would be pushed.

    All archives and tags are read before the first write. If a read fails, the task stops. If a push fails, the other
    pushes continue. Raises ZotError.
    """
    registry, single = Registry(session), params["images"] is None
    with contextlib.ExitStack() as stack, thread_pool(params["parallel"]) as pool:
        requests = push_requests(registry, params)
        registry.expect(sum(len(each.references) for each in requests))
        # A compressed archive is read to its end. To avoid a second read, few archives stay open.
        keep = stack if len(requests) <= params["parallel"] else None
        archives = list(pool.map(lambda each: _read(registry, each, keep), requests))
        outcomes = [outcome for each in archives for outcome in each.outcomes]
        pushes = [found for each in archives for found in each.pushes]
        if not any(each.failed for each in outcomes):
            # The tags of split_platforms are known only now.
            require_distinct_tags([each.request for each in pushes])
            _protect(pushes)
        if any(each.failed for each in outcomes):
            return report(outcomes, single=single, unmoved=NOTHING_WRITTEN)
        if any(each.stale for each in pushes):
            session.skopeo  # noqa: B018 - raises the error of a missing skopeo before the first write, and in check mode
            # Imported late: Python compiles all imports of a module in each task, and most tasks write nothing.
            from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher

            pusher = ArchivePusher(registry, session)
            list(pool.map(lambda each: _write(registry, pusher, each, dry_run=dry_run), archives))
            if not dry_run:
                confirm(registry, outcomes, pool)
        return report(outcomes, single=single)


def _read(registry: Registry, request: PushRequest, keep: contextlib.ExitStack | None) -> _Read:
    """Read one archive, or each platform of it, and its tags."""
    outcome = Outcome(request.references)
    found = _Read(OpenedArchive(request), [outcome])
    with outcome.catch():
        images = found.archive.read(keep)
        found.outcomes = []
        for part, image in images:
            push = _Push(part, image, Outcome(part.references))
            found.outcomes.append(push.outcome)
            found.pushes.append(push)
            with push.outcome.catch():
                _read_tags(registry, push)
    return found


def _read_tags(registry: Registry, push: _Push) -> None:
    # All tags of a request are in one repository.
    registry.know(push.request.references[0], push.image.predicted)
    for reference in push.request.references:
        image = registry.image(reference)
        settled = push.image.held_by(image) and not push.request.force
        push.outcome.found(image, settled=settled)
        if not settled:
            push.stale.append(image)


def _protect(pushes: t.Sequence[_Push]) -> None:
    """Set an error for each tag that holds an image which its request may not replace."""
    for each in pushes:
        for image in each.stale:
            if image.manifest and image.reference not in each.request.overwrite and not each.image.held_by(image):
                origin = origin_text(each.image.archive.config)
                each.outcome.fail(occupied(image, f"the image of {each.request.archive}{origin}"), image.reference)


def _write(registry: Registry, pusher: ArchivePusher, read: _Read, *, dry_run: bool) -> None:
    """Push the images of an archive to the tags that do not refer to them yet."""
    for push in read.pushes:
        with push.outcome.catch():
            if dry_run:
                for image in push.stale:
                    planned = Image(image.reference, None, push.image.archive.config)
                    push.outcome.wrote(planned, previous_tag=push.keeper(image))
            elif push.stale:
                _push(registry, pusher, read.archive, push)


def _push(registry: Registry, pusher: ArchivePusher, archive: OpenedArchive, push: _Push) -> None:
    """Push an image directly to the tags that it may replace, and move the other ones to an upload tag's image.

    skopeo writes the tag when it has sent all layers, which can take minutes. A tag that may not be replaced, or whose
    image is kept, has to be read right before it moves.
    """
    guarded, direct = ([image for image in push.stale if push.is_guarded(image) is guard] for guard in (True, False))
    if direct:
        with archive.file() as file, pusher.readable(file, push.image.archive) as path:
            for image in direct:
                push.outcome.wrote(pusher.write(file, path, push.image, image, force=push.request.force))
    if guarded:
        upload = registry.image(upload_reference(push.image.identity, push.request.references[0]))
        uploaded = upload if push.image.held_by(upload) else pusher.upload(archive, push.image, upload)
        for image in guarded:
            _move(registry, push, image, uploaded)


def _move(registry: Registry, push: _Push, image: Image, uploaded: Image) -> None:
    keep_previous = push.request.keep_previous
    move = Move.plan(image.reference, image.digest, uploaded.digest, keep_previous, registry.digest)
    if look_again(
        registry,
        move,
        keep_previous,
        may_replace=image.reference in push.request.overwrite,
        is_same=lambda digest: push.image.held_by(registry.image(image.reference.pinned(digest))),
        outcome=push.outcome,
    ):
        move_tag(registry, move)
    elif uploaded.digest != move.after:
        uploaded = registry.image(image.reference)
    push.outcome.wrote(uploaded._replace(reference=image.reference), previous_tag=move.previous_tag)
