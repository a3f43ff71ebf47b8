# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a task by a signal.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

if t.TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# Seconds to wait for the end of a killed process. One that is blocked in the kernel ends when its file system does.
LONGEST_END = 0.3
# Seconds until the module ends without waiting for its threads any longer.
_LONGEST_CLEAN_UP = 0.7


class Terminated(BaseException):
    """A signal ended the task. Not an Exception, so that only clean-up code handles it."""


@contextlib.contextmanager
def delayed_signals() -> t.Iterator[None]:
    """Deliver signals at the end of the block, for example because a process that is being started cannot be killed.

    Python calls signal handlers only in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: received.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in received:
            signal.raise_signal(each)


@contextlib.contextmanager
def ended_by_signals(give_up: t.Callable[[ZotError], None]) -> t.Iterator[list[t.Callable[[], None]]]:
    """Run the clean-up of the task after SIGTERM, SIGHUP and SIGINT. Only the first signal has an effect.

    Yields a list of functions that the signal handler calls first: threads that wait for a tool would delay the
    clean-up. If a thread delays it nevertheless, *give_up* is called in another thread.
    """
    first: list[t.Callable[[], None]] = []
    watchdogs: list[threading.Timer] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if watchdogs:  # a second signal must not interrupt the clean-up
            return
        watchdog = threading.Timer(_LONGEST_CLEAN_UP, give_up, [_interrupted(f"signal {number}")])
        watchdog.daemon = True
        watchdogs.append(watchdog)
        watchdog.start()
        for call in first:
            call()
        raise Terminated(f"signal {number}")

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield first
    except Terminated as error:
        raise _interrupted(str(error)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for watchdog in watchdogs:
            watchdog.cancel()


def _interrupted(by: str) -> ZotError:
    return ZotError(
        "tool_failed",
        f"the task was interrupted by {by}",
        hint="Run it again: completed writes are not repeated.",
    )
