# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the tags that do not refer to the image of their archive yet.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import Executor
from functools import partial

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._push.state import OpenedArchive, Push, invalid_archives
from ansible_collections.killinit.zot.plugins.module_utils._registry.archive_reader import ArchiveReader
from ansible_collections.killinit.zot.plugins.module_utils._registry.archive_writer import ArchiveWriter
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker
from ansible_collections.killinit.zot.plugins.module_utils._tags.write import confirm, set_tag


def write(reader: ArchiveReader, archives: t.Sequence[OpenedArchive], pool: Executor, *, dry_run: bool) -> None:
    """Push each archive to its stale tags, or in check mode only record the pushes."""
    registry = ArchiveWriter.of(reader)
    list(pool.map(lambda each: _push(registry, each, dry_run=dry_run), archives))
    if not dry_run:
        confirm(registry, [outcome for each in archives for outcome in each.outcomes], pool)


def _push(registry: ArchiveWriter, opened: OpenedArchive, *, dry_run: bool) -> None:
    """Push the images of an archive to the tags that do not refer to them yet."""
    stale = [each for each in opened.pushes if each.stale]
    with contextlib.ExitStack() as stack:
        for each in stale:
            with each.outcome.catch(), invalid_archives():
                if dry_run:
                    for image in each.stale:
                        planned = Image(image.reference, None, each.archive.config)
                        each.outcome.wrote(planned, previous_tag=each.keeper(image))
                elif each.member and each.member.digest and not each.request.force:
                    # Another push could have another digest, and would change the index.
                    for image in each.stale:
                        _keep(registry, image, each)
                        set_tag(registry, image.reference, each.member.digest)
                        after = each.member._replace(reference=image.reference)
                        each.outcome.wrote(after, previous_tag=each.keeper(image))
                else:
                    if opened.worker is None:
                        opened.worker = stack.enter_context(registry.open_archive(opened.path))
                    _push_image(registry, opened.worker, each)


def _push_image(registry: ArchiveWriter, worker: Worker, push_: Push) -> None:
    archive, force = push_.archive, push_.request.force
    with registry.readable(worker, archive) as path:
        for image in push_.stale:
            _keep(registry, image, push_)
            copy = partial(registry.copy, worker, path, archive, image.reference)
            push_.outcome.wrote(_write(registry, copy, image, push_, force=force), previous_tag=push_.keeper(image))


def _keep(registry: ArchiveWriter, image: Image, push_: Push) -> None:
    registry.keep(image, push_.keeper(image))
    push_.outcome.kept(image.reference, push_.keeper(image))


def _write(registry: ArchiveWriter, copy: t.Callable[[], str], before: Image, wanted: Push, *, force: bool) -> Image:
    reported = []

    def is_written(now: Image) -> bool:
        return wanted.held_by(now) and not (force and now.digest == before.digest)

    after = registry.write(before.reference, lambda: reported.append(copy()), is_written)
    if reported and after.digest != reported[-1]:
        raise ZotError(
            "tool_failed",
            f"{before.reference} holds {after.digest or 'nothing'}, but skopeo reported {reported[-1]}",
            hint="Another client pushed this tag at the same time. Use one job per tag, and run the task again.",
        )
    if not wanted.held_by(after):
        raise ZotError(
            "archive_invalid",
            f"{before.reference} holds {after.digest}, which is not the image that was read from the archive",
            hint="The archive was changed during the push. Run the task again when the build has finished.",
        )
    return after
