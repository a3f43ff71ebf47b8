# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's own memory does not depend on the size of the archive. What its tools take is theirs."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.archives import archive
from environment.registry import Registry

MIB = 1 << 20
SMALL, LARGE = 40 * MIB, 1024 * MIB
# How much more the large archive may take than the small one.
FLAT = 8 * MIB

PROGRAM = """\
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.killinit.zot.plugins.modules.zot_push import main

with patch_module_args(json.load(sys.stdin)):
    try:
        main()
    finally:
        print(open("/proc/self/status").read(), file=sys.stderr)
"""
Measure = Callable[..., int]


@pytest.fixture
def measure(registry: Registry, repository: str, tmp_path: Path) -> Measure:
    """Run zot_push in a process of its own: measure(archive, changed=…). Returns the most memory it had, in bytes."""
    options = {
        "registry": registry.host,
        "username": registry.writer.username,
        "password": registry.writer.password,
        "ca_path": str(registry.ca),
        "repository": repository,
        "_ansible_tmpdir": str(tmp_path),
    }

    def run(path: Path, *, changed: bool) -> int:
        given = {**options, "archive": str(path), "tags": [path.stem]}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
        result: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode, result["changed"]) == (0, changed), done.stdout
        return int(re.search(r"^VmHWM:\s+(\d+) kB", done.stderr, re.MULTILINE).group(1)) * 1024

    return run


def test_push_and_nothing_to_do(measure: Measure, tmp_path: Path) -> None:
    """Pushed, and found to be there already: 40 MiB, and 1 GiB of which the disk has next to nothing."""
    small, large = (archive(tmp_path / f"{size}.tar", layers=1, size=size, sparse=True) for size in (SMALL, LARGE))
    assert large.stat().st_size > LARGE
    assert large.stat().st_blocks * 512 < MIB
    for changed in (True, False):
        assert measure(large, changed=changed) - measure(small, changed=changed) < FLAT


def test_compressed(measure: Measure, tmp_path: Path) -> None:
    """Read to its end, and expanded to be pushed: 4 MiB and 200 MiB."""
    archives = []
    for name, size in (("small", 4 * MIB), ("large", 200 * MIB)):
        plain = archive(tmp_path / f"{name}.tar", layers=1, size=size, sparse=True)
        archives.append(tmp_path / f"{name}.gz")
        archives[-1].write_bytes(gzip.compress(plain.read_bytes(), compresslevel=1))
    for changed in (True, False):
        small, large = (measure(path, changed=changed) for path in archives)
        assert large - small < FLAT
