# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a task that a role or a playbook refuses."""

from __future__ import annotations

import pytest

plugin_file = pytest.importorskip("ansible_collections.killinit.zot.plugins.lookup._variable_problems")


def test_a_registered_result_is_no_variable() -> None:
    given = {"zot_prune_output": {"changed": False}, "zot_prune_keep": ["v1"], "zot_prune_keep_newer": "30d"}
    (problem,) = plugin_file.LookupModule().run(["zot_prune"], given)
    assert problem.endswith("did you mean zot_prune_keep_newer_than?")
