# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases and rollbacks in a row: each patch is applied, new pods start, and the record on the workload stays."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import (
    RECORD,
    RecordedImage,
    ReleaseRecord,
    recorded_images,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.image_use import images_in_use
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import template_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._workload_info import run
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.workload_objects import (
    APP,
    NAMESPACE,
    REGISTRY,
    Dict,
    container,
    cronjob,
    digest,
    image_of,
    pod,
    single,
    volume,
    with_templates,
    workload,
)

OTHER_APP = f"{REGISTRY}/other/db"
# Another name of the registry.
ALIAS = "zot.zot.svc:5000"
A, B, C, D = (f"{letter}00000{number}" for number, letter in enumerate("abcd", 1))
DIGESTS = {tag: digest(number) for number, tag in enumerate((A, B, C, D), 1)}


class World:
    """A registry and a namespace. Pods run what their image meant when they started, if their policy pulls then."""

    def __init__(self, *workloads: Dict) -> None:
        self.tags = {f"{APP}:{tag}": value for tag, value in DIGESTS.items()}
        self.tags |= {f"{APP}:latest": DIGESTS[A], f"{APP}:stable": DIGESTS[A], f"{OTHER_APP}:v1": digest(90)}
        self.workloads = {each["metadata"]["name"]: copy.deepcopy(each) for each in workloads}
        self.runs: dict[str, dict[str, str]] = {}
        self.node: dict[str, str] = {}
        # The names of the workloads whose pods a policy sets to this digest.
        self.policy: dict[str, str] = {}
        self.patched: list[str] = []
        for name in self.workloads:
            self.start(name)

    # The registry.
    name = REGISTRY

    def expect(self, reads: int) -> None:
        pass

    def http(self) -> t.NoReturn:
        raise ZotError("tool_missing", "without requests")

    def digest(self, reference: Reference) -> str | None:
        return self._digest(str(reference))

    def manifest(self, reference: Reference) -> Manifest | None:
        return self.with_children(reference).manifest

    def _digest(self, text: str) -> str | None:
        text = text.replace(ALIAS, REGISTRY)
        digest = text.partition("@")[2]
        known = digest in (*DIGESTS.values(), *self.tags.values())
        return (digest if known else None) if digest else self.tags.get(text)

    def with_children(self, reference: Reference) -> Image:
        found = self._digest(str(reference))
        return image_of(reference, single(str(reference), found, f"sha256:c{found[8:]}") if found else None)

    # The cluster.
    def start(self, name: str) -> None:
        own = self.workloads[name]
        if own["kind"] == "CronJob" or not own["spec"].get("replicas", 1):
            return
        uses = self.runs.setdefault(name, {})
        for each in template_of(own)["spec"]["containers"]:
            text = each["image"]
            now = self._digest(text.rpartition(":")[0] and text if "@" not in text else text)
            pulled = each["imagePullPolicy"] == "Always" or text not in self.node
            if pulled:
                self.node[text] = now or ""
            uses[each["name"]] = self.policy.get(name) or self.node[text]

    def image(self, name: str, number: int = 0) -> str:
        text: str = template_of(self.workloads[name])["spec"]["containers"][number]["image"]
        return text

    def pods(self) -> list[Dict]:
        found = []
        for name, uses in self.runs.items():
            own = self.workloads[name]
            containers = template_of(own)["spec"]["containers"]
            running = [
                f"{each['image'].partition('@')[0].rpartition(':')[0]}@{uses[each['name']]}" for each in containers
            ]
            kind = "ReplicaSet" if own["kind"] == "Deployment" else own["kind"]
            annotations = (template_of(own).get("metadata") or {}).get("annotations")
            made = pod(*running, of=name, kind=kind, name=f"{name}-1", annotations=annotations)
            for status, each in zip(made["status"]["containerStatuses"], containers):
                status["name"] = each["name"]
            found.append(made)
        return with_templates(self.workloads.values(), found)

    def look(self, *, check_mode: bool = False, **options: t.Any) -> Dict:
        params: Dict = {
            "registry": REGISTRY, "namespace": NAMESPACE, "workloads": [], "label_selectors": [], "images": [],
            "repositories": [], "set_image": "false", "pin": False, "rollback": None, "assume_pushed": [],
            "registry_aliases": [], "allow_empty": False, "wait": False, "wait_timeout": 120, "wait_sleep": 5,
            **options,
        }  # fmt: skip
        query = run.WorkloadQuery.of(params, check_mode=check_mode)
        return run.run(FakeCluster(*self.workloads.values(), *self.pods()), self, query)  # type: ignore[arg-type]

    def apply(self, patch: Dict, *, starts: bool = True) -> None:
        name = patch["metadata"]["name"]
        own = self.workloads[name]
        self.patched.append(name)
        own["metadata"].setdefault("annotations", {}).update(patch["metadata"]["annotations"])
        changes, template = template_of(patch), template_of(own)
        metadata = template.setdefault("metadata", {})
        metadata.setdefault("annotations", {}).update(changes.get("metadata", {}).get("annotations", {}))
        for change in changes.get("spec", {}).get("containers", ()):
            next(each for each in template["spec"]["containers"] if each["name"] == change["name"]).update(change)
        if starts:
            self.start(name)

    def rollout(self, limit: int | None = None, **options: t.Any) -> Dict:
        """Look, patch, look again: the result of the second look. *limit* is the number of patches before a kill."""
        predicted = self.look(check_mode=True, **options)
        found = self.look(**options)
        assert found == predicted
        self.patched = []
        for each in [each for each in found["workloads"] if each["patch"]][:limit]:
            self.apply(each["patch"])
        return self.look(**options)

    def release(self, revision: str, **options: t.Any) -> Dict:
        self.tags[f"{APP}:latest"] = DIGESTS[revision]
        return self.rollout(images=[f"{APP}:{revision}", f"{APP}:latest"], **options)

    def rollback(self, revision: str, *, exact: bool = False, **options: t.Any) -> Dict:
        tag = f"{APP}:latest"
        moved = {"reference": tag, "from": self.tags[tag], "to": DIGESTS[revision]}
        report = {"ok": True, "revision": revision, "exact": exact, "images": [moved]}
        predicted = self.look(check_mode=True, rollback=report, set_image="true", **options)
        self.tags[tag] = DIGESTS[revision]
        assert self.look(rollback=report, set_image="true", **options) == predicted
        return self.rollout(rollback=report, set_image="true", **options)


