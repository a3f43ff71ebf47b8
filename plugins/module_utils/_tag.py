# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add tags to existing images, and remove tags.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    images_option,
    invalid_options,
    optional_text,
    tag_owners,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._tags.keepers import keeper_of, only_tag, require_own_keepers
from ansible_collections.killinit.zot.plugins.module_utils._tags.outcome import Outcome, moved_entry, report
from ansible_collections.killinit.zot.plugins.module_utils._tags.write import certainly_holds, move_tag

# The maximum number of references that a task reads at the same time.
_PARALLEL_READS = 8


@dataclass(frozen=True)
class TagRequest:
    """The tags of one image, all in one repository. *source* is the image to tag, or None to remove the tags."""

    source: Reference | None
    references: tuple[Reference, ...]
    keep_previous: str | None

    @classmethod
    def from_params(cls, registry: Registry, params: t.Mapping[str, t.Any], *, present: bool) -> TagRequest:
        """Parse the options. Raises ZotError for an invalid option."""
        repository, source = text_option("repository", params["repository"]), params["source"]
        keep_previous = optional_text("keep_previous", params["keep_previous"])
        tags = texts_option("tags", params["tags"])
        if not tags:
            raise ZotError("invalid_option", f"tags is empty for {repository}")
        for tag in tags:
            if is_digest(tag):
                raise ZotError(
                    "invalid_option",
                    f"{tag} in tags of {repository} is a digest, not a tag",
                    hint="List tags only. A digest is never removed, because the registry would remove all its tags."
                    " Nothing was written.",
                )
        references = registry.references(repository, tags)
        if not present:
            for option in ("source", "keep_previous"):
                if params[option]:
                    raise ZotError("invalid_option", f"{option} of {repository} cannot be used with state absent")
            return cls(None, references, None)
        if source is None or source == "":
            raise ZotError("invalid_option", f"source is missing for {repository}")
        source = text_option("source", source)
        with invalid_options():
            return cls(
                references[0].pinned(source) if is_digest(source) else references[0].tagged(source),
                references,
                keep_previous,
            )


@dataclass(frozen=True)
class _Move:
    """One tag with its image *before* and *after*, and the keeper with its digest *kept*."""

    before: Image
    after: Image
    keeper: Reference | None = None
    kept: str | None = None

    @property
    def needed(self) -> bool:
        return self.before.digest != self.after.digest

    @property
    def keeps(self) -> bool:
        """Whether the keeper must be written."""
        return self.keeper is not None and self.kept != self.before.digest


@dataclass
class _MovedTags:
    """The tags of one image that moved, and the keepers that moved. Both are lists of entries of the result."""

    tags: list[dict[str, t.Any]] = field(default_factory=list)
    keepers: list[dict[str, t.Any]] = field(default_factory=list)


@dataclass
class Moved:
    """What a task has moved so far, by image. It is also reported if a signal ends the task."""

    images: list[_MovedTags] = field(default_factory=list)

    def entries(self) -> list[dict[str, t.Any]]:
        """The list C(moved) of the result."""
        # Keepers are listed last: until a tag is restored, its keeper may be the only tag of the image.
        tags, keepers = [each.tags for each in self.images], [each.keepers for each in self.images]
        return [entry for entries in tags + keepers for entry in entries]


def move_tags(registry: Registry, params: t.Mapping[str, t.Any], moved: Moved, *, dry_run: bool) -> dict[str, t.Any]:
    """Tag the image, or the images, of *params*, or remove their tags. With *dry_run* only report what would move.

    All images are read before the first write. If a write fails, the other images are still written. *moved* receives
    what was written. Raises ZotError.
    """
    single = params["images"] is None
    present = params["state"] == "present"
    requests = [TagRequest.from_params(registry, item, present=present) for item in images_option(params)]
    _require_distinct(requests)
    with ThreadPoolExecutor(max_workers=_PARALLEL_READS) as readers, thread_pool(params["parallel"]) as pool:
        sources = list(pool.map(lambda request: registry.image(request.source) if request.source else None, requests))
        _require_sources(registry, sources)
        plans = list(pool.map(lambda *each: _plan(registry, readers, *each), requests, sources))
        _require_held_sources(requests, plans)
        moved.images += [_MovedTags() for _plan in plans]
        outcomes = list(pool.map(lambda *each: _write(registry, *each, dry_run=dry_run), plans, moved.images))
    entries = moved.entries()
    try:
        return report(outcomes, single=single, moved=entries)
    except ZotError as error:
        if entries:
            moved_tags = ", ".join(entry["reference"] for entry in entries)
            raise error.with_(message=f"{error.message}; moved: {moved_tags}") from error
        raise


