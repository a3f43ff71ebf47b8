# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draw and list what `./dev bench` has measured: docs/plots."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
PLOTS = HERE.parent / "docs" / "plots"
BYTES = {"MB": 10**6, "GiB": 2**30}
OURS, BARE, LIMIT = "#0969da", "#9a6700", "#cf222e"
# The yardsticks that measure one work in several sizes, and the work. The name of a side ends with its size.
GROWTH = {
    "pods": "``zot_cluster_image_info``",
    "failing": "``zot_pull_failure_info``, all pods fail to pull",
    "images": "``zot_publish``",
    "report": "``report.yml``, the registry alone",
    "clusters": "",
    "playbooks": "",
}


def ratios(axes: Axes, results: list[dict[str, Any]]) -> None:
    """Each yardstick as a part of its limit."""
    names = [each["yardstick"] for each in results][::-1]
    parts = [each["ratio"] / each["limit"] for each in results][::-1]
    axes.barh(names, parts, color=[OURS if part <= 1 else BARE for part in parts])
    axes.axvline(1, color=LIMIT)
    axes.set_xlabel("measured / limit")


def sizes(axes: Axes, costs: dict[str, Any]) -> None:
    """What finding out that nothing is to be done costs, by the size of the archive."""
    found = [(int(name.split()[0]) * BYTES[name.split()[1]], cost["seconds"]) for name, cost in costs.items()]
    axes.semilogx(*zip(*found), marker="o", color=OURS)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("size of the archive in bytes")
    axes.set_ylabel("seconds, the module alone")


def numbers(axes: Axes, costs: dict[str, Any]) -> None:
    """The same by the number of archives, in one task and in a script."""
    for side, colour, label in (("archives", OURS, "one task"), ("crane", BARE, "a script of crane digest")):
        found = {int(name.split()[0]): cost["seconds"] for name, cost in costs.items() if name.endswith(side)}
        axes.plot(list(found), list(found.values()), marker="o", color=colour, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("archives, all of them there already")
    axes.set_ylabel("seconds, the whole command")
    axes.legend()


def clusters(axes: Axes, costs: dict[str, Any]) -> None:
    """Playbooks with nothing to do, by the number of clusters."""
    for work, sizes_of in _by_work(costs).items():
        found = {int(size.split()[0]): cost["seconds"] for size, cost in sizes_of.items()}
        axes.plot(list(found), list(found.values()), marker="o", label=work)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("clusters, ten at a time, with nothing to do")
    axes.set_ylabel("seconds, the whole command")
    axes.legend()


def _by_work(costs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The costs by work and size, of sides that are named "release.yml: 10 clusters", or with one work "10 pods"."""
    found: dict[str, dict[str, Any]] = {}
    for name, cost in costs.items():
        work, _colon, size = name.rpartition(": ")
        if size[0].isdigit():
            found.setdefault(work, {})[size] = cost
    return found


def growth(costs: dict[str, Any]) -> Iterator[list[str]]:
    """The rows of the table in the guide: each work with its sizes, their seconds and their memory."""
    yield ["Work", "Sizes", "Seconds", "Memory in MB"]
    for yardstick, title in GROWTH.items():
        for work, found in _by_work(costs.get(yardstick, {})).items():
            numbers, units = zip(*(size.split(" ", 1) for size in found))
            yield [
                title or f"``{work}``, nothing to do",
                f"{' / '.join(f'{int(each):,}' for each in numbers)} {units[-1]}",
                " / ".join(f"{cost['seconds']:.1f}" for cost in found.values()),
                " / ".join(f"{cost['memory'] / 1e6:.0f}" for cost in found.values()),
            ]


def table(results: list[dict[str, Any]], costs: dict[str, Any]) -> Iterator[list[str]]:
    """The rows of the other table in the guide: each yardstick, with the seconds of the ways that it compares."""
    yield ["Work", "Seconds", "Ratio", "Limit", "Measured"]
    for part, some in itertools.groupby(results, lambda each: each["part"]):
        # The other table has the seconds of the yardsticks in GROWTH.
        sides = {} if part in GROWTH else costs.get(part, {})
        seconds = "; ".join(f"{name} {cost['seconds']:.2f}" for name, cost in sides.items())
        for each in some:
            limit = f"{each['limit']:g}" + ("" if each["ratio"] <= each["limit"] else ", missed")
            yield [each["yardstick"], seconds, f"{each['ratio']:.2f}", limit, each["measured"]]
            seconds = ""  # they are the same in the other rows of the part


def main() -> None:
    """Write the plots and the tables."""
    results = json.loads((HERE / "results.json").read_text())
    costs = json.loads((HERE / "costs.json").read_text())

    style = {"svg.hashsalt": "zot", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
    mpl.rcParams.update({**style, "font.size": 9})
    PLOTS.mkdir(exist_ok=True)
    for name, rows in (("growth", growth(costs)), ("ratios", table(results, costs))):
        with (PLOTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    for draw, height in ((ratios, 6.5), (sizes, 3), (numbers, 3), (clusters, 3)):
        data = results if draw is ratios else costs.get(draw.__name__)
        if draw is clusters:
            data = {**costs.get("clusters", {}), **costs.get("playbooks", {})}
        if not data:  # not measured yet
            continue
        figure, axes = plt.subplots(figsize=(7, height), layout="constrained")
        draw(axes, data)
        figure.savefig(PLOTS / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
