# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from unittest import mock

import pytest

from ansible_collections.killinit.zot.plugins.action import zot_index

GROUP = "group/killinit.zot.registry"
NAME = "killinit.zot.zot_index"


@pytest.mark.parametrize(
    ("defaults", "given", "expected"),
    [
        ([], {"tags": ["1"]}, {"tags": ["1"]}),
        ([{GROUP: {"registry": "a", "username": "b"}}], {"username": "c"}, {"registry": "a", "username": "c"}),
        ([{GROUP: {"registry": "a", "password": "c"}}, {GROUP: {"registry": "b"}}], {}, {"registry": "b"}),
        ([{NAME: {"registry": "a"}}, {GROUP: {"registry": "b"}}], {}, {"registry": "a"}),
        ([{"killinit.zot.zot_push": {"registry": "a"}, "group/other.zot.registry": {"registry": "b"}}], {}, {}),
        ([{GROUP: "{{ shared }}"}], {"username": "c"}, {"registry": "a", "username": "c"}),
    ],
    ids=[
        "none",
        "an option of the task wins",
        "the inner block replaces the outer one",
        "the module wins",
        "other modules",
        "a template",
    ],
)
def test_module_defaults_of_omitted_options(
    defaults: list[dict[str, t.Any]], given: dict[str, t.Any], expected: dict[str, t.Any]
) -> None:
    task = mock.Mock(module_defaults=defaults, args=given, resolved_action=NAME)
    templar = mock.Mock(template=lambda value: {"registry": "a"} if value == "{{ shared }}" else value)
    action = zot_index.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), templar, mock.Mock())
    with mock.patch.object(zot_index.NormalAction, "run", return_value={"changed": False}):
        assert action.run() == {"changed": False}
    assert task.args == expected
