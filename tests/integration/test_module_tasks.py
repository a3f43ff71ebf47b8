# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many tasks of a playbook start a module: each costs a process, a connection and about a third of a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cluster.support import pull_secret, workload
from unit.api_server import holding, running
from unit.fake_cluster import FakeCluster

from benchmarks.registry import Bench
from environment.images import Images
from environment.registry import Registry

NAMESPACE = "shop"
Serve = Callable[..., dict[str, str]]


@pytest.fixture
def bench(registry: Registry, tmp_path: Path) -> Bench:
    """It counts the modules of a playbook."""
    return Bench(registry, tmp_path, tmp_path, 1)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts an API server with objects of a namespace; returns the variables by which a playbook finds it."""
    with ExitStack() as stack:

        def start(*objects: dict[str, Any]) -> dict[str, str]:
            for each in objects:
                each["metadata"]["namespace"] = NAMESPACE
            server = stack.enter_context(running(holding(FakeCluster(*objects))))
            return {"K8S_AUTH_KUBECONFIG": str(server.kubeconfig(tmp_path / "kubeconfig"))}

        yield start


def _pod(own: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """A pod of a Deployment, whose container has this status."""
    name = f"{own['metadata']['name']}-77"
    labels = {**own["spec"]["template"]["metadata"]["labels"], "pod-template-hash": "77"}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "controller": True}
    return {
        "kind": "Pod",
        "metadata": {"name": f"{name}-x", "uid": f"uid-{name}", "labels": labels, "ownerReferences": [owner]},
        "spec": {**own["spec"]["template"]["spec"], "nodeName": "node-1"},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", **status}]},
    }


def test_a_release_with_nothing_to_do(
    bench: Bench, registry: Registry, images: Images, repository: str, serve: Serve
) -> None:
    """At most nine: it pushes, joins, proves the pull secret, and compares the workloads."""
    archives = {name: str(images[f"buildah-{name}"]) for name in ("amd64", "arm64")}
    release = {
        "zot_namespace": NAMESPACE,
        "zot_publish_revision": "r1",
        "zot_publish_images": [{"repository": repository, "archives": archives}],
    }
    extra = bench.directory / "release.json"
    extra.write_text(json.dumps(release))
    bench.run(["ansible-playbook", "killinit.zot.publish", f"--extra-vars=@{extra}"])
    own = workload(f"{registry.host}/{repository}:latest")
    own["metadata"]["generation"] = 1
    own["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    digest = bench.digest(f"{repository}:latest")
    pod = _pod(own, {"imageID": f"{registry.host}/{repository}@{digest}"})
    where = serve(own, pod, pull_secret(registry, registry.reader))

    before = len(registry.requests())
    started = bench.modules(["ansible-playbook", "killinit.zot.release", f"--extra-vars=@{extra}"], where)
    assert not [each for each in registry.requests()[before:] if each.method in ("PUT", "POST", "PATCH", "DELETE")]
    assert started == {"zot_push": 1, "zot_index": 1, "zot_pull_secret_info": 1, "zot_workload_info": 1}
    assert started.total() <= 9


def test_a_diagnosis(bench: Bench, registry: Registry, images: Images, repository: str, serve: Serve) -> None:
    """Of a tag that does not exist."""
    bench.push([{"archive": str(images["buildah-amd64"]), "repository": repository, "tags": ["1"]}])
    image = f"{registry.host}/{repository}:2"
    own = workload(image)
    message = f'Back-off pulling image "{image}": failed to resolve image: {image}: not found'
    pod = _pod(own, {"imageID": "", "state": {"waiting": {"reason": "ImagePullBackOff", "message": message}}})
    where = serve(own, pod, pull_secret(registry, registry.reader))

    command = ["ansible-playbook", "killinit.zot.diagnose"]
    command += [f"--extra-vars=zot_namespace={NAMESPACE}", "--extra-vars=zot_diagnose_fail=false"]
    assert f"{repository} has no tag 2" in bench.run(command, more=where)
    assert bench.modules(command, where) == {"zot_pull_failure_info": 1}
