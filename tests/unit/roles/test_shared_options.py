# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A variable that several roles share means the same in all of them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROLES = Path(__file__).resolve().parents[3] / "roles"
SPECS = {
    path.parts[-3]: yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    for path in ROLES.glob("*/meta/argument_specs.yml")
}
SHARED = sorted(
    name
    for name in {name for options in SPECS.values() for name in options}
    if sum(name in options for options in SPECS.values()) > 1
)


def test_there_are_shared_options() -> None:
    assert {"zot_registry", "zot_password", "zot_kubeconfig"} <= set(SHARED)


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_option_is_described_once(name: str) -> None:
    """The first sentence, the type and the secrecy are the same; a role may add what is special to it."""
    found = set()
    for options in SPECS.values():
        option: dict[str, t.Any] = options.get(name) or {}
        if option:
            text = option["description"] if isinstance(option["description"], str) else option["description"][0]
            found.add((text.split(". ")[0].rstrip("."), option["type"], option.get("no_log", False)))
    assert len(found) == 1


@pytest.mark.parametrize("role", sorted(SPECS))
def test_null_is_not_given(role: str) -> None:
    """ansible-core loads an empty answer of AWX as null, and refuses it for an option with a default."""
    options = SPECS[role]
    required = {name for name, option in options.items() if option.get("required")}
    given = {name: [{"repository": "app"}] if name.endswith("_images") else "text" for name in required}
    empty = dict.fromkeys(options.keys() - required)
    result = ArgumentSpecValidator(options).validate({**given, **empty})
    assert result.error_messages == []
