# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Examples quote revisions: about one abbreviated hash in a thousand is a number to YAML."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.tests.unit import api_server

ROOT = Path(api_server.__file__ or "").parents[2]
PAGES = ("*.md", "docs/**/*.rst", "docs/examples/*.yml", "roles/*/README.md", "playbooks/**/*.yml")
FILES = sorted(path for pattern in (*PAGES, "plugins/modules/*.py") for path in ROOT.glob(pattern))
# A plain scalar of YAML, with the digits of a hash and at least one letter: a value, or an item of a list.
UNQUOTED = re.compile(
    r"(?:^ *(?:- )?[a-z_]+: |^ *- |\[|\[.*, )(?=[0-9]*[a-f])([0-9a-f]{7}(?:-\w+)?)(?= *$|,|\])", re.MULTILINE
)


def test_the_pattern_finds_them() -> None:
    text = "tag: 3f2c1ab\n  - 3f2c1ab-amd64\n tags: [3f2c1ab, latest]\n m: [a, 3f2c1ab]\nx: '3f2c1ab'\n size: 1287304\n"
    assert UNQUOTED.findall(text) == ["3f2c1ab", "3f2c1ab-amd64", "3f2c1ab", "3f2c1ab"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_revisions_are_quoted(path: Path) -> None:
    assert UNQUOTED.findall(path.read_text(encoding="utf-8")) == []
