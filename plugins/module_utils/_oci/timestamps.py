# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the times of a registry.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
from datetime import datetime

_UTC = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z", re.ASCII)


def seconds(text: str | None) -> float | None:
    """Seconds since 1970 of a time in UTC, as Zot writes it; None for any other text."""
    found = _UTC.fullmatch(text or "")
    try:
        # Python reads six digits of the fraction.
        return datetime.fromisoformat(f"{found[1]}+00:00").timestamp() + float(f"0.{found[2] or 0}") if found else None
    except ValueError:
        return None
