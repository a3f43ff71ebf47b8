# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of the playbooks release, rollback and report: one entry for each cluster.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

Result = t.Mapping[str, t.Any]
Report = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it

_DONE = ("released", "rolled back")


def cluster(
    *,
    name: str,
    result: str,
    problem: str | None = None,
    pull_secret: Result | None = None,
    rollout: Result | None = None,
) -> Report:
    """What a playbook has done with one cluster, by its *result*. The other values are the reports of the roles."""
    return {
        "name": name,
        "ok": result in _DONE,
        "result": result,
        "problem": problem,
        "pull_secret": pull_secret or None,
        "rollout": rollout or None,
    }


def finished_cluster(
    *, name: str, done: str, rollout: Result, failure: str, pull_secret: Result | None = None
) -> Report:
    """A cluster after the rollout. *done* is the result if it is right, *failure* the reason if it has no report."""
    ok = bool(rollout.get("ok"))
    problem = None if ok else _problem(rollout, failure)
    return cluster(
        name=name, result=done if ok else "failed", problem=problem, pull_secret=pull_secret, rollout=rollout
    )


def restored_cluster(*, released: Result, rollout: Result, failure: str) -> Report:
    """A cluster after a release that has failed. *released* is its report from before, *rollout* of the rollback."""
    result, problem = "restored", released["problem"]
    if not rollout.get("ok"):
        result = "not restored"
        problem = "; ".join(filter(None, [problem, f"it was not restored: {_problem(rollout, failure)}"]))
    elif released["result"] == "not started" and not rollout["changed"]:
        return dict(released)
    return cluster(
        name=released["name"], result=result, problem=problem, pull_secret=released["pull_secret"], rollout=rollout
    )


def _problem(rollout: Result, failure: str) -> str:
    return "; ".join(rollout.get("problems") or ()) or failure


def same_clusters(*, clusters: t.Mapping[str, Result], namespaces: t.Mapping[str, t.Any] | None = None) -> list[str]:
    """A sentence for each namespace of a cluster that several hosts name. *clusters* are what each host has read."""
    found: dict[tuple[str, str], list[str]] = {}
    for host, read in clusters.items():
        namespace = read.get("namespace") if namespaces is None else namespaces[host]
        if "cluster" in read:
            found.setdefault((read["cluster"], str(namespace or "")), []).append(host)
    return [
        f"The hosts {' and '.join(hosts)} of zot_clusters are the same"
        f"{f' namespace {namespace} of the same' if namespace else ''} cluster {server}. Give each host its own"
        " zot_kubeconfig, zot_context or zot_namespace."
        for (server, namespace), hosts in found.items()
        if len(hosts) > 1
    ]


def release(*, clusters: t.Sequence[Result], published: Result, rolled_back: Result) -> Report:
    """The report of the playbook release. *rolled_back* is empty if the shared tags were not to be rolled back."""
    revision = published["revision"]
    if rolled_back.get("ok"):
        tags = "The shared tags are rolled back."
    elif rolled_back:
        tags = f"The shared tags are not rolled back: {'; '.join(rolled_back['problems'])}"
    else:
        tags = (
            f"The shared tags refer to {revision}. To roll back, run ansible-playbook killinit.zot.rollback with the"
            " inventory and the variables of this release."
        )
    ok = bool(clusters) and all(each["ok"] for each in clusters)
    failure = [f"The revision {revision} is not released to all clusters.", *_lines(clusters), tags]
    return {
        "ok": ok,
        "revision": revision,
        "rollback": rolled_back or None,
        "clusters": list(clusters),
        "problems": [] if ok else failure,
    }


def rolled_back_clusters(*, rolled_back: Result, clusters: t.Sequence[Result], tags_only: bool) -> Report:
    """The report of the playbook rollback, after the role zot_rollback has moved the shared tags."""
    ok = all(each["ok"] for each in clusters) and (tags_only or bool(clusters))
    failure = ["The shared tags are rolled back, but not all clusters.", *_lines(clusters)]
    problems = [*rolled_back["problems"], *([] if ok else failure)]
    return {**rolled_back, "ok": not problems, "clusters": list(clusters), "problems": problems}


def _lines(clusters: t.Sequence[Result]) -> t.Iterator[str]:
    for each in clusters:
        yield f"{each['name']}: {each['result']}{': ' + each['problem'] if each['problem'] else ''}."
        # One of many clusters that is as it should be has one line.
        if not each["ok"] and (each["rollout"] or {}).get("runs"):
            yield f"{each['name']} runs {', '.join(each['rollout']['runs'])}."


def report_cluster(*, name: str, ping: Result, used: Result, compared: Result) -> Report:
    """What the playbook report has read from one cluster: one of C(clusters) of zot_report."""
    results = compared.get("results") or []
    workloads = {each["namespace"]: each["workloads"] for each in results if "workloads" in each}
    problems = [
        *(each.get("msg") for each in (ping, used, *results)),
        *(unreadable["message"] for each in results for unreadable in each.get("unreadable") or ()),
    ]
    return {
        "name": name,
        "cluster": used.get("cluster"),
        "namespaces": used.get("namespaces") or [],
        "problems": list(dict.fromkeys(filter(None, problems))),
        "images": used.get("images") or [],
        "at_risk": used.get("at_risk") or [],
        "stale": [
            f"{namespace}: {each['problem']}"
            for namespace, several in workloads.items()
            for each in several
            if each["status"] == "stale"
        ],
        "workloads": workloads,
    }


def released_since(record: Result) -> str:
    """Which release a workload runs since when, from its record."""
    what = "rollback" if record["rollback"] else "release" if record["revision"] else "restart"
    return f"{' '.join(filter(None, (what, record['revision'])))} at {record['time']}"


def report_clusters(*, read: t.Mapping[str, Result]) -> list[Result]:
    """The clusters for zot_report, by host. An unreachable host, and one that --limit excludes, has read nothing."""
    hint = "the cluster was not read. Set zot_clusters as an extra variable or with import_playbook, and name the host"
    return [found or {"name": host, "problems": [f"{hint} in --limit."]} for host, found in read.items()]
