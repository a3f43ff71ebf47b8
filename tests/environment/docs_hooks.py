# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Sphinx extension for what antsibull-docs and the theme have no option for.

It gives short names to the sidebar, an example to the page of each role, and on a phone readable names and images.
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
NAME = re.compile(r'<(?:h1|span class="(?:pre|std[^"]*)")>[^<]+')
IMAGE = re.compile(r'(?<!">)<img [^>]*src="([^"]+)"[^>]*>')
TOCTREE = re.compile(r"^\.\. toctree::\n((?:    :.*\n)+)\n((?:    \S+\n)+)", re.MULTILINE)


def setup(app: Any) -> dict[str, bool]:
    """Change pages when Sphinx reads and writes them."""
    app.connect("source-read", _change)
    app.connect("html-page-context", _fit)
    return {"parallel_read_safe": True}


def _change(_app: Any, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] = TOCTREE.sub(_shorten, source[0]).replace("\\_", "_").replace("Killinit.Zot", "killinit.zot")
        source[0] = re.sub(r"^\* :ansplugin:`_.*\n", "", source[0], flags=re.MULTILINE)
    elif page.endswith("_role"):
        source[0] += _example(page.removesuffix("_role"))


def _fit(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Let a long name break between its parts, not inside a word, and let a click open an image in full size."""
    if "body" in context:
        body = NAME.sub(lambda name: re.sub(r"(?<=\w)([_./:=]|&#64;)(?=\w)", r"\1<wbr>", name[0]), context["body"])
        context["body"] = IMAGE.sub(r'<a class="image-reference" href="\1">\g<0></a>', body)


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
