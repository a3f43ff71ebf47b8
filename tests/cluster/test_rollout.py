# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_rollout on a real cluster: restart what is stale, nothing else, and prove it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import (
    Kubectl,
    Site,
    auth,
    cronjob,
    pods,
    pull_secret,
    ready,
    report,
    restricted,
    secret,
    workload,
)
from integration.support import recap

Playbook = Callable[..., CompletedProcess[str]]
Restart = Callable[..., CompletedProcess[str]]


@pytest.fixture
def restart(site: Site, tmp_path: Path) -> Restart:
    """Run killinit.zot.restart in the namespace of the test, with the least rights."""
    playbook, environment, cluster, kubectl = site.playbook, site.environment, site.cluster, site.kubectl
    registry = site.registry
    kubectl.apply(pull_secret(registry, registry.reader))
    environment["K8S_AUTH_KUBECONFIG"] = str(restricted(kubectl, cluster, "zot_rollout", tmp_path))

    def run(*options: str, **variables: Any) -> CompletedProcess[str]:
        return playbook("killinit.zot.restart", *options, zot_namespace=kubectl.namespace, **variables)

    return run


def test_only_what_is_stale_restarts(push: Callable[..., str], restart: Restart, kubectl: Kubectl) -> None:
    """Workloads of each kind; check mode predicts the restart, digests verify it, the second run changes nothing."""
    moving, still = push("buildah-amd64", "moving"), push("changed-env", "still")
    kubectl.apply(
        workload(moving, name="deployment", replicas=2),
        workload(moving, kind="StatefulSet", name="stateful"),
        workload(moving, kind="DaemonSet", name="daemon"),
        workload(still, name="other"),
    )
    names = ["deployment/deployment", "statefulset/stateful", "daemonset/daemon"]
    ready(kubectl, *names, "deployment/other")
    assert recap(restart())["changed"] == 0
    before = {app: pods(kubectl, app) for app in ("deployment", "stateful", "daemon", "other")}

    push("changed-layer", "moving")
    planned = restart("--check")
    assert {app: pods(kubectl, app) for app in before} == before
    done = restart()
    after = {app: pods(kubectl, app) for app in before}
    again = restart()

    assert [recap(run)["changed"] for run in (planned, done, again)] == [1, 1, 0]
    for run in (planned, done):
        assert sorted(report(run)["restarted"]) == sorted(names)
    assert report(done)["ok"] is True
    assert {app: pods(kubectl, app) for app in before} == after
    assert after["other"] == before["other"]
    for app in ("deployment", "stateful", "daemon"):
        assert len(after[app]) == len(before[app])
        assert not after[app].keys() & before[app].keys()
        assert set(after[app].values()).isdisjoint(before[app].values())
    stamp = kubectl.get("deployment", "deployment")["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in stamp


def test_stale_image_volume(push: Callable[..., str], restart: Restart, kubectl: Kubectl) -> None:
    """The first time nobody knows what it holds; then the annotation does, and its pods mount the new content."""
    image, volume = push("buildah-amd64"), push("changed-env", "workspace")
    kubectl.apply(workload(image, volume=volume))
    ready(kubectl, "deployment/openclaw")
    first = report(restart())
    assert first["restarted"] == ["deployment/openclaw"]
    assert ["image volume workspace" in text for text in first["unverified"]] == [True]
    assert recap(restart())["changed"] == 0
    before = pods(kubectl)
    wanted = _program_in_volume(kubectl)

    push("changed-layer", "workspace")
    second = report(restart())
    assert second["restarted"] == ["deployment/openclaw"]
    assert not pods(kubectl).keys() & before.keys()
    assert _program_in_volume(kubectl) != wanted
    assert recap(restart())["changed"] == 0


def _program_in_volume(kubectl: Kubectl) -> list[tuple[str, int]]:
    """The files of the image volume, as the pod's own mount shows them: names and sizes."""
    (uid,) = pods(kubectl)
    pod = next(pod for pod in kubectl.get("pods")["items"] if pod["metadata"]["uid"] == uid)
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    for group in Path("/sys/fs/cgroup").rglob(f"*{container}*"):
        for process in (group / "cgroup.procs").read_text().split():
            mount = Path("/proc", process, "root/workspace")
            return sorted((str(path.relative_to(mount)), path.stat().st_size) for path in mount.rglob("*"))
    raise AssertionError(f"no process of {container}")


def test_digest_that_the_registry_has_lost(site: Site, restart: Restart) -> None:
    """The runtime names an image by another repository's index. It is restarted once, and unknown from then on."""
    push, kubectl, registry, repository, module = site.push, site.kubectl, site.registry, site.repository, site.module
    first, second = push("buildah-amd64", "a", own=True), push("buildah-amd64", "b", own=True)
    index = module("zot_index", repository=f"{repository}/a", manifests=["latest"], tags=["index"])["image"]["digest"]
    kubectl.apply(workload(first.replace(":latest", ":index"), name="first"))
    ready(kubectl, "deployment/first")
    kubectl.apply(workload(second, name="second"))
    ready(kubectl, "deployment/second")
    assert set(pods(kubectl, "second").values()) == {index}
    only = {"zot_rollout_workloads": ["deployment/second"]}
    assert recap(restart(**only))["changed"] == 0

    registry.forget(f"{repository}/a", index)
    runs = [restart(**only), restart(**only), restart(**only, zot_rollout_restart=False)]
    assert [recap(run)["changed"] for run in runs] == [1, 0, 0]
    for run in runs:
        assert report(run)["ok"] is True
        assert [index[:19] in text for text in report(run)["unverified"]] == [True]
        assert f"unverified: deployment/second: container app was started when {second} meant" in run.stdout
    assert set(pods(kubectl, "second").values()) == {index}


def test_pull_policy_that_a_restart_cannot_cure(push: Callable[..., str], restart: Restart, kubectl: Kubectl) -> None:
    """It says so, and restarts nothing; with zot_rollout_pin it sets the digest, and follows the tag from then on."""
    image = push("buildah-amd64")
    kubectl.apply(workload(image, policy="IfNotPresent"))
    ready(kubectl, "deployment/openclaw")
    before = pods(kubectl)
    for archive in ("changed-layer", "changed-label"):
        push(archive, own=True)
        if archive == "changed-layer":
            refused = restart(zot_rollout_pin="false")  # text, as a command line or a survey gives it
            assert refused.returncode == 2
            assert "a restart cannot update container app" in refused.stdout + refused.stderr
            assert pods(kubectl) == before
        pinned = report(restart(zot_rollout_pin=True))
        assert pinned["restarted"] == ["deployment/openclaw"]
        assert not pods(kubectl).keys() & before.keys()
        before = pods(kubectl)
        container = kubectl.get("deployment", "openclaw")["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"{image}@{pinned['workloads'][0]['images'][0]['expected']}"
        assert set(before.values()) == {pinned["workloads"][0]["images"][0]["expected"]}
        assert recap(restart(zot_rollout_pin=True))["changed"] == 0


@pytest.mark.parametrize("case", ["credentials", "paused", "deadline"])
def test_rollout_that_cannot_finish(site: Site, case: str, restart: Restart) -> None:
    """The wait ends early with the reason and the state of the workload; the old pod keeps running."""
    push, kubectl, registry = site.push, site.kubectl, site.registry
    image = push("buildah-amd64")
    probe = {"exec": {"command": ["/no/such/program"]}, "periodSeconds": 1}
    spec = {"progressDeadlineSeconds": 6} if case == "deadline" else {}
    kubectl.apply(workload(image, spec=spec))
    ready(kubectl, "deployment/openclaw")
    before = pods(kubectl)
    push("changed-layer")
    if case == "credentials":
        kubectl.apply(pull_secret(registry, replace(registry.reader, password="wrong")))
        reason = "cannot pull: ImagePullBackOff"
    elif case == "paused":
        kubectl("rollout", "pause", "deployment/openclaw")
        resume = f"kubectl --namespace={kubectl.namespace} rollout resume deployment/openclaw"
        reason = f"its rollouts are paused: {resume}"
    else:
        # A pod that is never ready: the readiness probe is in the new template, whose image is pulled anyway.
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "readinessProbe": probe}]}}}}
        kubectl("patch", "deployment/openclaw", "--patch", json.dumps(patch))
        reason = "has timed out progressing"
    started = time.monotonic()
    run = restart()
    assert run.returncode == 2
    assert reason in run.stdout + run.stderr
    assert time.monotonic() - started < 90
    assert before.keys() <= pods(kubectl).keys()


