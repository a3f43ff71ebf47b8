# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubectl in a namespace, objects for it, and accounts with the least rights."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import kubernetes
import yaml
from integration.support import Module, Playbook, tar_of

from environment.cluster import Cluster
from environment.images import Images, relabelled
from environment.registry import Account, Registry

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Kubectl:
    """Run kubectl as an administrator in one namespace: kubectl("rollout", "status", …)."""

    cluster: Cluster
    namespace: str

    def __call__(self, *arguments: str, given: Any = None) -> str:
        """What it prints; *given* goes to its input as JSON."""
        program = [str(self.cluster.kubectl), f"--kubeconfig={self.cluster.kubeconfig}"]
        command = [*program, f"--namespace={self.namespace}", *arguments]
        text = None if given is None else json.dumps(given)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object, or a list of them."""
        found: dict[str, Any] = json.loads(self("get", *arguments, "--output=json"))
        return found

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create objects, or change them."""
        self("apply", "--filename=-", given={"apiVersion": "v1", "kind": "List", "items": objects})


@dataclass(frozen=True)
class Site:
    """A namespace of a cluster, a registry, and ways to run the collection for both."""

    registry: Registry
    repository: str
    images: Images
    module: Module
    environment: dict[str, str]
    playbook: Playbook
    kubectl: Kubectl
    cluster: Cluster
    directory: Path

    def push(self, archive: str, name: str = "app", *, own: bool = False) -> str:
        """Push an archive to a repository of this test, tag latest; returns the reference.

        With *own* it is an image that this node has under no other name: one of that name in this test is the same.
        """
        path = self.directory / f"{archive}.tar" if own else self.images[archive]
        if own and not path.exists():
            relabelled(self.images[archive], path)
        result = self.module("zot_push", archive=str(path), repository=f"{self.repository}/{name}", tags=["latest"])
        assert not result["failed"], result
        return str(result["image"]["reference"])

    def deploy(self, name: str, image: str, **changes: Any) -> None:
        """Create a workload."""
        self.kubectl.apply(workload(image, name=name, **changes))


