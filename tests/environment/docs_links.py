# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds broken links: in the built pages, in the Markdown files, and from both to files of this repository.

Links to other sites are not followed: the check works without a network, and fails only for a mistake of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

from environment.collection_path import ROOT

OURS = re.compile(r"https://github\.com/killinit/zot/(?:blob|tree)/main/(.*)")
MARKDOWN_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")


class _Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)
            # A form, a favicon or a link of the theme to itself has no page of ours behind it.
            elif value and name in ("href", "src") and tag in ("a", "img", "script", "link"):
                self.links.append(value)


def broken_links(site: Path) -> list[str]:
    """One line for each broken link in the pages of a site, and in the Markdown files of the repository."""
    pages = {path: _Page(path) for path in sorted(site.rglob("*.html"))}
    markdown = [*ROOT.glob("*.md"), *ROOT.glob("roles/*/*.md"), *ROOT.glob(".github/*.md")]
    anchors = {path: page.anchors for path, page in pages.items()}
    anchors |= {path: set(_headings(path)) for path in markdown}
    links = [(path, link, path.parent) for path, page in pages.items() for link in page.links]
    links += [(path, link, path.parent) for path in markdown for link in MARKDOWN_LINK.findall(_prose(path))]
    return sorted(
        {f"{path.name}: {link}" for path, link, folder in links if not _is_reachable(path, link, folder, anchors)}
    )


def _is_reachable(path: Path, link: str, folder: Path, anchors: dict[Path, set[str]]) -> bool:
    ours = OURS.fullmatch(link)
    if ours:
        link, folder = ours[1], ROOT
    elif re.match(r"[a-z]+:|//", link):
        return True
    name, anchor = urldefrag(link)
    target = (folder / unquote(name.partition("?")[0])).resolve() if name else path
    if not target.exists():
        return False
    # The anchors of a file that is no page, for example of a source file, are line numbers.
    return not anchor or target not in anchors or anchor in anchors[target]


def _prose(path: Path) -> str:
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _headings(path: Path) -> Iterator[str]:
    """The anchors that GitHub gives to the headings of a file."""
    for heading in re.findall(r"^#+ (.*)$", _prose(path), re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
