# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose_lines
short_description: Why images cannot be pulled, as lines
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Turns what P(killinit.zot.diagnose_report#filter) returns into lines to read. Prose is at most 100 characters wide;
    a command is one line, however long, so that it can be copied.
options:
  _input:
    description: The findings.
    type: list
    elements: dict
    required: true
  brief:
    description: Whether to have one line for each finding, with its causes alone.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ zot_diagnose_report.findings | killinit.zot.diagnose_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import textwrap
import typing as t

_WIDTH = 100
_NODES = 3


def diagnose_lines(findings: t.Sequence[t.Mapping[str, t.Any]], brief: bool = False) -> list[str]:
    """Return the findings as lines."""
    if brief:
        return [
            f"{_shown(each['image'])} of {each['subject']}: {'; '.join(cause['message'] for cause in each['causes'])}"
            for each in findings
        ]
    return [line for finding in findings for line in _finding(finding)]


def _finding(finding: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    count = finding["pods"]
    pods = f"{count} pods" if count > 1 else "1 pod"
    yield _shown(finding["image"])
    nodes = f" on {', '.join(finding['nodes'])}" if 0 < len(finding["nodes"]) <= _NODES else ""
    yield from _prose("", f"{', '.join(finding['uses'])} of {finding['subject']}, {pods}{nodes}")
    for cause in finding["causes"]:
        yield from _prose("cause: ", cause["message"])
        yield from _prose("remedy: ", cause["remedy"])
        yield from (f"      {command}" for command in cause["commands"])
    said = list(dict.fromkeys(cause["evidence"] for cause in finding["causes"] if cause["evidence"]))
    for evidence in said:
        yield from _prose("seen: ", evidence)


def _shown(image: str) -> str:
    """Without what a terminal obeys: a pod may name anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in image)


def _prose(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label}",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_lines": diagnose_lines}
