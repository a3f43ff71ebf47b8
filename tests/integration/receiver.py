# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-rulebook with a rulebook of the collection, which receives the events of a registry."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from integration.blocks import blocks
from reliability.support import wait_until

from environment import registry as registries

RULEBOOK = "killinit.zot.restart_on_push"
PAGE = "docs/docsite/rst/guide_events.rst"


@dataclass
class Receiver:
    """The command of the guide for one cluster, whose host has *variables*; its files and log are in *directory*."""

    program: str
    directory: Path
    environment: Mapping[str, str]
    variables: Mapping[str, Any]
    rulebook: str = RULEBOOK
    port: int = field(default_factory=registries.free_port)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, and return when it waits for events."""
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        inventory = {"all": {"hosts": {"production": {**local, **self.variables}}}}
        parameters = {"zot_event_port": self.port, "zot_event_token": self.token}
        self.directory.mkdir(exist_ok=True)
        for name, content in (("event.yml", parameters), ("clusters.yml", inventory)):
            (self.directory / name).write_text(json.dumps(content))
        (documented,) = (
            line for block in blocks(PAGE) for line in block.commands if line.startswith("ansible-rulebook")
        )
        command = [self.program, *documented.replace(RULEBOOK, self.rulebook).split()[1:]]
        path = f"{Path(self.program).parent}{os.pathsep}{self.environment['PATH']}"
        with self._log.open("ab") as log:
            offset = log.tell()
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env={**self.environment, "PATH": path, "ANSIBLE_SHOW_CUSTOM_STATS": "true"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: self._is_waiting(offset), "ansible-rulebook waits for events", 60)

    def stop(self) -> None:
        """End it and what it has started."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        """All that it has printed, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(encoding="utf-8", errors="replace"))

    def runs(self) -> int:
        """How many runs of the playbook have begun."""
        return self.log.count("\nPLAY [")

    def reports(self) -> list[dict[str, Any]]:
        """The report of each finished run."""
        return [json.loads(text)["zot_rollout_report"] for text in re.findall(r"RUN: (\{.*\})", self.log)]

    def post(
        self, body: bytes | dict[str, Any], *, token: str | None = "", headers: Mapping[str, str] | None = None
    ) -> int:
        """Send an event as Zot does, and return the status. *token* is the right one, another one, or None."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", "Ce-Type": "zotregistry.image.updated", **(headers or {})}
        if token is not None:
            given["Authorization"] = f"Bearer {token or self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/zot", content, given)
            return connection.getresponse().status

    @contextlib.contextmanager
    def running(self) -> Iterator[Receiver]:
        """Started, for the time of a `with` block."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    @property
    def _log(self) -> Path:
        return self.directory / "rulebook.log"

    def _is_waiting(self, offset: int) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log
        return "Waiting for events" in self._log.read_bytes()[offset:].decode(errors="replace")


def program() -> str:
    """ansible-rulebook. Skips the test without it."""
    found = os.environ.get("ZOT_TEST_RULEBOOK") or shutil.which("ansible-rulebook")
    if not found or not shutil.which("java"):
        pytest.skip("needs ansible-rulebook (PyPI) and Java (Debian: default-jre-headless): ./dev installs both")
    return found


def processes(marker: str) -> list[int]:
    """The processes that have a text in their environment, also those that have left their session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        # A process may end now, or belong to somebody else.
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def configuration(receiver: Receiver) -> dict[str, Any]:
    """Zot's extension of the guide, which sends its events to the receiver."""
    (documented,) = (
        json.loads(block.text) for block in blocks(PAGE) if block.language == "json" and "sinks" in block.text
    )
    events: dict[str, Any] = documented["extensions"]["events"]
    (sink,) = events["sinks"]
    sink["address"] = sink["address"].replace("127.0.0.1:5000", f"127.0.0.1:{receiver.port}")
    sink["credentials"]["token"] = receiver.token
    return events