def test_cronjob(push: Callable[..., str], restart: Restart, kubectl: Kubectl) -> None:
    """Its template is compared; with zot_rollout_pin a digest behind the tag follows the tag, and the rest stays."""
    image = push("buildah-amd64")
    pod = workload(image)["spec"]["template"]["spec"]
    pod["containers"].append({"name": "other", "image": image})
    kubectl.apply(cronjob("nightly", pod))
    assert recap(restart())["changed"] == 0
    digest = report(restart())["workloads"][0]["images"][0]["expected"]
    pod["containers"][0]["image"] = f"{image}@{digest}"
    kubectl.apply(cronjob("nightly", pod))
    push("changed-layer")
    done, again = restart(zot_rollout_pin=True), restart(zot_rollout_pin=True)
    assert [recap(run)["changed"] for run in (done, again)] == [1, 0]
    assert report(done)["restarted"] == ["cronjob/nightly"]
    (latest,) = {found["expected"] for found in report(again)["workloads"][0]["images"]}
    template = kubectl.get("cronjob", "nightly")["spec"]["jobTemplate"]["spec"]["template"]
    images = {each["name"]: each["image"] for each in template["spec"]["containers"]}
    assert images == {"app": f"{image}@{latest}", "other": image}
    assert latest != digest
    assert ["its pods start later" in text for text in report(again)["unverified"]] == [True, True]


