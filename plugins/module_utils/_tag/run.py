# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add tags to existing images, and remove tags.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    images_option,
    invalid_options,
    optional_text,
    text_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import (
    Move,
    Outcome,
    only_tag,
    report,
    require_distinct,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.write import keep, move_tag, still_needed

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


@dataclass
class _Tagging:
    """The moves of the tags of one image, and their outcome. Without a *source* the tags are removed."""

    source: Image | None
    moves: t.Sequence[Move]
    outcome: Outcome


def run(registry: Registry, params: t.Mapping[str, t.Any], moves: list[Move], *, dry_run: bool) -> dict[str, t.Any]:
    """Tag the image, or the images, of *params*, or remove their tags. With *dry_run* only report what would move.

    All images are read before the first write. If a write fails, the other images are still written. *moves* receives
    the moves, which show what was written if a signal ends the task. Raises ZotError.
    """
    single = params["images"] is None
    present = params["state"] == "present"
    requests = [TagRequest.from_params(registry, item, present=present) for item in images_option(params)]
    sources = dict.fromkeys(request.source for request in requests if request.source)
    registry.expect(sum(1 + len(request.references) for request in requests))
    owners = require_distinct(requests, "images", sources)
    for request in requests:
        if request.source and owners.get(request.source, request) is not request:
            raise ZotError("invalid_option", f"{request.source} is both a source and a tag of another image")
    with ThreadPoolExecutor(max_workers=_PARALLEL_READS) as readers, thread_pool(params["parallel"]) as pool:
        images = list(pool.map(lambda request: registry.image(request.source) if request.source else None, requests))
        _require_sources(registry, images, pool)
        taggings = list(pool.map(lambda *each: _read(registry, readers, *each), requests, images))
        moves += [move for each in taggings for move in each.moves]
        _require_held_sources(sources, moves)
        list(pool.map(lambda each: _write(registry, each, dry_run=dry_run), taggings))
    return report([each.outcome for each in taggings], single=single, moves=moves)


def _require_sources(registry: Registry, images: t.Iterable[Image | None], pool: Executor) -> None:
    sources = {image.reference: image for image in images if image}
    missing = [reference for reference, source in sources.items() if not source.digest]
    if missing:
        raise ZotError(
            "not_found",
            f"cannot tag images that do not exist: {', '.join(map(str, missing))}",
            hint=f"{registry.nearest_tags(missing[0])} Nothing was written.",
        )
    for error in pool.map(registry.incomplete, sources.values()):
        if error:
            raise error.with_(hint=f"{error.hint} Nothing was written.")


def _read(registry: Registry, readers: Executor, request: TagRequest, source: Image | None) -> _Tagging:
    images = list(readers.map(registry.image, request.references))
    after = source.digest if source else None
    moves = readers.map(
        lambda image: Move.plan(image.reference, image.digest, after, request.keep_previous, registry.digest), images
    )
    tagging = _Tagging(source, list(moves), Outcome(request.references))
    for image, move in zip(images, tagging.moves):
        tagging.outcome.found(image, settled=not move.needed)
    return tagging


def _require_held_sources(sources: t.Iterable[Reference], moves: t.Iterable[Move]) -> None:
    """Raise ZotError if a write could remove the last tag of a source.

    Zot deletes an image when its last tag is overwritten. A source by tag is safe, because its tag is not written.
    """
    released = {
        each.tag.pinned(each.before): each.tag
        for move in moves
        for each in (move, move.keeper)
        if each and each.needed and each.before
    }
    for source in sources:
        if source in released:
            hint = "Give the source by a tag that the task does not write. Nothing was written."
            raise only_tag(released[source], "source", source, hint)


def _write(registry: Registry, tagging: _Tagging, *, dry_run: bool) -> None:
    outcome, source = tagging.outcome, tagging.source
    with outcome.catch():
        for move in tagging.moves:
            if not move.needed:
                continue
            if dry_run:
                move.assume_written()
            elif still_needed(registry, move):
                keep(registry, move)
                if move.keeps:
                    outcome.kept(move.tag, move.previous_tag)
                move_tag(registry, move)
            else:  # another client has done the same meanwhile
                outcome.found(source._replace(reference=move.tag) if source else Image(move.tag), settled=True)
                continue
            if source:
                outcome.wrote(source._replace(reference=move.tag), previous_tag=move.previous_tag)
            else:
                outcome.removed(move.tag)
