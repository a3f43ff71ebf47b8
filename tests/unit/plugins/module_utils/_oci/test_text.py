# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import Time, parse_http_date, parse_time


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00z"),
        ("2026-11-23T10:00:00Z", "2026-11-23t10:00:00.000Z"),
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00"),
        ("2026-11-23T10:00:00.5Z", "2026-11-23T10:00:00.500+00:00"),
        ("2026-11-23T23:30:00-01:00", "2026-11-24T00:30:00Z"),
        ("2026-11-23T10:00:00+05:30", "2026-11-23T04:30:00Z"),
        # Go ignores further digits.
        ("2026-11-23T10:00:00.1234567891Z", "2026-11-23T10:00:00.123456789Z"),
    ],
)
def test_the_same_time(text: str, same: str) -> None:
    assert parse_time(text) == parse_time(same) != None  # noqa: E711


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        5,
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23T10:00:00+24:00",
        "2026-11-23",
        "\u0662026-11-23T10:00:00Z",
    ],
)
def test_what_is_not_a_time(text: object) -> None:
    assert parse_time(text) is None


def test_times_are_ordered_by_their_fraction() -> None:
    texts = ["0001-01-01T00:00:00Z", "2026-11-23T10:00:00.05Z", "2026-11-23T10:00:00.123456788Z"]
    texts += ["2026-11-23T10:00:00.123456789Z", "2026-11-23T10:00:00.5Z"]
    times = [found for found in map(parse_time, texts) if found]
    assert len(set(times)) == len(texts)
    assert sorted(times, reverse=True) == times[::-1]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_time_zone_of_this_host_does_not_count(zone: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = parse_time("2026-11-24T03:04:30.5"), parse_http_date("Tue, 24 Nov 2026 03:04:30 GMT")
    time.tzset()
    assert found == (Time(1795489470, 500000000), Time(1795489470))
    assert Time(1795489470, 500000000).timestamp == 1795489470.5


@pytest.mark.parametrize("text", ["", "yesterday", "Tue, 32 Nov 2026 03:04:30 GMT"])
def test_what_is_not_a_date(text: str) -> None:
    assert parse_http_date(text) is None


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 1, 1)), st.integers(-23 * 60, 23 * 60))
def test_a_time_is_the_same_in_every_zone(utc: datetime, minutes: int) -> None:
    here = utc.replace(tzinfo=timezone.utc).astimezone(timezone(timedelta(minutes=minutes)))
    expected = utc.replace(tzinfo=timezone.utc, microsecond=0) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    found = parse_time(here.isoformat())
    assert found == Time(round(expected.total_seconds()), utc.microsecond * 1000)
