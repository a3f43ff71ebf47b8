# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes, threads, retries and signals of a task. None of them outlives it.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import selectors
import shutil
import signal
import subprocess
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor, wait
from types import MappingProxyType

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import (
    ZotError,
    classify,
    elide,
    missing_tools,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import given

if t.TYPE_CHECKING:
    from types import FrameType

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_LONGEST_TEXT = 8 * 1024
# A manifest or a configuration has at most 4 MiB, a list of a million tags about 32 MiB. crane itself has no limit.
_LONGEST_OUTPUT = 32 * 1024 * 1024
_PIECE = 64 * 1024
# The maximum delay of a signal, in seconds.
_INTERVAL = 0.2
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# Seconds to wait for the end of a killed process. One that is blocked in the kernel ends when its file system does.
_LONGEST_END = 0.3
# Seconds until the module ends without waiting for its threads any longer.
_LONGEST_CLEAN_UP = 0.7

T = t.TypeVar("T")


class Runner:
    """Runs the tools of one task, each in its own process group, and repeats what failed with a retryable error."""

    def __init__(self, *, timeout: int, retries: int, directory: str, redact: t.Callable[[str], str]) -> None:
        """*timeout* limits one run, and the wait that the registry may request, in seconds.

        *directory* is the working directory of the tools. *redact* removes secrets.
        """
        self._timeout = timeout
        self._retries = retries
        self._ended = threading.Event()
        self._directory = directory
        self._redact = redact
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # reentrant: the signal handler may run in the thread that holds it

    def retry(self, action: t.Callable[[], T]) -> T:
        """Return the result of *action*. After a retryable error, wait and call it again.

        The wait doubles with each attempt, has jitter, and respects the Retry-After of the registry.
        """
        for attempt in range(self._retries):
            try:
                return action()
            except ZotError as error:
                if not error.retryable:
                    raise
                wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.0)
                self._ended.wait(max(wait, min(error.retry_after or 0, self._timeout)))
        return action()

    def require_running(self, what: str) -> None:
        """Raise ZotError after the end of the task. *what* is the beginning of its message."""
        if self._ended.is_set():
            raise ZotError("tool_failed", f"{what}: the task was ended")

    def run(
        self,
        command: t.Sequence[str],
        *,
        what: str,
        environment: t.Mapping[str, str],
        message: t.Callable[[str], str],
        names: t.Sequence[str] = (),
        values: t.Mapping[str, str] | None = None,
        denied: str | None = None,
        largest: int = resource.RLIM_INFINITY,
    ) -> bytes:
        """Return the standard output of one run.

        *what* is the beginning of the error message, for example "cannot read REFERENCE". *message* extracts the error
        from standard error. *names* are the references in the command, *values* those of ZotError, and *denied* is the
        hint for a user who lacks the permission. *largest* limits the size of the files that the tool writes. Raises
        ZotError.
        """
        done = self._done(command, what, environment, largest)
        if done.returncode == 0:
            return done.stdout
        text = done.stderr.decode(errors="replace")
        # Redact before shortening the text, because a part of a secret would not be recognized.
        redacted = elide(self._redact(text), _LONGEST_TEXT)
        # Classify before secrets are redacted: a short secret can be part of any word.
        error_class = classify(message(elide(text, _LONGEST_TEXT)), names=names)
        raise ZotError(
            error_class,
            what,
            hint=denied if error_class == "denied" else None,
            values=values,
            detail=message(redacted) or f"exit status {done.returncode} without output",
            command=command,
            rc=done.returncode,
            stderr=redacted,
        )

    def end(self) -> None:
        """Kill all running tools and refuse to start new ones."""
        with self._lock:
            self._ended.set()
            for process in self._running:
                _kill_group(process)

    def _done(
        self, command: t.Sequence[str], what: str, environment: t.Mapping[str, str], largest: int
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end. Raises ZotError if it does not start, takes too long or prints too much."""
        process = self._start(command, what, environment, largest)
        try:
            stdout, stderr = _output(process, self._timeout)
            return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
        except subprocess.TimeoutExpired:
            raise ZotError(
                "unavailable",
                f"{what}: {command[0]} did not finish within {self._timeout} seconds and was killed",
                hint=f"Check the registry and the network, or increase {given('timeout')}.",
                command=command,
            ) from None
        except _TooLong:
            raise ZotError(
                "tool_failed",
                f"{what}: {command[0]} printed more than {_LONGEST_OUTPUT >> 20} MiB and was killed",
                hint="The response of the registry is not a manifest or a list: ask its operator.",
                command=command,
            ) from None
        finally:
            _close(process)
            with self._lock:
                self._running.discard(process)

    def _start(
        self, command: t.Sequence[str], what: str, environment: t.Mapping[str, str], largest: int
    ) -> subprocess.Popen[bytes]:
        with delayed_signals(), self._lock:
            self.require_running(what)
            try:
                # run_command() of AnsibleModule has no time limit, and does not end when the module receives a signal.
                process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=dict(environment),
                    cwd=self._directory,
                    start_new_session=True,
                )
            except OSError as error:
                raise ZotError(
                    "tool_missing", f"{what}: cannot start {command[0]}: {error.strerror}", command=command
                ) from error
            self._running.add(process)
            if largest != resource.RLIM_INFINITY and hasattr(resource, "prlimit"):
                with contextlib.suppress(OSError):
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
            return process


class _TooLong(Exception):
    """The output of a tool exceeds the limit."""


def _output(process: subprocess.Popen[bytes], timeout: int) -> tuple[bytes, bytes]:
    """Standard output and standard error of the process. Kills it and raises TimeoutExpired or _TooLong."""
    end = time.monotonic() + timeout
    printed = {pipe.fileno(): bytearray() for pipe in (process.stdout, process.stderr) if pipe}
    try:
        with selectors.PollSelector() as selector:
            for handle in printed:
                selector.register(handle, selectors.EVENT_READ)
            while selector.get_map():
                # A signal that arrives right before the call does not end it. Its handler runs after the interval.
                ready = selector.select(min(end - time.monotonic(), _INTERVAL))
                if not ready and time.monotonic() >= end:
                    raise subprocess.TimeoutExpired(process.args, timeout)
                for key, _events in ready:
                    piece = os.read(key.fd, _PIECE)
                    printed[key.fd] += piece
                    if not piece:
                        selector.unregister(key.fd)
                    if len(printed[key.fd]) > _LONGEST_OUTPUT:
                        raise _TooLong
        process.wait(end - time.monotonic())
    except (subprocess.TimeoutExpired, _TooLong):
        _kill_group(process)
        raise
    stdout, stderr = map(bytes, printed.values())
    return stdout, stderr


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process that has ended or was killed, and wait for its end for a limited time."""
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LONGEST_END)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def find_tool(path: str | None, name: str, others: t.Mapping[str, str | None] = MappingProxyType({})) -> str:
    """Return the absolute path of a program, from its option or from PATH. Raises ZotError if it does not exist.

    If it is not in PATH, the error also names those of the *others*, with their options, that do not exist.
    """
    found = shutil.which(path or name)
    if not found and path:
        raise missing_tools([name], f"{name}_path is {path}, which is not a program")
    if not found:
        missing = [name, *(other for other, given in others.items() if not shutil.which(given or other))]
        raise missing_tools(missing, f"{name} is not in PATH" if len(missing) == 1 else "they are not in PATH")
    return os.path.abspath(found)


def thread_pool(parallel: int) -> ThreadPool:
    """The threads for the option parallel. Raises ZotError if it is less than one."""
    if parallel < 1:
        raise ZotError("invalid_option", f"parallel is {parallel}, but must be at least 1")
    return ThreadPool(max_workers=parallel)


class ThreadPool(ThreadPoolExecutor):
    """A pool whose map() waits in short intervals.

    Python runs signal handlers only in the main thread, and only while it executes Python code. If two signals arrive
    together, as ansible-playbook sends them, Linux can deliver both to another thread while the main thread sleeps.
    See https://docs.python.org/3/library/signal.html#signals-and-threads
    """

    def map(
        self, fn: t.Callable[..., T], *iterables: t.Iterable[t.Any], timeout: float | None = None, chunksize: int = 1
    ) -> t.Iterator[T]:
        """The results in the order of the arguments, like ThreadPoolExecutor.map(), but after all have finished."""
        del timeout, chunksize
        running = [self.submit(fn, *arguments) for arguments in zip(*iterables)]
        while wait(running, timeout=_INTERVAL).not_done:
            pass
        return iter([each.result() for each in running])


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
        "tool_failed", f"the task was interrupted by {by}", hint="Run it again: completed writes are not repeated."
    )
