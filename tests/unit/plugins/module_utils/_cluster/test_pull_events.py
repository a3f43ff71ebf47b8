# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import typing as t
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import (
    PullFailure,
    find_failures,
    kubelet_error,
)

PULLS = json.loads((Path(__file__).parents[3] / "captured_pulls.json").read_text(encoding="utf-8"))
NOW = 1795489470.0  # 2026-11-24T03:04:30Z
REGISTRY = "127.0.0.1:5000"


def find(state: t.Mapping[str, t.Any], *, now: float = NOW, pull_timeout: float = 60) -> dict[str, list[PullFailure]]:
    """By Deployment."""
    found: dict[str, list[PullFailure]] = {}
    for each in find_failures(state["pods"], state["events"], now=now, pull_timeout=pull_timeout):
        found.setdefault(each.owner_name, []).append(each)
    return found


def only(app: str, scene: str = "early") -> dict[str, t.Any]:
    """The pods of one Deployment, and their events, to be changed at will."""
    pods = [pod for pod in PULLS[scene]["pods"] if pod["metadata"]["labels"]["app"] == app]
    uids = {pod["metadata"]["uid"] for pod in pods}
    events = [event for event in PULLS[scene]["events"] if event["involvedObject"]["uid"] in uids]
    return copy.deepcopy({"pods": pods, "events": events})


def waiting(state: t.Mapping[str, t.Any], pod: int = 0) -> dict[str, t.Any]:
    """The waiting state of a pod's only container."""
    found: dict[str, t.Any] = state["pods"][pod]["status"]["containerStatuses"][0]["state"]["waiting"]
    return found


def test_every_captured_pod() -> None:
    """The class of every failure; a pod that runs, or whose first pull has only begun, has none."""
    classes = {
        app: {(each.state, kubelet_error(each.message, each.image)) for each in found}
        for app, found in find(PULLS["early"]).items()
    }
    absent, refused = {("failed", "absent")}, {("failed", "unauthorized")}
    assert classes == {
        "digestgone": absent,
        "foreign": {("crashed", "")},
        "malformed": {("failed", "malformed")},
        "never": {("failed", "never")},
        "nohost": {("failed", "host")},
        "nosecret": refused,
        "notbase64": {("failed", "")},
        "opaque": refused,
        "otherhost": refused,
        "plain": {("failed", "plain_http")},
        "platform": {("failed", "platform")},
        "refused": {("failed", "refused")},
        "repomissing": absent,
        "secretmissing": refused,
        "tagdigestgone": absent,
        "tagmissing": absent,
        "untrusted": {("failed", "tls")},
        "volume": absent,
        "volumearm": {("failed", "platform")},
        "wrong": refused,
    }


@pytest.mark.parametrize("each", PULLS["elsewhere"], ids=lambda each: each["source"].partition(".com/")[2])
def test_messages_of_other_runtimes(each: t.Mapping[str, str]) -> None:
    assert kubelet_error(each["message"], each["image"]) == each["error"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("unexpected status from HEAD request to https://REG/v2/a/manifests/1: 429 Too Many Requests", "rate"),
        ("toomanyrequests: no room for another repository limit:3", "quota"),
        ("unexpected status from HEAD request to https://REG/v2/a/manifests/1: 503 Service Unavailable", "broken"),
        ("no such thing was ever heard of", ""),
        ("pull QPS exceeded", ""),
    ],
)
def test_more_messages(message: str, expected: str) -> None:
    assert kubelet_error(message, "REG/a:1") == expected


def test_an_image_named_like_an_error() -> None:
    """Its name is not part of the error."""
    image = "REG/x509/not-found:401"
    assert kubelet_error(f"failed to resolve image: {image}: connection refused", image) == "refused"


def test_every_field_of_a_failure() -> None:
    (found,) = find(PULLS["early"])["volume"]
    assert found == PullFailure(
        pod="volume-5795c8bc7c-dxqgg",
        owner_kind="deployment",
        owner_name="volume",
        node="127.0.0.1",
        use=ImageUse("image volume", "workspace", f"{REGISTRY}/openclaw/workspace:gone", "Always", ("volumes", 0)),
        state="failed",
        message=f"failed to resolve image: {REGISTRY}/openclaw/workspace:gone: not found",
        secrets=("zot-pull-secret",),
        service_account="default",
        next_try=5,
    )
    assert found.resource == "deployment/volume"


def test_three_pods_are_three_failures() -> None:
    assert len({each.pod for each in find(PULLS["early"])["tagmissing"]}) == 3


