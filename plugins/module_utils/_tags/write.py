# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Move tags only if that is allowed, and check that the written tags still refer to their images.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry, unread
from ansible_collections.killinit.zot.plugins.module_utils._tags.outcome import Outcome

REPLACE_HINT = "To replace the image, set overwrite: true (role zot_publish: zot_publish_overwrite)."
OVERWRITE_HINT = f"Publish under a new revision. {REPLACE_HINT}"


def occupied(image: Image, other: str) -> ZotError:
    """The error for a tag that may not be moved to *other*, a text with a digest."""
    return ZotError(
        "denied", f"{image.reference} holds another image, {image.digest}, not {other}", hint=OVERWRITE_HINT
    )


def move_tag(registry: Registry, reference: Reference, digest: str, read: t.Callable[[], Image] | None = None) -> None:
    """Move a tag to an image of its repository. Raises ZotError, also if the tag then has another digest."""
    after = registry.move(reference, digest, read)
    if after.digest != digest:
        raise written_by_another(reference, after.digest, f"not {digest}, which was written")


def written_by_another(reference: Reference, now: str | None, expected: str) -> ZotError:
    """The error for a tag that another client has written. *expected* is the end of the sentence."""
    return ZotError(
        "tool_failed",
        f"{reference} holds {now or 'nothing'}, {expected}",
        hint="Another client wrote this tag at the same time. Use one job per tag, and run the task again.",
    )


def certainly_holds(read: t.Callable[[Reference], str | None], reference: Reference, digest: str | None) -> bool:
    """Whether *read* certainly still returns *digest* for a tag. False if the tag cannot be read.

    Moving back a tag that has not moved writes nothing.
    """
    try:
        return read(reference) == digest
    except ZotError:
        return False


def confirm(registry: Registry, outcomes: t.Sequence[Outcome], pool: Executor) -> None:
    """Set an error for each tag that another client has moved since this task wrote it.

    Each tag was read right after its write. With several tags, another publisher may have moved the first one since.
    """
    written = [(outcome, tag) for outcome in outcomes for tag in outcome.tags if tag.changed and not tag.error]
    if len(written) < 2:
        return
    for (outcome, tag), now in zip(written, pool.map(lambda each: _holds(registry, each[1].after), written)):
        if now:
            outcome.fail(now, tag.after.reference)


def _holds(registry: Registry, image: Image) -> ZotError | None:
    try:
        now = registry.digest(image.reference)
    except ZotError as error:
        return unread(error, image.reference)
    if now == image.digest:
        return None
    return written_by_another(image.reference, now, f"but this task wrote {image.digest}")
