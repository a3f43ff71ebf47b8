# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_cluster_image_info and verify, on the real registry and a cluster in memory."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cluster.support import pull_secret, workload
from integration.support import Bare, Module
from unit.api_server import holding, running
from unit.fake_cluster import FakeCluster

from environment.images import Images
from environment.registry import Registry

NAMESPACE = "shop"
Serve = Callable[..., None]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def serve(environment: dict[str, str], registry: Registry, tmp_path: Path) -> Iterator[Serve]:
    """Starts an API server with the pull secret and objects; the playbooks find it."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    with ExitStack() as stack:

        def start(*objects: dict[str, Any], refused: tuple[str, ...] = ()) -> None:
            every = [pull_secret(registry, registry.reader), *objects]
            for each in every:
                each["metadata"]["namespace"] = NAMESPACE
            server = stack.enter_context(running(holding(FakeCluster(*every, refused=refused))))
            environment["K8S_AUTH_KUBECONFIG"] = str(server.kubeconfig(tmp_path / "kubeconfig"))

        yield start


@pytest.fixture
def released(images: Images, repository: str, module: Module) -> str:
    """A repository with a revision of two architectures, which is latest."""
    for name in ("amd64", "arm64"):
        module("zot_push", archive=str(images[f"buildah-{name}"]), repository=repository, tags=[f"3f2c1ab-{name}"])
    members = ["3f2c1ab-amd64", "3f2c1ab-arm64"]
    assert module("zot_index", repository=repository, manifests=members, tags=["3f2c1ab", "latest"])["changed"]
    return repository


def _pod(image: str, digest: str) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "openclaw-77", "controller": True}
    reported = f"{image.rpartition(':')[0]}@{digest}"
    return {
        "kind": "Pod",
        "metadata": {"name": "openclaw-77-x", "labels": {"pod-template-hash": "77"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "app", "image": image}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "imageID": reported}]},
    }


def _stats(run: subprocess.CompletedProcess[str], name: str) -> Any:
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    return json.loads(found[1])[name]


def test_images_at_risk(released: str, registry: Registry, bare: Bare, serve: Serve, playbook: Run) -> None:
    """The tag of its revision holds the image that runs; after the tags have moved, nothing does."""
    name = f"{registry.host}/{released}"
    image = f"{name}:latest"
    digest = bare("crane", "digest", image).stdout.strip()

    def verify(**more: Any) -> tuple[int, dict[str, Any]]:
        serve(workload(image, secret="zot-pull-secret"), _pod(image, digest))
        run = playbook("killinit.zot.verify", zot_namespace=NAMESPACE, **more)
        report: dict[str, Any] = _stats(run, "zot_verify_report")
        return run.returncode, report

    ended, report = verify(zot_verify_at_risk="fail")
    assert (ended, report["ok"], report["at_risk"]) == (0, True, []), report
    assert report["images"][0]["tags"] == ["3f2c1ab"]

    # Zot deletes an index at once when its last tag moves; the stand-in keeps it.
    for tag in ("3f2c1ab", "latest"):
        assert bare("crane", "tag", f"{name}:3f2c1ab-amd64", tag).returncode == 0
    ended, report = verify(zot_verify_at_risk="fail")
    risks = {each["digest"]: each["risk"] for each in report["images"]}
    assert (ended, risks.pop(digest)) == (2, "missing" if registry.kind == "zot" else "untagged")
    assert list(risks.values()) == [None]
    assert len(report["at_risk"]) == 1


def test_an_account_that_may_not_read_all(released: str, registry: Registry, serve: Serve, playbook: Run) -> None:
    """The pull secret is verified, and the report names the missing right."""
    serve(workload(f"{registry.host}/{released}:latest", secret="zot-pull-secret"), refused=("controllerrevisions",))
    run = playbook("killinit.zot.verify", zot_namespace=NAMESPACE)
    assert run.returncode == 0, run.stdout
    report = _stats(run, "zot_verify_report")
    assert (report["ok"], [each["resource"] for each in report["unreadable"]]) == (False, ["controllerrevisions"])
    assert playbook("killinit.zot.verify", zot_namespace=NAMESPACE, zot_verify_at_risk="fail").returncode == 2
    ignored = playbook("killinit.zot.verify", zot_namespace=NAMESPACE, zot_verify_at_risk="ignore")
    assert ignored.returncode == 0
    assert "zot_verify_report" not in ignored.stdout


@pytest.mark.usefixtures("zot")
def test_reading_is_not_a_pull(
    released: str, registry: Registry, bare: Bare, module: Module, serve: Serve, playbook: Run, tmp_path: Path
) -> None:
    """Zot's retention deletes what is not pulled: everything that finds the image current must not count."""
    image = f"{registry.host}/{released}:latest"
    digest = bare("crane", "digest", image).stdout.strip()
    query = {"repositories": [released], "details": True}
    before = module("zot_image_info", **query)["repositories"]
    assert any(each["last_pulled_at"] for each in before[0]["images"])  # the index was made of them
    serve(workload(image, secret="zot-pull-secret"), _pod(image, digest))
    tasks = [
        {"killinit.zot.zot_cluster_image_info": {}, "register": "used"},
        {"killinit.zot.zot_workload_info": {"namespace": NAMESPACE}, "register": "compared"},
        {"ansible.builtin.assert": {"that": ["used.images | length == 1", "not used.at_risk"]}},
        {"ansible.builtin.assert": {"that": ["compared.workloads | length == 1"]}},
    ]
    path = tmp_path / "used.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    run = playbook(path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert module("zot_image_info", **query)["repositories"] == before
    for name in ("verify", "report"):
        run = playbook(f"killinit.zot.{name}", zot_namespace=NAMESPACE, zot_report_repositories=released)
        assert run.returncode == 0, run.stdout + run.stderr
        assert module("zot_image_info", **query)["repositories"] == before, name
