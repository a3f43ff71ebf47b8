# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole runbook in one command: `ansible-playbook killinit.zot.release`."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from cluster.support import Kubectl, Site, crashing, cronjob, pods, pull_secret, ready, report, stats, workload
from integration.support import recap
from reliability.support import wait_until

from environment.cluster import Cluster

# By what Ansible calls them: see noxfile.py.
SURROUNDINGS: dict[str, dict[str, str]] = json.loads(os.environ.get("ZOT_TEST_SURROUNDINGS", "{}"))


def versions(environment: dict[str, str]) -> str:
    """Which ansible-core and which kubernetes.core there are."""
    output = ""
    for command in (["ansible", "--version"], ["ansible-galaxy", "collection", "list", "kubernetes.core"]):
        output += subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return " ".join(output.split())


@pytest.fixture
def release(site: Site) -> Callable[..., CompletedProcess[str]]:
    """Release a revision, with that archive for amd64: release("r1", "buildah-amd64", "--check").

    With *first* before the namespace has a workload.
    """
    images, repository, kubectl, playbook = site.images, site.repository, site.kubectl, site.playbook

    def run(revision: str, amd64: str, *options: str, first: bool = False, **more: Any) -> CompletedProcess[str]:
        if first:
            more |= {"zot_pull_secret_images": [f"{repository}/openclaw:latest"], "zot_rollout_allow_empty": True}
        archives = {"amd64": str(images[amd64]), "arm64": str(images["buildah-arm64"])}
        published = [{"repository": f"{repository}/openclaw", "archives": archives}]
        more |= {"zot_namespace": kubectl.namespace, "zot_publish_revision": revision}
        return playbook("killinit.zot.release", *options, zot_publish_images=published, **more)

    return run


def push_first(site: Site, revision: str) -> None:
    """Publish what the workloads run before the release of a test."""
    archives = {name: str(site.images[f"buildah-{name}"]) for name in ("amd64", "arm64")}
    images = [{"repository": f"{site.repository}/openclaw", "archives": archives}]
    pushed = site.module("zot_publish", revision=revision, images=images)
    assert not pushed["failed"], pushed


@pytest.mark.parametrize("surroundings", ["", *SURROUNDINGS])
def test_release(site: Site, surroundings: str, release: Callable[..., CompletedProcess[str]]) -> None:
    """Publish, verify, restart and verify the digests; check mode predicts it, and the second run changes nothing.

    The session `cluster` runs in New York, and the annotation of the restart is in UTC.
    """
    registry, repository, kubectl, environment = site.registry, site.repository, site.kubectl, site.environment
    module = site.module
    environment |= SURROUNDINGS.get(surroundings, {})
    assert surroundings in versions(environment)

    latest = f"{registry.host}/{repository}/openclaw:latest"
    kubectl.apply(pull_secret(registry, registry.reader))
    push_first(site, "r1")
    kubectl.apply(workload(latest, replicas=2))
    ready(kubectl, "deployment/openclaw")
    before = pods(kubectl)

    planned = release("r2", "changed-layer", "--check")
    assert pods(kubectl) == before
    began = datetime.now(timezone.utc).replace(microsecond=0)
    done = release("r2", "changed-layer")
    template = kubectl.get("deployment", "openclaw")["spec"]["template"]["metadata"]["annotations"]
    restarted = datetime.fromisoformat(template["kubectl.kubernetes.io/restartedAt"].replace("Z", "+00:00"))
    assert began <= restarted <= datetime.now(timezone.utc)
    after = pods(kubectl)
    again = release("r2", "changed-layer")

    assert [recap(run)["changed"] for run in (planned, done, again)] == [2, 2, 0]
    for run in (planned, done):
        assert report(run)["restarted"] == ["deployment/openclaw"]
    written = [sorted(report(run, "zot_publish_report")["written"]) for run in (planned, done)]
    assert written[0] == written[1]
    assert report(done, "zot_pull_secret_report")["ok"] is True
    assert pods(kubectl) == after
    assert not after.keys() & before.keys()
    described = module("zot_image_info", images=[latest])["images"][0]
    assert set(after.values()) <= {described["digest"], *(entry["digest"] for entry in described["manifests"])}
    assert report(done)["verified"] == ["deployment/openclaw"]


