# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Join manifests of one repository into an index under its tags.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest, Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._outcome import Outcome, report
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import invalid_options, platform_option
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer

_LOOKS_AT_ONCE = 8


@dataclass(frozen=True)
class IndexRequest:
    """Which manifests, under which tags; all references are valid and in one repository."""

    members: tuple[Reference, ...]
    references: tuple[Reference, ...]
    platforms: frozenset[Platform] | None

    @classmethod
    def from_params(cls, registry: Writer, params: t.Mapping[str, t.Any]) -> IndexRequest:
        """Raises ZotError for an option that cannot be used."""
        for option in ("tags", "manifests"):
            if not params[option]:
                raise ZotError("invalid_option", f"{option} is empty for the index in {params['repository']}")
        references = registry.references(params["repository"], params["tags"])
        with invalid_options():
            members = tuple(
                references[0].pinned(text) if is_digest(text) else references[0].tagged(text)
                for text in dict.fromkeys(params["manifests"])
            )
        wanted = params["platforms"]
        platforms = frozenset(platform_option(text).normalized for text in wanted) if wanted else None
        for reference in references:
            if reference in members:
                raise ZotError("invalid_option", f"{reference} is to become an index of itself")
        return cls(members, references, platforms)


def write_index(registry: Writer, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Write the index of a task's *params* under each tag that does not hold it; with *dry_run* only say which.

    Raises ZotError; nothing is written unless all members are there, with one platform each.
    """
    request = IndexRequest.from_params(registry, params)
    with ThreadPoolExecutor(max_workers=_LOOKS_AT_ONCE) as pool:
        pending = [pool.submit(registry.manifest, reference) for reference in request.references]
        members = list(pool.map(registry.image, request.members))
        tags = [Image(reference, found.result()) for reference, found in zip(request.references, pending)]
    entries = _entries(registry, members)
    _require_platforms(request, entries)
    children = _children(registry, request.references[0], members, entries)
    outcome = _write(registry, members, tags, children, sorted(entries), dry_run=dry_run)
    return {
        **report([outcome], single=True),
        "manifests": [{"platform": str(platform), "digest": digest} for platform, digest in sorted(entries)],
    }


def _entries(registry: Writer, members: t.Sequence[Image]) -> list[tuple[Platform, str]]:
    """Platform and digest of what the index is to list, of an index among the members what that lists.

    Raises ZotError for a member that is absent or without platform, and for a platform that comes twice.
    """
    absent = [member for member in members if member.manifest is None]
    if absent:
        names = ", ".join(str(member.reference) for member in absent)
        raise ZotError(
            "not_found",
            f"cannot write the index: {names} {'is' if len(absent) == 1 else 'are'} not there",
            hint=f"Push what is missing first. {registry.nearest_tags(absent[0].reference)}",
        )
    owners: dict[Platform, Reference] = {}
    entries = []
    for member in members:
        found = _listed(member)
        if not found:
            raise ZotError(
                "platform_mismatch",
                f"cannot write the index: {member.reference} names no platform",
                hint="Build the image with --platform: its configuration must have os and architecture.",
            )
        for platform, digest in found:
            if platform in owners:
                raise ZotError(
                    "platform_mismatch",
                    f"cannot write the index: {owners[platform]} and {member.reference} are both for {platform}",
                    hint="Give each platform once.",
                )
            owners[platform] = member.reference
            entries.append((platform, digest))
    return entries


def _listed(member: Image) -> list[tuple[Platform, str]]:
    manifest = member.manifest
    if manifest is None:
        return []
    if manifest.is_index:
        return manifest.by_platform
    platform = Platform.of(member.config or {})
    return [(platform.normalized, manifest.digest)] if platform else []


def _require_platforms(request: IndexRequest, entries: t.Sequence[tuple[Platform, str]]) -> None:
    found = {platform for platform, _digest in entries}
    if request.platforms is not None and found != request.platforms:
        raise ZotError(
            "platform_mismatch",
            f"the index {request.references[0]} would be for {_names(found)}, not for {_names(request.platforms)}",
            hint="Push the architecture that is missing, or correct manifests or platforms.",
        )


def _names(platforms: t.Iterable[Platform]) -> str:
    return ", ".join(map(str, sorted(platforms)))


def _children(
    registry: Writer, repository: Reference, members: t.Sequence[Image], entries: t.Sequence[tuple[Platform, str]]
) -> tuple[Manifest, ...]:
    """The manifests behind the entries; those of an index among the members are not known yet."""
    known = {member.digest: member.manifest for member in members}
    found = []
    for _platform, digest in entries:
        with registry.sound(repository):
            pinned = repository.pinned(digest)
        manifest = known.get(digest) or registry.manifest(pinned)
        if manifest is None:
            raise ZotError("not_found", f"cannot write the index: {pinned} is not there")
        found.append(manifest)
    return tuple(found)


def _write(
    registry: Writer,
    members: t.Sequence[Image],
    tags: t.Sequence[Image],
    children: tuple[Manifest, ...],
    wanted: t.Sequence[tuple[Platform, str]],
    *,
    dry_run: bool,
) -> Outcome:
    def holds(image: Image) -> bool:
        return image.manifest is not None and image.manifest.is_index and image.manifest.by_platform == wanted

    # Sorted, so that the same members give the same bytes; pinned, so that what was looked at is what is listed.
    sources = [member.reference.pinned(member.digest) for member in sorted(members, key=_listed) if member.digest]
    with Outcome(image.reference for image in tags) as outcome:
        for image in tags:
            outcome.found(replace(image, children=children) if holds(image) else image, settled=holds(image))
        current = next((image for image in tags if holds(image)), None)
        for image in tags:
            if holds(image):
                continue
            if dry_run:
                outcome.wrote(Image(image.reference, planned=tuple(platform for platform, _digest in wanted)))
                continue
            after = registry.write(image.reference, _writer(registry, image, current, sources), holds)
            if not holds(after):
                raise ZotError(
                    "tool_failed",
                    f"{image.reference} does not hold the index that was written",
                    hint="Somebody else wrote this tag at the same time: see to it that one does, and run again.",
                )
            current = replace(after, children=children)
            outcome.wrote(current)
    return outcome


def _writer(
    registry: Writer, image: Image, current: Image | None, sources: t.Sequence[Reference]
) -> t.Callable[[], None]:
    """The write for one tag: a new index for the first, and that same index under the further ones."""
    if current and current.digest:
        pinned, tag = image.reference.pinned(current.digest), image.reference.tag or ""
        return lambda: registry.tag(pinned, tag)
    return lambda: registry.append(sources, image.reference)
