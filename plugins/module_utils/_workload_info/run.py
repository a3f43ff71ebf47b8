# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the images that workloads run with the registry, and wait for rollouts.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Client, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, unreadable_text
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    Object,
    image_uses,
    name_of,
    registry_names,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import form_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    at_least,
    invalid_options,
    references_option,
    registry_option,
    repositories_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    ImageVerdict,
    assess_other_pods,
    differing,
    where,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.registry_images import RegistryImages
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import Release
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import Workloads, read_workloads
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.verdicts import (
    Policy,
    WorkloadVerdict,
    assess_workload,
)


@dataclass(frozen=True)
class WorkloadQuery:
    """The options of a task, except for those of the connections. *wait_timeout* is None if the task does not wait."""

    registry: str
    selection: Selection
    repositories: t.Collection[str]
    policy: Policy
    assumed: t.Sequence[Reference]
    wait_timeout: int | None
    wait_sleep: int
    aliases: t.Sequence[str] = ()

    def uses_repository(self, specification: Object) -> bool:
        """Whether the specification of a pod names an image of one of the repositories."""
        references = [use.reference() for use in image_uses(specification)]
        return any(
            each and each.registry == self.registry and each.repository in self.repositories for each in references
        )

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> WorkloadQuery:
        """Parse the options. Raises ZotError or InvalidNameError for an invalid option."""
        registry = registry_option(params["registry"])
        at_least(0, wait_timeout=params["wait_timeout"])
        at_least(1, wait_sleep=params["wait_sleep"])
        with invalid_options():
            release = Release(references_option("images", params["images"], registry))
        return cls(
            registry,
            Selection.of(params),
            repositories_option("repositories", params["repositories"]),
            Policy(release, params["set_image"], params["pin"], _stamp()),
            references_option("assume_pushed", params["assume_pushed"], registry),
            params["wait_timeout"] if params["wait"] else None,
            params["wait_sleep"],
            params["registry_aliases"],
        )


def run(client: Client, registry: Registry, query: WorkloadQuery) -> dict[str, t.Any]:
    """The result of the module. Raises ClusterError or ZotError."""
    with registry_names(query.registry, query.aliases):
        return _run(client, registry, query)


def _run(client: Client, registry: Registry, query: WorkloadQuery) -> dict[str, t.Any]:
    deadline = None if query.wait_timeout is None else time.monotonic() + query.wait_timeout
    while True:
        late = deadline is None or time.monotonic() >= deadline
        images = RegistryImages(registry, query.assumed)
        try:
            cluster = read_workloads(client, query.selection)
            if query.repositories:
                cluster = cluster.limited_to(query.uses_repository)
            if late or not cluster.in_progress(images.is_used_by):
                # The wait also ends before the timeout if a rollout has failed.
                waited = query.wait_timeout if late else None
                return _assess(cluster, images, query, waited) | {
                    "changed": False,
                    "namespace": query.selection.namespace,
                    "registry": query.registry,
                    "cluster": client.server,
                }
        except (ClusterError, ZotError) as error:
            if late or not error.retryable:
                raise
        time.sleep(max(min(query.wait_sleep, (deadline or 0) - time.monotonic()), 0))


def _assess(
    cluster: Workloads,
    registry: RegistryImages,
    query: WorkloadQuery,
    waited: int | None,
) -> dict[str, t.Any]:
    selection, policy = query.selection, query.policy
    unreadable = [dict(each) for each in cluster.unreadable]
    problems = [unreadable_text(each) for each in unreadable]
    unverified: list[str] = []
    found: list[WorkloadVerdict] = []
    if cluster.has_pods:
        specifications = [template_of(each)["spec"] for each in cluster.workloads]
        specifications += [pod["spec"] for pod in cluster.other_pods]
        uses = [use for each in specifications for use in image_uses(each) if registry.holds(use)]
        named = filter(None, [reference for use in uses for reference in (use.followed(), use.pinned())])
        registry.read([*named, *policy.release.references])
        found = _assess_workloads(cluster, registry, selection, policy, waited)
        if registry.read_whole(differing((image for each in found for image in each.images), registry)):
            found = _assess_workloads(cluster, registry, selection, policy, waited)
        missing = _missing(policy, registry, found)
        # An image of the release may run by another digest, so compare the configurations, too.
        if missing and registry.read_whole(registry.references):
            missing = _missing(policy, registry, found)
        other_problems, other_unverified = assess_other_pods(cluster.other_pods, registry)
        if not found and not selection.allow_empty and not unreadable and not other_problems:
            images = " or ".join(f"{registry.name}/{each}" for each in query.repositories) or registry.name
            raise selection.nothing(f"none{selection.with_labels} uses an image of {images}; allow_empty accepts that")
        problems += [f"{each.name}: {each.problem}" for each in found if each.problem]
        problems += missing
        problems += other_problems
        unverified = [text for each in found for text in each.unverified] + other_unverified
        if not found:
            unverified += _unused_images(policy.release, registry)
    else:
        found = [_unknown(each, "its pods cannot be read") for each in cluster.workloads]
    return {
        "workloads": [each.for_ansible() for each in found],
        "ok": not problems,
        "problems": [printable(text) for text in problems],
        "unverified": [printable(text) for text in unverified],
        "unreadable": unreadable,
    }


