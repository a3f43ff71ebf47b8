# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a cluster and a registry, and explain why pods cannot pull.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Client, Object, Readings
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import unreadable_text
from ansible_collections.killinit.zot.plugins.module_utils._cluster.kubeconfig import connection_options
from ansible_collections.killinit.zot.plugins.module_utils._cluster.names import is_name, object_name
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure, find_failures
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._cluster.selection import Selection
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.findings import group_failures
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.registry import ask_registry
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.state import ClusterState
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Task
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import at_least, registry_option


@dataclass(frozen=True)
class Query:
    """The options of a task, except for those of the connections; *connection* is for the commands of the findings."""

    registry: str
    selection: Selection
    pull_timeout: int
    pull_secret: str
    connection: t.Mapping[str, str]

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Query:
        """Parse the options. Raises ZotError or InvalidNameError for an invalid option."""
        at_least(0, pull_timeout=params["pull_timeout"])
        registry = registry_option(params["registry"])
        secret = object_name(params["pull_secret"])
        return cls(registry, Selection.of(params), params["pull_timeout"], secret, connection_options(params))


def explain_pull_failures(client: Client, task: Task, options: Options, query: Query) -> dict[str, t.Any]:
    """The result of a task. Raises ClusterError if the pods cannot be read or do not exist, ZotError for options.

    Other resources that cannot be read are listed in C(unreadable), and the diagnosis continues without them.
    """
    readings = Readings(client)
    namespace = query.selection.namespace
    pods = client.list("pods", namespace, labels=query.selection.labels)
    if not pods and not query.selection.allow_empty:
        query.selection.require_namespace(client, "pods")
        raise query.selection.nothing(
            f"the namespace has none{query.selection.with_labels}",
            "pods",
            hint="Correct namespace and label_selectors. If the namespace may have no pods, set allow_empty.",
        )
    events = (pods and readings.list("events", namespace, fields=["involvedObject.kind=Pod"])) or ()
    failures = find_failures(pods, events, now=time.time(), pull_timeout=query.pull_timeout)
    refused: list[dict[str, t.Any]] = []
    groups = []
    if failures:
        cluster = _read_cluster(readings, query, failures)
        registry = ask_registry(task, options, cluster)
        groups = group_failures(cluster, registry)
        refused = [
            {
                "verb": "read",
                "resource": f"{cluster.registry}/{each.repository}",
                "namespace": None,
                "message": printable(each.message),
            }
            for each in registry.operator
            if each.error
        ]
    # Only pods and events show whether a pod fails to pull. The other resources explain a failure.
    unread_events = [unreadable_text(each) for each in readings.unreadable if each["resource"] == "events"]
    unreadable = [*readings.unreadable, *refused]
    summary = [line for group in groups for line in group.lines()]
    healthy = f"No pod in namespace {namespace} fails to pull. Pods checked: {len(pods)}."
    return {
        "changed": False,
        "namespace": namespace,
        "registry": query.registry,
        "cluster": client.server,
        "ok": not groups and not unread_events,
        "pods": len(pods),
        "findings": [finding for group in groups for finding in group.findings()],
        "summary": [*(summary or [healthy]), *(f"C{unreadable_text(each)[1:]}" for each in unreadable)],
        "problems": [*(group.problem() for group in groups), *unread_events],
        "unreadable": unreadable,
    }


def _read_cluster(readings: Readings, query: Query, failures: t.Sequence[PullFailure]) -> ClusterState:
    """Read only the resources that are needed to explain the failures."""
    namespace, registry = query.selection.namespace, query.registry
    accounts = None
    # Kubernetes copies the pull secrets of the service account into a pod that names none.
    if not all(each.secrets for each in failures):
        accounts = _by_name(readings.list("serviceaccounts", namespace))
    state = ClusterState(namespace, registry, query.pull_secret, failures, service_accounts=accounts)
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
        query.pull_secret,
        failures,
        secrets,
        forbidden,
        accounts,
        None if nodes is None else {name: _platform(node) for name, node in nodes.items()},
        query.connection,
    )


def _by_name(objects: t.Sequence[Object] | None) -> dict[str, Object] | None:
    return None if objects is None else {each["metadata"]["name"]: each for each in objects}


def _platform(node: Object) -> str:
    information = node["status"]["nodeInfo"]
    return f"{information['operatingSystem']}/{information['architecture']}"
