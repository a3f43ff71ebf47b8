# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry in the line that a playbook prints before its first write."""

from __future__ import annotations

import typing as t

import pytest

dataloader = pytest.importorskip("ansible.parsing.dataloader", reason="Python without a controller")
template = pytest.importorskip("ansible.template")
plugin_file = pytest.importorskip("ansible_collections.killinit.zot.plugins.lookup._registry_setting")


@pytest.mark.parametrize("by", ["variable", "environment"])
def test_a_password_in_the_registry_is_not_shown(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules refuse such a registry, but the line is printed before."""
    monkeypatch.setenv("ZOT_REGISTRY", "ci:s3cret@oci.example")
    variables = {"inventory_hostname": "localhost"}
    if by == "variable":
        variables["zot_registry"] = "ci:s3cret@oci.example"
    lookup: t.Any = plugin_file.LookupModule(templar=template.Templar(dataloader.DataLoader(), variables=variables))
    (text,) = lookup.run([], variables)
    assert text.startswith("oci.example (")
