# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pull secret says of the API key that it holds, and which key a task may replace."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import API_KEYS, PullKey, held_key
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.request import Request, plan
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

REGISTRY = "oci.killinit.cc"
KEYS = {name: f"zak_{name * 32}" for name in "abc"}
Dict = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def request(name: str, *, replaces: str | None = None, password: str | None = None) -> Request:
    """A task that writes a key, or a *password*."""
    given = {
        "registry": REGISTRY,
        "registry_aliases": [],
        "namespace": "openclaw",
        "name": "zot-pull-secret",
        "pull_username": "puller",
        "pull_password": password or KEYS[name],
        "service_accounts": [],
        "force": False,
        "state": "present",
    }
    key = None if password else PullKey(name, "l", None)
    return dataclasses.replace(Request.of(given), key=key, replaces=replaces)


def written(task: Request, before: Dict | None = None) -> Dict:
    """The secret after a task, as the API server stores it."""
    found = plan(task, before, None).document(task)
    return {**found, "metadata": {**found["metadata"], "uid": "1", "resourceVersion": "1"}}


def test_the_key_is_known_until_somebody_changes_the_entry() -> None:
    secret = written(request("a"))
    assert held_key(secret, REGISTRY) == PullKey("a", "l", None)
    assert KEYS["a"] not in json.dumps(secret["metadata"])
    assert plan(request("a", replaces="a"), secret, None).action == "none"
    changed = written(request("a", password="a-password-0815"), secret)
    assert API_KEYS in changed["metadata"]["annotations"]
    assert held_key(changed, REGISTRY) is None
    assert plan(request("b"), changed, None).action == "merge"


@pytest.mark.parametrize("replaces", [None, "c"])
def test_the_key_of_another_task_is_not_replaced(replaces: str | None) -> None:
    secret = written(request("a"))
    with pytest.raises(ZotError, match="another task has written"):
        plan(request("b", replaces=replaces), secret, None)
    assert held_key(written(request("b", replaces="a"), secret), REGISTRY) == PullKey("b", "l", None)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", f'{{"{REGISTRY}": 1}}', f'{{"{REGISTRY}": {{}}}}'])
def test_any_other_annotation_says_nothing(text: str) -> None:
    secret = written(request("a"))
    secret["metadata"]["annotations"][API_KEYS] = text
    assert held_key(secret, REGISTRY) is None
    assert held_key(written(request("b"), secret), REGISTRY) == PullKey("b", "l", None)


@pytest.mark.parametrize(
    ("expires", "within", "word"),
    [
        ("2026-12-14T10:00:00Z", 14, "expires at 2026-12-14"),
        ("2026-12-15T10:00:00Z", 14, None),
        ("2026-11-29T10:00:00Z", 14, "has expired at"),
        ("2026-12-01T10:00:00Z", 0, None),
        ("2026-11-29T10:00:00Z", 0, "has expired at"),
        (None, 14, None),
        ("never", 14, None),
    ],
)
def test_the_expiry_of_a_key(expires: str | None, within: int, word: str | None) -> None:
    now = 1796032800  # 2026-11-30T10:00:00Z
    found = PullKey("a", "l", expires).expiry_text(now, within * 86400)
    assert found is None if word is None else word in str(found)
