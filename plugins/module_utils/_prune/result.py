# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tags in the plan of zot_prune, and the result of the module.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._prune.plan import Decision


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
            "pushed_at": None if pushed is None else f"{datetime.fromtimestamp(int(pushed), timezone.utc):%FT%TZ}",
            "age": None if pushed is None else max(0, int(now - pushed)),
            "size": sum(each.size for each in image.members) if image else None,
            "reason": self.reason,
        }


def result_of(tags: t.Sequence[PlannedTag], now: float) -> dict[str, t.Any]:
    """The result of the module, also for a failure."""
    removed = [each for each in tags if each.removed]
    kept = [each for each in tags if not each.removed and each.exists]
    return {
        "changed": bool(removed),
        "deleted": [each.for_ansible(now) for each in removed],
        "kept": [each.for_ansible(now) for each in kept],
        "undo": _undo([*removed, *(each for each in kept if each.unsure)]),
        "freeable": _freeable(removed, kept),
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
