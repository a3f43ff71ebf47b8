# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write image indexes, each only to the tags that do not refer to it yet.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest, Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    images_option,
    invalid_options,
    optional_text,
    overwrite_option,
    platform_option,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import (
    NOTHING_WRITTEN,
    UNWRITTEN,
    Move,
    Outcome,
    keeper_of,
    only_tag,
    report,
    require_distinct,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.write import (
    confirm,
    look_again,
    move_tag,
    occupied,
    written_by_another,
)

# The number of tags and members that a task reads at the same time.
_PARALLEL_READS = 8


@dataclass(frozen=True)
class IndexRequest:
    """One index: its members and its tags. All references are valid and in one repository."""

    members: tuple[Reference, ...]
    references: tuple[Reference, ...]
    platforms: frozenset[Platform] | None
    overwrite: frozenset[Reference]
    keep_previous: str | None

    @classmethod
    def from_params(cls, registry: Registry, params: t.Mapping[str, t.Any]) -> IndexRequest:
        """Parse the options. Raises ZotError for an invalid option."""
        repository = text_option("repository", params["repository"])
        tags, manifests = (texts_option(option, params[option]) for option in ("tags", "manifests"))
        if not tags or not manifests:
            empty = "manifests" if tags else "tags"
            raise ZotError("invalid_option", f"{empty} is empty for the index in {repository}")
        references = registry.references(repository, tags)
        with invalid_options():
            members = tuple(
                references[0].pinned(text) if is_digest(text) else references[0].tagged(text)
                for text in dict.fromkeys(manifests)
            )
        wanted = texts_option("platforms", params["platforms"] or [])
        platforms = frozenset(platform_option(text).normalized for text in wanted) or None
        overwrite = overwrite_option(params["overwrite"], references)
        keep_previous = optional_text("keep_previous", params["keep_previous"])
        return cls(members, references, platforms, overwrite, keep_previous)

    def keeper(self, image: Image) -> Reference | None:
        """The reference that keeps *image* when its tag moves."""
        return keeper_of(image.reference, self.keep_previous) if image.digest else None


@dataclass
class _Index:
    """A request whose members and tags were read: what the index lists, and members that are missing."""

    request: IndexRequest
    outcome: Outcome
    entries: t.Sequence[tuple[Platform, str]] = ()
    missing: t.Sequence[Reference] = ()
    members: t.Sequence[Image] = ()
    tags: t.Sequence[Image] = ()
    children: tuple[Manifest, ...] = ()

    @property
    def stale(self) -> list[Image]:
        """The tags to write."""
        return [image for image in self.tags if self.missing or not is_index_of(image.manifest, self.entries)]

    @property
    def planned(self) -> tuple[Platform, ...]:
        """The platforms of the index after the task. Those of missing members are known only from the option."""
        wanted = self.request.platforms if self.missing else None
        return tuple(sorted(wanted or {platform for platform, _digest in self.entries}))


def run(
    registry: Registry, params: t.Mapping[str, t.Any], *, dry_run: bool, warn: t.Callable[[str], None]
) -> dict[str, t.Any]:
    """Write the index, or the list of indexes, of *params*. With *dry_run* only report what would be written.

    An index is written only if all its members exist and have different platforms. In a dry run a missing member counts
    as pushed, and *warn* is called with its name. All members and tags are read before the first write. If a read
    fails, the task stops. If a write fails, the other writes continue. Raises ZotError.
    """
    single = params["images"] is None
    requests = [IndexRequest.from_params(registry, item) for item in images_option(params)]
    members = dict.fromkeys(member for request in requests for member in request.members)
    # A member has a configuration.
    registry.expect(2 * len(members) + sum(len(request.references) for request in requests))
    targets = require_distinct(requests, "indexes", members)
    for member in members:
        if member in targets:
            raise ZotError("invalid_option", f"{member} is both a tag to write and a member of an index")
    with ThreadPoolExecutor(max_workers=_PARALLEL_READS) as readers, thread_pool(params["parallel"]) as pool:
        indexes = list(pool.map(lambda each: _read(registry, readers, each, dry_run=dry_run), requests))
        _require_held_members(indexes)
        outcomes = [index.outcome for index in indexes]
        begun = not any(outcome.failed for outcome in outcomes)
        if begun:
            list(pool.map(lambda each: _write(registry, each, dry_run=dry_run), indexes))
        if begun and not dry_run:
            confirm(registry, outcomes, pool)
    for request, index in zip(requests, indexes):
        missing = [str(reference) for reference in index.missing]
        if missing:
            warn(
                f"{', '.join(missing)} {_verb(missing)} not exist yet. Check mode assumes that an earlier task would"
                f" push {'it' if len(missing) == 1 else 'them'} before the index {request.references[0]} is written."
            )
    result = report(outcomes, single=single, unmoved=None if begun else NOTHING_WRITTEN)
    if single:
        entries = indexes[0].entries
        result["manifests"] = [{"platform": str(platform), "digest": digest} for platform, digest in entries]
    return result


def _require_held_members(indexes: t.Sequence[_Index]) -> None:
    """Set an error for each tag to write that could be the only tag of a member.

    Zot deletes an image when its last tag is overwritten, even if an index lists it. A member by tag is safe, because
    the task does not write its tag.
    """
    used: set[tuple[str, str | None]] = set()
    tagged: set[tuple[str, str | None]] = set()
    for index in indexes:
        name = index.request.references[0].name
        used |= {(name, digest) for _platform, digest in index.entries}
        used |= {(name, member.digest) for member in index.members}
        tagged |= {(name, member.digest) for member in index.members if member.reference.tag}
    hint = (
        "Give the member by a tag that the task does not write, or set keep_previous"
        " (role zot_publish: zot_publish_keep_previous)."
    )
    for index in indexes:
        for image in index.stale:
            held = image.digest and (image.reference.name, image.digest) in used - tagged
            if held and not index.request.keeper(image) and not index.outcome.failed:
                member = image.reference.pinned(image.digest or "")
                index.outcome.fail(only_tag(image.reference, "member", member, hint), image.reference)


def _read(registry: Registry, readers: Executor, request: IndexRequest, *, dry_run: bool) -> _Index:
    index = _Index(request, Outcome(request.references))
    outcome = index.outcome
    with outcome.catch():
        pending_tags = [readers.submit(registry.manifest, reference) for reference in request.references]
        members = list(readers.map(registry.image, request.members))
        tags = [Image(reference, found.result()) for reference, found in zip(request.references, pending_tags)]
        present = [each for each in members if each.manifest]
        missing = [each.reference for each in members if not each.manifest]
        if missing and not dry_run:
            raise _missing_members(registry, missing)
        index.entries = entries = index_entries(present)
        _require_platforms(request, {platform for platform, _digest in entries}, complete=not missing)
        if not missing:
            index.children = _children(registry, request.references[0], members, entries)
        index.missing, index.members, index.tags = missing, members, tags
        for image in tags:
            is_written = not missing and is_index_of(image.manifest, entries)
            outcome.found(image._replace(children=index.children) if is_written else image, settled=is_written)
            if image.manifest and not is_written and not missing and image.reference not in request.overwrite:
                outcome.fail(
                    occupied(image, f"an index of {index_differences(image.manifest, entries)}"), image.reference
                )
    return index


def index_differences(manifest: Manifest | None, entries: t.Sequence[tuple[Platform, str]]) -> str:
    """The entries of an index as text, and the platforms of *manifest* that the index lacks."""
    current = manifest.by_platform if manifest else []
    lost = sorted({platform for platform, _digest in current} - {platform for platform, _digest in entries})
    new = [f"{digest} for {platform}" for platform, digest in entries if (platform, digest) not in current]
    text = ", ".join(new or [str(platform) for platform, _digest in entries])
    return f"{text}, which would lose {', '.join(map(str, lost))}" if lost else text


def _write(registry: Registry, index: _Index, *, dry_run: bool) -> None:
    with index.outcome.catch():
        current = next((image for image in index.tags if is_index_of(image.manifest, index.entries)), None)
        for image in index.stale:
            if dry_run:
                planned = Image(image.reference, planned=index.planned)
                index.outcome.wrote(planned, previous_tag=index.request.keeper(image))
            else:
                current = _move(registry, index, image, current)


def _move(registry: Registry, index: _Index, image: Image, current: Image | None) -> Image:
    """Move one tag to the index, which the registry has if it is *current*. Return the index."""
    request, reference = index.request, image.reference

    def is_same(digest: str) -> bool:
        return is_index_of(registry.manifest(reference.pinned(digest)), index.entries)

    after = (current.digest if current else None) or UNWRITTEN
    move = Move.plan(reference, image.digest, after, request.keep_previous, registry.digest)
    if look_again(
        registry,
        move,
        request.keep_previous,
        may_replace=reference in request.overwrite,
        is_same=is_same,
        outcome=index.outcome,
    ):
        if current:
            move_tag(registry, move)
        else:
            # The additional tags get the digest of the first one.
            current = append_index(registry, index.members, index.entries, reference)
    elif current is None or current.digest != move.after:
        current = registry.image(reference)
    index.outcome.wrote(current._replace(reference=reference, children=index.children), previous_tag=move.previous_tag)
    return current


def append_index(
    registry: Registry, members: t.Sequence[Image], entries: t.Sequence[tuple[Platform, str]], reference: Reference
) -> Image:
    """Write the index of *members*, with the *entries* of index_entries(), to a tag."""
    # The members are sorted, so that the same members give the same bytes, and pinned to the digests that were checked.
    sources = [member.reference.pinned(member.digest) for member in sorted(members, key=_listed) if member.digest]
    after = registry.write(
        reference, lambda: registry.append(sources, reference), lambda now: is_index_of(now.manifest, entries)
    )
    if not is_index_of(after.manifest, entries):
        raise written_by_another(reference, after.digest, "not the index that was written")
    return after


def _missing_members(registry: Registry, missing: t.Sequence[Reference]) -> ZotError:
    names = [str(reference) for reference in missing]
    return ZotError(
        "not_found",
        f"cannot write the index: {', '.join(names)} {_verb(names)} not exist",
        hint=f"Push the missing images first. {registry.nearest_tags(missing[0])}",
    )


def _verb(names: t.Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def index_entries(members: t.Sequence[Image]) -> list[tuple[Platform, str]]:
    """The platform and the digest of each entry, sorted. A member that is an index contributes its own entries.

    Raises ZotError for a member without a platform, and for two members of one platform.
    """
    owners: dict[Platform, Reference] = {}
    entries = []
    for member in members:
        found = _listed(member)
        if not found:
            raise ZotError(
                "platform_mismatch",
                f"cannot write the index: {member.reference} has no platform",
                hint="Build the image with --platform: its configuration must contain os and architecture.",
            )
        for platform, digest in found:
            if platform in owners:
                raise ZotError(
                    "platform_mismatch",
                    f"cannot write the index: {owners[platform]} and {member.reference} are both for {platform}",
                    hint="Give one manifest for each platform.",
                )
            owners[platform] = member.reference
            entries.append((platform, digest))
    return sorted(entries)


def _listed(member: Image) -> list[tuple[Platform, str]]:
    manifest, platform = member.manifest, Platform.of(member.config or {})
    if manifest and manifest.is_index:
        return manifest.by_platform
    return [(platform.normalized, manifest.digest)] if manifest and platform else []


def _require_platforms(request: IndexRequest, found: t.AbstractSet[Platform], *, complete: bool) -> None:
    wanted = request.platforms
    # The option cannot name a version of Windows.
    plain = {platform._replace(os_version="") for platform in found}
    if wanted is not None and (plain != wanted if complete else not plain <= wanted):
        raise ZotError(
            "platform_mismatch",
            f"the index {request.references[0]} would be for {_names(found)}, not for {_names(wanted)}",
            hint="Push the missing architecture, or correct manifests or platforms.",
        )


def _names(platforms: t.Iterable[Platform]) -> str:
    return ", ".join(map(str, sorted(platforms)))


def _children(
    registry: Registry, repository: Reference, members: t.Sequence[Image], entries: t.Sequence[tuple[Platform, str]]
) -> tuple[Manifest, ...]:
    """The manifests of the entries. Those of a member that is an index have not been read yet."""
    known = {member.digest: member.manifest for member in members}
    found = []
    for _platform, digest in entries:
        with registry.valid_response(repository):
            pinned = repository.pinned(digest)
        manifest = known.get(digest) or registry.manifest(pinned)
        if manifest is None:
            raise ZotError("not_found", f"cannot write the index: {pinned} does not exist")
        found.append(manifest)
    return tuple(found)


def is_index_of(manifest: Manifest | None, entries: t.Sequence[tuple[Platform, str]]) -> bool:
    """Whether a manifest of the registry is the index with these entries."""
    return manifest is not None and manifest.is_index and manifest.by_platform == entries