@pytest.fixture(autouse=True)
def _known_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "now_text", lambda: "2026-11-24T12:00:00Z")


POLICIES = ["Always", "IfNotPresent"]


class TestRollback:
    """A rollback undoes a release, and touches nothing else."""

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize("policy", POLICIES)
    def test_two_releases_and_two_rollbacks(self, policy: str, kind: str) -> None:
        """The next release moves a digest that the rollback has set, without any option."""
        world = World(workload(container(policy=policy), kind=kind, name="web"))
        assert world.release(B, set_image="true")["ok"]
        assert world.release(C, set_image="true")["ok"]
        assert world.runs["web"] == {"app": DIGESTS[C]}
        for patched in (["web"], []):
            found = world.rollback(B)
            assert (found["ok"], world.runs["web"], world.patched) == (True, {"app": DIGESTS[B]}, patched)
            assert found["workloads"][0]["status"] == "current"
        assert world.image("web") == (f"{APP}:latest" if policy == "Always" else f"{APP}:latest@{DIGESTS[B]}")
        released = world.release(D)
        assert (released["ok"], world.runs["web"]) == (True, {"app": DIGESTS[D]})
        assert world.image("web") == (f"{APP}:latest" if policy == "Always" else f"{APP}:latest@{DIGESTS[D]}")

    def test_the_image_comes_back_as_it_was_written(self) -> None:
        """A revision, its digest, a digest alone, and a CronJob: each as the record says."""
        digests = f"{APP}@{DIGESTS[A]}", f"{APP}:latest@{DIGESTS[A]}"
        own = [
            workload(container(f"{APP}:{A}", "IfNotPresent"), name="revision"),
            cronjob(container(f"{APP}:{A}"), name="job"),
        ]
        own += [workload(container(text), name=name) for text, name in zip(digests, ("digest", "pinned"))]
        own += [workload(container(f"{APP}:{A}"), name="zero", replicas=0)]
        world = World(*own)
        before = {name: world.image(name) for name in world.workloads}
        assert world.release(C, set_image="true")["ok"]
        assert {name: world.image(name) for name in before} == {
            "revision": f"{APP}:{C}",
            "job": f"{APP}:{C}",
            "digest": f"{APP}:{C}@{DIGESTS[C]}",
            "pinned": f"{APP}:latest@{DIGESTS[C]}",
            "zero": f"{APP}:{C}",
        }
        assert world.rollback(A)["ok"]
        assert {name: world.image(name) for name in before} == before

    def test_another_name_of_the_registry(self) -> None:
        """The workload keeps the name that its nodes know, also in its record."""
        image = f"{APP}:{A}".replace(REGISTRY, ALIAS)
        world = World(workload(container(image), name="web"))
        assert world.release(C, set_image="true", registry_aliases=[ALIAS])["ok"]
        assert world.image("web") == image.replace(A, C)
        assert world.rollback(A, registry_aliases=[ALIAS])["ok"]
        assert (world.image("web"), world.runs["web"]) == (image, {"app": DIGESTS[A]})

    def test_everything_else_stays(self) -> None:
        """Another repository or tag, a pinned revision, what is paused, managed, scaled to zero, or stale."""
        argo: Dict = {"labels": {"argocd.argoproj.io/instance": "app"}}
        world = World(
            workload(name="web"),
            workload(container(f"{OTHER_APP}:v1"), name="other"),
            workload(container(f"{OTHER_APP}:v1@{digest(90)}"), name="cache"),
            workload(container(f"{APP}:stable"), name="stable"),
            workload(container(f"{APP}:stable@{DIGESTS[A]}"), name="pinned-stable"),
            workload(container(f"{APP}:{A}"), name="revision"),
            workload(container(f"{APP}:{A}"), name="paused", paused=True),
            workload(container(f"{APP}:{A}"), name="argo", metadata=argo),
            workload(container(f"{APP}:{A}"), name="zero", replicas=0),
            workload(container(), name="stale"),
            cronjob(container(f"{APP}:{A}"), name="job"),
        )
        world.tags[f"{APP}:latest"] = DIGESTS[B]
        world.start("web")
        world.release(C, workloads=["deployment/web"])
        # Somebody else pushes to the other tags.
        world.tags |= {f"{OTHER_APP}:v1": digest(91), f"{APP}:stable": DIGESTS[D]}
        before = copy.deepcopy({name: each for name, each in world.workloads.items() if name != "web"})
        found = world.rollback(B)
        assert (found["ok"], world.patched) == (True, ["web"])
        assert {name: each for name, each in world.workloads.items() if name != "web"} == before
        assert {each["name"]: each["status"] for each in found["workloads"]} == {
            "deployment/web": "current",
            **{f"deployment/{name}": "untouched" for name in ("stable", "pinned-stable", "revision", "paused", "argo")},
            **{f"deployment/{name}": "untouched" for name in ("zero", "stale")},
            "cronjob/job": "untouched",
        }

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_tag_that_moved_has_started_the_image(self, policy: str) -> None:
        """Without a release to this workload, for example on a new node. It has no record."""
        world = World(workload(container(policy=policy), name="web"))
        world.tags[f"{APP}:latest"] = DIGESTS[C]
        world.node.clear()
        world.start("web")
        assert world.rollback(A)["ok"]
        assert world.runs["web"] == {"app": DIGESTS[A]}
        assert world.image("web") == (f"{APP}:latest" if policy == "Always" else f"{APP}:latest@{DIGESTS[A]}")

    def test_a_release_that_was_killed_after_the_first_of_three_patches(self) -> None:
        """The second and the third run what they ran. The third was restarted by its node since the tag moved."""
        world = World(*(workload(name=name) for name in ("one", "two", "three")))
        assert world.release(B)["ok"]
        world.release(C, limit=1)
        world.start("three")
        assert {name: each["app"] for name, each in world.runs.items()} == {
            "one": DIGESTS[C], "two": DIGESTS[B], "three": DIGESTS[C],
        }  # fmt: skip
        assert (world.rollback(B)["ok"], world.patched) == (True, ["one", "three"])
        assert {each["app"] for each in world.runs.values()} == {DIGESTS[B]}

    def test_a_rollback_that_was_killed_is_finished_by_the_next(self) -> None:
        """Its tags are already moved, so it does not know the image that they have lost."""
        world = World(
            *(workload(container(f"{APP}:{B}"), name=name) for name in ("one", "two")), workload(name="three")
        )
        world.release(B)
        world.release(C, set_image="true")
        world.rollback(B, limit=1)
        assert [each["app"] for each in world.runs.values()] == [DIGESTS[B], DIGESTS[C], DIGESTS[C]]
        assert (world.rollback(B)["ok"], world.patched) == (True, ["two", "three"])
        assert {each["app"] for each in world.runs.values()} == {DIGESTS[B]}
        assert [world.image(name) for name in world.workloads] == [f"{APP}:{B}", f"{APP}:{B}", f"{APP}:latest"]

    def test_a_workload_that_was_older_gets_its_own_image_back(self) -> None:
        """The tag is rolled back to another revision, so the digest is set. The next release removes it."""
        world = World(workload(name="web"))
        world.tags[f"{APP}:latest"] = DIGESTS[B]
        world.release(C)
        assert world.rollback(B)["ok"]
        assert (world.image("web"), world.runs["web"]) == (f"{APP}:latest@{DIGESTS[A]}", {"app": DIGESTS[A]})
        assert world.release(D)["ok"]
        assert (world.image("web"), world.runs["web"]) == (f"{APP}:latest", {"app": DIGESTS[D]})

    def test_a_digest_that_the_registry_has_lost_cannot_come_back(self) -> None:
        world = World(workload(container(f"{APP}@{digest(77)}"), name="web"))
        world.runs["web"] = {"app": digest(77)}
        assert world.release(C, set_image="true")["ok"]
        found = world.rollback(A)
        (problem,) = found["problems"]
        assert "is not in the registry any more: roll back to another revision" in problem
        assert world.patched == []

    @pytest.mark.parametrize("named", [True, False])
    def test_a_revision_that_the_user_names(self, named: bool) -> None:
        """What the records and the moved tags cover gets it instead of what it had."""
        world = World(
            workload(name="tag"),
            workload(container(policy="IfNotPresent"), name="cached"),
            workload(container(f"{APP}:{B}"), name="revision"),
            workload(container(f"{APP}:{B}"), name="theirs"),
        )
        world.release(B)
        world.release(C, set_image="true", workloads=["deployment/tag", "deployment/cached", "deployment/revision"])
        assert world.rollback(A if named else B, exact=named)["ok"]
        wanted = A if named else B
        assert {name: each["app"] for name, each in world.runs.items()} == {
            "tag": DIGESTS[wanted], "cached": DIGESTS[wanted if named else A], "revision": DIGESTS[wanted],
            "theirs": DIGESTS[B],
        }  # fmt: skip
        assert world.image("revision") == f"{APP}:{wanted}"

    def test_a_workload_that_somebody_has_changed_is_theirs(self) -> None:
        world = World(workload(container(f"{APP}:{A}"), name="web"))
        world.release(C, set_image="true")
        template_of(world.workloads["web"])["spec"]["containers"][0]["image"] = f"{APP}:{D}"
        world.start("web")
        found = world.rollback(A)
        assert (found["ok"], world.patched, found["workloads"][0]["status"]) == (True, [], "untouched")
        (text,) = found["theirs"]
        assert text.startswith(
            f"deployment/web: container app names {APP}:{D}, not {APP}:{C}, which the release of {C}"
        )

    def test_two_containers_of_which_one_was_released(self) -> None:
        world = World(workload(container(), container(f"{OTHER_APP}:v1", name="db"), name="web"))
        world.release(C)
        world.tags[f"{OTHER_APP}:v1"] = digest(91)
        assert world.rollback(A)["ok"]
        assert (world.image("web", 1), world.runs["web"]["app"]) == (f"{OTHER_APP}:v1", DIGESTS[A])

    @pytest.mark.parametrize(("revision", "ok"), [(C, False), (A, True), (D, True)])
    def test_a_pod_without_a_workload(self, revision: str, ok: bool) -> None:
        """It is a problem if it runs the image that is rolled back, because the collection does not restart it."""
        world = World(workload(name="web"))
        world.release(C)
        alone = pod(f"{APP}@{DIGESTS[revision]}", name="alone")
        alone["metadata"]["ownerReferences"] = []
        alone["spec"] = {"containers": [container()]}
        own = world.pods
        world.pods = lambda: [*own(), alone]  # type: ignore[method-assign]
        found = world.rollback(A)
        assert (found["ok"], found["workloads"][0]["status"]) == (ok, "current")
        assert ok or "pod alone of no owner: container app runs" in found["problems"][0]

    def test_a_release_with_the_same_image(self) -> None:
        """Its tag did not move, but that of another repository: the workload gets its revision back."""
        world = World(workload(container(f"{APP}:{A}"), name="web"))
        world.tags[f"{APP}:{C}"] = DIGESTS[A]
        world.rollout(images=[f"{APP}:{C}", f"{APP}:latest"], set_image="true")
        assert world.image("web") == f"{APP}:{C}"
        still = {"reference": f"{APP}:latest", "from": DIGESTS[A], "to": DIGESTS[A], "from_revision": C}
        moved = {"reference": f"{OTHER_APP}:v1", "from": digest(90), "to": digest(91), "from_revision": C}
        report: Dict = {"ok": True, "revision": A, "images": [still, moved]}
        world.tags[f"{OTHER_APP}:v1"] = digest(91)
        assert world.rollout(rollback=report, set_image="true")["ok"]
        assert world.image("web") == f"{APP}:{A}"

    @pytest.mark.parametrize(
        "option",
        [
            {"ok": False},
            {"ok": True},
            {"ok": True, "images": ["x"]},
            {"ok": True, "images": [{"reference": "ghcr.io/a/b:1", "to": DIGESTS[A]}]},
            {"ok": True, "images": [{"reference": f"{APP}:latest", "to": None}]},
            {"ok": True, "images": [], "revision": 5},
        ],
    )
    def test_what_is_not_a_report_of_a_rollback(self, option: Dict) -> None:
        with pytest.raises(ZotError):
            World(workload()).look(rollback=option)


