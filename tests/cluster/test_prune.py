# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook prune on a real cluster: what a kubelet reports keeps its revision. tests/integration has the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.support import Kubectl, Site, pull_secret, ready, restricted, stats, workload

OLD, MIDDLE, NEW = "aaa0001", "aaa0002", "aaa0003"
PODS = {
    "type": "object",
    "properties": {
        "containers": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "image": {"type": "string"}}},
        }
    },
}


@contextlib.contextmanager
def _custom_resource(kubectl: Kubectl, image: str) -> Iterator[None]:
    """A kind with a pod template, an object of it, and the right to read the kind."""
    group, name = "prune.zot.test", f"things-{kubectl.namespace}"
    template = {"type": "object", "properties": {"spec": PODS}}
    spec = {"type": "object", "properties": {"template": template}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    kubectl.apply(definition)
    try:
        kubectl("wait", f"crd/things.{group}", "--for=condition=Established", "--timeout=60s")
        containers = [{"name": "app", "image": image}]
        specification = {"template": {"spec": {"containers": containers}}}
        kubectl.apply(
            {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "app"}, "spec": specification}
        )
        kubectl("create", "clusterrole", name, "--verb=list", f"--resource=things.{group}")
        account = f"--serviceaccount={kubectl.namespace}:least"
        kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
        yield
    finally:
        kubectl("delete", "crd", f"things.{group}")


@pytest.mark.usefixtures("zot")
def test_what_runs_and_what_ran_before_stay(site: Site, tmp_path: Path) -> None:
    """With the least rights in the cluster and in the registry."""
    registry, repository, images, module = site.registry, site.repository, site.images, site.module
    cluster, kubectl, playbook, environment = site.cluster, site.kubectl, site.playbook, site.environment
    archives = {OLD: "buildah-amd64", MIDDLE: "changed-env", NEW: "changed-layer"}
    for tag, name in archives.items():
        assert not module("zot_push", archive=str(images[name]), repository=repository, tags=[tag])["failed"]
    kubectl.apply(pull_secret(registry, registry.reader))
    app = f"{registry.host}/{repository}"
    kubectl.apply(workload(f"{app}:{OLD}", name="app"), workload(f"{app}:{NEW}", name="other"))
    ready(kubectl, "deployment/app", "deployment/other")
    kubectl("set", "image", "deployment/app", f"app={app}:{MIDDLE}")
    ready(kubectl, "deployment/app")
    environment["K8S_AUTH_KUBECONFIG"] = str(restricted(kubectl, cluster, "zot_prune", tmp_path))
    environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"] = registry.janitor.username, registry.janitor.password

    def prune() -> dict[str, Any]:
        run = playbook("killinit.zot.prune", zot_prune_repositories=[repository], zot_prune_keep_last=1)
        assert run.returncode == 0, run.stdout + run.stderr
        report: dict[str, Any] = stats(run, "zot_prune_report")
        return report

    # The old revision is in a ReplicaSet without pods, which a rollback starts.
    found = prune()
    assert (found["ok"], found["deleted"]) == (True, [])
    assert {each["tag"]: each["reason"] for each in found["kept"]} == dict.fromkeys(archives, "in_use")
    kubectl("delete", "deployment/app", "--wait=true", "--cascade=foreground")
    # Both start pods without a push.
    template = {"spec": {"containers": [{"name": "app", "image": f"{app}:{OLD}"}]}}
    kubectl.apply({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "app"}, "template": template})
    with _custom_resource(kubectl, f"{app}:{MIDDLE}"):
        found = prune()
    assert (found["ok"], found["deleted"]) == (True, [])
    kubectl("delete", "podtemplate", "app")
    found = prune()
    assert sorted(each["tag"] for each in found["deleted"]) == [OLD, MIDDLE]
