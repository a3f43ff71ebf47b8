# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardstick of the playbook report: the page of a large registry. It needs a registry that is Zot."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from benchmarks import checks
from benchmarks.bulk import tag_of, uploading
from benchmarks.measure import Run, Side, measure
from benchmarks.registry import Bench, Costs, Ratio, shown

REPOSITORIES, TAGS = 200, 100


def report_page(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """The page and the JSON of report for 20,000 tags, beside zot_image_info that reads the same tags"""
    names = [f"bench/report-{number:03}" for number in range(REPOSITORIES)]

    def fill(repository: str) -> None:
        with uploading(bench.registry, repository) as put:
            for number in range(TAGS):
                put(number, [tag_of(number)])

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(fill, names))

    def written(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        found = json.loads((run.directory / "report.json").read_text())["repositories"]
        checks.same(run.side, "the number of tags", sum(len(each["images"]) for each in found), REPOSITORIES * TAGS)

    def read(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        checks.same(run.side, "whether all repositories were read", f" {REPOSITORIES} of them" in run.output, True)

    query = {"repositories": names, "details": True}
    variables = {
        "zot_report_repositories": names,
        "zot_report_registry_only": True,
        "zot_report_file": "report.html,report.json",
    }
    extra = f"--extra-vars={json.dumps(variables)}"
    sides = [
        Side("report", ["ansible-playbook", "killinit.zot.report", extra], written),
        Side(
            "zot_image_info",
            bench.playbook(
                "repositories",
                [
                    {"killinit.zot.zot_image_info": query, "register": "found"},
                    shown("'all: ' ~ (found.repositories | length) ~ ' of them'"),
                ],
            ),
            read,
        ),
    ]
    costs = measure(sides, min(bench.runs, 3), bench.shared, bench.directory)
    page = (bench.directory / "report.html").stat().st_size
    return costs, [
        Ratio("report of 20,000 tags", costs["report"].seconds / costs["zot_image_info"].seconds, 2.5),
        Ratio("its memory, MB", costs["report"].memory / 1e6, 130),
        Ratio("the size of its page, MB", page / 1e6, 2),
    ]
