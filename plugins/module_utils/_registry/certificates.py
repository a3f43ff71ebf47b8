# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CA certificates that both tools trust, without duplicates.

Private to killinit.zot: it may change at any time.

Go reads the bundle of the system and then every file in the directories of the system, which hold mostly the same
certificates (https://go.dev/src/crypto/x509/root_unix.go). Parsing them twice is about half of the CPU time of a run of
crane, so a task removes the duplicates once for all its runs.
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


def extra_certificates(environment: t.Mapping[str, str]) -> tuple[str | None, bytes]:
    """The bundle that Go reads in *environment*, and the certificates that only its directories have."""
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
            # Skip the hash symlinks of OpenSSL: they point to files in the same directory.
            return sorted(each.path for each in entries if not each.is_symlink() or "/" in os.readlink(each.path))
    except OSError:
        return []


def _read(path: str) -> bytes:
    # Like Go, skip files that cannot be read.
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
