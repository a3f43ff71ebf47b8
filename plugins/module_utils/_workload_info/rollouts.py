# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the selected workloads and their pods, and determine the progress of rollouts.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient, Readings, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    GIVEN_UP_REASONS,
    RESOURCES,
    STATUS_OF,
    WORKLOADS,
    Object,
    is_unreadable_secret,
    name_of,
    owner_of,
    template_of,
)

# As kubectl rollout restart: https://github.com/kubernetes/kubectl/blob/master/pkg/polymorphichelpers/objectrestarter.go
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

# Waiting reasons of a pod that starts normally.
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
# Kubelet retries such a pull with increasing delays. Between two tries a pod has one of these reasons.
_PULL_DELAYED = frozenset({"ErrImagePull", "ImagePullBackOff"})


@dataclass(frozen=True)
class Rollout:
    """The rollout of a workload's current pod template.

    *state* is C(done), C(progressing) or C(failed). *pods* are the pods whose images count: those of the current
    template until the rollout is done, then all. *waiting_to_pull* are the containers, by section and name, whose pull
    has failed and is retried later. New pods would pull at once.
    """

    state: str
    reason: str
    pods: t.Sequence[Object]
    waiting_to_pull: frozenset[tuple[str, str]] = frozenset()


def rollout_of(workload: Object, pods: t.Sequence[Object]) -> Rollout:
    """The rollout of a Deployment, StatefulSet or DaemonSet. *pods* are the pods of the workload."""
    new = [pod for pod in pods if _is_of_template(pod, workload)]
    status = workload.get("status") or {}
    waiting = [(pod, *each) for pod in new for each in _waiting(pod)]
    failed = [
        (pod, reason, message)
        for pod, _where, reason, message in waiting
        if reason in GIVEN_UP_REASONS or is_unreadable_secret(reason)
    ]
    delayed = frozenset(where for _pod, where, reason, _message in waiting if _is_tried_again(reason))
    if failed:
        pod, reason, message = failed[0]
        if is_unreadable_secret(reason):
            reason, message = "kubelet cannot read a pull secret of the pod", reason
        text = f"pod {pod['metadata']['name']} cannot pull: {reason}: {message}"
        # New pods would fail for the other reasons, too.
        final = not all(_is_tried_again(reason) for _pod, reason, _message in failed)
        return Rollout("failed", text, new, frozenset() if final else delayed)
    is_observed = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    # Of the kinds, only a Deployment reports that its pods cannot be created, for example because of a ResourceQuota.
    not_created = _condition(workload, "ReplicaFailure", "True") if is_observed else ""
    details = [*filter(None, [not_created]), *_not_ready(new)]
    for condition in (status.get("conditions") or []) if is_observed else []:
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            text = "; ".join([condition.get("message") or "ProgressDeadlineExceeded", *details])
            return Rollout("failed", text, new, delayed)
    expected = replicas_of(workload)
    if workload["kind"] == "DaemonSet":
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        total = status.get("currentNumberScheduled", 0)
    else:
        updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
        available = status.get("availableReplicas", 0)
    if (
        is_observed
        and expected == total == available
        and (expected == updated or replaces_pods_by_hand(workload) or has_partition(workload))
    ):
        return Rollout("done", f"{available} of {expected} pods are updated and available", pods)
    if is_observed and paused(workload):
        return Rollout("failed", paused(workload), new)
    text = f"{updated if is_observed else 0} of {expected} pods are updated, {available} available"
    old = total - updated if is_observed and total > expected else 0
    if old > 0:
        text += f"; {old} old pod{'s remain' if old > 1 else ' remains'}"
    return Rollout("progressing", "; ".join([text, *details]), new, delayed)


def paused(workload: Object) -> str:
    """Why the controller creates no pods of a changed template, and the remedy; empty if it does."""
    if not workload["spec"].get("paused"):
        return ""
    return f"its rollouts are paused: {_kubectl(workload)} rollout resume {name_of(workload)}"


def recreate_waiting_pods(workload: Object, rollout: Rollout) -> str:
    """The command that lets new pods pull what the pods of a rollout wait for."""
    waiting = [pod for pod in rollout.pods if any(_is_tried_again(reason) for _where, reason, _text in _waiting(pod))]
    return " ".join([_kubectl(workload), "delete pod", *(pod["metadata"]["name"] for pod in waiting)])


