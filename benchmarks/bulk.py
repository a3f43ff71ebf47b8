# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of what is read in bulk: all tags of a repository, near and far, and all images of a large cluster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import kubernetes
import requests
from cluster.support import Kubectl

from benchmarks import checks
from benchmarks.cluster import NAMESPACE, cluster_of
from benchmarks.measure import Run, Side, measure
from benchmarks.registry import Bench, Costs, Ratio, reads, shown
from environment.registry import Registry
from environment.relay import delayed

REPOSITORY = "bench/inventory"
TAGS, PODS, OWNERS, REPLICASETS = 1_000, 5_000, 50, 500
ROUND_TRIP = 0.04
CONFIG = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# What zot_cluster_image_info reads.
RESOURCES = (
    "pods,deployments,statefulsets,daemonsets,replicasets,controllerrevisions,replicationcontrollers,jobs,cronjobs"
)


def inventory(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """1,000 tags of a repository in one zot_image_info, also over round trips of 40 ms, beside crane for each tag"""
    digests = push_tags(bench.registry)
    query = {"repositories": [REPOSITORY], "details": True}
    ours = [
        {"killinit.zot.zot_image_info": query, "register": "found"},
        shown("found.repositories[0].images | map(attribute='digest')"),
    ]
    there = f"$ZOT_REGISTRY/{REPOSITORY}"
    # The digest, and what is in the image.
    loop = f'for tag in $(crane ls {there}); do crane digest "{there}:$tag"; crane manifest "{there}:$tag" >one; done'
    command, check = bench.playbook("inventory", ours), reads(digests)
    with delayed(bench.registry.host, ROUND_TRIP) as afar:
        sides = [
            Side("zot_image_info", command, check),
            Side("from afar", command, check, variables={"ZOT_REGISTRY": afar}),
            Side("crane", bench.script("inventory", [loop]), check, ours=False),
        ]
        # One run of the loop takes a minute.
        costs = measure(sides, min(bench.runs, 3), bench.shared, bench.directory)
    return costs, [
        Ratio("inventory of 1,000 tags", costs["zot_image_info"].seconds / costs["crane"].seconds, 0.05),
        Ratio("inventory of 1,000 tags, round trips of 40 ms, s", costs["from afar"].seconds, 3),
    ]


def usage(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """zot_cluster_image_info with 5,000 pods and 500 ReplicaSets, beside kubectl get of the same kinds"""
    digests = push_tags(bench.registry, count=OWNERS)
    ours = [
        {"killinit.zot.zot_cluster_image_info": {}, "register": "used"},
        shown("used.images | map(attribute='digest') | unique"),
    ]
    listing = bench.directory / "objects.json"
    get = f"kubectl get {RESOURCES} --all-namespaces --output=json >{listing}"

    def listed(run: Run) -> None:
        found = json.loads(listing.read_text())["items"]
        kinds = [each["kind"] for each in found]
        checks.same(run.side, "the number of pods", kinds.count("Pod") >= PODS, True)
        checks.same(run.side, "the number of ReplicaSets", kinds.count("ReplicaSet"), REPLICASETS)

    with cluster_of(bench) as (kubectl, where):
        _crowd(kubectl, f"{bench.registry.host}/{REPOSITORY}", digests)
        sides = [
            Side("zot_cluster_image_info", bench.playbook("usage", ours), reads(digests), variables=where),
            Side("kubectl", bench.script("usage", [get]), listed, ours=False, variables=where),
        ]
        costs = measure(sides, bench.runs, bench.shared, bench.directory)
    cost = costs["zot_cluster_image_info"]
    return costs, [
        Ratio("images of 5,000 pods and 500 ReplicaSets", cost.seconds / costs["kubectl"].seconds, 0.5),
        Ratio("its memory, MB", cost.memory / 1e6, 300),
    ]


def push_tags(registry: Registry, count: int = TAGS) -> list[str]:
    """Revisions with one image each, whose manifests differ in an annotation; returns their digests."""
    with uploading(registry, REPOSITORY) as put:
        return [put(number, [tag_of(number)]) for number in range(count)]


def tag_of(number: int) -> str:
    """The revision with this number."""
    return f"{number:07x}"


@contextmanager
def uploading(registry: Registry, repository: str) -> Iterator[Callable[[int, Sequence[str]], str]]:
    """A function that puts an image under tags; its manifest has a number as an annotation. It returns the digest."""
    with registry.session(registry.writer) as session:
        config = _blob(session, registry, json.dumps(CONFIG).encode(), repository)
        layer = _blob(session, registry, b"layer", repository)

        def put(number: int, tags: Sequence[str]) -> str:
            document = json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
                    "annotations": {"org.example.number": str(number)},
                }
            )
            digest = f"sha256:{hashlib.sha256(document.encode()).hexdigest()}"
            # Zot takes several tags in one request, but only with a digest.
            name, parameters = (tags[0], {}) if len(tags) == 1 else (digest, {"tag": tags})
            address = f"https://{registry.host}/v2/{repository}/manifests/{name}"
            done = session.put(address, params=parameters, data=document, headers={"Content-Type": MANIFEST})
            done.raise_for_status()
            return digest

        yield put


