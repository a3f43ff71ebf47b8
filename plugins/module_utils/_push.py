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
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._keepers import keeper_of, require_own_keepers
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
    read,
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
    platform_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.threads import thread_pool
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

    @classmethod
    def from_params(cls, registry: Writer, params: t.Mapping[str, t.Any]) -> PushRequest:
        """Raises ZotError for an option that cannot be used."""
        if not params["tags"]:
            raise ZotError("invalid_option", f"tags is empty for {params['archive']}")
        references = registry.references(params["repository"], params["tags"])
        return cls(
            # skopeo runs in another working directory.
            os.path.abspath(params["archive"]),
            params["archive_image"],
            references,
            platform_option(params["platform"]) if params["platform"] else None,
            bool(params["force"]),
            params["keep_previous"],
        )


def push(registry: Writer, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Push the archive, or the list of archives, of *params*. With *dry_run* only report what would be pushed.

    An error of one archive does not stop the others. Raises ZotError.
    """
    single = params["images"] is None
    requests = [PushRequest.from_params(registry, item) for item in ([params] if single else params["images"])]
    _require_distinct(requests)

    def one(request: PushRequest) -> Outcome:
        return _push(registry, request, dry_run=dry_run)

    with thread_pool(params["parallel"]) as pool:
        return report(list(pool.map(one, requests)), single=single)


def _push(registry: Writer, request: PushRequest, *, dry_run: bool) -> Outcome:
    with Outcome(request.references) as outcome, _invalid_archives():
        archive = read(request.archive, request.archive_image)
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
            return outcome
        registry.require_skopeo()
        if dry_run:
            for image, keeper in stale:
                outcome.wrote(Image(image.reference, None, archive.config), previous_tag=keeper)
            return outcome
        with registry.readable(archive) as path:
            for image, keeper in stale:
                registry.keep(image, keeper)
                after = _write(registry, archive, path, image, wanted, force=request.force)
                outcome.wrote(after, previous_tag=keeper)
    return outcome


def _write(
    registry: Writer, archive: Archive, path: str, before: Image, wanted: t.Mapping[str, t.Any], *, force: bool
) -> Image:
    reported = []

    def is_written(now: Image) -> bool:
        return _holds(now, wanted) and not (force and now.digest == before.digest)

    after = registry.write(
        before.reference, lambda: reported.append(registry.copy(path, archive, before.reference)), is_written
    )
    if reported and after.digest != reported[-1]:
        raise ZotError(
            "tool_failed",
            f"{before.reference} holds {after.digest or 'nothing'}, but skopeo reported {reported[-1]}",
            hint="Another client pushed this tag at the same time. Use one job per tag, and run the task again.",
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
    if wanted and (found is None or found.normalized != wanted.normalized):
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
        raise ZotError("archive_invalid", str(error)) from error
    except MissingLibraryError as error:
        raise ZotError(
            "tool_missing",
            f"the Python library {error} is required for an archive that is compressed with zstd",
            hint=f"Install {error} for the Python that runs the module, or give the archive uncompressed.",
        ) from error
