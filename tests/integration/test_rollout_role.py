# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_rollout with a real registry, and an API server that stands in for a cluster.

What only a kubelet proves is in tests/cluster; here is what the role makes of the answers.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from integration.blocks import ROOT
from integration.support import Module, recap
from unit.api_server import ApiServer, Request, running, status

from environment.images import Images

STAMP = "kubectl.kubernetes.io/restartedAt"
OLD = f"sha256:{'0' * 64}"
SECRET = "environment-of-the-pods-4711"
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.import_role: {name: killinit.zot.zot_rollout}
      always:
        - ansible.builtin.copy: {content: "{{ zot_rollout_report | to_json }}", dest: "{{ report_file }}", mode: "600"}
          check_mode: false
"""


class Cluster:
    """Deployments whose pods run the image *digest*, a few reads after somebody has patched them.

    *fails* are answers for the next lists of pods, *busy* for the next patches, *refuses* the names that may not be
    patched. With *under_way* a rollout is in progress when the test begins. The patch of *silent* is not answered
    before *test_ends*, and only made if *makes_silent_change*.
    """

    def __init__(self, image: str, digest: str, *names: str, under_way: bool = False) -> None:
        self.image, self.digest = image, digest
        self.lock = threading.Lock()
        self.deployments = {name: self._deployment(name) for name in names}
        self.reads = dict.fromkeys(names, 0)
        self.fails: list[tuple[int, Any]] = []
        self.refuses: set[str] = set()
        self.busy: list[tuple[int, Any]] = []
        self.silent: str | None = None
        self.makes_silent_change = False
        self.test_ends = threading.Event()
        if under_way:
            for name in names:
                self._restart(name, {STAMP: "2026-11-25T12:00:00Z"})

    def _deployment(self, name: str) -> dict[str, Any]:
        container = {"name": "app", "image": self.image, "imagePullPolicy": "Always"}
        container["env"] = [{"name": "PASSWORD", "value": SECRET}]  # type: ignore[assignment]
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": name,
                "namespace": "apps",
                "generation": 1,
                "managedFields": [{"manager": "kubectl", "fieldsV1": {}}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": template})},
            },
            "spec": {"replicas": 1, "template": template},
        }

    def _restart(self, name: str, annotations: dict[str, str]) -> None:
        deployment = self.deployments[name]
        deployment["metadata"]["generation"] += 1
        deployment["spec"]["template"]["metadata"].setdefault("annotations", {}).update(annotations)
        self.reads[name] = 2

    def __call__(self, request: Request) -> tuple[int, Any]:
        is_silent = request.verb == "PATCH" and request.path.rpartition("/")[2] == self.silent
        answer: tuple[int, Any] = (0, "")
        if not is_silent or self.makes_silent_change:
            with self.lock:
                answer = self._answer(request)
        if is_silent:
            self.test_ends.wait(120)
        return answer

    def _answer(self, request: Request) -> tuple[int, Any]:
        name = request.path.rpartition("/")[2]
        if request.verb == "PATCH":
            if self.busy:
                return self.busy.pop(0)
            if name in self.refuses:
                return status(403, "Forbidden", f'deployments.apps "{name}" is forbidden')
            before = copy.deepcopy(self.deployments[name])
            self._restart(name, request.body["spec"]["template"]["metadata"]["annotations"])
            answer = self._deployment_with_status(name)
            if "dryRun" in request.query:
                self.deployments[name], self.reads[name] = before, 0
            return 200, answer
        if name in self.deployments:
            return 200, self._deployment_with_status(name)
        if name == "deployments":
            return 200, {"items": [self._deployment_with_status(each) for each in self.deployments]}
        if name == "pods":
            if self.fails:
                return self.fails.pop(0)
            return 200, {"items": [self._pod(each) for each in self.deployments]}
        return 200, {"items": []}

    def _deployment_with_status(self, name: str) -> dict[str, Any]:
        deployment = copy.deepcopy(self.deployments[name])
        done = not self.reads[name]
        generation = deployment["metadata"]["generation"]
        deployment["status"] = {"observedGeneration": generation if done else generation - 1}
        deployment["status"] |= {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
        return deployment

    def _pod(self, name: str) -> dict[str, Any]:
        template = self.deployments[name]["spec"]["template"]
        is_new = not self.reads[name] and self.deployments[name]["metadata"]["generation"] > 1
        self.reads[name] = max(self.reads[name] - 1, 0)
        image = f"{self.image.rpartition(':')[0]}@{self.digest if is_new else OLD}"
        return {
            "metadata": {
                "name": f"{name}-77-x",
                "namespace": "apps",
                "labels": {"pod-template-hash": "77"},
                "annotations": template["metadata"].get("annotations") if is_new else None,
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-77", "controller": True}
                ],
            },
            "spec": template["spec"],
            "status": {"phase": "Running", "containerStatuses": [{"name": "app", "imageID": image}]},
        }


Run = Callable[..., tuple[CompletedProcess[str], dict[str, Any]]]


@pytest.fixture
def pushed(images: Images, repository: str, module: Module) -> tuple[str, str]:
    """An image: its reference, and its digest."""
    result = module("zot_push", archive=str(images["buildah-amd64"]), repository=repository, tags=["latest"])
    assert not result["failed"], result
    return result["image"]["reference"], result["image"]["digest"]


@pytest.fixture
def serve(pushed: tuple[str, str]) -> Iterator[Callable[..., tuple[Cluster, ApiServer]]]:
    """Starts an API server with deployments of these names that run an old image."""
    servers = []

    def start(*names: str, **more: Any) -> tuple[Cluster, ApiServer]:
        cluster = Cluster(*pushed, *names, **more)
        context = running(cluster)
        servers.append(context)
        return cluster, context.__enter__()

    yield start
    for context in servers:
        context.__exit__(None, None, None)


@pytest.fixture
def rollout(playbook: Callable[..., CompletedProcess[str]], tmp_path: Path) -> Run:
    """Runs the role, which may be a copy of it; returns the run and the report."""

    def run(
        server: ApiServer, *options: str, role: str = "killinit.zot.zot_rollout", **variables: Any
    ) -> tuple[CompletedProcess[str], dict[str, Any]]:
        play, found = tmp_path / "play.yml", tmp_path / "report.json"
        play.write_text(PLAY.replace("killinit.zot.zot_rollout", role))
        found.unlink(missing_ok=True)
        common = {
            "zot_namespace": "apps",
            "zot_kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig")),
            "zot_rollout_wait_sleep": 1,
            "report_file": str(found),
        }
        done = playbook(play, *options, **common, **variables)
        assert found.exists(), done.stdout + done.stderr
        return done, json.loads(found.read_text())

    return run


def _patches(server: ApiServer) -> list[str]:
    """The names that were patched, and not in a dry run."""
    return [
        request.path.rpartition("/")[2]
        for request in server.requests
        if request.verb == "PATCH" and "dryRun" not in request.query
    ]


def test_stale_workloads_are_restarted_once(serve: Any, rollout: Run, pushed: tuple[str, str]) -> None:
    """Check mode predicts the restart; the report says what was restarted and verified; the second run changes nothing.

    At -vvv and with --diff the environment of the pods is nowhere, nor in the annotation of kubectl apply. The diff has
    no fields that the API server sets.
    """
    _cluster, server = serve("one", "two")
    planned, predicted = rollout(server, "--check", "--diff", "-vvv")
    assert _patches(server) == []
    done, report = rollout(server, "--diff", "-vvv")
    again, second = rollout(server)

    assert [recap(run)["failed"] for run in (planned, done, again)] == [0, 0, 0], planned.stdout + done.stdout
    names = ["deployment/one", "deployment/two"]
    assert (predicted["ok"], predicted["changed"], predicted["restarted"]) == (True, True, names)
    assert (predicted["verified"], predicted["not_verified"]) == ([], names)
    assert (report["ok"], report["changed"], report["restarted"]) == (True, True, names)
    assert (report["verified"], report["not_verified"], report["problems"]) == (names, [], [])
    assert (second["ok"], second["changed"], second["restarted"], second["verified"]) == (True, False, [], names)
    assert (report["namespace"], report["registry"], report["cluster"]) == (
        "apps",
        pushed[0].partition("/")[0],
        server.address,
    )
    assert _patches(server) == ["one", "two"]
    for run in (planned, done, again):
        assert SECRET not in run.stdout + run.stderr
        assert not re.search('"(generation|managedFields)":', run.stdout)
    assert STAMP in done.stdout
    assert SECRET not in json.dumps([predicted, report, second])


def test_an_interrupted_run_is_continued(serve: Any, rollout: Run) -> None:
    """What is in progress is waited for, and restarted by nobody."""
    _cluster, server = serve("one", under_way=True)
    done, report = rollout(server)
    assert recap(done)["failed"] == 0, done.stdout
    assert (report["ok"], report["changed"], report["verified"]) == (True, False, ["deployment/one"])
    assert _patches(server) == []


def test_an_error_while_waiting_is_retried(serve: Any, rollout: Run) -> None:
    cluster, server = serve("one", under_way=True)
    overloaded = status(503, "ServiceUnavailable", "the server is overloaded")
    # The first read is that of the comparison.
    cluster.fails = [(200, {"items": []}), overloaded, overloaded]
    done, report = rollout(server)
    assert recap(done)["failed"] == 0, done.stdout
    assert report["verified"] == ["deployment/one"]
    assert cluster.fails == []


def test_a_patch_that_the_server_is_too_busy_for(serve: Any, rollout: Run) -> None:
    """It has not processed the patch: the patch is sent again. Both forms of this answer are known."""
    cluster, server = serve("one")
    cluster.busy = [status(429, "TooManyRequests", "try again"), (429, "Too many requests, please try again later.")]
    done, report = rollout(server)
    assert recap(done)["failed"] == 0, done.stdout
    assert (report["restarted"], report["verified"]) == (["deployment/one"], ["deployment/one"])
    assert _patches(server) == ["one"] * 3


@pytest.fixture
def hasty_role(tmp_path: Path) -> str:
    """The path of a copy of the role whose patches have ten seconds instead of 45."""
    path = tmp_path / "roles" / "zot_rollout"
    shutil.copytree(ROOT / "roles" / "zot_rollout", path)
    tasks = path / "tasks" / "patch.yml"
    text = tasks.read_text(encoding="utf-8")
    assert text.count("timeout: 45\n") == 1
    tasks.write_text(text.replace("timeout: 45\n", "timeout: 10\n"), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("is_made", [False, True], ids=["lost", "made"])
def test_a_patch_without_an_answer(serve: Any, rollout: Run, hasty_role: str, is_made: bool) -> None:
    """The run ends within the limit and says what the workload is then. The next run is right."""
    cluster, server = serve("one", "two")
    cluster.silent, cluster.makes_silent_change = "one", is_made
    try:
        started = time.monotonic()
        done, report = rollout(server, role=hasty_role)
        assert time.monotonic() - started < 60
    finally:
        # The process of the module waits for the answer.
        cluster.test_ends.set()
    cluster.silent = None
    if is_made:
        # The change shows that only the answer was lost.
        assert recap(done)["failed"] == 0, done.stdout
        names = ["deployment/one", "deployment/two"]
        assert (report["ok"], report["restarted"], report["verified"]) == (True, names, names)
    else:
        assert recap(done)["failed"] == 1, done.stdout
        assert (report["restarted"], report["verified"]) == (["deployment/two"], ["deployment/two"])
        (problem,) = report["problems"]
        unanswered = "deployment/one: the API server did not answer the patch within 10 s and may still make the change"
        assert problem.startswith(f"{unanswered}; the workload is stale: container app runs sha256:000000000000")
    again, second = rollout(server)
    assert recap(again)["failed"] == 0, again.stdout
    assert (second["ok"], second["restarted"]) == (True, [] if is_made else ["deployment/one"])
    assert _patches(server) == ["one", "two"] if is_made else ["one", "two", "one"]


def test_a_partial_restart_has_a_report(serve: Any, rollout: Run) -> None:
    cluster, server = serve("one", "two")
    cluster.refuses = {"two"}
    done, report = rollout(server)
    assert recap(done)["failed"] == 1
    assert (report["ok"], report["changed"], report["restarted"]) == (False, True, ["deployment/one"])
    assert (report["verified"], report["not_verified"]) == (["deployment/one"], ["deployment/two"])
    (problem,) = report["problems"]
    assert problem.startswith("deployment/two: the patch failed: ")
    # The same command finishes it.
    cluster.refuses = set()
    done, report = rollout(server)
    assert recap(done)["failed"] == 0, done.stdout
    assert report["verified"] == ["deployment/one", "deployment/two"]
    assert _patches(server) == ["one", "two", "two"]


def test_without_a_restart_stale_is_a_problem(serve: Any, rollout: Run) -> None:
    _cluster, server = serve("one", "two")
    for fails in ("true", "false"):
        done, report = rollout(server, zot_rollout_restart="false", zot_rollout_fail=fails)
        assert recap(done)["failed"] == (1 if fails == "true" else 0), done.stdout
        assert (report["ok"], report["changed"], len(report["problems"])) == (False, False, 2)
    assert _patches(server) == []


def test_names_from_a_command_line_or_a_survey(serve: Any, rollout: Run) -> None:
    _cluster, server = serve("one", "two", "three")
    _done, report = rollout(server, "--check", zot_rollout_workloads="Deployment/one, deploy/two")
    assert [each["name"] for each in report["workloads"]] == ["deployment/one", "deployment/two"]


def test_no_cluster_has_a_report(serve: Any, rollout: Run) -> None:
    _cluster, server = serve("one")
    done, report = rollout(server, zot_context="typo")
    assert recap(done)["failed"] == 1
    assert (report["ok"], report["workloads"], report["restarted"]) == (False, [], [])
    (problem,) = report["problems"]
    assert "zot_kubeconfig" in problem


def test_module_defaults_of_the_play_stay(
    serve: Any, playbook: Callable[..., CompletedProcess[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    """The role asks the registry of the play, with its account, and no other."""
    _cluster, server = serve("one")
    names = {"registry": "ZOT_REGISTRY", "registry_username": "ZOT_USERNAME", "registry_password": "ZOT_PASSWORD"}
    defaults = {option: environment.pop(name) for option, name in names.items()}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {
            "group/killinit.zot.cluster": defaults,
            "group/kubernetes.core.k8s": {"kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig"))},
        },
        "roles": ["killinit.zot.zot_rollout"],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = playbook(tmp_path / "play.yml", zot_namespace="apps", zot_rollout_wait_sleep=1)
    assert recap(done)["failed"] == 0, done.stdout + done.stderr
    assert _patches(server) == ["one"]


def test_null_is_not_given(serve: Any, rollout: Run) -> None:
    """An empty answer of AWX is null: the defaults count then."""
    _cluster, server = serve("one")
    names = ("workloads", "label_selectors", "restart", "pin", "images", "set_image", "assume_pushed", "allow_empty")
    names += ("wait_timeout", "fail")
    done, report = rollout(server, **{f"zot_rollout_{name}": None for name in names})
    assert recap(done)["failed"] == 0, done.stdout
    assert (report["ok"], _patches(server)) == (True, ["one"])


@pytest.mark.parametrize("answer", [0, False])
def test_another_false_value_is_not_an_empty_list(serve: Any, rollout: Run, answer: object) -> None:
    """AWX makes them of the answers 0 and no. They must not restart all workloads."""
    _cluster, server = serve("one", "two")
    done, report = rollout(server, zot_rollout_workloads=answer)
    assert recap(done)["failed"] == 1, done.stdout
    assert (report["ok"], _patches(server)) == (False, [])
