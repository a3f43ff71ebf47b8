# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`./dev test` repeats failed tests, and counts the tests that need Zot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from environment import commands, zot_program

ENDED = "nox > Command python -m pytest --numprocesses=2 failed with exit code 1\n"


@pytest.mark.parametrize(
    ("session", "output", "failed", "again", "passes"),
    [
        pytest.param("integration", ENDED, 2, "2 passed in 3.2s", True, id="all-pass-now"),
        pytest.param("integration", ENDED, 1, "1 passed, 3 warnings in 3.2s", True, id="a-warning"),
        pytest.param("integration", ENDED, 2, "1 failed, 1 passed in 3.2s", False, id="one-fails-again"),
        pytest.param("integration", ENDED, 2, "1 passed, 1 skipped in 3.2s", False, id="one-is-skipped"),
        pytest.param("integration", ENDED, 2, "1 passed in 3.2s", False, id="one-has-vanished"),
        pytest.param("integration", ENDED, 4, "4 passed in 3.2s", False, id="too-many"),
        pytest.param("integration", ENDED, 0, "9 passed in 3.2s", False, id="no-test-failed"),
        pytest.param("integration", ENDED.replace("1\n", "3\n"), 1, "1 passed in 3.2s", False, id="pytest-broke-down"),
        pytest.param("units", ENDED, 1, "1 passed in 3.2s", False, id="a-session-with-a-threshold"),
    ],
)
def test_when_failed_tests_are_repeated(
    session: str,
    output: str,
    failed: int,
    again: str,
    passes: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session has passed only if each test that failed has passed."""
    tests = {f"tests/test_a.py::test_{number}": True for number in range(failed)}
    monkeypatch.setattr(commands, "CACHE", tmp_path)
    listing = commands.pytest_cache(session) / "v" / "cache"
    listing.mkdir(parents=True)
    (listing / "lastfailed").write_text(json.dumps(tests))
    repeated = commands.Result(session, "failed" not in again, 4.0, f"==== {again} ====\n")
    monkeypatch.setattr(commands, "_run", lambda *_args, **_options: repeated)
    result = commands.repeat(commands.Result(session, False, 60.0, output))
    assert (result.passed, result.flaky) == (passes, tuple(tests) if passes else ())


def test_skipped_tests_are_counted() -> None:
    """Only those that need Zot."""
    output = (
        f"SKIPPED [61] tests/integration/fixtures.py:63: {zot_program.NEEDED}\n"
        f"SKIPPED [6] tests/integration/test_copy.py:98: {zot_program.NEEDED}\n"
        "SKIPPED [2] tests/integration/test_copy.py:293: needs cosign in PATH\n"
    )
    assert zot_program.count_skipped(output) == 67
