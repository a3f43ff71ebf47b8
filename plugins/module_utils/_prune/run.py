# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read repositories, plan which tags to remove, and remove the tags that have not moved since.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t
from concurrent.futures import Executor, ThreadPoolExecutor

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_attachment, subject_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import parse_http_date, utc_text
from ansible_collections.killinit.zot.plugins.module_utils._prune.plan import (
    NOT_LISTED,
    OLD,
    UNKNOWN_AGE,
    Decision,
    plan_removals,
)
from ansible_collections.killinit.zot.plugins.module_utils._prune.request import PruneRequest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, not_whole
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import Inventory, read_inventory

# The maximum number of tags that an error message names.
_NAMED = 5


class PlannedTag:
    """A tag with the decision of the plan, and the outcome.

    *removed* is whether the tag is removed, or would be removed in check mode. *exists* is false if another client has
    removed it. *unsure* means that the removal failed and may nevertheless have happened.
    """

    def __init__(self, reference: Reference, decision: Decision) -> None:
        self.reference = reference
        self.decision = decision
        self.digest = decision.image.digest if decision.image else None
        self.removed = decision.removed
        self.reason = decision.reason
        self.exists = True
        self.unsure = False

    def keep(self, reason: str) -> None:
        """Record that the tag is kept although the plan was to remove it."""
        self.removed, self.reason = False, reason

    def for_ansible(self, now: float) -> dict[str, t.Any]:
        """An entry of C(deleted) or C(kept)."""
        pushed, image = self.decision.pushed, self.decision.image
        return {
            "reference": str(self.reference),
            "repository": self.reference.repository,
            "tag": self.reference.tag,
            "digest": self.digest,
            "revision": self.decision.revision,
            "pushed_at": utc_text(pushed),
            "age": None if pushed is None else max(0, int(now - pushed)),
            "size": sum(each.size for each in image.members) if image else None,
            "reason": self.reason,
            "missing": list(self.decision.missing),
        }


def run(
    registry: Registry, params: t.Mapping[str, t.Any], *, dry_run: bool, warn: t.Callable[[str], None]
) -> dict[str, t.Any]:
    """Prune, and return the result of the module. With *dry_run* nothing is removed. Raises ZotError.

    All repositories are planned before the first tag is removed. *warn* is called if the search extension is missing.
    """
    request = PruneRequest.from_params(registry, params)
    http = registry.http()
    with thread_pool(params["parallel"]) as pool, thread_pool(params["parallel"]) as more:
        found = dict(
            zip(
                request.repositories,
                pool.map(lambda each: read_inventory(registry, each, more, uploads=True), request.repositories),
            )
        )
        inventories = {repository: _existing(repository, each) for repository, each in found.items()}
        now = _now(http)
        request = request.at(now)
        tags = [each for place in inventories for each in _planned(registry, request, place, inventories[place], pool)]
        unknown = {each.reference.repository for each in tags if each.reason == UNKNOWN_AGE}
        not_searched = [name.repository for name, each in inventories.items() if each.source == "registry"]
        if unknown.intersection(not_searched):
            warn(
                f"The age of the tags of {', '.join(sorted(unknown.intersection(not_searched)))} is not known, so their"
                " revisions are kept: the search extension of Zot does not answer."
            )
        for each in _broken(tags):
            warn(f"{each.message}. {each.hint}")
        try:
            _require_allowed(tags, request.max_deletes)
            if not dry_run:
                _Removal(registry, tags, pool, more).run()
        except ZotError as error:
            raise error.with_(result=_result(tags, now)) from error
    return _result(tags, now)


def _now(http: Http) -> float:
    """The time of this host or of the registry, whichever is earlier, in seconds since 1970.

    The registry has recorded the pushes: if the clock of this host is fast, new images would be old.
    """
    now, date = time.time(), parse_http_date(http.date)
    return min(now, date.timestamp) if date else now


def _existing(repository: Reference, inventory: Inventory | None) -> Inventory:
    if inventory is None:
        raise ZotError("not_found", f"the repository {repository.name} does not exist; nothing was removed")
    return inventory


