# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import name_of
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import (
    RESTARTED_AT,
    Rollout,
    read_workloads,
    rollout_of,
)
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.workload_objects import (
    CLUSTER,
    NAMESPACE,
    REGISTRY,
    STAMP,
    Dict,
    container,
    pod,
    rolled_out,
    with_templates,
    workload,
)


def captured(scenario: str, *workloads: Dict) -> dict[str, Rollout]:
    """The rollouts of a scenario of captured_cluster.json, by workload; *workloads* replace those of the scenario."""
    state = CLUSTER[scenario]
    own = workloads or state["workloads"]
    pods = with_templates(own, state.get("pods", CLUSTER["fresh"]["pods"]))
    cluster = read_workloads(FakeCluster(*own, *pods), Selection(NAMESPACE))
    return {name_of(each): rollout_of(each, cluster.pods_of(each)) for each in own}


class TestCaptured:
    """A Deployment, a StatefulSet and a DaemonSet that were restarted for new images."""

    @pytest.mark.parametrize(
        ("scenario", "states"),
        [
            ("fresh", ["done", "done", "done"]),
            ("patched", ["progressing", "progressing", "progressing"]),
            ("early", ["progressing", "progressing", "progressing"]),
            ("failed", ["failed", "failed", "progressing"]),
            ("done", ["done", "done", "done"]),
        ],
    )
    def test_states(self, scenario: str, states: list[str]) -> None:
        """In failed the kubelet was about to try the DaemonSet's pod again: ErrImagePull, not ImagePullBackOff."""
        names = ("deployment/openclaw", "statefulset/stateful", "daemonset/daemon")
        assert [(name, found.state) for name, found in captured(scenario).items()] == list(zip(names, states))

    def test_reasons(self) -> None:
        found = captured("failed")
        deployment, daemon = found["deployment/openclaw"].reason, found["daemonset/daemon"].reason
        assert deployment.startswith(
            "pod openclaw-678fbcfc6b-p4ldq cannot pull: ImagePullBackOff: Back-off pulling image"
            f' "{REGISTRY}/openclaw/tool:latest": ErrImagePull:'
        )
        assert deployment.endswith("401 Unauthorized")
        assert daemon.startswith("1 of 1 pods are updated, 0 available; pod daemon-dnz6l: ErrImagePull: failed")

    def test_only_new_pods_count_while_it_is_not_done(self) -> None:
        names = {name: [pod["metadata"]["name"] for pod in found.pods] for name, found in captured("early").items()}
        assert names == {
            "deployment/openclaw": ["openclaw-678fbcfc6b-p4ldq"],
            "statefulset/stateful": [],
            "daemonset/daemon": ["daemon-dnz6l"],
        }

    @pytest.mark.parametrize(
        ("name", "state", "reason", "delayed"),
        [
            ("badname", "failed", "cannot pull: InvalidImageName: Failed to apply default image tag", False),
            ("never", "failed", "cannot pull: ErrImageNeverPull: Container image", False),
            ("nopull", "failed", "cannot pull: ImagePullBackOff: Back-off pulling image", True),
            ("novolume", "progressing", "ErrImagePull: rpc error: code = NotFound", True),
            ("deadline", "failed", 'ReplicaSet "deadline-7794b97548" has timed out progressing.', False),
            ("zero", "done", "0 of 0 pods are updated and available", False),
        ],
    )
    def test_what_cannot_start(self, name: str, state: str, reason: str, delayed: bool) -> None:
        found = captured("odd")[f"deployment/{name}"]
        assert (found.state, reason in found.reason, bool(found.waiting_to_pull)) == (state, True, delayed)

    def test_a_deadline_exceeded_before_the_restart_is_no_failure_of_it(self) -> None:
        """What the API answered to the patch: generation 2, a status of generation 1, and its condition."""
        current = CLUSTER["odd_patched"]
        assert current["status"]["observedGeneration"] < current["metadata"]["generation"]
        (found,) = captured("odd", current).values()
        assert found.state == "progressing"


def rolled(kind: str = "Deployment", wanted: int = 2, **changes: int | None) -> Dict:
    """A workload that is rolled out, except for *changes*: those of rolled_out()."""
    own = workload(kind=kind, replicas=wanted)
    return {**own, "status": rolled_out(kind, wanted, **changes)}


def new_pod(reason: str, message: str | None = None, *, init: bool = False, stamp: str = STAMP, **more: t.Any) -> Dict:
    """A pod of the restart that waits."""
    waiting = {"reason": reason} if message is None else {"reason": reason, "message": message}
    found = pod("", annotations={RESTARTED_AT: stamp}, phase="Pending", **more)
    found["spec"] = {"containers": [container()]}
    statuses = [{"name": "app", "imageID": "", "state": {"waiting": waiting}}]
    running = [{"name": "app", "imageID": "", "state": {"running": {}}}, {"name": "app1", "imageID": ""}]
    found["status"]["initContainerStatuses" if init else "containerStatuses"] = statuses
    found["status"]["containerStatuses" if init else "initContainerStatuses"] = running
    return found


