# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Markdown with tables, for GitHub and GitLab.

Private to killinit.zot: it may change at any time.

Every text is escaped, because tags, labels and messages come from a registry or a cluster, and may be hostile.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable

_LONGEST_CELL = 2000
# https://github.github.com/gfm/, with the mentions and the automatic links of GitHub.
_HAS_MEANING = re.compile(r"[\\`*_{}\[\]<>()#+!|~&$@^=]|(?<=www)\.|:(?=//)", re.IGNORECASE)


class Bold(str):
    """A word to print in bold."""

    __slots__ = ()


def escaped(value: t.Any) -> str:
    """The text of a value on one line. The items of a list are on lines of their own in a table."""
    if isinstance(value, (list, tuple)):
        return "<br>".join(map(escaped, value))
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    text = str(value)
    text = printable(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]} …")
    text = _HAS_MEANING.sub(r"\\\g<0>", text)
    return f"**{text}**" if isinstance(value, Bold) else text


def heading(level: int, text: str) -> list[str]:
    """A heading. The text is not escaped."""
    return [f"{'#' * level} {text}", ""]


def markdown_table(
    columns: t.Sequence[str], rows: t.Iterable[t.Sequence[t.Any]], right: t.Container[str] = ()
) -> list[str]:
    """A table with a heading. The columns *right* are aligned to the right. Without rows there is no table."""
    lines = [_row(map(escaped, cells)) for cells in rows]
    rule = _row("---:" if column in right else "---" for column in columns)
    return [_row(map(escaped, columns)), rule, *lines, ""] if lines else []


def _row(cells: t.Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
