# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.module import Spec

SHARED = Spec({}).for_module()["argument_spec"]


def test_the_options_of_a_module_come_beside_the_shared_ones() -> None:
    found = Spec({"tags": {"type": "list"}}, {"required_one_of": [("a", "b")]}).for_module()
    assert found["argument_spec"].keys() - SHARED.keys() == {"tags"}
    assert found["required_one_of"] == [("a", "b")]


def test_only_the_password_is_secret() -> None:
    assert [name for name, option in SHARED.items() if option.get("no_log")] == ["password"]


@pytest.mark.parametrize("name", ["registry", "username", "password", "authfile", "ca_path", "validate_certs"])
def test_fallback_to_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ZOT_{name.upper()}", "value")
    function, variables = SHARED[name]["fallback"]
    assert function(*variables) == "value"


def test_two_modules_share_no_state() -> None:
    Spec({}).for_module()["argument_spec"]["more"] = {}
    assert "more" not in Spec({}).for_module()["argument_spec"]
