# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._objects import failure, read
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

# As K8sService.find of kubernetes.core 6.2 raises and returns them.
FORBIDDEN = "Exception '403\\nReason: Forbidden' raised while trying to get resource using (name=None)"
NO_API = 'Failed to find API for resource with apiVersion "v9" and kind "Pod"'
POD = {"kind": "Pod", "metadata": {"name": "one"}}


class Service:
    """Answers by kind, and notes what it is asked."""

    def __init__(self, **answers: t.Any) -> None:
        self.answers = answers
        self.asked: list[dict[str, t.Any]] = []

    def find(self, **query: t.Any) -> dict[str, t.Any]:
        self.asked.append(query)
        answer = self.answers[query["kind"]]
        if isinstance(answer, Exception):
            raise answer
        return t.cast("dict[str, t.Any]", answer)


def test_each_query_has_its_result() -> None:
    service = Service(Pod={"resources": [POD], "api_found": True}, Secret={"resources": [], "api_found": True})
    query = {"kind": "Pod", "api_version": "v1", "namespace": "openclaw"}
    results = read(service, [query, {"kind": "Secret", "api_version": "v1"}])
    assert results == [{"resources": [POD]}, {"resources": []}]
    assert failure(results) is None
    assert service.asked[0] == {**query, "hidden_fields": ["metadata.managedFields"]}


def test_what_cannot_be_read_does_not_stop_the_rest() -> None:
    service = Service(
        Secret=CoreException(FORBIDDEN),
        Pod={"resources": [POD], "api_found": True},
        Node={"resources": [], "api_found": False, "msg": NO_API},
    )
    results = read(service, [{"kind": kind} for kind in ("Secret", "Pod", "Node")])
    assert results == [{"msg": FORBIDDEN}, {"resources": [POD]}, {"msg": NO_API}]
    assert failure(results) == FORBIDDEN
