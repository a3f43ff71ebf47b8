# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages of Ansible are called that ours refer to: their own list cannot be fetched from everywhere."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

CORE = "ansible_collections.kubernetes.core"
PAGES = {
    "action_plugins": "plugins/action",
    "ansible_configuration_settings": "reference_appendices/config",
    "common_return_values": "reference_appendices/common_return_values",
    "ansible_collections.community.okd.k8s_auth_module": "collections/community/okd/k8s_auth_module",
    f"{CORE}.k8s_info_module": "collections/kubernetes/core/k8s_info_module",
    f"{CORE}.k8s_module": "collections/kubernetes/core/k8s_module",
    f"{CORE}.k8s_module__parameter-state": "collections/kubernetes/core/k8s_module",
}
SETTINGS = """
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/projects/ansible/latest/", "../ansible.inv")}
# Ansible reads environment variables of other plugins only; for modules this page would be empty.
exclude_patterns = ["environment_variables.rst"]
"""


def write_references(site: Path) -> None:
    """Let the Sphinx project in that folder resolve references to the pages of Ansible."""
    lines = [
        f"{label} std:label -1 {page}.html#{re.sub('[^a-z0-9]+', '-', label)} {label}\n"
        for label, page in PAGES.items()
    ]
    header = "# Sphinx inventory version 2\n# Project: Ansible\n# Version:\n# zlib\n"
    (site / "ansible.inv").write_bytes(header.encode() + zlib.compress("".join(lines).encode()))
    with (site / "conf.py").open("a") as settings:
        settings.write(SETTINGS)
