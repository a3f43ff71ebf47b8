# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read all images of a repository: with one request to the search extension, or else from the registry itself.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import (
    attachment_tag,
    is_attachment,
    is_upload,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import ImageMember, TaggedImage, search


@dataclass(frozen=True)
class Inventory:
    """The tags of a repository and their images. *source* is C(search) or C(registry)."""

    tags: t.Sequence[str]
    images: t.Sequence[TaggedImage]
    source: str


def read_inventory(
    registry: Registry, repository: Reference, pool: ThreadPoolExecutor, *, uploads: bool = False
) -> Inventory | None:
    """The inventory of a repository; None only if it does not exist. Raises ZotError, also if it may not be read.

    It has no upload tags, except with *uploads*.

    The list of tags is read from the registry itself. The search extension hides a repository that the user may not
    read, and can lack a new tag or list a deleted one. *pool* must not be the pool that runs this function.
    """
    http = registry.http()
    listed = registry.tags(repository)
    if listed is None:
        return None
    tags = [tag for tag in listed if uploads or not is_upload(tag)]
    names = [tag for tag in tags if not is_attachment(tag)]
    found = {each.tag: each for each in (search(http, repository.repository) if names else None) or ()}
    missing = [repository.tagged(tag) for tag in names if tag not in found]
    digests = dict(zip(missing, pool.map(registry.digest, missing)))
    distinct = [repository.pinned(digest) for digest in dict.fromkeys(digests.values()) if digest]
    members = dict(zip(distinct, pool.map(lambda each: _read(registry, each), distinct)))
    attachments = set(tags)
    for reference, digest in digests.items():
        media_type, manifests = members.get(repository.pinned(digest), ("", ())) if digest else ("", ())
        if digest and manifests:  # else another client has just removed the tag
            signed = attachment_tag(digest, "sig") in attachments or None
            found[str(reference.tag)] = TaggedImage(str(reference.tag), digest, media_type, manifests, signed=signed)
    source = "search" if len(missing) < len(names) or not names else "registry"
    return Inventory(tags, [found[tag] for tag in names if tag in found], source)


def _read(registry: Registry, reference: Reference) -> tuple[str, t.Sequence[ImageMember]]:
    """The media type and the members of an image."""
    manifest = registry.manifest(reference)
    if manifest is None:
        return "", ()
    if not manifest.is_index:
        return manifest.media_type, [_member(manifest, next(iter(registry.platforms(reference, manifest)), None))]
    with registry.valid_response(reference):
        entries = [(entry, reference.pinned(entry.digest)) for entry in manifest.entries]
    read = [(entry, registry.manifest(pinned)) for entry, pinned in entries]
    return manifest.media_type, [
        _member(child, platform) if child else ImageMember(entry.digest, None, platform, 0)
        for entry, child in read
        for platform in [str(entry.platform) if entry.platform else None]
    ]


def _member(manifest: Manifest, platform: str | None) -> ImageMember:
    size = manifest.document_size + manifest.size
    return ImageMember(manifest.digest, manifest.config_digest or None, platform, size)
