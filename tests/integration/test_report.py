# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook report: the real registry, and clusters in memory."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cluster.support import workload
from integration.support import Bare, Module, recap
from unit.api_server import holding, kubeconfig, running
from unit.fake_cluster import FakeCluster

from environment.images import Images
from environment.registry import Registry

Run = Callable[..., subprocess.CompletedProcess[str]]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


def _objects(image: str, digest: str) -> list[dict[str, Any]]:
    """A Deployment whose pod reports a digest."""
    own = workload(image, name="app")
    own["metadata"] |= {"namespace": "shop", "uid": "1", "generation": 1}
    owner = {"apiVersion": "apps/v1", "controller": True}
    replicaset = {
        "kind": "ReplicaSet",
        "metadata": {
            "name": "app-7",
            "namespace": "shop",
            "uid": "2",
            "labels": {"app": "app", "pod-template-hash": "7"},
            "ownerReferences": [{**owner, "kind": "Deployment", "name": "app", "uid": "1"}],
        },
        "spec": {"template": own["spec"]["template"]},
    }
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "app-7-x",
            "namespace": "shop",
            "labels": {"app": "app", "pod-template-hash": "7"},
            "ownerReferences": [{**owner, "kind": "ReplicaSet", "name": "app-7", "uid": "2"}],
            "creationTimestamp": "2026-11-25T12:00:00Z",
        },
        "spec": own["spec"]["template"]["spec"],
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "ready": True, "imageID": f"{image.partition(':')[0]}@{digest}"}],
        },
    }
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    return [own | {"status": status}, replicaset, pod]


@pytest.fixture
def released(images: Images, repository: str, module: Module) -> str:
    """A repository with two revisions of an index; latest is the second."""
    for revision, archive in (("0a1b2c3", "buildah-amd64"), ("4d5e6f7", "changed-layer")):
        members = [f"{revision}-amd64", f"{revision}-arm64"]
        for tag, name in zip(members, (archive, "buildah-arm64")):
            assert not module("zot_push", archive=str(images[name]), repository=repository, tags=[tag])["failed"]
        assert module("zot_index", repository=repository, manifests=members, tags=[revision, "latest"])["changed"]
    return repository


