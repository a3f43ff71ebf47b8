# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks release and rollback say about their clusters."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.killinit.zot.plugins.plugin_utils._role_reports import REPORTS

PUBLISHED = {"ok": True, "revision": "r2"}
GOOD = {"ok": True, "changed": True, "problems": [], "runs": ["oci.example/app@sha256:1"]}
BAD = {"ok": False, "changed": True, "problems": ["app: crashed", "web: stale"], "runs": []}


def report(of: str, /, **results: Any) -> dict[str, Any]:
    return REPORTS[of](**results) or {}


def released(name: str, rollout: dict[str, Any], failure: str = "failed") -> dict[str, Any]:
    return report("finished_cluster", name=name, done="released", rollout=rollout, failure=failure)


def release(*clusters: dict[str, Any], **rolled_back: Any) -> dict[str, Any]:
    return report("zot_release", clusters=clusters, published=PUBLISHED, rolled_back=rolled_back)


NOT_STARTED = REPORTS["cluster"](name="us", result="not started") or {}
INTERRUPTED = REPORTS["cluster"](name="us", result="failed", problem="interrupted") or {}


def test_a_release_is_right_if_every_cluster_is() -> None:
    done = release(released("eu", GOOD), released("us", GOOD))
    assert (done["ok"], done["problems"]) == (True, [])


@pytest.mark.parametrize(
    ("clusters", "line"),
    [
        pytest.param([released("eu", BAD)], "eu: failed: app: crashed; web: stale.", id="rollout"),
        pytest.param([released("eu", {}, "no route")], "eu: failed: no route.", id="before the rollout"),
        pytest.param([NOT_STARTED], "us: not started.", id="not started"),
        pytest.param([INTERRUPTED], "us: failed: interrupted.", id="interrupted"),
        pytest.param([], "The revision r2 is not released to all clusters.", id="no cluster"),
    ],
)
def test_a_cluster_that_does_not_run_the_release(clusters: list[dict[str, Any]], line: str) -> None:
    done = release(*clusters, *([released("de", GOOD)] if clusters else []))
    assert not done["ok"]
    assert line in done["problems"]
    assert ("de: released." in done["problems"]) == bool(clusters)


def test_only_a_cluster_that_failed_has_more_than_one_line() -> None:
    bad = {**BAD, "runs": ["oci.example/app@sha256:2"]}
    lines = release(released("de", GOOD), released("eu", bad), released("us", GOOD))["problems"]
    assert lines[1:-1] == [
        "de: released.",
        "eu: failed: app: crashed; web: stale.",
        "eu runs oci.example/app@sha256:2.",
        "us: released.",
    ]


@pytest.mark.parametrize("namespaces", [None, {"de": "shop", "eu": "apps", "us": "shop", "far": "shop"}])
def test_hosts_that_are_the_same_cluster(namespaces: dict[str, str] | None) -> None:
    """The namespace is what a host has read, or what its variables name."""
    own = {"de": "shop", "eu": "apps", "us": "shop"} if namespaces is None else {}
    read = {name: {"cluster": "https://a", "namespace": own.get(name)} for name in ("de", "eu", "us")}
    (problem,) = REPORTS["same_clusters"](clusters={**read, "far": {"msg": "no route"}}, namespaces=namespaces)
    assert problem.startswith(
        "The hosts de and us of zot_clusters are the same namespace shop of the same cluster https://a."
    )
    assert REPORTS["same_clusters"](clusters={"de": read["de"], "far": {}}) == []


def test_what_became_of_the_shared_tags() -> None:
    cluster = released("eu", BAD)
    assert "run ansible-playbook killinit.zot.rollback" in release(cluster)["problems"][-1]
    assert release(cluster, ok=True, problems=[])["problems"][-1] == "The shared tags are rolled back."
    assert release(cluster, ok=False, problems=["no tag"])["problems"][-1].endswith("not rolled back: no tag")


@pytest.mark.parametrize(
    ("before", "rollout", "result", "problem"),
    [
        (released("eu", BAD), GOOD, "restored", "app: crashed; web: stale"),
        (NOT_STARTED, {**GOOD, "changed": False}, "not started", None),
        (NOT_STARTED, GOOD, "restored", None),
        (NOT_STARTED, {}, "not restored", "it was not restored: no route"),
        (released("eu", BAD), BAD, "not restored", None),
    ],
)
def test_a_cluster_after_the_rollback_of_a_release(
    before: dict[str, Any], rollout: dict[str, Any], result: str, problem: str | None
) -> None:
    after = report("restored_cluster", released=before, rollout=rollout, failure="no route")
    assert (after["ok"], after["result"]) == (False, result)
    assert after["problem"] == (problem or after["problem"])


def test_a_rollback_names_the_cluster_that_failed() -> None:
    def rollback(*clusters: dict[str, Any], tags_only: bool = False) -> dict[str, Any]:
        rolled_back = {"ok": True, "revision": "r1", "problems": []}
        return report("rolled_back_clusters", rolled_back=rolled_back, clusters=clusters, tags_only=tags_only)

    def cluster(name: str, rollout: dict[str, Any]) -> dict[str, Any]:
        return report("finished_cluster", name=name, done="rolled back", rollout=rollout, failure="no route")

    assert rollback(cluster("eu", GOOD))["ok"]
    assert rollback(tags_only=True)["ok"]
    assert not rollback()["ok"]
    failed = rollback(cluster("eu", GOOD), cluster("us", {}))
    assert (failed["ok"], failed["revision"]) == (False, "r1")
    assert failed["problems"][1:] == ["eu: rolled back.", "us: failed: no route."]
