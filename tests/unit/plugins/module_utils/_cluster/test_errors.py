# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of the time of a call."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import typing as t
from types import FrameType

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import call_within


def start_slowly() -> None:
    process: t.Any = subprocess.Popen.__new__(subprocess.Popen)
    process.pid = None
    time.sleep(5)


def test_the_time_ends_while_a_process_is_being_started() -> None:
    """On a slow machine. The process has no number yet, so it cannot be killed."""
    with pytest.raises(TimeoutError, match=r"no complete answer within 0\.05 seconds"):
        call_within(0.05, start_slowly)


@pytest.mark.parametrize("fails", [False, True])
def test_the_time_ends_when_the_function_has_ended(fails: bool) -> None:
    """The alarm comes before the limit is stopped, after a result or an error."""
    frames = []

    def alarm(frame: FrameType, event: str, _argument: object) -> None:
        if event == "return" and frame.f_code.co_name == "function":
            sys.setprofile(None)
            frames.append(frame)
            handler = signal.getsignal(signal.SIGALRM)
            assert callable(handler)
            handler(signal.SIGALRM, frame)

    def function() -> None:
        sys.setprofile(alarm)
        if fails:
            raise OSError

    with pytest.raises(TimeoutError, match="no complete answer within 60 seconds"):
        call_within(60, function)
    assert len(frames) == 1
