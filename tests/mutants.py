# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes the pure files in thousands of small ways, and counts how many of the changes no test sees: ./dev mutants.

The changes are those of mutmut, which works in a copy of the tree: in functions, not in what stands around them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from environment.documents import write_table

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / ".cache" / "mutants"
HOME = "ansible_collections/killinit/zot"
PAGE = ROOT / "docs" / "mutants.md"
UTILS = ROOT / "plugins" / "module_utils"
MINIMUM = 85  # percent of the changes that a test has to see
# One that never ends, or ends the test run itself, is seen, too.
SEEN = ("killed", "timeout", "segfault")


def pure() -> list[Path]:
    """Values, what builds and reads command lines, the filters, and all that stands behind the filters."""
    filters = sorted(ROOT.glob("plugins/filter/*.py"))
    pending = [*filters, *(UTILS / f"{name}.py" for name in ("_reference", "_image", "_archive", "_skopeo", "_crane"))]
    found: dict[Path, None] = {}
    while pending:
        path = pending.pop()
        found[path] = None
        imported = re.findall(r"module_utils\.(_\w+) import", path.read_text(encoding="utf-8"))
        pending += {UTILS / f"{name}.py" for name in imported} - found.keys()
    return sorted(found)


def prepare(files: list[Path]) -> None:
    """Make the copy, with what mutmut is to change and the tests it is to run: those of the pure files."""
    shutil.rmtree(TREE, ignore_errors=True)
    without = shutil.ignore_patterns("__pycache__")
    for name in ("plugins", "roles"):
        shutil.copytree(ROOT / name, TREE / HOME / name, ignore=without)
    shutil.copytree(ROOT / "tests" / "unit", TREE / "tests" / "unit", ignore=without)
    shutil.copy(ROOT / "pyproject.toml", TREE)
    tests = [f"tests/unit/plugins/module_utils/test_{path.stem}.py" for path in pure() if path.parent == UTILS]
    settings = {
        "source_paths": ["ansible_collections"],
        "only_mutate": [f"{HOME}/{path.relative_to(ROOT)}" for path in files],
        "pytest_add_cli_args": ["-p", "no:pytest-ansible", "--hypothesis-seed=0"],
        "pytest_add_cli_args_test_selection": [
            "tests/unit/plugins/filter",
            *(name for name in tests if (ROOT / name).exists()),
        ],
    }
    lines = [f"{name} =\n" + "".join(f"    {each}\n" for each in values) for name, values in settings.items()]
    (TREE / "setup.cfg").write_text("[mutmut]\n" + "".join(lines), encoding="utf-8")


def mutmut(*arguments: str, silent: bool = False) -> str:
    """Run it, and return what it says if that is not shown at once."""
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(TREE / "hypothesis")}
    stdout = subprocess.PIPE if silent else None
    command = ["mutmut", *arguments]
    return subprocess.run(command, cwd=TREE, env=environment, stdout=stdout, text=True, check=True).stdout


def count(results: str) -> tuple[dict[str, Counter[str]], list[str]]:
    """How many changes to each file ended how, and the names of those that no test sees."""
    counts: dict[str, Counter[str]] = {}
    unseen = []
    for name, kind, file, status in re.findall(r"^ +(\S+\.plugins\.(\w+)\.(\w+)\.x\S+): (.+)$", results, re.MULTILINE):
        seen = status in SEEN
        counts.setdefault(f"{kind}/{file}.py", Counter())["seen" if seen else "unseen"] += 1
        if not seen:
            unseen.append(name)
    return counts, unseen


def table(counts: dict[str, Counter[str]]) -> tuple[list[str], float]:
    """A row for each file and one for all, and the percentage of that."""
    rows = ["| file | changes | seen by a test | % |", "|---|---:|---:|---:|"]
    together: Counter[str] = sum(counts.values(), Counter())
    for name, number in [*sorted(counts.items()), ("**together**", together)]:
        score = 100 * number["seen"] / number.total()
        rows.append(f"| {name} | {number.total()} | {number['seen']} | {score:.1f} |")
    return rows, score


def main(names: list[str]) -> str | None:
    """Return what is wrong, if anything is."""
    files = [path for path in pure() if not names or path.stem in names]
    if unknown := set(names) - {path.stem for path in files}:
        return f"no pure file is called {', '.join(sorted(unknown))}: " + " ".join(path.stem for path in pure())
    prepare(files)
    mutmut("run")
    counts, unseen = count(mutmut("results", "--all", "true", silent=True))
    rows, score = table(counts)
    print("", *unseen, "", *rows, "", sep="\n")
    print(f"What one of them changes shows: (cd {TREE.relative_to(ROOT)} && mutmut show NAME)")
    if score < MINIMUM:
        return f"tests see {score:.1f} % of the changes, and not {MINIMUM}"
    if not names:
        write_table(PAGE, rows)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
