# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _registry_setting
short_description: "[INTERNAL] Say which registry a playbook uses, and which setting names it"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the playbooks of this collection. It may change at any time.
  - The modules read the environment on the host of the task, which the controller only knows for a local connection.
options:
  _terms:
    description: Nothing.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show the registry
  ansible.builtin.debug:
    msg: "{{ lookup('killinit.zot._registry_setting') }}"
"""

RETURN = r"""
_raw:
  description: One text.
  type: list
  elements: str
  sample: ["oci.killinit.cc (zot_registry)"]
"""

import os
import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.killinit.zot.plugins.plugin_utils._settings import Variables


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Reads the variable and the environment."""

    def run(self, _terms: list[str], variables: dict[str, t.Any] | None = None, **_options: t.Any) -> list[str]:
        """Return the registry and the name of its setting."""
        given = variables or {}
        registry = Variables(self._templar, given).get("registry")
        if registry is not None:
            return [f"{_host(registry)} (zot_registry)"]
        host = given.get("inventory_hostname")
        is_local = given.get("ansible_connection") == "local" or (
            host == "localhost" and "ansible_connection" not in given
        )
        registry = os.environ.get("ZOT_REGISTRY") if is_local else None
        return [f"{_host(registry)} (ZOT_REGISTRY)" if registry else f"the registry in ZOT_REGISTRY on {host}"]


def _host(registry: object) -> str:
    """The registry without what is before it, which may be a password. The modules refuse such a registry later."""
    return str(registry).rpartition("@")[2]
