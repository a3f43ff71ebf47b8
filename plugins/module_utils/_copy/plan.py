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

from ansible_collections.killinit.zot.plugins.module_utils._copy.request import CopyRequest
from ansible_collections.killinit.zot.plugins.module_utils._copy.source import Contents, Source
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import Referrer, referrers
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import SearchedImage, search_images
from ansible_collections.killinit.zot.plugins.module_utils._tags.keepers import keeper_of
from ansible_collections.killinit.zot.plugins.module_utils._tags.outcome import first_error, nothing_written


@dataclass(frozen=True)
class Move:
    """A tag of the destination: its digest *before* and *after*, and the keeper with its digest *kept*."""

    reference: Reference
    before: str | None
    after: str
    keeper: Reference | None = None
    kept: str | None = None

    @property
    def needed(self) -> bool:
        """Whether the tag must be written."""
        return self.before != self.after

    @property
    def keeps(self) -> bool:
        """Whether the keeper must be written."""
        return self.keeper is not None and self.kept != self.before


@dataclass
class Job:
    """The contents of one image, and the part that is missing at the *destination*, a pinned reference.

    *lost* are the members that an index at the destination lists without having them. *moves* are the tags of
    attachments. *copied* and *error* are set when the job runs.
    """

    contents: Contents
    destination: Reference
    present: bool
    lost: t.Sequence[str] = ()
    missing: t.Sequence[Referrer] = ()
    moves: t.Sequence[Move] = ()
    copied: list[str] = field(default_factory=list)
    error: ZotError | None = None

    @property
    def needed(self) -> bool:
        """Whether anything must be copied."""
        return not self.present or bool(self.lost or self.missing or any(move.needed for move in self.moves))


@dataclass
class Plan:
    """A request with its tags and its job, which requests can share.

    *written* (the tags), *kept* (the tags whose keeper was written) and *error* are set when tags move.
    """

    request: CopyRequest
    job: Job
    tags: t.Sequence[Move]
    written: list[Move] = field(default_factory=list)
    kept: list[Move] = field(default_factory=list)
    error: ZotError | None = None

    @property
    def needed(self) -> bool:
        """Whether anything must be written."""
        return self.job.needed or any(move.needed for move in self.tags)


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
    http = destination.http()
    tags = list(dict.fromkeys(tag for request in requests for tag in request.tags))
    at_destination, _tags = search_images(http, tags)
    searched = source.search(requests, at_destination)
    others = [request for request in requests if request not in searched]
    list(pool.map(source.read_tags, dict.fromkeys(request.source.repository for request in others)))
    found = {**searched, **dict(zip(others, _all(pool, source.read, others)))}
    distinct = list({contents.source: contents for contents in found.values()}.values())
    _raise_all(pool.map(gate.problem, distinct))
    # The result of the search extension is enough to leave a tag alone. Before a write the tag itself is read.
    after = {tag: contents.digest for request, contents in found.items() for tag in request.tags}
    current: dict[Reference, str | None] = {
        tag: digest for tag, digest in after.items() if tag in at_destination and at_destination[tag].digest == digest
    }
    unknown = [tag for tag in tags if tag not in current]
    current.update(zip(unknown, pool.map(http.digest, unknown)))
    jobs = _jobs(source, destination, found, at_destination, current, pool)
    plans = [Plan(request, jobs[_key(request, found[request])], ()) for request in requests]
    _raise_all(error for plan in plans for error in _occupied(plan, current))
    for plan, moves in zip(plans, pool.map(lambda each: _moves(destination, each, current), plans)):
        plan.tags = moves
    return plans


def _key(request: CopyRequest, contents: Contents) -> tuple[Reference, Reference]:
    return contents.source, request.repository.pinned(contents.digest)


def _jobs(
    source: Source,
    destination: Registry,
    found: t.Mapping[CopyRequest, Contents],
    at_destination: t.Mapping[Reference, SearchedImage],
    current: t.Mapping[Reference, str | None],
    pool: Executor,
) -> dict[tuple[Reference, Reference], Job]:
    http = destination.http()
    jobs: dict[tuple[Reference, Reference], Job] = {}
    attached: set[Reference] = set()
    moving: set[Reference] = set()
    for request, contents in found.items():
        pinned = request.repository.pinned(contents.digest)
        job = jobs.setdefault(_key(request, contents), Job(contents, pinned, False))
        job.present = job.present or any(current[tag] == contents.digest for tag in request.tags)
        if any(current[tag] != contents.digest for tag in request.tags):
            moving.add(pinned)
        for image in (at_destination[tag] for tag in request.tags if tag in at_destination):
            attached.update(pinned.pinned(each.digest) for each in image.referrers)

    def complete(job: Job) -> None:
        pinned = job.destination
        job.present = job.present or http.digest(pinned) is not None
        members = job.contents.members
        if not job.present:
            source.require_members(job.contents, members)
        elif pinned in moving:
            # Zot deletes a member whose last tag moves, and no tag may move to an index without its members.
            job.lost = [each for each in members if http.digest(pinned.pinned(each)) is None]
            source.require_members(job.contents, job.lost)
        missing = [
            each for each in job.contents.referrers if not each.tag and pinned.pinned(each.digest) not in attached
        ]
        if job.present and len(missing) > 1:
            subjects = dict.fromkeys(each.subject for each in missing)
            listed = {each.digest for one in subjects for each in referrers(destination, pinned.pinned(one), ())}
            missing = [each for each in missing if each.digest not in listed]
        job.missing = [each for each in missing if not http.digest(pinned.pinned(each.digest))]
        by_tag = [(pinned.tagged(each.tag), each.digest) for each in job.contents.referrers if each.tag]
        job.moves = [Move(tag, http.digest(tag), digest) for tag, digest in by_tag]

    _all(pool, complete, list(jobs.values()))
    return jobs


def _occupied(plan: Plan, current: t.Mapping[Reference, str | None]) -> t.Iterator[ZotError]:
    """An error for each tag that holds another image and may not move."""
    request, contents = plan.request, plan.job.contents
    own = [Move(request.tag, current[request.tag], contents.digest)] if request.tag else []
    for move in (*own, *plan.job.moves):
        if move.needed and move.before and not request.may_move(move.reference):
            yield ZotError(
                "denied",
                f"{move.reference} holds {move.before}, not {move.after}, which {contents.source.name} has",
                hint="Copy another revision. To replace the image, set overwrite: true (playbook promote:"
                " zot_promote_overwrite).",
            )


def _moves(destination: Registry, plan: Plan, current: t.Mapping[Reference, str | None]) -> list[Move]:
    found = []
    for tag in plan.request.tags:
        move = Move(tag, current[tag], plan.job.contents.digest)
        keeper = keeper_of(tag, plan.request.keep_previous) if move.needed and move.before else None
        kept = destination.http().digest(keeper) if keeper else None
        found.append(Move(tag, move.before, move.after, keeper, kept))
    return found


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
