# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the push of one archive has found, and what it still must write.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_image import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import image_identity
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, InvalidImageError, Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._push.request import PushRequest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker
from ansible_collections.killinit.zot.plugins.module_utils._tags.move import keeper_of
from ansible_collections.killinit.zot.plugins.module_utils._tags.outcome import Outcome


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
