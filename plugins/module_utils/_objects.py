# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read objects of several kinds from a cluster, by one connection.

Private to killinit.zot: it may change at any time.

The Kubernetes client takes a second to import, which kubernetes.core.k8s_info does for each kind again.
"""

from __future__ import annotations

import typing as t

from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

# What kubernetes.core.k8s_info takes to find objects.
QUERY: dict[str, dict[str, t.Any]] = {
    "api_version": {"type": "str", "default": "v1"},
    "kind": {"type": "str", "required": True},
    "name": {"type": "str"},
    "namespace": {"type": "str"},
    "label_selectors": {"type": "list", "elements": "str", "default": []},
    "field_selectors": {"type": "list", "elements": "str", "default": []},
}


class Service(t.Protocol):
    """As K8sService of kubernetes.core."""

    def find(self, **query: t.Any) -> dict[str, t.Any]:
        """Return the objects as C(resources). Raises CoreException."""


def read(service: Service, queries: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """For each query what it found as C(resources), or why it could not as C(msg); none stops the others."""
    return [_found(service, query) for query in queries]


def _found(service: Service, query: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    try:
        # Who changed which field is half of an object, and nobody here asks for it.
        found = service.find(**query, hidden_fields=["metadata.managedFields"])
    except CoreException as error:
        return {"msg": str(error)}
    return {"resources": found["resources"]} if found["api_found"] else {"msg": found["msg"]}


def failure(results: t.Iterable[t.Mapping[str, t.Any]]) -> str | None:
    """The first reason why something could not be read."""
    return next((result["msg"] for result in results if "msg" in result), None)
