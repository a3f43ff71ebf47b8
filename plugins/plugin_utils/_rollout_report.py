# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of the role zot_rollout.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter

Result = t.Mapping[str, t.Any]
Report = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def rollout(
    *,
    before: Result,
    restarted: Result,
    after: Result,
    may_restart: bool,
    check_mode: bool,
    several: bool,
    namespace: t.Any,
    registry: t.Any,
) -> Report:
    """The report of the role zot_rollout. *several* is whether the play has several hosts."""
    patches = {} if before.get("failed") else restarted
    # Without a restart or a rollout in progress, nothing is compared again.
    again = bool(after) and not (before.get("failed") or after.get("skipped"))
    verdict = after if again else before
    workloads = verdict.get("workloads", before.get("workloads")) or []
    results = patches.get("results") or []
    now = {each["name"]: each for each in (after.get("workloads") or () if again else ())}
    failed = [each for each in results if each.get("failed")]
    # The API server can make a change and fail to answer.
    made = [each for each in failed if _is_done(now.get(each["item"]["name"]))]
    restarts = [each["item"] for each in results if each.get("changed") or each in made]
    current = [each["name"] for each in verdict.get("workloads") or () if each["status"] == "current"]
    refusals = {
        each["item"]["name"]: _refusal(each, now.get(each["item"]["name"])) for each in failed if each not in made
    }
    # In check mode a patch and a wait would solve these problems.
    pending = [
        each["problem"]
        for each in workloads
        if each["name"] in refusals
        or (check_mode and may_restart and not each["by_hand"] and (each["patch"] or each["status"] == "progressing"))
    ]
    problems = [
        *refusals.values(),
        *([patches["msg"]] if patches.get("failed") and not failed else []),
        *(each for each in problems_of(verdict) if each not in pending),
    ]
    images_set = {each["name"]: each["changes"] for each in restarts if each["changes"]}
    theirs, unverified = verdict.get("theirs") or [], verdict.get("unverified") or []
    details = [
        *(f"{each['name']}: {each['status']}: {each['reason']}" for each in workloads),
        # The diff of a patch hides the pod template, whose environment may hold secrets.
        *(f"{name}: set {change}" for name, changes in images_set.items() for change in changes),
    ]
    # Of many clusters, those are of interest that have failed, and in check mode those that would change.
    brief = several and not problems and not (check_mode and restarts)
    return {
        "ok": not problems,
        "changed": bool(restarts),
        "summary": [
            *([_counts(workloads, restarts)] if brief else details),
            *(f"not changed: {text}" for text in theirs),
            *(f"unverified: {text}" for text in unverified),
        ],
        "namespace": before.get("namespace", namespace),
        "registry": before.get("registry", registry),
        "cluster": before.get("cluster"),
        "workloads": workloads,
        "restarted": [each["name"] for each in restarts],
        "images_set": images_set,
        "runs": sorted({text for each in workloads for image in each["images"] for text in image["running"]}),
        "verified": current,
        "not_verified": sorted({each["name"] for each in workloads if each["status"] != "untouched"} - set(current)),
        "theirs": theirs,
        "problems": problems,
        "unverified": unverified,
        "unreadable": verdict.get("unreadable") or [],
    }


def _counts(workloads: t.Sequence[Result], restarts: t.Sequence[Result]) -> str:
    """How many workloads have which status, and how many of them were restarted."""
    counts = Counter(each["status"] for each in workloads)
    statuses = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{len(workloads)} workload{'' if len(workloads) == 1 else 's'} ({statuses}), {len(restarts)} restarted"


def _is_done(workload: Result | None) -> bool:
    """Whether a workload needs nothing, by the comparison after the patch."""
    return workload is not None and workload["status"] == "current" and not (workload["patch"] or workload["problem"])


def _refusal(patch: Result, workload: Result | None) -> str:
    """Why a patch failed. *workload* is the workload after the patch, if it was read."""
    name, message = patch["item"]["name"], patch["msg"]
    # The first key is that of newer versions of ansible-core, whose message does not name the limit alone.
    limit = re.search(r"expected time frame \((\d+)\)", message)
    seconds = patch["timedout"]["period"] if "timedout" in patch else limit[1] if limit else None
    if seconds is None:
        # The message of the library has the address of an object in memory.
        refused = re.search(r"ConnectionPool\(.*\[Errno \d+\] ([\w ]+)", message, re.DOTALL)
        return f"{name}: the patch failed: {f'no answer from the API server ({refused[1]})' if refused else message}"
    after = f"the workload is {workload['status']}: {workload['reason']}" if workload else "it was not read again"
    return f"{name}: the API server did not answer the patch within {seconds} s and may still make the change; {after}"


def problems_of(result: Result) -> list[str]:
    """The problems that a module returns, or its error."""
    return list(result["problems"]) if "problems" in result else [result["msg"]] if result.get("failed") else []
