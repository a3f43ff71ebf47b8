# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image of an archive as a value, and the errors of archives, without the code that reads archives.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

_WRITE_AGAIN = "Write the archive again with docker save, podman save, docker buildx or another builder."


class InvalidArchiveError(ValueError):
    """The file is not an archive that can be pushed. The message names the reason and the member."""

    def __init__(self, message: str, hint: str = _WRITE_AGAIN) -> None:
        """*hint* is the remedy."""
        super().__init__(message, hint)
        self.hint = hint

    def __str__(self) -> str:
        return str(self.args[0])


class UnfitPlatformError(InvalidArchiveError):
    """The archive has no image for the requested platform, or images for several platforms and none was requested."""


class MissingLibraryError(RuntimeError):
    """The library for the compression of the archive is not installed. The message is its name."""


@dataclass(frozen=True)
class Archive:
    """One image of an archive.

    *index* is its position in manifest.json and *count* the number of images in it. An image that only index.json
    lists has a *manifest* instead: its digest. *layers* are the names of the members, without duplicates.
    *state* changes with the file.
    """

    path: str
    compression: str
    config: t.Mapping[str, t.Any] = field(repr=False)
    index: int = 0
    count: int = 1
    manifest: str = ""
    layers: tuple[str, ...] = ()
    state: tuple[int, ...] = ()
