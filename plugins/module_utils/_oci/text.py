# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make text from a registry or a cluster safe to print, and split text from a user.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t


def printable(text: str, *, line_end: str = " ") -> str:
    """Replace control characters by visible escape sequences, and line breaks by *line_end*.

    Ansible prints messages unchanged, so an image label or a Kubernetes event could clear the screen or hide a line.
    """
    lines = ("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in text.expandtabs().split("\n"))
    return line_end.join(lines)


def words(texts: t.Iterable[str]) -> list[str]:
    """The items of a list. A command line and a survey of AWX give a list as one text with commas or spaces."""
    return [word for text in texts for word in text.replace(",", " ").split()]
