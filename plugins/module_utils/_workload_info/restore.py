# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide what a rollback changes in a workload: what the record says, what a moved tag started, and nothing else.

Private to killinit.zot: it may change at any time. Pure functions.

The table in docs/docsite/rst/guide_rollback.rst describes these rules to users.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import (
    RecordedImage,
    ReleaseRecord,
    key_of,
    known_reference,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse, Object, image_uses
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.containers import Container
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    ImageVerdict,
    RegistryImages,
    running_images,
    short,
    where,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import MovedTag, Rollback


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