def _require_distinct(requests: t.Sequence[TagRequest]) -> None:
    owners = tag_owners([(request.references, request) for request in requests], "images")
    for request in requests:
        if request.source and owners.get(request.source, request) is not request:
            raise ZotError("invalid_option", f"{request.source} is both a source and a tag of another image")
    sources = {request.source for request in requests if request.source}
    require_own_keepers([(request.references, request.keep_previous) for request in requests], owners.keys() | sources)


def _require_sources(registry: Registry, sources: t.Iterable[Image | None]) -> None:
    missing = [source.reference for source in sources if source and not source.digest]
    if missing:
        raise ZotError(
            "not_found",
            f"cannot tag images that do not exist: {', '.join(map(str, missing))}",
            hint=f"{registry.nearest_tags(missing[0])} Nothing was written.",
        )


def _plan(registry: Registry, readers: Executor, request: TagRequest, source: Image | None) -> list[_Move]:
    def plan(reference: Reference) -> _Move:
        before = registry.image(reference)
        after = Image(reference, source.manifest, source.config) if source else Image(reference)
        move = _Move(before, after)
        keeper = keeper_of(reference, request.keep_previous) if move.needed and before.digest else None
        return _Move(before, after, keeper, registry.digest(keeper)) if keeper else move

    return list(readers.map(plan, request.references))


def _require_held_sources(requests: t.Sequence[TagRequest], plans: t.Sequence[t.Sequence[_Move]]) -> None:
    """Raise ZotError if a write could remove the last tag of a source.

    Zot deletes an image when its last tag is overwritten. A source by tag is safe, because its tag is not written.
    """
    released: dict[tuple[str, str | None], Reference] = {}
    for plan in plans:
        for move in plan:
            if move.needed:
                released[move.before.reference.name, move.before.digest] = move.before.reference
            if move.needed and move.keeper and move.keeps:
                released[move.keeper.name, move.kept] = move.keeper
    for request in requests:
        source = request.source
        holder = released.get((source.name, source.digest)) if source and source.digest else None
        if source and holder:
            hint = "Give the source by a tag that the task does not write. Nothing was written."
            raise only_tag(holder, "source", source, hint)


def _write(registry: Registry, plan: t.Sequence[_Move], moved: _MovedTags, *, dry_run: bool) -> Outcome:
    """Write the tags of one image. *moved* receives what was written, also if a later write fails."""
    with Outcome(move.after.reference for move in plan) as outcome:
        for move in plan:
            outcome.found(move.before, settled=not move.needed)
        for move in plan:
            if not move.needed:
                continue
            if move.keeper and move.keeps:
                if not dry_run:
                    registry.keep(move.before, move.keeper)
                outcome.kept(move.before.reference, move.keeper)
                moved.keepers.append(moved_entry(move.keeper, move.kept, move.before.digest))
            moved.tags.append(moved_entry(move.after.reference, move.before.digest, move.after.digest))
            if not dry_run:
                try:
                    _write_tag(registry, move.after)
                except ZotError:
                    if certainly_holds(registry.digest, move.before.reference, move.before.digest):
                        moved.tags.pop()
                    raise
            if move.after.digest:
                outcome.wrote(move.after, previous_tag=move.keeper)
            else:
                outcome.removed(move.after.reference)
    return outcome


def _write_tag(registry: Registry, image: Image) -> None:
    reference, digest = image.reference, image.digest
    if digest is None:
        registry.untag(reference)
        return
    move_tag(registry, reference, digest)