def auth(username: str, password: str) -> str:
    """The field auth of an entry."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def secret(
    name: str, content: Any, *, kind: str = "kubernetes.io/dockerconfigjson", key: str = ".dockerconfigjson"
) -> dict[str, Any]:
    """A Secret; *content* is written as JSON if it is no text."""
    text = content if isinstance(content, str) else json.dumps(content)
    data = {key: base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}


def pull_secret(registry: Registry, account: Account, name: str = "zot-pull-secret") -> dict[str, Any]:
    """The pull secret of an account for the registry."""
    return secret(name, {"auths": {registry.host: {"auth": auth(account.username, account.password)}}})


def role_of(role: str, name: str | None = None, kind: str = "Role") -> dict[str, Any]:
    """The Role, or the ClusterRole, in the README of a role; *name* says which, if there are several."""
    text = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        document = yaml.safe_load(block)
        if isinstance(document, dict) and document.get("kind") == kind and name in (None, document["metadata"]["name"]):
            return document
    raise LookupError(f"the README of {role} has no {kind} {name or ''}")


def restricted(
    kubectl: Kubectl,
    cluster: Cluster,
    role: str,
    directory: Path,
    *,
    name: str | None = None,
    without: Collection[tuple[str, str]] = (),
) -> Path:
    """A kubeconfig of the service account `least`, which has the Role `least` out of a README, and nothing more.

    *without* leaves rights out, each as (verb, resource). Called again it gives `least` other rights.
    """
    kubectl.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "least"}})
    # A role of the whole cluster, zot_prune, needs none in a namespace.
    with contextlib.suppress(LookupError):
        _grant(kubectl, role_of(role, name), "least", without)
    with contextlib.suppress(LookupError):
        _grant(kubectl, role_of(role, kind="ClusterRole"), f"least-{kubectl.namespace}", without)
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": kubectl("create", "token", "least").strip()}
    path = directory / "least.kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def _grant(kubectl: Kubectl, role: dict[str, Any], name: str, without: Collection[tuple[str, str]]) -> None:
    """Give `least` the rights of a Role or a ClusterRole under another name."""
    group, kind, metadata = "rbac.authorization.k8s.io", role["kind"], {"name": name}
    single = [
        {**rule, "resources": [resource], "verbs": [verb]}
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if (verb, resource) not in without
    ]
    kubectl.apply(
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "rules": single},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "subjects": [{"kind": "ServiceAccount", "name": "least", "namespace": kubectl.namespace}],
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
        },
    )


def workload(image: str, *, kind: str = "Deployment", name: str = "openclaw", **changes: Any) -> dict[str, Any]:
    """A workload of one container. *changes*: replicas, policy, volume, secret, labels, spec, pod, container."""
    labels = {"app": name, **changes.get("labels", {})}
    container = {"name": "app", "image": image, "imagePullPolicy": changes.get("policy", "Always")}
    pod: dict[str, Any] = {
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 1,
        "imagePullSecrets": [{"name": each} for each in [changes.get("secret", "zot-pull-secret")] if each],
        "containers": [container | changes.get("container", {})],
        **changes.get("pod", {}),
    }
    if "volume" in changes:
        pod["volumes"] = [{"name": "workspace", "image": {"reference": changes["volume"], "pullPolicy": "Always"}}]
        pod["containers"][0]["volumeMounts"] = [{"name": "workspace", "mountPath": "/workspace"}]
    specification: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
        **({} if kind == "DaemonSet" else {"replicas": changes.get("replicas", 1)}),
        **changes.get("spec", {}),
    }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": specification}


def cronjob(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    """A CronJob that is suspended."""
    template = {"spec": {**pod, "restartPolicy": "Never"}}
    spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": template}}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


def crashing(archive: Path, target: Path) -> Path:
    """A copy of a docker archive whose program does not exist, so that no container starts."""
    with tarfile.open(archive) as tar:
        files = {each.name: tar.extractfile(each).read() for each in tar.getmembers() if each.isfile()}  # type: ignore[union-attr]
    (entry,) = json.loads(files["manifest.json"])
    config = json.loads(files.pop(entry["Config"]))
    content = json.dumps({**config, "config": {**config["config"], "Entrypoint": ["/missing"]}}).encode()
    entry["Config"] = f"{hashlib.sha256(content).hexdigest()}.json"
    files |= {entry["Config"]: content, "manifest.json": json.dumps([entry]).encode()}
    target.write_bytes(tar_of(files))
    return target


def create_workloads(kubectl: Kubectl, digests: dict[str, str], *, workloads: int, pods: int, stale: str = "") -> None:
    """Create the Deployments app-0, app-1, … with *pods* pods each, which use the images of *digests* in turn.

    Every pod reports its image, and the pods of *stale* another image. No node runs the pods, since they are gated.
    """
    gates = {"schedulingGates": [{"name": "test.zot/never"}]}
    names = list(digests)
    objects = [
        workload(names[number % len(names)], name=f"app-{number}", replicas=pods, pod=gates)
        for number in range(workloads)
    ]
    kubectl.apply(*objects)
    made = [f"deployment/app-{number}" for number in range(workloads)]
    kubectl("wait", *made, f"--for=jsonpath={{.status.replicas}}={pods}", "--timeout=120s")
    with kubernetes.config.new_client_from_config(str(kubectl.cluster.kubeconfig)) as client:
        api = kubernetes.client.CoreV1Api(client)

        def patch(pod: Any) -> None:
            image = pod.spec.containers[0].image
            running = f"sha256:{'0' * 64}" if pod.metadata.labels["app"] == stale else digests[image]
            status = {"name": "app", "image": image, "imageID": f"{image.rpartition(':')[0]}@{running}"}
            status |= {"ready": True, "restartCount": 0}
            # Without it the Deployment is never available.
            ready = {"type": "Ready", "status": "True"}
            body = {"status": {"containerStatuses": [status], "conditions": [ready]}}
            api.patch_namespaced_pod_status(pod.metadata.name, kubectl.namespace, body)

        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(patch, api.list_namespaced_pod(kubectl.namespace).items))


def delete_namespaces(cluster: Cluster, names: Collection[str]) -> None:
    """Delete the many namespaces of one test, unless the cluster ends with the tests: a deletion takes it 0.2 s."""
    if cluster.directory is None:
        Kubectl(cluster, "default")("delete", "namespace", "--wait=false", *names)


def ready(kubectl: Kubectl, *names: str) -> None:
    """Wait until workloads are rolled out."""
    for name in names:
        kubectl("rollout", "status", name, "--timeout=60s")


def pods(kubectl: Kubectl, app: str = "openclaw", *, label: str = "app") -> dict[str, str]:
    """The uid of each pod of an application, and the digest that its container reports: none, if the pod is new."""
    found = kubectl.get("pods", f"--selector={label}={app}")["items"]
    new = [{"imageID": ""}]
    return {
        pod["metadata"]["uid"]: pod["status"].get("containerStatuses", new)[0]["imageID"].rpartition("@")[2]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
    }


def stats(run: CompletedProcess[str], name: str = "zot_rollout_report") -> dict[str, Any]:
    """The report of a role, which the playbook passed on with set_stats, also if it failed."""
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    passed_on: dict[str, Any] = json.loads(found[1])[name]
    return passed_on


def report(run: CompletedProcess[str], name: str = "zot_rollout_report") -> dict[str, Any]:
    """The report of a role that succeeded."""
    assert run.returncode == 0, run.stdout + run.stderr
    return stats(run, name)
