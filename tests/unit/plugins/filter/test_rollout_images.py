# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.filter.rollout_images import FilterModule

rollout_images = FilterModule().filters()["rollout_images"]


def deployment(name: str, *images: str) -> dict[str, t.Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


ONE = deployment("one", "h.example/a:1", "h.example/b", "nginx:1")
TWO = deployment("two", "h.example/a:1", "h.example/c:1")


def test_all_count_if_none_is_named() -> None:
    expected = ["h.example/a:1", "h.example/b:latest", "h.example/c:1"]
    assert rollout_images([ONE, TWO], "h.example") == rollout_images([ONE, TWO], "h.example", []) == expected


def test_only_those_that_are_named() -> None:
    assert rollout_images([ONE, TWO], "h.example", ["deployment/two"]) == ["h.example/a:1", "h.example/c:1"]
