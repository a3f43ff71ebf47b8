# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module from main() down: one object of each kind of use in a cluster in memory, and a registry in memory."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.killinit.zot.tests.unit.fake_cluster import KINDS, FakeCluster
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys
from ansible_collections.killinit.zot.tests.unit.web_registry import WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import WebServer, running

pytest.importorskip("kubernetes")
module = pytest.importorskip("ansible_collections.killinit.zot.plugins.modules.zot_cluster_image_info")

Dict = dict[str, t.Any]
NAMESPACE: Dict = {"kind": "Namespace", "metadata": {"name": "openclaw"}}
CONFIG: Dict = {"created": "2026-11-25T10:00:00Z"}


class Scene:
    """A registry with the revision 3f2c1ab, which is latest, and cafe123, which is stable; and the module."""

    def __init__(self, web: WebRegistry, server: WebServer, run_module: t.Any, patch: pytest.MonkeyPatch) -> None:
        self.web, self.server = web, server
        self.app = f"{server.host}/openclaw/openclaw"
        self._run_module, self._patch = run_module, patch

    def digest(self, tag: str) -> str:
        digest: str = self.web.fake.tags["openclaw/openclaw"][tag]
        return digest

    def config(self, tag: str) -> str:
        document = json.loads(self.web.fake.manifests["openclaw/openclaw"][self.digest(tag)])
        digest: str = document["config"]["digest"]
        return digest

    def __call__(self, *objects: Dict, cluster: FakeCluster | None = None, **options: t.Any) -> Dict:
        self.cluster = cluster or FakeCluster(NAMESPACE, *objects)
        self._patch.setattr(module, "connect", lambda _module: self.cluster)
        account = {"username": None, "password": None, "registry_username": "ci", "registry_password": "s3cret"}
        given = {"registry": self.server.host, "retries": None, **account, **options}
        found: Dict = self._run_module(module.main, **given)
        assert wrong_keys(module.RETURN, found) == []
        return found


@pytest.fixture
def scene(fake: t.Any, docker_config: t.Any, run_module: t.Any, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Scene]:
    for revision, shared, changes in (("3f2c1ab", "latest", {}), ("cafe123", "stable", CONFIG)):
        members = [
            fake.put("openclaw/openclaw", f"{revision}-{name}", docker_config(architecture=name, **changes))
            for name in ("amd64", "arm64")
        ]
        fake.put_index("openclaw/openclaw", revision, *members)
        fake.tags["openclaw/openclaw"][shared] = fake.tags["openclaw/openclaw"][revision]
    web = WebRegistry(fake)
    web.searched = {"openclaw/openclaw": web.describe("openclaw/openclaw")}
    with running(web.respond) as server:
        yield Scene(web, server, run_module, monkeypatch)


def spec(image: str, kind: str = "containers") -> Dict:
    """A pod's specification with one image."""
    if kind == "volumes":
        return {"containers": [], "volumes": [{"name": "data", "image": {"reference": image}}]}
    return {"containers": [], kind: [{"name": "app", "image": image}]}


def owned(kind: str, name: str) -> Dict:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}
    return {"ownerReferences": [owner]}


def thing(kind: str, body: Dict, name: str = "app", **metadata: t.Any) -> Dict:
    return {"kind": kind, "metadata": {"name": name, "namespace": "openclaw", **metadata}, **body}


def workload(kind: str, image: str, name: str = "app", **metadata: t.Any) -> Dict:
    return thing(kind, {"spec": {"template": {"metadata": {}, "spec": spec(image)}}}, name, **metadata)


def pod(
    image: str, reported: str | None, *, section: str = "containers", phase: str = "Running", **more: t.Any
) -> Dict:
    statuses = {"containers": "containerStatuses", "initContainers": "initContainerStatuses"}
    status: Dict = {"phase": phase}
    if reported:
        name = statuses.get(section, "ephemeralContainerStatuses")
        status[name] = [{"name": "app", "imageID": reported}]
    return thing("Pod", {"spec": spec(image, section), "status": status}, "app-1", **more)


def cronjob(image: str, metadata: Dict | None = None) -> Dict:
    template = {"template": {"metadata": metadata or {}, "spec": spec(image)}}
    return thing("CronJob", {"spec": {"suspend": True, "jobTemplate": {"spec": template}}})


