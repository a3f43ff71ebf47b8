# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for secrets in every place where a run can leave them, during and after the run."""

from __future__ import annotations

import base64
import os
import resource
import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from subprocess import CompletedProcess

TOOLS = ("skopeo", "crane")

# What AWX keeps of a run: every result as a callback gets it.
CALLBACK = """\
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "aggregate", "everything"

    def _write(self, result, **_more):
        with open(os.environ["EVERYTHING"], "a") as file:
            file.write(json.dumps({"task": str(result.task), "result": result.result}, default=str) + "\\n")

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_item_on_ok = v2_runner_item_on_failed = _write
"""


def forms(username: str, password: str) -> list[str]:
    """A secret as it stands, in base64, and as the registry gets it."""
    return [password, *(base64.b64encode(text.encode()).decode() for text in (password, f"{username}:{password}"))]


def verbose_settings(directory: Path) -> dict[str, str]:
    """The variables that make Ansible log as much as it can, into *directory*."""
    plugins = directory / "callbacks"
    plugins.mkdir()
    (plugins / "everything.py").write_text(CALLBACK, encoding="utf-8")
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(plugins),
        "ANSIBLE_CALLBACKS_ENABLED": "everything,ansible.builtin.tree,ansible.builtin.junit",
        "ANSIBLE_CALLBACK_TREE_DIR": str(directory / "tree"),
        "ANSIBLE_DISPLAY_TRACEBACK": "always",
        "ANSIBLE_LOG_PATH": str(directory / "ansible.log"),
        "EVERYTHING": str(directory / "everything.jsonl"),
        "JUNIT_OUTPUT_DIR": str(directory / "junit"),
    }


class Watched:
    """A context that enables core dumps, and records the arguments of every process that starts.

    It also records the environment of each process that has this HOME.
    """

    def __init__(self, home: Path) -> None:
        self._home = f"\0HOME={home}\0"
        self._before = _processes()
        self._known: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._core = resource.getrlimit(resource.RLIMIT_CORE)
        self.arguments: set[str] = set()
        # Environments by program.
        self.environments: dict[str, set[str]] = {}
        # What the tools may write of their memory when they crash.
        self.core_limits: set[str] = set()

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            for process_id in _processes() - self._before:
                process = Path("/proc", process_id)
                try:
                    arguments = (process / "cmdline").read_bytes().decode(errors="replace")
                    if (process_id, arguments) in self._known:
                        continue
                    self.arguments.add(arguments)
                    environment = (process / "environ").read_bytes().decode(errors="replace")
                    program = Path(arguments.partition("\0")[0]).name
                    if self._home in f"\0{environment}":
                        self.environments.setdefault(program, set()).add(environment)
                        if program in TOOLS:
                            limits = (process / "limits").read_text(encoding="utf-8")
                            line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
                            self.core_limits.add(line.split()[4])
                    self._known.add((process_id, arguments))
                except OSError:
                    continue

    def __enter__(self) -> Watched:
        resource.setrlimit(resource.RLIMIT_CORE, (self._core[1], self._core[1]))
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        resource.setrlimit(resource.RLIMIT_CORE, self._core)


def _processes() -> set[str]:
    return {name for name in os.listdir("/proc") if name.isdecimal()}


def assert_no_leak(
    secrets: Iterable[str],
    watched: Watched,
    run: CompletedProcess[str],
    directories: Iterable[Path],
    *,
    ours: Collection[Path],
    given: Collection[str] = (),
    tools: Collection[str] = TOOLS,
) -> None:
    """No secret in process lists, outputs, and the files in *directories*, except *ours*.

    *given* are the variables in which the user gave it to Ansible; the tools must not see these either. *tools* are
    at least one of which must be observed, and none of which may leave a core dump.
    """
    assert watched.environments, "no process was observed"
    assert bool(watched.environments.keys() & set(TOOLS)) is bool(tools)
    assert watched.core_limits == ({"0"} if tools else set())
    left = [path for directory in directories for path in directory.rglob("*")]
    places = {f"file {path}": path.read_bytes() for path in left if path.is_file() and path not in ours}
    places["output"] = (run.stdout + run.stderr).encode()
    places |= {f"arguments {each[:80]!r}": each.encode() for each in watched.arguments}
    for program, environments in watched.environments.items():
        kept = () if program in TOOLS else given
        text = "\0".join(each for one in environments for each in one.split("\0") if each.partition("=")[0] not in kept)
        places[f"environment of {program}"] = text.encode()
    for name, content in places.items():
        for secret in secrets:
            assert secret.encode() not in content, f"{name} shows a secret"
    assert not [path for path in left if path.name.startswith(("zot-", "core"))]
