# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of all modules."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    support: full
    membership:
      - killinit.zot.registry
    description:
      - The options that all modules of this group share can be set once, with C(module_defaults) for this group or with
        variables.
  check_mode:
    support: full
    description: Reads and compares everything, and writes nothing to the registry.
  diff_mode:
    description: Shows the reference, the digest and the platforms before and after.
  idempotent:
    support: full
    description: A second run writes nothing.
"""

    CLUSTER = r"""
options: {}
attributes:
  action_group:
    support: full
    membership:
      - killinit.zot.cluster
    description:
      - The options that these modules share can be set once, with C(module_defaults) for this group or with variables.
      - The connection options in C(module_defaults) for C(group/kubernetes.core.k8s) also apply.
  async:
    support: none
    description: The action plugin finds the kubeconfig on the controller, and removes a decrypted copy when it ends.
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
