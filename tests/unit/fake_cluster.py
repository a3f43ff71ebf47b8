# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes API in memory, for the tests of verdicts: it gives out objects that a real API server has sent."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import RESOURCES

Object = t.Mapping[str, t.Any]
KINDS = {kind: resource for resource, (_version, kind) in RESOURCES.items()}


class FakeCluster:
    """Holds objects by kind and namespace; *refused* names what the account may not read: C(secrets), or C(secrets/x).

    *requests* are the reads so far: verb, resource, namespace.
    """

    server = "https://cluster.example:6443"

    def __init__(self, *objects: Object, refused: t.Collection[str] = ()) -> None:
        self.objects = list(objects)
        self.refused = set(refused)
        self.requests: list[tuple[str, str, str | None]] = []

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: t.Sequence[str] = (),
        fields: t.Sequence[str] = (),
        metadata_only: bool = False,
    ) -> t.List[Object]:  # noqa: UP006 - within the class, list is this method
        """The objects of a resource, by equality selectors and by C(metadata.name) alone."""
        self._note("list", resource, namespace)
        if not all(re.fullmatch(r"[\w./-]+=[\w.-]*", part) for selector in labels for part in selector.split(",")):
            message = "unable to parse requirement: found '=', expected: identifier"
            raise ClusterError(message, verb="list", resource=resource, namespace=namespace, status=400)
        wanted = [part.split("=", 1) for selector in labels for part in selector.split(",")]
        names = [selector.partition("metadata.name=")[2] for selector in fields if "metadata.name=" in selector]
        return [
            {"metadata": each["metadata"]} if metadata_only else each
            for each in self.objects
            if _resource(each) == resource
            and namespace in (None, each["metadata"].get("namespace"))
            and all((each["metadata"].get("labels") or {}).get(name) == value for name, value in wanted)
            and (not names or each["metadata"]["name"] in names)
        ]

    def pages(self, resource: str, namespace: str | None = None) -> t.Iterator[t.List[Object]]:  # noqa: UP006
        """The objects of a resource, each in a page of its own."""
        for each in self.list(resource, namespace):
            yield [each]

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object."""
        self._note("get", f"{resource}/{name}", namespace)
        if resource == "namespaces" and any(each["metadata"].get("namespace") == name for each in self.objects):
            return {"kind": "Namespace", "metadata": {"name": name}}
        found = [
            each
            for each in self.objects
            if (_resource(each), each["metadata"].get("namespace"), each["metadata"]["name"])
            == (resource, namespace or None, name)
        ]
        return found[0] if found else None

    def now(self) -> float:
        """The time of the API server."""
        return time.time()

    def _note(self, verb: str, subject: str, namespace: str | None) -> None:
        self.requests.append((verb, subject, namespace))
        resource = subject.partition("/")[0]
        if {resource, subject} & self.refused:
            message = f'{resource} is forbidden: User "ops" cannot {verb} resource "{resource}"'
            raise ClusterError(message, verb=verb, resource=subject, namespace=namespace, status=403)


def _resource(document: Object) -> str:
    """The resource of an object; a custom resource as C(scaledjobs.v1alpha1.keda.sh)."""
    group, _slash, version = str(document.get("apiVersion") or "").partition("/")
    return KINDS.get(document["kind"]) or f"{document['kind'].lower()}s.{version}.{group}"
