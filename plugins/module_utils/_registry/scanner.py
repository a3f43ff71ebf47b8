# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The severities of the scanner of Zot, what it finds, and the options of the modules that name severities.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

# The least severe first. Nobody has rated a vulnerability with the severity unknown.
SEVERITIES = ("unknown", "low", "medium", "high", "critical")
# The worst severities that an option can allow.
LIMITS = ("none", *SEVERITIES[1:])
# The option of a module.
EXEMPTIONS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "id": {"type": "str", "required": True},
        "reason": {"type": "str", "required": True},
        "expires": {"type": "str"},
    },
}
# The options of a module with the gate. The documentation fragment _gate describes them.
GATE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    "max_severity": {"type": "str", "choices": list(LIMITS)},
    "max_severity_fixable_only": {"type": "bool", "default": False},
    "max_severity_unscanned": {"type": "str", "choices": ["fail", "allow"], "default": "fail"},
    "max_severity_ignore": EXEMPTIONS,
    "max_severity_wait_timeout": {"type": "int", "default": 300},
}
# The name that Linux shows for the file: https://man7.org/linux/man-pages/man2/memfd_create.2.html
PROGRESS_FILE = "killinit.zot-scans"


class Finding(t.NamedTuple):
    """A vulnerability of one package. *fixed* is the version that fixes it, None if there is none."""

    id: str
    severity: str
    title: str
    package: str
    installed: str
    fixed: str | None
    reference: str | None
