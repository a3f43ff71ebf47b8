# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command of cosign, and its error messages. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re

_REFUSED = re.compile(r"no (?:matching )?(?:signatures|attestations)\b")
_ERROR = re.compile(r"^Error: (.*)", re.MULTILINE)


def verify(program: str, reference: str, *, key: str, insecure: bool, plain_http: bool) -> list[str]:
    """Verify that a signature of *reference* was made with the private key of the public *key*.

    The transparency log is not used: a signature with a key does not need it, and a closed network cannot reach it.
    https://github.com/sigstore/cosign/blob/main/doc/cosign_verify.md
    """
    return [
        program,
        "verify",
        f"--key={key}",
        "--insecure-ignore-tlog=true",
        *(["--allow-insecure-registry"] if insecure else []),
        *(["--allow-http-registry"] if plain_http else []),
        reference,
    ]


def message(stderr: str) -> str:
    """The error message of cosign; the last line of the output if it has none."""
    found = _ERROR.findall(stderr)
    return found[0].strip() if found else (stderr.strip().splitlines() or [""])[-1]


def is_refused(stderr: str) -> bool:
    """Whether the image has no valid signature. Other errors, for example of the network, do not prove that."""
    return bool(_REFUSED.search(stderr))