def _planned(
    registry: Registry, request: PruneRequest, repository: Reference, inventory: Inventory, pool: Executor
) -> list[PlannedTag]:
    """The plan of a repository. The inventory has no attachments, so their subjects and digests are read here.

    The search extension also lists the members that the registry has lost, so all members are read.
    """
    orphans = {subject_of(tag) for tag in inventory.tags if is_attachment(tag)} - _tagged_digests(inventory)
    members = {each.digest for image in inventory.images for each in image.members if each.digest != image.digest}
    read = [repository.pinned(digest) for digest in sorted(orphans | members)]
    missing = {str(each.digest) for each, digest in zip(read, pool.map(registry.digest, read)) if digest is None}
    decisions = plan_removals(inventory.tags, inventory.images, request.rules, request.use_of(repository), missing)
    found = [PlannedTag(repository.tagged(each.tag), each) for each in decisions]
    attachments = [each for each in found if each.removed and not each.decision.image]
    for each, digest in zip(attachments, pool.map(lambda one: registry.digest(one.reference), attachments)):
        each.digest, each.exists = digest, digest is not None
    if request.listed is not None:
        _keep_unlisted(found, request.listed)
    return [each for each in found if each.exists]


def _keep_unlisted(tags: t.Sequence[PlannedTag], listed: t.Container[tuple[str, str]]) -> None:
    """Keep what is not *listed*, the other tags of such a revision, and the attachments of images that are kept."""
    unlisted = {each for each in tags if each.removed and (str(each.reference), str(each.digest)) not in listed}
    revisions = {each.decision.revision for each in unlisted if each.reason == OLD}
    for each in tags:
        if each.removed and (each in unlisted or each.decision.revision in revisions):
            each.keep(NOT_LISTED)
    images = [each.decision.image for each in tags if not each.removed and each.decision.image]
    kept = {digest for image in images for digest in image.digests}
    for each in tags:
        if each.removed and not each.decision.image and subject_of(str(each.reference.tag)) in kept:
            each.keep(NOT_LISTED)


def _tagged_digests(inventory: Inventory) -> set[str]:
    """All digests that are tagged in the repository, members and configurations included."""
    return {digest for image in inventory.images for digest in image.digests}


def _broken(tags: t.Iterable[PlannedTag]) -> list[ZotError]:
    """An error for each index that has lost a member. Several tags can refer to it."""
    indexes: dict[tuple[str, str | None], PlannedTag] = {}
    # A revision says more than a shared tag.
    for each in sorted(tags, key=lambda tag: tag.decision.revision is None):
        if each.decision.missing:
            indexes.setdefault((each.reference.name, each.digest), each)
    found = []
    for each in indexes.values():
        members = each.decision.image.members if each.decision.image else ()
        lost = [(one.platform, one.digest) for one in members if one.digest in each.decision.missing]
        found.append(not_whole(each.reference, lost))
    return found


def _require_allowed(tags: t.Sequence[PlannedTag], max_deletes: int | None) -> None:
    """Raise ZotError if the user may not remove the tags, or if there are too many."""
    removals = [each for each in tags if each.removed]
    denied = [each for each in removals if each.decision.image and each.decision.image.deletable is False]
    too_many = max_deletes is not None and len(removals) > max_deletes
    for each in removals if denied or too_many else ():
        each.keep("denied" if denied else "max_deletes")
    if denied:
        raise ZotError(
            "denied",
            f"the user may not remove {_names(denied)}; nothing was removed",
            hint="Request the permission to remove tags of the repository. In Zot this is the action delete.",
        )
    if too_many:
        raise ZotError(
            "invalid_option",
            f"{len(removals)} tags would be removed, and max_deletes is {max_deletes}; nothing was removed:"
            f" {_names(removals)}",
            hint="Correct revisions, keep, keep_last or keep_newer_than, or raise max_deletes; the variables of the"
            " role have these names with the prefix zot_prune_.",
        )


def _names(tags: t.Sequence[PlannedTag]) -> str:
    names = ", ".join(str(each.reference) for each in tags[:_NAMED])
    return f"{names} and {len(tags) - _NAMED} more" if len(tags) > _NAMED else names


