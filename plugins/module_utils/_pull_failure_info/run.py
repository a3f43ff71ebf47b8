# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explain why pods cannot pull: read a cluster and a registry, and group the pods by the causes.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import textwrap
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import (
    ApiClient,
    Readings,
    Selection,
    connection_options,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import unreadable_texts
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import object_name
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import (
    PullFailure,
    find_failures,
    kubelet_error,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.causes import PASSING, Cause, find_causes
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.evidence import (
    FailingPods,
    RegistryAnswers,
    query_registry,
    read_failing_pods,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import at_least, registry_option

T = t.TypeVar("T")

_WIDTH = 100
_NODES = 3


@dataclass(frozen=True)
class PodScope:
    """The options of a task, except for those of the connections; *connection* is for the commands of the findings."""

    registry: str
    selection: Selection
    pull_timeout: int
    pull_secret: str
    connection: t.Mapping[str, str]

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> PodScope:
        """Parse the options. Raises ZotError or InvalidNameError for an invalid option."""
        at_least(0, pull_timeout=params["pull_timeout"])
        registry = registry_option(params["registry"])
        secret = object_name(params["pull_secret"])
        return cls(registry, Selection.of(params), params["pull_timeout"], secret, connection_options(params))


def run(client: ApiClient, task: Task, options: Options, scope: PodScope) -> dict[str, t.Any]:
    """The result of a task. Raises ClusterError if the pods cannot be read or do not exist, ZotError for options.

    Other resources that cannot be read are listed in C(unreadable), and the diagnosis continues without them.
    """
    readings = Readings(client)
    selection = scope.selection
    pods = client.list("pods", selection.namespace, labels=selection.labels)
    if not pods and not selection.allow_empty:
        selection.require_namespace(client, "pods")
        raise selection.nothing(
            f"the namespace has none{selection.with_labels}",
            "pods",
            hint="Correct namespace and label_selectors. If the namespace may have no pods, set allow_empty.",
        )
    events = (pods and readings.list("events", selection.namespace, fields=["involvedObject.kind=Pod"])) or ()
    failures = find_failures(pods, events, now=client.now(), pull_timeout=scope.pull_timeout)
    answers = RegistryAnswers()
    groups: list[_Group] = []
    if failures:
        failing = FailingPods(
            selection.namespace,
            scope.registry,
            scope.pull_secret,
            failures,
            connection=scope.connection,
            aliases=options.registry_aliases,
        )
        failing = read_failing_pods(readings, failing)
        answers = query_registry(task, options, failing)
        groups = _group_failures(failing, answers)
    # Only pods and events show whether a pod fails to pull. The other resources explain a failure.
    unread_events = unreadable_texts(each for each in readings.unreadable if each["resource"] == "events")
    unreadable = [*readings.unreadable, *_unread_repositories(scope.registry, answers)]
    summary = [line for group in groups for line in group.lines()]
    healthy = f"No pod in namespace {selection.namespace} fails to pull. Pods checked: {len(pods)}."
    return {
        "changed": False,
        "namespace": selection.namespace,
        "registry": scope.registry,
        "cluster": client.server,
        "ok": not groups and not unread_events,
        "pods": len(pods),
        "findings": [finding for group in groups for finding in group.for_ansible()],
        "summary": [*(summary or [healthy]), *(f"C{text[1:]}" for text in unreadable_texts(unreadable))],
        "problems": [*(group.problem() for group in groups), *unread_events],
        "unreadable": unreadable,
    }


def _unread_repositories(registry: str, answers: RegistryAnswers) -> list[dict[str, t.Any]]:
    return [
        {
            "verb": "read",
            "resource": f"{registry}/{each.repository}",
            "namespace": None,
            "message": printable(str(each.error)),
        }
        for each in answers.operator
        if each.error
    ]


class _Group:
    """Pods that cannot pull one image for the same *causes*."""

    def __init__(self, failures: t.Sequence[PullFailure], causes: t.Sequence[Cause]) -> None:
        self.causes = causes
        first = failures[0]
        self.image, self.resource = printable(first.image), printable(first.resource)
        self.containers = sorted({printable(f"{each.use.kind} {each.use.name}") for each in failures})
        self.pods = sorted({printable(each.pod) for each in failures})
        self.nodes = sorted({printable(each.node) for each in failures if each.node})

    def for_ansible(self) -> list[dict[str, t.Any]]:
        """One entry of C(findings) for each cause, in the order in which they have to be fixed."""
        return [
            {
                "cause": each.cause,
                "message": printable(each.message),
                "remedy": printable(each.remedy),
                "commands": list(each.commands),
                "evidence": printable(each.evidence),
                "image": self.image,
                "resource": self.resource,
                "containers": self.containers,
                "pod_names": self.pods,
                "nodes": self.nodes,
            }
            for each in self.causes
        ]

    def problem(self) -> str:
        """The causes of the group in one sentence."""
        return f"{self.image} of {self.resource}: {'; '.join(printable(each.message) for each in self.causes)}"

    def lines(self) -> t.Iterator[str]:
        """The findings as lines of text, wrapped at 100 columns. A command is one line, so that it can be copied."""
        count = len(self.pods)
        pods = f"{count} pods" if count > 1 else "1 pod"
        nodes = f" on {', '.join(self.nodes)}" if 0 < len(self.nodes) <= _NODES else ""
        yield self.image
        yield from _prose("", f"{', '.join(self.containers)} of {self.resource}, {pods}{nodes}")
        for cause in self.causes:
            yield from _prose("cause: ", printable(cause.message))
            yield from _prose("remedy: ", printable(cause.remedy))
            yield from (f"      {command}" for command in cause.commands)
        for evidence in dict.fromkeys(cause.evidence for cause in self.causes if cause.evidence):
            yield from _prose("evidence: ", printable(evidence))


def _group_failures(failing: FailingPods, answers: RegistryAnswers) -> list[_Group]:
    """The pods that cannot pull, grouped by image, resource and causes; the worst first."""
    # Pods with the same problem can have different messages of kubelet, or none. Known messages are first.
    failures = sorted(failing.failures, key=lambda each: not kubelet_error(each.message, each.image))
    alike = _grouped(failures, lambda each: _similarity(failing, each))
    same = _grouped(alike, lambda each: (each[0].image, each[0].resource, _facts(find_causes(failing, answers, each))))
    found = []
    for parts in same:
        together = [failure for part in parts for failure in part]
        causes = find_causes(failing, answers, together)
        if causes:
            found.append(_Group(together, causes))
    return sorted(found, key=lambda each: (each.causes[0].cause in PASSING, -len(each.pods), each.image))


def _grouped(items: t.Iterable[T], key: t.Callable[[T], t.Hashable]) -> list[list[T]]:
    groups: dict[t.Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _similarity(failing: FailingPods, failure: PullFailure) -> t.Hashable:
    """The properties of a failure that find_causes() uses."""
    return (
        kubelet_error(failure.message, failure.image) or failure.message,
        (failing.platforms or {}).get(failure.node),
        failure.secrets,
        failure.image,
        failure.resource,
        failure.state,
        failure.service_account,
        failure.use.pull_policy,
    )


def _facts(causes: t.Iterable[Cause]) -> t.Hashable:
    return tuple((cause.cause, cause.message) for cause in causes)


def _prose(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label}",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
