# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workloads of a cluster a task selects, and the error if it selects nothing.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Client
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import WorkloadName, namespace_name
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import words


@dataclass(frozen=True)
class Selection:
    """The options C(namespace), C(workloads), C(label_selectors) and C(allow_empty) of a task."""

    namespace: str
    names: t.Sequence[WorkloadName] = ()
    labels: t.Sequence[str] = ()
    allow_empty: bool = False

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Selection:
        """The selection of a task. A module may lack some of the four options. Raises InvalidNameError."""
        return cls(
            namespace_name(params["namespace"]),
            tuple(dict.fromkeys(map(WorkloadName.parse, words(params.get("workloads", ()))))),
            # The API refuses an empty selector in a list of selectors.
            tuple(text.strip() for text in params["label_selectors"] if text.strip()),
            params.get("allow_empty", False),
        )

    @property
    def with_labels(self) -> str:
        """The label selectors as a part of a sentence; empty if there are none."""
        return f" with the labels {', '.join(self.labels)}" if self.labels else ""

    def nothing(self, message: str, resource: str = "workloads", *, hint: str | None = None) -> ClusterError:
        """The error for a selection that finds no *resource*."""
        return ClusterError(message, verb="find", resource=resource, namespace=self.namespace, status=404, hint=hint)

    def require_namespace(self, client: Client, resource: str = "workloads") -> None:
        """Raise ClusterError if the namespace does not exist."""
        if not has_namespace(client, self.namespace):
            raise self.nothing("the namespace does not exist", resource)


def has_namespace(client: Client, namespace: str) -> bool:
    """Whether a namespace exists; true if the user may not read it, because this permission is optional."""
    try:
        return client.get("namespaces", "", namespace) is not None
    except ClusterError as error:
        if error.status != 403:
            raise
        return True
