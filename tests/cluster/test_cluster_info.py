# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_cluster_info on a real cluster: several kinds at once, and the connection that kubernetes.core would take."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import Kubectl, restricted, secret, workload
from integration.returned import documented, faults

from environment.cluster import Cluster

Run = Callable[..., CompletedProcess[str]]
KINDS = [("apps/v1", "Deployment"), ("v1", "Secret"), ("v1", "ConfigMap")]


@pytest.fixture
def look(playbook: Run, tmp_path: Path, kubectl: Kubectl) -> Callable[..., dict[str, Any]]:
    """Read KINDS of the namespace in a play with these module_defaults; returns the result of the task."""

    def run(defaults: dict[str, Any], **options: Any) -> dict[str, Any]:
        objects = [{"api_version": api, "kind": kind, "namespace": kubectl.namespace} for api, kind in KINDS]
        task = {"killinit.zot.zot_cluster_info": {"objects": objects, **options}}
        tasks = [
            {**task, "register": "found", "ignore_errors": True},
            {"ansible.builtin.copy": {"content": "{{ found | to_json }}", "dest": str(tmp_path / "found.json")}},
        ]
        play = {"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}
        path = tmp_path / "look.yml"
        path.write_text(json.dumps([play]), encoding="utf-8")
        done = playbook(str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
        return found

    return run


@pytest.mark.parametrize("name", ["group/kubernetes.core.k8s", "kubernetes.core.k8s_info", "none"])
def test_kinds_and_defaults(
    look: Callable[..., dict[str, Any]], kubectl: Kubectl, cluster: Cluster, environment: dict[str, str], name: str
) -> None:
    """By the defaults of a group, of k8s_info (which hold more than a connection), and by the task itself."""
    environment.pop("K8S_AUTH_KUBECONFIG", None)
    kubectl.apply(workload("registry.example/app:1", replicas=0), secret("pull", {"auths": {}}))
    connection = {"kubeconfig": str(cluster.kubeconfig)}
    found = look({}, **connection) if name == "none" else look({name: {**connection, "wait": False}})
    names = [[each["metadata"]["name"] for each in result["resources"]] for result in found["found"]]
    assert names == [["openclaw"], ["pull"], ["kube-root-ca.crt"]]
    assert not found["changed"]
    assert "managedFields" not in json.dumps(found)
    assert list(faults(documented("zot_cluster_info"), found, "success")) == []


def test_missing_right(look: Callable[..., dict[str, Any]], kubectl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    """What may not be read is said, and the rest is there."""
    least = restricted(kubectl, cluster, "zot_rollout", tmp_path)
    found = look({}, kubeconfig=str(least))
    assert found["failed"]
    assert re.search(r"secrets is forbidden", found["msg"])
    assert [sorted(result) for result in found["found"]] == [["resources"], ["msg"], ["msg"]]
    assert list(faults(documented("zot_cluster_info"), found, "failure")) == []


def test_no_cluster(look: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """No traceback, and a reason."""
    found = look({}, kubeconfig=str(tmp_path / "none.kubeconfig"))
    assert found["failed"]
    assert "none.kubeconfig" in found["msg"]
    assert "Traceback" not in found["msg"]
