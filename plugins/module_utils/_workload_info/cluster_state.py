# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the selected workloads and their pods.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Client, Readings, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    RESOURCES,
    WORKLOADS,
    Object,
    name_of,
    owner_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import rollout_of


@dataclass(frozen=True)
class ClusterState:
    """The selected workloads, and the pods of the namespace that have not ended.

    *other_pods* are those that no existing Deployment, StatefulSet or DaemonSet owns. *unreadable* lists the resources
    that cannot be read.
    """

    workloads: t.Sequence[Object]
    pods: t.Mapping[tuple[str, str], t.Sequence[Object]] = field(default_factory=dict)
    other_pods: t.Sequence[Object] = ()
    unreadable: t.Sequence[dict[str, t.Any]] = ()

    @property
    def has_pods(self) -> bool:
        """Whether the pods could be read."""
        return all(each["resource"] != "pods" for each in self.unreadable)

    def pods_of(self, workload: Object) -> t.Sequence[Object]:
        """The pods that belong to a workload."""
        return self.pods.get((workload["kind"], workload["metadata"]["name"]), ())

    def limited_to(self, uses: t.Callable[[Object], bool]) -> ClusterState:
        """A copy with only the workloads and other pods for whose pod specification *uses* returns true."""
        return replace(
            self,
            workloads=[each for each in self.workloads if uses(template_of(each)["spec"])],
            other_pods=[pod for pod in self.other_pods if uses(pod["spec"])],
        )

    def in_progress(self, uses_registry: t.Callable[[Object], bool]) -> bool:
        """Whether to wait: a rollout is in progress, and none has failed.

        Only workloads for which *uses_registry* returns true count.
        """
        rollouts = (each for each in self.workloads if each["kind"] != "CronJob" and uses_registry(each))
        states = {rollout_of(each, self.pods_of(each)).state for each in rollouts} if self.has_pods else set()
        return "progressing" in states and "failed" not in states


class _Readings(Readings):
    """Records the resources that the user may not read. Temporary errors are raised."""

    def _note(self, error: ClusterError) -> None:
        if error.retryable:
            raise error
        super()._note(error)


def read_cluster(client: Client, selection: Selection) -> ClusterState:
    """Read the cluster with one list for each kind. Raises ClusterError, also if the selection finds nothing."""
    readings = _Readings(client)
    kinds = {name.kind for name in selection.names}
    resources = [each for each in WORKLOADS if not kinds or RESOURCES[each][1] in kinds]
    lists = {each: readings.list(each, selection.namespace, labels=selection.labels) for each in resources}
    workloads = [workload for found in lists.values() for workload in found or ()]
    readable = {RESOURCES[each][1] for each, found in lists.items() if found is not None}
    if selection.names:
        by_name = {name_of(workload): workload for workload in workloads}
        for name in selection.names:
            if name.kind in readable and str(name) not in by_name:
                selection.require_namespace(client)
                raise selection.nothing(f"it does not exist{selection.with_labels}", str(name))
        workloads = [by_name[str(name)] for name in selection.names if str(name) in by_name]
    elif not workloads and not readings.unreadable:
        selection.require_namespace(client)
        if not selection.allow_empty:
            raise selection.nothing(f"the namespace has none{selection.with_labels}; allow_empty accepts that")
    pods = readings.list("pods", selection.namespace) or []
    existing = {(each["kind"], each["metadata"]["name"]) for each in workloads}
    # With labels, a workload that was not listed may exist.
    complete = set() if selection.labels else readable
    owned: dict[tuple[str, str], list[Object]] = {}
    other_pods = []
    for pod in pods:
        owner = owner_of(pod)
        phase = (pod.get("status") or {}).get("phase")
        if pod["metadata"].get("deletionTimestamp") or phase in ("Succeeded", "Failed"):
            continue
        if owner and (owner in existing or owner[0] not in complete):
            owned.setdefault(owner, []).append(pod)
        else:
            other_pods.append(pod)
    return ClusterState(workloads, owned, _selected_other_pods(readings, selection, other_pods), readings.unreadable)


def _selected_other_pods(
    readings: Readings, selection: Selection, other_pods: t.Sequence[Object]
) -> t.Sequence[Object]:
    if selection.names or not other_pods:
        return ()
    if not selection.labels:
        return other_pods
    # Only the API server can evaluate a selector.
    found = readings.list("pods", selection.namespace, labels=selection.labels, metadata_only=True)
    names = {pod["metadata"]["name"] for pod in found or ()}
    return [pod for pod in other_pods if pod["metadata"]["name"] in names]
