# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of the links finds each kind of broken link, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from environment import docs_links

REPOSITORY = "https://github.com/killinit/zot/blob/main"


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("other.html", False),
        ("other.html#there", False),
        ("#here", False),
        ("other.html?highlight=x", False),
        ("https://example.com/missing", False),
        ("mailto:nobody@example.com", False),
        (f"{REPOSITORY}/galaxy.yml", False),
        (f"{REPOSITORY}/README.md#requirements", False),
        ("missing.html", True),
        ("other.html#missing", True),
        ("#missing", True),
        (f"{REPOSITORY}/missing.yml", True),
        (f"{REPOSITORY}/README.md#missing", True),
    ],
)
def test_links_of_a_page(link: str, broken: bool, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f'<h1 id="here">One</h1><a href="{link}">two</a>')
    (tmp_path / "other.html").write_text('<a name="there">three</a>')
    assert docs_links.broken_links(tmp_path) == ([f"index.html: {link}"] if broken else [])


def test_links_of_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_links, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(
        "# The first `zot_part`: one, two\n\n[a](#the-first-zot_part-one-two) [b](#missing) [c](README.md) [d](no.md)\n"
        "```sh\n[e](not-a-link)\n```\n![f](picture.svg)\n"
    )
    assert docs_links.broken_links(tmp_path) == ["README.md: #missing", "README.md: no.md", "README.md: picture.svg"]