REPLICASET_POD = {"labels": {"pod-template-hash": "abc"}, **owned("ReplicaSet", "app-abc")}
ONCE = owned("Job", "once")

Found = tuple[str, str, str, str]


def case(
    document: t.Callable[[Scene, str], Dict], tag: str, owner: str, use: str, digest: str = "", by_digest: bool = False
) -> t.Callable[[Scene], tuple[Dict, Found]]:
    """A use of the image of *tag* by *owner*. The digest is that of the tag *digest*, or of a configuration."""

    def build(s: Scene) -> tuple[Dict, Found]:
        own = s.config(digest[1:]) if digest.startswith("!") else s.digest(digest or tag)
        return document(s, f"{s.app}:{tag}"), (f"{s.app}@{own}" if by_digest else f"{s.app}:{tag}", own, owner, use)

    return build


def running_pod(s: Scene, image: str, tag: str, **more: t.Any) -> Dict:
    """A pod that reports the digest of a tag."""
    return pod(image, f"{s.app}@{s.digest(tag)}", **more)


def recorded(s: Scene) -> Dict:
    return {"annotations": {"zot.killinit.cc/containers": json.dumps({"app": s.digest("cafe123")})}}


def template(kind: str, specification: Dict, name: str = "app", **metadata: t.Any) -> Dict:
    return thing(kind, {"spec": {"template": {"spec": specification}}}, name, **metadata)


