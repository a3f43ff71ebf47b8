# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument lists for skopeo, and what it prints. Pure.

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
    """The one command that writes an image: C(skopeo copy --format oci docker-archive:FILE docker://REFERENCE).

    Without C(--format oci) skopeo first tries Docker's manifest, which Zot refuses. C(--tmpdir) because it otherwise
    expands into /var/tmp, whatever TMPDIR says (https://github.com/containers/skopeo/issues/805).
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


def message(stderr: str) -> str:
    """The error of a run in skopeo's own words, without time and level; the last line where there is no such error."""
    found = _FATAL.findall(stderr)
    if found:
        # The text is quoted as Go quotes it; what matters are quotes and line ends.
        return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), found[-1])
    found = _TERMINAL_FATAL.findall(stderr)
    return found[-1].strip() if found else (stderr.strip().splitlines() or [""])[-1]
