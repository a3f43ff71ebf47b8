# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Group pods that cannot pull for the same causes into findings, and format the findings as text.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure, classify
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.causes import find_causes
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.state import ClusterState, RegistryState
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.texts import PASSING, Cause

T = t.TypeVar("T")
Finding = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it

_WIDTH = 100
_NODES = 3


class Group:
    """Pods that cannot pull one image for the same *causes*."""

    def __init__(self, failures: t.Sequence[PullFailure], causes: t.Sequence[Cause]) -> None:
        self.causes = causes
        first = failures[0]
        self.image, self.resource = printable(first.image), printable(first.resource)
        self.containers = sorted({printable(f"{each.use.kind} {each.use.name}") for each in failures})
        self.pods = sorted({printable(each.pod) for each in failures})
        self.nodes = sorted({printable(each.node) for each in failures if each.node})

    def findings(self) -> list[Finding]:
        """One finding for each cause, in the order in which they have to be fixed."""
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


def group_failures(cluster: ClusterState, registry: RegistryState) -> list[Group]:
    """The pods that cannot pull, grouped by image, resource and causes; the worst first."""
    # Pods with the same problem can have different messages of kubelet, or none. Known messages are first.
    failures = sorted(cluster.failures, key=lambda each: not classify(each.message, each.image))
    alike = _grouped(failures, lambda each: _similarity(cluster, each))
    same = _grouped(alike, lambda each: (each[0].image, each[0].resource, _facts(find_causes(cluster, registry, each))))
    found = []
    for parts in same:
        together = [failure for part in parts for failure in part]
        causes = find_causes(cluster, registry, together)
        if causes:
            found.append(Group(together, causes))
    return sorted(found, key=lambda each: (each.causes[0].cause in PASSING, -len(each.pods), each.image))


def _grouped(items: t.Iterable[T], key: t.Callable[[T], t.Hashable]) -> list[list[T]]:
    groups: dict[t.Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _similarity(cluster: ClusterState, failure: PullFailure) -> t.Hashable:
    """The properties of a failure that find_causes() uses."""
    return (
        classify(failure.message, failure.image) or failure.message,
        (cluster.platforms or {}).get(failure.node),
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