def test_restarts_are_planned_after_the_repair(site: Site, release: Callable[..., CompletedProcess[str]]) -> None:
    """A pod that waits to pull with a wrong secret is started again once the secret is repaired."""
    registry, repository, kubectl = site.registry, site.repository, site.kubectl
    push_first(site, "r1")
    kubectl.apply(pull_secret(registry, replace(registry.reader, password="wrong")))
    kubectl.apply(workload(f"{registry.host}/{repository}/openclaw:latest"))
    wait_until(lambda: "ImagePullBackOff" in kubectl("get", "pods"), "the pull fails", 60)
    reader = registry.reader
    account = {"zot_pull_secret_username": reader.username, "zot_pull_secret_password": reader.password}
    done = release("r1", "buildah-amd64", zot_pull_secret_repair=True, **account)
    assert report(done)["verified"] == ["deployment/openclaw"]


def test_workloads_that_name_another_revision(site: Site, release: Callable[..., CompletedProcess[str]]) -> None:
    """The release fails. zot_release_set_image sets their images, and with force those that Argo CD manages."""
    registry, repository, kubectl, module = site.registry, site.repository, site.kubectl, site.module
    image = f"{registry.host}/{repository}/openclaw"
    old, new = f"{image}:0a1b2c3", f"{image}:4d5e6f7"
    kubectl.apply(pull_secret(registry, registry.reader))
    first = release("0a1b2c3", "buildah-amd64", first=True)
    assert ["no selected workload uses" in text for text in report(first)["unverified"]] == [True]
    argo = workload(old, name="argo", labels={"argocd.argoproj.io/instance": "app"})
    job = cronjob("nightly", workload(old)["spec"]["template"]["spec"])
    # A workload that runs the release does not hide those that do not.
    kubectl.apply(workload(old, volume=old), argo, job, workload(f"{image}:latest", name="front"))
    ready(kubectl, "deployment/openclaw", "deployment/argo", "deployment/front")

    refused = release("4d5e6f7", "changed-layer")
    assert refused.returncode == 2
    output = refused.stdout + refused.stderr
    assert stats(refused)["verified"] == ["deployment/front"]
    for name in ("openclaw: container app", "image volume workspace", "nightly: container app"):
        assert f"{name} names {old}, but {new} was released; " in output
    assert "set its image, let zot_release_set_image or zot_rollout_set_image set it, or leave the workload" in output
    template = kubectl.get("deployment", "openclaw")["spec"]["template"]["spec"]
    assert (template["containers"][0]["image"], template["volumes"][0]["image"]["reference"]) == (old, old)

    planned = release("4d5e6f7", "changed-layer", "--check", "--diff", zot_release_set_image="force")
    done = release("4d5e6f7", "changed-layer", zot_release_set_image=True)
    forced, again = (release("4d5e6f7", "changed-layer", zot_release_set_image="force") for _number in range(2))
    assert [recap(run)["changed"] for run in (planned, done, forced, again)] == [1, 1, 1, 0]
    change = f"container app: {old} -> {new}"
    set_on_openclaw = {"deployment/openclaw": [change, change.replace("container app", "image volume workspace")]}
    expected = {**set_on_openclaw, "cronjob/nightly": [change], "deployment/argo": [change]}
    assert report(planned)["images_set"] == expected
    assert f"deployment/openclaw: set {change}" in planned.stdout.partition("Show the status of each workload")[2]
    assert done.returncode == 2
    problem = f"deployment/argo: container app names {old}, but {new} was released; the image was not set"
    assert f"{problem}, since Argo CD reverts it" in done.stdout + done.stderr
    assert report(forced)["restarted"] == ["deployment/argo"]
    assert sorted(report(again)["verified"]) == [
        "cronjob/nightly",
        "deployment/argo",
        "deployment/front",
        "deployment/openclaw",
    ]
    unverified = " ".join(report(again)["unverified"])
    assert "cronjob/nightly: container app: its pods start later" in unverified
    assert "deployment/openclaw: image volume workspace: Kubernetes reports no digest" in unverified
    template = kubectl.get("deployment", "openclaw")["spec"]["template"]["spec"]
    assert (template["containers"][0]["image"], template["volumes"][0]["image"]["reference"]) == (new, new)
    described = module("zot_image_info", images=[new])["images"][0]
    assert set(pods(kubectl).values()) <= {described["digest"], *(entry["digest"] for entry in described["manifests"])}


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a second namespace of the test."""
    run = Kubectl(cluster, f"shop-{secrets.token_hex(4)}")
    run("create", "namespace", run.namespace)
    run("wait", "serviceaccount/default", "--for=create", "--timeout=30s")
    yield run
    run("delete", "namespace", run.namespace, "--wait=false")


def test_releases_that_fail_are_rolled_back(site: Site, shop: Kubectl, tmp_path: Path) -> None:
    """Two namespaces with two contexts. An image that crashes in the first: its pods run the old digest again, and the
    second is not touched. Then the second fails, and the first is restored.
    """
    images, registry, repository, kubectl = site.images, site.registry, site.repository, site.kubectl
    cluster, playbook = site.cluster, site.playbook
    repository = f"{repository}/app"
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    context = config["contexts"][0]["context"]
    hosts = {}
    config["contexts"] = []
    for name, run in (("canary", kubectl), ("main", shop)):
        run.apply(pull_secret(registry, registry.reader))
        config["contexts"].append({"name": name, "context": context})
        hosts[name] = {"zot_context": name, "zot_namespace": run.namespace}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    shared = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "zot_kubeconfig": str(tmp_path / "kubeconfig"),
    }
    inventory = {"all": {"children": {"clusters": {"hosts": hosts, "vars": shared}}}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    archives = {
        "r1": images["buildah-amd64"],
        "r2": crashing(images["buildah-amd64"], tmp_path / "crash.tar"),
        "r3": images["changed-layer"],
    }

    def play(name: str, revision: str, **variables: Any) -> CompletedProcess[str]:
        published = [{"repository": repository, "archive": str(archives[revision])}]
        common: dict[str, Any] = {"zot_publish_revision": revision, "zot_publish_images": published}
        common |= {"zot_clusters": "clusters", "zot_rollout_wait_timeout": 20, "zot_release_on_failure": "rollback"}
        inventory = f"--inventory={tmp_path / 'inventory.json'}"
        return playbook(f"killinit.zot.{name}", inventory, **{**common, **variables})

    def results(run: CompletedProcess[str]) -> list[tuple[str, str]]:
        assert run.returncode == 2, run.stdout + run.stderr
        return [(each["name"], each["result"]) for each in stats(run, "zot_release_report")["clusters"]]

    first = {"repository": repository, "archive": str(archives["r1"])}
    assert not site.module("zot_publish", revision="r1", images=[first])["failed"]
    for run in (kubectl, shop):
        run.apply(workload(f"{registry.host}/{repository}:latest"))
        ready(run, "deployment/openclaw")
    before = pods(kubectl), pods(shop)

    crashed = play("release", "r2")
    assert results(crashed) == [("canary", "restored"), ("main", "not started")], crashed.stdout
    ready(kubectl, "deployment/openclaw")
    assert set(pods(kubectl).values()) == set(before[0].values())
    assert pods(shop) == before[1]

    shop("rollout", "pause", "deployment/openclaw")
    failed = play("release", "r3")
    assert results(failed) == [("canary", "restored"), ("main", "restored")], failed.stdout
    assert "its rollouts are paused" in failed.stdout + failed.stderr
    ready(kubectl, "deployment/openclaw")
    assert set(pods(kubectl).values()) == set(before[0].values())
    assert pods(shop) == before[1]
