# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts what was measured into a page, so that nobody writes it by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def write_table(page: Path, rows: Iterable[str], name: str = "table") -> None:
    """Replace what stands between the comments C(NAME) and C(end of NAME)."""
    before, begin, rest = page.read_text().partition(f"<!-- {name} -->")
    _old, end, after = rest.partition(f"<!-- end of {name} -->")
    if not end:
        raise ValueError(f"{page} has no place for {name}")
    page.write_text("\n".join([f"{before}{begin}\n", *rows, f"\n{end}{after}"]))
