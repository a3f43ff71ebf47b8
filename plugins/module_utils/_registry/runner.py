# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a tool: time limit, process group, retries, and its standard error as an error.

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

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, classify

if t.TYPE_CHECKING:
    from types import FrameType

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_LONGEST_END = 4 * 1024
# Manifests and configurations have 4 MiB at the most, a list of a million tags about this. crane prints whatever comes.
_LONGEST_OUTPUT = 32 * 1024 * 1024
_PIECE = 64 * 1024
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

T = t.TypeVar("T")


class Terminated(BaseException):
    """Somebody asked the task to end. No Exception, so that only the clean-up on the way out sees it."""


class Runner:
    """Runs tools on behalf of one task, each in a process group of its own, none of which outlives the task."""

    def __init__(
        self,
        *,
        timeout: int,
        retries: int,
        directory: str,
        hide: t.Callable[[str], str],
    ) -> None:
        """*timeout* is in seconds, for one run; *directory* is where the tools run; *hide* takes secrets out."""
        # A core dump would hold the credentials, ours and that of a tool.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        self._timeout = timeout
        self._retries = retries
        self._directory = directory
        self._hide = hide
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # a signal can come while its own thread holds it
        self._over = threading.Event()

    def run(
        self,
        command: t.Sequence[str],
        *,
        what: str,
        environment: t.Mapping[str, str],
        message: t.Callable[[str], str],
        names: t.Sequence[str] = (),
    ) -> bytes:
        """Return the standard output of one run.

        *what* begins the error, as in "cannot read REFERENCE"; *message* finds the error in the tool's standard error;
        *names* are the references in the command. Raises ZotError.
        """
        process = self._start(command, what, environment)
        try:
            with process:  # closes its pipes and waits for it
                stdout, stderr = _output(process, self._timeout)
        except subprocess.TimeoutExpired:
            raise ZotError(
                "unavailable",
                f"{what}: {command[0]} did not end within {self._timeout} seconds and was stopped",
                hint="Check the registry and the network, or raise the option timeout.",
                command=command,
            ) from None
        except _TooLong:
            raise ZotError(
                "tool_failed",
                f"{what}: {command[0]} printed more than {_LONGEST_OUTPUT >> 20} MiB and was stopped",
                hint="The registry answers with something else than it was asked for: ask its operator.",
                command=command,
            ) from None
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode == 0:
            return stdout
        text = stderr.decode(errors="replace")
        # Cut after it is hidden, or half a secret could be left.
        shown = _ends(self._hide(text))
        raise ZotError(
            # Classified before it is hidden: a short secret can be part of any word.
            classify(message(_ends(text)), names=names),
            f"{what}: {message(shown) or f'{command[0]} ended with {process.returncode} and said nothing'}",
            command=command,
            rc=process.returncode,
            stderr=shown,
        )

    def retry(self, action: t.Callable[[], T]) -> T:
        """Return what *action* returns; after an error worth a retry wait and call it again, as often as retries say.

        Waits longer each time, with jitter, and at least as long as the registry asked for.
        """
        for attempt in range(self._retries):
            try:
                return action()
            except ZotError as error:
                if not error.retryable:
                    raise
                wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.0)
                self._over.wait(max(wait, min(error.retry_after or 0, self._timeout)))
        return action()

    def end(self) -> None:
        """Kill what still runs and start nothing any more."""
        with self._lock:
            self._over.set()
            for process in self._running:
                _kill_group(process)

    def _start(self, command: t.Sequence[str], what: str, environment: t.Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._over.is_set():
                raise ZotError("tool_failed", f"{what}: the task was ended")
            try:
                process = subprocess.Popen(
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
            return process


class _TooLong(Exception):
    """A tool prints without end."""


def _output(process: subprocess.Popen[bytes], timeout: int) -> tuple[bytes, bytes]:
    """Standard output and standard error until the process ends. Raises TimeoutExpired or _TooLong, and kills it."""
    end = time.monotonic() + timeout
    printed = {pipe.fileno(): bytearray() for pipe in (process.stdout, process.stderr) if pipe}
    try:
        with selectors.PollSelector() as selector:
            for handle in printed:
                selector.register(handle, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(end - time.monotonic())
                if not ready:
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


def _ends(text: str) -> str:
    """Beginning and end of what may have any length: a registry can make a tool repeat what it says."""
    return text if len(text) <= 2 * _LONGEST_END else f"{text[:_LONGEST_END]} ... {text[-_LONGEST_END:]}"


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def find_tool(path: str | None, name: str) -> str:
    """Return the absolute path of a program: the option's, or that in PATH. Raises ZotError when there is none."""
    found = shutil.which(path or name)
    if not found:
        where = f"the option {name}_path names {path}, which is no program" if path else f"{name} is not in PATH"
        raise ZotError("tool_missing", f"cannot find {name}: {where}")
    return os.path.abspath(found)


@contextlib.contextmanager
def ended_by_signals() -> t.Iterator[list[t.Callable[[], None]]]:
    """Let SIGTERM, SIGHUP and SIGINT end the task by way of its clean-up instead of on the spot.

    Gives the list of what is to be called first: threads that wait for a tool would otherwise hold the clean-up up.
    """
    first: list[t.Callable[[], None]] = []

    def end(number: int, _frame: FrameType | None) -> t.NoReturn:
        for call in first:
            call()
        raise Terminated(f"signal {number}")

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield first
    except Terminated as error:
        raise ZotError(
            "tool_failed",
            f"the task was ended by {error}",
            hint="Run it again: it looks at what is there and does what is left.",
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
