# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the tags that belong to a revision: the tag of a build, and those of its single architectures.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

# https://go.dev/doc/install/source#environment
_ARCHITECTURE = re.compile(
    r"-(?:(?:darwin|freebsd|windows)-)?(?:386|amd64|arm|arm64|loong64|mips\w*|ppc64(?:le)?|riscv64|s390x)(?:-?v\d+)?\Z"
)


class RevisionTags:
    """Distinguishes the tags of revisions from shared tags, for example C(latest)."""

    def __init__(self, pattern: str) -> None:
        """*pattern* is a regular expression for the whole tag of a revision. Raises ZotError for an invalid one."""
        self._pattern = compiled("revisions", pattern)

    def revision_of(self, tag: str) -> str | None:
        """The revision that a tag belongs to; None for a shared tag."""
        if self._pattern.fullmatch(tag):
            return tag
        found = _ARCHITECTURE.search(tag)
        revision = tag[: found.start()] if found else ""
        return revision if self._pattern.fullmatch(revision) and revision else None


def compiled(option: str, pattern: str) -> re.Pattern[str]:
    """The regular expression of an option. Raises ZotError for an invalid one."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ZotError("invalid_option", f"{option}: {pattern!r} is not a regular expression: {error}") from error
