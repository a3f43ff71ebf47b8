# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read both registries, and plan which contents to copy and which tags to move. Nothing is written.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._copy.source import Contents, CopyRequest, Source
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import referrers
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import SearchedImage, search_images
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Move, first_error, nothing_written


@dataclass
class Part:
    """A manifest that the destination lacks: an image, a member of an index, or an attachment.

    *move* is the move of the tag of an attachment. *copied* means that this task has copied the part, or in check mode
    would copy it.
    """

    digest: str
    move: Move | None = None
    copied: bool = False

    @property
    def key(self) -> str:
        """The tag of an attachment, or the digest. Two tags can attach the same manifest."""
        return str(self.move.tag.tag) if self.move else self.digest


@dataclass
class Job:
    """The contents of one image, and the *parts* that are missing at the *destination*, a pinned reference.

    *tags* are the tags that will refer to the image. *error* is set when the job runs.
    """

    contents: Contents
    destination: Reference
    tags: list[Reference] = field(default_factory=list)
    parts: t.Sequence[Part] = ()
    error: ZotError | None = None

    @property
    def missing(self) -> set[str]:
        """The keys of the parts that the destination lacked at the start of the task."""
        return {part.key for part in self.parts}

    @property
    def copied(self) -> set[str]:
        """The keys of the copied parts."""
        return {part.key for part in self.parts if part.copied}


@dataclass
class Plan:
    """A request with the moves of its tags and its job, which requests can share. *error* is set when tags move."""

    request: CopyRequest
    job: Job
    moves: t.Sequence[Move] = ()
    error: ZotError | None = None


@dataclass(frozen=True)
class Gate:
    """The attachments that an image must have. *verify* raises ZotError if the image has no valid signature."""

    require: t.Sequence[str]
    verify: t.Callable[[Reference], None] | None

    def problem(self, contents: Contents) -> ZotError | None:
        """The error of an image that must not be copied."""
        missing = [kind for kind in self.require if not contents.carries(kind)]
        if missing:
            return ZotError(
                "denied",
                f"{contents.source} has no {' and no '.join(missing)}",
                hint="Attach it to the image at the source, or correct the option require.",
            )
        try:
            if self.verify:
                self.verify(contents.source)
        except ZotError as error:
            return error
        return None


def make_plans(
    source: Source, destination: Registry, requests: t.Sequence[CopyRequest], gate: Gate, pool: Executor
) -> list[Plan]:
    """Read both registries. Raises a ZotError that names the images that cannot be copied."""
    tags = list(dict.fromkeys(tag for request in requests for tag in request.references))
    at_destination, _tags = search_images(destination.http(), tags)
    searched = source.search(requests, at_destination)
    others = [request for request in requests if request not in searched]
    list(pool.map(source.read_tags, {request.source.repository: request.source for request in others}.values()))
    found = {**searched, **dict(zip(others, _all(pool, source.read, others)))}
    distinct = list({contents.source: contents for contents in found.values()}.values())
    _raise_all(pool.map(gate.problem, distinct))
    # The result of the search extension is enough to leave a tag alone. Before a write the tag itself is read.
    after = {tag: contents.digest for request, contents in found.items() for tag in request.references}
    current: dict[Reference, str | None] = {
        tag: digest for tag, digest in after.items() if tag in at_destination and at_destination[tag].digest == digest
    }
    unknown = [tag for tag in tags if tag not in current]
    current.update(zip(unknown, pool.map(destination.digest, unknown)))
    jobs: dict[tuple[Reference, Reference], Job] = {}
    plans = []
    for request in requests:
        contents = found[request]
        pinned = request.repository.pinned(contents.digest)
        job = jobs.setdefault((contents.source, pinned), Job(contents, pinned))
        job.tags += request.references
        plans.append(Plan(request, job))
    _all(pool, lambda job: _find_parts(source, destination, job, at_destination, current), list(jobs.values()))
    _raise_all(error for plan in plans for error in _occupied(plan, current))
    for plan, moves in zip(plans, pool.map(lambda each: _moves(destination, each, current), plans)):
        plan.moves = moves
    return plans


def _find_parts(
    source: Source,
    destination: Registry,
    job: Job,
    at_destination: t.Mapping[Reference, SearchedImage],
    current: t.Mapping[Reference, str | None],
) -> None:
    contents, pinned = job.contents, job.destination
    digests = {current[tag] for tag in job.tags}
    present = contents.digest in digests or destination.digest(pinned) is not None
    lost: list[str] = []
    if not present:
        source.require_members(contents, contents.members)
    else:
        # Zot deletes a member whose last tag is overwritten, although an index lists the member.
        lost = [each for each in contents.members if destination.digest(pinned.pinned(each)) is None]
        source.require_members(contents, lost)
    attached = {each.digest for tag in job.tags if tag in at_destination for each in at_destination[tag].referrers}
    missing = [each for each in contents.referrers if not each.tag and each.digest not in attached]
    if present and len(missing) > 1:
        subjects = dict.fromkeys(each.subject for each in missing)
        listed = {each.digest for one in subjects for each in referrers(destination, pinned.pinned(one), ())}
        missing = [each for each in missing if each.digest not in listed]
    missing = [each for each in missing if not destination.digest(pinned.pinned(each.digest))]
    tagged = [(pinned.tagged(each.tag), each.digest) for each in contents.referrers if each.tag]
    moves = [Move(tag, destination.digest(tag), digest) for tag, digest in tagged]
    job.parts = [
        *(Part(digest) for digest in ([] if present else [contents.digest])),
        *(Part(digest) for digest in lost),
        *(Part(each.digest) for each in missing),
        *(Part(digest, move) for move, (_tag, digest) in zip(moves, tagged) if move.needed),
    ]


def _occupied(plan: Plan, current: t.Mapping[Reference, str | None]) -> t.Iterator[ZotError]:
    """An error for each tag that holds another image and may not move."""
    request, contents = plan.request, plan.job.contents
    own = [Move(request.tag, current[request.tag], contents.digest)] if request.tag else []
    for move in (*own, *(part.move for part in plan.job.parts if part.move)):
        if move.needed and move.before and not request.may_move(move.tag):
            yield ZotError(
                "denied",
                f"{move.tag} holds {move.before}, not {move.after}, which {contents.source.name} has",
                hint="Copy another revision. To replace the image, set overwrite: true (playbook promote:"
                " zot_promote_overwrite).",
            )


def _moves(destination: Registry, plan: Plan, current: t.Mapping[Reference, str | None]) -> list[Move]:
    request, digest = plan.request, plan.job.contents.digest
    return [
        Move.plan(tag, current[tag], digest, request.keep_previous, destination.digest) for tag in request.references
    ]


T = t.TypeVar("T")
R = t.TypeVar("R")


def _all(pool: Executor, action: t.Callable[[T], R], items: t.Sequence[T]) -> list[R]:
    """The result for each item. Raises ZotError with the errors of all items."""

    def attempt(item: T) -> R | ZotError:
        try:
            return action(item)
        except ZotError as error:
            return error

    results = list(pool.map(attempt, items))
    _raise_all(each for each in results if isinstance(each, ZotError))
    return t.cast("list[R]", results)


def _raise_all(problems: t.Iterable[ZotError | None]) -> None:
    errors = [each for each in problems if each]
    first = first_error(errors)
    if first:
        raise first.with_(message=nothing_written(first, errors)) from first
