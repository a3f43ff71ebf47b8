# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Distinguish the tags of revisions from shared tags by their form.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re

_REVISION = re.compile(r"[0-9a-f]{7,40}(?=\Z|-)")
_NUMBER = re.compile(r"[0-9]+")


def form_of(tag: str) -> str | None:
    """The common part of the tags of all revisions; None for a tag that is not a revision.

    A revision is 7 to 40 hexadecimal digits (a commit SHA), or a tag with numbers, for example C(1.4.2). Tags of the
    same form differ only in their numbers. C(latest) and C(stable) have no form.
    """
    found = _REVISION.match(tag)
    if found:
        return f"<revision>{_NUMBER.sub('0', tag[found.end() :])}"
    return _NUMBER.sub("0", tag) if _NUMBER.search(tag) else None
