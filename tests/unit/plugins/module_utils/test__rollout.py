# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pods import CONTAINERS, VOLUMES
from ansible_collections.killinit.zot.plugins.module_utils._rollout import (
    RESTARTED_AT,
    asked,
    judge,
    progress,
    report,
)

CLUSTER = json.loads((Path(__file__).parents[2] / "captured_cluster.json").read_text(encoding="utf-8"))
Dict = dict[str, t.Any]

REGISTRY = "oci.killinit.cc"
APP = f"{REGISTRY}/openclaw/openclaw"
DATA = f"{REGISTRY}/openclaw/workspace"
STAMP = "2026-11-24T12:00:00Z"
OLD_INDEX = "sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605"
NEW_INDEX = "sha256:4c553b9ea325a14b0e5ee5afaabf53ae2b4f3b186155d197ae400809bb5c8dfd"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


# The index that a tag means, the manifests that it lists, and their configurations.
INDEX, AMD, ARM, AMD_CONFIG, ARM_CONFIG = (digest(number) for number in range(0xA0, 0xA5))
OTHER, GONE = digest(0xB0), digest(0xB1)


def image(reference: str = f"{APP}:latest", index: str = INDEX, **configs: str | None) -> Dict:
    """An index in the registry, as zot_image_info has it; *configs* are those of amd64 and arm64, None is lost."""
    configs = configs or {"amd64": AMD_CONFIG, "arm64": ARM_CONFIG}
    children = {"amd64": AMD, "arm64": ARM} if index == INDEX else {}
    return {
        "reference": reference,
        "exists": True,
        "digest": index,
        "platforms": [f"linux/{architecture}" for architecture in configs],
        "manifest": {"manifests": []},
        "manifests": [
            {
                "platform": f"linux/{architecture}",
                "digest": children.get(architecture, digest(0xC0 + number)),
                "manifest": {"config": {"digest": config}} if config else None,
            }
            for number, (architecture, config) in enumerate(configs.items())
        ],
    }


def single(reference: str, own: str, config: str, platforms: t.Sequence[str] = ("linux/amd64",)) -> Dict:
    """A manifest in the registry that no index lists."""
    manifest = {"config": {"digest": config}}
    return {
        "reference": reference,
        "exists": True,
        "digest": own,
        "platforms": list(platforms),
        "manifest": manifest,
        "manifests": [],
    }


def gone(reference: str) -> Dict:
    return {
        "reference": reference,
        "exists": False,
        "digest": None,
        "platforms": [],
        "manifest": None,
        "manifests": [],
    }


def container(image: str = f"{APP}:latest", policy: str = "Always", name: str = "app") -> Dict:
    return {"name": name, "image": image, "imagePullPolicy": policy}


def volume(image: str = f"{DATA}:latest", policy: str = "Always", name: str = "workspace") -> Dict:
    return {"name": name, "image": {"reference": image, "pullPolicy": policy}}


def workload(*containers: Dict, kind: str = "Deployment", name: str = "app", **changes: t.Any) -> Dict:
    """A workload; *changes*: init, volumes, and what else is in its specification."""
    template: Dict = {"containers": list(containers) or [container()]}
    for key, section in (("init", "initContainers"), ("volumes", "volumes")):
        if key in changes:
            template[section] = changes.pop(key)
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "openclaw", "generation": 2},
        "spec": {"replicas": 1, "template": {"spec": template}, **changes},
    }


def pod(*running: str, of: str = "app", kind: str = "ReplicaSet", name: str = "p", **changes: t.Any) -> Dict:
    """A pod whose containers app, app1, … report *running*; *changes*: init, mounts, annotations, phase, ending."""
    owner = {"kind": kind, "name": f"{of}-77" if kind == "ReplicaSet" else of, "controller": True}
    metadata: Dict = {"name": name, "labels": {"pod-template-hash": "77"}, "ownerReferences": [owner]}
    metadata["annotations"] = changes.get("annotations")
    if changes.get("ending"):
        metadata["deletionTimestamp"] = STAMP
    status: Dict = {"phase": changes.get("phase", "Running")}
    status["containerStatuses"] = [
        {"name": f"app{number or ''}", "imageID": text, "volumeMounts": changes.get("mounts")}
        for number, text in enumerate(running)
    ]
    status["initContainerStatuses"] = [{"name": key, "imageID": text} for key, text in changes.get("init", {}).items()]
    return {"kind": "Pod", "metadata": metadata, "status": status}


def plan(
    workloads: t.Sequence[Dict],
    pods: t.Sequence[Dict] = (),
    images: t.Sequence[Dict] | None = None,
    **changes: t.Any,
) -> list[Dict]:
    options: Dict = {"only": [], "moving": [], "pin": False, "stamp": STAMP, **changes}
    return judge(workloads, pods, [image()] if images is None else images, **options)


def one(own: Dict, *pods: Dict, images: t.Sequence[Dict] | None = None, **changes: t.Any) -> Dict:
    """The verdict on a workload alone."""
    (entry,) = plan([own], pods, images, **changes)
    return entry


def verdicts(entry: Dict) -> list[str]:
    return [use["verdict"] for use in entry["images"]]


