# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the program zot, and says which registry the tests use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

# The value of ZOT_BINARY with which the tests use the stand-in. `./dev` sets it if it finds no Zot.
NONE = "none"
# The reason of each test that is skipped on the stand-in: `./dev test` counts these tests.
NEEDED = "needs Zot: put zot into PATH, or name it in ZOT_BINARY"
SOURCE = "Download zot-linux-amd64 from https://github.com/project-zot/zot/releases, and name it in ZOT_BINARY."


class ZotProgramError(Exception):
    """ZOT_BINARY does not name a program."""


def find_zot() -> str | None:
    """The path of zot, or None for the stand-in."""
    named = os.environ.get("ZOT_BINARY")
    if named == NONE:
        return None
    if named and not os.access(named, os.X_OK):
        raise ZotProgramError(f"ZOT_BINARY is {named}, which is not a program: name zot, or {NONE} for the stand-in")
    return named or shutil.which("zot")


def describe() -> str:
    """One line about the registry of the tests."""
    zot = find_zot()
    if zot is None:
        return "The registry is the stand-in for Zot: CNCF Distribution behind nginx"
    printed = subprocess.run([zot, "--version"], capture_output=True, text=True, check=False)
    # Only a released Zot has a commit.
    commit = re.search(r'"commit":"([^"]+)"', printed.stdout + printed.stderr)
    return f"The registry is Zot {commit[1] if commit else 'of an unknown version'}: {zot}"


def count_skipped(output: str) -> int:
    """How many tests pytest has skipped because there is no Zot."""
    return sum(map(int, re.findall(rf"^SKIPPED \[(\d+)\] .*: {re.escape(NEEDED)}$", output, re.MULTILINE)))
