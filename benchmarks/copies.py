# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of zot_copy, from the registry of the benchmark to another one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks import checks
from benchmarks.archives import GIB, MB
from benchmarks.measure import Run, Side, fresh, measure
from benchmarks.registry import Bench, Costs, Ratio
from environment import registry as registries
from environment.registry import Registry

IMAGES = [f"bench/copy-{number}" for number in range(20)]
REFERRERS = ("application/spdx+json", "application/vnd.in-toto+json", "application/vnd.cncf.notary.signature")


def copy_again(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """Nothing to copy: 20 images with 60 referrers, the module alone and in a playbook, beside regctl for each"""
    if not shutil.which("regctl"):
        print("  NOT measured: regctl is not in PATH", flush=True)
        return {}, []
    _attach(bench)
    images = [{"source_repository": name, "repository": f"{name}/copied", "tags": ["r1"]} for name in IMAGES]
    task = {**_source(bench), "images": images}
    (bench.directory / "both.pem").write_bytes(bench.registry.ca.read_bytes())
    payload = bench.payload("killinit.zot.zot_copy", task)
    copies = [
        f"regctl image copy --referrers {bench.registry.host}/{name}:r1 $ZOT_REGISTRY/{name}/copied:r1"
        for name in IMAGES
    ]

    def check(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)

    with registries.running() as destination:

        @contextmanager
        def scene() -> Iterator[Registry]:
            yield destination

        alone = [f"{sys.executable} {payload}"]
        played = [" ".join(bench.playbook("copy-again", [{"killinit.zot.zot_copy": task}]))]
        sides = [
            Side("zot_copy", bench.script("alone", _with_both(bench, alone, ours=True)), check),
            Side("regctl", bench.script("copy-again", _with_both(bench, copies, ours=False)), check, ours=False),
            Side("in a playbook", bench.script("played", _with_both(bench, played, ours=True)), check),
        ]
        # The first run copies.
        measure([Side("first", sides[0].command, _anything)], 1, scene, bench.directory)
        costs = measure(sides, bench.runs, scene, bench.directory)
    ratio = costs["zot_copy"].seconds / costs["regctl"].seconds
    return costs, [Ratio("nothing to copy, 20 images with 60 referrers", ratio, 1.25)]


def copy_first(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """First copy of 1 GiB to another registry, the module alone, beside crane copy"""
    path = bench.archive("first-1g", layers=8, size=GIB // 8)
    bench.push([{"archive": str(path), "repository": "bench/one", "tags": ["latest"]}])
    arguments = {**_source(bench), "source_repository": "bench/one", "repository": "bench/copied", "tags": ["latest"]}
    (bench.directory / "both.pem").write_bytes(bench.registry.ca.read_bytes())
    payload = bench.payload("killinit.zot.zot_copy", arguments)
    copy = f"crane copy {bench.registry.host}/bench/one:latest $ZOT_REGISTRY/bench/copied:latest"

    def check(run: Run) -> None:
        uploads = [each for each in run.requests if each.method == "PUT" and "/blobs/uploads/" in each.path]
        checks.same(run.side, "the number of blobs", len(uploads), 9)

    sides = [
        Side(
            "zot_copy", bench.script("copy-ours", _with_both(bench, [f"{sys.executable} {payload}"], ours=True)), check
        ),
        Side("crane", bench.script("copy", _with_both(bench, [copy], ours=False)), check, ours=False),
    ]
    costs = measure(sides, bench.runs, fresh, bench.directory)
    return costs, [Ratio("first copy of 1 GiB", costs["zot_copy"].seconds / costs["crane"].seconds, 1.1)]


def _anything(_run: Run) -> None:
    """The run that sets up."""


def _source(bench: Bench) -> dict[str, Any]:
    """The options of both ends: they have the same CA certificates, so that nothing is stored on the way."""
    source, both = bench.registry, str(bench.directory / "both.pem")
    account = {"source_username": source.reader.username, "source_password": source.reader.password}
    return {"source_registry": source.host, "source_ca_path": both, "ca_path": both, **account}


def _with_both(bench: Bench, lines: Sequence[str], *, ours: bool) -> list[str]:
    """Lines with the CA certificates of both ends, and with both accounts for the tools."""
    shutil.copyfile(bench.registry.ca, bench.directory / "source.pem")
    if ours:
        return ["cat certificates/ca.pem source.pem >both.pem", *lines]
    entry = f'"{bench.registry.host}": {{"auth": "{bench.registry.reader.basic}"}}'
    return [
        "cp source.pem certificates/source.pem",
        "mkdir -p both",
        f"sed 's|}}}}$|, {entry}}}}}|' config.json >both/config.json",
        "export DOCKER_CONFIG=both",
        *lines,
    ]


def _attach(bench: Bench) -> None:
    """Push the images, and attach three artifacts to each."""
    path = bench.archive("copied", layers=1, size=MB)
    bench.push([{"archive": str(path), "repository": name, "tags": ["r1"]} for name in IMAGES])
    (bench.directory / "artifact.json").write_text("{}")
    lines = [
        f"oras attach --artifact-type {kind} $ZOT_REGISTRY/{name}:r1 artifact.json"
        for name in IMAGES
        for kind in REFERRERS
    ]
    bench.run(bench.script("attach", lines), ours=False)
