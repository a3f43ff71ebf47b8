# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare pushes with the index of their revision: do not replace published images, and do not push them again.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._push.request import Push
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._tags.write import OVERWRITE_HINT, REPLACE_HINT, occupied


def protect(registry: Registry, pushes: t.Sequence[Push]) -> None:
    """Set an error for each push that would replace an image which its request may not replace."""
    groups: dict[Reference, list[Push]] = {}
    for each in pushes:
        if each.request.member_of and not each.request.overwrite.issuperset(each.request.references):
            groups.setdefault(each.request.member_of, []).append(each)
    published = {index for index, group in groups.items() if _is_published(registry, index, group)}
    for each in pushes:
        replaceable = each.request.overwrite
        if each.request.member_of in groups and each.request.member_of not in published:
            replaceable = frozenset(each.request.references)
        for image in [] if each.outcome.failed else each.stale:
            if image.manifest and image.reference not in replaceable and not each.held_by(image):
                each.outcome.fail(occupied(image, _described(each)), image.reference)


def settle_members(registry: Registry, pushes: t.Sequence[Push]) -> None:
    """Settle the missing tags of single architectures whose images the index of the revision lists.

    zot_prune removes such tags with untag_members. A push would create the tag again, or even give another digest.
    """
    indexes: dict[Reference, Manifest | None] = {}
    for each in pushes:
        index = each.request.member_of
        absent = [image for image in each.stale if index and _is_part(image, index) and not image.manifest]
        if index is None or not absent or each.request.force:
            continue
        with each.outcome.catch():
            if each.member is None:
                if index not in indexes:
                    indexes[index] = registry.manifest(index)
                each.member = _same_image(registry, index, indexes[index], each)
        if each.member:
            for image in absent:
                published = Image(image.reference, each.member.manifest, each.member.config)
                each.outcome.found(published, settled=True)
                each.stale.remove(image)


def _is_part(image: Image, index: Reference) -> bool:
    return str(image.reference.tag).startswith(f"{index.tag}-")


def _same_image(registry: Registry, reference: Reference, index: Manifest | None, each: Push) -> Image | None:
    """The image of the archive in an index that may be replaced. None if the index does not have it."""
    digest = dict(index.by_platform).get(each.platform.normalized) if index and each.platform else None
    image = registry.image(reference.pinned(digest)) if digest else None
    return image if image and each.held_by(image) else None


def _is_published(registry: Registry, reference: Reference, group: t.Sequence[Push]) -> bool:
    """Whether the index exists. Then it must list the images of the group and no others."""
    try:
        manifest = registry.manifest(reference)
        if manifest is None:
            return False
        members = dict(manifest.by_platform)
        for each in group:
            digest = members.pop(each.platform.normalized, None) if each.platform else None
            each.member = _member(registry, Image(reference, manifest), each, digest)
        if members:
            lost = ", ".join(map(str, members))
            raise ZotError(
                "denied",
                f"{reference} is published as {manifest.digest}, which also has {lost}: its new index would lose that",
                hint=f"Publish all platforms of the revision, or use a new revision. {REPLACE_HINT}",
            )
    except ZotError as error:
        for each in group:
            each.outcome.fail(error)
    return True


def _member(registry: Registry, index: Image, each: Push, digest: str | None) -> Image:
    known = next((image for image in each.tags if digest and image.digest == digest), None)
    member = known or (registry.image(index.reference.pinned(digest)) if digest else None)
    if member is None or not each.held_by(member):
        actual = f"{digest} for {each.platform}" if digest else f"nothing for {each.platform}"
        raise ZotError(
            "denied",
            f"{index.reference} is published as {index.digest}, which has {actual}, not {_described(each)}",
            hint=OVERWRITE_HINT,
        )
    return member


def _described(each: Push) -> str:
    """The image of an archive as text. Its digest in the registry is not known before the push."""
    return f"the image of {each.request.archive}"
