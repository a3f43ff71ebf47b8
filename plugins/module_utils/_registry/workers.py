# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that read files, because reading a file of a stalled file system can block without end.

Private to killinit.zot: it may change at any time.

A thread in such a system call cannot be ended, and neither can a process with such a thread. Therefore the process of
the module does not read archives itself. It can kill its workers and end, even if they are blocked.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import threading
import time
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.signals import LONGEST_END, SIGNALS

_HEADER = struct.Struct("!Q")


class Workers:
    """The workers of one task. Each holds one object at a time, whose methods it runs."""

    def __init__(self, timeout: int) -> None:
        """*timeout* limits one call, in seconds."""
        self._timeout = timeout
        self._all: list[Worker] = []
        self._free: list[Worker] = []
        self._lock = threading.RLock()  # reentrant: the signal handler may run in the thread that holds it

    @contextlib.contextmanager
    def started(self, count: int, load: t.Callable[[], t.Callable[..., t.Any]]) -> t.Iterator[None]:
        """Start *count* workers. Each calls *load* at its start, and creates its objects with the returned function.

        Call it before any thread is started.
        """
        try:
            for _number in range(count):
                self._all.append(Worker(load, self._timeout, self._all))
            self._free = list(self._all)
            yield
        finally:
            self.end()
            end = time.monotonic() + LONGEST_END
            for worker in self._all:
                worker.close(end)
            self._all.clear()

    @contextlib.contextmanager
    def one(self, what: str) -> t.Iterator[Worker]:
        """A worker for the use of one thread. *what* is the beginning of the error message if none is left."""
        with self._lock:
            worker = self._free.pop() if self._free else None
        if worker is None:
            raise ZotError("unavailable", f"{what}: all processes that read archives are blocked")
        try:
            yield worker
        finally:
            if worker.alive:
                self._free.append(worker)

    def end(self) -> None:
        """Kill all workers."""
        for worker in self._all:
            worker.kill()


class Worker:
    """A process that creates an object and runs its methods."""

    def __init__(self, load: t.Callable[[], t.Callable[..., t.Any]], timeout: int, others: t.Sequence[Worker]) -> None:
        self._timeout = timeout
        self._channel, channel = socket.socketpair()
        self.alive = True
        # A signal between fork and the reset of its handler would run the clean-up of the module in the new process.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                for number in SIGNALS:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                for worker in (*others, self):  # or they would not notice the end of the module
                    worker._channel.close()
                # Ansible waits until every process has closed the output of the module.
                null = os.open(os.devnull, os.O_RDWR)
                for descriptor in range(3):
                    os.dup2(null, descriptor)
                _serve(channel, load())
            finally:
                os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        channel.close()

    def open(self, *arguments: t.Any) -> None:
        """Replace the object by a new one, which the next method call creates with *arguments*."""
        self._send("open", arguments)

    def call(self, what: str, name: str, *arguments: t.Any) -> t.Any:
        """Run a method of the object. Raises its exceptions, and ZotError.

        *what* is the beginning of the error message, for example "cannot read FILE".
        """
        self._send(name, arguments)
        try:
            self._channel.settimeout(self._timeout)
            failed, answer = _receive(self._channel)
        except socket.timeout:
            self.kill()
            raise ZotError(
                "unavailable",
                f"{what}: it did not finish within {self._timeout} seconds",
                hint="Check the file system of the archive, or increase the option timeout.",
            ) from None
        except (EOFError, OSError):
            self.kill()
            raise ZotError(
                "tool_failed",
                f"{what}: the process that reads it was killed",
                hint="Check the memory of the host, and run the task again.",
            ) from None
        if failed:
            raise answer
        return answer

    def _send(self, name: str, arguments: t.Sequence[t.Any]) -> None:
        with contextlib.suppress(OSError):  # the process was killed, and there will be no answer
            _send(self._channel, (name, arguments))

    def kill(self) -> None:
        """Kill the process without waiting for its end."""
        if self.alive:
            self.alive = False
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            # The thread that waits for an answer must not wait for the end of a process that is blocked in the kernel.
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)

    def close(self, end: float) -> None:
        """Wait until *end* for the end of the killed process."""
        self._channel.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self._pid, os.WNOHANG) == (0, 0) and time.monotonic() < end:
                time.sleep(0.0005)


def _serve(channel: socket.socket, factory: t.Callable[..., t.Any]) -> None:
    """Run methods until the module closes the channel or ends."""
    subject: t.Any = None
    made_with: t.Sequence[t.Any] = ()
    while True:
        name, arguments = _receive(channel)
        if name == "open":
            subject, made_with = None, arguments  # closes the file before the next one is opened
            continue
        try:
            if subject is None:
                subject = factory(*made_with)
            answer = (False, getattr(subject, name)(*arguments))
        except Exception as error:
            answer = (True, error)
        _send(channel, answer)


def _send(channel: socket.socket, message: t.Any) -> None:
    raw = pickle.dumps(message)
    channel.sendall(_HEADER.pack(len(raw)) + raw)


def _receive(channel: socket.socket) -> t.Any:
    (size,) = _HEADER.unpack(_read(channel, _HEADER.size))
    return pickle.loads(_read(channel, size))


def _read(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = channel.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