def replaces_pods_by_hand(workload: Object) -> str | None:
    """Why the controller replaces no pod after its template has changed, and the remedy; None if it does."""
    if (workload["spec"].get("updateStrategy") or {}).get("type") != "OnDelete":
        return None
    return "its update strategy is OnDelete: delete its pods"


def delete_old_pods(workload: Object, pods: t.Iterable[Object]) -> str:
    """The command that replaces the pods of an earlier template."""
    old = [pod["metadata"]["name"] for pod in pods if not _is_of_template(pod, workload)]
    reason = replaces_pods_by_hand(workload)
    return f"{reason}: {' '.join([_kubectl(workload), 'delete pod', *old])}" if old else f"{reason}"


def has_partition(workload: Object) -> str | None:
    """Why the controller does not replace all pods of a changed template, and the remedy; None if it does."""
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete" or not (strategy.get("rollingUpdate") or {}).get("partition"):
        return None
    return "its update strategy has a partition, below which no pod is updated: set it to 0"


def replicas_of(workload: Object) -> int:
    """The number of pods that a Deployment, StatefulSet or DaemonSet should have."""
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled", 0))
    return int(workload["spec"].get("replicas", 1))


def _kubectl(workload: Object) -> str:
    return f"kubectl --namespace={workload['metadata']['namespace']}"


def _is_of_template(pod: Object, workload: Object) -> bool:
    """Whether the pod was created from the current template, by the time of the last restart and the images."""
    template = template_of(workload)
    made, wanted = (
        ((each.get("metadata") or {}).get("annotations") or {}).get(RESTARTED_AT) for each in (pod, template)
    )
    # An admission webhook may have added containers.
    return made == wanted and _images(template).items() <= _images(pod).items()


def _images(owner: Object) -> dict[tuple[str, str], str]:
    return {
        (section, each["name"]): each.get("image") or ""
        for section in STATUS_OF
        for each in owner["spec"].get(section) or []
    }


def _waiting(pod: Object) -> t.Iterator[tuple[tuple[str, str], str, str]]:
    for section, statuses in STATUS_OF.items():
        for status in (pod.get("status") or {}).get(statuses) or []:
            state = (status.get("state") or {}).get("waiting")
            if state:
                yield (section, status["name"]), state.get("reason", ""), state.get("message", "")


def _is_tried_again(reason: str) -> bool:
    """Whether new pods may succeed, because the image or the pull secret may be correct since."""
    return reason in _PULL_DELAYED or is_unreadable_secret(reason)


def _not_ready(pods: t.Iterable[Object]) -> list[str]:
    """Why pods are not ready, one sentence for each reason."""
    found: dict[str, list[str]] = {}
    for pod in pods:
        reasons = [
            ": ".join(filter(None, [reason, message]))
            for _where, reason, message in _waiting(pod)
            if reason not in _STARTING
        ]
        general = _condition(pod, "PodScheduled", "False") or _condition(pod, "Ready", "False") or _silent_node(pod)
        for text in dict.fromkeys(reasons or filter(None, [general])):
            found.setdefault(text, []).append(pod["metadata"]["name"])
    return [
        f"pod {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}"
        for text, names in found.items()
    ]


def _silent_node(pod: Object) -> str:
    """That the node of a pod may be down: kubelet has never reported the pod, or the node controller has marked it."""
    node, status = pod["spec"].get("nodeName"), pod.get("status") or {}
    marked = any((each["type"], each.get("status")) == ("Ready", "False") for each in status.get("conditions") or [])
    if not node or (status.get("containerStatuses") and not marked):
        return ""
    return f"its node {node} has not reported that it is ready"


def _condition(owner: Object, name: str, status: str) -> str:
    """The message or the reason of a condition; empty if it does not have this status."""
    for each in (owner.get("status") or {}).get("conditions") or []:
        if (each["type"], each.get("status")) == (name, status):
            return each.get("message") or each.get("reason") or ""
    return ""


@dataclass(frozen=True)
class Workloads:
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

    def limited_to(self, uses: t.Callable[[Object], bool]) -> Workloads:
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


def read_workloads(client: ApiClient, selection: Selection) -> Workloads:
    """Read the cluster with one list for each kind. Raises ClusterError, also if the selection finds nothing."""
    readings = Readings(client, raise_temporary=True)
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
    return Workloads(workloads, owned, _selected_other_pods(readings, selection, other_pods), readings.unreadable)


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
