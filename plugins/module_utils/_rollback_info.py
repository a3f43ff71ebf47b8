# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the images that shared tags are rolled back to: those of a named revision, or of the previous release.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import (
    form_of,
    is_attachment,
    is_revision,
    is_upload,
    keeper_tag,
    without_architecture,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import Time, parse_time
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import text_option, texts_option

# The number of revisions that an error message lists, and that are read in each repository for their build time.
_LISTED = 5
_DATED = 100
# The maximum number of revisions to compare. Each needs a request, so more would take minutes.
_COMPARED = 1000
# Sorts before every time that a builder writes.
_UNKNOWN_TIME = Time(-(2**63))


@dataclass
class _Repository:
    """The shared tags of one repository, each with its digest, the digest of its keeper, and its new digest."""

    tags: tuple[Reference, ...]
    keep_previous: str
    current: t.Sequence[str | None] = ()
    previous: t.Sequence[str | None] = ()
    target: t.Sequence[str | None] = ()

    def keeper(self, tag: str | None) -> str:
        """The tag that keeps the previous image of a tag."""
        return keeper_tag(self.keep_previous, tag or "")

    @property
    def keepers(self) -> tuple[Reference, ...]:
        """The keepers of the shared tags."""
        return tuple(each.tagged(self.keeper(each.tag)) for each in self.tags)

    @property
    def name(self) -> str:
        return self.tags[0].repository


@dataclass
class _Rollback:
    """The verdict; *revision* is None if no tag names the revision."""

    repositories: t.Sequence[_Repository]
    revision: str | None = None
    problems: list[str] = field(default_factory=list)


