# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases and rollbacks in a row, next to workloads that are none of their business."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from cluster.support import Kubectl, Site, cronjob, pods, pull_secret, ready, report, stats, workload
from integration.support import recap

from environment.images import relabelled

A, B, C, D = "a000001", "b000002", "c000003", "d000004"
RECORD = "killinit.zot/release"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


class Shop:
    """The repository `web` with four revisions, and the namespace of the test."""

    def __init__(self, site: Site) -> None:
        self.site, self.kubectl = site, site.kubectl
        self.web = f"{site.registry.host}/{site.repository}/web"
        self.db = f"{site.registry.host}/{site.repository}/db"
        self.archives = {tag: self.archive(tag) for tag in (A, B, C, D)}
        self.digests: dict[str, str] = {}
        site.kubectl.apply(pull_secret(site.registry, site.registry.reader))

    def archive(self, name: str) -> str:
        path = self.site.directory / f"{name}.tar"
        relabelled(self.site.images["buildah-amd64"], path)
        return str(path)

    def push(self, name: str, archive: str, *tags: str) -> str:
        result = self.site.module(
            "zot_push", archive=archive, repository=f"{self.site.repository}/{name}", tags=list(tags)
        )
        assert not result["failed"], result
        return str(result["image"]["digest"])

    def variables(self, **more: Any) -> dict[str, Any]:
        images = [{"repository": f"{self.site.repository}/web"}]
        return {"zot_namespace": self.kubectl.namespace, "zot_publish_images": images, **more}

    def release(self, revision: str, *options: str, **more: Any) -> CompletedProcess[str]:
        images = [{"repository": f"{self.site.repository}/web", "archive": self.archives[revision]}]
        given = {"zot_publish_images": images, "zot_publish_revision": revision, **more}
        done = self.site.playbook("killinit.zot.release", *options, **self.variables(**given))
        self.digests[revision] = self.site.module("zot_image_info", images=[f"{self.web}:{revision}"])["images"][0][
            "digest"
        ]
        return done

    def start_release(self, revision: str) -> subprocess.Popen[str]:
        """Start a release, to disturb it."""
        images = [{"repository": f"{self.site.repository}/web", "archive": self.archives[revision]}]
        path = self.site.directory / "disturbed.json"
        path.write_text(json.dumps(self.variables(zot_publish_images=images, zot_publish_revision=revision)))
        return subprocess.Popen(
            ["ansible-playbook", "killinit.zot.release", "--extra-vars", f"@{path}"],
            env=self.site.environment,
            cwd=self.site.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def has_record(self, revision: str, names: tuple[str, ...]) -> bool:
        """Whether a Deployment has the record of the revision."""
        found = self.kubectl.get(*(f"deployment/{name}" for name in names))["items"]
        return any(f'"revision": "{revision}"' in each["metadata"]["annotations"].get(RECORD, "") for each in found)

    def rollback(self, *options: str, **more: Any) -> CompletedProcess[str]:
        return self.site.playbook("killinit.zot.rollback", *options, **self.variables(**more))

    def runs(self, *names: str) -> dict[str, set[str]]:
        """The revisions that the pods of workloads run."""
        revisions = {digest: tag for tag, digest in self.digests.items()}
        found = {name: set(pods(self.kubectl, name).values()) for name in names}
        return {name: {revisions.get(each, each) for each in digests} for name, digests in found.items()}

    def image(self, kind: str, name: str) -> str:
        spec = self.kubectl.get(kind, name)["spec"]
        template = spec["jobTemplate"]["spec"]["template"] if kind == "cronjob" else spec["template"]
        image: str = template["spec"]["containers"][0]["image"]
        return image

    def objects(self) -> dict[str, Any]:
        """The workloads of the namespace as whole objects."""
        found = self.kubectl.get("deployments,statefulsets,daemonsets,cronjobs")["items"]
        return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


@pytest.fixture
def shop(site: Site) -> Shop:
    return Shop(site)


def test_a_rollback_touches_nothing_else(shop: Shop, tmp_path: Path) -> None:
    """Two releases, a rollback from another machine while another cluster is down, a second rollback, a release.

    Each kind of workload follows the release. Around them is everything that must stay as it is.
    """
    site, kubectl = shop.site, shop.kubectl
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest", "stable")
    database = shop.push("db", shop.archive("db-1"), "latest", "v1", "v0")
    latest, old = f"{shop.web}:latest", f"{shop.web}:{A}"
    ours = {"labels": {"tier": "web"}}
    followers = ("web", "cached", "setup", "stateful", "daemon")
    template = workload(old)["spec"]["template"]["spec"]
    kubectl.apply(
        workload(latest, name="web", volume=latest, **ours),
        workload(latest, name="cached", policy="IfNotPresent", **ours),
        workload(
            latest,
            name="setup",
            pod={"initContainers": [{"name": "init", "image": latest, "restartPolicy": "Always"}]},
            **ours,
        ),
        workload(old, kind="StatefulSet", name="stateful", **ours),
        workload(latest, kind="DaemonSet", name="daemon", **ours),
        {**cronjob("nightly", template), "metadata": {"name": "nightly", "labels": {"tier": "web"}}},
        workload(old, name="legacy"),
        cronjob("oldjob", template),
        workload(f"{shop.db}:latest", name="db"),
        workload(f"{shop.db}:v1@{database}", name="cache"),
        workload(f"{shop.web}:stable", name="stable"),
        workload(f"{shop.web}:stable@{shop.digests[A]}", name="pinned"),
        workload(old, name="paused", spec={"paused": True, "replicas": 0}),
        workload(old, name="argo", labels={"argocd.argoproj.io/instance": "app"}),
        workload(old, name="zero", replicas=0),
    )  # fmt: skip
    ready(kubectl, *(f"deployment/{name}" for name in ("web", "cached", "setup", "legacy", "db", "cache", "stable")))
    ready(kubectl, "statefulset/stateful", "daemonset/daemon", "deployment/argo", "deployment/pinned")

    selected = {"zot_rollout_label_selectors": ["tier=web"]}
    for revision in (B, C):
        done = report(shop.release(revision, zot_release_set_image=True, **selected))
        assert (done["ok"], shop.runs(*followers)) == (True, {name: {revision} for name in followers})
    assert shop.image("cronjob", "nightly") == f"{shop.web}:{C}"

    # Somebody else pushes to the tags of the others.
    shop.push("db", shop.archive("db-2"), "latest", "v1")
    shop.push("web", shop.archives[D], "stable")
    mine = {"Deployment/web", "Deployment/cached", "Deployment/setup", "StatefulSet/stateful", "DaemonSet/daemon"}
    mine |= {"CronJob/nightly"}
    before = shop.objects()
    down = yaml.safe_load(site.cluster.kubeconfig.read_text(encoding="utf-8"))
    for each in down["clusters"]:
        each["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "down.kubeconfig").write_text(json.dumps(down))
    hosts = {"main": LOCAL, "down": {**LOCAL, "zot_kubeconfig": str(tmp_path / "down.kubeconfig")}}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    site.environment["HOME"] = str(tmp_path)
    several = (f"--inventory={tmp_path / 'inventory.json'}",)

    planned = report(shop.rollback("--check", "--diff"), "zot_rollback_report")
    assert shop.objects() == before
    failed = shop.rollback(*several, zot_clusters=["main", "down"])
    assert failed.returncode == 2
    found = stats(failed, "zot_rollback_report")
    assert f"latest: {C} → {B}" in found["summary"][0]
    results = {each["name"]: each for each in found["clusters"]}
    assert (results["main"]["ok"], results["down"]["ok"]) == (True, False)
    assert "127.0.0.1" in results["down"]["problem"]
    assert sorted(planned["clusters"][0]["rollout"]["restarted"]) == sorted(results["main"]["rollout"]["restarted"])
    assert sorted(results["main"]["rollout"]["restarted"]) == sorted(name.lower() for name in mine)
    assert shop.runs(*followers) == {name: {B} for name in followers}
    assert {name: each for name, each in shop.objects().items() if name not in mine} == {
        name: each for name, each in before.items() if name not in mine
    }
    assert (shop.image("statefulset", "stateful"), shop.image("cronjob", "nightly")) == (f"{shop.web}:{B}",) * 2
    assert (shop.image("deployment", "web"), shop.image("deployment", "cached")) == (
        latest,
        f"{latest}@{shop.digests[B]}",
    )

    again = shop.rollback()
    assert (recap(again)["changed"], report(again, "zot_rollback_report")["ok"]) == (0, True)
    assert f"latest: stays at {B}" in again.stdout
    # The next release replaces the digest that the rollback has set. Nobody has allowed it to set other images.
    selected["zot_rollout_workloads"] = ["deployment/cached", "deployment/web"]
    assert report(shop.release(D, **selected))["ok"]
    assert shop.runs("web", "cached") == {"web": {D}, "cached": {D}}
    assert shop.image("deployment", "cached") == f"{latest}@{shop.digests[D]}"


@contextlib.contextmanager
def refusing(kubectl: Kubectl, name: str) -> Iterator[None]:
    """An admission policy that refuses each change of the image or the annotations of one Deployment."""
    policy = f"refuse-{kubectl.namespace}"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    # The controller writes its annotation deployment.kubernetes.io/revision.
    is_ours = f"object.metadata.name != '{name}' || !('{RECORD}' in object.metadata.annotations)"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": is_ours, "message": "changes are frozen"}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}}
    binding = {
        "policyName": policy,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    group, metadata = "admissionregistration.k8s.io/v1", {"name": policy}
    kubectl.apply(
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata, "spec": binding},
    )
    try:
        # The API server reads new policies a moment later.
        deadline = time.monotonic() + 60
        probe = ["annotate", f"deployment/{name}", f"{RECORD}=probe", "--overwrite", "--dry-run=server"]
        with contextlib.suppress(AssertionError):
            while time.monotonic() < deadline:
                kubectl(*probe)
                time.sleep(0.5)
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            kubectl("delete", kind, policy)


def test_what_ends_half_way(shop: Shop) -> None:
    """A patch that is refused, a DaemonSet with OnDelete, and a release that is killed after its first patch."""
    kubectl = shop.kubectl
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest")
    latest = f"{shop.web}:latest"
    names = ("one", "three", "two")
    kubectl.apply(
        *(workload(latest, name=name) for name in names),
        workload(f"{shop.web}:{A}", name="zero", replicas=0),
        workload(f"{shop.web}:{A}", kind="DaemonSet", name="agent", spec={"updateStrategy": {"type": "OnDelete"}}),
    )
    ready(kubectl, *(f"deployment/{name}" for name in names))
    kubectl("wait", "pod", "--selector=app=agent", "--for=condition=Ready", "--timeout=60s")

    with refusing(kubectl, "two"):
        for options in (["--check"], []):
            failed = shop.release(B, *options, zot_release_set_image=True)
            assert failed.returncode == 2
            (refusal, agent) = stats(failed)["problems"]
            assert refusal.startswith("deployment/two: the patch failed: ")
            assert "changes are frozen" in refusal
            assert agent.startswith("daemonset/agent: container app")
            assert "its update strategy is OnDelete: delete its pods" in agent
    assert stats(failed)["verified"] == ["deployment/one", "deployment/three", "deployment/zero"]
    assert shop.runs(*names, "agent") == {"one": {B}, "three": {B}, "two": {A}, "agent": {A}}
    assert shop.image("deployment", "zero") == f"{shop.web}:{B}"
    # The remedy: the command of the next run, which changes no template again, and then all is green.
    failed = shop.release(B)
    (agent,) = stats(failed)["problems"]
    assert recap(failed)["changed"] == 1
    kubectl(*agent.rpartition("kubectl ")[2].split()[1:])
    kubectl("wait", "pod", "--selector=app=agent", "--for=condition=Ready", "--timeout=60s")
    done = report(shop.release(B))
    assert (done["restarted"], shop.runs(*names, "agent")) == ([], {name: {B} for name in (*names, "agent")})
    assert any("deployment/zero: container app: the workload has no replicas" in text for text in done["unverified"])

    # The same after a rollback: the template is restored, and the remedy leads to green.
    failed = shop.rollback()
    assert failed.returncode == 2
    ((agent,),) = [each["rollout"]["problems"] for each in stats(failed, "zot_rollback_report")["clusters"]]
    assert (shop.image("daemonset", "agent"), shop.runs(*names, "agent")) == (
        f"{shop.web}:{A}",
        {"one": {A}, "three": {A}, "two": {A}, "agent": {B}},
    )
    assert recap(shop.rollback())["changed"] == 0
    kubectl(*agent.rpartition("kubectl ")[2].split()[1:])
    kubectl("wait", "pod", "--selector=app=agent", "--for=condition=Ready", "--timeout=60s")
    done = report(shop.site.playbook("killinit.zot.restart", zot_namespace=kubectl.namespace))
    assert (done["restarted"], shop.runs("agent")) == ([], {"agent": {A}})

    kill_after_first_patch(shop, C, names)
    records = {name: json.loads(kubectl.get("deployment", name)["metadata"]["annotations"][RECORD]) for name in names}
    assert sorted(each["revision"] for each in records.values()) != [C, C, C]
    kubectl("delete", "daemonset/agent")
    assert report(shop.rollback(), "zot_rollback_report")["ok"]
    assert shop.runs(*names) == {name: {A} for name in names}
    for name in (each for each, record in records.items() if record["revision"] != C):
        assert json.loads(kubectl.get("deployment", name)["metadata"]["annotations"][RECORD]) == records[name]


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have started."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = children.get(pid, [])
    return [*found, *(each for child in found for each in descendants(child))]


def kill_after_first_patch(shop: Shop, revision: str, names: tuple[str, ...]) -> None:
    """Start a release, and end it with SIGKILL when the first Deployment has the record of the revision."""
    process = shop.start_release(revision)
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline and not shop.has_record(revision, names):
            time.sleep(0.1)
        assert process.poll() is None, "the release has ended before it was killed"
    finally:
        # The worker of Ansible that patches is in a session of its own, and would go on.
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
    shop.digests[revision] = shop.site.module("zot_image_info", images=[f"{shop.web}:{revision}"])["images"][0][
        "digest"
    ]
