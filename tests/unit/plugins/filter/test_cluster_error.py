# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.killinit.zot.plugins.filter.cluster_error import FilterModule

# The form in which kubernetes.core shows what the API server answers; tests/cluster sees the real thing.
FORBIDDEN = (
    'Failed to retrieve requested object: b\'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    '"message":"deployments.apps is forbidden: User \\\\"system:serviceaccount:openclaw:least\\\\" cannot list resource'
    ' \\\\"deployments\\\\" in API group \\\\"apps\\\\" in the namespace \\\\"openclaw\\\\"",'
    '"reason":"Forbidden","code":403}\\n\''
)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        pytest.param(
            {"msg": FORBIDDEN},
            "system:serviceaccount:openclaw:least may not list deployments.apps in namespace openclaw",
            id="a missing right",
        ),
        pytest.param(
            {"msg": "All items completed", "results": [{"resources": []}, {"msg": FORBIDDEN}]},
            "system:serviceaccount:openclaw:least may not list deployments.apps in namespace openclaw",
            id="in a loop",
        ),
        pytest.param(
            {"msg": 'User "a" cannot list resource "nodes" in API group "" at the cluster scope'},
            "a may not list nodes in all namespaces",
            id="of the cluster",
        ),
        pytest.param(
            {"msg": '{"message": "namespaces \\"x\\" not found"}'}, 'namespaces "x" not found', id="a message"
        ),
        pytest.param({"msg": "(401)\nReason: Unauthorized\nHTTP"}, "Unauthorized (401)", id="a status"),
        pytest.param({"msg": "cannot connect\nmore"}, "cannot connect", id="a text"),
        pytest.param({"msg": "Invalid file. No configuration."}, "Invalid file. No configuration", id="a full stop"),
        pytest.param({}, "it gives no reason", id="nothing"),
    ],
)
def test_sentence(result: dict[str, object], sentence: str) -> None:
    assert FilterModule().filters()["cluster_error"](result) == sentence
