# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection costs beside the bare commands: `./dev bench [YARDSTICK…] [--runs N]`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import bulk, cluster, copies, crowds, fleet, pages, prune, registry
from benchmarks.measure import Cost
from benchmarks.registry import Bench, Ratio
from environment import registry as registries

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "benchmarks"
RUNS = 10
YARDSTICKS = {
    "first": registry.first_push,
    "first-many": registry.first_push_of_many,
    "converted": registry.converted_push,
    "sizes": registry.sizes,
    "task": registry.one_task,
    "publish-again": registry.publish_again,
    "hundred": registry.many_archives,
    "numbers": registry.numbers,
    "references": registry.many_references,
    "release": cluster.release,
    "diagnosis": cluster.diagnosis,
    "crowd": cluster.crowded,
    "restart": cluster.restart,
    "inventory": bulk.inventory,
    "prune-plan": prune.prune_plan,
    "prune-delete": prune.prune_delete,
    "report": pages.report_page,
    "copy": copies.copy_first,
    "copy-again": copies.copy_again,
    "usage": bulk.usage,
    "pods": crowds.pods,
    "failing": crowds.failing,
    "images": crowds.images,
    "clusters": fleet.clusters,
    "playbooks": fleet.playbooks,
}


def show(costs: dict[str, Cost], ratios: list[Ratio]) -> None:
    """Print what one yardstick has found."""
    for name, cost in costs.items():
        print(
            f"  {name:<16} {cost.seconds:8.2f} s  CPU {cost.cpu:7.2f} s  {cost.memory / 1e6:6.0f} MB"
            f"  {cost.children:5} children  {cost.requests:5} requests"
        )
    for each in ratios:
        print(
            f"  {each.yardstick:<50} {each.ratio:6.2f}  limit {each.limit:.2f}  {'ok' if each.ok else 'MISSED'}",
            flush=True,
        )


def known(path: Path) -> Any:
    """What a file has, or an empty list."""
    return json.loads(path.read_text()) if path.exists() else []


def main() -> int:
    """Measure, print, write; 1 if a yardstick is missed."""
    lines = "\n".join(f"  {name:<12} {function.__doc__}" for name, function in YARDSTICKS.items())
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description=f"{__doc__}\n\nThe yardsticks, of which none means all:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("yardsticks", nargs="*", metavar="YARDSTICK", choices=[[], *YARDSTICKS])
    parser.add_argument("--runs", type=int, default=RUNS, help="of each side (default: %(default)s)")
    arguments = parser.parse_args()
    chosen = arguments.yardsticks or list(YARDSTICKS)

    ratios: dict[str, list[Ratio]] = {}
    measured = {}
    with tempfile.TemporaryDirectory(prefix="zot-bench-") as directory, registries.running() as running:
        print(f"Medians of {arguments.runs} runs of each side, on {running.kind}", flush=True)
        for name in chosen:
            print(f"\n{YARDSTICKS[name].__doc__}", flush=True)
            place = Path(directory) / name
            place.mkdir()
            costs, found = YARDSTICKS[name](Bench(running, place, CACHE / "archives", arguments.runs))
            show(costs, found)
            measured[name] = {side: asdict(cost) for side, cost in costs.items()}
            ratios[name] = found

    results = [
        {"part": name, **asdict(each), "ratio": round(each.ratio, 3), "measured": date.today().isoformat()}
        for name, found in ratios.items()
        for each in found
    ]
    # What is kept has enough runs of each yardstick, the last time that it was measured.
    folder = ROOT / "benchmarks" if arguments.runs >= RUNS else CACHE
    folder.mkdir(parents=True, exist_ok=True)
    results = [*(each for each in known(folder / "results.json") if each["part"] not in ratios), *results]
    results.sort(key=lambda each: list(YARDSTICKS).index(each["part"]))
    for name, document in (("results", results), ("costs", dict(known(folder / "costs.json")) | measured)):
        (folder / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    reached = [each.ok for found in ratios.values() for each in found]
    print(f"\n{sum(reached)} of {len(reached)} reached; {folder.relative_to(ROOT)}/results.json", flush=True)
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
