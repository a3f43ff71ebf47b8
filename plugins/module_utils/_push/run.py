# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Push archives, each only to the tags that do not refer to its image yet.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_image import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import (
    image_identity,
    predicted_oci_configs,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError, Platform
from ansible_collections.killinit.zot.plugins.module_utils._push.request import PushRequest, require_distinct_tags
from ansible_collections.killinit.zot.plugins.module_utils._push.state import OpenedArchive, Push, invalid_archives
from ansible_collections.killinit.zot.plugins.module_utils._registry.archive_reader import ArchiveReader
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.threads import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._tags.outcome import Outcome, report


def push(
    registry: ArchiveReader, requests: t.Sequence[PushRequest], params: t.Mapping[str, t.Any], *, dry_run: bool
) -> dict[str, t.Any]:
    """Push the archives of *requests*, which are those of *params*. With *dry_run* only report what would be pushed.

    All archives and tags are read before the first write. If a read fails, the task stops. If a push fails, the other
    pushes continue. The caller must have started the processes that read the archives. Raises ZotError.
    """
    single = params["images"] is None
    with contextlib.ExitStack() as stack, thread_pool(params["parallel"]) as pool:
        # A compressed archive is read to its end. To avoid a second read, it stays open if every archive has a worker.
        kept = stack if len(requests) <= params["parallel"] else None
        archives = list(pool.map(lambda each: _read(registry, each, kept), requests))
        outcomes = [outcome for each in archives for outcome in each.outcomes]
        if not any(each.failed for each in outcomes):
            pushes = [found for each in archives for found in each.pushes]
            # The tags of split_platforms are known only now.
            require_distinct_tags([each.request for each in pushes])
            _protect(registry, pushes)
        if any(each.failed for each in outcomes):
            return report(outcomes, single=single, begun=False)
        if any(each.stale for opened in archives for each in opened.pushes):
            # Imported late: Python compiles all imports of a module in each task, and most tasks write nothing.
            from ansible_collections.killinit.zot.plugins.module_utils._push.write import write

            write(registry, archives, pool, dry_run=dry_run)
        return report(outcomes, single=single)


def _protect(registry: ArchiveReader, pushes: t.Sequence[Push]) -> None:
    if any(each.stale or each.request.member_of for each in pushes):
        from ansible_collections.killinit.zot.plugins.module_utils._push.published import protect, settle_members

        protect(registry, pushes)
        settle_members(registry, pushes)


def _read(registry: ArchiveReader, request: PushRequest, kept: contextlib.ExitStack | None) -> OpenedArchive:
    """Read one archive, or each platform of it, and its tags."""
    what = f"cannot read {request.archive}"
    outcome = Outcome(request.references)
    found = OpenedArchive(request.archive, [outcome])
    with outcome.catch(), invalid_archives(), contextlib.ExitStack() as own:
        opened = (own if kept is None else kept).enter_context(registry.open_archive(request.archive))
        found.worker = None if kept is None else opened
        if request.split:
            archives: list[Archive] = opened.call(what, "read_each", request.archive_image)
        else:
            archives = [opened.call(what, "read", request.archive_image, request.platform)]
        if len(archives) > 1:
            parts = [request.part(_platform(archive)) for archive in archives]
            found.outcomes = []
            for each, part in zip(archives, parts):
                of_part = Outcome(part.references)
                found.outcomes.append(of_part)
                with of_part.catch():
                    found.pushes.append(_read_tags(registry, part, each, of_part))
        else:
            found.pushes.append(_read_tags(registry, request, archives[0], outcome))
    return found


def _read_tags(registry: ArchiveReader, request: PushRequest, archive: Archive, outcome: Outcome) -> Push:
    found = Push(request, outcome, archive, *_identity(archive))
    _require_platform(archive, found.platform, request.platform)
    registry.prime_config_cache(request.references[0], predicted_oci_configs(archive.config))
    for reference in request.references:
        image = registry.current_image(reference, found.held_by)
        settled = found.held_by(image) and not request.force
        outcome.found(image, settled=settled)
        found.tags.append(image)
        if not settled:
            found.stale.append(image)
    if found.stale:
        registry.require_skopeo()
    return found


def _identity(archive: Archive) -> tuple[dict[str, t.Any], Platform | None]:
    """The identity of the image in the archive, and its platform."""
    try:
        return image_identity(archive.config), Platform.of(archive.config)
    except InvalidImageError as error:
        raise ZotError("archive_invalid", f"the configuration in {archive.path} is invalid: {error}") from error


def _platform(archive: Archive) -> Platform:
    _wanted, platform = _identity(archive)
    if platform is None:
        raise ZotError("archive_invalid", f"{archive.path} has several images, and one without a platform")
    return platform


def _require_platform(archive: Archive, found: Platform | None, wanted: Platform | None) -> None:
    if wanted and not (found and found.satisfies(wanted)):
        raise ZotError("platform_mismatch", f"{archive.path} is for {found or 'an unknown platform'}, not for {wanted}")
