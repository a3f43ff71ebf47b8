# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New small images, and the state of the registry after a fault."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration.support import tar_of

from environment.registry import Registry


def archive(path: Path, *, architecture: str = "amd64", size: int = 1000) -> Path:
    """Write an archive of an image with one layer of *size* random bytes: no registry and no cache has it yet."""
    layer = tar_of({"data": secrets.token_bytes(size)})
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": architecture,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["localhost/demo:1"], "Layers": ["layer.tar"]}]
    files = {"config.json": _json(config), "layer.tar": layer, "manifest.json": _json(manifest)}
    path.write_bytes(tar_of(files))
    return path


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


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
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def tags_in(registry: Registry, repository: str) -> dict[str, str]:
    """The tags of a repository and their digests, read from the registry without the tools."""
    tags = _get(registry, f"/v2/{repository}/tags/list")
    names = json.loads(tags.read())["tags"] or [] if tags else []
    manifests = {name: _get(registry, f"/v2/{repository}/manifests/{name}") for name in names}
    return {name: f"sha256:{hashlib.sha256(body.read()).hexdigest()}" for name, body in manifests.items() if body}


def _get(registry: Registry, path: str) -> Any:
    request = urllib.request.Request(f"https://{registry.host}{path}")
    account = f"{registry.reader.username}:{registry.reader.password}"
    request.add_header("Authorization", f"Basic {base64.b64encode(account.encode()).decode()}")
    context = ssl.create_default_context(cafile=str(registry.ca))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        return opener.open(request, timeout=20)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


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