def _missing(policy: Policy, registry: RegistryImages, found: t.Sequence[WorkloadVerdict]) -> list[str]:
    missing = _missing_images(policy.release, registry, found)
    return missing or (_unreplaced_revisions(policy.release, registry, found) if policy.set_image != "false" else [])


def _assess_workloads(
    cluster: Workloads, registry: RegistryImages, selection: Selection, policy: Policy, waited: int | None
) -> list[WorkloadVerdict]:
    found = []
    for workload in cluster.workloads:
        verdict = assess_workload(workload, cluster.pods_of(workload), registry, policy, waited)
        if verdict is None and selection.names:
            reason = f"it uses no image of {registry.name}"
            verdict = _unknown(workload, reason, problem=reason)
        if verdict:
            found.append(verdict)
    return found


def _unknown(workload: Object, reason: str, problem: str | None = None) -> WorkloadVerdict:
    return WorkloadVerdict(name_of(workload), workload["kind"], "unknown", reason, problem=problem)


def _stamp() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _missing_images(release: Release, registry: RegistryImages, workloads: t.Sequence[WorkloadVerdict]) -> list[str]:
    """A sentence for each image of the release that no workload runs, or will run after its patch or its rollout.

    Without any workload, for example before the first one is created, the images must only exist in the registry.
    """
    problems = []
    for reference in release.references:
        if not registry.is_published(reference):
            problems.append(f"{reference} was released, but it is not in the registry: publish it first")
        elif workloads and not any(
            _runs(each, image_verdict, reference, registry) for each in workloads for image_verdict in each.images
        ):
            others = [
                f"{each.name}: {where(found.use)} names {found.use.image}{_remedy(release, found, registry)}"
                for each in workloads
                for found in each.images
                if (found.use.reference() or reference).name == reference.name
            ]
            problems.append("; ".join([f"{reference} was released, but no selected workload runs it", *others]))
    return problems


def _unreplaced_revisions(
    release: Release, registry: RegistryImages, workloads: t.Sequence[WorkloadVerdict]
) -> list[str]:
    """A sentence for each container that names another revision, if the release has no revision to set in its place."""
    problems = []
    for each in workloads:
        for found in each.images:
            own = found.use.reference()
            released = release.named(own.name) if own and own.tag and form_of(own.tag) else None
            if (
                released
                and not form_of(released.tag or "")
                and not any(_runs(each, found, reference, registry) for reference in release.references)
            ):
                problems.append(
                    f"{each.name}: {where(found.use)} names {found.use.image}, another image than {released}, and no"
                    " revision was released that could replace it: set its image"
                )
    return problems


def _unused_images(release: Release, registry: RegistryImages) -> list[str]:
    """A sentence for each published image of a release, if the selection contains no workload."""
    return [
        f"{reference} was released, but no selected workload uses an image of {registry.name}, so no pod runs it"
        for reference in release.references
        if registry.is_published(reference)
    ]


def _runs(workload: WorkloadVerdict, verdict: ImageVerdict, reference: Reference, registry: RegistryImages) -> bool:
    own = verdict.use.reference()
    if own is None or own.name != reference.name:
        return False
    own = verdict.successor or verdict.use.followed()
    # In a dry run the new digests are not known.
    if own in registry.assumed or reference in registry.assumed or not registry.exists(reference):
        return own in registry.assumed
    if verdict.verdict in ("current", "pinned", "unknown") and verdict.running:
        return any(registry.matches(each, reference) for each in verdict.running) or verdict.verdict == "unknown"
    # A workload that is not current has its own problem or patch, and the pods of a CronJob start later.
    later = bool(workload.patch or workload.problem or workload.kind == "CronJob")
    return later and bool(verdict.expected) and registry.matches(str(verdict.expected), reference)


def _remedy(release: Release, verdict: ImageVerdict, registry: RegistryImages) -> str:
    own = verdict.use.reference()
    tagged = own.tagged(own.tag) if own and own.tag else None
    if own and own.digest and tagged in release.references and own.digest != registry.digest(tagged):
        return ", pinned to another digest: set its image, or let zot_rollout_pin set the digest"
    if verdict.set_to or not own or not release.successor(own):
        return "" if verdict.running else ", and has no pod"
    return ", another revision: set its image, or let zot_release_set_image or zot_rollout_set_image set it"
