# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The numbers in docs/hostile-input.md are those of the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "hostile-input.md"


def test_numbers_of_cases() -> None:
    """As pytest collects them."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    stated = {test.strip("`"): int(number) for _class, number, _what, test in rows}
    files = sorted({test.partition("::")[0] for test in stated})
    command = [sys.executable, "-m", "pytest", "-p", "no:pytest-ansible", "--collect-only", "-q", *files]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = [line for line in done.stdout.splitlines() if re.match(r"tests/.*::", line)]
    found = {
        test: sum(name == test or name.startswith((f"{test}[", f"{test}::")) for name in collected) for test in stated
    }
    assert found == stated
