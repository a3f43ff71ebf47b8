#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_job_report
short_description: Write the reports of a job for the next job
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Writes the reports of roles and playbooks to a file on the controller, as JSON, as Markdown, or as variables.
  - If the environment variable E(GITHUB_STEP_SUMMARY) is set, appends Markdown to the file that it names. If
    E(GITHUB_OUTPUT) is set, appends C(image), C(images) and C(revision) to the file that it names. GitHub Actions sets
    both.
  - Sets the reports as custom stats, as M(ansible.builtin.set_stats) does. AWX passes them to the later jobs of a
    workflow.
  - The playbooks of this collection use this module. Use it at the end of a playbook of your own that uses the roles.
  - If the play has several hosts, each host writes its own file. The name of the host is inserted before the extension,
    for example C(report-canary.json).
attributes:
  check_mode:
    support: full
    description: Writes the reports in check mode, too. They describe what a run would do.
  diff_mode:
    support: none
    description: Shows no difference.
  idempotent:
    support: partial
    description: >-
      A second run writes the file again, and appends to the files of GitHub Actions again. RV(ignore:changed) is always
      false, because no managed object changes.
options:
  reports:
    description: The reports by name, for example C(zot_publish_report). A report that is null is left out.
    type: dict
    required: true
  path:
    description:
      - A file on the controller. A relative path starts at the directory in which C(ansible-playbook) was started.
      - The extension selects the format. C(.json) has all reports, C(.md) is Markdown, and C(.env) has lines such as
        C(IMAGE=oci.killinit.cc/openclaw/openclaw@sha256:…), which GitLab CI reads as C(artifacts:reports:dotenv).
      - If it is not given, no file is written.
    type: path
notes:
  - Names in a report come from a registry or a cluster. In Markdown they are escaped and cannot add markup.
  - A reference with another form than C(registry/repository@sha256:…) is never written to E(GITHUB_OUTPUT) or to a
    C(.env) file.
seealso:
  - module: ansible.builtin.set_stats
"""

EXAMPLES = r"""
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
        path: report.json
"""

RETURN = r"""
path:
  description: The absolute path of the file, or null if none was written.
  returned: success
  type: str
  sample: /builds/openclaw/report.json
image:
  description: The first of RV(images), or null.
  returned: success
  type: str
  sample: oci.killinit.cc/openclaw/openclaw@sha256:5f2c9a86d2b9a8f0f0c4d0f5a2b2a4e2b9a0c1d2e3f405162738495a6b7c8d9e
images:
  description: The references with digests of all images in the reports. An image that would be pushed has none.
  returned: success
  type: list
  elements: str
  sample:
    - oci.killinit.cc/openclaw/openclaw@sha256:5f2c9a86d2b9a8f0f0c4d0f5a2b2a4e2b9a0c1d2e3f405162738495a6b7c8d9e
"""
