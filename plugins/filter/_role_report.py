# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _role_report
short_description: "[INTERNAL] Make the report of a role from the results of its tasks"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the roles and playbooks of this collection. It may change at any time.
options:
  _input:
    description: The name of the role or playbook, for example V(zot_prune).
    type: str
    required: true
  results:
    description: The registered results of the tasks, and the values that the report needs, by name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Set the report
  ansible.builtin.set_fact:
    __zot_rollback_report: >-
      {{ 'zot_rollback' | killinit.zot._role_report(found=__zot_rollback_found, tagged=__zot_rollback_tagged) }}
"""

RETURN = r"""
_value:
  description: The report, or for some names a list.
  type: raw
"""

import typing as t


def _role_report(role: str, **results: t.Any) -> t.Any:
    """Return the report."""
    # Imported late: Ansible loads every filter of the collection for each task.
    from ansible_collections.killinit.zot.plugins.plugin_utils._role_reports import REPORTS

    return REPORTS[role](**results)


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file, by name."""
        return {"_role_report": _role_report}
