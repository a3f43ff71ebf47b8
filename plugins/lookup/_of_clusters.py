# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _of_clusters
short_description: "[INTERNAL] Collect a variable of the hosts in a pattern"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the playbooks of this collection. It may change at any time.
  - Each host is read once. In a template, C(hostvars) of every host of a large inventory would be read.
options:
  _terms:
    description: The name of the variable, and the pattern of the hosts.
    type: list
    elements: raw
    required: true
"""

EXAMPLES = r"""
- name: Collect what each cluster uses
  ansible.builtin.set_fact:
    used: "{{ lookup('killinit.zot._of_clusters', '__zot_prune_cluster', zot_clusters) }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary with the value of each host. The value is empty if the host has none, for example if C(--limit)
      excludes it.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible.plugins.lookup.inventory_hostnames import LookupModule as HostNames


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Reads the variables of other hosts."""

    def run(self, terms: list[t.Any], variables: t.Any = None, **_options: t.Any) -> list[dict[str, t.Any]]:
        """Return one dictionary. The implicit localhost is a host, too."""
        name, pattern = terms
        hosts = HostNames().run(list(pattern) if isinstance(pattern, list) else [pattern], variables)
        return [{host: variables["hostvars"][host].get(name) or {} for host in hosts}]
