# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One finding for all pods that cannot pull an image for the same reasons.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ansible_collections.killinit.zot.plugins.module_utils._causes import Cause, judge
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import word
from ansible_collections.killinit.zot.plugins.module_utils._evidence import Answers, Failure, View

T = t.TypeVar("T")

# They pass by themselves, and come last.
_PASSING = ("rate_limited", "pulling", "works_now")
_ALIKE = ("image", "subject", "state", "service_account", "pull_policy")


def findings(view: t.Mapping[str, t.Any], answers: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """For all uses of an image that fail for the same reasons, what fails and why, worst first."""
    evidence, said = View.read(view), Answers.read(answers)
    # Each pod has words of its own for what is the same, and some have none at all.
    failures = sorted(evidence.failures, key=lambda each: not word(each["said"], each["image"]))
    alike = _grouped(failures, lambda each: _alike(evidence, each))
    same = _grouped(alike, lambda each: (each[0]["image"], each[0]["subject"], _told(judge(evidence, said, each))))
    found = []
    for groups in same:
        together = [failure for group in groups for failure in group]
        causes = judge(evidence, said, together)
        if causes:
            found.append(_finding(together, causes))
    return sorted(found, key=lambda each: (each["causes"][0]["cause"] in _PASSING, -each["pods"], each["image"]))


def _grouped(items: t.Iterable[T], key: t.Callable[[T], t.Hashable]) -> list[list[T]]:
    groups: dict[t.Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _alike(view: View, failure: Failure) -> t.Hashable:
    meaning = word(failure["said"], failure["image"]) or failure["said"]
    platform = (view.platforms or {}).get(failure["node"] or "")
    return (meaning, platform, tuple(failure["secrets"]), *(failure[each] for each in _ALIKE))


def _told(causes: t.Iterable[Cause]) -> t.Hashable:
    return tuple((cause.cause, cause.message) for cause in causes)


def _finding(failures: t.Sequence[Failure], causes: t.Iterable[Cause]) -> dict[str, t.Any]:
    pods = sorted({each["pod"] for each in failures})
    return {
        "image": failures[0]["image"],
        "subject": failures[0]["subject"],
        "uses": sorted({f"{each['use']} {each['name']}" for each in failures}),
        "pods": len(pods),
        "pod_names": pods,
        "nodes": sorted({each["node"] for each in failures if each["node"]}),
        "causes": [{**asdict(cause), "commands": list(cause.commands)} for cause in causes],
    }
