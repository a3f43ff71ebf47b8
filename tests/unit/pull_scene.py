# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captured pods that cannot pull, to be changed at will, with the registry in memory that they should pull from."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import re
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster

PULLS = json.loads((Path(__file__).parent / "captured_pulls.json").read_text(encoding="utf-8"))
# What crane printed, by scenario.
CRANE: dict[str, str] = {
    output["scenario"]: output["stderr"]
    for output in reversed(json.loads((Path(__file__).parent / "captured.json").read_text(encoding="utf-8"))["outputs"])
    if "crane 0.22.1" in output["tools"]
}
NOW = 1795489470.0  # 2026-11-24T03:04:30Z, when the pods were captured
REGISTRY = "127.0.0.1:5000"
NAMESPACE = "openclaw"
CONFIG = "kubernetes.io/dockerconfigjson"


def secret(
    name: str, entries: t.Any, kind: str = CONFIG, field: str = ".dockerconfigjson", **more: t.Any
) -> dict[str, t.Any]:
    """A Secret with entries for registries, or with a text in place of their document."""
    document = entries if field == ".dockercfg" else {"auths": entries}
    text = entries if isinstance(entries, str) else json.dumps(document)
    data = {field: base64.b64encode(text.encode()).decode()}
    return {"kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "type": kind, "data": data, **more}


def entry(username: str = "reader", password: str = "pull-s3cret") -> dict[str, str]:
    """An entry of a Secret."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def service_account(name: str = "default", *secrets: str) -> dict[str, t.Any]:
    """A ServiceAccount that names pull secrets."""
    named = {"imagePullSecrets": [{"name": each} for each in secrets]} if secrets else {}
    metadata = {"name": name, "namespace": NAMESPACE, "resourceVersion": "7"}
    return {"kind": "ServiceAccount", "metadata": metadata, **named}


def node(name: str = "127.0.0.1", architecture: str = "amd64") -> dict[str, t.Any]:
    """A Node."""
    information = {"operatingSystem": "linux", "architecture": architecture}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"nodeInfo": information}}


def usual_secrets() -> dict[str, dict[str, t.Any]]:
    """The pull secrets that the captured pods name; `nowhere` does not exist."""
    found = [
        secret("zot-pull-secret", {REGISTRY: entry()}),
        secret("wrong", {REGISTRY: entry(password="wr0ng-s3cret")}),
        secret("otherhost", {"other.example:5000": entry()}),
        secret("opaque", {REGISTRY: entry()}, kind="Opaque"),
        secret("notbase64", {REGISTRY: {"auth": "%%%"}}),
    ]
    return {each["metadata"]["name"]: each for each in found}


@dataclass
class Scene:
    """A cluster with the pods of some captured Deployments, and the objects around them."""

    pods: list[dict[str, t.Any]]
    events: list[dict[str, t.Any]]
    secrets: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=usual_secrets)
    service_accounts: list[Object] = dataclasses.field(default_factory=lambda: [service_account()])
    nodes: list[Object] = dataclasses.field(default_factory=lambda: [node()])
    refused: set[str] = dataclasses.field(default_factory=set)

    @classmethod
    def of(cls, *apps: str, moment: str = "early") -> Scene:
        """The pods of these Deployments, or of all."""
        pods = [each for each in PULLS[moment]["pods"] if not apps or each["metadata"]["labels"]["app"] in apps]
        uids = {pod["metadata"]["uid"] for pod in pods}
        events = [each for each in PULLS[moment]["events"] if each["involvedObject"]["uid"] in uids]
        return cls(copy.deepcopy(pods), copy.deepcopy(events))

    @property
    def pod(self) -> dict[str, t.Any]:
        """The first pod."""
        return self.pods[0]

    @property
    def waiting(self) -> dict[str, t.Any]:
        """The waiting state of the first pod's only container."""
        found: dict[str, t.Any] = self.pod["status"]["containerStatuses"][0]["state"]["waiting"]
        return found

    def replace(self, old: str, new: str) -> Scene:
        """Replace a text wherever it occurs in the pods and events."""
        self.pods = json.loads(json.dumps(self.pods).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
        self.events = json.loads(json.dumps(self.events).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
        return self

    def message(self, text: str) -> Scene:
        """Let kubelet give another reason, in every pod and in no event."""
        for pod in self.pods:
            for status in pod["status"]["containerStatuses"]:
                status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": text}}
        self.events = []
        return self

    def owner(self, kind: str, name: str) -> Scene:
        """Let something else control the pods."""
        for pod in self.pods:
            owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}
            pod["metadata"]["ownerReferences"] = [owner]
        return self

    def naming(self, *secrets: str) -> Scene:
        """Let the pods name these pull secrets."""
        for pod in self.pods:
            pod["spec"]["imagePullSecrets"] = [{"name": each} for each in secrets]
        return self

    def copies(self, *names: str) -> Scene:
        """As many pods as names, all like the first."""
        first = self.pod
        self.pods = [copy.deepcopy(first) for _name in names]
        for pod, name in zip(self.pods, names):
            pod["metadata"]["name"] = name
        return self

    def cluster(self) -> FakeCluster:
        """The cluster."""
        return FakeCluster(
            *({"kind": "Pod", **pod} for pod in self.pods),
            *(
                {"kind": "Event", "metadata": {"name": str(number), "namespace": NAMESPACE}, **event}
                for number, event in enumerate(self.events)
            ),
            *self.secrets.values(),
            *self.service_accounts,
            *self.nodes,
            refused=self.refused,
        )


class Accounts:
    """Lets the registry in memory answer some accounts with an error: by password, a scenario of captured.json."""

    def __init__(self, registry: t.Any) -> None:
        self.refused: dict[str, str] = {}
        self.requests: set[tuple[str, str]] = set()  # password and repository
        self._registry = registry

    def run(
        self, command: t.Sequence[str], environment: t.Mapping[str, str], largest: int
    ) -> subprocess.CompletedProcess[bytes]:
        """In place of the tools."""
        config = json.loads(Path(environment["DOCKER_CONFIG"], "config.json").read_text(encoding="utf-8"))
        entries = [base64.b64decode(each["auth"]).decode() for each in config["auths"].values()]
        password = entries[0].partition(":")[2] if entries else ""
        self.requests.add((password, re.split("[:@]", command[-1].partition("/")[2])[0]))
        scenario = self.refused.get(password) or self.refused.get("*")
        if scenario:
            return subprocess.CompletedProcess(command, 1, b"", CRANE[scenario].encode())
        return self._registry.run(command, environment, largest)  # type: ignore[no-any-return]