def _blob(session: requests.Session, registry: Registry, data: bytes, repository: str) -> dict[str, Any]:
    """Put a blob into a repository; return its digest and its size."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    binary = {"Content-Type": "application/octet-stream"}
    place = session.post(f"https://{registry.host}/v2/{repository}/blobs/uploads/", headers=binary).headers["Location"]
    target = f"https://{registry.host}{place}"
    session.put(target, params={"digest": digest}, data=data, headers=binary).raise_for_status()
    return {"digest": digest, "size": len(data)}


def _crowd(kubectl: Kubectl, image: str, digests: Sequence[str]) -> None:
    """Pods that report the digests in turn, and ReplicaSets without replicas; no node runs them.

    A ConfigMap controls each pod: a controller of Kubernetes would need minutes to make so many, and would delete those
    that it did not make.
    """
    with kubernetes.config.new_client_from_config(str(kubectl.cluster.kubeconfig)) as client:
        core, apps = kubernetes.client.CoreV1Api(client), kubernetes.client.AppsV1Api(client)
        owners = [
            core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": f"app-{number}"}}).metadata
            for number in range(OWNERS)
        ]

        def pod(number: int) -> None:
            owner, name = owners[number % OWNERS], f"app-{number}"
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name, "uid": owner.uid}
            one = container(f"{image}:{tag_of(number % OWNERS)}")
            body = {
                "metadata": {
                    "name": name,
                    "ownerReferences": [reference | {"controller": True}],
                    "labels": {"app": owner.name},
                },
                "spec": {"schedulingGates": [{"name": "test.zot/never"}], "containers": [one]},
            }
            core.create_namespaced_pod(NAMESPACE, body)
            status = {"name": "app", "image": one["image"], "imageID": f"{image}@{digests[number % OWNERS]}"}
            status |= {"ready": True, "restartCount": 0}
            core.patch_namespaced_pod_status(name, NAMESPACE, {"status": {"containerStatuses": [status]}})

        def replicaset(number: int) -> None:
            labels = {"rs": str(number)}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [container(f"{image}:{tag_of(0)}")]}}
            spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
            apps.create_namespaced_replica_set(NAMESPACE, {"metadata": {"name": f"rs-{number}"}, "spec": spec})

        _at_once(pod, PODS)
        _at_once(replicaset, REPLICASETS)


def _at_once(make: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(make, range(count)))


def container(image: str) -> dict[str, Any]:
    """A container of usual size: with an environment, probes and limits."""
    environment = [{"name": f"SETTING_{number}", "value": f"value {number}"} for number in range(20)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    limits = {"cpu": "1", "memory": "128Mi"}
    return {
        "name": "app",
        "image": image,
        "env": environment,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": probe,
        "livenessProbe": probe,
        "resources": {"limits": limits, "requests": limits},
    }