class TestAsked:
    """What has to be looked up."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param(f"{APP}:latest", [f"{APP}:latest"], id="tag"),
            pytest.param(APP, [f"{APP}:latest"], id="no tag"),
            pytest.param(f"{APP}@{OTHER}", [f"{APP}@{OTHER}"], id="digest"),
            pytest.param(f"{APP}:1@{OTHER}", [f"{APP}:1"], id="tag and digest"),
            pytest.param("ghcr.io/openclaw/openclaw:latest", [], id="another registry"),
            pytest.param(f"{REGISTRY}:443/openclaw/openclaw:latest", [], id="another port"),
            pytest.param("openclaw:latest", [], id="Docker Hub"),
            pytest.param(f"{REGISTRY}/openclaw/UPPER:1", [], id="malformed"),
            pytest.param("", [], id="none yet"),
        ],
    )
    def test_of_one_image(self, text: str, expected: list[str]) -> None:
        assert asked([workload(container(text))], REGISTRY, []) == expected

    def test_each_once_in_the_order_of_the_workloads(self) -> None:
        assert asked(CLUSTER["fresh"]["workloads"], REGISTRY, []) == [
            f"{REGISTRY}/openclaw/tool:latest",
            f"{APP}:latest",
            f"{DATA}:latest",
        ]

    def test_only_of_the_workloads_that_count(self) -> None:
        assert asked(CLUSTER["fresh"]["workloads"], REGISTRY, ["daemonset/daemon"]) == [f"{APP}:latest"]


class TestCaptured:
    """A Deployment with a sidecar and an image volume, a StatefulSet and a DaemonSet, restarted for new images."""

    def test_a_second_before_their_tags_moved_they_are_fresh(self) -> None:
        """But for the volume, of which this Kubernetes does not say what it holds. The sidecar's image is the app's
        amd64 under another name, a manifest and no index; the runtime names it by the app's index."""
        state = CLUSTER["fresh"]
        found = plan(state["workloads"], state["pods"], CLUSTER["images"])
        assert {entry["workload"]: verdicts(entry) for entry in found} == {
            "deployment/openclaw": ["fresh", "fresh", "stale"],
            "statefulset/stateful": ["fresh"],
            "daemonset/daemon": ["fresh"],
        }
        assert found[0]["images"][0]["running"] == [f"{APP}@{OLD_INDEX}"]
        assert "Kubernetes does not say what it holds" in found[0]["why"]

    def test_then_all_are_stale(self) -> None:
        state = CLUSTER["fresh"]
        old = {**CLUSTER["images"][0], "reference": f"{APP}@{OLD_INDEX}"}
        found = plan(state["workloads"], state["pods"], [*CLUSTER["moved"], old])
        assert {entry["workload"]: (entry["action"], verdicts(entry)) for entry in found} == {
            "deployment/openclaw": ("restart", ["fresh", "stale", "stale"]),
            "statefulset/stateful": ("restart", ["stale"]),
            "daemonset/daemon": ("restart", ["stale"]),
        }
        assert found[2]["why"] == f"container app runs {OLD_INDEX[:19]}, but {APP}:latest means {NEW_INDEX[:19]} now"

    def test_in_the_end_all_are_fresh(self) -> None:
        state = CLUSTER["done"]
        old = {**CLUSTER["images"][0], "reference": f"{APP}@{OLD_INDEX}"}
        found = plan(state["workloads"], state["pods"], [*CLUSTER["moved"], old])
        assert {entry["workload"]: (entry["action"], verdicts(entry)) for entry in found} == {
            "deployment/openclaw": ("none", ["fresh"] * 3),
            "statefulset/stateful": ("none", ["fresh"]),
            "daemonset/daemon": ("none", ["fresh"]),
        }

    def test_a_name_that_the_registry_has_lost(self) -> None:
        """The sidecar's tag has not moved; its runtime names it by the app's old index, which Zot has forgotten."""
        state = copy.deepcopy(CLUSTER["done"])
        (before,) = plan(state["workloads"], state["pods"], CLUSTER["moved"], only=["deployment/openclaw"])
        assert (before["action"], verdicts(before)) == ("restart", ["stale", "fresh", "fresh"])
        for each in state["pods"]:
            each["metadata"]["annotations"] = before["patch"]["spec"]["template"]["metadata"]["annotations"]
        (after,) = plan(state["workloads"], state["pods"], CLUSTER["moved"], only=["deployment/openclaw"])
        assert (after["action"], verdicts(after)) == ("none", ["unknown", "fresh", "fresh"])
        found = report([before], [{"workload": before["workload"], "state": "done", "why": ""}], [after], verify=False)
        (doubt,) = found["unproved"]
        assert (found["ok"], found["problems"]) == (True, [])
        assert doubt == (
            f"deployment/openclaw: init container sidecar was started when {REGISTRY}/openclaw/tool:latest meant"
            f" {after['images'][0]['wanted'][:19]}, as it does now; it reports {OLD_INDEX[:19]}, which the registry"
            " does not know, so that digests prove nothing"
        )

    @pytest.mark.parametrize(
        ("scenario", "states"),
        [
            ("patched", ["waiting", "waiting", "waiting"]),
            ("early", ["waiting", "waiting", "waiting"]),
            ("failed", ["failed", "failed", "waiting"]),
            ("done", ["done", "done", "done"]),
        ],
    )
    def test_progress(self, scenario: str, states: list[str]) -> None:
        """In failed the kubelet was about to try the DaemonSet's pod again: ErrImagePull, not ImagePullBackOff."""
        names = ("deployment/openclaw", "statefulset/stateful", "daemonset/daemon")
        asked_for = [{"workload": name, "action": "restart"} for name in names]
        state = CLUSTER[scenario]
        pods = state.get("pods", CLUSTER["fresh"]["pods"])
        found = progress(asked_for, state["workloads"], pods, stamp=STAMP)
        assert [(entry["workload"], entry["state"]) for entry in found] == list(zip(names, states))

    def test_reasons(self) -> None:
        state = CLUSTER["failed"]
        names = ("deployment/openclaw", "daemonset/daemon")
        deployment, daemon = progress(
            [{"workload": name, "action": "restart"} for name in names],
            state["workloads"],
            state["pods"],
            stamp=STAMP,
        )
        assert deployment["why"].startswith(
            "pod openclaw-678fbcfc6b-p4ldq cannot pull: ImagePullBackOff: Back-off pulling image"
            f' "{REGISTRY}/openclaw/tool:latest": ErrImagePull:'
        )
        assert deployment["why"].endswith("401 Unauthorized")
        assert daemon["why"].startswith("1 of 1 pods are updated, 0 available; pod daemon-dnz6l: ErrImagePull: failed")

    @pytest.mark.parametrize(
        ("name", "state", "why"),
        [
            ("badname", "failed", "cannot pull: InvalidImageName: Failed to apply default image tag"),
            ("never", "failed", "cannot pull: ErrImageNeverPull: Container image"),
            ("nopull", "failed", "cannot pull: ImagePullBackOff: Back-off pulling image"),
            ("novolume", "waiting", "ErrImagePull: rpc error: code = NotFound"),
            ("deadline", "failed", 'ReplicaSet "deadline-7794b97548" has timed out progressing.'),
            ("zero", "done", "0 of 0 pods are updated and available"),
        ],
    )
    def test_what_cannot_start(self, name: str, state: str, why: str) -> None:
        """Their pods are of no restart, so give them its annotation."""
        pods = copy.deepcopy(CLUSTER["odd"]["pods"])
        for each in pods:
            each["metadata"]["annotations"] = {RESTARTED_AT: STAMP}
        entry = {"workload": f"deployment/{name}", "action": "restart"}
        (found,) = progress([entry], CLUSTER["odd"]["workloads"], pods, stamp=STAMP)
        assert found["state"] == state
        assert why in found["why"]

    def test_a_deadline_exceeded_before_the_restart_is_no_failure_of_it(self) -> None:
        """What the API answered to the patch: generation 2, a status of generation 1, and its condition."""
        current = CLUSTER["odd_patched"]
        assert current["status"]["observedGeneration"] < current["metadata"]["generation"]
        entry = {"workload": "deployment/deadline", "action": "restart"}
        (found,) = progress([entry], [current], CLUSTER["odd"]["pods"], stamp=STAMP)
        assert found["state"] == "waiting"


