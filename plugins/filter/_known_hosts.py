# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _known_hosts
short_description: "[INTERNAL] Fail if a pattern for the hosts of a play selects no host"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the playbooks of this collection. It may change at any time.
  - Ansible skips a play without hosts and succeeds, so a typo would not be noticed.
positional: groups
options:
  _input:
    description: The pattern.
    type: raw
    required: true
  groups:
    description: The groups of the inventory, with their hosts.
    type: dict
    required: true
  variable:
    description: The variable that contains the pattern.
    type: str
    default: zot_hosts
"""

EXAMPLES = r"""
- name: Use the hosts in zot_hosts
  hosts: "{{ zot_hosts | default('localhost', true) | killinit.zot._known_hosts(groups) }}"
"""

RETURN = r"""
_value:
  description: The pattern.
  type: raw
"""

import typing as t


def _known_hosts(pattern: t.Any, groups: t.Mapping[str, t.Sequence[str]], variable: str = "zot_hosts") -> t.Any:
    """Return the pattern. Raises AnsibleFilterError if it, or a name in it, selects no host."""
    # Imported late: Ansible loads every filter of the collection for each task.
    from ansible import context
    from ansible.errors import AnsibleFilterError
    from ansible.inventory.manager import split_host_pattern
    from ansible.plugins.lookup.inventory_hostnames import LookupModule

    # ansible-lint and CI check the syntax without the inventory.
    if context.CLIARGS.get("syntax"):
        return pattern
    parts = [part for part in split_host_pattern(pattern) if part]
    # A pattern that excludes hosts, for example !staging, selects no hosts by itself.
    names = [[part] for part in parts if part[0] not in "!&"]
    for each in [*names, parts]:
        if not each or not LookupModule().run(each, variables={"groups": groups}):
            raise AnsibleFilterError(
                f"{variable} names {','.join(each)}, which is not a host or a group with hosts: correct the name"
            )
    return pattern


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file, by name."""
        return {"_known_hosts": _known_hosts}
