# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The argument lists of crane, skopeo and cosign, their output and their error messages. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

_CRANE_ERROR = r"^Error: (.*)"
_CRANE_FALLBACK = r"; (?=(?:GET |Get \")http://)"
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_TERMINAL_FATAL = re.compile(r"^FATA\[[0-9]+\] (.*)$", re.MULTILINE)
_UNSIGNED = re.compile(r"no (?:matching )?(?:signatures|attestations)\b")
_COSIGN_ERROR = re.compile(r"^Error: (.*)", re.MULTILINE)


def crane(program: str, *arguments: str, insecure: bool) -> list[str]:
    """A command of crane."""
    return [program, *(["--insecure"] if insecure else []), *arguments]


def crane_append(program: str, manifests: t.Iterable[str], target: str, *, insecure: bool) -> list[str]:
    """Write an index of *manifests* under the tag *target*. Of several C(--tag) crane uses only the last."""
    members = [part for reference in manifests for part in ("--manifest", reference)]
    return crane(program, "index", "append", *members, "--tag", target, insecure=insecure)


def crane_lines(stdout: bytes) -> list[str]:
    """The lines of C(crane ls) or C(crane catalog), which follow the pages of the registry."""
    return stdout.decode(errors="replace").split("\n")[:-1]


def crane_message(stderr: str) -> str:
    """The error that crane printed, without its progress lines.

    After HTTPS failed, crane may try HTTP and print both errors. The second is the relevant one only if the registry
    answered the first request in plain HTTP.
    """
    found = re.search(_CRANE_ERROR, stderr, re.MULTILINE | re.DOTALL)
    https, *http = re.split(_CRANE_FALLBACK, found.group(1).strip() if found else _last_line(stderr), maxsplit=1)
    plain_http = http and "server gave HTTP response" in https and "proxyconnect" not in http[0]
    return http[0] if plain_http else https


def skopeo_push(
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


def skopeo_convert(program: str, *, layout: str, archive: str, tmpdir: str, policy: str | None) -> list[str]:
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


def skopeo_message(stderr: str) -> str:
    """The message of the fatal log entry, or else the last line."""
    found = _FATAL.findall(stderr)
    if found:
        # The message is a quoted Go string. Only quotes, line breaks and tabs need to be decoded.
        return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), found[-1])
    found = _TERMINAL_FATAL.findall(stderr)
    return found[-1].strip() if found else _last_line(stderr)


def cosign_verify(program: str, reference: str, *, key: str, insecure: bool, plain_http: bool) -> list[str]:
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


def cosign_message(stderr: str) -> str:
    """The error message of cosign, or else the last line."""
    found = _COSIGN_ERROR.findall(stderr)
    return found[0].strip() if found else _last_line(stderr)


def is_unsigned(stderr: str) -> bool:
    """Whether cosign found no valid signature. Other errors, for example of the network, do not prove that."""
    return bool(_UNSIGNED.search(stderr))


def _last_line(stderr: str) -> str:
    return (stderr.strip().splitlines() or [""])[-1]
