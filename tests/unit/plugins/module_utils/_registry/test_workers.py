# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.signals import ended_by_signals
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Workers


class Subject:
    """What a worker holds."""

    def __init__(self, name: str) -> None:
        if name == "bad":
            raise ValueError("it cannot be opened")
        self.name = name

    def where(self) -> tuple[str, int]:
        return self.name, os.getpid()

    def big(self) -> bytes:
        return b"x" * 5_000_000

    def block(self) -> None:
        time.sleep(600)

    def exit(self) -> None:
        os._exit(3)

    def output(self) -> None:
        os.write(1, b"a worker has no output")


@pytest.fixture
def workers() -> t.Iterator[Workers]:
    made = Workers(timeout=20)
    yield made
    assert not made._all


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_methods_run_in_another_process(workers: Workers) -> None:
    with workers.started(1, lambda: Subject), workers.one("cannot try") as worker:
        worker.open("one")
        name, pid = worker.call("cannot try", "where")
        assert (name, len(worker.call("cannot try", "big"))) == ("one", 5_000_000)
        worker.open("two")
        assert worker.call("cannot try", "where") == ("two", pid)
    assert pid != os.getpid()
    assert has_ended(pid)


def test_errors_are_those_of_the_object(workers: Workers) -> None:
    with workers.started(1, lambda: Subject), workers.one("cannot try") as worker:
        worker.open("bad")
        for _call in range(2):
            with pytest.raises(ValueError, match="it cannot be opened"):
                worker.call("cannot try", "where")
        worker.open("good")
        assert worker.call("cannot try", "where")[0] == "good"


def test_output_does_not_reach_ansible(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    with workers.started(1, lambda: Subject), workers.one("cannot try") as worker:
        worker.open("one")
        worker.call("cannot try", "output")
    assert capfd.readouterr().out == ""


def test_the_time_limit() -> None:
    workers = Workers(timeout=1)
    with workers.started(2, lambda: Subject):
        started = time.monotonic()
        with workers.one("cannot try") as worker:
            worker.open("one")
            _name, pid = worker.call("cannot try", "where")
            with pytest.raises(ZotError, match="cannot try: it did not finish within 1 seconds") as raised:
                worker.call("cannot try", "block")
        assert time.monotonic() - started < 5
        with workers.one("cannot try") as other:
            other.open("two")
            assert other.call("cannot try", "where")[0] == "two"
    assert (raised.value.error_class, raised.value.retryable) == ("unavailable", True)
    assert has_ended(pid)


def test_no_worker_is_left(workers: Workers) -> None:
    with workers.started(1, lambda: Subject):
        for message in ("the process that reads it was killed", "all processes that read archives are blocked"):
            with pytest.raises(ZotError, match=message), workers.one("cannot try") as worker:  # noqa: PT012
                worker.open("one")
                worker.call("cannot try", "exit")


@pytest.mark.parametrize("thread", [False, True], ids=["in the main thread", "in another thread"])
def test_a_signal_ends_a_call(workers: Workers, thread: bool) -> None:
    pids: list[int] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            with workers.one("cannot try") as worker:
                worker.open("one")
                pids.append(worker.call("cannot try", "where")[1])
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
                worker.call("cannot try", "block")
        except ZotError as error:
            errors.append(error)

    started = time.monotonic()
    with pytest.raises(ZotError, match="interrupted by signal 15"), ended_by_signals(errors.append) as first:  # noqa: PT012
        first.append(workers.end)
        with workers.started(1, lambda: Subject):
            if thread:
                other = threading.Thread(target=call)
                other.start()
                other.join()
            call()
    assert time.monotonic() - started < 5
    assert has_ended(pids[0])
    assert all("was killed" in str(error) for error in errors)


def test_workers_end_with_the_module(tmp_path: Path) -> None:
    """Also if it is killed and cannot clean up."""
    pid = os.fork()
    if pid == 0:
        try:
            workers = Workers(timeout=20)
            with workers.started(2, lambda: Subject), workers.one("cannot try") as worker:
                worker.open("one")
                (tmp_path / "new").write_text(str(worker.call("cannot try", "where")[1]))
                (tmp_path / "new").rename(tmp_path / "pid")
                time.sleep(60)
        finally:
            os._exit(0)
    end = time.monotonic() + 10
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    worker_pid = (tmp_path / "pid").read_text()
    while Path(f"/proc/{worker_pid}/stat").exists():
        if Path(f"/proc/{worker_pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # it has ended; this container has no process that waits for it
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_thread_that_cannot_be_ended_does_not_delay_the_end() -> None:
    """The clean-up waits for it, so another thread ends the process."""
    given_up = threading.Event()
    released = threading.Event()

    def give_up(error: ZotError) -> None:
        assert "interrupted by signal 15" in str(error)
        given_up.set()
        released.set()

    started = time.monotonic()
    with pytest.raises(ZotError, match="interrupted by signal 15"), ended_by_signals(give_up):  # noqa: PT012
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            time.sleep(10)
        finally:
            released.wait(10)
    assert given_up.is_set()
    assert time.monotonic() - started < 5


def test_a_second_signal_does_not_interrupt_the_clean_up() -> None:
    cleaned = False
    with pytest.raises(ZotError, match="interrupted by signal 15"), ended_by_signals(lambda _error: None):  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned = True
    assert cleaned
