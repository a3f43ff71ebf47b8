# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark does not compare a side that did something else than the other one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from benchmarks.archives import MB
from benchmarks.checks import DifferentWork
from benchmarks.measure import Cost, Run, Scene, Side, fresh, measure
from benchmarks.registry import Bench, reads, writes
from environment.collection_path import ROOT
from environment.registry import Registry

REFERENCE = "bench/one:latest"
COPY = "skopeo copy --quiet --format=oci docker-archive:{one} docker://$ZOT_REGISTRY/bench/one:latest"
COPY_OTHER = COPY.replace("{one}", "{other}")
READ = "crane digest $ZOT_REGISTRY/bench/one:latest"


@pytest.fixture
def bench(registry: Registry, tmp_path: Path) -> Bench:
    """A benchmark of one run."""
    return Bench(registry, tmp_path, tmp_path, 1)


@pytest.fixture
def archives(bench: Bench) -> dict[str, Path]:
    """Two archives."""
    return {name: bench.archive(name, layers=2, size=MB // 10) for name in ("one", "other")}


def test_help() -> None:
    """The benchmark starts, and lists its yardsticks."""
    command, variables = [sys.executable, "-m", "benchmarks", "--help"], {**os.environ, "PYTHONPATH": "tests"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in done.stdout for name in ("first", "release", "copy-again", "usage"))


def _cost(bench: Bench, line: str, check: Callable[[Run], None], scene: Scene | None = None) -> Cost:
    side = Side("shell", bench.script("side", [line]), check, ours=False)
    return measure([side], 1, scene or bench.shared, bench.directory)["shell"]


def test_costs(bench: Bench, archives: dict[str, Path]) -> None:
    """The costs of a push and of two reads are counted."""
    push = _cost(bench, COPY.format(**archives), writes(bench, {REFERENCE: archives["one"]}), fresh)
    bench.run(bench.script("before", [COPY.format(**archives)]), ours=False)
    two_reads = _cost(bench, f"{READ} && {READ}", reads([bench.digest(REFERENCE)]))

    assert (push.children, two_reads.children) == (1, 2)
    # crane asks for /v2/ and for the manifest.
    assert push.requests > two_reads.requests == 4
    assert min(push.seconds, push.cpu, two_reads.seconds, two_reads.cpu) > 0
    # The program that runs the tests is larger than that.
    assert 5 * MB < two_reads.memory < 60 * MB


def test_a_request_without_tls_is_not_counted(registry: Registry) -> None:
    """crane sends one if the registry takes longer than 300 ms to answer, as it may on a busy machine."""
    before = registry.requests()
    with pytest.raises(HTTPError, match="400"):
        urlopen(f"http://{registry.host}/v2/")
    assert registry.requests() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{COPY_OTHER}; {READ}", "wrote where nothing was to be done"),
        (f"{READ}-other", "ended with 1"),
        (f"{READ}; echo sha256:{64 * '0'}", "read 2 digests"),
        (f"{READ} >/dev/null", "read 0 digests"),
        ("echo {digest}", "did not ask the registry"),
    ],
)
def test_reading(bench: Bench, archives: dict[str, Path], line: str, message: str) -> None:
    """Nothing is written, and each side reads what is there."""
    bench.run(bench.script("before", [COPY.format(**archives)]), ours=False)
    digest = bench.digest(REFERENCE)
    with pytest.raises(DifferentWork, match=message):
        _cost(bench, line.format(**archives, digest=digest), reads([digest]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (COPY_OTHER, "left another image"),
        (f"{COPY}; {COPY}-2", "bench/one/manifests/latest-2"),
        ("true", "wrote \\[\\]"),
    ],
)
def test_writing(bench: Bench, archives: dict[str, Path], line: str, message: str) -> None:
    """The image of the archive is under its tag, and nothing else was pushed."""
    with pytest.raises(DifferentWork, match=message):
        _cost(bench, line.format(**archives), writes(bench, {REFERENCE: archives["one"]}), fresh)