class TestSame:
    """What a pod reports, against what the tag means."""

    @pytest.mark.parametrize(
        ("running", "verdict"),
        [
            pytest.param(f"{APP}@{INDEX}", "fresh", id="index"),
            pytest.param(f"{APP}@{AMD}", "fresh", id="first platform"),
            pytest.param(f"{APP}@{ARM}", "fresh", id="last platform"),
            pytest.param(f"docker-pullable://{APP}@{INDEX}", "fresh", id="docker-pullable"),
            pytest.param(f"docker://{ARM_CONFIG}", "fresh", id="docker"),
            pytest.param(AMD_CONFIG, "fresh", id="configuration"),
            pytest.param(INDEX, "fresh", id="bare index"),
            pytest.param(f"mirror.example/app@{INDEX}", "fresh", id="by way of a mirror"),
            pytest.param(f"{APP}@{OTHER}", "stale", id="unknown"),
            pytest.param(f"docker-pullable://{APP}@{OTHER}", "stale", id="docker-pullable unknown"),
            pytest.param(OTHER, "stale", id="bare unknown"),
            pytest.param("", "not running", id="nothing yet"),
            pytest.param(f"{APP}:latest", "not running", id="no digest"),
        ],
    )
    def test_forms(self, running: str, verdict: str) -> None:
        assert verdicts(one(workload(), pod(running))) == [verdict]

    @pytest.mark.parametrize(
        ("other", "verdict"),
        [
            pytest.param(image(OTHER, OTHER, amd64=AMD_CONFIG, arm64=ARM_CONFIG), "fresh", id="both platforms"),
            pytest.param(
                image(OTHER, OTHER, amd64=AMD_CONFIG), "fresh", id="one platform, and the other has no second"
            ),
            pytest.param(image(OTHER, OTHER, amd64=AMD_CONFIG, riscv64=digest(1)), "fresh", id="one platform of two"),
            pytest.param(single(OTHER, OTHER, AMD_CONFIG), "fresh", id="a single manifest"),
            pytest.param(image(OTHER, OTHER, amd64=AMD_CONFIG, arm64=digest(1)), "stale", id="one of two differs"),
            pytest.param(image(OTHER, OTHER, amd64=digest(1)), "stale", id="the only one differs"),
            pytest.param(image(OTHER, OTHER, riscv64=AMD_CONFIG), "stale", id="no platform is shared"),
            pytest.param(single(OTHER, OTHER, AMD_CONFIG, ()), "stale", id="no platform is known"),
            pytest.param(image(OTHER, OTHER, amd64=None), "stale", id="the registry has lost its manifest"),
            pytest.param(gone(f"{APP}@{OTHER}"), "stale", id="the registry has lost it"),
        ],
    )
    def test_another_name_of_the_same_configuration(self, other: Dict, verdict: str) -> None:
        """A runtime keeps images by their configuration, and reports any name that it pulled it under."""
        entry = one(workload(), pod(f"{APP}@{OTHER}"), images=[image(), {**other, "reference": f"{APP}@{OTHER}"}])
        assert verdicts(entry) == [verdict]

    def test_an_attestation_is_no_platform(self) -> None:
        attested = image()
        unknown = {"platform": None, "digest": digest(9), "manifest": {"config": {"digest": digest(8)}}}
        attested["manifests"].append(unknown)
        assert verdicts(one(workload(), pod(digest(8)), images=[attested])) == ["stale"]

    def test_an_index_in_an_index_has_no_configuration(self) -> None:
        nested = image()
        nested["manifests"][0]["manifest"] = {"manifests": []}
        assert verdicts(one(workload(), pod(ARM_CONFIG), images=[nested])) == ["fresh"]

    def test_what_pods_run_is_listed_once(self) -> None:
        """With what of it is old, by which the role asks the registry again."""
        running = [f"{APP}@{OTHER}", f"docker-pullable://{APP}@{OTHER}", f"{APP}@{INDEX}", f"{APP}@{INDEX}", digest(7)]
        entry = one(workload(), *(pod(text) for text in running))
        (use,) = entry["images"]
        assert use["running"] == sorted({f"{APP}@{OTHER}", f"{APP}@{INDEX}", digest(7)})
        assert use["old"] == sorted({f"{APP}@{OTHER}", digest(7)})
        assert (entry["pods"], use["wanted"]) == (5, INDEX)


class TestPods:
    """Which pods count."""

    STALE = f"{APP}@{OTHER}"

    @pytest.mark.parametrize(
        ("other", "counted"),
        [
            pytest.param(pod(STALE), True, id="running"),
            pytest.param(pod(STALE, phase="Pending"), True, id="pending"),
            pytest.param(pod(STALE, ending=True), False, id="ending"),
            pytest.param(pod(STALE, phase="Succeeded"), False, id="succeeded"),
            pytest.param(pod(STALE, phase="Failed"), False, id="evicted"),
            pytest.param(pod(STALE, of="other"), False, id="of another Deployment"),
            pytest.param(pod(STALE, of="app", kind="StatefulSet"), False, id="of a StatefulSet of the same name"),
            pytest.param({**pod(STALE), "metadata": {"name": "p"}}, False, id="nobody's"),
            pytest.param(
                {
                    **pod(STALE),
                    "metadata": {
                        "name": "p",
                        "ownerReferences": [{"kind": "ReplicaSet", "name": "app-77", "controller": True}],
                    },
                },
                False,
                id="of a ReplicaSet without a hash",
            ),
        ],
    )
    def test_which_count(self, other: Dict, counted: bool) -> None:
        entry = one(workload(), pod(f"{APP}@{INDEX}"), other)
        assert (entry["pods"], entry["action"]) == ((2, "restart") if counted else (1, "none"))

    @pytest.mark.parametrize(
        "status",
        [
            pytest.param({"phase": "Pending"}, id="not scheduled"),
            pytest.param({}, id="just created"),
            pytest.param({"containerStatuses": None, "initContainerStatuses": None}, id="null"),
            pytest.param({"containerStatuses": [{"name": "app"}]}, id="no imageID"),
        ],
    )
    def test_a_pod_that_reports_nothing_yet(self, status: Dict) -> None:
        """Its volume holds what it was started with; its container will pull what is new."""
        remembered = {VOLUMES: json.dumps({"workspace": INDEX})}
        started = {**pod(annotations=remembered), "status": status}
        entry = one(workload(volumes=[volume()]), started, images=[image(), image(f"{DATA}:latest")])
        assert (entry["pods"], verdicts(entry), entry["action"]) == (1, ["not running", "fresh"], "none")

    def test_no_pod(self) -> None:
        entry = one(workload(replicas=0))
        assert (entry["pods"], verdicts(entry), entry["action"], entry["patch"]) == (0, ["not running"], "none", None)

    @pytest.mark.parametrize("stale", ["app", "app1", "setup", "sidecar"])
    def test_every_container_counts(self, stale: str) -> None:
        """Each by its name: also of an init container, and of one that goes on as a sidecar."""
        names = {"app": INDEX, "app1": INDEX, "setup": INDEX, "sidecar": INDEX, stale: OTHER}
        texts = {name: f"{APP}@{value}" for name, value in names.items()}
        own = workload(
            container(name="app1"),
            container(name="app"),
            init=[container(name="setup"), {**container(name="sidecar"), "restartPolicy": "Always"}],
        )
        running = pod(texts["app"], texts["app1"], init={"sidecar": texts["sidecar"], "setup": texts["setup"]})
        entry = one(own, running)
        assert [use["name"] for use in entry["images"] if use["verdict"] == "stale"] == [stale]
        kind = "container" if stale.startswith("app") else "init container"
        assert entry["why"].startswith(f"{kind} {stale} runs ")

    def test_an_init_container_is_not_mistaken_for_a_container(self) -> None:
        """A name may be once among each."""
        entry = one(workload(container(name="setup")), pod(init={"setup": f"{APP}@{OTHER}"}))
        assert verdicts(entry) == ["not running"]


