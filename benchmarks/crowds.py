# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of large clusters and large releases: ten times the work beside the work, on recorded pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from cluster.support import pull_secret
from unit.api_server import Request, holding, running
from unit.fake_cluster import FakeCluster

from benchmarks import checks
from benchmarks.archives import MB
from benchmarks.bulk import OWNERS, REPOSITORY, container, push_tags, tag_of
from benchmarks.measure import Run, Side, fresh, measure
from benchmarks.registry import Bench, Costs, Ratio, shown

NAMESPACE = "openclaw"
PODS, FAILING, IMAGES = (5_000, 50_000), (200, 2_000), (30, 300)
FAILING_WORKLOADS, PODS_OF_OWNER = 20, 10
Make = Callable[[int], dict[str, Any]]


def pods(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """zot_cluster_image_info with 50,000 pods of 5,000 workloads, beside a tenth of them"""
    digests = push_tags(bench.registry, count=OWNERS)
    tasks = [
        {"killinit.zot.zot_cluster_image_info": {}, "register": "used"},
        shown("used.images | map(attribute='digest') | unique"),
    ]

    def pod(number: int) -> dict[str, Any]:
        owner = number // PODS_OF_OWNER
        image = f"{bench.registry.host}/{REPOSITORY}"
        reported = {"name": "app", "imageID": f"{image}@{digests[owner % OWNERS]}"}
        found = _pod(number, f"app-{owner}", container(f"{image}:{tag_of(owner % OWNERS)}"))
        return {**found, "status": {"phase": "Running", "containerStatuses": [reported]}}

    def read(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        checks.digests_read(run.side, run.output, digests)

    with _crowd(bench, PODS[0], {"pods": pod}) as few, _crowd(bench, PODS[1], {"pods": pod}) as many:
        command = bench.playbook("pods", tasks)
        sides = [Side(f"{count} pods", command, read, variables=at) for count, at in zip(PODS, (few, many))]
        costs = measure(sides, min(bench.runs, 3), bench.shared, bench.directory)
    return costs, _growth(costs, "images of 50,000 pods", [side.name for side in sides], memory=1.5)


def failing(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """zot_pull_failure_info in a namespace of 2,000 pods that cannot pull, beside a tenth of them"""
    # Similar tags are looked for among all of them.
    push_tags(bench.registry)
    tasks = [
        {"killinit.zot.zot_pull_failure_info": {"namespace": NAMESPACE}, "register": "found"},
        shown("[found.pods, found.findings | map(attribute='pod_names') | flatten | length]"),
    ]
    now = datetime.now(timezone.utc).replace(microsecond=0)

    def image(number: int) -> str:
        return f"{bench.registry.host}/{REPOSITORY}:missing-{number % FAILING_WORKLOADS}"

    def pod(number: int) -> dict[str, Any]:
        message = f'Back-off pulling image "{image(number)}": ErrImagePull: {_not_found(image(number))}'
        waiting = {"reason": "ImagePullBackOff", "message": message}
        status = {"name": "app", "ready": False, "imageID": "", "state": {"waiting": waiting}}
        found = _pod(number, f"app-{number % FAILING_WORKLOADS}", container(image(number)))
        return {**found, "status": {"phase": "Pending", "containerStatuses": [status]}}

    def event(number: int) -> dict[str, Any]:
        involved = {"kind": "Pod", "name": f"pod-{number}", "uid": f"uid-{number}"}
        return {
            "metadata": {"name": f"event-{number}", "namespace": NAMESPACE},
            "involvedObject": involved,
            "type": "Warning",
            "reason": "Failed",
            "lastTimestamp": (now - timedelta(minutes=1)).isoformat().replace("+00:00", "Z"),
            "message": f'Failed to pull image "{image(number)}": {_not_found(image(number))}',
        }

    def explained(count: int) -> Callable[[Run], None]:
        def check(run: Run) -> None:
            checks.nothing_written(run.side, run.requests)
            checks.numbers_read(run.side, run.output, [count, count])

        return check

    made = {"pods": pod, "events": event}
    with _crowd(bench, FAILING[0], made) as few, _crowd(bench, FAILING[1], made) as many:
        command = bench.playbook("failing", tasks)
        sides = [
            Side(f"{count} pods", command, explained(count), variables=at) for count, at in zip(FAILING, (few, many))
        ]
        costs = measure(sides, min(bench.runs, 3), bench.shared, bench.directory)
    return costs, _growth(costs, "diagnosis of 2,000 pods", [side.name for side in sides], memory=1.5)


def images(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """zot_publish of 300 images of 100 kB, beside a tenth of them"""
    sides = []
    for count in IMAGES:
        archives = [bench.archive(f"small-{number}", layers=2, size=MB // 10) for number in range(count)]
        listed = [{"repository": f"bench/many-{at}", "archive": str(path)} for at, path in enumerate(archives)]
        task = {"killinit.zot.zot_publish": {"revision": "3f2c1ab", "images": listed}}

        def published(run: Run, count: int = count) -> None:
            tags = {each.path for each in run.requests if each.method == "PUT" and each.path.endswith("/latest")}
            checks.same(run.side, "the number of images that are latest", len(tags), count)

        sides.append(Side(f"{count} images", bench.playbook(f"publish-{count}", [task]), published))
    costs = measure(sides, min(bench.runs, 3), fresh, bench.directory)
    return costs, _growth(costs, "publish of 300 images", [side.name for side in sides], memory=1.5)


def _growth(costs: Costs, what: str, sides: list[str], *, memory: float) -> list[Ratio]:
    """Ten times the work takes at most ten times as long, and hardly more memory."""
    few, many = (costs[name] for name in sides)
    return [
        Ratio(f"{what} beside a tenth", many.seconds / few.seconds, 10),
        Ratio("its memory beside that of a tenth", many.memory / few.memory, memory),
    ]


def _pod(number: int, owner: str, of: dict[str, Any]) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "controller": True}
    created = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-{number}",
            "creationTimestamp": created,
            "labels": {"app": owner},
            "ownerReferences": [reference],
        },
        "spec": {"containers": [of], "nodeName": "node-1", "imagePullSecrets": [{"name": "zot-pull-secret"}]},
    }


def _not_found(image: str) -> str:
    name = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    return f"rpc error: code = NotFound desc = {name}"


@contextmanager
def _crowd(bench: Bench, count: int, make: dict[str, Make]) -> Iterator[dict[str, str]]:
    """The variables for an API server with *count* objects of some resources, which it makes page by page."""
    secret = pull_secret(bench.registry, bench.registry.reader)
    secret["metadata"]["namespace"] = NAMESPACE
    others = holding(FakeCluster(secret))

    def respond(request: Request) -> tuple[int, Any]:
        made = make.get(request.path.rpartition("/")[2])
        if made is None:
            return others(request)
        first = int(request.query.get("continue") or 0)
        last = min(first + int(request.query.get("limit") or count), count)
        more = {"continue": str(last)} if last < count else {}
        return 200, {"metadata": more, "items": [made(number) for number in range(first, last)]}

    with running(respond) as server:
        path = server.kubeconfig(bench.directory / f"{count}.kubeconfig")
        yield {"K8S_AUTH_KUBECONFIG": str(path)}
