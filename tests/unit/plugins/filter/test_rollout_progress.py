# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.filter.rollout_progress import FilterModule

rollout_progress = FilterModule().filters()["rollout_progress"]

CLUSTER = json.loads((Path(__file__).parents[2] / "captured_cluster.json").read_text(encoding="utf-8"))
PLAN = [{"workload": "statefulset/stateful", "action": "restart"}, {"workload": "daemonset/daemon", "action": "none"}]


@pytest.mark.parametrize(
    ("scenario", "stamp", "state"),
    [
        pytest.param("early", "2026-11-24T12:00:00Z", "waiting", id="waiting"),
        pytest.param("failed", "2026-11-24T12:00:00Z", "failed", id="failed"),
        pytest.param("failed", "2026-11-24T11:00:00Z", "waiting", id="the failed pod is of another restart"),
        pytest.param("done", "2026-11-24T12:00:00Z", "done", id="done"),
    ],
)
def test_states(scenario: str, stamp: str, state: str) -> None:
    (entry,) = rollout_progress(PLAN, CLUSTER[scenario]["workloads"], CLUSTER[scenario]["pods"], stamp)
    assert (entry["workload"], entry["state"]) == ("statefulset/stateful", state)