def test_selection_by_the_server(push: Callable[..., str], restart: Restart, kubectl: Kubectl) -> None:
    """Labels select as the API server evaluates them; what is malformed or finds nothing is an error."""
    image = push("buildah-amd64")
    kubectl.apply(workload(image, name="one"), workload(image, name="two"))
    ready(kubectl, "deployment/one", "deployment/two")
    push("changed-layer")
    by_label = report(restart(zot_rollout_label_selectors=["app in (two, three)"]))
    assert by_label["restarted"] == ["deployment/two"]
    for variables, message in (
        ({"zot_rollout_label_selectors": ["app==="]}, "cannot list deployments in namespace"),
        ({"zot_rollout_label_selectors": ["app=none"]}, "the namespace has none with the labels app=none"),
        ({"zot_rollout_workloads": ["deployment/four"]}, "cannot find deployment/four in namespace"),
    ):
        refused = restart(**variables)
        assert refused.returncode == 2
        assert message in refused.stdout + refused.stderr


def test_another_name_of_the_registry(site: Site, restart: Restart) -> None:
    """A workload that names the registry localhost. With zot_registry_aliases it counts in a restart and in a prune."""
    kubectl, registry = site.kubectl, site.registry
    alias = registry.host.replace("127.0.0.1", "localhost")

    def publish(archive: str, revision: str) -> str:
        options = {"repository": f"{site.repository}/app", "tags": [revision, "latest"]}
        pushed = site.module("zot_push", archive=str(site.images[archive]), **options)
        assert not pushed["failed"], pushed
        return str(pushed["image"]["reference"])

    publish("changed-env", "a000000")
    app = publish("buildah-amd64", "a000001").rpartition(":")[0]
    named = app.replace(registry.host, alias)
    entry = {"auth": auth(registry.reader.username, registry.reader.password)}
    kubectl.apply(secret("zot-pull-secret", {"auths": {registry.host: entry, alias: entry}}))
    kubectl.apply(
        workload(f"{app}:latest", name="own"),
        workload(f"{named}:latest", name="other"),
        cronjob("nightly", workload(f"{named}:a000000")["spec"]["template"]["spec"]),
    )
    ready(kubectl, "deployment/own", "deployment/other")
    publish("changed-layer", "a000002")
    before = pods(kubectl, "other")

    unknown = restart()
    assert report(unknown)["restarted"] == ["deployment/own"]
    assert f"deployment/other names {alias}" in " ".join((unknown.stdout + unknown.stderr).split())
    assert pods(kubectl, "other") == before
    aliases = {"zot_registry_aliases": alias}
    done = restart(**aliases)
    assert report(done)["restarted"] == ["deployment/other"]
    assert sorted(report(done)["verified"]) == ["cronjob/nightly", "deployment/other", "deployment/own"]
    assert set(pods(kubectl, "other").values()) == set(pods(kubectl, "own").values())
    site.environment["K8S_AUTH_KUBECONFIG"] = str(site.cluster.kubeconfig)
    assert report(site.playbook("killinit.zot.verify", zot_namespace=kubectl.namespace, **aliases), "zot_verify_report")

    # No pod reports the digest of the CronJob.
    prune = {"zot_prune_repositories": [f"{site.repository}/app"], "zot_prune_keep_last": 1}
    prune |= {"zot_username": registry.janitor.username, "zot_password": registry.janitor.password}
    for more, is_kept in (({}, False), (aliases, True)):
        planned = site.playbook("killinit.zot.prune", "--check", **prune, **more)
        found = report(planned, "zot_prune_report")
        reasons = {each["tag"]: each["reason"] for each in found["kept"]}
        # The stand-in does not tell the age of a tag, so no tag is removed there.
        old = None if registry.kind == "zot" else "unknown_age"
        assert reasons.get("a000000") == ("in_use" if is_kept else old)
        assert (f"cronjob/nightly names {alias}" in " ".join((planned.stdout + planned.stderr).split())) is not is_kept
