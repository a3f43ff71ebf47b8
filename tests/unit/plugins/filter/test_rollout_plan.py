# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.filter.rollout_plan import FilterModule

rollout_plan = FilterModule().filters()["rollout_plan"]

CLUSTER = json.loads((Path(__file__).parents[2] / "captured_cluster.json").read_text(encoding="utf-8"))
WORKLOADS, PODS = CLUSTER["done"]["workloads"], CLUSTER["done"]["pods"]
STAMP = "2026-11-24T13:00:00Z"
NAMES = ["statefulset/stateful", "daemonset/daemon"]


def actions(*options: t.Any, images: str = "moved") -> dict[str, str]:
    """What becomes of those that have one container of openclaw."""
    found = rollout_plan(WORKLOADS, PODS, CLUSTER[images], STAMP, *options)
    return {entry["workload"]: entry["action"] for entry in found if entry["workload"] != "deployment/openclaw"}


def test_fresh() -> None:
    assert actions() == dict.fromkeys(NAMES, "none")


def test_a_tag_that_moved_back() -> None:
    assert actions(images="images") == dict.fromkeys(NAMES, "restart")


def test_the_stamp_is_that_of_the_patch() -> None:
    (entry,) = rollout_plan(WORKLOADS, PODS, CLUSTER["images"], STAMP, False, ["daemonset/daemon"])
    annotations = entry["patch"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/restartedAt"] == STAMP


@pytest.mark.parametrize(("pin", "action"), [((), "blocked"), ((False,), "blocked"), ((True,), "pin")])
def test_pin(pin: tuple[bool, ...], action: str) -> None:
    cached = json.loads(json.dumps(WORKLOADS).replace('"Always"', '"IfNotPresent"'))
    found = rollout_plan(cached, PODS, CLUSTER["images"], STAMP, *pin)
    assert {entry["workload"]: entry["action"] for entry in found}["daemonset/daemon"] == action


def test_only_and_moving_in_the_order_of_the_role() -> None:
    only, moving = ["daemonset/daemon", "daemonset/none"], ["oci.killinit.cc/openclaw/openclaw:latest"]
    assert actions(False, only) == {"daemonset/none": "blocked", "daemonset/daemon": "none"}
    assert actions(False, only, moving) == {"daemonset/none": "blocked", "daemonset/daemon": "restart"}
