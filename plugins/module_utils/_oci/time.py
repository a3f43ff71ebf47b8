# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse and format the times of registries, clusters, image configurations and HTTP headers.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timezone

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Time(t.NamedTuple):
    """A time in UTC. Builders write nanoseconds, which the datetime of Python truncates."""

    seconds: int
    nanoseconds: int = 0

    @property
    def timestamp(self) -> float:
        """Seconds since 1970."""
        return self.seconds + self.nanoseconds / 1e9


def parse_time(text: object) -> Time | None:
    """Parse a time of RFC 3339; None for anything else. A time without an offset is in UTC."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    day, clock, fraction, sign, hours, minutes = found.groups()
    try:
        elapsed = datetime.fromisoformat(f"{day}T{clock}+00:00") - _EPOCH
    except ValueError:
        return None
    offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return Time(elapsed.days * 86400 + elapsed.seconds - offset, int((fraction or "")[:9].ljust(9, "0")))


def parse_http_date(text: str) -> Time | None:
    """Parse the value of a header Date, which has whole seconds; None for anything else."""
    # Imported late: only zot_prune compares clocks.
    from email.utils import parsedate_to_datetime

    try:
        return Time(int(parsedate_to_datetime(text).timestamp()))
    except (OverflowError, TypeError, ValueError):  # Python 3.9 raises TypeError
        return None


def utc_text(seconds: float | None) -> str | None:
    """Seconds since 1970 as a time of RFC 3339 in UTC, with whole seconds. None stays None."""
    return None if seconds is None else f"{datetime.fromtimestamp(int(seconds), timezone.utc):%FT%TZ}"
