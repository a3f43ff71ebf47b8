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
    return {"reference": f"oci.example/app:{name}", "tag": name, "changed": changed}


def test_a_revision_is_published_if_its_task_has_ended() -> None:
    tags = [tag("r1-amd64", changed=True), tag("r1", changed=True), tag("latest", changed=False)]
    result = {"registry": "oci.example", "changed": True, "tags": tags, "images": [{"tag": "r1"}]}
    report = reports.publish(result=result, revision="r1")
    assert (report["ok"], report["changed"], report["images"]) == (True, True, [{"tag": "r1"}])
    # The tags that workloads follow: without those of the architectures, also if a tag did not move.
    assert report["references"] == ["oci.example/app:r1", "oci.example/app:latest"]
    assert report["written"] == ["oci.example/app:r1-amd64", "oci.example/app:r1"]
    failed = reports.publish(result={**result, **FAILED}, revision="r1")
    assert (failed["ok"], failed["problems"], failed["written"]) == (False, [FAILED["msg"]], report["written"])
    assert reports.publish(result={}, revision="r1")["ok"] is False


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
        "reason": "its image",
        "problem": problem,
        "patch": {"spec": {}} if patch else None,
        "by_hand": None,
        "changes": [],
        "images": [{"running": running}],
    }


def rollout(before: Dict, restarted: Dict, after: Dict, *, check_mode: bool = False, several: bool = False) -> Dict:
    given: Dict = {"may_restart": True, "namespace": "apps", "registry": None, "several": several}
    return reports.rollout(before=before, restarted=restarted, after=after, check_mode=check_mode, **given)


STALE_A = workload("a", "stale", patch=True)
STALE: Dict = {"workloads": [STALE_A], "problems": ["a is stale"], "namespace": "apps"}
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


def test_one_of_several_clusters_has_one_line() -> None:
    """Unless it has failed, or unless its changes are still to be made."""
    skipped = {"skipped": True}
    assert rollout(STALE, RESTARTED, CURRENT, several=True)["summary"] == ["1 workload (1 current), 1 restarted"]
    for details in (
        rollout(STALE, RESTARTED, CURRENT),
        rollout(STALE, RESTARTED, {**STALE, "failed": True}, several=True),
        rollout(STALE, RESTARTED, skipped, several=True, check_mode=True),
    ):
        assert [line[:3] for line in details["summary"]] == ["a: "]


def test_an_earlier_result_is_not_read_after_a_failure() -> None:
    report = rollout(FAILED, RESTARTED, CURRENT)
    assert (report["ok"], report["changed"], report["workloads"]) == (False, False, [])
    assert report["problems"] == ["no route to host"]
    assert rollout(STALE, FAILED, {"skipped": True})["problems"] == ["no route to host", "a is stale"]


def test_a_refused_patch_is_one_problem_and_the_others_are_verified() -> None:
    both = [workload("a", "stale", patch=True), workload("b", "stale", patch=True)]
    before: Dict = {"workloads": both, "problems": ["a is stale", "b is stale"]}
    after = {"workloads": [both[0], workload("b", "current")], "problems": ["a is stale"]}
    results = [{**FAILED, "item": both[0]}, {"changed": True, "item": both[1]}]
    report = rollout(before, {"failed": True, "msg": "items failed", "results": results}, after)
    assert report["problems"] == ["a: the patch failed: no route to host"]
    assert (report["verified"], report["not_verified"], report["restarted"]) == (["b"], ["a"], ["b"])


def test_an_api_server_that_is_down_during_the_patches() -> None:
    text = (
        "Failed to get client due to HTTPSConnectionPool(host='127.0.0.1', port=6443): Max retries exceeded with url:"
        " /version (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f1>: Failed to"
        " establish a new connection: [Errno 111] Connection refused'))"
    )
    patches = {"failed": True, "msg": "items failed", "results": [{"failed": True, "msg": text, "item": STALE_A}]}
    assert rollout(STALE, patches, STALE)["problems"] == [
        "a: the patch failed: no answer from the API server (Connection refused)"
    ]


# As the versions of ansible-core end a task after its timeout.
UNANSWERED: list[Dict] = [
    {"msg": "Task failed: Timed out after 120 seconds.", "timedout": {"period": 120}},
    {"msg": "The k8s action failed to execute in the expected time frame (120) and was terminated"},
]


@pytest.mark.parametrize("failure", UNANSWERED, ids=["timedout", "text"])
@pytest.mark.parametrize("status", ["stale", "current", None])
def test_a_patch_without_an_answer(failure: Dict, status: str | None) -> None:
    """The comparison after it decides. If the cluster cannot be read either, both are problems."""
    restarted = {"failed": True, "msg": "items failed", "results": [{**failure, "failed": True, "item": STALE_A}]}
    after = {"stale": STALE, "current": CURRENT, None: FAILED}[status]
    report = rollout(STALE, restarted, after)
    unanswered = "a: the API server did not answer the patch within 120 s and may still make the change; "
    assert (
        report["problems"]
        == {
            "stale": [f"{unanswered}the workload is stale: its image"],
            "current": [],
            None: [f"{unanswered}it was not read again", "no route to host"],
        }[status]
    )
    assert (report["ok"], report["restarted"]) == ((True, ["a"]) if status == "current" else (False, []))


def test_check_mode_does_not_expect_what_the_user_must_do() -> None:
    own = {**workload("a", "stale", patch=True), "by_hand": "delete its pods"}
    report = rollout({**STALE, "workloads": [own]}, {"results": []}, {"skipped": True}, check_mode=True)
    assert report["problems"] == ["a is stale"]


