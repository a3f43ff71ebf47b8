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

from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import without_architecture
from ansible_collections.killinit.zot.plugins.plugin_utils import _release_reports
from ansible_collections.killinit.zot.plugins.plugin_utils._exposure import used_images
from ansible_collections.killinit.zot.plugins.plugin_utils._rollout_report import problems_of, rollout
from ansible_collections.killinit.zot.plugins.plugin_utils._tables import table_of_tags

Result = t.Mapping[str, t.Any]
Report = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def publish(*, result: Result, revision: t.Any) -> Report:
    """The report of the role zot_publish."""
    ok = "images" in result and not result.get("failed")
    written = [tag["reference"] for tag in result.get("tags") or () if tag["changed"]]
    return {
        "ok": ok,
        "changed": bool(result.get("changed")),
        "registry": result.get("registry"),
        "revision": revision,
        "images": result.get("images") or [],
        # The tags of the release, without those of the architectures: workloads that name one of them follow it.
        "references": [
            each["reference"] for each in result.get("tags") or () if without_architecture(each["tag"]) != revision
        ],
        "written": written,
        "problems": [] if ok else [result.get("msg") or "The task did not run."],
        **vulnerabilities(result.get("scan")),
    }


def promote(*, invalid: t.Sequence[str], result: Result, revision: t.Any) -> Report:
    """The report of the playbook promote."""
    # Imported late, since no role needs it.
    from ansible_collections.killinit.zot.plugins.plugin_utils._promotion import shared_tags

    images = result.get("images") or []
    moved = result.get("moved") or []
    ok = "images" in result and not result.get("failed")
    problems = [*invalid, *([] if ok else [result["msg"]] if "msg" in result else [])]
    return {
        "ok": ok and not problems,
        "changed": bool(result.get("changed")),
        "registry": result.get("registry"),
        "revision": revision or None,
        "images": images,
        # Workloads that name one of them follow it.
        "references": [
            text for each in images for text in [tag["reference"] for tag in each["tags"]] or [each["reference"]]
        ],
        "summary": [_moved(each) for each in shared_tags(images, moved, revision)],
        "moved": moved,
        "problems": problems if problems or ok else ["The copy did not run."],
        **vulnerabilities(result.get("scan")),
    }


def vulnerabilities(scan: Result | None) -> Report:
    """What a report says about the vulnerabilities that a gate has found. Nothing if there was no gate."""
    if scan is None:
        return {}
    rows = [{"image": image["reference"], **each} for image in scan["images"] for each in image["vulnerabilities"]]
    return {
        "vulnerability_counts": scan["summary"],
        "vulnerabilities": sorted(rows, key=lambda row: list(scan["summary"]).index(row["severity"])),
        "ignored_vulnerabilities": [
            {"image": image["reference"], **each, "why": each["exception"]["reason"]}
            for image in scan["images"]
            for each in image["ignored"]
        ],
        "not_scanned": [
            {"image": image["reference"], "reason": image["reason"]} for image in scan["images"] if image["reason"]
        ],
    }


def rollback(*, found: Result, tagged: Result, revision: t.Any = None) -> Report:
    """The report of the role zot_rollback. *revision* is the revision that the user has named."""
    done = tagged if found.get("ok") else {}
    problems = [*problems_of(found), *([done["msg"]] if done.get("failed") else [])]
    images = found.get("images") or []
    return {
        "ok": not problems,
        "changed": bool(done.get("changed")),
        "registry": found.get("registry"),
        "revision": found.get("revision"),
        "exact": revision not in (None, ""),
        "images": images,
        "summary": [_moved(each) for each in images],
        "references": found.get("references") or [],
        "moved": done.get("moved") or [],
        "problems": problems,
    }


def _moved(tag: Result) -> str:
    """What happens to a shared tag, by the revisions: C(oci.example/app:latest: 9d0e4f7 → 3f2c1ab)."""
    before, after = (_revision(tag, key) for key in ("from", "to"))
    what = f"stays at {after}" if tag["from"] == tag["to"] else f"{before} → {after}"
    return f"{tag['reference']}: {what}"


def _revision(tag: Result, key: str) -> str:
    return str(tag.get(f"{key}_revision") or (tag[key] or "absent")[:19])


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
        "broken": pruned.get("broken") or [],
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
        "problems": problems_of(result),
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


def rotate(*, result: Result, check_mode: bool) -> Report:
    """The report of the role zot_rotate. No API key is in it."""
    keys = result.get("secrets") or []
    return {
        "ok": bool(result.get("ok")),
        "changed": bool(result.get("changed")),
        "registry": result.get("registry"),
        "cluster": result.get("cluster"),
        "keys": [{**each, "problem": " ".join(each["problems"]) or None} for each in keys],
        "unused": result.get("unused") or [],
        "summary": [_rotated(each, check_mode=check_mode) for each in keys],
        "problems": result["problems"] if "problems" in result else [result["msg"]],
    }


