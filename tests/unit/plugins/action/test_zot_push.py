# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import threading
import time
import typing as t
from unittest import mock

import pytest

from ansible_collections.killinit.zot.plugins.action import zot_push
from ansible_collections.killinit.zot.plugins.plugin_utils._progress import Copy

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

    monkeypatch.setattr(zot_push.Display(), "display", display)
    return lines


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the action on a module that takes *seconds*."""
    monkeypatch.setattr(zot_push, "Copies", Copies)
    monkeypatch.setattr(zot_push, "_READ_INTERVAL", 0.01)

    def run(*, seconds: float = 0.3, no_log: bool = False, module: t.Any = None, **variables: t.Any) -> t.Any:
        def work(*_arguments: t.Any) -> t.Any:
            time.sleep(seconds)
            return module() if module else {"changed": True}

        monkeypatch.setattr(zot_push.RegistryAction, "run", work)
        task = mock.Mock(no_log=no_log)
        templar = mock.Mock(template=lambda value: value)
        action = zot_push.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), templar, mock.Mock())
        threads = threading.active_count()
        try:
            return action.run(task_vars={"inventory_hostname": "web", **variables})
        finally:
            assert threading.active_count() == threads

    return run


def test_every_fifth_read_is_a_line(run: Run, lines: list[str]) -> None:
    assert run() == {"changed": True}
    assert lines[0] == "pushing: [web] => host/a:1: 2.50 MB of 4.00 MB of layers"
    assert lines[1] == "pushing: [web] => host/a:1: 5.00 MB of 4.00 MB of layers"


@pytest.mark.parametrize(
    "options", [{"zot_push_progress": False}, {"zot_push_progress": "no"}, {"no_log": True}, {"seconds": 0.0}], ids=str
)
def test_silence(options: dict[str, t.Any], run: Run, lines: list[str]) -> None:
    assert run(**options) == {"changed": True}
    assert lines == []


def test_a_value_that_is_no_boolean_is_an_error(run: Run) -> None:
    with pytest.raises(TypeError, match="not a valid boolean"):
        run(zot_push_progress="sometimes")


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
