# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Push archives, each only to the tags that do not hold its image.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, replace
from functools import partial

from ansible_collections.killinit.zot.plugins.module_utils._keepers import keeper_of, require_own_keepers
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    InvalidArchiveError,
    MissingLibraryError,
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
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import (
    invalid_options,
    platform_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.threads import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer


@dataclass(frozen=True)
class PushRequest:
    """One archive and its tags. The references are valid; the archive has not been read."""

    archive: str
    archive_image: str | None
    references: tuple[Reference, ...]
    platform: Platform | None
    force: bool
    keep_previous: str | None
    split: bool

    @classmethod
    def from_params(cls, registry: Writer, params: t.Mapping[str, t.Any]) -> PushRequest:
        """Raises ZotError for an option that cannot be used."""
        if not params["tags"]:
            raise ZotError("invalid_option", f"tags is empty for {params['archive']}")
        references = registry.references(params["repository"], params["tags"])
        request = cls(
            # skopeo runs in another working directory.
            os.path.abspath(params["archive"]),
            params["archive_image"],
            references,
            platform_option(params["platform"]) if params["platform"] else None,
            bool(params["force"]),
            params["keep_previous"],
            bool(params.get("split_platforms")),
        )
        if request.split and request.platform:
            raise ZotError("invalid_option", f"platform and split_platforms are both set for {params['archive']}")
        return request

    def part(self, platform: Platform) -> PushRequest:
        """The request for one platform of an archive with several: TAG-ARCHITECTURE instead of TAG."""
        # A tag cannot contain a slash. A Linux image is named without its operating system.
        suffix = str(platform.normalized).replace("linux/", "", 1).replace("/", "-")
        with invalid_options():
            references = tuple(reference.tagged(f"{reference.tag}-{suffix}") for reference in self.references)
        return replace(self, references=references, platform=platform, split=False)


def push(registry: Writer, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Push the archive, or the list of archives, of *params*. With *dry_run* only report what would be pushed.

    An error of one archive does not stop the others. Raises ZotError.
    """
    single = params["images"] is None
    requests = [PushRequest.from_params(registry, item) for item in ([params] if single else params["images"])]
    _require_distinct(requests)

    def one(request: PushRequest) -> list[Outcome]:
        return _push(registry, request, dry_run=dry_run)

    count = min(params["parallel"], len(requests))
    with registry.reading_archives(count), thread_pool(params["parallel"]) as pool:
        return report([outcome for outcomes in pool.map(one, requests) for outcome in outcomes], single=single)


def _push(registry: Writer, request: PushRequest, *, dry_run: bool) -> list[Outcome]:
    """Push one archive, or each platform of it. One outcome for each image."""
    what = f"cannot read {request.archive}"
    with Outcome(request.references) as outcome, _invalid_archives(), registry.open_archive(request.archive) as opened:
        if request.split:
            archives: list[Archive] = opened.call(what, "read_each", request.archive_image)
        else:
            archives = [opened.call(what, "read", request.archive_image, request.platform)]
        if len(archives) > 1:
            return [_push_platform(registry, request, opened, archive, dry_run=dry_run) for archive in archives]
        _push_image(registry, request, opened, archives[0], outcome, dry_run=dry_run)
    return [outcome]


def _push_platform(
    registry: Writer, request: PushRequest, opened: Worker, archive: Archive, *, dry_run: bool
) -> Outcome:
    _wanted, platform = _identity(archive)
    if platform is None:
        raise ZotError("archive_invalid", f"{archive.path} has several images, and one without a platform")
    part = request.part(platform)
    with Outcome(part.references) as outcome, _invalid_archives():
        _push_image(registry, part, opened, archive, outcome, dry_run=dry_run)
    return outcome


def _push_image(
    registry: Writer, request: PushRequest, opened: Worker, archive: Archive, outcome: Outcome, *, dry_run: bool
) -> None:
    """Push one image of an archive to the tags that do not hold it."""
    wanted, platform = _identity(archive)
    _require_platform(archive, platform, request.platform)
    registry.prime_config_cache(request.references[0], predicted_oci_configs(archive.config))
    stale = []
    for reference in request.references:
        image = registry.image(reference)
        equal = _holds(image, wanted)
        outcome.found(image, settled=equal and not request.force)
        if not equal or request.force:
            # With force, a keeper would replace the previous image with the same one.
            keeper = None if equal or not image.digest else keeper_of(reference, request.keep_previous)
            stale.append((image, keeper))
    if not stale:
        return
    registry.require_skopeo()
    if dry_run:
        for image, keeper in stale:
            outcome.wrote(Image(image.reference, None, archive.config), previous_tag=keeper)
        return
    with registry.readable(opened, archive) as path:
        for image, keeper in stale:
            registry.keep(image, keeper)
            copy = partial(registry.copy, opened, path, archive, image.reference)
            after = _write(registry, copy, image, wanted, force=request.force)
            outcome.wrote(after, previous_tag=keeper)


def _write(
    registry: Writer, copy: t.Callable[[], str], before: Image, wanted: t.Mapping[str, t.Any], *, force: bool
) -> Image:
    reported = []

    def is_written(now: Image) -> bool:
        return _holds(now, wanted) and not (force and now.digest == before.digest)

    after = registry.write(before.reference, lambda: reported.append(copy()), is_written)
    if reported and after.digest != reported[-1]:
        raise ZotError(
            "tool_failed",
            f"{before.reference} holds {after.digest or 'nothing'}, but skopeo reported {reported[-1]}",
            hint="Another client pushed this tag at the same time. Use one job per tag, and run the task again.",
        )
    if not _holds(after, wanted):
        raise ZotError(
            "archive_invalid",
            f"{before.reference} holds {after.digest}, which is not the image that was read from the archive",
            hint="The archive was changed during the push. Run the task again when the build has finished.",
        )
    return after


def _holds(image: Image, wanted: t.Mapping[str, t.Any]) -> bool:
    if image.config is None:
        return False
    try:
        return image_identity(image.config) == wanted
    except InvalidImageError:
        return False


def _identity(archive: Archive) -> tuple[dict[str, t.Any], Platform | None]:
    """The identity of the image in the archive, and its platform."""
    try:
        return image_identity(archive.config), Platform.of(archive.config)
    except InvalidImageError as error:
        raise ZotError("archive_invalid", f"the configuration in {archive.path} is invalid: {error}") from error


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
        raise ZotError("archive_invalid", str(error), hint=error.hint) from error
    except MissingLibraryError as error:
        raise ZotError(
            "tool_missing",
            f"the Python library {error} is required for an archive that is compressed with zstd",
            hint=f"Install {error} for the Python that runs the module, or give the archive uncompressed.",
        ) from error
