# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse pushes that would replace a published image.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, predicted_oci_configs, sha256
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._overwrite import OVERWRITE_HINT, occupied
from ansible_collections.killinit.zot.plugins.module_utils._push_request import Push
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader


def protect(registry: Reader, pushes: t.Sequence[Push]) -> None:
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


def _is_published(registry: Reader, reference: Reference, group: t.Sequence[Push]) -> bool:
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
                hint=f"Publish all platforms of the revision. {OVERWRITE_HINT}",
            )
    except ZotError as error:
        for each in group:
            each.outcome.fail(error)
    return True


def _member(registry: Reader, index: Image, each: Push, digest: str | None) -> Image:
    known = next((image for image in each.tags if digest and image.digest == digest), None)
    member = known or (registry.image(index.reference.pinned(digest)) if digest else None)
    if member is None or not each.held_by(member):
        held = f"{digest} for {each.platform}" if digest else f"nothing for {each.platform}"
        raise ZotError(
            "denied",
            f"{index.reference} is published as {index.digest}, which has {held}, not {_described(each)}",
            hint=OVERWRITE_HINT,
        )
    return member


def _described(each: Push) -> str:
    """The image of an archive, whose digest in the registry is not known before the push."""
    configuration = sha256(predicted_oci_configs(each.archive.config)[0])
    return f"the image of {each.request.archive} with the configuration {configuration}"
