# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CA certificates that a task trusts, and the registries that it may use without TLS.

Private to killinit.zot: it may change at any time.

Go reads the bundle of the system and then every file in the directories of the system, which hold mostly the same
certificates (https://go.dev/src/crypto/x509/root_unix.go). Parsing them twice is about half of the CPU time of a run of
crane (26 ms of CPU time instead of 13 on a host with 147 certificates), so a task removes the duplicates once, in 3 ms,
for all its runs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options, settable

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


class Trust:
    """The CA certificates of one registry: those of the system, which the tools find themselves, and *ca_path*."""

    def __init__(self, options: Options, environment: t.Mapping[str, str]) -> None:
        """*environment* is that of the tools. Raises ZotError if *ca_path* cannot be read or has no certificate."""
        self.own = _certificates(options.ca_path, options.name_of("ca_path")) if options.ca_path else b""
        self._bundle, self._extra = _extra_certificates(environment)

    def write(self, directory: str) -> dict[str, str]:
        """Write the certificates that are not in the bundle of the system. Return the variables for the tools."""
        for name, content in (("system.crt", self._extra), ("ca.crt", self.own)):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content)
        return {"SSL_CERT_DIR": directory, **({"SSL_CERT_FILE": self._bundle} if self._bundle else {})}

    def whole(self) -> bytes:
        """All certificates, for libraries that read only one file."""
        return b"\n".join([_read(self._bundle or ""), self._extra, self.own])


def _certificates(ca_path: str, option: str) -> bytes:
    hint = f"Set {settable('ca_path', option)} to a PEM file."
    try:
        with open(ca_path, "rb") as file:
            certificates = file.read()
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise ZotError("invalid_option", f"ca_path {ca_path} cannot be read: {reason}", hint=hint) from error
    if b"-----BEGIN CERTIFICATE-----" not in certificates:
        raise ZotError("invalid_option", f"ca_path {ca_path} has no certificate", hint=hint)
    return certificates


def _extra_certificates(environment: t.Mapping[str, str]) -> tuple[str | None, bytes]:
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


def without_plain_http(environment: t.Mapping[str, str], registry: str) -> dict[str, str]:
    """An environment in which crane cannot use plain HTTP for *registry*. Loopback is not affected.

    Without an option, crane falls back to HTTP for private addresses and, before 0.21.6, for *.local, and sends the
    credentials (https://github.com/google/go-containerregistry/blob/main/pkg/name/registry.go). An unreachable proxy
    for HTTP prevents that.
    """
    result = dict(environment)
    host = _host(registry)
    if host.endswith(".local") or _is_private(host):
        import urllib.request  # imported only here: the import takes 5 % of the start of a module

        if urllib.request.proxy_bypass(host):
            for name in ("HTTPS_PROXY", "https_proxy"):
                result.pop(name, None)
        result.update(dict.fromkeys(("NO_PROXY", "no_proxy"), ""))
        result.update(dict.fromkeys(("HTTP_PROXY", "http_proxy"), "http://127.0.0.1:1"))
    return result


def is_loopback(registry: str) -> bool:
    """Whether *registry* is on this machine, where plain HTTP is safe."""
    host = _host(registry).strip("[]")
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _host(registry: str) -> str:
    return re.sub(r":[0-9]+$", "", registry)


def _is_private(host: str) -> bool:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.is_private and not address.is_loopback
    return False
