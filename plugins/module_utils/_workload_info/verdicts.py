# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide whether a workload is current, and create the patch that makes it current.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    ImageUse,
    Object,
    image_uses,
    name_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    ImageVerdict,
    compare,
    follow,
    in_cronjob,
    where,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.registry_images import RegistryImages
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import (
    Images,
    Release,
    manager_of,
    patch_and_undo,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import (
    Rollout,
    paused,
    recreate_waiting_pods,
    rollout_of,
    updates_by_hand,
)


@dataclass(frozen=True)
class Policy:
    """The changes that the task allows. *set_image* is C(false), C(true) or C(force), *stamp* the time of a restart."""

    release: Release
    set_image: str
    pin: bool
    stamp: str


@dataclass(frozen=True)
class WorkloadVerdict:
    """An entry of C(workloads) in a result. *problem* is None if the workload has none.

    *changes* are sentences, one for each image that the patch sets.
    """

    name: str
    kind: str
    status: str
    reason: str
    pods: int = 0
    images: t.Sequence[ImageVerdict] = ()
    patch: dict[str, t.Any] | None = None
    undo: dict[str, t.Any] | None = None
    problem: str | None = None
    changes: t.Sequence[str] = ()
    unverified: t.Sequence[str] = ()

    def for_ansible(self) -> dict[str, t.Any]:
        """The entry. C(patch) and C(undo) are not escaped, because they are data for the API and not for a terminal."""
        return {
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "reason": printable(self.reason),
            "problem": None if self.problem is None else printable(f"{self.name}: {self.problem}"),
            "pods": self.pods,
            "images": [image.for_ansible() for image in self.images],
            "changes": [printable(text) for text in self.changes],
            "patch": self.patch,
            "undo": self.undo,
        }


def assess_workload(
    workload: Object, pods: t.Sequence[Object], registry: RegistryImages, policy: Policy, waited: int | None
) -> WorkloadVerdict | None:
    """The verdict on a workload; None if it uses no image of the registry. *pods* are the pods of the workload.

    *waited* is the number of seconds that the task has waited for rollouts; None if it has not waited.
    """
    uses = [use for use in image_uses(template_of(workload)["spec"]) if registry.holds(use)]
    if not uses:
        return None
    is_cronjob = workload["kind"] == "CronJob"
    rollout = Rollout("done", "", []) if is_cronjob else rollout_of(workload, pods)
    images = []
    for use in uses:
        reference = use.reference()
        successor = _successor(reference, registry, policy) if reference and policy.set_image != "false" else None
        if successor and registry.is_published(successor):
            images.append(follow(use, registry, successor, rollout.pods))
        elif is_cronjob:
            images.append(in_cronjob(use, registry, pin=policy.pin))
        else:
            images.append(compare(use, registry, rollout.pods, pin=policy.pin))
    status, reason, may_patch, problem = _decide(workload, rollout, images, policy, waited)
    images_set = _images_set(workload, images) if may_patch else []
    patch, undo = _patch(workload, images, images_set, policy) if may_patch else (None, None)
    # Without a pod, for example with zero replicas, there is no digest to verify.
    unverified = [image.unverified or (image.reason if image.verdict == "not_running" else "") for image in images]
    return WorkloadVerdict(
        name=name_of(workload),
        kind=workload["kind"],
        status=status,
        reason=reason,
        pods=len(pods),
        images=images,
        patch=patch,
        undo=undo,
        problem=problem,
        changes=[f"{where(use)}: {use.image} -> {image}" for use, image in images_set],
        unverified=[f"{name_of(workload)}: {text}" for text in unverified if text],
    )


def _successor(reference: Reference, registry: RegistryImages, policy: Policy) -> Reference | None:
    """The released reference that replaces another revision, or a digest without a tag of a different image."""
    released = policy.release.named(reference.name)
    if reference.tag or not reference.digest or not released:
        return policy.release.successor(reference)
    return released if registry.exists(released) and not registry.matches(reference.digest, released) else None


def _decide(
    workload: Object, rollout: Rollout, images: t.Sequence[ImageVerdict], policy: Policy, waited: int | None
) -> tuple[str, str, bool, str | None]:
    """Status, reason, whether a patch helps, and the problem."""
    missing = [image for image in images if image.verdict == "missing"]
    mismatched = [image for image in images if image.verdict == "mismatched"]
    if missing:
        reason = "; ".join(image.reason for image in missing)
        return "failed", reason, False, reason
    if mismatched:
        reason = "; ".join(image.reason for image in mismatched)
        obstacle = _obstacle(workload, mismatched, policy)
        if obstacle:
            return "stale", f"{reason}; {obstacle}", False, f"{reason}; {obstacle}"
        if _images_set(workload, mismatched) and manager_of(workload):
            reason = f"{reason}; set_image is force, but {manager_of(workload)}"
        return "stale", reason, True, reason
    pulls_again = _pulls_again(rollout, images)
    # A StatefulSet creates no new pod before the old one is ready:
    # https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    by_hand = workload["kind"] == "StatefulSet"
    retry = pulls_again and not by_hand and not _obstacle(workload, [], policy)
    # During a wait, the second try of kubelet may succeed.
    if rollout.state == "failed" or (retry and waited is None):
        reason = rollout.reason
        rest = "The rollout was not reverted; ready old pods keep running."
        if pulls_again and by_hand:
            rest = (
                "The registry has the image. Kubelet pulls again within 5 minutes; a new pod pulls immediately:"
                f" {recreate_waiting_pods(workload, rollout)}"
            )
        return "failed", reason, retry, f"{reason.rstrip('.')}. {rest}"
    if rollout.state == "progressing":
        reason = rollout.reason
        late = "a rollout is in progress" if waited is None else f"the rollout did not finish within {waited} seconds"
        return "progressing", reason, False, f"{late}: {reason}"
    reason = "; ".join(image.reason for image in images)
    return "unknown" if any(image.verdict == "unknown" for image in images) else "current", reason, False, None


def _obstacle(workload: Object, mismatched: t.Sequence[ImageVerdict], policy: Policy) -> str | None:
    """Why no patch makes the workload current, with the remedy; None if a patch does."""
    by_hand = paused(workload) or updates_by_hand(workload)
    if by_hand:
        return by_hand
    never = [image for image in mismatched if image.use.pull_policy == "Never"]
    if never:
        return f"{_listed(never)} is never pulled, since its pull policy is Never: set Always"
    unaffected = [image for image in mismatched if image.is_unaffected_by_restart]
    if unaffected and not policy.pin:
        return (
            f"a restart cannot update {_listed(unaffected)}, since its pull policy {unaffected[0].use.pull_policy}"
            " takes the image of the node: set Always, or let zot_rollout_pin set the digest"
        )
    effect = manager_of(workload)
    if effect and policy.set_image != "force" and _images_set(workload, mismatched):
        return f"the image was not set, since {effect}: change it in the source of the workload, or set_image: force"
    return None


def _pulls_again(rollout: Rollout, images: t.Sequence[ImageVerdict]) -> bool:
    """Whether new pods would pull at once the images that the current pods wait for, and all are in the registry."""
    ours = {(image.use.path[0], image.use.name) for image in images}
    return bool(rollout.waiting_to_pull) and rollout.waiting_to_pull <= ours


def _images_set(workload: Object, images: t.Sequence[ImageVerdict]) -> list[tuple[ImageUse, str]]:
    """The images that the patch of a workload sets."""
    changed = []
    for image in images:
        if image.set_to:
            changed.append((image.use, image.set_to))
        elif image.verdict == "mismatched" and (image.is_unaffected_by_restart or workload["kind"] == "CronJob"):
            # Keep the tag before the digest, so that the next release knows which tag to follow.
            # In a dry run the digest may not be known.
            tagged = str(image.use.followed() or image.use.image)
            changed.append((image.use, f"{tagged}@{image.expected}" if image.expected else tagged))
    return changed


def _patch(
    workload: Object, images: t.Sequence[ImageVerdict], images_set: Images, policy: Policy
) -> tuple[dict[str, t.Any], dict[str, t.Any] | None]:
    recorded = [] if workload["kind"] == "CronJob" else [(image.use, image.expected) for image in images]
    return patch_and_undo(workload, recorded, images_set, policy.stamp)


def _listed(images: t.Iterable[ImageVerdict]) -> str:
    return ", ".join(where(image.use) for image in images)
