# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument lists of skopeo, and its error messages. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re

_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_TERMINAL_FATAL = re.compile(r"^FATA\[[0-9]+\] (.*)$", re.MULTILINE)


def copy(
    program: str,
    *,
    archive: str,
    index: int | None,
    destination: str,
    authfile: str,
    digestfile: str,
    tmpdir: str,
    policy: str | None,
    verify_tls: bool,
) -> list[str]:
    """The only command that writes an image: C(skopeo copy --format oci docker-archive:FILE docker://REFERENCE).

    Without C(--format oci) skopeo first sends a Docker manifest, which Zot rejects. Without C(--tmpdir) it expands
    archives in /var/tmp and ignores TMPDIR (https://github.com/containers/skopeo/issues/805).
    """
    return [
        program,
        f"--tmpdir={tmpdir}",
        *([f"--policy={policy}"] if policy else []),
        "copy",
        "--quiet",
        "--format=oci",
        f"--authfile={authfile}",
        f"--digestfile={digestfile}",
        *([] if verify_tls else ["--dest-tls-verify=false"]),
        f"docker-archive:{archive}" + ("" if index is None else f":@{index}"),
        f"docker://{destination}",
    ]


def convert(program: str, *, layout: str, archive: str, tmpdir: str, policy: str | None) -> list[str]:
    """Convert an OCI layout of one image to a docker archive. It reads and writes files only."""
    return [
        program,
        f"--tmpdir={tmpdir}",
        *([f"--policy={policy}"] if policy else []),
        "copy",
        "--quiet",
        f"oci:{layout}",
        f"docker-archive:{archive}",
    ]


def message(stderr: str) -> str:
    """The message of the fatal log entry, or else the last line."""
    found = _FATAL.findall(stderr)
    if found:
        # The message is a quoted Go string. Only quotes, line breaks and tabs need to be decoded.
        return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), found[-1])
    found = _TERMINAL_FATAL.findall(stderr)
    return found[-1].strip() if found else (stderr.strip().splitlines() or [""])[-1]
