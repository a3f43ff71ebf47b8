#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_report
short_description: Write a page about the images of a registry, and where they run
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Reads the repositories of a registry on the host, and writes what it finds to files on the controller, together with
    what the caller has read from clusters. Changes nothing in the registry.
  - A large registry is read in parts, and only a summary is returned. The memory that the task needs does not grow with
    the number of repositories.
  - The playbook C(killinit.zot.report) reads the clusters and runs this module.
extends_documentation_fragment:
  - killinit.zot._registry
attributes:
  check_mode:
    support: full
    description: Reads everything and writes no file.
  diff_mode:
    support: none
    description: Shows no difference.
  idempotent:
    support: none
    description: The page contains the time of the run, so each run writes it again.
options:
  repositories:
    description:
      - The repositories, as a list or as a comma-separated text.
      - If not set, all that the user may read.
    type: raw
  clusters:
    description: What was read from each cluster.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the cluster on the page.
        type: str
        required: true
      cluster:
        description: The address of its API server.
        type: str
      namespaces:
        description: The namespaces that were read. An empty list means all.
        type: list
        elements: str
        default: []
      problems:
        description: Why the cluster, or a part of it, could not be read.
        type: list
        elements: str
        default: []
      images:
        description: The result C(images) of M(killinit.zot.zot_cluster_image_info).
        type: list
        elements: dict
        default: []
      at_risk:
        description: The result C(at_risk) of M(killinit.zot.zot_cluster_image_info).
        type: list
        elements: str
        default: []
      stale:
        description: A line for each stale workload.
        type: list
        elements: str
        default: []
      workloads:
        description: The result C(workloads) of M(killinit.zot.zot_workload_info) for each namespace.
        type: dict
        default: {}
  newest:
    description:
      - How many of the newest images a page shows for each repository, in addition to those that a cluster uses. One
        line counts the others.
      - A JSON file always has all images.
    type: int
    default: 10
  vulnerabilities:
    description: Whether to ask the scanner of the registry about the images that the clusters use.
    type: bool
    default: true
  cve:
    description: >-
      A vulnerability, for example V(CVE-2026-0001). The page then begins with the workloads in which it runs.
    type: str
  paths:
    description:
      - The files on the controller, as a list or as a comma-separated text. A relative path starts at the directory in
        which C(ansible-playbook) was started.
      - The extension selects the format, C(.html), C(.md) or C(.json).
    type: list
    elements: path
    required: true
notes:
  - A repository that cannot be read is one of RV(problems), and the page has the others. The task fails only if no page
    can be made. Fail later if RV(ok) is V(false).
  - Names from a registry or a cluster are escaped in all formats.
requirements:
  - Python library requests
seealso:
  - module: killinit.zot.zot_image_info
  - module: killinit.zot.zot_cluster_image_info
  - module: killinit.zot.zot_vulnerability_info
"""

EXAMPLES = r"""
- name: Write a page about all images of a registry
  killinit.zot.zot_report:
    registry: oci.killinit.cc
    paths: [images.html, images.json]
"""

RETURN = r"""
ok:
  description: Whether everything was read.
  returned: success
  type: bool
problems:
  description: What could not be read, and why.
  returned: success
  type: list
  elements: str
registry:
  description: The registry.
  returned: success
  type: str
  sample: oci.killinit.cc
repositories:
  description: The names of the repositories on the page.
  returned: success
  type: list
  elements: str
stale:
  description: A line for each stale workload, with the name of its cluster.
  returned: success
  type: list
  elements: str
at_risk:
  description: A line for each image that can be lost, with the name of its cluster.
  returned: success
  type: list
  elements: str
vulnerability_counts:
  description: The number of vulnerabilities of each severity in the images in use.
  returned: success
  type: dict
cve:
  description: Where the vulnerability of O(cve) runs. V(null) without O(cve).
  returned: success
  type: dict
files:
  description: The absolute paths of the files.
  returned: success
  type: list
  elements: str
"""
