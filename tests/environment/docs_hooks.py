# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Sphinx extension: short names in the sidebar, and an example on the page of each role.

antsibull-docs writes the pages, and has no option for either.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CAPTIONS = {
    "docsite/guide_start": "Start here",
    "docsite/guide_publish": "Guides",
    "docsite/playbook_publish": "Playbooks",
    "docsite/guide_build": "Build your own",
    "docsite/guide_compatibility": "Background",
}
KINDS = {"module": "Modules", "filter": "Filters", "lookup": "Lookups", "role": "Roles"}
TOCTREE = re.compile(r"^\.\. toctree::\n((?:    :.*\n)+)\n((?:    \S+\n)+)", re.MULTILINE)


def setup(app: Any) -> dict[str, bool]:
    """Change pages when Sphinx reads them."""
    app.connect("source-read", _change)
    return {"parallel_read_safe": True}


def _change(_app: Any, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] = TOCTREE.sub(_shorten, source[0]).replace("\\_", "_").replace("Killinit.Zot", "killinit.zot")
        source[0] = re.sub(r"^\* :ansplugin:`_.*\n", "", source[0], flags=re.MULTILINE)
    elif page.endswith("_role"):
        source[0] += _example(page.removesuffix("_role"))
    elif page.startswith("_"):  # [INTERNAL] plugins have a page, but no place in the sidebar
        source[0] = f":orphan:\n\n{source[0]}"


def _shorten(found: re.Match[str]) -> str:
    pages = found[2].split()
    kind = pages[0].rpartition("_")[2]
    if kind in KINDS and not pages[0].startswith("docsite/"):
        caption = KINDS[kind]
        pages = [f"{page.removesuffix(f'_{kind}')} <{page}>" for page in pages if not page.startswith("_")]
    else:
        caption = CAPTIONS.get(pages[0], "")
    options = found[1] + (f"    :caption: {caption}\n" if caption else "")
    return f".. toctree::\n{options}\n" + "".join(f"    {page}\n" for page in pages)


def _example(role: str) -> str:
    """The first example of the README, which a test runs."""
    text = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    example = re.search(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert example, f"the README of {role} has no example"
    link = f"`README <https://github.com/killinit/zot/blob/main/roles/{role}/README.md>`__"
    return (
        f"\nExample\n-------\n\n.. code-block:: yaml\n\n{textwrap.indent(example[1], '    ')}\n"
        f"The {link} has more examples, the report, and the least rights that the role needs.\n"
    )
