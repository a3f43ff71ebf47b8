# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument lists for crane, and what it prints. Pure.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

_ERROR = re.compile(r"^Error: (.*)", re.MULTILINE | re.DOTALL)
_FALLBACK = re.compile(r"; (?=(?:GET |Get \")http://)")


def manifest(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Print the manifest, byte for byte as the registry has it."""
    return _command(program, insecure, "manifest", reference)


def blob(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Print the blob of a digest, byte for byte; unlike C(crane config) it does not ask for a manifest first."""
    return _command(program, insecure, "blob", reference)


def digest(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Print the digest."""
    return _command(program, insecure, "digest", reference)


def tags(program: str, repository: str, *, insecure: bool) -> list[str]:
    """Print the tags of a repository, one a line, whatever the number of pages."""
    return _command(program, insecure, "ls", repository)


def catalog(program: str, registry: str, *, insecure: bool) -> list[str]:
    """Print the repositories of a registry that the account may see, one a line, whatever the number of pages."""
    return _command(program, insecure, "catalog", registry)


def tag(program: str, reference: str, new: str, *, insecure: bool) -> list[str]:
    """Give what *reference* means the further tag *new*."""
    return _command(program, insecure, "tag", reference, new)


def append(program: str, manifests: t.Iterable[str], target: str, *, insecure: bool) -> list[str]:
    """Write a new index of *manifests* under the one tag *target*; of several C(--tag) crane keeps only the last."""
    members = [part for reference in manifests for part in ("--manifest", reference)]
    return _command(program, insecure, "index", "append", *members, "--tag", target)


def parse_lines(stdout: bytes) -> list[str]:
    """What C(crane ls) or C(crane catalog) printed."""
    return stdout.decode(errors="replace").split("\n")[:-1]


def message(stderr: str) -> str:
    """The error of a run in crane's own words, without the lines it prints on its way.

    Where crane tried HTTPS and then HTTP it shows both errors; the second one counts only if HTTP is spoken there.
    """
    found = _ERROR.search(stderr)
    text = found.group(1).strip() if found else (stderr.strip().splitlines() or [""])[-1]
    https, *http = _FALLBACK.split(text, maxsplit=1)
    spoken = http and "server gave HTTP response" in https and "proxyconnect" not in http[0]
    return http[0] if spoken else https


def _command(program: str, insecure: bool, *arguments: str) -> list[str]:
    return [program, *(["--insecure"] if insecure else []), *arguments]
