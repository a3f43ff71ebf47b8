# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole runbook in one command: `ansible-playbook killinit.zot.release`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import Kubectl, pods, pull_secret, ready, report, workload
from integration.support import Module, recap

from environment.cluster import Cluster
from environment.images import Images
from environment.registry import Registry

# By what Ansible calls them: see noxfile.py.
SURROUNDINGS: dict[str, dict[str, str]] = json.loads(os.environ.get("ZOT_TEST_SURROUNDINGS", "{}"))


def versions(environment: dict[str, str]) -> str:
    """Which ansible-core and which kubernetes.core there are."""
    said = ""
    for command in (["ansible", "--version"], ["ansible-galaxy", "collection", "list", "kubernetes.core"]):
        said += subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return " ".join(said.split())


@pytest.fixture
def release(
    images: Images, repository: str, kubectl: Kubectl, playbook: Callable[..., CompletedProcess[str]]
) -> Callable[..., CompletedProcess[str]]:
    """Release a revision, with that archive for amd64: release("r1", "buildah-amd64", "--check")."""

    def run(revision: str, amd64: str, *options: str, **more: Any) -> CompletedProcess[str]:
        archives = {"amd64": str(images[amd64]), "arm64": str(images["buildah-arm64"])}
        variables: dict[str, Any] = {
            "zot_namespace": kubectl.namespace,
            "zot_publish_revision": revision,
            "zot_publish_images": [{"repository": f"{repository}/openclaw", "archives": archives}],
            **more,
        }
        return playbook("killinit.zot.release", *options, **variables)

    return run


@pytest.mark.parametrize("surroundings", ["", *SURROUNDINGS])
def test_release(
    surroundings: str,
    registry: Registry,
    repository: str,
    kubectl: Kubectl,
    cluster: Cluster,
    environment: dict[str, str],
    release: Callable[..., CompletedProcess[str]],
    module: Module,
) -> None:
    """Publish, verify, restart, prove; foretold by check mode, and nothing the next time."""
    environment |= {"K8S_AUTH_KUBECONFIG": str(cluster.kubeconfig), "ANSIBLE_SHOW_CUSTOM_STATS": "true"}
    environment |= SURROUNDINGS.get(surroundings, {})
    assert surroundings in versions(environment)

    latest = f"{registry.host}/{repository}/openclaw:latest"
    kubectl.apply(pull_secret(registry, registry.reader))
    first = release("r1", "buildah-amd64", zot_rollout_allow_empty=True)
    assert recap(first)["failed"] == 0, first.stdout + first.stderr
    kubectl.apply(workload(latest, replicas=2))
    ready(kubectl, "deployment/openclaw")
    before = pods(kubectl)

    planned = release("r2", "changed-layer", "--check")
    assert pods(kubectl) == before
    done = release("r2", "changed-layer")
    after = pods(kubectl)
    again = release("r2", "changed-layer")

    assert [recap(run)["changed"] for run in (planned, done, again)] == [3, 3, 0]
    for run in (planned, done):
        assert report(run)["restarted"] == ["deployment/openclaw"]
    assert sorted(report(planned, "zot_publish_report")["written"]) == sorted(
        report(done, "zot_publish_report")["written"]
    )
    assert report(done, "zot_pull_secret_report")["ok"] is True
    assert pods(kubectl) == after
    assert not after.keys() & before.keys()
    shown = module("zot_image_info", images=[latest])["images"][0]
    assert set(after.values()) <= {shown["digest"], *(entry["digest"] for entry in shown["manifests"])}
    assert report(done)["verified"] == ["deployment/openclaw"]


def test_restarts_are_planned_after_the_repair(
    registry: Registry,
    repository: str,
    kubectl: Kubectl,
    cluster: Cluster,
    environment: dict[str, str],
    release: Callable[..., CompletedProcess[str]],
) -> None:
    """A pod that waits to pull with a wrong secret is started again once the secret is repaired."""
    environment |= {"K8S_AUTH_KUBECONFIG": str(cluster.kubeconfig), "ANSIBLE_SHOW_CUSTOM_STATS": "true"}
    kubectl.apply(pull_secret(registry, registry.reader))
    first = release("r1", "buildah-amd64", zot_rollout_allow_empty=True)
    assert recap(first)["failed"] == 0, first.stdout + first.stderr
    kubectl.apply(pull_secret(registry, type(registry.reader)(registry.reader.username, "wrong")))
    kubectl.apply(workload(f"{registry.host}/{repository}/openclaw:latest"))
    deadline = time.monotonic() + 60
    while "ImagePullBackOff" not in kubectl("get", "pods"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    account = {
        "zot_pull_secret_username": registry.reader.username,
        "zot_pull_secret_password": registry.reader.password,
    }
    done = release("r1", "buildah-amd64", zot_pull_secret_repair=True, **account)
    assert report(done)["verified"] == ["deployment/openclaw"]
