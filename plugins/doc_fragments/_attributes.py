# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """What all modules say of themselves."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    support: full
    membership:
      - killinit.zot.registry
    description: The options that all modules share can be set once, with C(module_defaults) for this group.
  check_mode:
    support: full
    description: Makes every look and every comparison, and writes nothing to the registry.
  diff_mode:
    description: Shows reference, digest and platforms before and after.
  idempotent:
    support: full
    description: Running it again changes nothing, and writes nothing.
"""

    CLUSTER = r"""
options: {}
attributes:
  action_group:
    support: full
    membership:
      - killinit.zot.cluster
    description:
      - The options that these modules share can be set once, with C(module_defaults) for this group.
      - What C(module_defaults) say of the connection for C(group/kubernetes.core.k8s) counts here, too.
  async:
    support: none
    description: The action plugin of kubernetes.core, which finds the kubeconfig, refuses it.
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
"""
