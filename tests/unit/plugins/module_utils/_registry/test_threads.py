# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal
import threading
import time

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.signals import ended_by_signals
from ansible_collections.killinit.zot.plugins.module_utils._registry.threads import thread_pool


def test_results_are_in_the_order_of_the_arguments() -> None:
    with thread_pool(3) as pool:
        assert list(pool.map(lambda seconds: time.sleep(seconds) or seconds, [0.2, 0.0, 0.1])) == [0.2, 0.0, 0.1]
        assert list(pool.map(str, [])) == []


def test_an_error_is_raised_when_all_have_ended() -> None:
    ended = []

    def work(number: int) -> None:
        time.sleep(number / 20)
        ended.append(number)
        if number == 0:
            raise ValueError

    with thread_pool(2) as pool, pytest.raises(ValueError):  # noqa: PT011
        list(pool.map(work, [0, 1]))
    assert ended == [0, 1]


def test_at_least_one_thread() -> None:
    with pytest.raises(ZotError, match="parallel is 0"):
        thread_pool(0)


def test_a_signal_that_another_thread_receives() -> None:
    """The thread of the pool receives it, as Linux may decide, and the main thread must still end the task."""
    end = threading.Event()

    def work(_none: None) -> None:
        time.sleep(0.3)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        end.wait(10)

    start = time.monotonic()
    with pytest.raises(ZotError, match="signal 15"), ended_by_signals(pytest.fail) as first:  # noqa: PT012
        first.append(end.set)
        with thread_pool(1) as pool:
            list(pool.map(work, [None]))
    assert time.monotonic() - start < 5
