# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of zot_prune: the plan of many tags, and the removal of many. They need a registry that is Zot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import checks
from benchmarks.bulk import tag_of, uploading
from benchmarks.measure import Run, Side, measure
from benchmarks.registry import Bench, Costs, Ratio, shown
from environment.registry import Registry

MANY, FEW = 5_000, 500
# Zot takes several tags in one request.
AT_ONCE = 10


def prune_plan(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """The plan of zot_prune for 5,000 tags, beside zot_image_info that reads the same tags"""
    repository = "bench/prune-plan"
    _fill(bench.registry, repository, MANY, of_each=AT_ONCE)
    plan = {"repositories": [repository], "keep_last": MANY - 10 * AT_ONCE, "in_use": [f"sha256:{'0' * 64}"]}
    sides = [
        Side(
            "zot_prune",
            bench.playbook(
                "plan",
                [
                    {"killinit.zot.zot_prune": plan, "check_mode": True, "register": "found"},
                    shown("[found.deleted | length, found.kept | length]"),
                ],
            ),
            _counts(100, MANY - 100),
        ),
        Side(
            "zot_image_info",
            bench.playbook(
                "tags",
                [
                    {
                        "killinit.zot.zot_image_info": {"repositories": [repository], "details": True},
                        "register": "found",
                    },
                    shown("[0, found.repositories[0].images | length]"),
                ],
            ),
            _counts(0, MANY),
        ),
    ]
    costs = measure(sides, bench.runs, bench.shared, bench.directory)
    return costs, [Ratio("plan for 5,000 tags", costs["zot_prune"].seconds / costs["zot_image_info"].seconds, 2)]


def prune_delete(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """The removal of 500 tags, each read before, beside a loop with crane delete"""
    repository = "bench/prune-delete"

    @contextmanager
    def filled() -> Iterator[Registry]:
        _fill(bench.registry, repository, FEW + 1, of_each=1)
        yield bench.registry

    def removed(run: Run) -> None:
        paths = {request.path for request in run.requests if (request.method, request.status) == ("DELETE", 202)}
        checks.same(run.side, "the number of removed tags", len(paths), FEW)

    there = f"$ZOT_REGISTRY/{repository}"
    loop = f'for number in $(seq 0 {FEW - 1}); do crane delete "{there}:$(printf %07x $number)"; done'
    prune = {"killinit.zot.zot_prune": {"repositories": [repository], "keep_last": 1}}
    sides = [
        Side("zot_prune", bench.playbook("prune", [prune]), removed),
        Side("crane delete", bench.script("delete", [loop]), removed, ours=False),
    ]
    costs = measure(sides, min(bench.runs, 3), filled, bench.directory)
    return costs, [Ratio("removal of 500 tags", costs["zot_prune"].seconds / costs["crane delete"].seconds, 0.5)]


def _counts(*expected: int) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        checks.numbers_read(run.side, run.output, expected)

    return check


def _fill(registry: Registry, repository: str, count: int, *, of_each: int) -> None:
    """Revisions 0000000, 0000001, …: *of_each* tags for each image."""
    with uploading(registry, repository) as put:
        for first in range(0, count, of_each):
            put(first, [tag_of(number) for number in range(first, min(first + of_each, count))])
