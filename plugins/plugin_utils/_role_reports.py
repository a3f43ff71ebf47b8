# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of the roles and playbooks, made from the results of their tasks.

Private to killinit.zot: it may change at any time.

The result of a task that did not run is an empty dictionary. A result that is older than a failed one is of an earlier
run of the role in the same play, and is not read.
"""

from __future__ import annotations

import typing as t

Result = t.Mapping[str, t.Any]
Report = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def publish(*, plan: Result, pushed: Result, indexed: Result, moved: Result, revision: t.Any) -> Report:
    """The report of the role zot_publish."""
    results = [each for each in (pushed, indexed, moved) if each]
    problems = [*plan["problems"], *(each["msg"] for each in results if each.get("failed"))]
    written = [tag["reference"] for each in results for tag in each.get("tags") or () if tag["changed"]]
    single = [image for image in pushed.get("images") or () if image["tag"] == revision]
    return {
        "ok": len(results) == 3 and not problems,
        "changed": bool(written),
        "registry": pushed.get("registry"),
        "revision": revision,
        "images": [*(indexed.get("images") or ()), *single],
        "written": written,
        "problems": problems,
    }


def promote(*, invalid: t.Sequence[str], result: Result, revision: t.Any) -> Report:
    """The report of the playbook promote."""
    images = result.get("images") or []
    ok = "images" in result and not result.get("failed")
    problems = [*invalid, *([] if ok else [result["msg"]] if "msg" in result else [])]
    return {
        "ok": ok and not problems,
        "changed": bool(result.get("changed")),
        "registry": result.get("registry"),
        "revision": revision or None,
        "images": images,
        "references": [each["reference"] for each in images],
        "moved": result.get("moved") or [],
        "problems": problems if problems or ok else ["The copy did not run."],
    }


def rollback(*, found: Result, tagged: Result) -> Report:
    """The report of the role zot_rollback."""
    done = tagged if found.get("ok") else {}
    problems = [*_problems(found), *([done["msg"]] if done.get("failed") else [])]
    return {
        "ok": not problems,
        "changed": bool(done.get("changed")),
        "registry": found.get("registry"),
        "revision": found.get("revision"),
        "images": found.get("images") or [],
        "references": found.get("references") or [],
        "moved": done.get("moved") or [],
        "problems": problems,
    }


def prune(*, clusters: t.Sequence[Result], used: Result, pruned: Result) -> Report:
    """The report of the role zot_prune."""
    ok = "deleted" in pruned and not pruned.get("failed")
    reason = pruned.get("msg") or used.get("msg") or "its variables are invalid"
    return {
        "ok": ok,
        "changed": bool(pruned.get("changed")),
        "registry": pruned.get("registry"),
        "clusters": [each["cluster"] for each in clusters],
        "deleted": pruned.get("deleted") or [],
        "kept": pruned.get("kept") or [],
        "undo": pruned.get("undo") or [],
        "freeable": pruned.get("freeable") or 0,
        "problems": [] if ok else [reason],
    }


def diagnose(*, result: Result, namespace: t.Any, registry: t.Any) -> Report:
    """The report of the role zot_diagnose."""
    return {
        "ok": bool(result.get("ok")),
        "changed": False,
        "namespace": result.get("namespace", namespace),
        "registry": result.get("registry", registry),
        "cluster": result.get("cluster"),
        "pods": result.get("pods"),
        "findings": result.get("findings") or [],
        "problems": _problems(result),
        "unreadable": result.get("unreadable") or [],
    }


def pull_secret(*, before: Result, written: Result, after: Result, namespace: t.Any, registry: t.Any) -> Report:
    """The report of the role zot_pull_secret."""
    verdict = after if "checks" in after else before
    failures = [each["msg"] for each in (before, written, after) if each.get("failed")]
    problems = verdict.get("problems") or []
    return {
        "ok": not failures and bool(verdict.get("ok")),
        "changed": bool(written.get("changed")),
        "namespace": verdict.get("namespace", namespace),
        "name": verdict.get("name"),
        "registry": verdict.get("registry", registry),
        "cluster": verdict.get("cluster"),
        "account": verdict.get("account"),
        "key": verdict.get("key"),
        "checks": verdict.get("checks") or [],
        "problems": [*failures, *problems],
        "unreadable": verdict.get("unreadable") or [],
        "repair": before.get("repair"),
    }


def rotate(
    *,
    before: Result,
    key: Result,
    written: Result,
    after: Result,
    lost: Result,
    revoked: Result,
    failure: str,
    namespace: t.Any,
    check_mode: bool,
) -> Report:
    """The report of the role zot_rotate. *failure* is the reason why a task has failed. No API key is in it."""
    renews = bool(key.get("created"))
    writes = renews and not check_mode
    now = after if writes else before
    held = (now if "checks" in now else before).get("key") or {}
    problems = [failure] if failure else []
    if renews and "action" not in written:
        problems.append(written.get("msg") or "The pull secret was not written.")
    elif writes and "checks" in after and held.get("uuid") != key["uuid"]:
        problems.append("The pull secret holds another key than the new one: another run rotates it, too.")
    # In check mode the new key would solve the problems of the old one.
    if writes or not renews:
        problems += _problems(now)
    last = revoked if "api_keys" in revoked else key
    used = [each["last_used_at"] for each in last.get("api_keys") or () if each["uuid"] == held.get("uuid")]
    gone = [*(lost.get("revoked") or ()), *(revoked.get("revoked") or ())]
    result = "failed" if problems else "renewed" if renews else "kept"
    name = before.get("name")
    expires = key.get("expires_at") if renews and check_mode else held.get("expires_at")
    did = "would be renewed" if renews and check_mode else f"was {result}"
    ends = f" It expires at {expires}." if expires else ""
    return {
        "ok": not problems,
        "changed": any(each.get("changed") for each in (key, written, lost, revoked)),
        "result": result,
        "namespace": before.get("namespace", namespace),
        "name": name,
        "registry": before.get("registry"),
        "cluster": before.get("cluster"),
        "account": (now if "checks" in now else before).get("account"),
        "label": before.get("key_label"),
        "uuid": held.get("uuid"),
        "expires_at": held.get("expires_at"),
        "last_used_at": used[0] if used else None,
        "revoked": gone,
        "unused": [each for each in last.get("unused") or () if each["uuid"] not in {one["uuid"] for one in gone}],
        "summary": f"The key of {name} in namespace {before.get('namespace', namespace)} {did}.{ends}",
        "problems": problems,
    }


def rotate_all(*, clusters: t.Mapping[str, t.Sequence[Result]]) -> Report:
    """The report of the playbook rotate. *clusters* are the reports of the role, by host."""
    keys = [{"host": host, **each} for host, reports in clusters.items() for each in reports]
    problems = [
        *(f"{each['host']}, {each['namespace']}: {text}" for each in keys for text in each["problems"]),
        *(
            f"{host}: The keys were not rotated. Read its first error."
            for host, reports in clusters.items()
            if not reports
        ),
    ]
    revoked = [one for each in keys for one in each["revoked"]]
    gone = {each["uuid"] for each in revoked}
    unused = {one["uuid"]: one for each in keys for one in each["unused"] if one["uuid"] not in gone}
    columns = ("host", "namespace", "name", "result", "label", "uuid", "expires_at", "last_used_at", "problem")
    rows = [{**each, "problem": " ".join(each["problems"]) or None} for each in keys]
    return {
        "ok": not problems,
        "changed": any(each["changed"] for each in keys),
        "registry": next((each["registry"] for each in keys if each["registry"]), None),
        "keys": [{name: row[name] for name in columns} for row in rows],
        "revoked": revoked,
        "unused": list(unused.values()),
        "summary": [
            *(f"{each['host']}: {each['summary']}" for each in keys),
            *(
                f"Nobody has used the key {each['uuid']} ({each['label']}) since {_used(each)}."
                for each in unused.values()
            ),
        ],
        "problems": problems,
    }


def _used(key: Result) -> str:
    return str(key["last_used_at"] or key["created_at"])


def rollback_cluster(*, name: str, rollout: Result, failure: str) -> Report:
    """What the playbook rollback has done with one cluster. *failure* is the reason if the rollout has no report."""
    ok = bool(rollout.get("ok"))
    problem = None if ok else "; ".join(rollout.get("problems") or ()) or failure
    return {"name": name, "ok": ok, "problem": problem, "rollout": rollout or None}


def verify(*, result: Result) -> Report | None:
    """The report of the playbook verify about the images in use, None if they were not read."""
    if result.get("skipped"):
        return None
    at_risk = result.get("at_risk")
    return {
        "ok": at_risk == [],
        "images": result.get("images") or [],
        "at_risk": at_risk or [],
        "unreadable": result.get("unreadable") or [],
        "problems": [result.get("msg") or "unknown"] if at_risk is None else at_risk,
    }


def rollout(
    *,
    before: Result,
    restarted: Result,
    after: Result,
    may_restart: bool,
    check_mode: bool,
    namespace: t.Any,
    registry: t.Any,
) -> Report:
    """The report of the role zot_rollout."""
    patches = {} if before.get("failed") else restarted
    # Without a restart or a rollout in progress, nothing is compared again.
    again = not (before.get("failed") or patches.get("failed") or after.get("skipped"))
    verdict = after if again else before
    workloads = verdict.get("workloads", before.get("workloads")) or []
    changed = [each for each in patches.get("results") or () if each.get("changed")]
    refused = [each for each in patches.get("results") or () if each.get("failed")]
    restarts = [each["item"] for each in changed]
    current = [each["name"] for each in verdict.get("workloads") or () if each["status"] == "current"]
    # In check mode a restart and a wait would solve these problems.
    pending = [
        each["problem"]
        for each in workloads
        if check_mode and may_restart and (each["patch"] or each["status"] == "progressing")
    ]
    problems = [
        *(f"{each['item']['name']}: cannot be restarted: {each['msg']}" for each in refused),
        *([patches["msg"]] if patches.get("failed") and not refused else []),
        *(each for each in _problems(verdict) if each not in pending),
    ]
    return {
        "ok": not problems,
        "changed": bool(restarts),
        "namespace": before.get("namespace", namespace),
        "registry": before.get("registry", registry),
        "cluster": before.get("cluster"),
        "workloads": workloads,
        "restarted": [each["name"] for each in restarts],
        "images_set": {each["name"]: each["changes"] for each in restarts if each["changes"]},
        "runs": sorted({text for each in workloads for image in each["images"] for text in image["running"]}),
        "undo": [each["undo"] for each in restarts if each["undo"]],
        "verified": current,
        "not_verified": sorted({each["name"] for each in workloads} - set(current)),
        "problems": problems,
        "unverified": verdict.get("unverified") or [],
        "unreadable": verdict.get("unreadable") or [],
    }


def _problems(result: Result) -> list[str]:
    """The problems that a module returns, or its error."""
    return list(result["problems"]) if "problems" in result else [result["msg"]] if result.get("failed") else []


REPORTS: t.Mapping[str, t.Callable[..., Report | None]] = {
    "zot_publish": publish,
    "zot_promote": promote,
    "zot_rollback": rollback,
    "zot_prune": prune,
    "zot_diagnose": diagnose,
    "zot_pull_secret": pull_secret,
    "zot_rotate": rotate,
    "rotated_keys": rotate_all,
    "rolled_back_cluster": rollback_cluster,
    "zot_rollout": rollout,
    "zot_verify": verify,
}
