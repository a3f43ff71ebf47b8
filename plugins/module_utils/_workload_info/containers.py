# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide what a container gets: by a release, or by a rollback, which restores what the record says. Pure functions.

Private to killinit.zot: it may change at any time.

The tables in docs/docsite/rst/guide_release.rst and guide_rollback.rst describe these rules to users.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import (
    RecordedImage,
    ReleaseRecord,
    key_of,
    known_reference,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    ImageUse,
    Object,
    digest_of,
    image_uses,
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
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import MovedTag, Release, Rollback

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


@dataclass(frozen=True)
class Restoration:
    """The images of a workload. *untouched* is why the rollback leaves it as it is; *is_theirs* is true if that is to
    be reported, because somebody has changed what a release wrote.
    """

    images: t.Sequence[ImageVerdict]
    untouched: str | None = None
    is_theirs: bool = False


def restore(
    containers: t.Sequence[Container],
    pods: t.Sequence[Object],
    record: ReleaseRecord | None,
    registry: RegistryImages,
    rollback: Rollback,
) -> Restoration | None:
    """What the rollback does to a workload; None if the workload uses no repository of the rollback.

    *pods* are all pods of the workload, also those of an earlier template.
    """
    if not any(each.reference.name in rollback.names for each in containers):
        return None
    compared = [each.compare(registry, pin=False) for each in containers]
    undone = {name: each for name, each in record.images.items() if rollback.undoes(record, each)} if record else {}
    own = {key_of(each.use): each.use.image for each in containers}
    changed = [name for name, each in undone.items() if own.get(name) != each.after]
    if record and changed:
        names = ", ".join(f"{name} names {own.get(name, 'no image')}, not {undone[name].after}" for name in changed)
        text = f"{names}, which the release {_release(record)} set: somebody has changed the workload since"
        return Restoration(compared, f"{text}, so the rollback leaves it as it is", is_theirs=True)
    images = []
    for container, verdict in zip(containers, compared):
        recorded = undone.get(key_of(container.use))
        if record and recorded:
            images.append(_restored(container, record, recorded, registry, rollback))
        else:
            images.append(_moved_back(container, pods, registry, rollback) or verdict)
    if any(before is not now for before, now in zip(compared, images)):
        return Restoration(images)
    if record and rollback.is_done(record):
        return Restoration(images)
    tagged = [
        verdict.verdict
        for container, verdict in zip(containers, compared)
        if not container.reference.digest and rollback.move(container.reference)
    ]
    if tagged and all(each == "current" for each in tagged):
        return Restoration(images)
    return Restoration(images, "the rollback does not change it, because the rolled back release did not")


def runs_lost_image(pod: Object, registry: RegistryImages, rollback: Rollback) -> bool:
    """Whether a pod runs an image that a tag has lost, and names this tag. Only its owner can replace such a pod."""
    return any(
        _old_images(use, [pod], move, registry, rollback)
        for use in image_uses(pod["spec"])
        for reference in [registry.held(use)]
        for move in [rollback.move(reference) if reference and not reference.digest else None]
        if move
    )


def _restored(
    container: Container, record: ReleaseRecord, recorded: RecordedImage, registry: RegistryImages, rollback: Rollback
) -> ImageVerdict:
    """The verdict with the image that the record says the container had, or with the revision that the user named."""
    use, before = container.use, known_reference(recorded.before)
    tag = before.tagged(before.tag) if before.tag else None
    is_shared = rollback.move(before) is not None
    # A new pod takes what its node has for a shared tag.
    needs_pin = is_shared and use.pull_policy != "Always"
    digest: str | None
    if rollback.is_exact and rollback.revision:
        tag = tag if is_shared else before.tagged(rollback.revision)
        (digest, *_rest) = rollback.after(before.name)
        needs_pin = needs_pin or (before.digest is not None and not recorded.our_pin)
    elif before.digest:
        digest = before.digest if registry.exists(before.pinned(before.digest)) else None
        needs_pin = True
    else:
        digest = registry.digest(tag) if registry.exists(tag) else None
        ran = recorded.ran if recorded.ran and registry.exists(before.pinned(recorded.ran)) else None
        # If the tag does not mean what the pods ran: without that image, the tag is the nearest to it.
        if ran and not (digest and registry.matches(ran, tag)):
            digest, needs_pin = ran, True
    running = running_images(use, container.pods)
    if digest is None:
        reason = f"{where(use)}: the image before the release, {recorded.before}, is not in the registry any more"
        return ImageVerdict(use, "missing", f"{reason}: roll back to another revision", None, running)
    named = str(tag) if tag else before.name
    image = f"{named}@{digest}" if needs_pin else named
    return ImageVerdict(
        use,
        "mismatched",
        f"{where(use)} runs {short(recorded.runs)} since the release {_release(record)}, and gets {image} back",
        digest,
        running,
        change=None if image == use.image else image,
        our_pin=recorded.our_pin if before.digest else needs_pin,
    )


def _moved_back(
    container: Container, pods: t.Sequence[Object], registry: RegistryImages, rollback: Rollback
) -> ImageVerdict | None:
    """The verdict on a container that runs a rolled back image because its tag had moved; None if it does not."""
    use, move = container.use, rollback.move(container.reference)
    if move is None or container.reference.digest or container.later:
        return None
    old = _old_images(use, pods, move, registry, rollback)
    if not old:
        return None
    return ImageVerdict(
        use,
        "mismatched",
        f"{where(use)} runs {', '.join(map(_digest, old))}, but {move.tag} is rolled back to {short(move.after)}",
        move.after,
        running_images(use, pods),
        old,
        change=None if container.pulls_tag else f"{move.tag}@{move.after}",
        our_pin=not container.pulls_tag,
    )


def _old_images(
    use: ImageUse, pods: t.Sequence[Object], move: MovedTag, registry: RegistryImages, rollback: Rollback
) -> list[str]:
    """The images of the pods that the tag has lost. If that is not known: those that are not the image of the tag."""
    lost = [move.tag.pinned(digest) for digest in rollback.lost(move.tag.name)]
    return [
        text
        for text in running_images(use, pods)
        if not registry.matches(text, move.tag) and (not lost or any(registry.matches(text, each) for each in lost))
    ]


def _digest(running: str) -> str:
    return short(running.rpartition("@")[2])


def _release(record: ReleaseRecord) -> str:
    return f"of {record.revision}" if record.revision else f"at {record.time}"
