# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import runner as runner_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import (
    Runner,
    ended_by_signals,
    find_tool,
    thread_pool,
)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(timeout=10, retries=3, directory=str(tmp_path), redact=lambda text: text.replace("s3cret", "***"))


def late(error: ZotError) -> None:
    raise AssertionError(f"the clean-up took too long: {error}")


def run(runner: Runner, script: str, **more: t.Any) -> bytes:
    options: dict[str, t.Any] = {"what": "cannot try", "environment": dict(os.environ), "message": str.strip, **more}
    return runner.run(["/bin/sh", "-c", script], **options)


def wait_until(condition: t.Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 seconds"
        time.sleep(0.01)


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_dead(file: Path) -> None:
    """The kill is sent, but it may come a moment later."""
    pid = file.read_text().strip()
    wait_until(lambda: not is_alive(pid))


def test_standard_output(runner: Runner) -> None:
    assert run(runner, "printf 'a\\000b\\n'; echo noise >&2") == b"a\0b\n"


def test_nothing_on_standard_input(runner: Runner) -> None:
    assert run(runner, "cat; echo end") == b"end\n"


def test_the_environment_is_the_one_given(runner: Runner) -> None:
    assert run(runner, "echo $WORD $HOME", environment={"WORD": "one"}) == b"one\n"


def test_it_runs_in_the_directory(runner: Runner, tmp_path: Path) -> None:
    assert run(runner, "pwd -P").decode().strip() == str(tmp_path.resolve())


def test_a_short_secret_does_not_spoil_the_class(tmp_path: Path) -> None:
    runner = Runner(timeout=10, retries=0, directory=str(tmp_path), redact=lambda text: text.replace("p", "***"))
    with pytest.raises(ZotError) as raised:
        run(runner, "echo 'http: server gave HTTP response to HTTPS client' >&2; exit 1")
    assert (raised.value.error_class, "p" in raised.value.stderr) == ("tls", False)


def test_failure(runner: Runner) -> None:
    with pytest.raises(ZotError) as raised:
        run(runner, "echo 'DENIED: s3cret' >&2; exit 3")
    error = raised.value
    assert (error.error_class, str(error), error.rc, error.stderr, error.command[0]) == (
        "denied",
        "cannot try: DENIED: ***",
        3,
        "DENIED: ***\n",
        "/bin/sh",
    )


def test_failure_without_a_word(runner: Runner) -> None:
    with pytest.raises(ZotError, match=r"^cannot try: exit status 7 without output$"):
        run(runner, "exit 7")


def test_of_a_long_output_the_ends_are_shown(runner: Runner) -> None:
    with pytest.raises(ZotError) as raised:
        run(runner, "{ echo first; head -c 1000000 /dev/zero; echo last; } >&2; exit 1")
    assert raised.value.stderr.startswith("first\n")
    assert raised.value.stderr.endswith("last\n")
    assert len(raised.value.stderr) < 10_000


def test_no_half_of_a_secret_is_shown(runner: Runner) -> None:
    script = "{ head -c 4093 /dev/zero | tr '\\0' x; echo s3cret; head -c 9000 /dev/zero; } >&2; exit 1"
    with pytest.raises(ZotError) as raised:
        run(runner, script)
    assert "s3c" not in raised.value.stderr


def test_output_that_is_no_text(runner: Runner) -> None:
    with pytest.raises(ZotError) as raised:
        run(runner, "printf '\\377 denied: x' >&2; exit 1")
    assert raised.value.error_class == "denied"


def test_a_name_in_the_output_does_not_count(runner: Runner) -> None:
    with pytest.raises(ZotError) as raised:
        run(runner, "echo 'reading h/r:DENIED: connection refused' >&2; exit 1", names=["h/r:DENIED"])
    assert raised.value.error_class == "unavailable"


def test_much_output_on_both_does_not_block(runner: Runner) -> None:
    assert len(run(runner, "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero")) == 300000


@pytest.mark.parametrize("where", ["", " >&2"], ids=["standard output", "standard error"])
def test_output_without_end(runner: Runner, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(runner_file, "_LONGEST_OUTPUT", 1 << 20)
    started = time.monotonic()
    with pytest.raises(ZotError, match=r"^cannot try: /bin/sh printed more than 1 MiB and was killed$") as raised:
        run(runner, f"cat /dev/zero{where}")
    assert time.monotonic() - started < 5
    assert raised.value.error_class == "tool_failed"


def test_the_longest_output(runner: Runner) -> None:
    """A list of tags may be long."""
    assert len(run(runner, f"head -c {runner_file._LONGEST_OUTPUT} /dev/zero")) == 32 << 20


def test_the_time_limit_for_a_tool_that_says_nothing_more(tmp_path: Path) -> None:
    runner = Runner(timeout=1, retries=0, directory=str(tmp_path), redact=str)
    with pytest.raises(ZotError, match="did not finish within 1 seconds and was killed"):
        run(runner, "echo $$ > pid; exec >&- 2>&-; sleep 60")
    wait_until_dead(tmp_path / "pid")


def test_the_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    runner = Runner(timeout=1, retries=0, directory=str(tmp_path), redact=str)
    started = time.monotonic()
    with pytest.raises(ZotError, match="did not finish within 1 seconds and was killed") as raised:
        run(runner, "(sleep 60 & echo $! > grandchild; wait) & wait")
    assert time.monotonic() - started < 10
    assert (raised.value.error_class, raised.value.retryable) == ("unavailable", True)
    wait_until_dead(tmp_path / "grandchild")


def test_a_tool_that_does_not_listen_to_signals_is_ended_too(tmp_path: Path) -> None:
    runner = Runner(timeout=1, retries=0, directory=str(tmp_path), redact=str)
    with pytest.raises(ZotError, match="did not finish within"):
        run(runner, "trap '' TERM INT HUP; echo $$ > pid; sleep 60; sleep 60")
    wait_until_dead(tmp_path / "pid")


def test_end_kills_what_runs(runner: Runner, tmp_path: Path) -> None:
    errors: list[ZotError] = []

    def long() -> None:
        try:
            run(runner, "echo $$ > pid.new; mv pid.new pid; sleep 60")
        except ZotError as error:
            errors.append(error)

    thread = threading.Thread(target=long)
    thread.start()
    wait_until((tmp_path / "pid").exists)
    runner.end()
    thread.join(5)
    assert not thread.is_alive()
    wait_until_dead(tmp_path / "pid")
    assert len(errors) == 1


def test_nothing_starts_after_the_end(runner: Runner, tmp_path: Path) -> None:
    runner.end()
    with pytest.raises(ZotError, match="the task was ended"):
        run(runner, "touch started")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_the_run(runner: Runner, tmp_path: Path, number: signal.Signals) -> None:
    def send() -> None:
        wait_until((tmp_path / "pid").exists)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=send)
    thread.start()
    started = time.monotonic()
    expected = pytest.raises(ZotError, match=f"interrupted by signal {number}")
    with expected as raised, ended_by_signals(late) as first:
        first.append(runner.end)
        run(runner, "echo $$ > pid.new; mv pid.new pid; sleep 60")
    thread.join(5)
    assert time.monotonic() - started < 10
    assert raised.value.error_class == "tool_failed"
    wait_until_dead(tmp_path / "pid")
    assert signal.getsignal(number) is before


def test_a_signal_while_a_tool_starts(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process exists before Popen returns."""
    start = subprocess.Popen

    def interrupted(*arguments: t.Any, **options: t.Any) -> t.Any:
        process = start(*arguments, **options)
        (tmp_path / "pid").write_text(str(process.pid))
        os.kill(os.getpid(), signal.SIGTERM)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(ZotError, match="signal"), ended_by_signals(late) as first:  # noqa: PT012
        first.append(runner.end)
        run(runner, "sleep 60")
    wait_until_dead(tmp_path / "pid")


def test_without_a_signal_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals(late):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("name", "mode"), [("none", None), ("plain", 0o644)], ids=["there is none", "it may not be executed"]
)
def test_a_tool_that_cannot_be_started(runner: Runner, tmp_path: Path, name: str, mode: int | None) -> None:
    if mode is not None:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(mode)
    with pytest.raises(ZotError, match=f"^cannot try: cannot start .*{name}: ") as raised:
        runner.run([str(tmp_path / name)], what="cannot try", environment={}, message=str)
    assert raised.value.error_class == "tool_missing"


@pytest.fixture
def waits(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were to be waited; nobody waits."""
    waits: list[float] = []
    monkeypatch.setattr(runner._ended, "wait", waits.append)
    return waits


class Flaky:
    """Raises the errors, one a call, and then returns."""

    def __init__(self, *errors: ZotError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def unavailable(stderr: str = "") -> ZotError:
    return ZotError("unavailable", "not now", stderr=stderr)


def test_retry_until_it_works(runner: Runner, waits: list[float]) -> None:
    action = Flaky(unavailable(), unavailable(), unavailable())
    assert (runner.retry(action), action.calls, len(waits)) == ("done", 4, 3)


def test_the_number_of_retries(runner: Runner, waits: list[float]) -> None:
    action = Flaky(*(unavailable() for _number in range(9)))
    with pytest.raises(ZotError, match="not now"):
        runner.retry(action)
    assert (action.calls, len(waits)) == (4, 3)


def test_no_retry_of_what_cannot_help(runner: Runner, waits: list[float]) -> None:
    action = Flaky(ZotError("denied", "no"))
    with pytest.raises(ZotError, match="no"):
        runner.retry(action)
    assert (action.calls, waits) == (1, [])


def test_no_retries_at_all(tmp_path: Path) -> None:
    action = Flaky(unavailable())
    with pytest.raises(ZotError):
        Runner(timeout=1, retries=0, directory=str(tmp_path), redact=str).retry(action)
    assert action.calls == 1


def test_waits_grow_with_jitter(runner: Runner, waits: list[float]) -> None:
    runner.retry(Flaky(unavailable(), unavailable(), unavailable()))
    for wait, longest in zip(waits, (1, 2, 4)):
        assert longest / 2 <= wait <= longest


def test_waits_do_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(timeout=600, retries=20, directory=str(tmp_path), redact=str)
    waits: list[float] = []
    monkeypatch.setattr(runner._ended, "wait", waits.append)
    runner.retry(Flaky(*(unavailable() for _number in range(20))))
    assert max(waits) <= runner_file._LONGEST_WAIT


def test_retry_after_is_honoured(runner: Runner, waits: list[float]) -> None:
    runner.retry(Flaky(unavailable("Retry-After: 9")))
    assert waits == [9]


def test_retry_after_is_bounded_by_the_timeout(runner: Runner, waits: list[float]) -> None:
    runner.retry(Flaky(unavailable("Retry-After: 86400")))
    assert waits == [10]


def test_the_end_ends_a_wait(runner: Runner) -> None:
    action = Flaky(unavailable("Retry-After: 10"))
    threading.Timer(0.2, runner.end).start()
    started = time.monotonic()
    runner.retry(action)
    assert time.monotonic() - started < 5


def test_find_tool_in_path(tools: Path) -> None:
    assert find_tool(None, "crane") == str(tools / "crane")


def test_find_tool_of_the_option(tools: Path, tmp_path: Path) -> None:
    own = tmp_path / "crane"
    own.symlink_to(tools / "crane")
    assert find_tool(str(own), "crane") == str(own)


def test_find_tool_gives_an_absolute_path(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools run in another directory."""
    monkeypatch.chdir(tools)
    assert find_tool("./crane", "crane") == str(tools / "crane")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, "cannot find regctl: regctl is not in PATH"),
        ("/none/regctl", "cannot find regctl: regctl_path is /none/regctl, which is not a program"),
    ],
    ids=["PATH", "option"],
)
def test_no_tool(tools: Path, path: str | None, message: str) -> None:
    assert not (tools / "regctl").exists()
    with pytest.raises(ZotError) as raised:
        find_tool(path, "regctl")
    assert (raised.value.error_class, raised.value.message) == ("tool_missing", message)


def test_all_missing_tools_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the commands that install them. One that an option names, and that exists, is not missing."""
    program = tmp_path / "my-skopeo"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for skopeo, missing in ((None, "crane and skopeo: they are"), (str(program), "crane: crane is")):
        with pytest.raises(ZotError) as raised:
            find_tool(None, "crane", {"skopeo": skopeo})
        assert raised.value.message == f"cannot find {missing} not in PATH"
        assert "-xz crane" in raised.value.hint
        assert ("apt install skopeo" in raised.value.hint) is (skopeo is None)


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
