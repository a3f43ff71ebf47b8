# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook report has read from clusters, as zot_report needs it.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

Result = t.Mapping[str, t.Any]
Cluster = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def report_cluster(*, name: str, ping: Result, used: Result, compared: Result) -> Cluster:
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


def report_clusters(*, read: t.Mapping[str, Cluster]) -> list[Cluster]:
    """The clusters for zot_report, by host. An unreachable host, and one that --limit excludes, has read nothing."""
    hint = "the cluster was not read. Set zot_clusters as an extra variable or with import_playbook, and name the host"
    return [found or {"name": host, "problems": [f"{hint} in --limit."]} for host, found in read.items()]
