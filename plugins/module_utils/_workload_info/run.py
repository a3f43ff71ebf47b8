# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the images that workloads run with the registry, and wait for rollouts.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import functools
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import ReleaseRecord
from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, unreadable_texts
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    Object,
    another_name,
    digest_of,
    image_uses,
    name_of,
    registry_names,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import now_text, printable
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    at_least,
    references_option,
    registry_option,
    repositories_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.containers import Policy, runs_lost_image
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    RegistryImages,
    assess_other_pods,
    differing,
    running_images,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import Release, Rollback
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import Workloads, read_workloads
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.verdicts import (
    WorkloadVerdict,
    assess_workload,
    release_problems,
    unused_images,
)

# Seconds that a wait gives an API server that does not accept connections, for example because it restarts.
_RESTART = 60


@dataclass(frozen=True)
class WorkloadQuery:
    """The options of a task, except for those of the connections. *wait_timeout* is None if the task does not wait."""

    registry: str
    selection: Selection
    repositories: t.Collection[str]
    policy: Policy
    assumed: t.Sequence[Reference]
    check_mode: bool
    wait_timeout: int | None
    wait_sleep: int
    aliases: t.Sequence[str] = ()

    def uses_repository(self, specification: Object) -> bool:
        """Whether the specification of a pod names an image of one of the repositories."""
        references = [use.reference() for use in image_uses(specification)]
        return any(
            each and each.registry == self.registry and each.repository in self.repositories for each in references
        )

    @property
    def moved(self) -> dict[Reference, str]:
        """The tags that a dry run of a rollback has not moved, with their digests after the rollback."""
        rollback = self.policy.rollback
        return {each.tag: each.after for each in rollback.moves} if rollback and self.check_mode else {}

    def waits_for(self, workload: Object, registry: RegistryImages) -> bool:
        """Whether the task waits for the rollout of a workload. A rollback waits only for those that it restores."""
        if self.policy.rollback is None:
            return registry.is_used_by(workload)
        record = ReleaseRecord.of(workload)
        return record is not None and self.policy.rollback.is_done(record)

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any], *, check_mode: bool = False) -> WorkloadQuery:
        """Parse the options. Raises ZotError or InvalidNameError for an invalid option."""
        registry = registry_option(params["registry"])
        at_least(0, wait_timeout=params["wait_timeout"])
        at_least(1, wait_sleep=params["wait_sleep"])
        release = Release(references_option("images", params["images"], registry))
        rollback = Rollback.of(params["rollback"], registry)
        if rollback and release.references:
            raise ZotError("invalid_option", "images and rollback are mutually exclusive")
        return cls(
            registry,
            Selection.of(params),
            repositories_option("repositories", params["repositories"]),
            Policy(release, params["set_image"], params["pin"], now_text(), rollback),
            references_option("assume_pushed", params["assume_pushed"], registry),
            check_mode,
            params["wait_timeout"] if params["wait"] else None,
            params["wait_sleep"],
            params["registry_aliases"],
        )


def run(client: ApiClient, registry: Registry, query: WorkloadQuery) -> dict[str, t.Any]:
    """The result of the module. Raises ClusterError or ZotError."""
    with registry_names(query.registry, query.aliases):
        return _run(client, registry, query)


def _run(client: ApiClient, registry: Registry, query: WorkloadQuery) -> dict[str, t.Any]:
    began = time.monotonic()
    deadline = None if query.wait_timeout is None else began + query.wait_timeout
    while True:
        late = deadline is None or time.monotonic() >= deadline
        images = RegistryImages(registry, query.assumed, query.moved)
        try:
            everything = cluster = read_workloads(client, query.selection)
            if query.repositories:
                cluster = cluster.limited_to(query.uses_repository)
            if late or not cluster.in_progress(functools.partial(query.waits_for, registry=images)):
                # The wait also ends before the timeout if a rollout has failed.
                waited = query.wait_timeout if late else None
                return _assess(cluster, everything, images, query, waited) | {
                    "changed": False,
                    "namespace": query.selection.namespace,
                    "registry": query.registry,
                    "cluster": client.server,
                }
        except (ClusterError, ZotError) as error:
            restarts = isinstance(error, ClusterError) and error.status is None and time.monotonic() < began + _RESTART
            if late or not (error.retryable or restarts):
                raise
        time.sleep(max(min(query.wait_sleep, (deadline or 0) - time.monotonic()), 0))