CASES: dict[str, t.Callable[[Scene], tuple[Dict, Found]]] = {
    "a pod that reports the index": case(
        lambda s, image: running_pod(s, image, "3f2c1ab", **REPLICASET_POD), "latest", "deployment/app", "running"
    ),
    "a pod that reports a member": case(
        lambda s, image: running_pod(s, image, "3f2c1ab-arm64", **owned("StatefulSet", "db")),
        *("latest", "statefulset/db", "running", "3f2c1ab-arm64"),
    ),
    "a pod that reports a configuration": case(
        lambda s, image: pod(image, s.config("3f2c1ab-amd64"), **owned("DaemonSet", "agent")),
        *("latest", "daemonset/agent", "running", "!3f2c1ab-amd64"),
    ),
    "a pod that reports another registry's name": case(
        lambda s, image: pod(image, f"mirror.example/app@{s.digest('3f2c1ab')}", **ONCE),
        "latest",
        "job/once",
        "running",
    ),
    "a pod of another registry that reports this one": case(
        lambda s, _image: running_pod(s, "mirror.example/app:1", "3f2c1ab", **ONCE),
        *("3f2c1ab", "job/once", "running", "", True),
    ),
    **{
        f"a container of the section {section}": case(
            lambda s, image, section=section: running_pod(s, image, "3f2c1ab", section=section, **ONCE),  # type: ignore[misc]
            *("3f2c1ab", "job/once", "running"),
        )
        for section in ("initContainers", "ephemeralContainers")
    },
    "a sidecar that has not started yet": case(
        lambda _s, image: pod(image, None, section="initContainers", phase="Pending", **owned("DaemonSet", "agent")),
        *("3f2c1ab", "daemonset/agent", "running"),
    ),
    "an image volume": case(
        lambda _s, image: pod(image, None, section="volumes", **ONCE), "3f2c1ab", "job/once", "running"
    ),
    "a pod that waits for its image": case(
        lambda _s, image: pod(image, None, phase="Pending", **REPLICASET_POD), "cafe123", "deployment/app", "running"
    ),
    "a pod without a controller": case(lambda _s, image: pod(image, None), "stable", "pod/app-1", "template"),
    "a Deployment": case(lambda _s, image: workload("Deployment", image), "latest", "deployment/app", "template"),
    "a pinned StatefulSet": case(
        lambda s, image: workload("StatefulSet", f"{image}@{s.digest('cafe123')}"),
        *("latest", "statefulset/app", "template", "cafe123", True),
    ),
    **{
        f"a {kind}": case(
            lambda _s, image, kind=kind: workload(kind, image),
            "cafe123",
            f"{kind.lower()}/app",
            "template",  # type: ignore[misc]
        )
        for kind in ("DaemonSet", "ReplicaSet", "ReplicationController")
    },
    "a ReplicaSet of a Deployment, without replicas": case(
        lambda _s, image: workload("ReplicaSet", image, "app-old", **owned("Deployment", "app")),
        *("cafe123", "deployment/app", "history"),
    ),
    "an image volume of a template": case(
        lambda _s, image: template("DaemonSet", spec(image, "volumes")), "cafe123", "daemonset/app", "template"
    ),
    "an init container of a template": case(
        lambda _s, image: template("Job", spec(image, "initContainers")), "cafe123", "job/app", "template"
    ),
    "a ControllerRevision": case(
        lambda _s, image: thing(
            "ControllerRevision",
            {"data": {"spec": {"template": {"$patch": "replace", "spec": spec(image)}}}, "revision": 1},
            "db-6c9d",
            **owned("StatefulSet", "db"),
        ),
        *("cafe123", "statefulset/db", "history"),
    ),
    "a Job": case(
        lambda _s, image: workload("Job", image, "report-1", **owned("CronJob", "report")),
        *("cafe123", "cronjob/report", "template"),
    ),
    "a PodTemplate": case(
        lambda _s, image: thing("PodTemplate", {"template": {"spec": spec(image)}}),
        *("cafe123", "podtemplate/app", "template"),
    ),
    "a suspended CronJob": case(lambda _s, image: cronjob(image), "cafe123", "cronjob/app", "template"),
    "an annotation of a template": case(
        lambda s, image: cronjob(image, recorded(s)), "latest", "cronjob/app", "annotation", "cafe123"
    ),
    "an annotation of a pod": case(
        lambda s, image: pod(image, None, **recorded(s), **ONCE), "latest", "job/once", "annotation", "cafe123"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_kind_of_use(case: str, scene: Scene) -> None:
    document, (reference, digest, owner, use) = CASES[case](scene)
    found = scene(document)
    (image,) = [each for each in found["images"] if each["digest"] == digest]
    assert image["reference"] == reference
    assert {"namespace": "openclaw", "name": owner, "use": use} in image["used_by"]
    assert image["risk"] is None
    assert digest in found["digests"]
    assert found["at_risk"] == []
    # Reading it is not a pull, and needs no run of crane.
    assert scene.web.fake.commands == []
    assert not [each for each in scene.server.requests if each.method == "GET" and "/manifests/" in each.path]


def test_every_kind_is_read_in_all_namespaces(scene: Scene) -> None:
    scene(workload("Deployment", f"{scene.app}:latest"))
    resources = {
        resource for verb, resource, namespace in scene.cluster.requests if (verb, namespace) == ("list", None)
    }
    with_images = {KINDS[kind] for kind in ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")}
    others = {"cronjobs", "controllerrevisions", "replicationcontrollers", "podtemplates", "customresourcedefinitions"}
    assert resources == with_images | others


PODS: Dict = {
    "type": "object",
    "properties": {
        "containers": {
            "type": "array",
            "items": {"properties": {"image": {"type": "string"}, "name": {"type": "string"}}},
        }
    },
}
OPEN: Dict = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
# The fields around a pod template in ScaledJob, Knative, a list of templates, a map of them, and projects that leave
# out the schema.
SCHEMAS: dict[str, tuple[Dict, t.Callable[[Dict], Dict]]] = {
    "ScaledJob": (
        {"jobTargetRef": {"properties": {"template": {"properties": {"spec": PODS}}}}},
        lambda pods: {"jobTargetRef": {"template": {"spec": pods}}},
    ),
    "Service": ({"template": {"properties": {"spec": PODS}}}, lambda pods: {"template": {"spec": pods}}),
    "a list": (
        {"groups": {"items": {"properties": {"template": {"properties": {"spec": PODS}}}}}},
        lambda pods: {"groups": [{"template": {"spec": pods}}]},
    ),
    "a map": (
        {"replicaSpecs": {"additionalProperties": {"properties": {"template": {"properties": {"spec": PODS}}}}}},
        lambda pods: {"replicaSpecs": {"Worker": {"template": {"spec": pods}}}},
    ),
    "CloneSet": ({"template": OPEN}, lambda pods: {"template": {"spec": pods}}),
    "podTemplate": ({"podTemplate": OPEN}, lambda pods: {"podTemplate": {"spec": pods}}),
    "podSpec": ({"podSpec": OPEN}, lambda pods: {"podSpec": pods}),
}


def definition(properties: Dict, kind: str = "Thing", scope: str = "Namespaced") -> Dict:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    version = {"served": True, "schema": {"openAPIV3Schema": schema}}
    versions = [{**version, "name": "v1", "storage": True}, {"name": "v1alpha1", "served": False, "storage": False}]
    names = {"kind": kind, "plural": f"{kind.lower()}s"}
    specification = {"group": "example.com", "names": names, "scope": scope, "versions": versions}
    return {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.example.com"},
        "spec": specification,
    }


def custom(specification: Dict, kind: str = "Thing") -> Dict:
    return {**thing(kind, {"spec": specification}), "apiVersion": "example.com/v1"}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("section", ["containers", "initContainers", "volumes"])
def test_a_pod_template_in_a_custom_resource(name: str, section: str, scene: Scene) -> None:
    properties, fill = SCHEMAS[name]
    pinned = f"{scene.app}:latest@{scene.digest('cafe123')}"
    documents = [custom(fill(spec(image, section))) for image in (f"{scene.app}:3f2c1ab", pinned)]
    documents[1]["metadata"]["name"] = "pinned"
    found = scene(definition(properties), *documents)
    assert {image["digest"] for image in found["images"]} == {scene.digest("3f2c1ab"), scene.digest("cafe123")}
    assert found["images"][0]["used_by"] == [{"namespace": "openclaw", "name": "thing/app", "use": "template"}]


def test_a_custom_resource_without_a_pod_template_is_not_read(scene: Scene) -> None:
    properties = {"image": {"type": "string"}, "values": OPEN, "containers": {"items": {"type": "string"}}}
    scene(definition(properties), workload("Deployment", f"{scene.app}:latest"))
    assert not [each for each in scene.cluster.requests if "example.com" in each[1]]


def test_kinds_that_are_left_out(scene: Scene) -> None:
    """A custom resource that cannot be read is an error that says how to leave it out."""
    properties, fill = SCHEMAS["Service"]
    objects = (definition(properties), custom(fill(spec(f"{scene.app}:cafe123"))))
    own = workload("Deployment", f"{scene.app}:latest")
    refused = scene(cluster=FakeCluster(NAMESPACE, own, *objects, refused={"things.v1.example.com"}))
    assert refused["unreadable"][0]["resource"] == "things.v1.example.com"
    assert "zot_prune_ignore_kinds" in refused["hint"]
    for kinds in (["thing"], ["things.example.com"], ["CustomResourceDefinition"]):
        found = scene(
            cluster=FakeCluster(NAMESPACE, own, *objects, refused={"things.v1.example.com"}), ignore_kinds=kinds
        )
        assert [image["tags"] for image in found["images"]] == [["3f2c1ab"]]


@pytest.mark.parametrize("namespaces", [[], ["openclaw"]])
def test_definitions_that_cannot_be_read(namespaces: list[str], scene: Scene) -> None:
    """The right to list them is of the whole cluster: who may only read a namespace gets the built-in kinds."""
    own = workload("Deployment", f"{scene.app}:latest")
    cluster = FakeCluster(NAMESPACE, own, refused={"customresourcedefinitions"})
    found = scene(cluster=cluster, namespaces=namespaces)
    assert found.get("failed", False) is not bool(namespaces)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_uses_nothing(phase: str, scene: Scene) -> None:
    found = scene(pod(f"{scene.app}:latest", f"{scene.app}@{scene.digest('latest')}", phase=phase), allow_empty=True)
    assert (found["images"], found["digests"]) == ([], [])


def test_a_tag_that_moved_is_two_images(scene: Scene) -> None:
    """The pods' digest may be lost; what the tag means now is no risk for a template that follows the tag."""
    fake, old = scene.web.fake, scene.digest("latest")
    for tag in ("3f2c1ab", "latest"):
        del fake.tags["openclaw/openclaw"][tag]
    fake.tags["openclaw/openclaw"]["latest"] = scene.digest("cafe123")
    del fake.tags["openclaw/openclaw"]["cafe123"]
    template = workload("Deployment", f"{scene.app}:latest")
    found = scene(template, pod(f"{scene.app}:latest", f"{scene.app}@{old}", **REPLICASET_POD))
    risks = {image["digest"]: (image["risk"], image["tags"]) for image in found["images"]}
    # The search extension does not know the move yet.
    assert risks == {old: ("untagged", []), scene.digest("latest"): (None, ["stable", "latest"])}
    (sentence,) = found["at_risk"]
    assert sentence.startswith(f"{scene.app}:latest ({old[:19]}), used by openclaw/deployment/app: no tag refers to it")


def test_a_shared_tag_alone(scene: Scene) -> None:
    """The next push of latest would lose what runs."""
    digest = scene.digest("latest")
    running_pod = pod(f"{scene.app}:latest", f"{scene.app}@{digest}", **REPLICASET_POD)
    del scene.web.fake.tags["openclaw/openclaw"]["3f2c1ab"]
    (image,) = scene(running_pod)["images"]
    assert (image["risk"], image["tags"]) == ("shared_tag", ["latest"])
    assert image["reason"] == "only shared tags (latest) refer to it: it is lost when they move"
    (image,) = scene(running_pod, revisions="latest|none")["images"]
    assert image["risk"] is None


@pytest.mark.parametrize(
    ("tag", "risk"),
    [
        ("3f2c1ab-amd64", None),
        ("3f2c1ab-arm-v7", None),
        ("3f2c1ab-previous", "shared_tag"),
        ("1.4.2", None),
        ("v1.4.2-amd64-v2", None),
        ("1.4", "shared_tag"),
    ],
)
def test_the_tag_of_a_revision(tag: str, risk: str | None, scene: Scene) -> None:
    """The tag of one architecture belongs to it."""
    tags = scene.web.fake.tags["openclaw/openclaw"]
    digest = scene.web.fake.put("openclaw/openclaw", tag, salt="another")
    assert list(tags.values()).count(digest) == 1
    (image,) = scene(pod(f"{scene.app}:{tag}", f"{scene.app}@{digest}", **REPLICASET_POD))["images"]
    assert (image["risk"], image["tags"]) == (risk, [tag])


@pytest.mark.parametrize("reported", ["sha256:" + "9" * 64, None])
def test_an_image_that_the_registry_lost(reported: str | None, scene: Scene) -> None:
    image = f"{scene.app}:beef000"
    found = scene(pod(image, reported and f"{scene.app}@{reported}", **REPLICASET_POD))
    (entry,) = found["images"]
    assert (entry["risk"], entry["digest"], entry["tags"]) == ("missing", reported, [])
    assert "a new pod cannot pull it" in found["at_risk"][0]


def test_the_records_of_releases(scene: Scene) -> None:
    """What a workload runs since which release of this registry. A text that is no record is left out."""
    before = {"image": f"{scene.app}:cafe123", "digest": scene.digest("cafe123")}
    after = {"image": f"{scene.app}:3f2c1ab", "digest": scene.digest("3f2c1ab")}
    text: Dict = {"revision": "3f2c1ab", "time": "2026-11-25T12:00:00Z", "restarts": 1}
    text["images"] = {"container app": {"before": before, "after": after}}

    def own(name: str, image: str, record: str, kind: str = "Deployment") -> Dict:
        return workload(kind, image, name, annotations={"killinit.zot/release": record})

    foreign = json.dumps(text).replace(scene.server.host, "ghcr.io")
    found = scene(
        own("web", f"{scene.app}:3f2c1ab", json.dumps(text)),
        own("theirs", f"{scene.app}:latest", json.dumps(text), "StatefulSet"),
        own("foreign", f"{scene.app}:latest", foreign),
        own("broken", f"{scene.app}:latest", "[]"),
    )
    image = {"container": "container app", "before": before["image"], "ran": before["digest"]}
    image |= {"after": after["image"], "runs": after["digest"]}
    same = {"namespace": "openclaw", "revision": "3f2c1ab", "time": text["time"], "rollback": False, "images": [image]}
    assert found["records"] == [
        {**same, "name": "deployment/web", "holds": True},
        {**same, "name": "statefulset/theirs", "holds": False},
    ]
    # A rollback starts the image before the release again.
    assert scene.digest("cafe123") in found["digests"]


@pytest.mark.parametrize("searched", [True, False])
def test_an_index_that_lost_a_member(searched: bool, scene: Scene) -> None:
    """Its tag and its digest are still there, but a node of this platform cannot pull it. The other index is whole."""
    scene.web.lost.add(scene.digest("3f2c1ab-arm64"))
    if not searched:
        scene.web.searched = None
    found = scene(
        workload("Deployment", f"{scene.app}:3f2c1ab"),
        running_pod(scene, f"{scene.app}:3f2c1ab", "3f2c1ab", **REPLICASET_POD),
        workload("Deployment", f"{scene.app}:stable", "other"),
    )
    images = {image["digest"]: (image["risk"], image["tags"]) for image in found["images"]}
    assert images == {
        scene.digest("3f2c1ab"): ("incomplete", ["3f2c1ab"]),
        scene.digest("stable"): (None, ["cafe123"]),
    }
    (sentence,) = found["at_risk"]
    assert sentence.endswith("has lost its image for linux/arm64: a new pod on such a node cannot pull it")


def test_a_repository_that_the_registry_lost(scene: Scene) -> None:
    found = scene(workload("Deployment", f"{scene.server.host}/openclaw/gone:1"))
    assert [image["risk"] for image in found["images"]] == ["missing"]


def test_a_configuration_without_a_tag_is_still_there(scene: Scene) -> None:
    """The runtime of the node reports a configuration; the image has no tag any more."""
    config = scene.config("3f2c1ab-amd64")
    for tag in ("3f2c1ab", "latest", "3f2c1ab-amd64"):
        del scene.web.fake.tags["openclaw/openclaw"][tag]
    (image,) = scene(pod(f"{scene.app}:latest", config, **REPLICASET_POD))["images"]
    assert image["risk"] == "untagged"


def test_tags_of_the_search_extension_are_read_again(scene: Scene) -> None:
    """The search extension still says that 3f2c1ab holds the image, as it may after a crash of Zot."""
    old = scene.digest("3f2c1ab")
    tags = scene.web.fake.tags["openclaw/openclaw"]
    tags["3f2c1ab"] = tags["latest"] = tags["cafe123"]
    (image,) = scene(pod(f"{scene.app}:latest", f"{scene.app}@{old}", **REPLICASET_POD))["images"]
    assert (image["risk"], image["tags"]) == ("untagged", [])


def test_history_that_is_the_template_is_left_out(scene: Scene) -> None:
    own = workload("Deployment", f"{scene.app}:cafe123")
    same = workload("ReplicaSet", f"{scene.app}:cafe123", "app-new", **owned("Deployment", "app"))
    (image,) = scene(own, same)["images"]
    assert image["used_by"] == [{"namespace": "openclaw", "name": "deployment/app", "use": "template"}]


def test_digests_of_any_registry(scene: Scene) -> None:
    """A registry may have several names; a deletion by digest needs all digests in use."""
    other = f"sha256:{'7' * 64}"
    noted = workload("StatefulSet", "docker.io/library/db:1")
    noted["spec"]["template"]["metadata"] = {"annotations": {"zot.killinit.cc/other": f"x {other}"}}
    found = scene(noted, pod("alias.example/app:1", f"alias.example/app@{scene.digest('stable')}"), allow_empty=True)
    assert found["images"] == []
    assert found["digests"] == sorted([other, scene.digest("stable")])


@pytest.mark.parametrize("data", [None, {}, {"spec": 1}, {"spec": {"template": 1}}, {"spec": {"template": {}}}, "raw"])
def test_a_controller_revision_of_another_project(data: t.Any, scene: Scene) -> None:
    own = workload("Deployment", f"{scene.app}:latest")
    assert len(scene(own, thing("ControllerRevision", {"data": data}))["images"]) == 1


def test_an_image_that_is_no_reference(scene: Scene) -> None:
    """Of Docker Hub, or mistyped: not of this registry."""
    found = scene(
        *(workload("Deployment", image, name) for image, name in (("nginx", "a"), ("A/B:c:d", "b"))), allow_empty=True
    )
    assert found["images"] == []


@pytest.mark.parametrize("namespaces", [[], ["openclaw"]])
def test_what_cannot_be_read_is_an_error(namespaces: list[str], scene: Scene) -> None:
    """All of it is named at once."""
    cluster = FakeCluster(NAMESPACE, workload("Deployment", f"{scene.app}:latest"), refused={"cronjobs", "jobs"})
    found = scene(cluster=cluster, namespaces=namespaces)
    assert (found["failed"], found["error_class"]) == (True, "denied")
    assert {each["resource"] for each in found["unreadable"]} == {"cronjobs", "jobs"}
    where = " in namespace openclaw" if namespaces else ""
    assert f'cannot list jobs, list cronjobs{where}: User "ops" lacks the permissions' in found["msg"]


def test_an_unreadable_repository_is_an_error(scene: Scene) -> None:
    """The search extension would answer as if it were empty."""
    scene.web.unreadable.add("openclaw/openclaw")
    found = scene(workload("Deployment", f"{scene.app}:latest"))
    assert (found["failed"], found["error_class"]) == (True, "denied")


def test_nothing_is_found(scene: Scene) -> None:
    """A mistyped registry or namespace proves nothing."""
    own = workload("Deployment", "other.example/app:1")
    found = scene(own, namespaces=["openclaw"])
    assert (found["failed"], found["error_class"]) == (True, "not_found")
    assert f"nothing in the namespaces openclaw uses an image of {scene.server.host}" in found["msg"]
    absent = scene(own, namespaces=["openclow"], allow_empty=True)
    assert "the namespace does not exist" in absent["msg"]
    assert scene(own, allow_empty=True)["images"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"revisions": "("}, "is not a regular expression"),
        ({"namespaces": ["Open_Claw"]}, "is not a valid name of a namespace"),
        ({"registry": None}, "no registry"),
        ({"registry_timeout": 0}, "must be at least 1"),
    ],
)
def test_an_option_that_cannot_be_used(options: Dict, message: str, scene: Scene) -> None:
    found = scene(**options)
    assert found["error_class"] == "invalid_option"
    assert message in found["msg"]


