# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draw what `./dev bench` has measured: docs/plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
PLOTS = HERE.parent / "docs" / "plots"
BYTES = {"MB": 10**6, "GiB": 2**30}
OURS, BARE, LIMIT = "#0969da", "#9a6700", "#cf222e"


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


def main() -> None:
    """Write the plots."""
    results = json.loads((HERE / "results.json").read_text())
    costs = json.loads((HERE / "costs.json").read_text())

    style = {"svg.hashsalt": "zot", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
    mpl.rcParams.update({**style, "font.size": 9})
    PLOTS.mkdir(exist_ok=True)
    for draw, height in ((ratios, 4.5), (sizes, 3), (numbers, 3)):
        data = results if draw is ratios else costs.get(draw.__name__)
        if not data:  # not measured yet
            continue
        figure, axes = plt.subplots(figsize=(7, height), layout="constrained")
        draw(axes, data)
        figure.savefig(PLOTS / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
