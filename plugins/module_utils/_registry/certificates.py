# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that both tools trust, each of them once.

Private to killinit.zot: it may change at any time.

Go reads the system's bundle and then every file of the system's directories, which mostly hold the same certificates
again (https://go.dev/src/crypto/x509/root_unix.go). That is more than half of what a run of crane costs, so a task does
it once for all its runs.
"""

from __future__ import annotations

import os
import re
import typing as t

# https://go.dev/src/crypto/x509/root_linux.go
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_DIRECTORIES = "/etc/ssl/certs:/etc/pki/tls/certs"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


def further(environment: t.Mapping[str, str]) -> tuple[str | None, bytes]:
    """The bundle that Go reads in *environment*, and what is in its directories besides."""
    named = environment.get("SSL_CERT_FILE")
    bundle = next((path for path in ([named] if named else _BUNDLES) if _read(path)), None)
    known = set(_CERTIFICATE.findall(_read(bundle))) if bundle else set()
    more: dict[bytes, None] = {}
    for directory in (environment.get("SSL_CERT_DIR") or _DIRECTORIES).split(":"):
        for path in _files(directory):
            more.update(dict.fromkeys(each for each in _CERTIFICATE.findall(_read(path)) if each not in known))
    return bundle, b"\n".join([*more, b""])


def _files(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            # One that links to its neighbour, as the hashes of OpenSSL do, is read under its own name.
            return sorted(each.path for each in entries if not each.is_symlink() or "/" in os.readlink(each.path))
    except OSError:
        return []


def _read(path: str) -> bytes:
    # What cannot be read is left out, as Go does.
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
