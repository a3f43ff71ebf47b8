#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_job_report
short_description: Write the reports of a job for the next job
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Writes the reports of roles and playbooks to files on the controller, as JSON, Markdown, or variables.
  - If the environment variable E(GITHUB_STEP_SUMMARY) is set, appends Markdown to the file that it names. If
    E(GITHUB_OUTPUT) is set, appends C(image), C(images) and C(revision) to the file that it names. GitHub Actions sets
    both.
  - Sets the reports as custom stats, as M(ansible.builtin.set_stats) does. AWX passes them to the later jobs of a
    workflow.
  - The playbooks of this collection use this module. Use it at the end of your own playbooks that use the roles.
  - If a file cannot be written, the others are still written, and the task fails. Ansible sets no custom stats for a
    failed task, but the output of the task contains the reports.
  - If the play has several hosts, each host writes its own file. The name of the host is inserted before the extension,
    for example C(report-canary.json).
attributes:
  check_mode:
    support: full
    description: Also writes the reports in check mode. They then describe the changes that a run would make.
  diff_mode:
    support: none
    description: Shows no difference.
  idempotent:
    support: partial
    description: >-
      A second run writes the files again, and appends to the files of GitHub Actions again. RV(ignore:changed) is
      always false, because no managed object changes.
options:
  reports:
    description:
      - The reports by name, for example C(zot_publish_report). A report that is null is skipped.
      - If not set, the task only checks that the files can be written, and removes a C(.env) file of an earlier job,
        which names other images. Use this before a task whose report must not be lost.
    type: dict
  paths:
    description:
      - Files on the controller, as a list or as a comma-separated text. A relative path starts at the directory in
        which C(ansible-playbook) was started.
      - The extension selects the format. C(.json) contains all reports, C(.md) is Markdown, and C(.env) contains lines
        such as C(IMAGE=oci.killinit.cc/openclaw/openclaw@sha256:…), which GitLab CI reads as
        C(artifacts:reports:dotenv).
      - If not set, no file is written.
    type: list
    elements: path
    default: []
    aliases:
      - path
notes:
  - A report contains names from a registry or a cluster. In Markdown they are escaped, so they cannot add markup.
  - Only references of the form C(registry/repository@sha256:…) are written to E(GITHUB_OUTPUT) and to C(.env) files.
    If one of the reports is that of a failure, none is written.
seealso:
  - module: ansible.builtin.set_stats
"""

EXAMPLES = r"""
- name: Check that the report can be written
  killinit.zot.zot_job_report:
    paths: [report.json, report.md]

- name: Publish the images and write the report
  block:
    - name: Publish the images
      ansible.builtin.import_role:
        name: killinit.zot.zot_publish
  always:
    - name: Write the report
      killinit.zot.zot_job_report:
        reports:
          zot_publish_report: "{{ zot_publish_report | default(none) }}"
        paths: [report.json, report.md]
"""

RETURN = r"""
paths:
  description: The absolute paths of the files that were written, or that can be written.
  returned: success
  type: list
  elements: str
  sample:
    - /builds/openclaw/report.json
image:
  description: The first entry of RV(images), or V(null).
  returned: if O(reports) is set
  type: str
  sample: oci.killinit.cc/openclaw/openclaw@sha256:5f2c9a86d2b9a8f0f0c4d0f5a2b2a4e2b9a0c1d2e3f405162738495a6b7c8d9e
images:
  description: >-
    The references by digest of all images in the reports. An image that would be pushed in check mode has no digest
    yet and is not listed.
  returned: if O(reports) is set
  type: list
  elements: str
  sample:
    - oci.killinit.cc/openclaw/openclaw@sha256:5f2c9a86d2b9a8f0f0c4d0f5a2b2a4e2b9a0c1d2e3f405162738495a6b7c8d9e
"""
