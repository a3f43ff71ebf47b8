# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request to push one archive, and what was read of its archive and its tags.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._keepers import keeper_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    InvalidImageError,
    Platform,
    image_identity,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._outcome import Outcome
from ansible_collections.killinit.zot.plugins.module_utils._overwrite import overwrite_option
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import (
    invalid_options,
    platform_option,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer


@dataclass(frozen=True)
class PushRequest:
    """One archive and its tags. The references are valid; the archive has not been read.

    *overwrite* are the tags that may be moved to another image. *index* will list the image: until it exists, all may.
    """

    archive: str
    archive_image: str | None
    references: tuple[Reference, ...]
    platform: Platform | None
    force: bool
    keep_previous: str | None
    split: bool
    overwrite: frozenset[Reference]
    index: Reference | None

    @classmethod
    def from_params(cls, registry: Writer, params: t.Mapping[str, t.Any]) -> PushRequest:
        """Raises ZotError for an option that cannot be used."""
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

        An index under TAG will list it.
        """
        # A tag cannot contain a slash. A Linux image is named without its operating system.
        suffix = str(platform.normalized).replace("linux/", "", 1).replace("/", "-")
        with invalid_options():
            parts = {reference: reference.tagged(f"{reference.tag}-{suffix}") for reference in self.references}
        return replace(
            self,
            references=tuple(parts.values()),
            platform=platform,
            split=False,
            overwrite=frozenset(parts[reference] for reference in self.overwrite),
            index=self.index or self.references[0],
        )


@dataclass
class Push:
    """A request whose archive and tags were read: what is left to write.

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
        """The reference that keeps *image* when its tag moves. With force, it would keep the image that is pushed."""
        if not image.digest or self.held_by(image):
            return None
        return keeper_of(image.reference, self.request.keep_previous)
