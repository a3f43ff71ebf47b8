# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a tool with a time limit, in a process group, with retries, and convert its standard error into an error.

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

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, classify, elide
from ansible_collections.killinit.zot.plugins.module_utils._registry.signals import LONGEST_END, delayed_signals

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_LONGEST_TEXT = 8 * 1024
# A manifest or a configuration has at most 4 MiB, a list of a million tags about 32 MiB. crane itself has no limit.
_LONGEST_OUTPUT = 32 * 1024 * 1024
_PIECE = 64 * 1024
# The maximum delay of a signal, in seconds.
_INTERVAL = 0.2

T = t.TypeVar("T")


class Retries:
    """Repeats what failed with a retryable error, until the end of the task."""

    def __init__(self, *, timeout: int, retries: int) -> None:
        """*timeout* is the longest wait that the registry may request, in seconds."""
        self._timeout = timeout
        self._retries = retries
        self._ended = threading.Event()

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


class Runner(Retries):
    """Runs the tools of one task, each in its own process group. None outlives the task."""

    def __init__(
        self,
        *,
        timeout: int,
        retries: int,
        directory: str,
        redact: t.Callable[[str], str],
    ) -> None:
        """*timeout* limits one run, in seconds. *directory* is the working directory. *redact* removes secrets."""
        # A core dump of this process or of a tool would contain the credentials.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        super().__init__(timeout=timeout, retries=retries)
        self._directory = directory
        self._redact = redact
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ahead: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()  # reentrant: the signal handler may run in the thread that holds it

    def start(self, command: t.Sequence[str], *, what: str, environment: t.Mapping[str, str]) -> None:
        """Start a command now. The next run() of the same command returns its output. Raises ZotError."""
        self._ahead[tuple(command)] = self._start(command, what, environment, resource.RLIM_INFINITY)

    def run(
        self,
        command: t.Sequence[str],
        *,
        what: str,
        environment: t.Mapping[str, str],
        message: t.Callable[[str], str],
        names: t.Sequence[str] = (),
        values: t.Mapping[str, str] | None = None,
        largest: int = resource.RLIM_INFINITY,
    ) -> bytes:
        """Return the standard output of one run.

        *what* is the beginning of the error message, for example "cannot read REFERENCE". *message* extracts the error
        from standard error. *names* are the references in the command, *values* those of ZotError. *largest* limits the
        size of the files that the tool writes. Raises ZotError.
        """
        process = self._ahead.pop(tuple(command), None) or self._start(command, what, environment, largest)
        try:
            stdout, stderr = _output(process, self._timeout)
        except subprocess.TimeoutExpired:
            raise ZotError(
                "unavailable",
                f"{what}: {command[0]} did not finish within {self._timeout} seconds and was killed",
                hint="Check the registry and the network, or increase the option timeout.",
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
        if process.returncode == 0:
            return stdout
        text = stderr.decode(errors="replace")
        # Redact before shortening the text, because a part of a secret would not be recognized.
        redacted = elide(self._redact(text), _LONGEST_TEXT)
        raise ZotError(
            # Classify before secrets are redacted: a short secret can be part of any word.
            classify(message(elide(text, _LONGEST_TEXT)), names=names),
            what,
            values=values,
            detail=message(redacted) or f"exit status {process.returncode} without output",
            command=command,
            rc=process.returncode,
            stderr=redacted,
        )

    def end(self) -> None:
        """Kill all running tools and refuse to start new ones."""
        with self._lock:
            self._ended.set()
            for process in self._running:
                _kill_group(process)

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
        process.wait(LONGEST_END)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def find_tool(path: str | None, name: str) -> str:
    """Return the absolute path of a program, from its option or from PATH. Raises ZotError if it does not exist."""
    found = shutil.which(path or name)
    if not found:
        where = f"{name}_path is {path}, which is not a program" if path else f"{name} is not in PATH"
        raise ZotError("tool_missing", f"cannot find {name}: {where}")
    return os.path.abspath(found)
