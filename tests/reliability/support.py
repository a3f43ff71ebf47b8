# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New small images, and the state of the registry after a fault."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.support import Module

from environment.faults import Fault, Proxy
from environment.images import write_archive
from environment.registry import Registry

Start = Callable[..., "Publisher"]


def archive(path: Path, *, architecture: str = "amd64", size: int = 1000) -> Path:
    """Write an archive of an image with one layer of *size* random bytes: no registry and no cache has it yet."""
    write_archive(path, architecture, {"data": secrets.token_bytes(size)})
    return path


def tools_of(address: str) -> list[str]:
    """The command lines of the tools that still run for a registry of this address."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(arguments[0]).name in ("skopeo", "crane") and any(address in argument for argument in arguments):
            found.append(" ".join(arguments))
    return found


def wait_until(condition: Any, what: str, seconds: float = 30) -> None:
    """Wait until a condition is true. A condition that starts a process is asked less often: others need the core."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if condition():
            return
        ended = time.monotonic()
        assert ended < deadline, f"{what}: not within {seconds} s"
        time.sleep(max(0.02, 3 * (ended - began)))


def tags_in(registry: Registry, repository: str) -> dict[str, str]:
    """The tags of a repository and their digests, read from the registry without the tools."""
    address = f"https://{registry.host}/v2/{repository}"
    with registry.session(registry.reader) as session:
        found = session.get(f"{address}/tags/list", timeout=20)
        assert found.status_code in (200, 404), found.text
        names = found.json()["tags"] or [] if found.ok else []
        manifests = {name: session.get(f"{address}/manifests/{name}", timeout=20) for name in names}
    # A tag may vanish meanwhile.
    assert {answer.status_code for answer in manifests.values()} <= {200, 404}
    return {
        name: f"sha256:{hashlib.sha256(answer.content).hexdigest()}" for name, answer in manifests.items() if answer.ok
    }


def wait_until_held(proxy: Proxy, fault: Fault) -> None:
    """Wait until the fault holds a request."""
    wait_until(proxy.recorded_requests, f"a request for {fault.where}")


def require_correct_result(result: dict[str, Any], before: dict[str, str], after: dict[str, str]) -> None:
    """Assert that the result is correct for each tag, reports every tag that moved, and has a hint for an error."""
    for tag in result.get("tags", []):
        name = tag["reference"].rpartition(":")[2]
        moved = before.get(name) != after.get(name)
        error = tag["error"] or {}
        if not error:
            # Where the task has written nothing, a tag without an error may not exist.
            assert tag["digest"] == after.get(name)
        assert tag["changed"] == moved or "its current image is not known" in error["msg"], (tag, before, after)
    if result["failed"]:
        assert result["error_class"]
        assert result["hint"].strip()
        assert result["hint"] in result["msg"]


@dataclass(frozen=True)
class Site:
    """A registry, a proxy in front of it, and ways to run the collection by both."""

    registry: Registry
    repository: str
    proxy: Proxy
    module: Module  # at the registry
    through: Module  # by way of the proxy
    start: Start
    environment: dict[str, str]
    directory: Path


class Publisher:
    """A module in its own process, as Ansible runs it: start() and result()."""

    _PROGRAM = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
name, arguments = json.load(sys.stdin)
main = importlib.import_module(f"ansible_collections.killinit.zot.plugins.modules.{name}").main
with patch_module_args(arguments):
    main()
"""

    def __init__(
        self, name: str, arguments: dict[str, Any], temporary: Path, prefix: Sequence[str] = (), own: str | None = None
    ) -> None:
        """*prefix* is put before the command, and may create the directory *own* in *temporary* for it alone.

        Ansible also creates a directory for each task, in the directory of all tasks.
        """
        self.temporary = temporary
        self._own = str(temporary / own) if own else tempfile.mkdtemp(prefix="ansible-tmp-", dir=temporary)
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", self._PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin
        self.process.stdin.write(json.dumps([name, {**arguments, "_ansible_tmpdir": self._own}]))
        self.process.stdin.close()
        self.process.stdin = None

    def result(self) -> dict[str, Any]:
        """Wait for the module, and assert that it leaves no files."""
        output, errors = self.process.communicate(timeout=120)
        assert "Traceback" not in errors, errors
        left = list(Path(self._own).rglob("*"))
        assert not left, f"the module left {left}"
        return {"failed": False, **json.loads(output)}
