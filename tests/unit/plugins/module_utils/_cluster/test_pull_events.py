# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import failures, word

PULLS = json.loads((Path(__file__).parents[3] / "captured_pulls.json").read_text(encoding="utf-8"))
NOW = 1795489470.0  # 2026-11-24T03:04:30Z
REGISTRY = "127.0.0.1:5000"


def find(state: t.Mapping[str, t.Any], *, now: float = NOW, wait: float = 60) -> dict[str, list[dict[str, t.Any]]]:
    """By Deployment."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    for each in failures(state["pods"], state["events"], now=now, wait=wait):
        found.setdefault(each["subject"].partition("/")[2], []).append(each)
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
    """What fails, in one word; what runs, and what has only begun, is not there."""
    words = {
        app: {(each["state"], word(each["said"], each["image"])) for each in found}
        for app, found in find(PULLS["early"]).items()
    }
    absent, refused = {("failed", "absent")}, {("failed", "unauthorized")}
    assert words == {
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
def test_words_of_other_runtimes(each: t.Mapping[str, str]) -> None:
    assert word(each["said"], each["image"]) == each["word"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("unexpected status from HEAD request to https://REG/v2/a/manifests/1: 429 Too Many Requests", "rate"),
        ("toomanyrequests: no room for another repository limit:3", "quota"),
        ("unexpected status from HEAD request to https://REG/v2/a/manifests/1: 503 Service Unavailable", "broken"),
        ("no such thing was ever heard of", ""),
        ("pull QPS exceeded", ""),
    ],
)
def test_further_words(said: str, expected: str) -> None:
    assert word(said, "REG/a:1") == expected


def test_an_image_named_like_an_error() -> None:
    """Its name is no answer."""
    image = "REG/x509/not-found:401"
    assert word(f"failed to resolve image: {image}: connection refused", image) == "refused"


def test_all_that_is_known_of_a_failure() -> None:
    (found,) = find(PULLS["early"])["volume"]
    assert found.pop("pod").startswith("volume-")
    assert found == {
        "subject": "deployment/volume",
        "node": "127.0.0.1",
        "use": "image volume",
        "name": "workspace",
        "image": f"{REGISTRY}/openclaw/workspace:gone",
        "pull_policy": "Always",
        "state": "failed",
        "said": f"failed to resolve image: {REGISTRY}/openclaw/workspace:gone: not found",
        "secrets": ["zot-pull-secret"],
        "service_account": "default",
        "next_try": 5,
    }


def test_three_pods_are_three_failures() -> None:
    assert len({each["pod"] for each in find(PULLS["early"])["tagmissing"]}) == 3


def test_an_older_kubelet_says_it_in_the_events_alone() -> None:
    state = only("wrong")
    told = find(state)["wrong"]
    waiting(state)["message"] = waiting(state)["message"].partition(": ErrImagePull")[0]
    assert find(state)["wrong"] == told
    state["events"] = []
    (found,) = find(state)["wrong"]
    assert (found["state"], found["said"], found["next_try"]) == ("failed", "", None)


def test_a_first_pull_that_takes_long() -> None:
    """Its events say since when; the limit is what the user gives."""
    state = only("slow")
    assert not find(state, wait=60)
    (found,) = find(state, wait=20)["slow"]
    assert (found["state"], found["said"]) == ("waiting", "")
    assert find({"pods": PULLS["late"]["pods"], "events": PULLS["late"]["events"]})["slow"][0]["state"] == "failed"


def test_a_first_pull_of_an_image_volume() -> None:
    """The container, which waits for it, has not begun to pull."""
    state = only("volume")
    state["pods"][0]["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    state["events"] = [event for event in state["events"] if event["reason"] in ("Scheduled", "Pulling")]
    (found,) = find(state, now=NOW + 100)["volume"]
    assert (found["use"], found["state"]) == ("image volume", "waiting")


@pytest.mark.parametrize("other", ["Warning", "Normal"])
def test_a_first_pull_of_which_no_event_is_left(other: str) -> None:
    """If nothing else holds the pod, it is that."""
    state = only("slow")
    state["events"] = [{**event, "type": other} for event in state["events"] if event["reason"] == "Scheduled"]
    found = find(state, now=NOW + 100)
    assert bool(found) == (other == "Normal")


def test_a_pull_that_goes_on_after_a_failure() -> None:
    """While kubelet tries again, what it said before still counts."""
    (found,) = find(PULLS["late"], now=NOW + 120)["slow"]
    assert "TLS handshake timeout" in found["said"]


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


def test_an_init_container_that_works_holds_no_failure() -> None:
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
    assert (found["use"], found["name"], found["image"]) == ("ephemeral container", "debugger", image)
    assert word(found["said"], image) == "absent"


@pytest.mark.parametrize(
    "told",
    [
        'Failed to apply default image tag "{}": couldn\'t parse image name "{}": invalid reference format',
        "image pull failed for {} because the registry is unavailable: pinging container registry",
    ],
)
def test_words_on_an_image_volume_of_other_forms(told: str) -> None:
    """The container that waits for it is not to blame."""
    state = only("volume")
    image = f"{REGISTRY}/openclaw/workspace:gone"
    waiting(state).update(reason="InvalidImageName", message=told.replace("{}", image))
    (found,) = find(state)["volume"]
    assert (found["use"], found["image"]) == ("image volume", image)
    assert word(found["said"], found["image"]) in ("malformed", "refused")


def test_a_full_disk() -> None:
    """What it comes from stands at the end of a long text, which is cut in its middle."""
    (found,) = find(PULLS["full"])["openclaw"]
    assert word(found["said"], found["image"]) == "disk"
    assert found["said"].startswith("failed to extract layer ")
    assert found["said"].endswith("/data: no space left on device")


def test_another_controller_speaks_of_the_image() -> None:
    """It is no word of kubelet, whatever it says; and an event needs no reason."""
    state = only("wrong")
    told = find(state)["wrong"]
    strange = copy.deepcopy(state["events"][-1])
    strange.update(reason="Scanned", lastTimestamp="2026-11-24T03:04:29Z", type="Warning")
    strange["message"] = f'Failed to pull image "{REGISTRY}/openclaw/openclaw:1": no space left on device'
    without = {key: value for key, value in strange.items() if key != "reason"}
    state["events"] += [strange, without]
    assert find(state)["wrong"] == told


def test_events_as_newer_clients_write_them() -> None:
    """Their number and their time are in a series."""
    state = only("wrong")
    told = find(state)["wrong"]
    for event in state["events"]:
        if event.get("lastTimestamp"):
            event["series"] = {"count": event.pop("count"), "lastObservedTime": event.pop("lastTimestamp")}
            event.update(eventTime=event.pop("firstTimestamp"))
    assert find(state)["wrong"] == told
    assert told[0]["next_try"]


def test_the_message_of_a_program_that_ended() -> None:
    state = only("foreign")
    status = state["pods"][0]["status"]["containerStatuses"][0]
    ended = status["state"]["terminated"]
    ended["message"] = "exec /app: exec format error"
    assert find(state)["foreign"][0]["said"] == "it ended with exit code 1: exec /app: exec format error"
    status.update(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": ended})
    assert find(state)["foreign"][0]["state"] == "crashed"


@pytest.mark.parametrize(
    ("owner", "subject"),
    [
        ({"kind": "Job", "name": "once", "controller": True}, "job/once"),
        ({"kind": "DaemonSet", "name": "each", "controller": True}, "daemonset/each"),
        ({"kind": "Job", "name": "once", "controller": False}, None),
    ],
)
def test_whom_to_change(owner: dict[str, t.Any], subject: str | None) -> None:
    state = only("wrong")
    state["pods"][0]["metadata"]["ownerReferences"] = [owner]
    (found,) = failures(state["pods"], state["events"], now=NOW, wait=60)
    assert found["subject"] == (subject or f"pod/{found['pod']}")


def test_kubelets_words_cannot_harm_a_terminal_nor_fill_it() -> None:
    state = only("nosecret")
    waiting(state)["message"] = "a\x1b[31m\nb\u202e" + "c" * 1000
    (found,) = find(state)["nosecret"]
    assert found["said"].startswith("a [31m b c")
    assert len(found["said"]) < 500


def test_an_image_without_a_tag_is_found_in_the_events() -> None:
    """Kubelet adds the tag."""
    state = only("tagmissing")
    text = (
        json.dumps(state)
        .replace("openclaw:3", "openclaw:latest")
        .replace('"image": "127.0.0.1:5000/openclaw/openclaw:latest"', '"image": "127.0.0.1:5000/openclaw/openclaw"')
    )
    assert len(find(json.loads(text))["tagmissing"]) == 3