def mount(reference: str | None, name: str = "workspace") -> Dict:
    status = {} if reference is None else {"volumeStatus": {"image": {"imageRef": reference}}}
    return {"name": name, "mountPath": "/workspace", **status}


def remembers(text: str) -> Dict:
    return {"annotations": {VOLUMES: text}}


class TestVolumes:
    """What an image volume holds: as Kubernetes says, else as the annotation remembers."""

    KNOWN = json.dumps({"workspace": INDEX})

    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            pytest.param({"mounts": [mount(f"{DATA}@{INDEX}")]}, "fresh", id="reported"),
            pytest.param({"mounts": [mount(f"{DATA}@{OTHER}")]}, "stale", id="reported old"),
            pytest.param({"mounts": [mount(None, "other"), mount(AMD_CONFIG)]}, "fresh", id="reported configuration"),
            pytest.param({"mounts": [mount(f"{DATA}@{GONE}")], **remembers(KNOWN)}, "unknown", id="a lost one"),
            pytest.param({"mounts": [mount(f"{DATA}@{OTHER}")], **remembers(KNOWN)}, "stale", id="reported counts"),
            pytest.param(remembers(KNOWN), "fresh", id="remembered"),
            pytest.param(remembers(json.dumps({"workspace": OTHER})), "stale", id="remembered old"),
            pytest.param({"mounts": [mount(None)], **remembers(KNOWN)}, "fresh", id="mounted and remembered"),
            pytest.param({"mounts": [mount("")], **remembers(KNOWN)}, "fresh", id="an empty report"),
            pytest.param(
                {"mounts": [{**mount(None), "volumeStatus": None}], **remembers(KNOWN)}, "fresh", id="a null report"
            ),
            pytest.param({"mounts": [mount(f"{DATA}@{INDEX}", "other")]}, "stale", id="another volume reported"),
        ],
    )
    def test_what_it_holds(self, changes: Dict, verdict: str) -> None:
        own = workload(volumes=[volume()])
        images = [image(f"{DATA}:latest"), single(f"{DATA}@{OTHER}", OTHER, digest(1))]
        assert verdicts(one(own, pod(f"{APP}@{INDEX}", **changes), images=images)) == [verdict]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("sha256:", id="no JSON"),
            pytest.param("null", id="null"),
            pytest.param("[]", id="a list"),
            pytest.param('"workspace"', id="a text"),
            pytest.param('{"workspace": null}', id="a null digest"),
            pytest.param('{"workspace": 5}', id="a number"),
            pytest.param('{"workspace": "sha256:12"}', id="half a digest"),
            pytest.param(json.dumps({"workspace": f"x{INDEX}"}), id="more than a digest"),
            pytest.param(json.dumps({"other": INDEX}), id="of another volume"),
        ],
    )
    def test_rubbish_in_the_annotation_is_no_memory(self, text: str) -> None:
        own = workload(volumes=[volume()])
        entry = one(own, pod(f"{APP}@{INDEX}", **remembers(text)), images=[image(f"{DATA}:latest")])
        assert entry["action"] == "restart"
        assert entry["why"] == (
            "image volume workspace: Kubernetes does not say what it holds,"
            " and no annotation zot.killinit.cc/image-volumes remembers it"
        )

    def test_one_pod_that_remembers_does_not_speak_for_the_other(self) -> None:
        pods = [pod(f"{APP}@{INDEX}", **remembers(self.KNOWN)), pod(f"{APP}@{INDEX}")]
        assert verdicts(one(workload(volumes=[volume()]), *pods, images=[image(f"{DATA}:latest")])) == ["stale"]

    def test_without_a_pod_there_is_nothing_to_remember(self) -> None:
        entry = one(workload(volumes=[volume()]), images=[image(f"{DATA}:latest")])
        assert (verdicts(entry), entry["action"]) == (["not running"], "none")

    def test_an_init_container_reports_it_too(self) -> None:
        """The first to start, and for a while the only one."""
        waiting = pod(init={"setup": f"{APP}@{INDEX}"})
        waiting["status"]["initContainerStatuses"][0]["volumeMounts"] = [mount(f"{DATA}@{OTHER}")]
        entry = one(workload(volumes=[volume()]), waiting, images=[image(f"{DATA}:latest")])
        assert entry["images"][0]["old"] == [f"{DATA}@{OTHER}"]

    def test_a_volume_alone_restarts_its_workload(self) -> None:
        own = workload(volumes=[volume()])
        running = pod(f"{APP}@{INDEX}", **remembers(json.dumps({"workspace": OTHER})))
        entry = one(own, running, images=[image(), image(f"{DATA}:latest")])
        assert (verdicts(entry), entry["action"]) == (["fresh", "stale"], "restart")
        assert entry["why"].startswith("image volume workspace runs ")


class TestUnknown:
    """A name that the registry has lost: a restart is worth a try, and one only."""

    NAME = f"{APP}@{GONE}"
    KNOWN: t.ClassVar[Dict] = {"annotations": {CONTAINERS: json.dumps({"app": INDEX})}}

    @pytest.mark.parametrize(
        ("own", "pods", "verdict"),
        [
            pytest.param(container(), [pod(NAME)], "stale", id="of no restart"),
            pytest.param(container(), [pod(NAME, **KNOWN)], "unknown", id="restarted"),
            pytest.param(container(), [pod(GONE, **KNOWN)], "unknown", id="a bare digest"),
            pytest.param(container(), [pod(f"ghcr.io/a/b@{GONE}", **KNOWN)], "unknown", id="of another registry"),
            pytest.param(container(), [pod(f"{APP}@{OTHER}", **KNOWN)], "stale", id="the registry knows better"),
            pytest.param(container(), [pod(NAME, **KNOWN), pod(NAME)], "stale", id="one was not restarted"),
            pytest.param(
                container(), [pod(NAME, **KNOWN), pod(f"{APP}@{OTHER}", **KNOWN)], "stale", id="one is surely old"
            ),
            pytest.param(container(), [pod(NAME, **KNOWN), pod(f"{APP}@{INDEX}")], "unknown", id="one is surely new"),
            pytest.param(container(f"{APP}:2"), [pod(NAME, **KNOWN)], "stale", id="its tag means something else now"),
            pytest.param(container(policy="IfNotPresent"), [pod(NAME, **KNOWN)], "stale", id="taken from the node"),
            pytest.param(
                container(f"{APP}:latest@{INDEX}", "IfNotPresent"), [pod(NAME, **KNOWN)], "unknown", id="set by a pin"
            ),
            pytest.param(
                container(f"{APP}:latest@{OTHER}", "Always"), [pod(NAME, **KNOWN)], "stale", id="set by hand since"
            ),
            pytest.param(container(f"{APP}:latest@{INDEX}"), [pod(NAME)], "stale", id="of no pin"),
        ],
    )
    def test_when_it_is_believed(self, own: Dict, pods: list[Dict], verdict: str) -> None:
        """Only if the node had to take what the tag means, and nothing in the registry says otherwise."""
        images = [image(), image(f"{APP}:2", OTHER, amd64=digest(1)), gone(self.NAME)]
        entry = one(workload(own), *pods, images=images, pin=True)
        assert verdicts(entry) == [verdict]
        assert (entry["action"] == "none") is (verdict == "unknown")

    def test_what_is_not_known_is_asked_about(self) -> None:
        """By what is old, also where it is not stale."""
        entry = one(workload(), pod(self.NAME, **self.KNOWN))
        assert (verdicts(entry), entry["images"][0]["old"]) == (["unknown"], [self.NAME])

    def test_an_index_that_has_lost_its_manifests_tells_nothing(self) -> None:
        lost = image(self.NAME, GONE, amd64=None)
        assert verdicts(one(workload(), pod(self.NAME, **self.KNOWN), images=[image(), lost])) == ["unknown"]

    def test_only_what_is_stale_is_called_so(self) -> None:
        pods = [pod(self.NAME, **self.KNOWN), pod(f"{APP}@{OTHER}")]
        images = [image(), single(f"{APP}@{OTHER}", OTHER, digest(1))]
        assert one(workload(), *pods, images=images)["why"] == (
            f"container app runs {OTHER[:19]}, but {APP}:latest means {INDEX[:19]} now"
        )


