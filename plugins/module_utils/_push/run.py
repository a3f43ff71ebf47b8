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
from functools import partial

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_image import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import image_identity
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, InvalidImageError, Platform
from ansible_collections.killinit.zot.plugins.module_utils._push.request import (
    Push,
    PushRequest,
    push_requests,
    require_distinct_tags,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._tags.outcome import Outcome, report
from ansible_collections.killinit.zot.plugins.module_utils._tags.write import confirm, set_tag

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher


@dataclass
class _OpenedArchive:
    """An archive, its file if it was kept open, and a push for each of its images.

    *outcomes* has an outcome also for an archive that could not be read.
    """

    path: str
    outcomes: list[Outcome]
    file: OpenArchive | None = None
    pushes: list[Push] = field(default_factory=list)


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
        kept = stack if len(requests) <= params["parallel"] else None
        archives = list(pool.map(lambda each: _read(registry, each, kept), requests))
        outcomes = [outcome for each in archives for outcome in each.outcomes]
        pushes = [found for each in archives for found in each.pushes]
        if not any(each.failed for each in outcomes):
            # The tags of split_platforms are known only now.
            require_distinct_tags([each.request for each in pushes])
            _protect(registry, pushes)
        if any(each.failed for each in outcomes):
            return report(outcomes, single=single, begun=False)
        if any(each.stale for each in pushes):
            session.skopeo  # noqa: B018 - raises the error of a missing skopeo before the first write, and in check mode
            # Imported late: Python compiles all imports of a module in each task, and most tasks write nothing.
            from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher

            pusher = ArchivePusher(registry, session)
            list(pool.map(lambda each: _write(registry, pusher, each, dry_run=dry_run), archives))
            if not dry_run:
                confirm(registry, outcomes, pool)
        return report(outcomes, single=single)


def _protect(registry: Registry, pushes: t.Sequence[Push]) -> None:
    if any(each.stale or each.request.member_of for each in pushes):
        from ansible_collections.killinit.zot.plugins.module_utils._push.published import protect, settle_members

        protect(registry, pushes)
        settle_members(registry, pushes)


def _read(registry: Registry, request: PushRequest, kept: contextlib.ExitStack | None) -> _OpenedArchive:
    """Read one archive, or each platform of it, and its tags."""
    outcome = Outcome(request.references)
    found = _OpenedArchive(request.archive, [outcome])
    with outcome.catch(), _invalid_archives(), contextlib.ExitStack() as own:
        opened = (kept or own).enter_context(OpenArchive(request.archive))
        found.file = opened if kept else None
        if request.split:
            archives = opened.read_each(request.archive_image)
        else:
            archives = [opened.read(request.archive_image, request.platform)]
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


def _read_tags(registry: Registry, request: PushRequest, archive: Archive, outcome: Outcome) -> Push:
    found = Push(request, outcome, archive, *_identity(archive))
    _require_platform(archive, found.platform, request.platform)
    for reference in request.references:
        image = registry.image(reference)
        settled = found.held_by(image) and not request.force
        outcome.found(image, settled=settled)
        found.tags.append(image)
        if not settled:
            found.stale.append(image)
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


def _write(registry: Registry, pusher: ArchivePusher, opened: _OpenedArchive, *, dry_run: bool) -> None:
    """Push the images of an archive to the tags that do not refer to them yet."""
    stale = [each for each in opened.pushes if each.stale]
    with contextlib.ExitStack() as stack:
        for each in stale:
            with each.outcome.catch(), _invalid_archives():
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
                    if opened.file is None:
                        opened.file = stack.enter_context(OpenArchive(opened.path))
                    _push(registry, pusher, opened.file, each)


def _push(registry: Registry, pusher: ArchivePusher, opened: OpenArchive, push: Push) -> None:
    with pusher.readable(opened, push.archive) as path:
        for image in push.stale:
            _keep(registry, image, push)
            copy = partial(pusher.push, opened, path, push.archive, image.reference)
            push.outcome.wrote(_write_tag(registry, copy, image, push), previous_tag=push.keeper(image))


def _keep(registry: Registry, image: Image, push: Push) -> None:
    registry.keep(image, push.keeper(image))
    push.outcome.kept(image.reference, push.keeper(image))


def _write_tag(registry: Registry, copy: t.Callable[[], str], before: Image, wanted: Push) -> Image:
    reported = []

    def is_written(now: Image) -> bool:
        return wanted.held_by(now) and not (wanted.request.force and now.digest == before.digest)

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


@contextlib.contextmanager
def _invalid_archives() -> t.Iterator[None]:
    """Convert the errors of archive.py into errors of the module."""
    try:
        yield
    except InvalidArchiveError as error:
        error_class = "platform_mismatch" if isinstance(error, UnfitPlatformError) else "archive_invalid"
        raise ZotError(error_class, str(error), hint=error.hint) from error
    except MissingLibraryError as error:
        raise ZotError(
            "tool_missing",
            f"the Python library {error} is required for an archive that is compressed with zstd",
            hint=f"Install {error} for the Python that runs the module, or give the archive uncompressed.",
        ) from error
