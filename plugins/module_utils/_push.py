# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Push archives, each only to the tags that do not hold its image.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.killinit.zot.plugins.module_utils._keepers import require_own_keepers
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    InvalidArchiveError,
    MissingLibraryError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    InvalidImageError,
    Platform,
    image_identity,
    predicted_oci_configs,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._outcome import Outcome, report
from ansible_collections.killinit.zot.plugins.module_utils._overwrite import confirm
from ansible_collections.killinit.zot.plugins.module_utils._published import protect, settle_members
from ansible_collections.killinit.zot.plugins.module_utils._push_request import Push, PushRequest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.threads import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer


@dataclass
class _Opened:
    """An archive, the worker that has it open if it was kept, and a push for each of its images.

    *outcomes* has an outcome also for an archive that could not be read.
    """

    path: str
    outcomes: list[Outcome]
    worker: Worker | None = None
    pushes: list[Push] = field(default_factory=list)


def push(registry: Writer, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Push the archive, or the list of archives, of *params*. With *dry_run* only report what would be pushed.

    All archives and tags are read before the first write, and an error there stops the task. Later an error of one
    archive does not stop the others. Raises ZotError.
    """
    single = params["images"] is None
    requests = [PushRequest.from_params(registry, item) for item in ([params] if single else params["images"])]
    _require_distinct(requests)
    count = min(params["parallel"], len(requests))
    with registry.reading_archives(count), contextlib.ExitStack() as stack, thread_pool(params["parallel"]) as pool:
        # A compressed archive is read to its end, so it stays open where every archive has a worker.
        kept = stack if len(requests) <= count else None
        archives = list(pool.map(lambda each: _read(registry, each, kept), requests))
        outcomes = [outcome for each in archives for outcome in each.outcomes]
        if not any(each.failed for each in outcomes):
            pushes = [found for each in archives for found in each.pushes]
            protect(registry, pushes)
            settle_members(registry, pushes)
        if any(each.failed for each in outcomes):
            return report(outcomes, single=single, begun=False)
        list(pool.map(lambda each: _push(registry, each, dry_run=dry_run), archives))
        if not dry_run:
            confirm(registry, outcomes, pool)
        return report(outcomes, single=single)


def _read(registry: Writer, request: PushRequest, kept: contextlib.ExitStack | None) -> _Opened:
    """Read one archive, or each platform of it, and its tags."""
    what = f"cannot read {request.archive}"
    with Outcome(request.references) as outcome, _invalid_archives(), contextlib.ExitStack() as own:
        found = _Opened(request.archive, [outcome])
        opened = (own if kept is None else kept).enter_context(registry.open_archive(request.archive))
        found.worker = None if kept is None else opened
        if request.split:
            archives: list[Archive] = opened.call(what, "read_each", request.archive_image)
        else:
            archives = [opened.call(what, "read", request.archive_image, request.platform)]
        if len(archives) > 1:
            parts = [request.part(_platform(archive)) for archive in archives]
            found.outcomes = []
            for archive, part in zip(archives, parts):
                with Outcome(part.references) as of_part:
                    found.outcomes.append(of_part)
                    found.pushes.append(_read_tags(registry, part, archive, of_part))
        else:
            found.pushes.append(_read_tags(registry, request, archives[0], outcome))
    return found


def _read_tags(registry: Writer, request: PushRequest, archive: Archive, outcome: Outcome) -> Push:
    found = Push(request, outcome, archive, *_identity(archive))
    _require_platform(archive, found.platform, request.platform)
    registry.prime_config_cache(request.references[0], predicted_oci_configs(archive.config))
    for reference in request.references:
        image = registry.image(reference)
        settled = found.held_by(image) and not request.force
        outcome.found(image, settled=settled)
        found.tags.append(image)
        if not settled:
            found.stale.append(image)
    if found.stale:
        registry.require_skopeo()
    return found


def _push(registry: Writer, opened: _Opened, *, dry_run: bool) -> None:
    """Push the images of an archive to the tags that do not hold them."""
    stale = [each for each in opened.pushes if each.stale]
    with contextlib.ExitStack() as stack:
        for each in stale:
            with each.outcome, _invalid_archives():
                if dry_run:
                    for image in each.stale:
                        planned = Image(image.reference, None, each.archive.config)
                        each.outcome.wrote(planned, previous_tag=each.keeper(image))
                elif each.member and each.member.digest and not each.request.force:
                    # Another push could have another digest, and would change the index.
                    for image in each.stale:
                        registry.keep(image, each.keeper(image))
                        after = registry.move(image.reference, each.member.digest)
                        each.outcome.wrote(after, previous_tag=each.keeper(image))
                else:
                    if opened.worker is None:
                        opened.worker = stack.enter_context(registry.open_archive(opened.path))
                    _push_image(registry, opened.worker, each)


def _push_image(registry: Writer, worker: Worker, push_: Push) -> None:
    archive, force = push_.archive, push_.request.force
    with registry.readable(worker, archive) as path:
        for image in push_.stale:
            registry.keep(image, push_.keeper(image))
            copy = partial(registry.copy, worker, path, archive, image.reference)
            push_.outcome.wrote(_write(registry, copy, image, push_, force=force), previous_tag=push_.keeper(image))


def _write(registry: Writer, copy: t.Callable[[], str], before: Image, wanted: Push, *, force: bool) -> Image:
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


def _require_distinct(requests: t.Sequence[PushRequest]) -> None:
    owners: dict[Reference, str] = {}
    for request in requests:
        for reference in request.references:
            if reference in owners:
                raise ZotError(
                    "invalid_option", f"{reference} is a tag of two archives: {owners[reference]} and {request.archive}"
                )
            owners[reference] = request.archive
    require_own_keepers([(request.references, request.keep_previous) for request in requests], owners)


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
