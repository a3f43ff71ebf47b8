# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read objects from the Kubernetes API, and record the resources that cannot be read.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError

Object = t.Mapping[str, t.Any]

# The resources that the modules read, each with its API and its kind.
RESOURCES: t.Mapping[str, tuple[str, str]] = {
    "pods": ("v1", "Pod"),
    "secrets": ("v1", "Secret"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "namespaces": ("v1", "Namespace"),
    "nodes": ("v1", "Node"),
    "events": ("v1", "Event"),
    "deployments": ("apps/v1", "Deployment"),
    "statefulsets": ("apps/v1", "StatefulSet"),
    "daemonsets": ("apps/v1", "DaemonSet"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "controllerrevisions": ("apps/v1", "ControllerRevision"),
    "replicationcontrollers": ("v1", "ReplicationController"),
    "cronjobs": ("batch/v1", "CronJob"),
    "jobs": ("batch/v1", "Job"),
}


class Client(t.Protocol):
    """The Kubernetes API with the credentials of one user. Every method raises ClusterError."""

    # The address of the API server.
    server: str

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: t.Sequence[str] = (),
        fields: t.Sequence[str] = (),
        metadata_only: bool = False,
    ) -> t.List[Object]:  # noqa: UP006 - within the class, list is this method
        """All objects of a resource, in one namespace or in all, that match every selector.

        With *metadata_only* the API sends only C(metadata) of each object.
        """

    def pages(self, resource: str, namespace: str | None = None) -> t.Iterator[t.List[Object]]:  # noqa: UP006
        """The same objects page by page, to limit the use of memory. An object may be in two pages."""

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object; None when it does not exist."""


class Readings:
    """Reads the resources for one verdict. A resource that cannot be read is recorded in *unreadable*."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.unreadable: list[dict[str, t.Any]] = []

    def list(self, resource: str, namespace: str | None = None, **query: t.Any) -> t.List[Object] | None:  # noqa: UP006
        """Like Client.list(); None if the resource cannot be read. Raises ClusterError if the connection fails."""
        try:
            return self.client.list(resource, namespace, **query)
        except ClusterError as error:
            self._note(error)
            return None

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Like Client.get(); also None if the object cannot be read. *unreadable* then lists it."""
        try:
            return self.client.get(resource, namespace, name)
        except ClusterError as error:
            self._note(error)
            return None

    def _note(self, error: ClusterError) -> None:
        # No response, a response of another server, a malformed selector, or no credentials: all requests would fail.
        if error.status in (None, 200, 400, 401):
            raise error
        self.unreadable.append(error.unreadable())