class TestPinned:
    """Images with a digest, and what zot_rollout_pin makes of them."""

    @pytest.mark.parametrize(
        ("text", "pin", "verdict", "wanted"),
        [
            pytest.param(f"{APP}@{OTHER}", False, "pinned", OTHER, id="digest"),
            pytest.param(f"{APP}@{OTHER}", True, "pinned", OTHER, id="digest has no tag to follow"),
            pytest.param(f"{APP}:1@{OTHER}", False, "pinned", OTHER, id="tag and digest"),
            pytest.param(f"{APP}:1@{OTHER}", True, "stale", INDEX, id="tag and digest follows its tag"),
        ],
    )
    def test_verdict(self, text: str, pin: bool, verdict: str, wanted: str) -> None:
        images = [image(f"{APP}:1"), image(f"{APP}@{OTHER}", OTHER, amd64=digest(1))]
        entry = one(workload(container(text, "IfNotPresent")), pod(f"{APP}@{OTHER}"), images=images, pin=pin)
        assert [(use["verdict"], use["wanted"]) for use in entry["images"]] == [(verdict, wanted)]
        assert entry["action"] == ("pin" if verdict == "stale" else "none")

    def test_tag_and_digest_stays_where_its_tag_has_not_moved(self) -> None:
        entry = one(
            workload(container(f"{APP}:1@{INDEX}", "IfNotPresent")),
            pod(f"{APP}@{INDEX}"),
            images=[image(f"{APP}:1")],
            pin=True,
        )
        assert (verdicts(entry), entry["action"]) == (["fresh"], "none")

    def test_a_restart_never_cures_a_digest(self) -> None:
        """Kubernetes fills in Always for app:latest@sha256:…, as in captured_cluster.json."""
        own = workload(container(f"{APP}:latest@{OTHER}", "Always"))
        entry = one(own, pod(f"{APP}@{OTHER}"), pin=True)
        assert entry["action"] == "pin"
        assert entry["patch"]["spec"]["template"]["spec"]["containers"][0]["image"] == f"{APP}:latest@{INDEX}"

    def test_a_tag_that_is_gone_does_not_matter_behind_a_digest(self) -> None:
        own = workload(container(f"{APP}:1@{OTHER}", "IfNotPresent"))
        assert one(own, pod(f"{APP}@{OTHER}"), images=[gone(f"{APP}:1")])["action"] == "none"

    def test_foretold_for_a_tag_that_is_published_only_then(self) -> None:
        """In check mode nobody knows the digest that it will mean, and one that it means now would be wrong."""
        own = workload(container(policy="IfNotPresent"))
        tag = f"{APP}:latest"
        for there in (gone(tag), image(tag)):
            entry = one(own, pod(f"{APP}@{OTHER}"), images=[there], moving=[tag], pin=True)
            assert (entry["action"], entry["images"][0]["wanted"]) == ("pin", None)
            assert entry["patch"]["spec"]["template"] == {
                "metadata": {"annotations": {RESTARTED_AT: STAMP}},
                "spec": {"containers": [{"name": "app", "image": tag}]},
            }

    def test_never_pulled_is_not_pinned(self) -> None:
        """The node would not fetch the digest: ErrImageNeverPull."""
        own = workload(container(policy="Never"))
        entry = one(own, pod(f"{APP}@{OTHER}"), pin=True)
        assert entry["action"] == "blocked"


def test_a_workload_that_was_asked_for_and_uses_nothing_of_the_registry() -> None:
    own = workload(container("ghcr.io/openclaw/openclaw:latest"))
    entry = one(own, pod(f"{APP}@{OTHER}"), only=["deployment/app"])
    assert (entry["action"], entry["why"]) == ("blocked", "it uses no image of the registry")
    assert plan([own], [pod(f"{APP}@{OTHER}")]) == []


