# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of the archives that a task pushes: what identifies them, and whether the registry has them.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_image import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import image_identity
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, InvalidImageError, Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import upload_tag
from ansible_collections.killinit.zot.plugins.module_utils._push.request import PushRequest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_library


@dataclass(frozen=True)
class ArchivedImage:
    """An image of an archive, with what identifies it, and its platform."""

    archive: Archive
    identity: t.Mapping[str, t.Any]
    platform: Platform | None

    @classmethod
    def of(cls, archive: Archive) -> ArchivedImage:
        """Raises ZotError for an invalid configuration."""
        try:
            return cls(archive, image_identity(archive.config), Platform.of(archive.config))
        except InvalidImageError as error:
            raise ZotError("archive_invalid", f"the configuration in {archive.path} is invalid: {error}") from error

    def held_by(self, image: Image) -> bool:
        """Whether *image* is this image."""
        if image.config is None:
            return False
        try:
            return image_identity(image.config) == self.identity
        except InvalidImageError:
            return False


def upload_reference(identity: t.Any, tag: Reference) -> Reference:
    """The upload tag for what the *identity* identifies: the image of an archive, or the entries of an index.

    The digest of the configuration in the registry is not known before the push, but what identifies the image is.
    """
    text = json.dumps(identity, sort_keys=True, default=str)
    return tag.tagged(upload_tag(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", tag.tag or ""))


class OpenedArchive:
    """The archive of a request. Its file is opened for each use, or stays open until the end of the task."""

    def __init__(self, request: PushRequest) -> None:
        self._request = request
        self._kept: OpenArchive | None = None

    def read(self, keep: contextlib.ExitStack | None) -> list[tuple[PushRequest, ArchivedImage]]:
        """The image, or with split_platforms the image for each platform, each with its request. Raises ZotError.

        *keep* is the end of the task for an archive that stays open.
        """
        request = self._request
        with invalid_archives(), contextlib.ExitStack() as own:
            opened = (keep or own).enter_context(OpenArchive(request.archive))
            self._kept = opened if keep else None
            if request.split:
                found = opened.read_each(request.archive_image)
            else:
                found = [opened.read(request.archive_image, request.platform)]
        images = [ArchivedImage.of(archive) for archive in found]
        if len(images) > 1:
            return [(request.part(_platform(image)), image) for image in images]
        platform = images[0].platform
        if request.platform and not (platform and platform.satisfies(request.platform)):
            raise ZotError(
                "platform_mismatch",
                f"{request.archive} is for {platform or 'an unknown platform'}, not for {request.platform}",
            )
        return [(request, images[0])]

    @contextlib.contextmanager
    def file(self) -> t.Iterator[OpenArchive]:
        """The open file. Raises ZotError, also for an invalid archive that the context reads."""
        with invalid_archives(), contextlib.ExitStack() as own:
            yield self._kept or own.enter_context(OpenArchive(self._request.archive))


def _platform(image: ArchivedImage) -> Platform:
    if image.platform is None:
        raise ZotError("archive_invalid", f"{image.archive.path} has several images, and one without a platform")
    return image.platform


@contextlib.contextmanager
def invalid_archives() -> t.Iterator[None]:
    """Convert the errors of archive.py into errors of the module."""
    try:
        yield
    except InvalidArchiveError as error:
        error_class = "platform_mismatch" if isinstance(error, UnfitPlatformError) else "archive_invalid"
        raise ZotError(error_class, str(error), hint=error.hint) from error
    except MissingLibraryError as error:
        purpose = "for an archive that is compressed with zstd"
        raise missing_library(str(error), purpose, ", or give the archive uncompressed") from error
