# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives that a task pushes: their tags, what identifies their images, and whether the registry has them.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import (
    image_identity,
    predicted_configurations,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, InvalidImageError, Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import architecture_tag, upload_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_library
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    images_option,
    invalid_options,
    optional_text,
    overwrite_option,
    platform_option,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import require_distinct


class PushRequest(t.NamedTuple):
    """One archive and its tags. The references are valid; the archive has not been read.

    *overwrite* are the tags that may be moved to another image.
    """

    archive: str
    archive_image: str | None
    references: tuple[Reference, ...]
    platform: Platform | None
    force: bool
    keep_previous: str | None
    split: bool
    overwrite: frozenset[Reference]

    @classmethod
    def from_params(cls, registry: Registry, params: t.Mapping[str, t.Any]) -> PushRequest:
        """Parse the options. Raises ZotError for an invalid option."""
        repository = text_option("repository", params["repository"])
        if not params["archive"]:
            raise ZotError("invalid_option", f"archive is empty for {repository}: set its path")
        tags = texts_option("tags", params["tags"])
        if not tags:
            raise ZotError("invalid_option", f"tags is empty for {params['archive']}")
        references = registry.references(repository, tags)
        request = cls(
            # skopeo runs in another working directory.
            os.path.abspath(params["archive"]),
            params["archive_image"],
            references,
            platform_option(params["platform"]) if params["platform"] else None,
            bool(params["force"]),
            optional_text("keep_previous", params["keep_previous"]),
            bool(params.get("split_platforms")),
            overwrite_option(params["overwrite"], references),
        )
        if request.split and request.platform:
            raise ZotError("invalid_option", f"platform and split_platforms are both set for {params['archive']}")
        if request.split and request.keep_previous and "{tag}" not in request.keep_previous:
            raise ZotError("invalid_option", f"keep_previous of {params['archive']} has no {{tag}}: add it")
        return request

    def part(self, platform: Platform) -> PushRequest:
        """The request for one platform of an archive with several: TAG-ARCHITECTURE instead of TAG."""
        with invalid_options():
            parts = {
                reference: reference.tagged(architecture_tag(reference.tag or "", platform.normalized))
                for reference in self.references
            }
        return self._replace(
            references=tuple(parts.values()),
            platform=platform,
            split=False,
            overwrite=frozenset(parts[reference] for reference in self.overwrite),
        )


def push_requests(registry: Registry, params: t.Mapping[str, t.Any]) -> list[PushRequest]:
    """The archive, or the list of archives, of *params*. Raises ZotError for an invalid option."""
    requests = [PushRequest.from_params(registry, item) for item in images_option(params)]
    require_distinct_tags(requests)
    return requests


def require_distinct_tags(requests: t.Sequence[PushRequest]) -> None:
    """Raise ZotError if two requests would write the same tag, or if a keeper is a tag to write."""
    require_distinct(requests, "archives", name=lambda request: request.archive)


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

    @property
    def predicted(self) -> list[bytes]:
        """The configurations that it may have in a registry."""
        return predicted_configurations(self.archive.config)

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