class TestBlocked:
    """What is stale, and must be mended by hand."""

    @pytest.mark.parametrize(
        ("own", "why"),
        [
            pytest.param(
                workload(paused=True), "; its rollouts are paused: kubectl rollout resume deployment/app", id="paused"
            ),
            pytest.param(
                workload(kind="DaemonSet", updateStrategy={"type": "OnDelete"}),
                "; its update strategy is OnDelete: delete its pods",
                id="OnDelete",
            ),
            pytest.param(
                workload(
                    kind="StatefulSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
                ),
                "; its update strategy has a partition, below which no pod is updated: set it to 0",
                id="partition",
            ),
            pytest.param(
                workload(container(policy="IfNotPresent")),
                "; a restart cannot cure container app, since its pull policy IfNotPresent takes what the node has:"
                " set Always, or let zot_rollout_pin set the digest",
                id="IfNotPresent",
            ),
        ],
    )
    @pytest.mark.parametrize("stale", [True, False], ids=["stale", "fresh"])
    def test_blocked(self, own: Dict, why: str, stale: bool) -> None:
        kind = {"Deployment": "ReplicaSet"}.get(own["kind"], own["kind"])
        entry = one(own, pod(f"{APP}@{OTHER if stale else INDEX}", kind=kind))
        assert (entry["action"], entry["patch"]) == ("blocked" if stale else "none", None)
        if stale:
            assert entry["why"] == (f"container app runs {OTHER[:19]}, but {APP}:latest means {INDEX[:19]} now" + why)

    @pytest.mark.parametrize(
        "strategy",
        [
            pytest.param(None, id="none"),
            pytest.param({"type": "RollingUpdate"}, id="no details"),
            pytest.param({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, id="partition 0"),
        ],
    )
    def test_strategies_that_update_every_pod(self, strategy: Dict | None) -> None:
        own = workload(kind="StatefulSet", updateStrategy=strategy)
        assert one(own, pod(f"{APP}@{OTHER}", kind="StatefulSet"))["action"] == "restart"

    def test_one_cached_image_blocks_the_others(self) -> None:
        """Else a restart would leave the workload half new."""
        own = workload(container(), container(policy="IfNotPresent", name="app1"))
        entry = one(own, pod(f"{APP}@{OTHER}", f"{APP}@{OTHER}"))
        assert entry["action"] == "blocked"
        assert "cannot cure container app1, since" in entry["why"]

    def test_a_cached_image_that_is_fresh_does_not(self) -> None:
        own = workload(container(), container(f"{APP}:1", "IfNotPresent", "app1"))
        entry = one(own, pod(f"{APP}@{OTHER}", f"{APP}@{INDEX}"), images=[image(), image(f"{APP}:1")])
        assert (verdicts(entry), entry["action"]) == (["stale", "fresh"], "restart")

    @pytest.mark.parametrize("pin", [True, False])
    def test_absent_images_are_published_first(self, pin: bool) -> None:
        """Whatever else is stale: a restart would end in ImagePullBackOff."""
        own = workload(container(), container(f"{APP}:1", name="app1"), container(f"{APP}:2", name="app2"))
        images = [image(), gone(f"{APP}:1"), gone(f"{APP}:2")]
        entry = one(own, pod(f"{APP}@{OTHER}", f"{APP}@{OTHER}"), images=images, pin=pin)
        assert verdicts(entry) == ["stale", "absent", "absent"]
        assert (entry["action"], entry["patch"]) == ("blocked", None)
        assert entry["why"] == (
            f"container app1: {APP}:1 is not in the registry; container app2: {APP}:2 is not in the registry:"
            " publish it first"
        )
        assert [use["old"] for use in entry["images"]][1:] == [[], []]


class TestSelection:
    """Which workloads are judged."""

    @pytest.mark.parametrize(
        "text", ["ghcr.io/a/b:latest", "nginx:latest", f"{REGISTRY}/openclaw/UPPER:1", f"{APP}:other", ""]
    )
    def test_what_was_not_looked_up_is_not_judged(self, text: str) -> None:
        assert plan([workload(container(text))], [pod(f"{APP}@{OTHER}")]) == []

    def test_an_image_without_a_tag_is_the_latest(self) -> None:
        assert one(workload(container(APP)), pod(f"{APP}@{OTHER}"))["action"] == "restart"

    def test_only_those_that_are_named(self) -> None:
        workloads = [workload(), workload(name="second"), workload(kind="StatefulSet")]
        found = plan(workloads, only=["deployment/second", "statefulset/app"])
        assert [entry["workload"] for entry in found] == ["deployment/second", "statefulset/app"]

    def test_a_name_that_is_not_there(self) -> None:
        missing, there = plan([workload()], only=["deployment/app", "deployment/none"])
        assert missing == {
            "workload": "deployment/none",
            "namespace": None,
            "pods": 0,
            "images": [],
            "action": "blocked",
            "why": "it is not in the namespace",
            "patch": None,
        }
        assert there["workload"] == "deployment/app"

    def test_a_thousand_pods(self) -> None:
        """Of a hundred workloads with five images, each judged alone."""
        workloads, pods = [], []
        for number in range(100):
            name = f"w{number}"
            workloads.append(workload(container(f"{APP}:{number % 5}"), name=name, init=[container(name="setup")]))
            running = f"{APP}@{OTHER if number % 10 == 3 else INDEX}"
            pods += [pod(running, of=name, init={"setup": f"{APP}@{INDEX}"}) for _rest in range(10)]
        started = time.perf_counter()
        references = asked(workloads, REGISTRY, [])
        found = plan(workloads, pods, [image(reference) for reference in references])
        took = time.perf_counter() - started
        assert references == [f"{APP}:latest", *(f"{APP}:{number}" for number in range(5))]
        assert [entry["workload"] for entry in found if entry["action"] == "restart"] == [
            f"deployment/w{number}" for number in range(3, 100, 10)
        ]
        assert {entry["pods"] for entry in found} == {10}
        assert took < 0.5


class TestMoving:
    """In a dry run, references that would mean another image."""

    def test_what_runs_the_present_image_is_stale_then(self) -> None:
        entry = one(workload(), pod(f"{APP}@{INDEX}"), moving=[f"{APP}:latest"])
        assert (verdicts(entry), entry["action"]) == (["stale"], "restart")
        assert entry["why"] == f"container app: {APP}:latest would mean another image"

    def test_what_would_be_published_is_not_absent(self) -> None:
        entry = one(workload(), pod(f"{APP}@{OTHER}"), images=[gone(f"{APP}:latest")], moving=[f"{APP}:latest"])
        assert entry["action"] == "restart"

    def test_other_tags_stay(self) -> None:
        assert one(workload(), pod(f"{APP}@{INDEX}"), moving=[f"{APP}:1"])["action"] == "none"

    def test_a_digest_stays(self) -> None:
        """As the run that is no dry one leaves it alone."""
        own = workload(container(f"{APP}:latest@{INDEX}"))
        assert one(own, pod(f"{APP}@{INDEX}"), moving=[f"{APP}:latest"])["action"] == "none"

    def test_what_has_no_pod_is_not_restarted(self) -> None:
        """As the run that is no dry one leaves it alone."""
        assert one(workload(replicas=0), moving=[f"{APP}:latest"])["action"] == "none"


class TestPatch:
    """What kubernetes.core has to apply."""

    def test_a_restart_is_that_of_kubectl(self) -> None:
        """But for the memory of what was wanted."""
        entry = one(workload(kind="StatefulSet"), pod(f"{APP}@{OTHER}", kind="StatefulSet"))
        assert entry["patch"] == {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "app", "namespace": "openclaw"},
            "spec": {
                "template": {
                    "metadata": {
                        "annotations": {
                            "kubectl.kubernetes.io/restartedAt": STAMP,
                            "zot.killinit.cc/containers": json.dumps({"app": INDEX}),
                        }
                    }
                }
            },
        }

    def test_volumes_are_remembered(self) -> None:
        """Those of the registry, also what was fresh or pinned; the others cannot be known."""
        volumes = [
            volume(),
            volume(f"{DATA}@{OTHER}", name="fixed"),
            volume("ghcr.io/a/b:1", name="foreign"),
            {"name": "cache", "emptyDir": {}},
        ]
        images = [image(), image(f"{DATA}:latest"), image(f"{DATA}@{OTHER}", OTHER)]
        entry = one(workload(volumes=volumes), pod(f"{APP}@{OTHER}"), images=images)
        assert entry["action"] == "restart"
        annotations = entry["patch"]["spec"]["template"]["metadata"]["annotations"]
        assert annotations[RESTARTED_AT] == STAMP
        assert json.loads(annotations[VOLUMES]) == {"fixed": OTHER, "workspace": INDEX}

    def test_pods_of_the_patch_are_fresh(self) -> None:
        """What is remembered is what the next run reads."""
        own = workload(volumes=[volume()])
        images = [image(), image(f"{DATA}:latest")]
        annotations = one(own, pod(f"{APP}@{INDEX}"), images=images)["patch"]["spec"]["template"]["metadata"]
        new = pod(f"{APP}@{INDEX}", annotations=annotations["annotations"])
        assert one(own, new, images=images)["action"] == "none"

    def test_pins_by_name_what_a_restart_cannot_cure(self) -> None:
        """And nothing else: merged by name, the rest stays as it is."""
        own = workload(
            container(),
            container(f"{APP}:1", "IfNotPresent", "app1"),
            container(f"{APP}:2", "IfNotPresent", "app2"),
            container("ghcr.io/a/b:1", "IfNotPresent", "app3"),
            init=[container(f"{APP}:1@{OTHER}", "IfNotPresent", "setup")],
            volumes=[volume(f"{DATA}:1", "IfNotPresent")],
        )
        running = pod(
            f"{APP}@{OTHER}", f"{APP}@{OTHER}", f"{APP}@{INDEX}", "ghcr.io/a/b@" + OTHER, init={"setup": OTHER}
        )
        images = [image(), image(f"{APP}:1"), image(f"{APP}:2"), image(f"{DATA}:1")]
        entry = one(own, running, images=images, pin=True)
        assert (entry["action"], verdicts(entry)) == ("pin", ["stale", "stale", "stale", "fresh", "stale"])
        assert entry["patch"]["spec"]["template"] == {
            "metadata": {
                "annotations": {
                    RESTARTED_AT: STAMP,
                    CONTAINERS: json.dumps(dict.fromkeys(["app", "app1", "app2", "setup"], INDEX)),
                    VOLUMES: json.dumps({"workspace": INDEX}),
                }
            },
            "spec": {
                "initContainers": [{"name": "setup", "image": f"{APP}:1@{INDEX}"}],
                "containers": [{"name": "app1", "image": f"{APP}:1@{INDEX}"}],
                "volumes": [{"name": "workspace", "image": {"reference": f"{DATA}:1@{INDEX}"}}],
            },
        }

    def test_without_a_tag_the_pin_names_latest(self) -> None:
        entry = one(workload(container(APP, "IfNotPresent")), pod(f"{APP}@{OTHER}"), pin=True)
        (pinned,) = entry["patch"]["spec"]["template"]["spec"]["containers"]
        assert pinned["image"] == f"{APP}:latest@{INDEX}"

    def test_what_a_restart_cures_is_not_pinned(self) -> None:
        entry = one(workload(), pod(f"{APP}@{OTHER}"), pin=True)
        assert entry["action"] == "restart"
        assert "spec" not in entry["patch"]["spec"]["template"]