def test_a_rollback_names_the_revisions() -> None:
    tag = {"reference": "oci.example/app:latest", "from_revision": "9d0e4f7", "to_revision": "3f2c1ab"}
    tags = [{**tag, "from": "sha256:9", "to": "sha256:3"}, {**tag, "from": "sha256:3", "to": "sha256:3"}]
    tags.append({**tag, "from": None, "to": f"sha256:{'a' * 64}", "from_revision": None, "to_revision": None})
    report = reports.rollback(found={"ok": True, "problems": [], "images": tags}, tagged={})
    assert report["summary"] == [
        "oci.example/app:latest: 9d0e4f7 → 3f2c1ab",
        "oci.example/app:latest: stays at 3f2c1ab",
        "oci.example/app:latest: absent → sha256:aaaaaaaaaaaa",
    ]


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


def verified(
    result: dict[str, t.Any], scan: dict[str, t.Any] | None = None, at_risk: str = "report", *, gate: bool = False
) -> t.Any:
    return reports.verify(result=result, scan=scan or {"skipped": True}, at_risk=at_risk, gate=gate)


def test_images_that_could_not_be_read_are_no_success() -> None:
    assert verified({"skipped": True}) is None
    assert verified({"at_risk": [], "images": []}) == {
        "ok": True,
        "images": [],
        "at_risk": [],
        "unreadable": [],
        "records": [],
        "releases": [],
        "problems": [],
        "failures": [],
    }
    found = verified(FAILED)
    assert (found["ok"], found["problems"], found["failures"]) == (False, ["no route to host"], [])
    # Nothing is known about their vulnerabilities.
    assert verified(FAILED, gate=True)["failures"] == ["no route to host"]


def test_images_that_can_be_lost_or_have_vulnerabilities() -> None:
    used = {"at_risk": ["app can be lost"], "images": []}
    bad = {"ok": False, "problems": ["app has 1 vulnerability"], "images": [], "summary": {"critical": 1}}
    for at_risk, problems, failures in (
        ("report", ["app can be lost", "app has 1 vulnerability"], ["app has 1 vulnerability"]),
        ("fail", ["app can be lost", "app has 1 vulnerability"], ["app can be lost", "app has 1 vulnerability"]),
        ("ignore", ["app has 1 vulnerability"], ["app has 1 vulnerability"]),
    ):
        report = verified(used, bad, at_risk, gate=True)
        assert (report["ok"], report["problems"], report["failures"]) == (False, problems, failures)
        assert report["vulnerability_counts"] == {"critical": 1}
    failed = verified({"at_risk": [], "images": []}, FAILED, gate=True)
    assert (failed["ok"], failed["failures"]) == (False, ["no route to host"])


def test_what_a_workload_runs_since_when() -> None:
    image = {"container": "container app", "after": "zot.example/web:latest@sha256:1", "runs": "sha256:4c553b9ea325f00"}
    record = {"namespace": "shop", "name": "deployment/web", "revision": "b000002", "time": "2026-11-25T12:00:00Z"}
    record |= {"rollback": False, "holds": True, "images": [image]}
    restored = {**record, "revision": None, "rollback": True, "holds": False}
    restarted = {**record, "revision": None}
    found = verified({"images": [], "at_risk": [], "records": [record, restored, restarted]})
    assert found["records"] == [record, restored, restarted]
    when = "at 2026-11-25T12:00:00Z: container app web:latest (sha256:4c553b9ea325)"
    assert found["releases"] == [
        f"shop/deployment/web: release b000002 {when}",
        f"shop/deployment/web: rollback {when}; somebody has changed the workload since",
        f"shop/deployment/web: restart {when}",
    ]


def test_a_copy_that_did_not_run_is_a_problem() -> None:
    copied = {"images": [{"reference": "oci.example/app@sha256:1", "tags": []}]}
    assert reports.promote(invalid=[], result=copied, revision="")["references"] == ["oci.example/app@sha256:1"]
    assert reports.promote(invalid=[], result={}, revision="")["problems"] == ["The copy did not run."]
    assert reports.promote(invalid=["no images"], result={}, revision="")["problems"] == ["no images"]
    assert reports.promote(invalid=[], result={**copied, **FAILED}, revision="r1")["ok"] is False


def test_keys_that_nobody_uses() -> None:
    """A key that another cluster has revoked meanwhile is not listed. A cluster without a report failed."""
    unused = [{"uuid": name, "label": name, "created_at": "2026-01-01", "last_used_at": None} for name in "ab"]
    result = {"ok": True, "secrets": [], "problems": [], "registry": "oci.example", "unused": unused}
    secret = {
        **dict.fromkeys(("label", "uuid", "expires_at", "last_used_at", "proof")),
        "namespace": "n",
        "name": "s",
        "result": "kept",
        "problems": [],
        "revoked": [unused[0]],
        "changed": True,
    }
    one = reports.rotate(result=result, check_mode=False)
    other = reports.rotate(result={**result, "secrets": [secret], "unused": []}, check_mode=False)
    found = reports.rotate_all(clusters={"eu": one, "us": other})
    assert (found["ok"], [each["uuid"] for each in found["unused"]]) == (True, ["b"])
    assert found["summary"][-1] == "Nobody has used the key b (b) since 2026-01-01."
    missing = reports.rotate_all(clusters={"eu": one, "down": {}})
    assert (missing["ok"], missing["problems"]) == (False, ["down: The keys were not rotated. Read its first error."])