def _summary(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    summary: dict[str, Any] = json.loads(found[1])["zot_report"]
    return summary


def test_clusters(
    released: str, registry: Registry, bare: Bare, playbook: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    """One is current, one is stale, one cannot be read; the page is written, and the playbook fails."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    image = f"{registry.host}/{released}:latest"
    old, new = (
        bare("crane", "digest", f"{registry.host}/{released}:{tag}").stdout.strip() for tag in ("0a1b2c3", "latest")
    )
    clusters = {
        "eu": FakeCluster(*_objects(image, new)),
        "us": FakeCluster(*_objects(image, old)),
        "dark": FakeCluster(*_objects(image, new), refused={"cronjobs"}),
    }
    with ExitStack() as stack:
        hosts = {}
        for name, cluster in clusters.items():
            path = tmp_path / f"{name}.kubeconfig"
            path.write_text(json.dumps(kubeconfig(stack.enter_context(running(holding(cluster))).address)))
            hosts[name] = {**LOCAL, "zot_kubeconfig": str(path)}
        hosts["gone"] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
        hosts["no-ssh"] = {**hosts["gone"], "ansible_ssh_executable": "/nowhere/ssh"}
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"children": {"clusters": {"hosts": hosts}}}}))
        given: dict[str, Any] = {
            "zot_clusters": "clusters",
            "zot_report_repositories": [released],
            "zot_report_file": "report.html, report.md,report.json",
        }
        done = playbook("killinit.zot.report", f"--inventory={inventory}", **given)
    assert done.returncode == 2, done.stdout + done.stderr
    assert _summary(done)["files"] == [str(tmp_path / f"report.{kind}") for kind in ("html", "md", "json")]

    document = json.loads((tmp_path / "report.json").read_text())
    found = {each["name"]: each for each in document["clusters"]}
    (repository,) = document["repositories"]
    assert repository["source"] == ("search" if registry.kind == "zot" else "registry")
    assert found["eu"]["problems"] == found["eu"]["stale"] == found["eu"]["at_risk"] == []
    assert found["eu"]["workloads"]["shop"][0]["status"] == "current"
    assert [each.split()[:2] for each in found["us"]["stale"]] == [["shop:", "deployment/app:"]]
    assert found["dark"]["images"] == []
    assert found["gone"]["problems"]
    assert "ssh" in found["no-ssh"]["problems"][0]
    assert document["problems"] == [f"{name}: {found[name]['problems'][0]}" for name in ("dark", "gone", "no-ssh")]
    assert "cronjobs is forbidden" in document["problems"][0]
    assert _summary(done)["stale"] == [f"us: {found['us']['stale'][0]}"]
    for kind in ("html", "md"):
        page = (tmp_path / f"report.{kind}").read_text()
        assert "cronjobs is forbidden" in page
        assert all(name in page for name in ("4d5e6f7", "deployment/app", "stale"))


def test_the_registry_alone(released: str, playbook: Run, environment: dict[str, str], tmp_path: Path) -> None:
    """Empty answers of a survey are the defaults: all repositories, one HTML page. A dry run writes nothing."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    empty = {"zot_publish_host": None, "zot_clusters": "", "zot_report_repositories": "", "zot_report_file": None}
    planned = playbook("killinit.zot.report", "--check", zot_report_registry_only=True, **empty)
    assert (planned.returncode, recap(planned)["changed"]) == (0, 1), planned.stdout + planned.stderr
    assert not (tmp_path / "zot-report.html").exists()
    done = playbook("killinit.zot.report", zot_report_registry_only=True, **empty)
    assert done.returncode == 0, done.stdout + done.stderr
    assert released in _summary(done)["repositories"]
    assert released in (tmp_path / "zot-report.html").read_text()


def test_a_repository_that_the_account_may_not_read(
    released: str, images: Images, registry: Registry, module: Module, playbook: Run, tmp_path: Path
) -> None:
    """The others are in the report."""
    hidden = released.replace("test/", "private/")
    assert not module("zot_push", archive=str(images["buildah-amd64"]), repository=hidden, tags=["1"])["failed"]
    account = {"zot_username": registry.reader.username, "zot_password": registry.reader.password}
    given = {"zot_report_repositories": f"{hidden},{released}", "zot_report_file": ["report.json"]}
    done = playbook("killinit.zot.report", zot_report_registry_only=True, **account, **given)
    assert done.returncode == 2, done.stdout
    document = json.loads((tmp_path / "report.json").read_text())
    assert [each["repository"] for each in document["repositories"]] == [released]
    (problem,) = document["problems"]
    assert hidden in problem
    assert registry.reader.password not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "message", "written"),
    [
        ({"zot_report_file": "report.pdf"}, "must name a file .html, .md or .json", False),
        ({"zot_report_file": "none/report.md"}, "in a directory that exists", False),
        ({"zot_clusters": "clusterz"}, "clusterz, which is not a host", False),
        (
            {"zot_report_registry_only": "true", "zot_report_repositories": "no/where"},
            "no/where is not a repository",
            True,
        ),
        (
            {"zot_report_registry_only": True, "zot_registry": "127.0.0.1:1", "zot_retries": 0},
            "onnection refused",
            True,
        ),
    ],
)
def test_a_mistake(given: dict[str, Any], message: str, written: bool, playbook: Run, tmp_path: Path) -> None:
    """A typo fails before anything is read; a repository that does not exist is a problem in the report."""
    done = playbook("killinit.zot.report", **{"zot_report_file": "report.html", **given})
    assert done.returncode == 2, done.stdout
    assert message in done.stdout + done.stderr
    assert (tmp_path / "report.html").exists() is written