def counts(kind: str = "Deployment", wanted: int = 2, **changes: int | None) -> Dict:
    """A workload that is done, but for *changes*: seen, updated, whole, ready; None is not in the status."""
    names = {
        "seen": "observedGeneration",
        "updated": "updatedReplicas",
        "whole": "replicas",
        "ready": "availableReplicas",
    }
    if kind == "DaemonSet":
        names = {
            "seen": "observedGeneration",
            "updated": "updatedNumberScheduled",
            "whole": "currentNumberScheduled",
            "ready": "numberAvailable",
        }
    values = {"seen": 2, "updated": wanted, "whole": wanted, "ready": wanted, **changes}
    status = {names[key]: value for key, value in values.items() if value is not None}
    own = workload(kind=kind, replicas=wanted)
    if kind == "DaemonSet":
        status["desiredNumberScheduled"] = wanted
        del own["spec"]["replicas"]
    return {**own, "status": status}


def new_pod(reason: str, message: str | None = None, *, init: bool = False, stamp: str = STAMP, **more: t.Any) -> Dict:
    """A pod of the restart that waits."""
    waiting = {"reason": reason} if message is None else {"reason": reason, "message": message}
    found = pod("", annotations={RESTARTED_AT: stamp}, phase="Pending", **more)
    statuses = [{"name": "app", "imageID": "", "state": {"waiting": waiting}}]
    running = [{"name": "app", "imageID": "", "state": {"running": {}}}, {"name": "app1", "imageID": ""}]
    found["status"]["initContainerStatuses" if init else "containerStatuses"] = statuses
    found["status"]["containerStatuses" if init else "initContainerStatuses"] = running
    return found


def far(current: Dict, *pods: Dict) -> tuple[str, str]:
    name = f"{current['kind'].lower()}/app"
    (entry,) = progress([{"workload": name, "action": "restart"}], [current], pods, stamp=STAMP)
    assert entry["workload"] == name
    return entry["state"], entry["why"]


