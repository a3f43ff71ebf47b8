# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import threading
import time
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.plugin_utils import _progress
from ansible_collections.killinit.zot.plugins.plugin_utils._progress import Copy, progress_lines

Run = t.Callable[..., t.Any]


class Copies:
    """One copy, which grows by half a megabyte with each read."""

    def __init__(self, root: int) -> None:
        assert root == os.getpid()
        self.copy = Copy("host/a:1", [(0, 4 * 2**20)])

    def read(self) -> list[Copy]:
        self.copy.done += 2**19
        return [self.copy]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    def display(line: str, *, stderr: bool) -> None:
        assert stderr, "a callback plugin may write JSON to stdout"
        lines.append(line)

    monkeypatch.setattr(_progress.Display(), "display", display)
    return lines


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Show the progress of a module that takes *seconds*."""
    monkeypatch.setattr(_progress, "Copies", Copies)
    monkeypatch.setattr(_progress, "_READ_INTERVAL", 0.01)

    def run(*, seconds: float = 0.3, module: t.Callable[[], None] = lambda: None) -> None:
        threads = threading.active_count()
        try:
            with progress_lines("web"):
                time.sleep(seconds)
                module()
        finally:
            assert threading.active_count() == threads

    return run


def test_every_fifth_read_is_a_line(run: Run, lines: list[str]) -> None:
    run()
    assert lines[0] == "pushing: [web] => host/a:1: 2.50 MB of 4.00 MB of layers"
    assert lines[1] == "pushing: [web] => host/a:1: 5.00 MB of 4.00 MB of layers"


def test_a_short_module_has_no_line(run: Run, lines: list[str]) -> None:
    run(seconds=0.0)
    assert lines == []


def test_signals_end_the_module_and_not_the_watch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked: list[set[int]] = []
    original = Copies.read

    def read(copies: Copies) -> list[Copy]:
        blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        return original(copies)

    monkeypatch.setattr(Copies, "read", read)
    run(seconds=0.1)
    assert blocked
    assert all({signal.SIGINT, signal.SIGTERM} <= each for each in blocked)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_watch_ends_with_a_module_that_breaks(run: Run) -> None:
    def broken() -> t.NoReturn:
        raise RuntimeError("the connection is gone")

    with pytest.raises(RuntimeError, match="the connection is gone"):
        run(module=broken)
