# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _report_page
short_description: "[INTERNAL] Format the report of a registry and its clusters as a page"
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for the playbook C(killinit.zot.report). It may change at any time.
options:
  _input:
    description: The report that the playbook has collected.
    type: dict
    required: true
  kind:
    description: The format of the page.
    type: str
    choices: [html, md, json]
    required: true
"""

EXAMPLES = r"""
- name: Show an empty report as Markdown
  ansible.builtin.debug:
    msg: "{{ report | killinit.zot._report_page('md') }}"
  vars:
    report:
      registry: oci.killinit.cc
      created: "2026-11-25T12:00:00Z"
      problems: []
      repositories: []
      clusters: []
"""

RETURN = r"""
_value:
  description: The text of the page.
  type: str
"""

import json
import typing as t


def _report_page(report: t.Mapping[str, t.Any], kind: str) -> str:
    """Return the text of the page."""
    # Imported late: Ansible loads every filter of the collection for each task.
    from ansible_collections.killinit.zot.plugins.plugin_utils._report import page_of
    from ansible_collections.killinit.zot.plugins.plugin_utils._report_html import html
    from ansible_collections.killinit.zot.plugins.plugin_utils._report_markdown import markdown

    if kind == "json":
        return json.dumps(report, indent=2) + "\n"
    return html(page_of(report)) if kind == "html" else markdown(page_of(report))


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file, by name."""
        return {"_report_page": _report_page}
