# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives that a task pushes, and the tags that are requested.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import architecture_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
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
