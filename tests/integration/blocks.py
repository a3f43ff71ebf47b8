# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of the documentation: every block of a page, and what it is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    *(
        str(path.relative_to(ROOT))
        for each in ("roles/*/README.md", "docs/docsite/rst/*.rst")
        for path in sorted(ROOT.glob(each))
    ),
)

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"^\.\. (?:code-block|literalinclude):: (\S+)\n((?:(?:   .*)?\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences, or under a directive."""

    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0]}"

    @property
    def file(self) -> str | None:
        """The name of the file that it shows, if its first line says so."""
        found = re.match(r"# (\S+\.yml)\n", self.text)
        return found and found[1]

    @property
    def content(self) -> Any:
        """The YAML in it, without Ansible's own tag."""
        return yaml.safe_load(self.text.replace("!unsafe ", ""))

    @property
    def commands(self) -> list[str]:
        """The commands in it, without what they print."""
        prompt = "$ " if self.language == "console" else ""
        lines = (line for line in self.text.splitlines() if line.startswith(prompt))
        return [re.sub(r"\s+# .*", "", line.removeprefix(prompt)) for line in lines if line]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """Each command in it that has an output, and the output."""
        found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)+)", f"{self.text.rstrip()}\n", re.MULTILINE)
        return [(command, output) for command, output in found if self.language == "console"]


def comparable(output: str) -> str:
    """An output without what depends on the tools and on the machine: digests, sizes, and the width of columns."""
    output = re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", output)
    output = re.sub(r"\b[0-9.]+ [KMG]iB\b", "SIZE", output)
    return re.sub(r"[ *]+", " ", output)


def pattern(documented: str) -> str:
    """A regular expression for an output that a page shows. An ellipsis stands for any text."""
    return re.escape(comparable(documented.strip())).replace("…", r"[\s\S]*")


def blocks(*pages: str) -> list[Block]:
    """All blocks of some pages, or of all of them."""
    return [block for page in pages or PAGES for block in _of(page, (ROOT / page).read_text(encoding="utf-8"))]


def _of(page: str, text: str) -> Iterator[Block]:
    found = (FENCED if page.endswith(".md") else DIRECTIVE).findall(text)
    marks = re.findall(r"^ *```\w*$|(?:code-block|literalinclude)::|^(?!\.\. ).*::$", text, re.MULTILINE)
    assert len(marks) == len(found) * (2 if page.endswith(".md") else 1), (
        f"{page} has blocks that the tests do not find"
    )
    for language, content in found:
        if "/" in language:  # a file that is included
            included = (ROOT / page).parent / language
            language = "ini" if included.suffix == ".service" else "yaml"
            yield Block(page, language, f"# {included.name}\n{included.read_text(encoding='utf-8')}")
        else:
            yield Block(page, language, textwrap.dedent(content).lstrip("\n"))