def test_an_older_kubelet_gives_the_reason_only_in_events() -> None:
    state = only("wrong")
    expected = find(state)["wrong"]
    waiting(state)["message"] = waiting(state)["message"].partition(": ErrImagePull")[0]
    assert find(state)["wrong"] == expected
    state["events"] = []
    (found,) = find(state)["wrong"]
    assert (found.state, found.message, found.next_try) == ("failed", "", None)


def test_a_first_pull_that_takes_long() -> None:
    """Its events say when it began; the user gives the limit."""
    state = only("slow")
    assert not find(state, pull_timeout=60)
    (found,) = find(state, pull_timeout=20)["slow"]
    assert (found.state, found.message) == ("waiting", "")
    assert find({"pods": PULLS["late"]["pods"], "events": PULLS["late"]["events"]})["slow"][0].state == "failed"


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_a_node(hours: int) -> None:
    """It may be slow or fast. The pod is as old as the API server says, and the next try is at most a pause away."""
    state = only("slow")
    (pod,) = state["pods"]
    (scheduled,) = [event for event in state["events"] if event["reason"] == "Scheduled"]
    pod["metadata"]["creationTimestamp"] = _text(NOW - 30)
    wrong = _text(NOW - 30 + 3600 * hours)
    pod["status"]["startTime"] = wrong
    image = pod["spec"]["containers"][0]["image"]
    pulling = {**scheduled, "reason": "Pulling", "message": f'Pulling image "{image}"', "lastTimestamp": wrong}
    for events in ([scheduled], [scheduled, pulling]):
        state["events"] = events
        assert not find(state, pull_timeout=60)
    state["events"] = [scheduled]
    assert find(state, pull_timeout=20)["slow"][0].state == "waiting"
    (failure,) = find(only("wrong"), now=NOW + 3600 * hours)["wrong"]
    assert failure.next_try is not None
    assert 0 <= failure.next_try <= 300


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_first_pull_of_an_image_volume() -> None:
    """The container, which waits for it, has not begun to pull."""
    state = only("volume")
    state["pods"][0]["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    state["events"] = [event for event in state["events"] if event["reason"] in ("Scheduled", "Pulling")]
    (found,) = find(state, now=NOW + 100)["volume"]
    assert (found.use.kind, found.state) == ("image volume", "waiting")


@pytest.mark.parametrize("other", ["Warning", "Normal"])
def test_a_first_pull_whose_events_have_expired(other: str) -> None:
    """If nothing else blocks the pod, it is the pull."""
    state = only("slow")
    state["events"] = [{**event, "type": other} for event in state["events"] if event["reason"] == "Scheduled"]
    found = find(state, now=NOW + 100)
    assert bool(found) == (other == "Normal")


def test_a_pull_that_continues_after_a_failure() -> None:
    """While kubelet tries again, its last error still counts."""
    (found,) = find(PULLS["late"], now=NOW + 120)["slow"]
    assert "TLS handshake timeout" in found.message


def test_a_pod_that_is_deleted_does_not_count() -> None:
    state = only("wrong")
    state["pods"][0]["metadata"]["deletionTimestamp"] = "2026-11-24T03:04:20Z"
    assert not find(state)


def test_a_container_that_was_restarted_after_a_failed_pull_runs() -> None:
    state = only("wrong")
    status = state["pods"][0]["status"]["containerStatuses"][0]
    status["state"] = {"running": {"startedAt": "2026-11-24T03:04:25Z"}}
    assert not find(state)


def test_a_container_that_fails_for_another_reason() -> None:
    state = only("good")
    status = state["pods"][0]["status"]["containerStatuses"][0]
    status["state"] = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "a" not found'}}
    assert not find(state)


def test_containers_that_wait_for_an_init_container() -> None:
    """The others wait for it, not for a pull."""
    state = only("slow")
    pod = state["pods"][0]
    pod["spec"]["initContainers"] = [{"name": "first", "image": f"{REGISTRY}/a:1"}]
    pod["status"]["initContainerStatuses"] = [{"name": "first", "state": {"running": {}}}]
    state["events"] = []
    assert not find(state, now=NOW + 1000)


def test_a_container_that_was_added_to_a_pod_that_runs() -> None:
    state = only("good")
    broken = only("tagmissing")
    image = broken["pods"][0]["spec"]["containers"][0]["image"]
    pod, uid = state["pods"][0], state["pods"][0]["metadata"]["uid"]
    pod["spec"]["ephemeralContainers"] = [{"name": "debugger", "image": image}]
    waits = {**broken["pods"][0]["status"]["containerStatuses"][0], "name": "debugger"}
    pod["status"]["ephemeralContainerStatuses"] = [waits]
    state["events"] += [{**event, "involvedObject": {"kind": "Pod", "uid": uid}} for event in broken["events"]]
    (found,) = find(state)["good"]
    assert (found.use.kind, found.use.name, found.image) == ("ephemeral container", "debugger", image)
    assert kubelet_error(found.message, image) == "absent"


@pytest.mark.parametrize(
    "text",
    [
        'Failed to apply default image tag "{}": couldn\'t parse image name "{}": invalid reference format',
        "image pull failed for {} because the registry is unavailable: pinging container registry",
    ],
)
def test_other_messages_about_an_image_volume(text: str) -> None:
    """The container that waits for the volume is not the cause."""
    state = only("volume")
    image = f"{REGISTRY}/openclaw/workspace:gone"
    waiting(state).update(reason="InvalidImageName", message=text.replace("{}", image))
    (found,) = find(state)["volume"]
    assert (found.use.kind, found.image) == ("image volume", image)
    assert kubelet_error(found.message, found.image) in ("malformed", "refused")


def test_a_full_disk() -> None:
    """The cause is at the end of a long text, which is cut in the middle."""
    (found,) = find(PULLS["full"])["openclaw"]
    assert kubelet_error(found.message, found.image) == "disk"
    assert found.message.startswith("failed to extract layer ")
    assert found.message.endswith("/data: no space left on device")


def test_events_of_another_controller() -> None:
    """They are not kubelet's, whatever they say; and an event may have no reason."""
    state = only("wrong")
    expected = find(state)["wrong"]
    strange = copy.deepcopy(state["events"][-1])
    strange.update(reason="Scanned", lastTimestamp="2026-11-24T03:04:29Z", type="Warning")
    strange["message"] = f'Failed to pull image "{REGISTRY}/openclaw/openclaw:1": no space left on device'
    without = {key: value for key, value in strange.items() if key != "reason"}
    state["events"] += [strange, without]
    assert find(state)["wrong"] == expected


def test_events_as_newer_clients_write_them() -> None:
    """Their number and their time are in a series."""
    state = only("wrong")
    expected = find(state)["wrong"]
    for event in state["events"]:
        if event.get("lastTimestamp"):
            event["series"] = {"count": event.pop("count"), "lastObservedTime": event.pop("lastTimestamp")}
            event.update(eventTime=event.pop("firstTimestamp"))
    assert find(state)["wrong"] == expected
    assert expected[0].next_try


def test_the_message_of_a_program_that_ended() -> None:
    state = only("foreign")
    status = state["pods"][0]["status"]["containerStatuses"][0]
    ended = status["state"]["terminated"]
    ended["message"] = "exec /app: exec format error"
    assert find(state)["foreign"][0].message == "it ended with exit code 1: exec /app: exec format error"
    status.update(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": ended})
    assert find(state)["foreign"][0].state == "crashed"


@pytest.mark.parametrize(
    ("owner", "resource"),
    [
        ({"apiVersion": "batch/v1", "kind": "Job", "name": "once", "controller": True}, "job/once"),
        ({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "each", "controller": True}, "daemonset/each"),
        ({"apiVersion": "batch/v1", "kind": "Job", "name": "once", "controller": False}, None),
    ],
)
def test_the_resource_to_change(owner: dict[str, t.Any], resource: str | None) -> None:
    state = only("wrong")
    state["pods"][0]["metadata"]["ownerReferences"] = [owner]
    (found,) = find_failures(state["pods"], state["events"], now=NOW, pull_timeout=60)
    assert found.resource == (resource or f"pod/{found.pod}")


def test_control_characters_and_long_messages() -> None:
    state = only("nosecret")
    waiting(state)["message"] = "a\x1b[31m\nb\u202e" + "c" * 1000
    (found,) = find(state)["nosecret"]
    assert found.message.startswith("a [31m b c")
    assert len(found.message) < 500


def test_an_image_without_a_tag_is_found_in_the_events() -> None:
    """Kubelet adds the tag."""
    state = only("tagmissing")
    text = (
        json.dumps(state)
        .replace("openclaw:3", "openclaw:latest")
        .replace('"image": "127.0.0.1:5000/openclaw/openclaw:latest"', '"image": "127.0.0.1:5000/openclaw/openclaw"')
    )
    assert len(find(json.loads(text))["tagmissing"]) == 3
