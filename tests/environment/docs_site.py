# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Sphinx project of our pages, with the pages of Ansible that they refer to: its list is not always reachable."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from pathlib import Path

from environment.collection_path import CACHE, ROOT

CORE = "ansible_collections.kubernetes.core"
PAGES = {
    "action_plugins": "plugins/action",
    "ansible_configuration_settings": "reference_appendices/config",
    "common_return_values": "reference_appendices/common_return_values",
    "ansible_collections.ansible.builtin.set_stats_module": "collections/ansible/builtin/set_stats_module",
    "ansible_collections.community.okd.k8s_auth_module": "collections/community/okd/k8s_auth_module",
    f"{CORE}.k8s_info_module": "collections/kubernetes/core/k8s_info_module",
    f"{CORE}.k8s_module": "collections/kubernetes/core/k8s_module",
    f"{CORE}.k8s_module__parameter-state": "collections/kubernetes/core/k8s_module",
}
SETTINGS = """
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/projects/ansible/latest/", "../ansible.inv")}
# Ansible reads environment variables of other plugins only; for modules this page would be empty. The plugins with an
# underscore are internal.
exclude_patterns = ["environment_variables.rst", "_*.rst"]
title = html_short_title = "killinit.zot"
sys.path.insert(0, TESTS)
extensions.append("environment.docs_hooks")
html_static_path = ["static"]
html_css_files = ["pages.css"]
"""
STYLE = """
/* The index page has headings instead of the captions that the sidebar shows. */
.rst-content .toctree-wrapper > .caption { display: none }
/* Long names break only on a phone, in titles and tables. */
wbr { display: none }
@media (max-width: 768px) {
  /* On a phone, cells of tables wrap and are as narrow as their words, so that most tables fit. */
  .wy-table-responsive table td, .wy-table-responsive table th { white-space: normal !important }
  .rst-content table.docutils:not(.ansible-option-table) :is(td, th) { min-width: 0; padding: 4px }
  .rst-content table.docutils:not(.ansible-option-table) :is(a, code) { overflow-wrap: break-word; white-space: normal }
  .rst-content table.docutils:not(.ansible-option-table) code { border: 0; padding: 0 }
  .rst-content table.docutils:not(.ansible-option-table) col { width: auto !important }
  .rst-content :is(h1, table.docutils:not(.ansible-option-table)) wbr { display: inline }
  /* Lines of YAML and of columns do not wrap, and images keep the size at which their text is readable: both scroll. */
  .rst-content div[class^="highlight"] pre { white-space: pre; overflow-x: auto }
  .rst-content a.image-reference { display: block; overflow-x: auto }
  .rst-content a.image-reference img { max-width: none }
}
"""


def make_site() -> Path:
    """Make the Sphinx project of our pages, in which references to the pages of Ansible can be resolved."""
    site = CACHE / "docs"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir()
    command = "antsibull-docs sphinx-init --use-current --squash-hierarchy --fail-on-error --project=killinit.zot"
    names = ("--copyright=killinit.zot contributors", "killinit.zot")
    subprocess.run([*command.split(), f"--dest-dir={site}", *names], check=True)
    # The guides include files from there.
    for name in ("examples", "images", "plots"):
        (site / name).symlink_to(ROOT / "docs" / name)
    lines = [
        f"{label} std:label -1 {page}.html#{re.sub('[^a-z0-9]+', '-', label)} {label}\n"
        for label, page in PAGES.items()
    ]
    header = "# Sphinx inventory version 2\n# Project: Ansible\n# Version:\n# zlib\n"
    (site / "ansible.inv").write_bytes(header.encode() + zlib.compress("".join(lines).encode()))
    with (site / "conf.py").open("a") as settings:
        settings.write(f"import sys\nTESTS = {str(ROOT / 'tests')!r}\n{SETTINGS}")
    (site / "static").mkdir()
    (site / "static" / "pages.css").write_text(STYLE)
    return site
