# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write tags safely: read a tag before its write, keep its image, move the tag, and confirm that it did not move again.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest, origin_text
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, unread
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Move, Outcome

# A tag that other clients move faster than this task can keep its images is not moved.
_MOST_LOOKS = 5

REPLACE_HINT = "To replace the image, set overwrite: true (role zot_publish: zot_publish_overwrite)."
OVERWRITE_HINT = f"Publish under a new revision. {REPLACE_HINT}"


def occupied(image: Image, other: str) -> ZotError:
    """The error for a tag that may not be moved to *other*, a text with a digest."""
    held = f"{image.digest}{origin_text(image.config)}"
    return ZotError("denied", f"{image.reference} holds another image, {held}, not {other}", hint=OVERWRITE_HINT)


def written_by_another(reference: Reference, now: str | None, expected: str) -> ZotError:
    """The error for a tag that another client has written. *expected* is the end of the sentence."""
    return ZotError(
        "tool_failed",
        f"{reference} holds {now or 'nothing'}, {expected}",
        hint="Another client wrote this tag at the same time. Use one job per tag, and run the task again.",
    )


def _moved_meanwhile(move: Move, now: str | None) -> ZotError:
    return written_by_another(move.tag, now, f"not {move.before or 'nothing'} as at the start of the task")


def still_needed(registry: Registry, move: Move) -> bool:
    """Whether the tag must still move. Raises ZotError if another client has moved it since the task read it."""
    _prepare(registry, move)
    now = registry.digest(move.tag)
    if now not in (move.before, move.after):
        raise _moved_meanwhile(move, now)
    return now != move.after


def look_again(
    registry: Registry,
    move: Move,
    keep_previous: str | None = None,
    *,
    may_replace: bool = True,
    is_same: t.Callable[[str], bool] = lambda _digest: False,
    outcome: Outcome | None = None,
    refusal: t.Callable[[str | None], ZotError] | None = None,
) -> bool:
    """Read the tag again right before its move, and keep the image that it holds now. False if it needs no move.

    Most tasks have read the tag before they have sent an image, which can take minutes. The tag is read once more after
    its image was kept. Then only the request that moves it is left. *is_same* is whether an image that has appeared is
    the image to write, with another digest: then that is the digest *after*. *outcome* gets the tag that keeps it.

    Raises ZotError if another client has moved the tag since it was read, unless this task *may_replace* any image.
    *refusal* returns this error for the digest that the tag holds now.
    """
    kept: str | None = None
    _prepare(registry, move)
    for _look in range(_MOST_LOOKS):
        now = registry.digest(move.tag)
        if now == move.after:
            return False
        if now != move.before:
            if now and is_same(now):
                move.after = now
                return False
            if not may_replace:
                raise refusal(now) if refusal else _moved_meanwhile(move, now)
            again = Move.plan(move.tag, now, move.after, keep_previous, registry.digest)
            move.before, move.keeper = now, again.keeper
        if not move.keeps or kept == now:
            return True
        try:
            keep(registry, move)
        except ZotError as error:
            # Another client has moved the tag, and the registry has deleted the image.
            if error.error_class != "not_found":
                raise
            continue
        kept = now
        if outcome:
            outcome.kept(move.tag, move.previous_tag)
    raise written_by_another(move.tag, registry.digest(move.tag), "and other clients move it all the time")


def _prepare(registry: Registry, move: Move) -> None:
    """Read what the move writes, so that only one request follows the last read of the tag."""
    if move.after:
        registry.prepare(move.tag.pinned(move.after))


def keep(registry: Registry, move: Move) -> None:
    """Write the keeper of a move, unless it already refers to the image."""
    if move.keeper and move.keeper.needed:
        registry.keep(_image(move.tag, move.before), move.keeper.tag)
        move.keeper.written = True


def move_tag(registry: Registry, move: Move, write: t.Callable[[], None] | None = None) -> None:
    """Move the tag, by default with set_tag(). Raises ZotError.

    The move is recorded before the write: a signal can end the task before the registry responds. After an error the
    move stays recorded unless the tag certainly did not move, because moving back such a tag writes nothing.
    """
    move.written = True
    try:
        (write or (lambda: set_tag(registry, move.tag, move.after)))()
    except ZotError:
        move.written = not registry.certainly_holds(move.tag, move.before)
        raise


def set_tag(registry: Registry, tag: Reference, digest: str | None) -> None:
    """Move a tag to an image of its repository, or remove it. Raises ZotError, also if it then has another digest."""
    if digest is None:
        registry.untag(tag)
        again = registry.digest(tag)
        if again:
            raise ZotError(
                "tool_failed",
                f"{tag} was removed, and the registry has it again as {again}",
                hint="A mirror copies a tag again from its source (Zot: extensions.sync): remove the tag there first."
                " If the registry is not a mirror, another client wrote the tag at the same time.",
            )
        return
    # The digest is enough, and Zot counts each read of a manifest as a pull.
    now = registry.move(tag, digest, lambda: _image(tag, registry.digest(tag))).digest
    if now != digest:
        raise written_by_another(tag, now, f"not {digest}, which was written")


def _image(reference: Reference, digest: str | None) -> Image:
    return Image(reference, Manifest(digest, "", {}) if digest else None)


def confirm(registry: Registry, outcomes: t.Sequence[Outcome], pool: Executor) -> None:
    """Set an error for each tag that another client has moved since this task wrote it.

    Each tag was read right after its write. With several tags, another publisher may have moved the first one since.
    """
    written = [(outcome, tag) for outcome in outcomes for tag in outcome.tags if tag.changed and not tag.error]
    if len(written) < 2:
        return
    for (outcome, tag), error in zip(written, pool.map(lambda each: _moved_again(registry, each[1].after), written)):
        if error:
            outcome.fail(error, tag.after.reference)


def _moved_again(registry: Registry, image: Image) -> ZotError | None:
    try:
        now = registry.digest(image.reference)
    except ZotError as error:
        return unread(error, image.reference)
    if now == image.digest:
        return None
    return written_by_another(image.reference, now, f"but this task wrote {image.digest}")
