# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """The options of the gate against vulnerabilities."""

    DOCUMENTATION = r"""
options:
  max_severity:
    description:
      - The worst severity of a vulnerability that an image may have. For example, V(high) allows high and refuses
        critical vulnerabilities. V(none) refuses all, also those that nobody has rated.
      - If an image is refused or not scanned, the task fails before a shared tag moves. The images are checked in each
        run, also if no tag has to move.
      - If not set, the scanner of the registry is not used. It belongs to the search extension of Zot.
    type: str
    choices: [none, low, medium, high, critical]
  max_severity_fixable_only:
    description: Whether O(max_severity) refuses only vulnerabilities for which the package has a fixed version.
    type: bool
    default: false
  max_severity_unscanned:
    description: Whether O(max_severity) refuses an image that is not scanned, V(fail), or not, V(allow).
    type: str
    choices: [fail, allow]
    default: fail
  max_severity_ignore:
    description:
      - The exceptions from O(max_severity), with the keys C(id), C(reason), and C(expires) for the last day, as
        the option C(ignore) of M(killinit.zot.zot_vulnerability_info).
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: The identifier, for example V(CVE-2026-0001).
        type: str
        required: true
      reason:
        description: Why the vulnerability does not count. It is shown in the result.
        type: str
        required: true
      expires:
        description: The last day of the exception in UTC, in the form V(YYYY-MM-DD).
        type: str
  max_severity_wait_timeout:
    description:
      - How many seconds to wait for images that are not scanned yet.
      - Every five seconds a line shows how many images are scanned. The variable C(zot_push_progress) disables it.
    type: int
    default: 300
"""
