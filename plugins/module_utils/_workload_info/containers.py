# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide whether a container follows a release, and what makes it run the release or its tag. Pure functions.

Private to killinit.zot: it may change at any time.

The table in docs/docsite/rst/guide_release.rst describes these rules to users.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import ReleaseRecord
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    ImageUse,
    Object,
    digest_of,
    reported_by,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_revision
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    ImageVerdict,
    RegistryImages,
    compare,
    in_template,
    running_images,
    short,
    where,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import Release, Rollback

_LEAVE_OUT = "or leave the workload out with zot_rollout_workloads or zot_rollout_label_selectors"


@dataclass(frozen=True)
class Policy:
    """What the task asks for, and what it allows.

    *set_image* is C(false), C(true) or C(force), *stamp* is the time of the patches. A *rollback* has no release.
    """

    release: Release
    set_image: str
    pin: bool
    stamp: str
    rollback: Rollback | None = None

    @property
    def revision(self) -> str | None:
        """The revision that a record names."""
        return self.rollback.revision if self.rollback else self.release.revision


@dataclass(frozen=True)
class Container:
    """A container or an image volume of a workload, with the *pods* whose images count.

    *later* is why only the template counts, for example because the workload has no replicas.
    """

    use: ImageUse
    reference: Reference
    pods: t.Sequence[Object]
    record: ReleaseRecord | None
    later: str | None = None

    @property
    def pulls_tag(self) -> bool:
        """Whether each new pod pulls what the tag means then."""
        return self.use.pull_policy == "Always" and not self.reference.digest

    @property
    def has_our_pin(self) -> bool:
        """Whether a release has added the digest to the tag."""
        found = self.record.image(self.use) if self.record and self.reference.digest else None
        return bool(found and found.our_pin)

    def compare(self, registry: RegistryImages, *, pin: bool) -> ImageVerdict:
        """Compare what the pods run with the tag or the digest that the template names."""
        if self.later:
            return in_template(self.use, registry, self.later, pin=pin)
        verdict = compare(self.use, registry, self.pods, pin=pin)
        return self._with_old_pods(verdict, registry) if verdict.verdict == "pinned" else verdict

    def _with_old_pods(self, verdict: ImageVerdict, registry: RegistryImages) -> ImageVerdict:
        """The verdict on a pinned container: the controller may not have replaced the pods of an earlier template."""
        running = dict.fromkeys(filter(None, (reported_by(pod, self.use) for pod in self.pods)))
        old = [text for text in running if not registry.matches(text, self.use.pinned())]
        known = [short(digest_of(text)) for text in old if registry.can_resolve(text)]
        if not known:
            return replace(verdict, old=old)
        reason = f"{where(self.use)} runs {', '.join(known)}, but its template names {self.use.image}"
        return replace(verdict, verdict="mismatched", reason=reason, old=old)


def assess_container(container: Container, registry: RegistryImages, policy: Policy) -> ImageVerdict:
    """The verdict on a container, and the image that a release or a restart sets in its place."""
    target = policy.release.target(container.reference)
    if target and container.reference.tag != target.tag and registry.is_published(target):
        return _other_revision(container, target, registry, policy)
    verdict = container.compare(registry, pin=policy.pin or bool(target))
    verdict = replace(verdict, follows=target, our_pin=container.has_our_pin)
    # A new pod pulls the digest in the template.
    suffices = container.pulls_tag or (verdict.expected and verdict.expected == container.reference.digest)
    if verdict.verdict == "mismatched" and not suffices:
        return _pinned(container, verdict, policy)
    if target and container.later and _is_cached(container, verdict) and policy.set_image != "false":
        return _pinned(container, replace(verdict, verdict="mismatched", unverified=None), policy)
    return verdict


def _other_revision(container: Container, target: Reference, registry: RegistryImages, policy: Policy) -> ImageVerdict:
    """The verdict on a container that names another tag than the released *target*, or only a digest."""
    use, reference, sets = container.use, container.reference, policy.set_image != "false"
    own = use.pinned() or reference
    own_digest, digest = registry.digest(own), registry.digest(target)
    is_same = bool(own_digest and digest and registry.matches(own_digest, target))
    is_settable = policy.release.is_revision(target)
    if is_same and not (sets and reference.tag and is_settable):
        return replace(container.compare(registry, pin=False), follows=target)
    keeps_digest = bool(digest and reference.digest and not container.has_our_pin)
    refusal = None
    if not is_settable:
        refusal = f"no revision was released that could replace it: set its image, {_LEAVE_OUT}"
    elif not sets:
        refusal = f"set its image, let zot_release_set_image or zot_rollout_set_image set it, {_LEAVE_OUT}"
    return ImageVerdict(
        use,
        "mismatched",
        f"{where(use)} names {use.image}, but {target} was released",
        digest,
        running_images(use, container.pods),
        change=f"{target}@{digest}" if keeps_digest else str(target),
        refusal=refusal,
        follows=target,
    )


def _is_cached(container: Container, verdict: ImageVerdict) -> bool:
    """Whether a pod that starts later may run what its node has for a shared tag."""
    tag = container.reference.tag
    return (
        verdict.verdict == "not_running"
        and not container.reference.digest
        and not container.pulls_tag
        and not (tag and is_revision(tag))
    )


def _pinned(container: Container, verdict: ImageVerdict, policy: Policy) -> ImageVerdict:
    """The verdict with the tag and the digest that a patch sets, because a restart would not pull the tag."""
    use, reference = container.use, container.reference
    # Keep the tag before the digest, so that the next release knows which tag to follow.
    tagged = str(use.followed())
    is_ours = container.has_our_pin
    # In a dry run the digest may not be known.
    is_plain = (is_ours and use.pull_policy == "Always") or not verdict.expected
    follows = verdict.follows is not None
    refusal = None
    if not (is_ours and follows) and not (follows and policy.set_image != "false"):
        if not follows and use.pull_policy == "Never":
            refusal = f"{where(use)} is never pulled, since its pull policy is Never: set Always"
        elif not policy.pin:
            refusal = _refusal(container, follows=follows)
    return replace(
        verdict,
        change=tagged if is_plain else f"{tagged}@{verdict.expected}",
        refusal=refusal,
        our_pin=not is_plain and (is_ours or not reference.digest),
    )


def _refusal(container: Container, *, follows: bool) -> str:
    use = container.use
    if container.reference.digest:
        text = f"{where(use)} is pinned to a digest, which a restart does not change"
        return f"{text}: set its image, let zot_release_set_image or zot_rollout_pin set the digest, {_LEAVE_OUT}"
    text = f"a restart cannot update {where(use)}, since its pull policy {use.pull_policy} takes the image of the node:"
    if follows:
        return f"{text} set Always, let zot_release_set_image or zot_rollout_pin set the digest, {_LEAVE_OUT}"
    return f"{text} set Always, or let zot_rollout_pin set the digest"
