# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a cluster and a registry, and say why pods cannot pull.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Client, Object, Readings
from ansible_collections.killinit.zot.plugins.module_utils._cluster.names import (
    InvalidNameError,
    is_name,
    namespace_name,
    object_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure, find_failures
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import registry_name
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_failures.findings import group_failures
from ansible_collections.killinit.zot.plugins.module_utils._pull_failures.registry import ask_registry
from ansible_collections.killinit.zot.plugins.module_utils._pull_failures.state import ClusterState
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import invalid_options
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Task

Params = t.Mapping[str, t.Any]


def check_options(params: Params) -> None:
    """Raise ZotError for an option that cannot be used."""
    try:
        namespace_name(params["namespace"])
        object_name(params["pull_secret"])
    except InvalidNameError as error:
        raise ZotError("invalid_option", str(error)) from error
    if params["pull_timeout"] < 0:
        raise ZotError("invalid_option", f"pull_timeout is {params['pull_timeout']}, but it cannot be negative")
    if not params["registry"]:
        raise missing_registry()
    with invalid_options():
        registry_name(params["registry"])


def explain_pull_failures(client: Client, task: Task, options: Options, params: Params) -> dict[str, t.Any]:
    """The result of a task. Raises ClusterError when the pods cannot be read, ZotError for options and an empty scope.

    What else cannot be read is in C(unreadable), and the diagnosis goes on without it.
    """
    readings = Readings(client)
    namespace = params["namespace"]
    pods = client.list("pods", namespace, labels=params["label_selectors"])
    if not pods and not params["allow_empty"]:
        labels = f" with the labels {','.join(params['label_selectors'])}" if params["label_selectors"] else ""
        raise ZotError(
            "not_found",
            f"namespace {namespace} of {client.server} has no pod{labels}",
            hint="Correct namespace and label_selectors. If the namespace may have no pods, set allow_empty.",
        )
    events = (pods and readings.list("events", namespace, fields=["involvedObject.kind=Pod"])) or ()
    failures = find_failures(pods, events, now=time.time(), pull_timeout=params["pull_timeout"])
    unreadable: list[dict[str, t.Any]] = []
    groups = []
    if failures:
        cluster = _read_cluster(readings, options.registry or "", params, failures)
        registry = ask_registry(task, options, cluster)
        groups = group_failures(cluster, registry)
        unreadable = [
            {
                "verb": "read",
                "resource": f"{cluster.registry}/{each.repository}",
                "namespace": None,
                "message": printable(each.message),
            }
            for each in registry.operator
            if each.error
        ]
    unreadable = [*readings.unreadable, *unreadable]
    summary = [line for group in groups for line in group.lines()]
    healthy = f"No pod in namespace {namespace} fails to pull. Pods checked: {len(pods)}."
    return {
        "changed": False,
        "namespace": namespace,
        "registry": options.registry,
        "cluster": client.server,
        "ok": not groups,
        "pods": len(pods),
        "findings": [finding for group in groups for finding in group.findings()],
        "summary": [*(summary or [healthy]), *map(_unreadable_line, unreadable)],
        "problems": [group.problem() for group in groups],
        "unreadable": unreadable,
    }


def _unreadable_line(each: t.Mapping[str, t.Any]) -> str:
    where = f" in namespace {each['namespace']}" if each["namespace"] else ""
    return f"Cannot {each['verb']} {each['resource']}{where}: {each['message']}"


def _read_cluster(readings: Readings, registry: str, params: Params, failures: t.Sequence[PullFailure]) -> ClusterState:
    """Read what explains the failures, and nothing more."""
    namespace = params["namespace"]
    accounts = None
    # Kubernetes copies the pull secrets of the service account into a pod that names none.
    if not all(each.secrets for each in failures):
        accounts = _by_name(readings.list("serviceaccounts", namespace))
    state = ClusterState(namespace, registry, params["pull_secret"], failures, service_accounts=accounts)
    # The platform of a node matters only for images that the registry can describe.
    nodes = _by_name(readings.list("nodes")) if state.images() else None
    names = dict.fromkeys(name for each in failures for name in state.pull_secrets(each) if is_name(name))
    secrets: dict[str, PullSecret] = {}
    forbidden: set[str] = set()
    for name in names:
        known = len(readings.unreadable)
        found = readings.get("secrets", namespace, name)
        if found:
            secrets[name] = PullSecret.read(found)
        elif len(readings.unreadable) > known:
            forbidden.add(name)
    return ClusterState(
        namespace,
        registry,
        params["pull_secret"],
        failures,
        secrets,
        forbidden,
        accounts,
        None if nodes is None else {name: _platform(node) for name, node in nodes.items()},
    )


def _by_name(objects: t.Sequence[Object] | None) -> dict[str, Object] | None:
    return None if objects is None else {each["metadata"]["name"]: each for each in objects}


def _platform(node: Object) -> str:
    information = node["status"]["nodeInfo"]
    return f"{information['operatingSystem']}/{information['architecture']}"
