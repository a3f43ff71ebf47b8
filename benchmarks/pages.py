# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of the playbook report: the page of a large registry. They need a registry that is Zot."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks import checks
from benchmarks.bulk import tag_of, uploading
from benchmarks.measure import Run, Side, measure
from benchmarks.registry import Bench, Costs, Ratio, shown

# The second size has ten tags for each image, because Zot takes several tags in one request.
REPOSITORIES, IMAGES, OF_EACH = 200, 100, (1, 10)
FILES = "report.html,report.json"


def report_page(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """The page and the JSON of report for 20,000 tags, beside zot_image_info that reads them, and for 200,000 tags"""
    names = _filled(bench, "report", OF_EACH[0])

    def read(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        checks.same(run.side, "whether all repositories were read", f" {REPOSITORIES} of them" in run.output, True)

    query = {"repositories": names, "details": True}
    tasks = [
        {"killinit.zot.zot_image_info": query, "register": "found"},
        shown("'all: ' ~ (found.repositories | length) ~ ' of them'"),
    ]
    few, many = (REPOSITORIES * IMAGES * of_each for of_each in OF_EACH)
    sides = [
        Side(f"{few} tags", _command(names), _written(few)),
        Side("zot_image_info", bench.playbook("repositories", tasks), read),
    ]
    costs = measure(sides, min(bench.runs, 3), bench.shared, bench.directory)
    page = (bench.directory / "report.html").stat().st_size
    large = Side(f"{many} tags", _command(_filled(bench, "report-large", OF_EACH[1])), _written(many))
    # It takes minutes.
    costs |= measure([large], 1, bench.shared, bench.directory)
    cost, more = costs[f"{few} tags"], costs[large.name]
    return costs, [
        Ratio("report of 20,000 tags", cost.seconds / costs["zot_image_info"].seconds, 2.5),
        Ratio("its memory, MB", cost.memory / 1e6, 130),
        Ratio("the size of its page, MB", page / 1e6, 2),
        Ratio("report of 200,000 tags beside a tenth", more.seconds / cost.seconds, 10),
        Ratio("its memory beside that of a tenth", more.memory / cost.memory, 10),
    ]


def _filled(bench: Bench, name: str, of_each: int) -> list[str]:
    """Repositories with 100 images that have so many tags each."""
    names = [f"bench/{name}-{number:03}" for number in range(REPOSITORIES)]

    def fill(repository: str) -> None:
        with uploading(bench.registry, repository) as put:
            for number in range(IMAGES):
                put(number, [tag_of(number * of_each + more) for more in range(of_each)])

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(fill, names))
    return names


def _command(names: Sequence[str]) -> list[str]:
    variables = {"zot_report_repositories": names, "zot_report_registry_only": True, "zot_report_file": FILES}
    return ["ansible-playbook", "killinit.zot.report", f"--extra-vars={json.dumps(variables)}"]


def _written(count: int) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        found = json.loads((run.directory / "report.json").read_text())["repositories"]
        checks.same(run.side, "the number of tags", sum(len(each["images"]) for each in found), count)

    return check
