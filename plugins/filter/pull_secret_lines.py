# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pull_secret_lines
short_description: The checks of a pull secret as lines
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Turns what P(killinit.zot.pull_secret_checks#filter) returns into lines to read.
options:
  _input:
    description: The checks.
    type: list
    elements: dict
    required: true
  all:
    description: Whether to have all checks, or only those with something to do, with their remedies.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ zot_pull_secret_report.checks | killinit.zot.pull_secret_lines(all=true) }}"
"""

RETURN = r"""
_value:
  description: A line for each check.
  type: list
  elements: str
"""

import typing as t


def pull_secret_lines(checks: t.Sequence[t.Mapping[str, t.Any]], all: bool = False) -> list[str]:  # noqa: A002
    """Return a line for each check, or for each that has a remedy."""
    texts = {id(check): f"{check['check']}: {check['subject']}: {check['message']}" for check in checks}
    if all:
        return [f"{check['verdict']:<7} {texts[id(check)]}" for check in checks]
    return [f"{texts[id(check)]}. {check['remedy']}" for check in checks if check["remedy"]]


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"pull_secret_lines": pull_secret_lines}
