# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide which tags of a repository to remove. A pure function.

Private to killinit.zot: it may change at any time.

A tag is removed only if no rule keeps it. All tags of a revision (the tag of a build and those of its single
architectures) are removed, or none. Missing information is a reason to keep a tag.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import (
    Revisions,
    is_attachment,
    is_commit,
    is_upload,
    subject_of,
    uploaded_tag,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import parse_time
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import TaggedImage

# Why a tag is kept.
NAME, IN_USE, SHARED, NOT_COMMIT = "name", "in_use", "shared_tag", "not_commit"
NO_RULE, UNKNOWN_AGE, KEEP_LAST, NEWER, BROKEN = "no_rule", "unknown_age", "keep_last", "newer", "broken"
NOT_LISTED = "not_listed"
# Why a tag is removed. ATTACHMENT is also the reason to keep an attachment of an image that is kept, and UPLOAD the
# reason to keep an upload tag that a publish may still need.
OLD, MEMBER, ATTACHMENT, UPLOAD = "old", "member", "attachment", "upload"


@dataclass(frozen=True)
class PruneRules:
    """The options of a task. Without *keep_last* and *newer_than* (seconds since 1970), no revision is removed.

    With *only_commits*, other revisions are always kept, because a release such as 1.4.2 seldom loses its tag by age.
    Upload tags that were created before *uploaded_before* (seconds since 1970) are removed.
    """

    revisions: Revisions
    keep_last: int | None = None
    newer_than: float | None = None
    keep: tuple[re.Pattern[str], ...] = ()
    untag_members: bool = False
    only_commits: bool = False
    uploaded_before: float = 0.0

    @property
    def removes_revisions(self) -> bool:
        """Whether old revisions may be removed at all."""
        return self.keep_last is not None or self.newer_than is not None

    def reason_to_keep(self, revision: str | None) -> str | None:
        """Why the tags of a revision are always kept; None if the other rules decide."""
        if revision is None:
            return SHARED
        return NOT_COMMIT if self.only_commits and not is_commit(revision) else None


@dataclass(frozen=True)
class ImagesInUse:
    """The images of a repository that clusters use: *digests*, also of configurations, and names of *tags*."""

    digests: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Decision:
    """Whether a tag is *removed*, and why. *pushed* is in seconds since 1970; None if it is not known.

    *index* is set for the tag of a member: the member's tag is removed only while this tag still has the same digest.
    *missing* are the digests of the members that an index has lost.
    """

    tag: str
    removed: bool
    reason: str
    revision: str | None = None
    image: TaggedImage | None = None
    pushed: float | None = None
    index: TaggedImage | None = None
    missing: t.Sequence[str] = ()


def pushed_at(image: TaggedImage) -> float | None:
    """The time from which the age of a tag counts, in seconds since 1970; None if it is not known.

    Zot knows when the digest was first pushed, and when the tag was created. The later time counts: a later revision
    can have the same image as an old one.
    """
    times = [parse_time(each) for each in (image.pushed_at, image.tagged_at) if each]
    known = [each.timestamp for each in times if each]
    return max(known) if image.pushed_at and len(known) == len(times) else None


def plan_removals(
    tags: t.Iterable[str],
    images: t.Sequence[TaggedImage],
    rules: PruneRules,
    use: ImagesInUse,
    missing: t.Container[str] = (),
) -> list[Decision]:
    """The decision for each of the *tags* of a repository, in their order. A tag without an image does not exist.

    *missing* are the digests of members and of subjects of which the registry has reported that they do not exist.
    """
    plan = _Plan(images, rules, use, missing)
    decisions = {tag: plan.of_image(tag) for tag in tags if tag in plan.by_tag and not is_attachment(tag)}
    kept_digests = _digests(decisions.values(), removed=False)
    for image in filter(lambda each: is_upload(each.tag), images):
        decisions[image.tag] = plan.of_upload(image, kept_digests)
    kept_digests, removed_digests = (_digests(decisions.values(), removed=each) for each in (False, True))
    for tag in filter(is_attachment, tags):
        subject = subject_of(tag)
        gone = subject not in kept_digests and (subject in removed_digests or subject in missing)
        is_used = tag in use.tags or subject in use.digests
        reason = _first((NAME, plan.is_named(tag)), (IN_USE, is_used), (ATTACHMENT, not gone))
        decisions[tag] = Decision(tag, reason is None and rules.removes_revisions, reason or ATTACHMENT)
    return [decisions[tag] for tag in tags if tag in decisions]


def _first(*reasons: tuple[str, bool]) -> str | None:
    """The first reason that applies."""
    return next((name for name, applies in reasons if applies), None)


def _digests(decisions: t.Iterable[Decision], *, removed: bool) -> set[str]:
    """All digests of the tags that are removed, or of those that are kept."""
    images = [each.image for each in decisions if each.removed is removed and each.image]
    return {digest for image in images for digest in image.digests}


def _uses(image: TaggedImage, use: ImagesInUse) -> bool:
    return image.tag in use.tags or not use.digests.isdisjoint(image.digests)


def _time(images: t.Iterable[TaggedImage]) -> float | None:
    """When the newest tag of a revision was pushed; None if the time of any of its tags is not known."""
    times = [pushed_at(image) for image in images]
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None


class _Plan:
    """The images of a repository by tag, its revisions, and why each of them is kept."""

    def __init__(
        self, images: t.Sequence[TaggedImage], rules: PruneRules, use: ImagesInUse, missing: t.Container[str]
    ) -> None:
        self._rules, self._use = rules, use
        self.by_tag = {image.tag: image for image in images if not is_upload(image.tag)}
        self._groups: dict[str, list[TaggedImage]] = {}
        for image in self.by_tag.values():
            revision = rules.revisions.of(image.tag)
            if revision is not None and not rules.reason_to_keep(revision):
                self._groups.setdefault(revision, []).append(image)
        # The members that an index has lost. A single manifest is its own member, and exists.
        self._lost = {
            image.tag: [each.digest for each in image.members if each.digest != image.digest and each.digest in missing]
            for image in images
        }
        self._broken = {name for name, group in self._groups.items() if any(self._lost[each.tag] for each in group)}
        listed = {each.digest for image in images if image.digest in use.digests for each in image.members}
        self._reasons = self._reasons_to_keep(ImagesInUse(use.digests | listed, use.tags))

    def is_named(self, tag: str) -> bool:
        """Whether the option keep names a tag."""
        return any(pattern.fullmatch(tag) for pattern in self._rules.keep)

    def _reasons_to_keep(self, use: ImagesInUse) -> dict[str, str | None]:
        """Why each revision is kept; None for a revision that is removed. *use* has the members of each index in use.

        A broken revision does not count as one of keep_last. It is kept, to be repaired or removed, until there are
        enough newer ones.
        """
        rules, broken = self._rules, self._broken
        times = {revision: _time(images) for revision, images in self._groups.items()}
        intact = [time for revision, time in times.items() if time is not None and revision not in broken]
        newest = sorted(intact, reverse=True)
        # Revisions with the same time as the oldest of keep_last are kept, too.
        last = newest[: rules.keep_last][-1:] if rules.keep_last else []
        too_few = rules.keep_last is not None and len(newest) < rules.keep_last
        found: dict[str, str | None] = {}
        for revision, images in self._groups.items():
            time = times[revision]
            is_last = time is not None and any(time >= each for each in last)
            found[revision] = _first(
                (NAME, any(self.is_named(image.tag) for image in images)),
                (IN_USE, any(_uses(image, use) for image in images)),
                (NO_RULE, not rules.removes_revisions),
                (UNKNOWN_AGE, time is None),
                (KEEP_LAST, is_last and revision not in broken),
                (NEWER, time is not None and rules.newer_than is not None and time >= rules.newer_than),
                (BROKEN, revision in broken and (is_last or too_few)),
            )
        return found

    def of_image(self, tag: str) -> Decision:
        """The decision for the tag of an image."""
        image, revision = self.by_tag[tag], self._rules.revisions.of(tag)
        known = Decision(tag, False, SHARED, revision, image, pushed_at(image), missing=self._lost[tag])
        is_named, is_used = self.is_named(tag), _uses(image, self._use)
        always = self._rules.reason_to_keep(revision)
        if revision is None or always:
            return replace(known, reason=_first((NAME, is_named), (IN_USE, is_used)) or always or SHARED)
        reason = self._reasons[revision]
        if reason is None:
            return replace(known, removed=True, reason=OLD)
        index = self.by_tag.get(revision)
        # Only the index of the same revision counts: until it exists, a publish still needs the tag of the member.
        is_member = tag != revision and index and index.digest != image.digest and image.digest in index.digests
        is_held = is_member and revision not in self._broken
        if self._rules.untag_members and is_held and not is_named and not is_used:
            return replace(known, removed=True, reason=MEMBER, index=index)
        return replace(known, reason=reason)

    def of_upload(self, image: TaggedImage, kept: t.Container[str]) -> Decision:
        """The decision for an upload tag. *kept* are the digests that other tags keep.

        A publish that ended needs it no more. Zot keeps an image that loses its last tag while an index lists it.
        """
        revision = self._rules.revisions.of(uploaded_tag(image.tag))
        # The image can be older than the tag, so the time of the push alone says nothing about the tag.
        created = pushed_at(image) if image.tagged_at else None
        # A publish of the revision that runs now has a newer upload tag than the revision.
        is_removed = revision is not None and self._reasons.get(revision, SHARED) is None
        since, oldest = _time(self._groups[revision or ""]) if is_removed else None, self._rules.uploaded_before
        is_needed = created is not None and created >= oldest and (since is None or created > since)
        is_used = image.tag in self._use.tags or (_uses(image, self._use) and image.digest not in kept)
        is_named = self.is_named(image.tag)
        reason = _first((NAME, is_named), (IN_USE, is_used), (UNKNOWN_AGE, created is None), (UPLOAD, is_needed))
        return Decision(image.tag, reason is None, reason or UPLOAD, revision, image, created)
