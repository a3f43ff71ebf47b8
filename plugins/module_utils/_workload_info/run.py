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

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Client, Object
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, unreadable_text
from ansible_collections.killinit.zot.plugins.module_utils._cluster.selection import Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import (
    image_uses,
    name_of,
    template_of,
)
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
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.cluster_state import (
    ClusterState,
    read_cluster,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import differing
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.other_pods import assess_other_pods
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.registry_state import (
    RegistryState,
    pinned_of,
    reference_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release_check import (
    missing_images,
    unreplaced_revisions,
    unused_images,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.revisions import Release
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.verdicts import (
    Policy,
    WorkloadVerdict,
    assess_workload,
)


@dataclass(frozen=True)
class Query:
    """The options of a task, except for those of the connections. *wait_timeout* is None if the task does not wait."""

    registry: str
    selection: Selection
    repositories: t.Collection[str]
    policy: Policy
    assumed: t.Sequence[str]
    wait_timeout: int | None
    wait_sleep: int

    def uses_repository(self, specification: Object) -> bool:
        """Whether the specification of a pod names an image of one of the repositories."""
        references = [use.reference() for use in image_uses(specification)]
        return any(
            each and each.registry == self.registry and each.repository in self.repositories for each in references
        )

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Query:
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
            [str(each) for each in references_option("assume_pushed", params["assume_pushed"], registry)],
            params["wait_timeout"] if params["wait"] else None,
            params["wait_sleep"],
        )


def workload_info(client: Client, reader: Registry, query: Query) -> dict[str, t.Any]:
    """The result of the module. Raises ClusterError or ZotError."""
    deadline = None if query.wait_timeout is None else time.monotonic() + query.wait_timeout
    while True:
        late = deadline is None or time.monotonic() >= deadline
        state = RegistryState(query.registry, assumed=query.assumed)
        try:
            cluster = read_cluster(client, query.selection)
            if query.repositories:
                cluster = cluster.limited_to(query.uses_repository)
            if late or not cluster.in_progress(state.is_used_by):
                # The wait also ends before the timeout if a rollout has failed.
                waited = query.wait_timeout if late else None
                return _assess(cluster, reader, state, query, waited) | {
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
    cluster: ClusterState,
    reader: Registry,
    state: RegistryState,
    query: Query,
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
        uses = [use for each in specifications for use in image_uses(each) if state.holds(use)]
        state.read(reader, filter(None, [name(use) for use in uses for name in (reference_of, pinned_of)]))
        state.read(reader, map(str, policy.release.references))
        found = _assess_workloads(cluster, state, selection, policy, waited)
        if state.read_whole(reader, differing((image for each in found for image in each.images), state)):
            found = _assess_workloads(cluster, state, selection, policy, waited)
        missing = _missing(policy, state, found)
        # An image of the release may run by another digest, so compare the configurations, too.
        if missing and state.read_whole(reader, state.references):
            missing = _missing(policy, state, found)
        other_problems, other_unverified = assess_other_pods(cluster.other_pods, state, reader)
        if not found and not selection.allow_empty and not unreadable and not other_problems:
            images = " or ".join(f"{state.registry}/{each}" for each in query.repositories) or state.registry
            raise selection.nothing(f"none{selection.with_labels} uses an image of {images}; allow_empty accepts that")
        problems += [f"{each.name}: {each.problem}" for each in found if each.problem]
        problems += missing
        problems += other_problems
        unverified = [text for each in found for text in each.unverified] + other_unverified
        if not found:
            unverified += unused_images(policy.release, state)
    else:
        found = [_unknown(each, "its pods cannot be read") for each in cluster.workloads]
    return {
        "workloads": [each.for_ansible() for each in found],
        "ok": not problems,
        "problems": [printable(text) for text in problems],
        "unverified": [printable(text) for text in unverified],
        "unreadable": unreadable,
    }


def _missing(policy: Policy, state: RegistryState, found: t.Sequence[WorkloadVerdict]) -> list[str]:
    missing = missing_images(policy.release, state, found)
    return missing or (unreplaced_revisions(policy.release, state, found) if policy.set_image != "false" else [])


def _assess_workloads(
    cluster: ClusterState, state: RegistryState, selection: Selection, policy: Policy, waited: int | None
) -> list[WorkloadVerdict]:
    found = []
    for workload in cluster.workloads:
        verdict = assess_workload(workload, cluster.pods_of(workload), state, policy, waited)
        if verdict is None and selection.names:
            reason = f"it uses no image of {state.registry}"
            verdict = _unknown(workload, reason, problem=reason)
        if verdict:
            found.append(verdict)
    return found


def _unknown(workload: Object, reason: str, problem: str | None = None) -> WorkloadVerdict:
    return WorkloadVerdict(name_of(workload), workload["kind"], "unknown", reason, problem=problem)


def _stamp() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