class TestRepeats:
    """What a patch does not change is not patched for ever."""

    def test_a_policy_that_sets_the_images_of_pods(self) -> None:
        world = World(workload(name="web"))
        world.policy["web"] = DIGESTS[A]
        patched = []
        for _number in range(4):
            found = world.release(B)
            patched.append(len(world.patched))
        assert patched == [1, 1, 0, 0]
        assert found["problems"][0].endswith(
            "2 restarts did not change that, so the pods differ from their template: look for an admission policy or a"
            " webhook that sets the images of pods"
        )
        # Another release is another try.
        world.release(C)
        assert world.patched == ["web"]

    def test_on_delete_after_a_rollback(self) -> None:
        """The template names the old digest again, and the pods do not run it before somebody deletes them."""
        image = f"{APP}:{A}@{DIGESTS[A]}"
        own = workload(container(image), kind="DaemonSet", name="agent", updateStrategy={"type": "OnDelete"})
        world = World(own)
        assert world.release(B, set_image="true")["ok"]
        old = copy.deepcopy(world.pods())
        rolled_back = {"reference": f"{APP}:latest", "from": DIGESTS[B], "to": DIGESTS[A]}
        world.tags[f"{APP}:latest"] = DIGESTS[A]
        option: Dict = {"ok": True, "revision": A, "exact": False, "images": [rolled_back]}
        undo: Dict = {"rollback": option, "set_image": "true"}
        (entry,) = world.look(**undo)["workloads"]
        world.apply(entry["patch"], starts=False)
        assert world.image("agent") == image
        world.pods = lambda: old  # type: ignore[method-assign]
        for options in (undo, {}):
            (entry,) = world.look(**options)["workloads"]
            assert (entry["status"], entry["patch"]) == ("stale", None)
            assert entry["problem"].endswith("delete its pods: kubectl --namespace=openclaw delete pod agent-1")
        del world.pods  # type: ignore[method-assign]
        world.start("agent")
        for options in (undo, {}):
            assert world.look(**options)["ok"] is True

    @pytest.mark.parametrize("text", ["latest", A])
    def test_on_delete(self, text: str) -> None:
        """The template is patched once. The remedy names the pods, and leads to green."""
        own = workload(container(f"{APP}:{text}"), kind="DaemonSet", name="agent", updateStrategy={"type": "OnDelete"})
        world = World(own)
        old = world.pods()
        world.tags[f"{APP}:latest"] = DIGESTS[B]
        options: Dict = {"images": [f"{APP}:{B}", f"{APP}:latest"], "set_image": "true"}
        (entry,) = world.look(**options)["workloads"]
        assert entry["by_hand"] == "its update strategy is OnDelete: delete its pods"
        world.apply(entry["patch"], starts=False)
        world.pods = lambda: old  # type: ignore[method-assign]
        (entry,) = world.look(**options)["workloads"]
        assert (entry["status"], entry["patch"]) == ("stale", None)
        assert entry["problem"].endswith("delete its pods: kubectl --namespace=openclaw delete pod agent-1")
        del world.pods  # type: ignore[method-assign]
        world.start("agent")
        assert world.look(**options)["ok"] is True