class TestProgress:
    """How far a restart is."""

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize(
        ("changes", "state", "why"),
        [
            pytest.param({}, "done", "2 of 2 pods are updated and available", id="done"),
            pytest.param({"wanted": 0}, "done", "0 of 0 pods are updated and available", id="no replicas"),
            pytest.param(
                {"wanted": 0, "updated": None, "whole": None, "ready": None},
                "done",
                "0 of 0 pods are updated and available",
                id="no replicas and no counts",
            ),
            pytest.param({"seen": 3}, "done", "2 of 2 pods are updated and available", id="seen, and more"),
            pytest.param({"seen": 1}, "waiting", "0 of 2 pods are updated, 2 available", id="not seen"),
            pytest.param({"seen": None}, "waiting", "0 of 2 pods are updated, 2 available", id="never seen"),
            pytest.param({"updated": 1}, "waiting", "1 of 2 pods are updated, 2 available", id="one old"),
            pytest.param({"updated": None}, "waiting", "0 of 2 pods are updated, 2 available", id="none updated"),
            pytest.param({"whole": 3}, "waiting", "2 of 2 pods are updated, 2 available", id="an old one is ending"),
            pytest.param({"ready": 1}, "waiting", "2 of 2 pods are updated, 1 available", id="one not ready"),
            pytest.param({"ready": None}, "waiting", "2 of 2 pods are updated, 0 available", id="none ready"),
        ],
    )
    def test_counts(self, kind: str, changes: Dict, state: str, why: str) -> None:
        assert far(counts(kind, **changes)) == (state, why)

    def test_one_replica_where_none_is_given(self) -> None:
        current = counts(wanted=1)
        del current["spec"]["replicas"]
        assert far(current)[0] == "done"

    def test_no_status_yet(self) -> None:
        assert far(workload()) == ("waiting", "0 of 1 pods are updated, 0 available")

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize("reason", ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
    @pytest.mark.parametrize("init", [False, True], ids=["container", "init container"])
    def test_a_new_pod_cannot_pull(self, kind: str, reason: str, init: bool) -> None:
        """Also if enough others are ready."""
        owner = "ReplicaSet" if kind == "Deployment" else kind
        waiting = new_pod(reason, "because", init=init, kind=owner, name="app-1")
        assert far(counts(kind), pod("", kind=owner), waiting) == (
            "failed",
            f"pod app-1 cannot pull: {reason}: because",
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
        assert far(counts(ready=1), other) == ("waiting", "2 of 2 pods are updated, 1 available")

    @pytest.mark.parametrize(
        ("reason", "message", "said"),
        [
            ("ErrImagePull", "401", "; pod p: ErrImagePull: 401"),
            ("CrashLoopBackOff", "back-off 10s", "; pod p: CrashLoopBackOff: back-off 10s"),
            ("CreateContainerConfigError", None, "; pod p: CreateContainerConfigError"),
            ("ContainerCreating", None, ""),
            ("PodInitializing", None, ""),
            ("", None, ""),
        ],
    )
    def test_what_a_new_pod_waits_for(self, reason: str, message: str | None, said: str) -> None:
        assert far(counts(ready=1), new_pod(reason, message)) == (
            "waiting",
            f"2 of 2 pods are updated, 1 available{said}",
        )

    def test_paused_meanwhile(self) -> None:
        current = counts(updated=0)
        current["spec"]["paused"] = True
        assert far(current) == ("failed", "its rollouts are paused: kubectl rollout resume deployment/app")

    @pytest.mark.parametrize(("seen", "state"), [(2, "done"), (1, "waiting")])
    def test_paused_when_it_had_finished(self, seen: int, state: str) -> None:
        """A pause is a new generation, too; until the controller has seen that, the counts say nothing."""
        current = counts(seen=seen)
        current["spec"]["paused"] = True
        assert far(current)[0] == state

    @pytest.mark.parametrize(
        ("condition", "state", "why"),
        [
            pytest.param(
                {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "it has timed out."},
                "failed",
                "it has timed out.; pod p: CrashLoopBackOff",
                id="deadline",
            ),
            pytest.param(
                {"type": "Progressing", "reason": "ProgressDeadlineExceeded"},
                "failed",
                "ProgressDeadlineExceeded; pod p: CrashLoopBackOff",
                id="deadline without words",
            ),
            pytest.param(
                {"type": "Progressing", "reason": "ReplicaSetUpdated"},
                "waiting",
                "1 of 2 pods are updated, 1 available; pod p: CrashLoopBackOff",
                id="it goes on",
            ),
            pytest.param(
                {"type": "Available"},
                "waiting",
                "1 of 2 pods are updated, 1 available; pod p: CrashLoopBackOff",
                id="another condition",
            ),
        ],
    )
    def test_conditions(self, condition: Dict, state: str, why: str) -> None:
        current = counts(updated=1, ready=1)
        current["status"]["conditions"] = [condition]
        assert far(current, new_pod("CrashLoopBackOff")) == (state, why)

    def test_gone(self) -> None:
        (entry,) = progress([{"workload": "deployment/app", "action": "pin"}], [], [], stamp=STAMP)
        assert (entry["state"], entry["why"]) == ("failed", "it is gone")

    def test_only_what_the_plan_changes_is_waited_for(self) -> None:
        actions = ("none", "restart", "blocked", "pin")
        entries = [{"workload": f"deployment/{action}", "action": action} for action in actions]
        found = progress(entries, [], [], stamp=STAMP)
        assert [entry["workload"] for entry in found] == ["deployment/restart", "deployment/pin"]


def entry(action: str = "restart", why: str = "it is old", **changes: t.Any) -> Dict:
    return {
        "workload": "deployment/app",
        "namespace": "openclaw",
        "pods": 1,
        "images": [{"verdict": "before"}],
        "action": action,
        "why": why,
        "patch": {"kind": "Deployment"},
        **changes,
    }


def state(state: str, why: str = "so it is") -> Dict:
    return {"workload": "deployment/app", "state": state, "why": why}


class TestReport:
    """What became of it."""

    @pytest.mark.parametrize(
        ("before", "states", "after", "verify", "problems"),
        [
            pytest.param(entry("none"), [], [], False, [], id="nothing to do"),
            pytest.param(entry("none"), [], [], True, [], id="verified"),
            pytest.param(entry("restart"), [], [], False, [], id="foretold"),
            pytest.param(entry("restart"), [], [], True, ["it is old"], id="verify finds it stale"),
            pytest.param(entry("pin"), [], [], True, ["it is old"], id="verify finds it to be pinned"),
            pytest.param(entry("blocked"), [], [], False, ["it is old"], id="blocked"),
            pytest.param(entry("blocked"), [], [entry("blocked")], True, ["it is old"], id="blocked comes once"),
            pytest.param(entry("restart"), [state("done")], [entry("none")], False, [], id="done"),
            pytest.param(entry("pin"), [state("done")], [entry("none")], False, [], id="pinned"),
            pytest.param(entry("restart"), [state("done")], [], False, [], id="done and gone"),
            pytest.param(
                entry("restart"),
                [state("failed")],
                [entry("restart")],
                False,
                ["so it is. It was left like that; the old pods that are ready go on."],
                id="failed",
            ),
            pytest.param(
                entry("restart"),
                [state("waiting")],
                [entry("restart")],
                False,
                ["not finished in time: so it is. It was left like that."],
                id="not in time",
            ),
            pytest.param(
                entry("restart"),
                [state("done")],
                [entry("restart", "it is old again")],
                False,
                ["it was restarted, and still: it is old again"],
                id="still stale",
            ),
            pytest.param(
                entry("pin"),
                [state("done")],
                [entry("blocked", "it is blocked")],
                False,
                ["it was restarted, and still: it is blocked"],
                id="blocked afterwards",
            ),
        ],
    )
    def test_problems(
        self, before: Dict, states: list[Dict], after: list[Dict], verify: bool, problems: list[str]
    ) -> None:
        found = report([before], states, after, verify=verify)
        assert found["problems"] == [f"deployment/app: {text}" for text in problems]
        assert found["ok"] is (not problems)

    def test_what_went_stale_meanwhile_was_not_restarted(self) -> None:
        """Another was restarted, and while that was waited for a tag moved."""
        found = report([entry("none")], [], [entry("restart", "it is old now")], verify=False)
        assert not any("it was restarted" in text for text in found["problems"])

    def test_workloads(self) -> None:
        """The plan without what only Kubernetes needs, with what became of each."""
        plan = [entry(), entry("none", workload="deployment/second")]
        after = [entry("none", images=[{"verdict": "after"}])]
        found = report(plan, [state("done")], after, verify=False)
        assert found["workloads"] == [
            {
                "workload": "deployment/app",
                "pods": 1,
                "images": [{"verdict": "before"}],
                "action": "restart",
                "why": "it is old",
                "state": "done",
                "after": [{"verdict": "after"}],
            },
            {
                "workload": "deployment/second",
                "pods": 1,
                "images": [{"verdict": "before"}],
                "action": "none",
                "why": "it is old",
                "state": None,
                "after": None,
            },
        ]

    def test_nothing_uses_the_registry(self) -> None:
        assert report([], [], [], verify=True) == {"ok": True, "problems": [], "unproved": [], "workloads": []}

    @pytest.mark.parametrize(
        ("before", "after", "unproved"),
        [
            pytest.param("unknown", [], ["so it is"], id="nothing was done"),
            pytest.param("unknown", ["fresh"], [], id="cleared up"),
            pytest.param("stale", ["unknown"], ["so it is"], id="after a restart"),
            pytest.param("stale", [], [], id="stale is no doubt"),
        ],
    )
    def test_unproved(self, before: str, after: list[str], unproved: list[str]) -> None:
        """As it was in the end; no problem, since nothing is to be mended."""
        first, *last = [entry("none", images=[{"verdict": verdict, "why": "so it is"}]) for verdict in (before, *after)]
        found = report([first], [], last, verify=False)
        assert found["unproved"] == [f"deployment/app: {text}" for text in unproved]
        assert (found["ok"], found["problems"]) == (True, [])
