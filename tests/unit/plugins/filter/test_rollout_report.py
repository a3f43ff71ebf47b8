# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.filter.rollout_report import FilterModule

rollout_report = FilterModule().filters()["rollout_report"]

STALE = {"workload": "deployment/app", "images": [], "action": "restart", "why": "it is old"}
FRESH = {**STALE, "action": "none"}
DONE = {"workload": "deployment/app", "state": "done", "why": "2 of 2"}
FAILED = {**DONE, "state": "failed", "why": "it is gone"}


@pytest.mark.parametrize(
    ("arguments", "options", "problem"),
    [
        pytest.param([], {}, None, id="foretold"),
        pytest.param([], {"verify": True}, "it is old", id="verified"),
        pytest.param([[DONE], [FRESH], False], {}, None, id="done"),
        pytest.param([[DONE], [STALE], False], {}, "and still: it is old", id="still stale"),
        pytest.param([[FAILED], [STALE], False], {}, "it is gone", id="failed"),
    ],
)
def test_problems(arguments: list[t.Any], options: dict[str, bool], problem: str | None) -> None:
    """Without arguments, as in the documentation; else as the role gives them."""
    found = rollout_report([STALE], *arguments, **options)
    assert found["ok"] is (problem is None)
    assert [problem in text for text in found["problems"]] == ([True] if problem else [])
    assert [entry["workload"] for entry in found["workloads"]] == ["deployment/app"]
