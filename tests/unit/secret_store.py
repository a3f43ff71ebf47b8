# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secrets and service accounts of one namespace, with the rules by which an API server changes them."""

from __future__ import annotations

import copy
import itertools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.tests.unit.api_server import Request, status

Dict = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it
Answer = t.Tuple[int, t.Any]  # noqa: UP006


@dataclass
class SecretStore:
    """Answers the requests of ApiServer.

    *before* is called for each request that writes; an answer that it returns is sent instead of the write. After
    *end_at* requests, the connection ends: *processed* says whether the last one was processed. *lost* means that
    every later request is lost, too, as for a client that was killed.
    """

    objects: dict[tuple[str, str], Dict] = field(default_factory=dict)
    before: t.Callable[[Request], Answer | None] = lambda _request: None
    end_at: int | None = None
    processed: bool = False
    writes: list[str] = field(default_factory=list)
    count: int = 0
    _versions: t.Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def put(self, document: Dict) -> Dict:
        """Store an object as it is."""
        resource = {"Secret": "secrets", "ServiceAccount": "serviceaccounts"}[document["kind"]]
        document = copy.deepcopy(document)
        version = str(next(self._versions))
        document["metadata"] = {"uid": f"uid-{version}", **document["metadata"], "resourceVersion": version}
        self.objects[resource, document["metadata"]["name"]] = document
        return document

    def secret(self, name: str = "zot-pull-secret") -> Dict | None:
        """A secret."""
        return self.objects.get(("secrets", name))

    def __call__(self, request: Request) -> Answer:
        """The answer to a request."""
        self.count += 1
        if self.end_at is None or self.count < self.end_at:
            return self._answer(request)
        if self.count == self.end_at and self.processed:
            self._answer(request)
        return 0, ""

    def _answer(self, request: Request) -> Answer:
        resource, *names = request.path.strip("/").split("/")[4:] or ["namespaces"]
        if resource == "namespaces":
            return 200, {"kind": "Namespace", "metadata": {"name": "openclaw"}}
        name = names[0] if names else ""
        if request.verb != "GET":
            answer = self.before(request)
            if answer:
                return answer
        found = self.objects.get((resource, name))
        if request.verb == "POST":
            return self._create(resource, request)
        if found is None:
            return status(404, "NotFound", f'{resource} "{name}" not found')
        if request.verb == "GET":
            return 200, copy.deepcopy(found)
        self.writes.append(f"{request.verb} {name}")
        return (self._patch if request.verb == "PATCH" else self._delete)(resource, found, request.body)

    def _create(self, resource: str, request: Request) -> Answer:
        document = copy.deepcopy(request.body)
        if "dryRun" in request.query:
            return 201, document
        name = document["metadata"]["name"]
        self.writes.append(f"POST {name}")
        if (resource, name) in self.objects:
            return status(409, "AlreadyExists", f'{resource} "{name}" already exists')
        return 201, self.put(document)

    def _patch(self, _resource: str, found: Dict, body: Dict) -> Answer:
        if not _matches(found, body.get("metadata", {})):
            return status(409, "Conflict", "the object has been modified")
        if found.get("immutable") and "data" in body:
            return status(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        if body.get("type", found.get("type")) != found.get("type"):
            return status(422, "Invalid", "type: Invalid value: field is immutable")
        changed = _merged(found, body)
        return 200, self.put(changed)

    def _delete(self, resource: str, found: Dict, body: Dict) -> Answer:
        if not _matches(found, body.get("preconditions", {})):
            return status(409, "Conflict", "Precondition failed")
        if found["metadata"].get("finalizers"):
            found["metadata"]["deletionTimestamp"] = "2026-11-30T10:00:00Z"
            return 200, self.put(found)
        del self.objects[resource, found["metadata"]["name"]]
        return 200, {"kind": "Status", "metadata": {}, "status": "Success"}


def _matches(found: Dict, expected: Dict) -> bool:
    return all(
        expected.get(name, found["metadata"][name]) == found["metadata"][name] for name in ("uid", "resourceVersion")
    )


def _merged(value: t.Any, patch: t.Any) -> t.Any:
    """A JSON merge patch."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, each in patch.items():
        if each is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), each)
    return merged