def run(registry: Registry, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The result of the module. Raises ZotError."""
    repositories = _repositories(registry, params)
    with thread_pool(params["parallel"]) as pool:
        for each in repositories:
            each.current = list(pool.map(registry.digest, each.tags))
        plan = _Rollback(repositories, _revision(params["revision"], repositories))
        if plan.revision is None:
            _find_previous(registry, pool, plan)
        else:
            _find_revision(registry, pool, plan)
        if params["require_platforms"] and not plan.problems:
            _compare_platforms(registry, pool, plan)
        return _result(registry, plan, [_named_revisions(registry, pool, each) for each in repositories])


def _repositories(registry: Registry, params: t.Mapping[str, t.Any]) -> list[_Repository]:
    if not params["images"]:
        raise ZotError("invalid_option", "images is empty: list at least one image")
    found: dict[str, _Repository] = {}
    for number, image in enumerate(params["images"]):
        name = image.get("repository")
        if not isinstance(name, str) or not name:
            raise ZotError("invalid_option", f"images[{number}] has no repository: set it")
        if name in found:
            raise ZotError("invalid_option", f"images[{number}] has the repository of another entry: {name}")
        own = image.get("tags")
        tags = texts_option("tags" if own is None else f"images[{number}].tags", params["tags"] if own is None else own)
        if not tags:
            raise ZotError("invalid_option", f"images[{number}] ({name}) has no shared tag: set tags")
        for tag in tags:
            if is_digest(tag):
                raise ZotError("invalid_option", f"images[{number}] ({name}): {tag} is a digest, not a tag")
        found[name] = _Repository(registry.references(name, tags), params["keep_previous"])
    return list(found.values())


def _revision(given: t.Any, repositories: t.Sequence[_Repository]) -> str | None:
    if given is None or given == "":
        return None
    revision = text_option("revision", given)
    for each in repositories:
        if revision in [tag.tag for tag in each.tags]:
            raise ZotError("invalid_option", f"revision is {revision}, which is a shared tag: name the tag of a build")
    if is_upload(revision):
        raise ZotError("invalid_option", f"revision is {revision}, which is an upload tag: name the tag of a build")
    return revision


def _find_revision(registry: Registry, pool: Executor, plan: _Rollback) -> None:
    references = [registry.reference(each.name, plan.revision or "") for each in plan.repositories]
    digests = dict(zip(references, pool.map(registry.digest, references)))
    broken = _broken(registry, pool, digests)
    for each, reference in zip(plan.repositories, references):
        each.target = [digests[reference]] * len(each.tags)
        if digests[reference] is None:
            plan.problems.append(f"{reference} does not exist: {_known_revisions(registry, pool, each)}")
        elif reference in broken:
            plan.problems.append(f"{broken[reference]}; {_known_revisions(registry, pool, each)}")


def _broken(registry: Registry, pool: Executor, digests: t.Mapping[Reference, str | None]) -> dict[Reference, str]:
    """The tags whose index has lost a member, with the reason: its nodes could not pull the image."""
    pinned = {tag: tag.pinned(digest) for tag, digest in digests.items() if digest}
    tags = {image: tag for tag, image in pinned.items()}
    errors = dict(
        zip(tags, pool.map(lambda each: registry.incomplete(Image(tags[each], registry.manifest(each))), tags))
    )
    return {
        tag: f"{error.message}. Publish the same archives again, or set another revision"
        for tag, image in pinned.items()
        for error in [errors[image]]
        if error
    }


def _find_previous(registry: Registry, pool: Executor, plan: _Rollback) -> None:
    for each in plan.repositories:
        each.previous = list(pool.map(registry.digest, each.keepers))
    kept = [each for each in plan.repositories if any(each.previous)]
    if not kept:
        for each in plan.repositories:
            plan.problems.append(
                f"{each.keepers[0]} does not exist, so the previous image is not known: "
                f"set the revision; {_known_revisions(registry, pool, each)}"
            )
        return
    revisions = _common_revisions(registry, plan.repositories)
    if len(revisions) > _COMPARED:
        plan.problems.append(
            f"{kept[0].name} has {len(revisions)} revisions, more than the {_COMPARED} that are compared to find the"
            " previous release: set the revision"
        )
        return
    registry.expect(len(plan.repositories) * len(revisions))
    every = _fitting_revisions(registry, pool, plan.repositories, revisions)
    of_tags = {
        each.tags[0].tagged(tag): digests[0]
        for tag, found in every.items()
        for each, digests in zip(plan.repositories, found)
    }
    broken = _broken(registry, pool, of_tags)
    fitting = {
        tag: found
        for tag, found in every.items()
        if broken.keys().isdisjoint(each.tags[0].tagged(tag) for each in plan.repositories)
    }
    targets = set(fitting.values())
    if len(targets) == 1:
        # If several revisions have the same images, use the last one in the list of the registry.
        plan.revision = list(fitting)[-1]
        for each, digests in zip(plan.repositories, targets.pop()):
            each.target = digests
    elif len(targets) > 1:
        plan.problems.append(
            "the previous release can be one of several revisions with different images,"
            f" {', '.join(fitting)}: set the revision"
        )
    elif every:
        known = _known_revisions(registry, pool, kept[0])
        plan.problems += [f"{each}; {known}" for each in dict.fromkeys(broken.values())]
    elif len(plan.repositories) == 1 and all(kept[0].previous):
        # No tag of a revision refers to the image, for example because it was pruned. Only the keeper does.
        kept[0].target = kept[0].previous
        plan.problems += _broken(registry, pool, dict(zip(kept[0].keepers, kept[0].previous))).values()
    else:
        plan.problems.append(
            "no revision has only the current or previous images of the tags, so the previous release is not known:"
            f" set the revision; {_known_revisions(registry, pool, kept[0])}"
        )


def _common_revisions(registry: Registry, repositories: t.Sequence[_Repository]) -> list[str]:
    """The revisions that all repositories have."""
    first, *others = [_tags_of_revisions(registry, each) for each in repositories]
    common = set(first).intersection(*others)
    return [tag for tag in first if tag in common]


def _fitting_revisions(
    registry: Registry, pool: Executor, repositories: t.Sequence[_Repository], revisions: t.Sequence[str]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The revisions that can be the previous release, with the digests of the tags in each repository.

    A release that does not change an image does not move its tags: their keepers are older, and the image is the
    current one. Therefore each image must be the current or the previous one, and one of them the previous.
    """
    found: dict[str, tuple[tuple[str, ...], ...]] = dict.fromkeys(revisions, ())
    for each in repositories:
        digests = list(pool.map(registry.digest, (each.tags[0].tagged(tag) for tag in found)))
        found = {
            tag: (*targets, (digest,) * len(each.tags))
            for (tag, targets), digest in zip(found.items(), digests)
            if digest and all(digest in pair for pair in zip(each.current, each.previous))
        }
    previous = [tuple(each.previous) for each in repositories]
    current = tuple(tuple(each.current) for each in repositories)
    found = {tag: targets for tag, targets in found.items() if any(map(_is_any, targets, previous))}
    # If tags have moved, exclude the release that moved them.
    found = {tag: targets for tag, targets in found.items() if targets != current} or found
    # Another shared tag, for example stable, may refer to the same images.
    return {tag: found[tag] for tag in _probable_revisions(found)}


def _is_any(digests: t.Sequence[str], others: t.Sequence[str | None]) -> bool:
    return any(digest == other for digest, other in zip(digests, others))


def _compare_platforms(registry: Registry, pool: Executor, plan: _Rollback) -> None:
    for each in plan.repositories:
        for tag, now, target in zip(each.tags, each.current, each.target):
            if now is None or target is None or now == target:
                continue
            before, after = pool.map(registry.image, (tag.pinned(now), tag.pinned(target)))
            missing = [name for name in before.platforms if name not in after.platforms]
            if missing:
                plan.problems.append(
                    f"{tag.pinned(target)} has no {', '.join(missing)}, which {tag} has now: nodes of that platform"
                    " could not run it. Roll back to another revision, or set require_platforms: false"
                )


def _tags_of_revisions(registry: Registry, repository: _Repository) -> list[str]:
    """All tags except for shared tags, tags of single architectures, keepers, uploads and attachments."""
    tags = registry.tags(repository.tags[0]) or []
    special = {each.tag for each in (*repository.tags, *repository.keepers)} | set(map(repository.keeper, tags))
    known = set(tags)
    return [
        tag
        for tag in tags
        if tag not in special
        and without_architecture(tag) not in known
        and not is_attachment(tag)
        and not is_upload(tag)
    ]


def _probable_revisions(tags: t.Collection[str]) -> list[str]:
    """The tags that are revisions. If there are none: the tags with digits, and then all tags."""
    return next(filter(None, ([tag for tag in tags if matches(tag)] for matches in (is_revision, form_of))), [*tags])


def _known_revisions(registry: Registry, pool: Executor, repository: _Repository) -> str:
    """A sentence with the newest revisions of a repository, by their build time."""
    tags = _tags_of_revisions(registry, repository)
    if not tags:
        return f"{repository.name} has no revision"
    found = _probable_revisions(tags)
    read = found[-_DATED:]
    images = list(pool.map(lambda tag: registry.image(repository.tags[0].tagged(tag)), read))
    built = zip(pool.map(lambda image: _built(registry, image), images), images)
    newest: list[str] = []
    for _time, image in sorted(built, key=lambda each: each[0], reverse=True):
        if len(newest) < _LISTED and not registry.incomplete(image):
            newest.append(str(image.reference.tag))
    if not newest:
        return f"no revision of {repository.name} is whole"
    return f"the newest of {len(found)} revisions of {repository.name} are {', '.join(newest)}"


def _built(registry: Registry, image: Image) -> Time:
    """The build time. An index has none, so the build time of a member is used."""
    members = registry.members(image.reference, image.manifest)
    config = registry.image(members[0]).config if members else image.config
    return parse_time((config or {}).get("created")) or _UNKNOWN_TIME


def _named_revisions(registry: Registry, pool: Executor, repository: _Repository) -> dict[str, str]:
    """The revision of each image, by digest. Empty if there are too many to read."""
    tags = _tags_of_revisions(registry, repository)
    if len(tags) > _COMPARED:
        return {}
    digests = dict(zip(tags, pool.map(lambda tag: registry.digest(repository.tags[0].tagged(tag)), tags)))
    by_digest: dict[str, list[str]] = {}
    for tag, digest in digests.items():
        by_digest.setdefault(digest or "", []).append(tag)
    return {digest: _probable_revisions(found)[-1] for digest, found in by_digest.items()}


def _result(registry: Registry, plan: _Rollback, names: t.Sequence[t.Mapping[str, str]]) -> dict[str, t.Any]:
    moves: dict[tuple[str, str], list[str]] = {}
    images = []
    for each, revisions in zip(plan.repositories, names):
        for tag, now, target in zip(each.tags, each.current, each.target or [None] * len(each.tags)):
            found = {"from_revision": revisions.get(now or ""), "to_revision": revisions.get(target or "")}
            if target and plan.revision:
                found["to_revision"] = plan.revision
            images.append({"reference": str(tag), "from": now, "to": target, **found})
            if target and target != now:
                moves.setdefault((each.name, target), []).append(str(tag.tag))
    references = [registry.reference(each.name, plan.revision or str(each.tags[0].tag)) for each in plan.repositories]
    return {
        "changed": False,
        "ok": not plan.problems,
        "problems": plan.problems,
        "revision": plan.revision,
        "images": images,
        "references": [str(each) for each in references],
        "moves": [
            {"repository": repository, "source": source, "tags": tags} for (repository, source), tags in moves.items()
        ]
        if not plan.problems
        else [],
    }
