# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page about images, repositories and clusters as HTML.

Private to killinit.zot: it may change at any time.

Tags, labels and messages come from a registry or a cluster, and may be hostile. Therefore every value that the template
prints is escaped, and the filter C(safe) does not exist.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable, size_text
from ansible_collections.killinit.zot.plugins.plugin_utils._report import Page, seconds, shown

TEMPLATES = Path(__file__).resolve().parents[2] / "playbooks" / "templates"


def html(page: Page) -> str:
    """The text of the page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_printed,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    del environment.filters["safe"]
    environment.filters.update(age=page.age, csp_hash=_csp_hash, seconds=seconds, size=size_text)
    return environment.get_template("report.html.j2").render(vars(page))


def _csp_hash(script: str) -> str:
    """The hash of an inline script for a content security policy, so that a browser runs no other script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _printed(value: object) -> object:
    """The text of a value, which Jinja then escapes, unless a part of the template has created it."""
    return value if isinstance(value, Markup) else printable(shown(value))