class TestRecord:
    """The annotation."""

    def test_what_it_says(self) -> None:
        world = World(workload(container(policy="IfNotPresent"), name="web"))
        world.release(B, set_image="true")
        found = world.look()["workloads"][0]["record"]
        assert found == {
            "revision": B,
            "time": "2026-11-24T12:00:00Z",
            "rollback": False,
            "holds": True,
            "images": [
                {
                    "container": "container app",
                    "before": f"{APP}:latest",
                    "ran": DIGESTS[A],
                    "after": f"{APP}:latest@{DIGESTS[B]}",
                    "runs": DIGESTS[B],
                }
            ],
        }

    def test_a_repeated_patch_keeps_what_was_there_before_the_first(self) -> None:
        world = World(workload(name="web"))
        world.policy["web"] = DIGESTS[A]
        world.release(B)
        world.policy.clear()
        world.runs["web"] = {"app": DIGESTS[C]}
        world.release(B)
        record = ReleaseRecord.of(world.workloads["web"])
        assert record
        assert (record.restarts, record.images["container app"].ran) == (2, DIGESTS[A])

    def test_its_images_are_in_use(self) -> None:
        """Prune keeps them, because a rollback may start them."""
        world = World(workload(name="web"), cronjob(container(f"{APP}:{A}"), name="job"))
        world.release(C, set_image="true")
        for name in ("web", "job"):
            found = {(each.how, each.digest) for each in images_in_use(world.workloads[name])}
            assert ("annotation", DIGESTS[C]) in found
        assert ("annotation", DIGESTS[A]) in {(each.how, each.digest) for each in images_in_use(world.workloads["web"])}
        assert recorded_images(workload()) == []

    GOOD = RecordedImage(f"{APP}:latest", DIGESTS[A], f"{APP}:latest@{DIGESTS[B]}", DIGESTS[B], our_pin=True)

    def test_is_read_as_it_was_written(self) -> None:
        record = ReleaseRecord("now", {"container app": self.GOOD}, B, is_rollback=True, restarts=2)
        assert ReleaseRecord.of({"metadata": {"annotations": {RECORD: record.annotation()}}}) == record

    @pytest.mark.parametrize(
        "change",
        [
            "x",
            "[]",
            "null",
            "{}",
            {"time": 5},
            {"images": []},
            {"revision": 5},
            {"restarts": "x"},
            {"images": {"container app": {}}},
            {"images": {"container app": {**GOOD.for_annotation(), "before": {"image": f"{OTHER_APP}:v1"}}}},
            {"images": {"container app": {**GOOD.for_annotation(), "before": {"image": "UPPER/x:1"}}}},
            {"images": {"container app": {**GOOD.for_annotation(), "after": {"image": f"{APP}:1", "digest": "x"}}}},
        ],
    )
    def test_another_text_is_no_record(self, change: t.Any) -> None:
        """A rollback writes images of the record into the workload. They must be of the same repository."""
        good = json.loads(ReleaseRecord("now", {"container app": self.GOOD}).annotation())
        text = change if isinstance(change, str) else json.dumps({**good, **change})
        assert ReleaseRecord.of({"metadata": {"annotations": {RECORD: text}}}) is None

    def test_a_volume(self) -> None:
        own = workload(container("ghcr.io/a/b:1"), volumes=[volume(f"{APP}:{A}")], name="web")
        world = World(own)
        world.tags["ghcr.io/a/b:1"] = digest(50)
        found = world.look(images=[f"{APP}:{C}"], set_image="true")["workloads"][0]
        record = json.loads(found["patch"]["metadata"]["annotations"][RECORD])
        assert record["images"]["image volume workspace"]["before"]["image"] == f"{APP}:{A}"
