# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of the roles, from the results of their tasks."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.plugin_utils import _role_reports as reports

FAILED = {"failed": True, "msg": "no route to host"}
Dict = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def tag(name: str, *, changed: bool) -> Dict:
    return {"reference": f"oci.example/app:{name}", "changed": changed}


def publish(**results: t.Any) -> Dict:
    given = {"plan": {"problems": []}, "pushed": {}, "indexed": {}, "moved": {}, "revision": "r1", **results}
    return reports.publish(**given)


def test_a_revision_is_published_if_all_three_tasks_have_ended() -> None:
    pushed = {"registry": "oci.example", "tags": [tag("r1-amd64", changed=True)], "images": [{"tag": "r1-amd64"}]}
    indexed = {"tags": [tag("r1", changed=True), tag("latest", changed=False)], "images": [{"tag": "r1"}]}
    report = publish(pushed=pushed, indexed=indexed, moved={"skipped": True})
    assert (report["ok"], report["changed"], report["images"]) == (True, True, [{"tag": "r1"}])
    assert report["written"] == ["oci.example/app:r1-amd64", "oci.example/app:r1"]
    assert publish(pushed=pushed, indexed=indexed)["ok"] is False


@pytest.mark.parametrize("task", ["pushed", "indexed", "moved"])
def test_a_failed_task_is_a_problem_of_the_revision(task: str) -> None:
    results: Dict = {"pushed": {"tags": []}, "indexed": {"tags": []}, "moved": {"tags": []}}
    report = publish(**{**results, task: FAILED})
    assert (report["ok"], report["problems"]) == (False, ["no route to host"])


def test_a_rollback_without_a_plan_does_not_read_an_earlier_move() -> None:
    earlier = {"changed": True, "moved": [{"tag": "latest"}]}
    found = {"ok": False, "problems": ["no previous release"]}
    report = reports.rollback(found=found, tagged=earlier)
    assert (report["ok"], report["changed"], report["moved"]) == (False, False, [])
    assert reports.rollback(found={**found, "ok": True, "problems": []}, tagged=FAILED)["problems"] == [FAILED["msg"]]
    assert reports.rollback(found=FAILED, tagged=earlier)["problems"] == [FAILED["msg"]]


@pytest.mark.parametrize(
    ("used", "pruned", "problems"),
    [
        ({}, {"deleted": [], "kept": []}, []),
        ({}, {"deleted": [], **FAILED}, ["no route to host"]),
        (FAILED, {}, ["no route to host"]),
        ({}, {}, ["its variables are invalid"]),
    ],
)
def test_a_prune(used: Dict, pruned: Dict, problems: list[str]) -> None:
    report = reports.prune(clusters=[{"cluster": "https://a"}], used=used, pruned=pruned)
    assert (report["ok"], report["problems"], report["clusters"]) == (not problems, problems, ["https://a"])


def test_a_diagnosis_that_did_not_run() -> None:
    report = reports.diagnose(result=FAILED, namespace="apps", registry="oci.example")
    assert (report["ok"], report["namespace"], report["problems"]) == (False, "apps", ["no route to host"])


def workload(name: str, status: str, *, patch: bool = False) -> Dict:
    problem = None if status == "current" else f"{name} is {status}"
    running = [f"oci.example/{name}@sha256:0"]
    return {
        "name": name,
        "status": status,
        "problem": problem,
        "patch": {"spec": {}} if patch else None,
        "undo": None,
        "changes": [],
        "images": [{"running": running}],
    }


def rollout(before: Dict, restarted: Dict, after: Dict, *, check_mode: bool = False) -> Dict:
    given: Dict = {"may_restart": True, "check_mode": check_mode, "namespace": "apps", "registry": None}
    return reports.rollout(before=before, restarted=restarted, after=after, **given)


STALE: Dict = {"workloads": [workload("a", "stale", patch=True)], "problems": ["a is stale"], "namespace": "apps"}
CURRENT: Dict = {"workloads": [workload("a", "current")], "problems": []}
RESTARTED: Dict = {"results": [{"changed": True, "item": STALE["workloads"][0]}]}


def test_the_last_comparison_decides() -> None:
    report = rollout(STALE, RESTARTED, CURRENT)
    assert (report["ok"], report["restarted"], report["verified"]) == (True, ["a"], ["a"])
    report = rollout(STALE, RESTARTED, {**STALE, "failed": True})
    assert (report["ok"], report["problems"], report["not_verified"]) == (False, ["a is stale"], ["a"])


def test_check_mode_expects_that_a_restart_helps() -> None:
    assert rollout(STALE, RESTARTED, {"skipped": True}, check_mode=True)["ok"] is True
    assert rollout(STALE, {"results": []}, {"skipped": True})["ok"] is False


def test_an_earlier_result_is_not_read_after_a_failure() -> None:
    report = rollout(FAILED, RESTARTED, CURRENT)
    assert (report["ok"], report["changed"], report["workloads"]) == (False, False, [])
    assert report["problems"] == ["no route to host"]
    refused = {"failed": True, "msg": "items failed", "results": [{**FAILED, "item": {"name": "a"}}]}
    report = rollout(STALE, refused, CURRENT)
    assert report["problems"] == ["a: cannot be restarted: no route to host", "a is stale"]
    assert rollout(STALE, FAILED, CURRENT)["problems"] == ["no route to host", "a is stale"]


CHECKED = {"ok": False, "checks": [{"check": "exists"}], "problems": ["the secret does not exist"], "repair": {"x": 1}}


def test_a_pull_secret() -> None:
    def report(before: Dict, written: Dict, after: Dict) -> Dict:
        return reports.pull_secret(before=before, written=written, after=after, namespace="apps", registry=None)

    after, skipped = {"ok": True, "checks": [], "problems": []}, {"skipped": True}
    assert report(CHECKED, skipped, skipped)["ok"] is False
    found = report(CHECKED, {"changed": True}, after)
    assert (found["ok"], found["changed"], found["repair"]) == (True, True, {"x": 1})
    found = report(CHECKED, FAILED, {})
    assert (found["ok"], found["changed"], found["namespace"]) == (False, False, "apps")
    assert found["problems"] == ["no route to host", "the secret does not exist"]
    assert report(CHECKED, {"changed": True}, FAILED)["changed"] is True


def test_images_that_could_not_be_read_are_no_success() -> None:
    assert reports.verify(result={"skipped": True}) is None
    assert reports.verify(result={"at_risk": [], "images": []}) == {
        "ok": True,
        "images": [],
        "at_risk": [],
        "unreadable": [],
        "problems": [],
    }
    found = reports.verify(result=FAILED)
    assert found
    assert (found["ok"], found["problems"]) == (False, ["no route to host"])


def test_a_copy_that_did_not_run_is_a_problem() -> None:
    copied = {"images": [{"reference": "oci.example/app:r1"}]}
    assert reports.promote(invalid=[], result=copied, revision="r1")["references"] == ["oci.example/app:r1"]
    assert reports.promote(invalid=[], result={}, revision="")["problems"] == ["The copy did not run."]
    assert reports.promote(invalid=["no images"], result={}, revision="")["problems"] == ["no images"]
    assert reports.promote(invalid=[], result={**copied, **FAILED}, revision="r1")["ok"] is False