def far(current: Dict, *pods: Dict) -> tuple[str, str]:
    """State and reason of the rollout, to whose template new_pod() belongs."""
    current["spec"]["template"]["metadata"] = {"annotations": {RESTARTED_AT: STAMP}}
    cluster = read_workloads(FakeCluster(current, *with_templates([current], pods)), Selection(NAMESPACE))
    found = rollout_of(current, cluster.pods_of(current))
    return found.state, found.reason


RESUME = "its rollouts are paused: kubectl --namespace=openclaw rollout resume deployment/app"


UNSCHEDULABLE: Dict = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 node(s) didn't match",
}
UNREADY: Dict = {
    "type": "Ready",
    "status": "False",
    "reason": "ContainersNotReady",
    "message": "containers with unready status: [app]",
}
RUNS: list[Dict] = [{"name": "app", "imageID": "", "state": {"running": {}}}]


class TestState:
    """How far a rollout is."""

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({}, "2 of 2 pods are updated and available"),
            ({"wanted": 0}, "0 of 0 pods are updated and available"),
            ({"wanted": 0, "updated": None, "whole": None, "ready": None}, "0 of 0 pods are updated and available"),
            ({"observed": 3}, "2 of 2 pods are updated and available"),
            ({"observed": 1}, "0 of 2 pods are updated, 2 available"),
            ({"observed": None}, "0 of 2 pods are updated, 2 available"),
            ({"updated": 1}, "1 of 2 pods are updated, 2 available"),
            ({"updated": None}, "0 of 2 pods are updated, 2 available"),
            ({"whole": 3}, "2 of 2 pods are updated, 2 available; 1 old pod remains"),
            ({"whole": 3, "updated": 1}, "1 of 2 pods are updated, 2 available; 2 old pods remain"),
            ({"ready": 1}, "2 of 2 pods are updated, 1 available"),
            ({"ready": None}, "2 of 2 pods are updated, 0 available"),
        ],
    )
    def test_rolled(self, kind: str, changes: Dict, why: str) -> None:
        assert far(rolled(kind, **changes)) == ("done" if why.endswith("and available") else "progressing", why)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (rolled_out("Deployment", 1), ("done", "1 of 1 pods are updated and available")),
            ({}, ("progressing", "0 of 1 pods are updated, 0 available")),
        ],
    )
    def test_one_replica_where_none_is_given(self, status: Dict, expected: tuple[str, str]) -> None:
        """Also without a status yet."""
        current = {**rolled(wanted=1), "status": status}
        del current["spec"]["replicas"]
        assert far(current) == expected

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize("reason", ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
    @pytest.mark.parametrize("init", [False, True], ids=["container", "init container"])
    def test_a_new_pod_cannot_pull(self, kind: str, reason: str, init: bool) -> None:
        """Also if enough others are ready."""
        owner = "ReplicaSet" if kind == "Deployment" else kind
        waiting = new_pod(reason, "because", init=init, kind=owner, name="app-1")
        assert far(rolled(kind), pod("", kind=owner), waiting) == (
            "failed",
            f"pod app-1 cannot pull: {reason}: because",
        )

    def test_a_new_pod_whose_pull_secret_kubelet_cannot_read(self) -> None:
        """The reason and the message are both the error of kubelet."""
        text = "illegal base64 data at input byte 3"
        assert far(rolled(ready=0), new_pod(text, text)) == (
            "failed",
            f"pod p cannot pull: kubelet cannot read a pull secret of the pod: {text}",
        )

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(new_pod("ImagePullBackOff", "x", stamp="2026-11-24T11:00:00Z"), id="of an older restart"),
            pytest.param({**new_pod("ImagePullBackOff", "x"), "metadata": pod("")["metadata"]}, id="of no restart"),
            pytest.param(new_pod("ImagePullBackOff", "x", of="other"), id="of another workload"),
            pytest.param(new_pod("ImagePullBackOff", "x", ending=True), id="ending"),
        ],
    )
    def test_what_another_pod_cannot_pull_is_no_failure(self, other: Dict) -> None:
        assert far(rolled(ready=1), other) == ("progressing", "2 of 2 pods are updated, 1 available")

    @pytest.mark.parametrize(
        ("reason", "message", "suffix"),
        [
            ("ErrImagePull", "401", "; pod p: ErrImagePull: 401"),
            ("CrashLoopBackOff", "back-off 10s", "; pod p: CrashLoopBackOff: back-off 10s"),
            ("CreateContainerConfigError", None, "; pod p: CreateContainerConfigError"),
            ("ContainerCreating", None, ""),
            ("PodInitializing", None, ""),
            ("", None, ""),
        ],
    )
    def test_what_a_new_pod_waits_for(self, reason: str, message: str | None, suffix: str) -> None:
        assert far(rolled(ready=1), new_pod(reason, message)) == (
            "progressing",
            f"2 of 2 pods are updated, 1 available{suffix}",
        )

    @pytest.mark.parametrize(
        ("status", "suffix"),
        [
            pytest.param(
                {"conditions": [UNSCHEDULABLE]},
                "; pod p: 0/1 nodes are available: 1 node(s) didn't match",
                id="no node",
            ),
            pytest.param(
                {"conditions": [{"type": "PodScheduled", "status": "True"}, UNREADY], "containerStatuses": RUNS},
                "; pod p: containers with unready status: [app]",
                id="readiness probe",
            ),
            pytest.param(
                {"conditions": [{"type": "Ready", "status": "False", "reason": "PodCompleted"}]},
                "; pod p: PodCompleted",
                id="no message",
            ),
            pytest.param(
                {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": RUNS}, "", id="ready"
            ),
            pytest.param({"conditions": None}, "", id="null"),
            pytest.param(
                {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": RUNS},
                "; pod p: its node node-1 has not reported that it is ready",
                id="node not ready",
            ),
            pytest.param(
                {"phase": "Pending"},
                "; pod p: its node node-1 has not reported that it is ready",
                id="not seen yet",
            ),
        ],
    )
    def test_why_a_new_pod_is_not_ready(self, status: Dict, suffix: str) -> None:
        new = pod("", annotations={RESTARTED_AT: STAMP})
        new["status"] = status
        own = rolled(ready=1)
        if "its node" in suffix:
            new["spec"] = {**own["spec"]["template"]["spec"], "nodeName": "node-1"}
        assert far(own, new) == ("progressing", f"2 of 2 pods are updated, 1 available{suffix}")

    def test_the_reason_of_a_container_is_more_exact(self) -> None:
        new = new_pod("CrashLoopBackOff", "back-off 10s")
        new["status"]["conditions"] = [UNREADY]
        assert far(rolled(ready=1), new)[1].endswith("1 available; pod p: CrashLoopBackOff: back-off 10s")

    def test_pods_with_the_same_reason_are_counted(self) -> None:
        pods = [pod("", name=f"p{number}", annotations={RESTARTED_AT: STAMP}) for number in range(3)]
        for each in pods:
            each["status"] = {"conditions": [UNREADY]}
        assert far(rolled(ready=1), *pods)[1].endswith(
            "1 available; pod p0 and 2 more: containers with unready status: [app]"
        )

    @pytest.mark.parametrize("observed", [1, 2])
    def test_pods_that_cannot_be_created(self, observed: int) -> None:
        """For example because of a ResourceQuota. The condition is old until the controller has observed the change."""
        current = rolled(updated=0, ready=1, observed=observed)
        message = 'pods "app-77" is forbidden: exceeded quota: q'
        current["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": message}]
        suffix = f"; {message}" if observed == 2 else ""
        assert far(current) == ("progressing", f"0 of 2 pods are updated, 1 available{suffix}")

    @pytest.mark.parametrize(
        ("changes", "state"),
        [({"updated": 0}, "failed"), ({}, "done"), ({"observed": 1}, "progressing")],
    )
    def test_paused(self, changes: Dict, state: str) -> None:
        """A pause is a new generation, too; until the controller has observed it, the counts are old."""
        current = rolled(**changes)
        current["spec"]["paused"] = True
        found = far(current)
        assert (found[0], found[1] == RESUME) == (state, state == "failed")

    @pytest.mark.parametrize(
        ("condition", "why"),
        [
            ({"reason": "ProgressDeadlineExceeded", "message": "it has timed out."}, "it has timed out."),
            ({"reason": "ProgressDeadlineExceeded"}, "ProgressDeadlineExceeded"),
            ({"reason": "ReplicaSetUpdated"}, None),
            ({"type": "Available"}, None),
        ],
    )
    def test_conditions(self, condition: Dict, why: str | None) -> None:
        current = rolled(updated=1, ready=1)
        current["status"]["conditions"] = [{"type": "Progressing", **condition}]
        text = f"{why or '1 of 2 pods are updated, 1 available'}; pod p: CrashLoopBackOff"
        assert far(current, new_pod("CrashLoopBackOff")) == ("failed" if why else "progressing", text)

    @pytest.mark.parametrize(
        "strategy",
        [{"type": "OnDelete"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}],
        ids=["OnDelete", "partition"],
    )
    def test_what_is_updated_by_hand_is_not_waited_for(self, strategy: Dict) -> None:
        current = rolled("StatefulSet", updated=0)
        current["spec"]["updateStrategy"] = strategy
        assert far(current)[0] == "done"
