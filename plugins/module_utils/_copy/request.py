# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images that a task copies: sources, destinations and tags. All options are checked before the first request.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    optional_text,
    overwrite_option,
    tag_owners,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._tags.keepers import require_own_keepers


@dataclass(frozen=True)
class CopyRequest:
    """One image: its *source* by tag or digest, the *tag* of the same name at the destination, and the shared tags.

    *repository* is any reference to the destination repository. *overwrite* is the value of the option.
    """

    source: Reference
    repository: Reference
    tag: Reference | None
    shared_tags: tuple[Reference, ...]
    overwrite: t.Any = field(compare=False)
    keep_previous: str | None

    @property
    def tags(self) -> tuple[Reference, ...]:
        """All tags that the task writes at the destination, the shared tags last."""
        return tuple(dict.fromkeys([*([self.tag] if self.tag else []), *self.shared_tags]))

    def may_move(self, reference: Reference) -> bool:
        """Whether a tag of the destination may move to another image."""
        return reference in self.shared_tags or reference in overwrite_option(self.overwrite, [reference])


def copy_requests(source: Registry, destination: Registry, params: t.Mapping[str, t.Any]) -> list[CopyRequest]:
    """The images of one item of the options. Raises ZotError for an invalid option."""
    repository = text_option("repository", params["repository"])
    source_repository = optional_text("source_repository", params["source_repository"]) or repository
    keep_previous = optional_text("keep_previous", params["keep_previous"])
    tags, digests, shared = (
        texts_option(name, [] if params[name] is None else params[name]) for name in ("tags", "digests", "shared_tags")
    )
    if not tags and not digests:
        raise ZotError("invalid_option", f"tags and digests are empty for {repository}: list at least one")
    for digest in digests:
        if not is_digest(digest):
            raise ZotError("invalid_option", f"{digest!r} in digests of {repository} is not a digest")
    if shared and len({*tags, *digests}) > 1:
        raise ZotError(
            "invalid_option", f"shared_tags of {repository} needs exactly one image, not {', '.join(tags + digests)}"
        )
    shared_tags = destination.references(repository, shared)
    references = destination.references(repository, tags)
    whole = destination.reference(repository, "latest")
    origin = source.reference(source_repository, "latest")
    if whole.name == origin.name:
        raise ZotError(
            "invalid_option",
            f"{whole.name} is both the source and the destination",
            hint="Give another source_repository or source_registry. To add a tag to an image, use"
            " killinit.zot.zot_tag.",
        )
    overwrite = params["overwrite"]
    overwrite_option(overwrite, references)  # raises now if it is not valid
    found: list[tuple[Reference, Reference | None]] = [(origin.tagged(each.tag or ""), each) for each in references]
    found += [(origin.pinned(each), None) for each in dict.fromkeys(digests)]
    return [CopyRequest(read, whole, tag, shared_tags, overwrite, keep_previous) for read, tag in found]


def require_distinct(requests: t.Sequence[CopyRequest]) -> None:
    """Raise ZotError if two images would get the same tag, or if a keeper is also a source or such a tag."""
    owners = tag_owners([(request.tags, request) for request in requests], "images")
    sources = {request.source for request in requests}
    require_own_keepers([(request.tags, request.keep_previous) for request in requests], owners.keys() | sources)
