# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument lists of crane, its output and its error messages. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

# Compiled when they are needed: most tasks have no error.
_ERROR = r"^Error: (.*)"
_FALLBACK = r"; (?=(?:GET |Get \")http://)"


def manifest(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Print the manifest, byte by byte as stored in the registry."""
    return _command(program, insecure, "manifest", reference)


def blob(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Print the blob of a digest, byte by byte. Unlike C(crane config) this does not request the manifest first."""
    return _command(program, insecure, "blob", reference)


def digest(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Print the digest."""
    return _command(program, insecure, "digest", reference)


def tags(program: str, repository: str, *, insecure: bool) -> list[str]:
    """Print all tags of a repository, one per line. crane follows the pagination."""
    return _command(program, insecure, "ls", repository)


def catalog(program: str, registry: str, *, insecure: bool) -> list[str]:
    """Print all repositories that the user may read, one per line. crane follows the pagination."""
    return _command(program, insecure, "catalog", registry)


def tag(program: str, reference: str, new: str, *, insecure: bool) -> list[str]:
    """Add the tag *new* to the image of *reference*."""
    return _command(program, insecure, "tag", reference, new)


def delete(program: str, reference: str, *, insecure: bool) -> list[str]:
    """Remove a tag. For a reference by digest the registry removes all tags of the digest."""
    return _command(program, insecure, "delete", reference)


def copy(program: str, source: str, target: str, *, insecure: bool) -> list[str]:
    """Copy a manifest, or an index with all its members, byte by byte. Blobs that *target* has are not sent."""
    return _command(program, insecure, "copy", source, target)


def pull(program: str, reference: str, layout: str, *, insecure: bool) -> list[str]:
    """Write a manifest, or an index with all its members, into a new OCI layout."""
    return _command(program, insecure, "pull", "--format=oci", reference, layout)


def push(program: str, layout: str, reference: str, *, insecure: bool) -> list[str]:
    """Copy the only entry of an OCI layout. With C(--index) crane would push its C(index.json) instead."""
    return _command(program, insecure, "push", layout, reference)


def append(program: str, manifests: t.Iterable[str], target: str, *, insecure: bool) -> list[str]:
    """Write an index of *manifests* under the tag *target*. Of several C(--tag) crane uses only the last."""
    members = [part for reference in manifests for part in ("--manifest", reference)]
    return _command(program, insecure, "index", "append", *members, "--tag", target)


def parse_lines(stdout: bytes) -> list[str]:
    """The lines of C(crane ls) or C(crane catalog)."""
    return stdout.decode(errors="replace").split("\n")[:-1]


def message(stderr: str) -> str:
    """The error that crane printed, without its progress lines.

    After HTTPS failed, crane may try HTTP and print both errors. The second is the relevant one only if the registry
    answered the first request in plain HTTP.
    """
    found = re.search(_ERROR, stderr, re.MULTILINE | re.DOTALL)
    text = found.group(1).strip() if found else (stderr.strip().splitlines() or [""])[-1]
    https, *http = re.split(_FALLBACK, text, maxsplit=1)
    plain_http = http and "server gave HTTP response" in https and "proxyconnect" not in http[0]
    return http[0] if plain_http else https


def _command(program: str, insecure: bool, *arguments: str) -> list[str]:
    return [program, *(["--insecure"] if insecure else []), *arguments]
