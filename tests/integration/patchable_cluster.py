# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster without a kubelet: an API server whose Deployments start pods on what a tag means in a real registry."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from unit.api_server import Request, holding, status
from unit.fake_cluster import FakeCluster


class PatchableCluster(FakeCluster):
    """Deployments of one replica. A patch starts a pod on the image of the template, which *resolve* gives a digest.

    With *healthy* a pod with another digest never gets ready, and the pod before it stays.
    """

    def __init__(self, namespace: str, resolve: Callable[[str], str], *objects: dict[str, Any]) -> None:
        super().__init__()
        self.namespace = namespace
        self.resolve = resolve
        self.healthy: str | None = None
        self.patched: list[str] = []
        for each in copy.deepcopy(objects):
            each["metadata"]["namespace"] = namespace
            self.objects.append(each)
            if each["kind"] == "Deployment":
                each["metadata"]["generation"] = 1
                self._start(each)

    def digests(self, name: str) -> list[str]:
        """What the pods of a Deployment report."""
        return [
            pod["status"]["containerStatuses"][0]["imageID"].rpartition("@")[2]
            for pod in self.objects
            if pod["kind"] == "Pod" and pod["metadata"]["labels"]["app"] == name
        ]

    def image(self, name: str) -> str:
        """The image in the template of a Deployment."""
        image: str = self._deployment(name)["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def __call__(self, request: Request) -> tuple[int, Any]:
        """Answer a request of a client."""
        if request.verb != "PATCH":
            return holding(self)(request)
        name = request.path.rpartition("/")[2]
        before = copy.deepcopy(self.objects)
        try:
            deployment = self._deployment(name)
        except StopIteration:
            return status(404, "NotFound", f'deployments.apps "{name}" not found')
        deployment["metadata"].setdefault("annotations", {}).update(request.body["metadata"].get("annotations", {}))
        self._patch(deployment, request.body["spec"]["template"])
        answer = copy.deepcopy(deployment)
        if "dryRun" in request.query:
            self.objects = before
        else:
            self.patched.append(name)
        return 200, answer

    def _deployment(self, name: str) -> Any:
        return next(each for each in self.objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", name))

    def _patch(self, deployment: Any, changes: dict[str, Any]) -> None:
        template = deployment["spec"]["template"]
        annotations = template["metadata"].setdefault("annotations", {})
        annotations.update(changes.get("metadata", {}).get("annotations", {}))
        template["metadata"]["annotations"] = {name: text for name, text in annotations.items() if text is not None}
        for change in changes.get("spec", {}).get("containers", ()):
            for container in template["spec"]["containers"]:
                if container["name"] == change["name"]:
                    container.update(change)
        deployment["metadata"]["generation"] += 1
        self._start(deployment)

    def _start(self, deployment: Any) -> None:
        name, generation = deployment["metadata"]["name"], deployment["metadata"]["generation"]
        template = copy.deepcopy(deployment["spec"]["template"])
        container = template["spec"]["containers"][0]
        digest = self.resolve(container["image"])
        ready = self.healthy in (None, digest)
        state = {} if ready else {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}
        image = f"{container['image'].partition('@')[0].rpartition(':')[0]}@{digest}"
        old = [each for each in self.objects if each["kind"] == "Pod" and each["metadata"]["labels"]["app"] == name]
        self.objects = [each for each in self.objects if each not in old]
        kept = [] if ready else [each for each in old if each["status"]["containerStatuses"][0]["ready"]]
        pod = {
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{name}-{generation}-x",
                "uid": f"uid-{name}-{generation}",
                "namespace": self.namespace,
                "labels": {**template["metadata"]["labels"], "pod-template-hash": str(generation)},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-{generation}", "controller": True}
                ],
            },
            "spec": {**template["spec"], "nodeName": "node-1"},
            "status": {
                "phase": "Running",
                "containerStatuses": [{"name": container["name"], "ready": ready, "imageID": image, **state}],
            },
        }
        self.objects += [*kept, pod]
        deployment["status"] = {
            "observedGeneration": generation,
            "replicas": len(kept) + 1,
            "updatedReplicas": 1,
            "availableReplicas": len(kept) + ready,
        }
