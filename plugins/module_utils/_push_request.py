# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request to push one archive, and the state of its archive and its tags.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._keepers import keeper_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_image import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    InvalidImageError,
    Platform,
    image_identity,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._outcome import Outcome
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import (
    invalid_options,
    overwrite_option,
    platform_option,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker


class PushRequest(t.NamedTuple):
    """One archive and its tags. The references are valid; the archive has not been read.

    *overwrite* are the tags that may be moved to another image. The index *member_of* will list the image: until that
    index exists, all tags may be moved.
    """

    archive: str
    archive_image: str | None
    references: tuple[Reference, ...]
    platform: Platform | None
    force: bool
    keep_previous: str | None
    split: bool
    overwrite: frozenset[Reference]
    member_of: Reference | None

    @classmethod
    def from_params(cls, registry: Reader, params: t.Mapping[str, t.Any]) -> PushRequest:
        """Parse the options. Raises ZotError for an invalid option."""
        tags = texts_option("tags", params["tags"])
        if not tags:
            raise ZotError("invalid_option", f"tags is empty for {params['archive']}")
        references = registry.references(params["repository"], tags)
        index = None if params["index"] is None else text_option("index", params["index"])
        request = cls(
            # skopeo runs in another working directory.
            os.path.abspath(params["archive"]),
            params["archive_image"],
            references,
            platform_option(params["platform"]) if params["platform"] else None,
            bool(params["force"]),
            params["keep_previous"],
            bool(params.get("split_platforms")),
            overwrite_option(params["overwrite"], references),
            None if index is None else registry.reference(params["repository"], index),
        )
        if request.split and request.platform:
            raise ZotError("invalid_option", f"platform and split_platforms are both set for {params['archive']}")
        if request.split and request.keep_previous and "{tag}" not in request.keep_previous:
            raise ZotError("invalid_option", f"keep_previous of {params['archive']} has no {{tag}}: add it")
        return request

    def part(self, platform: Platform) -> PushRequest:
        """The request for one platform of an archive with several: TAG-ARCHITECTURE instead of TAG.

        The index with the tag TAG will list it.
        """
        # A tag cannot contain a slash. The tag of a Linux image does not name the operating system.
        suffix = str(platform.normalized).replace("linux/", "", 1).replace("/", "-")
        with invalid_options():
            parts = {reference: reference.tagged(f"{reference.tag}-{suffix}") for reference in self.references}
        return self._replace(
            references=tuple(parts.values()),
            platform=platform,
            split=False,
            overwrite=frozenset(parts[reference] for reference in self.overwrite),
            member_of=self.member_of or self.references[0],
        )


@dataclass
class Push:
    """A request whose archive and tags were read, and the remaining writes.

    *wanted* is the identity of the image, *stale* are the tags to write. *member* is the image for the platform in the
    index that is published.
    """

    request: PushRequest
    outcome: Outcome
    archive: Archive
    wanted: t.Mapping[str, t.Any]
    platform: Platform | None
    tags: list[Image] = field(default_factory=list)
    stale: list[Image] = field(default_factory=list)
    member: Image | None = None

    def held_by(self, image: Image) -> bool:
        """Whether *image* is the image of the archive."""
        if image.config is None:
            return False
        try:
            return image_identity(image.config) == self.wanted
        except InvalidImageError:
            return False

    def keeper(self, image: Image) -> Reference | None:
        """The reference that keeps *image* when its tag moves; None if *image* does not exist or is pushed again."""
        if not image.digest or self.held_by(image):
            return None
        return keeper_of(image.reference, self.request.keep_previous)


@dataclass
class OpenedArchive:
    """An archive, the worker that has it open if it was kept, and a push for each of its images.

    *outcomes* has an outcome also for an archive that could not be read.
    """

    path: str
    outcomes: list[Outcome]
    worker: Worker | None = None
    pushes: list[Push] = field(default_factory=list)


@contextlib.contextmanager
def invalid_archives() -> t.Iterator[None]:
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