class _Removal:
    """Removes the planned tags, and stops at the first error."""

    def __init__(
        self, registry: Registry, tags: t.Sequence[PlannedTag], pool: Executor, more: ThreadPoolExecutor
    ) -> None:
        self._registry = registry
        self._http: Http = registry.http()
        self._removals = [each for each in tags if each.removed]
        self._pool, self._more = pool, more
        self._stopped = threading.Event()
        self._errors: list[ZotError] = []

    def run(self) -> None:
        """Remove the tags of images, and then the attachments of images that have no tag. Raises ZotError."""
        list(self._pool.map(self._remove, [each for each in self._removals if each.decision.image]))
        try:
            self._confirm_attachments()
        except ZotError as error:
            self._fail(error)
        list(
            self._pool.map(self._remove, [each for each in self._removals if each.removed and not each.decision.image])
        )
        if self._errors:
            first = self._errors[0]
            removed = f"{sum(each.removed for each in self._removals)} of {len(self._removals)} tags were removed"
            raise first.with_(message=f"{first.message}; {removed}") from first

    def _confirm_attachments(self) -> None:
        """Keep the attachments of images that still have a tag, because another client has moved a tag."""
        attachments = [each for each in self._removals if not each.decision.image]
        for repository in dict.fromkeys(each.reference.tagged("latest") for each in attachments):
            inventory = None
            if not self._stopped.is_set():
                inventory = read_inventory(self._registry, repository, self._more, uploads=True)
            tagged = _tagged_digests(inventory) if inventory else set()
            for each in attachments:
                if each.reference.name == repository.name and subject_of(str(each.reference.tag)) in tagged:
                    each.keep("moved")

    def _remove(self, tag: PlannedTag) -> None:
        if self._stopped.is_set():
            tag.keep("not_tried")
            return
        index = tag.decision.index
        try:
            holds = index is None or self._registry.digest(tag.reference.tagged(index.tag)) == index.digest
            outcome = self._http.remove_tag(tag.reference, str(tag.digest)) if holds else "moved"
        except ZotError as error:
            tag.keep("failed")
            # The failed request may have removed the tag.
            tag.unsure = error.retryable and not self._registry.certainly_holds(tag.reference, tag.digest)
            self._fail(error)
            return
        if outcome == "moved":
            tag.keep("moved")
        elif outcome == "absent":
            tag.keep("moved")
            tag.exists = False

    def _fail(self, error: ZotError) -> None:
        self._stopped.set()
        self._errors.append(error)


def _result(tags: t.Sequence[PlannedTag], now: float) -> dict[str, t.Any]:
    """The result of the module, also for a failure."""
    removed = [each for each in tags if each.removed]
    kept = [each for each in tags if not each.removed and each.exists]
    return {
        "changed": bool(removed),
        "deleted": [each.for_ansible(now) for each in removed],
        "kept": [each.for_ansible(now) for each in kept],
        "undo": _undo([*removed, *(each for each in kept if each.unsure)]),
        "freeable": _freeable(removed, kept),
        "broken": [str(each.reference) for each in kept if each.decision.missing],
        "diff": _diff(tags),
    }


def _undo(tags: t.Iterable[PlannedTag]) -> list[dict[str, t.Any]]:
    """The value of the option images of zot_tag that restores the tags."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in tags:
        found.setdefault((each.reference.repository, str(each.digest)), []).append(str(each.reference.tag))
    return [{"repository": name, "source": digest, "tags": names} for (name, digest), names in found.items()]


def _freeable(removed: t.Iterable[PlannedTag], kept: t.Iterable[PlannedTag]) -> int:
    """The size of the images that lose their last tag. Because images share layers, the disk may gain less."""
    left = {_key(each, digest) for each in kept if each.decision.image for digest in each.decision.image.digests}
    sizes = {
        _key(each, member.digest): member.size
        for each in removed
        if each.decision.image
        for member in each.decision.image.members
    }
    return sum(size for key, size in sizes.items() if key not in left)


def _key(tag: PlannedTag, digest: str) -> tuple[str, str]:
    return tag.reference.repository, digest


def _diff(tags: t.Iterable[PlannedTag]) -> list[dict[str, t.Any]]:
    """The tags before and after, for each repository that changes."""
    repositories: dict[str, list[PlannedTag]] = {}
    for each in tags:
        if each.exists:
            repositories.setdefault(each.reference.name, []).append(each)
    return [
        {
            "before_header": name,
            "before": [str(each.reference.tag) for each in found],
            "after_header": name,
            "after": [str(each.reference.tag) for each in found if not each.removed],
        }
        for name, found in repositories.items()
        if any(each.removed for each in found)
    ]
