# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide whether workloads are current and follow a release, and create the patches that do it. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import (
    RecordedImage,
    ReleaseRecord,
    key_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    ImageUse,
    Object,
    digest_of,
    image_uses,
    name_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.containers import (
    Container,
    Policy,
    assess_container,
    restore,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    ImageVerdict,
    RegistryImages,
    running_images,
    short,
    where,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import (
    Images,
    Release,
    manager_of,
    patch_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import (
    Rollout,
    delete_old_pods,
    has_partition,
    paused,
    recreate_waiting_pods,
    replaces_pods_by_hand,
    replicas_of,
    rollout_of,
)

# The number of restarts with the same result after which the next one would not change anything, either.
_RESTARTS = 2


@dataclass(frozen=True)
class WorkloadVerdict:
    """An entry of C(workloads) in a result. *problem* is None if the workload has none.

    *changes* are sentences, one for each image that the patch sets. *by_hand* is what the user must do after the patch.
    *theirs* is why a rollback leaves a workload of a release as it is.
    """

    name: str
    kind: str
    status: str
    reason: str
    pods: int = 0
    images: t.Sequence[ImageVerdict] = ()
    patch: dict[str, t.Any] | None = None
    problem: str | None = None
    changes: t.Sequence[str] = ()
    by_hand: str | None = None
    theirs: str | None = None
    record: dict[str, t.Any] | None = None
    unverified: t.Sequence[str] = ()

    def for_ansible(self) -> dict[str, t.Any]:
        """The entry. C(patch) is not escaped, because it is data for the API and not for a terminal."""
        return {
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "reason": printable(self.reason),
            "problem": None if self.problem is None else printable(f"{self.name}: {self.problem}"),
            "pods": self.pods,
            "images": [image.for_ansible() for image in self.images],
            "changes": [printable(text) for text in self.changes],
            "by_hand": None if self.by_hand is None else printable(self.by_hand),
            "record": self.record,
            "patch": self.patch,
        }


@dataclass(frozen=True)
class _Situation:
    """A workload with what its verdict depends on. *pods* are all its pods."""

    workload: Object
    pods: t.Sequence[Object]
    rollout: Rollout
    images: t.Sequence[ImageVerdict]
    record: ReleaseRecord | None
    policy: Policy
    waited: int | None

    @property
    def mismatched(self) -> list[ImageVerdict]:
        """The images that the pods do not run."""
        return [image for image in self.images if image.verdict == "mismatched"]

    @property
    def images_set(self) -> Images:
        """The images that the patch sets, with the name that each container has for the registry."""
        return [(image.use, image.use.as_written(image.change)) for image in self.mismatched if image.change]

    def planned(self) -> ReleaseRecord:
        """The record of the patch. A patch that is repeated keeps what was there before the first one."""
        changes = {key_of(use): text for use, text in self.images_set}
        images = {}
        for image in self.images:
            use = image.use
            digests = {digest_of(text) for text in running_images(use, self.pods)}
            ran = digests.pop() if len(digests) == 1 else None
            after = changes.get(key_of(use), use.image)
            images[key_of(use)] = RecordedImage(use.image, ran, after, image.expected, image.our_pin)
        is_rollback = self.policy.rollback is not None
        new = ReleaseRecord(self.policy.stamp, images, self.policy.revision, is_rollback)
        old = self.record
        if old is None or not self._holds(old) or _result(old) != _result(new):
            return new
        return ReleaseRecord(new.time, old.images, new.revision, is_rollback, old.restarts + 1)

    def _holds(self, record: ReleaseRecord) -> bool:
        return all(record.image(image.use) for image in self.images)

    @property
    def repeats(self) -> int:
        """The number of patches so far that had the same result as the next one."""
        return self.planned().restarts - 1


def assess_workload(
    workload: Object, pods: t.Sequence[Object], registry: RegistryImages, policy: Policy, waited: int | None
) -> WorkloadVerdict | None:
    """The verdict on a workload; None if it uses no image of the registry or of the rollback. *pods* are its pods.

    *waited* is the number of seconds that the task has waited for rollouts; None if it has not waited.
    """
    uses = [(use, reference) for use in image_uses(template_of(workload)["spec"]) if (reference := registry.held(use))]
    if not uses:
        return None
    is_cronjob = workload["kind"] == "CronJob"
    rollout = Rollout("done", "", []) if is_cronjob else rollout_of(workload, pods)
    record = ReleaseRecord.of(workload)
    later = "its pods start later" if is_cronjob else None
    if not is_cronjob and not pods and replicas_of(workload) == 0:
        later = "the workload has no replicas, so only its template counts; its pods start later"
    containers = [Container(use, reference, rollout.pods, record, later) for use, reference in uses]
    untouched = theirs = None
    if policy.rollback:
        restoration = restore(containers, pods, record, registry, policy.rollback)
        if restoration is None:
            return None
        images, untouched = restoration.images, restoration.untouched
        theirs = untouched if restoration.is_theirs else None
    else:
        images = [assess_container(each, registry, policy) for each in containers]
    now = _Situation(workload, pods, rollout, images, record, policy, waited)
    status, reason, may_patch, problem = ("untouched", untouched, False, None) if untouched else _decide(now)
    images_set = now.images_set if may_patch else []
    # Without a pod, for example with zero replicas, there is no digest to verify.
    unverified = [image.unverified or (image.reason if image.verdict == "not_running" else "") for image in images]
    return WorkloadVerdict(
        name=name_of(workload),
        kind=workload["kind"],
        status=status,
        reason=reason,
        pods=len(pods),
        images=images,
        patch=_patch(now) if may_patch else None,
        problem=problem,
        changes=[f"{where(use)}: {use.image} -> {image}" for use, image in images_set],
        by_hand=replaces_pods_by_hand(workload) if may_patch else None,
        theirs=theirs,
        record=record.for_ansible(use for use, _reference in uses) if record else None,
        unverified=[f"{name_of(workload)}: {text}" for text in unverified if text and not untouched],
    )


def _decide(now: _Situation) -> tuple[str, str, bool, str | None]:
    """Status, reason, whether a patch helps, and the problem."""
    missing = [image for image in now.images if image.verdict == "missing"]
    if missing:
        reason = "; ".join(image.reason for image in missing)
        return "failed", reason, False, reason
    if now.mismatched:
        reason = "; ".join(image.reason for image in now.mismatched)
        obstacle = _obstacle(now)
        if obstacle:
            return "stale", f"{reason}; {obstacle}", False, f"{reason}; {obstacle}"
        if now.images_set and manager_of(now.workload):
            reason = f"{reason}; set_image is force, but {manager_of(now.workload)}"
        by_hand = replaces_pods_by_hand(now.workload)
        return "stale", reason, True, f"{reason}; {by_hand}" if by_hand else reason
    workload, rollout, waited = now.workload, now.rollout, now.waited
    pulls_again = _pulls_again(rollout, now.images)
    # A StatefulSet creates no new pod before the old one is ready:
    # https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    by_hand = workload["kind"] == "StatefulSet"
    retry = pulls_again and not by_hand and not (paused(workload) or has_partition(workload))
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
    reason = "; ".join(image.reason for image in now.images)
    return "unknown" if any(image.verdict == "unknown" for image in now.images) else "current", reason, False, None


def _obstacle(now: _Situation) -> str | None:
    """Why no patch makes the workload current, with the remedy; None if a patch does."""
    workload = now.workload
    stopped = paused(workload) or has_partition(workload)
    if stopped:
        return stopped
    refusals = [image.refusal for image in now.mismatched if image.refusal]
    if refusals:
        return "; ".join(dict.fromkeys(refusals))
    effect = manager_of(workload)
    if effect and now.policy.set_image != "force" and now.images_set:
        return f"the image was not set, since {effect}: change it in the source of the workload, or set_image: force"
    if now.repeats and replaces_pods_by_hand(workload):
        return delete_old_pods(workload, now.pods)
    if now.repeats >= _RESTARTS and now.rollout.state == "done":
        return (
            f"{now.repeats} restarts did not change that, so the pods differ from their template: look for an admission"
            " policy or a webhook that sets the images of pods"
        )
    return None


def _pulls_again(rollout: Rollout, images: t.Sequence[ImageVerdict]) -> bool:
    """Whether new pods would pull at once the images that the current pods wait for, and all are in the registry."""
    ours = {(image.use.path[0], image.use.name) for image in images}
    return bool(rollout.waiting_to_pull) and rollout.waiting_to_pull <= ours


def _patch(now: _Situation) -> dict[str, t.Any]:
    digests: list[tuple[ImageUse, str | None]] = [(image.use, image.expected) for image in now.images]
    patch = patch_of(now.workload, digests, now.images_set, now.planned().annotation(), now.policy.stamp)
    version = now.workload["metadata"].get("resourceVersion")
    # The API server then refuses the patch if somebody has changed the workload since. While a rollout is in progress,
    # the controller changes its status all the time.
    if version and now.images_set and now.rollout.state == "done":
        patch["metadata"]["resourceVersion"] = version
    return patch


def _result(record: ReleaseRecord) -> dict[str, tuple[str, str | None]]:
    return {name: (image.after, image.runs) for name, image in record.images.items()}


def release_problems(release: Release, registry: RegistryImages, workloads: t.Sequence[WorkloadVerdict]) -> list[str]:
    """A sentence for each image of the release that the registry lacks, has lost to another release, or nobody runs.

    Without any workload, for example before the first one is created, the images must only exist in the registry.
    """
    problems = [
        f"{reference} was released, but {registry.incomplete(reference) or 'it is not in the registry'}: publish it"
        " first"
        for reference in release.references
        if not registry.is_published(reference)
    ]
    for name in dict.fromkeys(each.name for each in release.references):
        references = [each for each in release.references if each.name == name and registry.is_published(each)]
        released = release.named(name)
        if released is None or released not in references:
            continue
        digest = registry.digest(released)
        for other in references:
            now = registry.digest(other)
            if digest and now and not registry.matches(now, released):
                problems.append(
                    f"{released} and {other} were released together, but they are {short(digest)} and {short(now)} now:"
                    " another job has moved a tag. Run the release again, or release the other revision"
                )
        verdicts = [(each, found) for each in workloads for found in each.images]
        if workloads and not any(_concerns(found, name, references, registry) for _each, found in verdicts):
            others = [
                f"{each.name}: {where(found.use)} names {found.use.image}"
                for each, found in verdicts
                if (found.use.reference() or released).name == name
            ]
            problems.append("; ".join([f"{released} was released, but no selected workload runs it", *others]))
    return problems


def unused_images(release: Release, registry: RegistryImages) -> list[str]:
    """A sentence for each repository of a release, if the selection contains no workload."""
    names = dict.fromkeys(each.name for each in release.references)
    return [
        f"{reference} was released, but no selected workload uses an image of {registry.name}, so no pod runs it"
        for reference in map(release.named, names)
        if reference and registry.is_published(reference)
    ]


def _concerns(verdict: ImageVerdict, name: str, references: t.Sequence[Reference], registry: RegistryImages) -> bool:
    """Whether a container follows the release, or runs one of its images by another tag, now or after its restart."""
    if verdict.follows:
        return verdict.follows.name == name
    own = verdict.use.reference()
    if own is None or own.name != name:
        return False
    images = [*verdict.running, *([verdict.expected] if verdict.expected else [])]
    return verdict.use.followed() in registry.assumed or any(
        registry.matches(each, reference) for each in images for reference in references
    )
