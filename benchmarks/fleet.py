# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of many clusters: playbooks on 1, 10 and 50 API servers that answer with recorded objects."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.support import pull_secret, workload
from integration.patchable_cluster import PatchableCluster
from unit.api_server import Request, kubeconfig, running

from benchmarks import checks
from benchmarks.measure import Run, Side, measure
from benchmarks.registry import Bench, Costs, Ratio
from environment import images
from environment.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE, REPOSITORY, REVISION = "openclaw", "bench/fleet", "3f2c1ab"
COUNTS, FORKS = (1, 10, 50), 10
SHOW_STATS = {"ANSIBLE_SHOW_CUSTOM_STATS": "true"}


def clusters(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """release.yml with nothing to do on 1, 10 and 50 clusters, ten at a time"""

    def released(count: int) -> Callable[[Run], None]:
        def check(run: Run) -> None:
            checks.nothing_written(run.side, run.requests)
            found = checks.report(run.side, run.output, "zot_release_report")["clusters"]
            checks.same(run.side, "the results", [each["result"] for each in found], ["released"] * count)
            checks.same(run.side, "what was restarted", [each["rollout"]["restarted"] for each in found], [[]] * count)

        return check

    costs, lines = _measured(bench, {"release": {"zot_release_serial": "100%"}}, released, min(bench.runs, 3))
    seconds = [costs[_side("release", count)].seconds for count in COUNTS]
    growth = [(seconds[at + 1] - seconds[at]) / (COUNTS[at + 1] - COUNTS[at]) for at in range(2)]
    memory = [costs[_side("release", count)].memory for count in COUNTS]
    printed = [lines[_side("release", count)] for count in COUNTS]
    return costs, [
        Ratio("release.yml, nothing to do, s for each of 50 clusters more", growth[1], 0.12),
        Ratio("its growth from 10 to 50 clusters beside that from 1 to 10", growth[1] / growth[0], 1.2),
        Ratio("its memory, 50 clusters beside 1", memory[2] / memory[0], 1.5),
        Ratio("lines of its output for each cluster", (printed[2] - printed[1]) / (COUNTS[2] - COUNTS[1]), 40),
    ]


def playbooks(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """verify, rollback, prune and report with nothing to do on 1, 10 and 50 clusters, ten at a time"""
    variables = {
        "verify": {"zot_hosts": "clusters"},
        "rollback": {"zot_rollback_revision": REVISION},
        "prune": {"zot_prune_repositories": [REPOSITORY], "zot_prune_keep_last": 1},
        "report": {"zot_report_repositories": [REPOSITORY], "zot_report_file": "report.html,report.json"},
    }

    def unchanged(_count: int) -> Callable[[Run], None]:
        return lambda run: checks.nothing_written(run.side, run.requests)

    # Fifty clusters take minutes.
    costs, _lines = _measured(bench, variables, unchanged, 1)
    ratios = []
    for name in variables:
        seconds = [costs[_side(name, count)].seconds for count in COUNTS]
        growth = [(seconds[at + 1] - seconds[at]) / (COUNTS[at + 1] - COUNTS[at]) for at in range(2)]
        ratios.append(Ratio(f"{name}.yml, growth from 10 to 50 clusters beside 1 to 10", growth[1] / growth[0], 1.2))
    return costs, ratios


def _side(name: str, count: int) -> str:
    return f"{name}.yml: {count} clusters"


def _measured(
    bench: Bench, variables: dict[str, dict[str, Any]], checking: Callable[[int], Callable[[Run], None]], runs: int
) -> tuple[Costs, dict[str, int]]:
    """The costs of playbooks on each number of clusters, and the number of lines that each of them prints."""
    archives = images.build(ROOT / ".cache" / "images")
    common = {
        "zot_publish_revision": REVISION,
        "zot_publish_images": [{"repository": REPOSITORY, "archives": {"amd64": str(archives["buildah-amd64"])}}],
        "zot_clusters": "clusters",
    }
    lines: dict[str, int] = {}

    def checked(check: Callable[[Run], None]) -> Callable[[Run], None]:
        def both(run: Run) -> None:
            check(run)
            lines[run.side] = len(run.output.splitlines())

        return both

    bench.run(["ansible-playbook", "killinit.zot.publish", f"--extra-vars={json.dumps(common)}"])
    with _fleet(bench.registry, bench.digest(f"{REPOSITORY}:latest")) as kubeconfigs:
        inventories = {count: _inventory(bench.directory, kubeconfigs[:count]) for count in COUNTS}
        sides = [
            Side(
                _side(name, count),
                [
                    *("ansible-playbook", f"killinit.zot.{name}", f"--inventory={inventories[count]}"),
                    *(f"--forks={FORKS}", f"--extra-vars={json.dumps(common | more)}"),
                ],
                checked(checking(count)),
                variables=SHOW_STATS,
            )
            for name, more in variables.items()
            for count in COUNTS
        ]
        return measure(sides, runs, bench.shared, bench.directory), lines


@contextmanager
def _fleet(registry: Registry, digest: str) -> Iterator[list[dict[str, Any]]]:
    """The kubeconfigs of clusters with a Deployment that runs an image. One server answers for all of them."""
    objects = workload(f"{registry.host}/{REPOSITORY}:latest"), pull_secret(registry, registry.reader)
    servers = {
        f"cluster-{number}": PatchableCluster(NAMESPACE, lambda _image: digest, *objects)
        for number in range(max(COUNTS))
    }

    def respond(request: Request) -> tuple[int, Any]:
        name, _slash, path = request.path[1:].partition("/")
        return servers[name](dataclasses.replace(request, path=f"/{path}"))

    with running(respond) as server:
        yield [kubeconfig(f"{server.address}/{name}") for name in servers]


def _inventory(directory: Path, kubeconfigs: Sequence[dict[str, Any]]) -> Path:
    hosts = {}
    for number, content in enumerate(kubeconfigs):
        path = directory / f"cluster-{number}.kubeconfig"
        path.write_text(json.dumps(content))
        hosts[f"cluster-{number}"] = {"zot_kubeconfig": str(path)}
    common = {"ansible_connection": "local", "zot_namespace": NAMESPACE}
    inventory = directory / f"{len(hosts)}.json"
    inventory.write_text(json.dumps({"all": {"children": {"clusters": {"hosts": hosts, "vars": common}}}}))
    return inventory
