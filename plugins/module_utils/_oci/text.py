# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text: make it safe to print, split what a user wrote, parse JSON and times, and format sizes and times.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from datetime import datetime, timezone


def printable(text: str) -> str:
    """Replace control characters by visible escape sequences, and line breaks by spaces.

    Ansible prints messages unchanged, so an image label or a Kubernetes event could clear the screen or hide a line.
    """
    lines = ("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in text.expandtabs().split("\n"))
    return " ".join(lines)


# The end of text_problem for a value that the user did not quote.
UNQUOTED = ". YAML reads an unquoted 0012345, 1.10 or on as another value"


def text_problem(name: str, value: object) -> str | None:
    """Why the value *name* is not text; None if it is text.

    YAML reads an unquoted C(0012345) as the number 5349, and C(on) as a boolean: the text of the user is lost.
    """
    if isinstance(value, str):
        return None
    if value is None or isinstance(value, (list, dict)):
        # The types of templates are subclasses, so the name of the type would be an internal name of Ansible.
        kind = "null" if value is None else "a list" if isinstance(value, list) else "a dict"
        return f"{name} is {kind}, not text"
    kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "date"
    return f"{name} is the {kind} {value}, not text: quote it{UNQUOTED}"


def strict_json(text: str | bytes) -> t.Any:
    """Parse JSON. Raises ValueError or RecursionError, also for NaN and Infinity, which JSON does not have."""

    def refuse(constant: str) -> t.NoReturn:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def object_in(text: object) -> dict[str, t.Any]:
    """The JSON object in a text or in bytes; empty for anything else."""
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        found = json.loads(t.cast("str", text))
        if isinstance(found, dict):
            return found
    return {}


def require_text(value: object) -> str:
    """A value of a foreign document that must be text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def words(texts: t.Iterable[str]) -> list[str]:
    """The items of a list. Extra vars and AWX surveys pass a list as one text with commas or spaces."""
    return [word for text in texts for word in text.replace(",", " ").split()]


def table(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """The lines of a table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def size_text(count: float) -> str:
    """A number of bytes in readable form, for example C(412.3 MiB)."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


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


def now_text() -> str:
    """The time of this host as a time of RFC 3339 in UTC, with whole seconds."""
    return f"{datetime.now(timezone.utc):%FT%TZ}"


def utc_text(seconds: float | None) -> str | None:
    """Seconds since 1970 as a time of RFC 3339 in UTC, with whole seconds. None stays None."""
    return None if seconds is None else f"{datetime.fromtimestamp(int(seconds), timezone.utc):%FT%TZ}"
