# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limit the time of one call into the Kubernetes library, and find the reason of its failure.

Private to killinit.zot: it may change at any time.

A timeout of a socket limits the wait for the next byte, not the whole answer, and the library starts the plugin of a
kubeconfig without any limit.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import threading
import typing as t

if t.TYPE_CHECKING:
    from types import FrameType, TracebackType


class _OutOfTime(BaseException):
    """Not an Exception, because the library catches those."""


@contextlib.contextmanager
def time_limit(seconds: float) -> t.Iterator[None]:
    """Raise TimeoutError in the block after *seconds*, and kill the process that it waits for.

    Only the main thread can be interrupted. In another thread the block has no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    running = True

    def end(_number: int, _frame: FrameType | None) -> None:
        if running:
            raise _OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _OutOfTime as error:
        _kill_processes(error.__traceback__)
        raise TimeoutError(f"no complete answer within {seconds:g} seconds") from None
    finally:
        running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _kill_processes(traceback: TracebackType | None) -> None:
    """Kill the processes of the interrupted functions, which have no other reference to them."""
    while traceback:
        for value in traceback.tb_frame.f_locals.values():
            # A process that is only being started has no number yet.
            if isinstance(value, subprocess.Popen) and value.pid:
                value.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    value.wait(1)
        traceback = traceback.tb_next


def retries(count: int, longest_pause: float) -> t.Any:
    """The retries of urllib3. It waits as long as the header Retry-After says, even for hours: limit the pause."""
    from urllib3 import Retry

    class LimitedRetry(Retry):
        def get_retry_after(self, response: t.Any) -> float:
            return min(super().get_retry_after(response) or 0, longest_pause)

    return LimitedRetry(count, redirect=False)


@contextlib.contextmanager
def logged_errors() -> t.Iterator[list[str]]:
    """The errors that the library logs in the block. If a plugin fails, the library only logs the error."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Handler(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger().removeHandler(handler)


def first_cause(error: BaseException) -> str:
    """The text of the first cause of an error: the errors around it repeat the request."""
    # urllib3 also passes on an error as the reason or as an argument of another one.
    found = [each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, BaseException)]
    inner = found[0] if found else error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return first_cause(inner) if inner else getattr(error, "strerror", None) or first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of the text of an error, or its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
