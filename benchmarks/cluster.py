# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of the cluster: a release, its part in the cluster, a diagnosis, a restart, and 1,000 pods."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.support import Kubectl, create_workloads, pods, pull_secret, ready, workload

from benchmarks import checks
from benchmarks.archives import MB
from benchmarks.measure import Run, Side, measure
from benchmarks.registry import Bench, Costs, Ratio, image_of, shown
from environment import cluster as clusters
from environment import cluster_parts, images

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "openclaw"
REPOSITORY = "openclaw/openclaw"
WORKLOADS, PODS, IMAGES = 100, 10, 20
# Each kind is a list of its own to the API server.
KINDS = {
    "Secret": "v1",
    "ServiceAccount": "v1",
    "Pod": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
}


def release(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """release.yml with nothing to do, beside its steps as commands; its cluster part, beside bare k8s_info"""
    archives = images.build(ROOT / ".cache" / "images")
    paths = {name: str(archives[f"buildah-{name}"]) for name in ("amd64", "arm64")}
    there = f"{bench.registry.host}/{REPOSITORY}"
    extra = bench.directory / "release.json"
    variables = {"zot_namespace": NAMESPACE, "zot_publish_revision": "r1"}
    extra.write_text(json.dumps(variables | {"zot_publish_images": [{"repository": REPOSITORY, "archives": paths}]}))
    ours = ["ansible-playbook", "killinit.zot.release", f"--extra-vars=@{extra}"]
    roles: list[dict[str, Any]] = [
        {"ansible.builtin.import_role": {"name": f"killinit.zot.{role}"}} for role in ("zot_pull_secret", "zot_rollout")
    ]
    roles.append({"ansible.builtin.set_stats": {"data": {"zot_rollout_report": "{{ zot_rollout_report }}"}}})
    part = [*bench.playbook("part", roles), f"--extra-vars=@{extra}"]
    steps = [{"ansible.builtin.command": command} for command in _runbook(there, paths)]
    fetch: list[dict[str, Any]] = [
        {
            "kubernetes.core.k8s_info": {"kind": kind, "api_version": version, "namespace": NAMESPACE},
            "register": f"found_{kind}",
        }
        for kind, version in KINDS.items()
    ]
    names = "map(attribute='resources') | flatten | map(attribute='kind')"
    fetch.append(shown(f"[{', '.join(f'found_{kind}' for kind in KINDS)}] | {names}"))

    with cluster_of(bench) as (kubectl, where):
        # A release into a namespace without workloads is an error.
        bench.run(["ansible-playbook", "killinit.zot.publish", *ours[2:]], more=where)
        kubectl.apply(workload(f"{there}:latest", replicas=2))
        ready(kubectl, "deployment/openclaw")
        running, digest = pods(kubectl), bench.digest(f"{REPOSITORY}:latest")

        def unchanged(run: Run) -> None:
            checks.same(run.side, "the pods", pods(kubectl), running)
            checks.same(run.side, "latest", bench.digest(f"{REPOSITORY}:latest"), digest)

        def assessed(run: Run) -> None:
            checks.nothing_written(run.side, run.requests)
            _current(1, 2)(run)
            unchanged(run)

        def fetched(run: Run) -> None:
            for kind in ("Secret", "ServiceAccount", "Pod", "Deployment"):
                checks.same(run.side, f"{kind} among what it read", f'"{kind}"' in run.output, True)

        sides = [
            Side("release.yml", ours, assessed, variables=where),
            Side("commands", bench.playbook("runbook", steps), unchanged, ours=False, variables=where),
            Side("cluster part", part, assessed, variables=where),
            Side("k8s_info", bench.playbook("k8s-info", fetch), fetched, ours=False, variables=where),
        ]
        costs = measure(sides, bench.runs, bench.shared, bench.directory)
        modules = bench.modules(ours, where)
    return costs, [
        Ratio("release.yml, nothing to do", costs["release.yml"].seconds / costs["commands"].seconds, 1.25),
        Ratio("modules that release.yml starts, nothing to do", modules.total(), 9),
        Ratio("its cluster part", costs["cluster part"].seconds / costs["k8s_info"].seconds, 1.15),
    ]


def diagnosis(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """diagnose.yml on a pod whose tag does not exist, beside the commands of the runbook"""
    path = bench.archive("small-0", layers=2, size=MB // 10)
    bench.push([image_of("bench/diagnosis:1", path)])
    there = f"{bench.registry.host}/bench/diagnosis"
    ours = ["ansible-playbook", "killinit.zot.diagnose", f"--extra-vars=zot_namespace={NAMESPACE}"]
    ours += ["--extra-vars=zot_diagnose_fail=false"]
    describe = f"kubectl describe pod --selector=app=openclaw --namespace={NAMESPACE}"
    secret = f"kubectl get secret zot-pull-secret --namespace={NAMESPACE}"
    steps: list[dict[str, Any]] = [
        {"ansible.builtin.shell": f"{describe} | grep -A3 Failed"},
        {"ansible.builtin.command": f"crane ls {there}"},
        {"ansible.builtin.shell": f"{secret} '--output=jsonpath={{.data.\\.dockerconfigjson}}' | base64 --decode"},
    ]
    results = [{**step, "register": f"found_{number}"} for number, step in enumerate(steps)]
    results.append(shown("[" + ", ".join(f"found_{number}.stdout" for number in range(len(steps))) + "]"))

    def explained(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        causes = [each["cause"] for each in checks.report(run.side, run.output, "zot_diagnose_report")["findings"]]
        checks.same(run.side, "the causes", causes, ["tag_missing"])

    def read(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        for text in (f"{there}:2: not found", '"1"', f'"{bench.registry.host}": {{'):
            checks.same(run.side, f"{text} in what it read", text in run.output.replace('\\"', '"'), True)

    with cluster_of(bench) as (kubectl, where):
        kubectl.apply(workload(f"{there}:2"))
        _wait_until_it_cannot_pull(kubectl)
        sides = [
            Side("diagnose.yml", ours, explained, variables=where),
            Side("commands", bench.playbook("diagnosis", results), read, ours=False, variables=where),
        ]
        costs = measure(sides, bench.runs, bench.shared, bench.directory)
        modules = bench.modules(ours, where)
    # In tasks that each read a part, a diagnosis takes 2.8 times as long as the commands: see guide_performance.rst.
    return costs, [
        Ratio("a diagnosis", costs["diagnose.yml"].seconds / costs["commands"].seconds, 1.3),
        Ratio("modules that a diagnosis starts", modules.total(), 1),
    ]


def crowded(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """zot_rollout on 1,000 pods in 100 workloads with 20 images, beside kubectl get and crane digest for each"""
    pushed = {
        f"bench/crowd-{number}:latest": bench.archive(f"small-{number}", layers=2, size=MB // 10)
        for number in range(IMAGES)
    }
    bench.push([image_of(reference, path) for reference, path in pushed.items()])
    digests = {f"{bench.registry.host}/{reference}": bench.digest(reference) for reference in pushed}
    lines = []
    for number in range(WORKLOADS):
        what = "--output=jsonpath={.items[*].status.containerStatuses[*].imageID}"
        lines.append(f"kubectl get pods --namespace={NAMESPACE} --selector=app=app-{number} '{what}'")
        lines.append(f"crane digest {list(digests)[number % IMAGES]}")

    def read(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        checks.digests_read(run.side, run.output, list(digests.values()))

    def assessed(run: Run) -> None:
        read(run)
        _current(WORKLOADS, WORKLOADS * PODS)(run)

    with cluster_of(bench) as (kubectl, where):
        create_workloads(kubectl, digests, workloads=WORKLOADS, pods=PODS)
        ours = ["ansible-playbook", "killinit.zot.restart", f"--extra-vars=zot_namespace={NAMESPACE}"]
        sides = [
            Side("zot_rollout", ours, assessed, variables=where),
            Side("kubectl, crane", bench.script("crowd", lines), read, ours=False, variables=where),
        ]
        costs = measure(sides, bench.runs, bench.shared, bench.directory)
    ratio = costs["zot_rollout"].seconds / costs["kubectl, crane"].seconds
    return costs, [Ratio("zot_rollout on 1,000 pods", ratio, 0.25)]


def restart(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """restart.yml with nothing to do on six Deployments, beside one task with k8s_info"""
    reference, path = "bench/restart:latest", bench.archive("small-0", layers=2, size=MB // 10)
    bench.push([image_of(reference, path)])
    digests = {f"{bench.registry.host}/{reference}": bench.digest(reference)}

    def assessed(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        _current(6, 6)(run)

    with cluster_of(bench) as (kubectl, where):
        create_workloads(kubectl, digests, workloads=6, pods=1)
        ours = ["ansible-playbook", "killinit.zot.restart", f"--extra-vars=zot_namespace={NAMESPACE}"]
        fetch: list[dict[str, Any]] = [
            {
                "kubernetes.core.k8s_info": {"kind": "Deployment", "api_version": "apps/v1", "namespace": NAMESPACE},
                "register": "found",
            },
            shown("found.resources | map(attribute='kind')"),
        ]

        def fetched(run: Run) -> None:
            checks.same(run.side, "a Deployment among what it read", '"Deployment"' in run.output, True)

        sides = [
            Side("restart.yml", ours, assessed, variables=where),
            Side("k8s_info", bench.playbook("k8s-info", fetch), fetched, ours=False, variables=where),
            Side("no module", bench.playbook("no-module", [shown("1")]), lambda _run: None),
        ]
        costs = measure(sides, bench.runs, bench.shared, bench.directory)
    # The import of the Kubernetes client makes one task with k8s_info take 2.4 times as long as a playbook without a
    # module, so that this playbook would only measure the machine.
    ratio = costs["restart.yml"].seconds / costs["k8s_info"].seconds
    return costs, [Ratio("restart.yml, nothing to do, six Deployments", ratio, 1.6)]


def _wait_until_it_cannot_pull(kubectl: Kubectl, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        pods = kubectl.get("pods", "--selector=app=openclaw")["items"]
        statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
        if any(status["state"].get("waiting", {}).get("reason") == "ImagePullBackOff" for status in statuses):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"no pod has failed to pull within {seconds} seconds: {statuses}")
        time.sleep(0.5)


@contextmanager
def cluster_of(bench: Bench) -> Iterator[tuple[Kubectl, dict[str, str]]]:
    """A cluster with the namespace and its pull secret, and the variables by which both sides find it."""
    cluster_parts.build(lambda text: print(text, flush=True))
    with clusters.running(bench.registry) as cluster:
        kubectl = Kubectl(cluster, NAMESPACE)
        kubectl("create", "namespace", NAMESPACE)
        kubectl.apply(pull_secret(bench.registry, bench.registry.reader))
        config = str(cluster.kubeconfig)
        path = f"{cluster.kubectl.parent}:{os.environ['PATH']}"
        yield (
            kubectl,
            {"ANSIBLE_SHOW_CUSTOM_STATS": "true", "K8S_AUTH_KUBECONFIG": config, "KUBECONFIG": config, "PATH": path},
        )


def _runbook(there: str, paths: dict[str, str]) -> list[str]:
    """The steps of a release by hand; the restart is left out, since nothing is stale."""
    copies = [
        f"skopeo copy --quiet --format=oci docker-archive:{path} docker://{there}:r1-{name}"
        for name, path in paths.items()
    ]
    members = " ".join(f"--manifest {there}:r1-{name}" for name in paths)
    get = f"kubectl get --namespace={NAMESPACE} --output=json"
    return [
        *copies,
        f"crane index append {members} --tag {there}:r1",
        f"crane tag {there}:r1 latest",
        f"crane manifest {there}:latest",
        f"crane digest {there}:latest",
        f"{get} secret zot-pull-secret",
        f"{get} deployments",
        f"{get} pods",
        f"kubectl rollout status --namespace={NAMESPACE} deployment/openclaw",
    ]


def _current(workloads: int, running: int) -> Callable[[Run], None]:
    """The check that a run found so many workloads with so many pods, and all of them current."""

    def check(run: Run) -> None:
        report = checks.report(run.side, run.output, "zot_rollout_report")["workloads"]
        found = len(report), sum(each["pods"] for each in report)
        checks.same(run.side, "the number of workloads and pods", found, (workloads, running))
        checks.same(run.side, "the status of the workloads", {each["status"] for each in report}, {"current"})

    return check
