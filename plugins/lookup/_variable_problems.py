# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _variable_problems
short_description: "[INTERNAL] Find variables of roles and playbooks that are misspelt, missing, or no text"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the roles and playbooks of this collection. It may change at any time.
  - Returns a sentence for each variable that begins with the name of one of the roles or playbooks, but that none of
    them reads, and for each revision, tag or password that is a number. No template is evaluated. A registered result
    is no such variable.
options:
  _terms:
    description: The names of the roles and playbooks, for example V(zot_prune).
    type: list
    elements: str
    required: true
  required_by:
    description: A role. A variable that it needs and that is not set is a problem, too.
    type: str
"""

EXAMPLES = r"""
- name: Check the names of the variables
  ansible.builtin.assert:
    that: query('killinit.zot._variable_problems', 'zot_prune') | length == 0
"""

RETURN = r"""
_raw:
  description: The sentences, each with what to do.
  type: list
  elements: str
  sample: ["zot_prune_keep_newer is not a variable of zot_prune: did you mean zot_prune_keep_newer_than?"]
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.killinit.zot.plugins.plugin_utils._variables import missing_variables, variable_problems


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Reads the names of all variables of a task."""

    def run(
        self,
        terms: list[str],
        variables: dict[str, t.Any] | None = None,
        required_by: str | None = None,
        **_options: t.Any,
    ) -> list[str]:
        """Return the sentences."""
        given = {name: value for name, value in (variables or {}).items() if not _is_registered(value)}
        missing = missing_variables(given, required_by) if required_by else []
        return [*variable_problems(given, terms).values(), *missing]


def _is_registered(value: t.Any) -> bool:
    return isinstance(value, dict) and "changed" in value
