# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _unknown_variables
short_description: "[INTERNAL] Find misspelt variables of roles and playbooks"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the roles and playbooks of this collection. It may change at any time.
  - Returns a sentence for each variable that begins with the name of one of the roles or playbooks, but that none of
    them reads. The value of no variable is evaluated. A registered result is no such variable.
options:
  _terms:
    description: The names of the roles and playbooks, for example V(zot_prune).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check the names of the variables
  ansible.builtin.assert:
    that: query('killinit.zot._unknown_variables', 'zot_prune') | length == 0
"""

RETURN = r"""
_raw:
  description: The sentences, with the nearest known name.
  type: list
  elements: str
  sample: ["zot_prune_keep_newer is not a variable of zot_prune: did you mean zot_prune_keep_newer_than?"]
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.killinit.zot.plugins.plugin_utils._variables import unknown_variables


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Reads the names of all variables of a task."""

    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **_options: t.Any) -> list[str]:
        """Return a sentence for each unknown variable."""
        given = variables or {}
        found = unknown_variables(given, terms)
        return [problem for name, problem in found.items() if not _is_registered(given[name])]


def _is_registered(value: t.Any) -> bool:
    return isinstance(value, dict) and "changed" in value