def _assess(
    cluster: Workloads, everything: Workloads, registry: RegistryImages, query: WorkloadQuery, waited: int | None
) -> dict[str, t.Any]:
    selection, policy = query.selection, query.policy
    unreadable = [dict(each) for each in cluster.unreadable]
    problems = unreadable_texts(unreadable)
    unverified: list[str] = []
    found: list[WorkloadVerdict] = []
    notes: list[str] = []
    if cluster.has_pods:
        specifications = [template_of(each)["spec"] for each in cluster.workloads]
        specifications += [pod["spec"] for pod in cluster.other_pods]
        uses = [use for each in specifications for use in image_uses(each) if registry.holds(use)]
        named = [reference for use in uses for reference in (use.followed(), use.pinned()) if reference]
        registry.read([*named, *policy.release.references])
        if policy.rollback:
            records = map(ReleaseRecord.of, cluster.workloads)
            registry.read([reference for each in records for reference in policy.rollback.references(each)])
            registry.read_whole([*policy.rollback.lost_references, *(each.tag for each in policy.rollback.moves)])
        found = _assess_workloads(cluster, registry, selection, policy, waited)
        if registry.read_whole(differing((image for each in found for image in each.images), registry)):
            found = _assess_workloads(cluster, registry, selection, policy, waited)
        missing = release_problems(policy.release, registry, found)
        # An image of the release may run by another digest, so compare the configurations, too.
        if missing and registry.read_whole(registry.references):
            missing = release_problems(policy.release, registry, found)
        others = cluster.other_pods
        if policy.rollback:
            others = [pod for pod in others if runs_lost_image(pod, registry, policy.rollback)]
        other_problems, other_unverified = assess_other_pods(others, registry)
        if not (uses or selection.allow_empty or unreadable):
            images = " or ".join(f"{registry.name}/{each}" for each in query.repositories) or registry.name
            text = f"none{selection.with_labels} uses an image of {images}; allow_empty accepts that"
            raise selection.nothing("; ".join([text, *other_names(everything, registry, query.repositories or None)]))
        known = {*query.repositories, *(each.repository for each in [*named, *policy.release.references])}
        notes = other_names(everything, registry, known)
        problems += [f"{each.name}: {each.problem}" for each in found if each.problem]
        problems += missing
        problems += other_problems
        unverified = [text for each in found for text in each.unverified] + other_unverified
        if not found:
            unverified += unused_images(policy.release, registry)
    else:
        found = [_unknown(each, "its pods cannot be read") for each in cluster.workloads]
    return {
        "workloads": [each.for_ansible() for each in found],
        "ok": not problems,
        "problems": [printable(text) for text in problems],
        "unverified": [printable(text) for text in unverified],
        "theirs": [printable(f"{each.name}: {each.theirs}") for each in found if each.theirs],
        "unreadable": unreadable,
        # Ansible shows them.
        **({"warnings": notes} if notes else {}),
    }


def _assess_workloads(
    cluster: Workloads, registry: RegistryImages, selection: Selection, policy: Policy, waited: int | None
) -> list[WorkloadVerdict]:
    found = []
    for workload in cluster.workloads:
        verdict = assess_workload(workload, cluster.pods_of(workload), registry, policy, waited)
        if verdict is None and selection.names and not policy.rollback:
            reason = f"it uses no image of {registry.name}"
            verdict = _unknown(workload, reason, problem=reason)
        if verdict:
            found.append(verdict)
    return found


def _unknown(workload: Object, reason: str, problem: str | None = None) -> WorkloadVerdict:
    return WorkloadVerdict(name_of(workload), workload["kind"], "unknown", reason, problem=problem)


def other_names(
    cluster: Workloads, registry: RegistryImages, repositories: t.Collection[str] | None = None
) -> list[str]:
    """A sentence for each host whose image the registry has in the same repository, with the same digest if pods run.

    Only the *repositories* are read, all that the workloads name if it is None. Raises ZotError.
    """
    candidates: list[tuple[str, str, str, Reference]] = []
    for workload in cluster.workloads:
        for use in image_uses(template_of(workload)["spec"]):
            reference = use.reference()
            if reference is None or reference.registry == registry.name:
                continue
            if repositories is None or reference.repository in repositories:
                own = reference.known_as(str(registry.name), [reference.registry])
                digests = {digest_of(text) for text in running_images(use, cluster.pods_of(workload))}
                digests |= {reference.digest} if reference.digest else set()
                # For example of a CronJob, no pod reports a digest.
                places = [own.pinned(each) for each in digests] or [own]
                candidates += [(reference.registry, name_of(workload), use.image, each) for each in places]
    registry.read(own for _host, _name, _image, own in candidates)
    found: dict[str, str] = {}
    for host, name, image, own in candidates:
        if registry.exists(own):
            same = "the same image" if own.digest else "the same tag"
            found.setdefault(host, another_name(name, image, str(registry.name), same, host))
    return list(found.values())
