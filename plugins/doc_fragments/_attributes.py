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
      - killinit.zot.zot
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