def _rotated(key: Result, *, check_mode: bool) -> str:
    did = "would be renewed" if check_mode and key["result"] == "renewed" else f"was {key['result']}"
    ends = f" It expires at {key['expires_at']}." if key["expires_at"] else ""
    # The right to pull is not proved by that.
    only = " No workload uses the registry, so it was used without an image." if key["proof"] == "registry" else ""
    return f"The key of {key['name']} in namespace {key['namespace']} {did}.{ends}{only}"


def rotate_all(*, clusters: t.Mapping[str, Result]) -> Report:
    """The report of the playbook rotate. *clusters* are the reports of the role, by host."""
    keys = [{"host": host, **each} for host, report in clusters.items() for each in report.get("keys") or ()]
    revoked = [one for each in keys for one in each["revoked"]]
    gone = {each["uuid"] for each in revoked}
    unused = {
        one["uuid"]: one
        for report in clusters.values()
        for one in report.get("unused") or ()
        if one["uuid"] not in gone
    }
    columns = ("host", "namespace", "name", "result", "label", "uuid", "expires_at", "last_used_at", "proof", "problem")
    unread = ["The keys were not rotated. Read its first error."]
    problems = [
        f"{host}: {text}" for host, report in clusters.items() for text in (report["problems"] if report else unread)
    ]
    return {
        "ok": not problems,
        "changed": any(report.get("changed") for report in clusters.values()),
        "registry": next((report["registry"] for report in clusters.values() if report.get("registry")), None),
        "keys": [{name: key[name] for name in columns} for key in keys],
        "revoked": revoked,
        "unused": list(unused.values()),
        "summary": [
            *(f"{host}: {text}" for host, report in clusters.items() for text in report.get("summary") or ()),
            *(
                f"Nobody has used the key {each['uuid']} ({each['label']}) since {_used(each)}."
                for each in unused.values()
            ),
        ],
        "problems": problems,
    }


def _used(key: Result) -> str:
    return str(key["last_used_at"] or key["created_at"])


def verify_problems(*, repair: t.Any, at_risk: t.Any) -> list[str]:
    """What is wrong with the variables of the playbook verify. Extra variables override those of the playbook."""
    found = []
    if repair:
        found.append(
            "The playbook verify writes nothing, but zot_pull_secret_repair is true. Remove the variable, or run the"
            " role zot_pull_secret instead."
        )
    if at_risk not in ("report", "fail", "ignore"):
        found.append(f"zot_verify_at_risk is {at_risk}, but must be report, fail or ignore. Correct the variable.")
    return found


def verify(*, result: Result, scan: Result, at_risk: str, gate: bool) -> Report | None:
    """The report of the playbook verify about the images in use, None if they were not read.

    *at_risk* is what to do with images that can be lost. *gate* is whether the playbook limits their vulnerabilities.
    """
    if result.get("skipped"):
        return None
    risks = result.get("at_risk")
    unread = [result.get("msg") or "unknown"] if risks is None else []
    lost = unread if risks is None else [] if at_risk == "ignore" else risks
    # What cannot be read has no vulnerabilities that are known.
    found = [] if not gate else unread or scan.get("problems") or ([] if scan.get("ok") else [scan["msg"]])
    return {
        "ok": not lost and not found,
        "images": result.get("images") or [],
        "at_risk": risks or [],
        "unreadable": result.get("unreadable") or [],
        "records": result.get("records") or [],
        "releases": [_since(each) for each in result.get("records") or ()],
        "problems": list(dict.fromkeys([*lost, *found])),
        "failures": list(dict.fromkeys([*(lost if at_risk == "fail" else []), *found])),
        **vulnerabilities(scan if gate and "images" in scan else None),
    }


def _since(record: Result) -> str:
    """What a workload runs since which release, as a sentence."""
    images = ", ".join(
        f"{each['container']} {each['after'].partition('@')[0].partition('/')[2]} ({(each['runs'] or 'unknown')[:19]})"
        for each in record["images"]
    )
    changed = "" if record["holds"] else "; somebody has changed the workload since"
    return f"{record['namespace']}/{record['name']}: {_release_reports.released_since(record)}: {images}{changed}"


def promotion_of(**variables: t.Any) -> Report:
    """What the playbook promote copies. Imported late, since no role needs it."""
    from ansible_collections.killinit.zot.plugins.plugin_utils._promotion import promotion

    return promotion(**variables)


REPORTS: t.Mapping[str, t.Callable[..., t.Any]] = {
    "zot_publish": publish,
    "promotion": promotion_of,
    "zot_promote": promote,
    "zot_rollback": rollback,
    "zot_prune": prune,
    "zot_diagnose": diagnose,
    "zot_pull_secret": pull_secret,
    "zot_rotate": rotate,
    "rotated_keys": rotate_all,
    "same_clusters": _release_reports.same_clusters,
    "cluster": _release_reports.cluster,
    "finished_cluster": _release_reports.finished_cluster,
    "restored_cluster": _release_reports.restored_cluster,
    "zot_release": _release_reports.release,
    "rolled_back_clusters": _release_reports.rolled_back_clusters,
    "zot_rollout": rollout,
    "verify_problems": verify_problems,
    "used_images": used_images,
    "zot_verify": verify,
    "reported_cluster": _release_reports.report_cluster,
    "reported_clusters": _release_reports.report_clusters,
    "prune_table": table_of_tags,
}