def test_another_spelling_of_the_registry(scene: Scene) -> None:
    """Host names ignore case. The result has the name of the option, which zot_prune compares."""
    host = scene.server.host = scene.server.host.replace("127.0.0.1", "localhost")
    (image,) = scene(workload("Deployment", f"{host.upper()}/openclaw/openclaw:cafe123"))["images"]
    assert (image["reference"], image["digest"]) == (f"{host}/openclaw/openclaw:cafe123", scene.digest("cafe123"))


def test_a_name_by_which_the_cluster_knows_the_registry(scene: Scene) -> None:
    named = workload("Deployment", "zot.zot.svc:5000/openclaw/openclaw:cafe123")
    assert scene(named, allow_empty=True)["images"] == []
    (image,) = scene(named, registry_aliases=["localhost:5000", "Zot.zot.svc:5000"])["images"]
    assert (image["reference"], image["digest"]) == (f"{scene.app}:cafe123", scene.digest("cafe123"))


def test_a_name_that_may_be_another_one_of_the_registry(scene: Scene) -> None:
    """Only the name of a template without pods protects its image from a prune."""
    own = workload("Deployment", f"{scene.app}:cafe123")
    named = cronjob("zot.zot.svc:5000/openclaw/openclaw:cafe123")
    (note,) = scene(own, named)["warnings"]
    assert "openclaw/cronjob/app names zot.zot.svc:5000/openclaw/openclaw:cafe123, and " in note
    for other in ("zot.zot.svc:5000/openclaw/openclaw:beef000", "zot.zot.svc:5000/openclaw/other:cafe123", "redis:1"):
        assert "warnings" not in scene(own, cronjob(other))
    assert "warnings" not in scene(own, named, registry_aliases=["zot.zot.svc:5000"])
    runs = pod("zot.zot.svc:5000/openclaw/openclaw:cafe123", f"zot.zot.svc:5000/x@{scene.digest('cafe123')}")
    assert "warnings" not in scene(own, runs)


def test_text_of_the_cluster_is_escaped(scene: Scene) -> None:
    found = scene(workload("Deployment", f"{scene.app}:beef000", "app\x1b[2J"))
    assert "\x1b" not in json.dumps(found, ensure_ascii=False)
    assert "app\\x1b[2J" in found["at_risk"][0]
