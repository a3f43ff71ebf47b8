# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A vulnerability database for the scanner of Zot, and images in which the scanner finds its entries.

The database is a file of bbolt, as https://github.com/aquasecurity/trivy-db writes it. No package of Python writes this
format, but a database that is written once needs only a small part of it:
https://github.com/etcd-io/bbolt/tree/main/internal/common
"""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Union

from integration.support import tar_of

from environment.images import write_archive
from environment.registry import Registry

REPOSITORY = "trivy-db"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_PAGE = 4096
_CONFIG = "application/vnd.aquasec.trivy.config.v1+json"
_LAYER = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
_PLATFORM = "alpine 3.20"

Bucket = Mapping[str, Union["Bucket", bytes]]


@dataclass(frozen=True)
class Vulnerability:
    """An entry of the database. Without *fixed*, no version fixes it."""

    id: str
    severity: str
    package: str
    fixed: str = ""
    title: str = "a vulnerability of the tests"


# What the images of the tests have: critical with a fix, high without a fix, a low one, and one that nobody has rated.
CRITICAL = Vulnerability("CVE-2026-0001", "CRITICAL", "musl", "1.2.5-r9", "musl: <script>alert(1)</script> | **bold**")
HIGH = Vulnerability("CVE-2026-0002", "HIGH", "zlib")
LOW = Vulnerability("CVE-2026-0003", "LOW", "busybox", "1.36.1-r30")
UNRATED = Vulnerability("CVE-2026-0004", "UNKNOWN", "ssl_client", "1.36.1-r30")
DATABASE = (CRITICAL, HIGH, LOW, UNRATED)


def push_database(registry: Registry, *vulnerabilities: Vulnerability) -> None:
    """Push a database with these entries to the registry, from which its scanner then downloads it."""
    found: dict[str, Any] = {_PLATFORM: {}, "data-source": {}, "vulnerability": {}}
    found["data-source"][_PLATFORM] = _json({"ID": "alpine", "Name": "Alpine Secdb", "URL": "https://example.org"})
    for each in vulnerabilities:
        found[_PLATFORM].setdefault(each.package, {})[each.id] = _json({"FixedVersion": each.fixed})
        found["vulnerability"][each.id] = _json({"Title": each.title, "Severity": each.severity})
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = _json({"Version": 2, "NextUpdate": "2099-01-01T00:00:00Z", "UpdatedAt": now})
    layer = gzip.compress(tar_of({"trivy.db": bbolt(found), "metadata.json": metadata}))
    config = {"mediaType": _CONFIG, **put_blob(registry, REPOSITORY, b"{}")}
    title = {"org.opencontainers.image.title": "db.tar.gz"}
    content = {"mediaType": _LAYER, "annotations": title, **put_blob(registry, REPOSITORY, layer)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [content]}
    put_manifest(registry, REPOSITORY, "2", document)


def write_image(path: Path, packages: Mapping[str, str], *, architecture: str = "amd64") -> Path:
    """A docker archive of Alpine Linux with these packages in these versions."""
    installed = "".join(f"P:{name}\nV:{version}\nA:x86_64\no:{name}\n\n" for name, version in packages.items())
    release = {"etc/os-release": b"ID=alpine\nVERSION_ID=3.20.1\n", "etc/alpine-release": b"3.20.1\n"}
    write_archive(path, architecture, {**release, "lib/apk/db/installed": installed.encode()})
    return path


def bbolt(root: Bucket) -> bytes:
    """A database with these buckets: two meta pages, an empty list of free pages, and one leaf for each bucket."""
    pages = [b"", b"", _page(2, 0x10, 0, b"")]

    def add(bucket: Bucket) -> int:
        """Add the leaf of a bucket after the leaves of its buckets. Returns its number."""
        entries = []
        for key, value in sorted((key.encode(), value) for key, value in bucket.items()):
            is_bucket = not isinstance(value, bytes)
            data = struct.pack("<QQ", add(value), 0) if is_bucket else value
            entries.append((int(is_bucket), key, data))
        heads, bodies, position = b"", b"", 16 * len(entries)
        for number, (flags, key, data) in enumerate(entries):
            # The position counts from the head of the entry.
            heads += struct.pack("<IIII", flags, position - 16 * number, len(key), len(data))
            bodies += key + data
            position += len(key) + len(data)
        number = sum(len(page) for page in pages[2:]) // _PAGE + 2
        pages.append(_page(number, 0x02, len(entries), heads + bodies))
        return number

    top = add(root)
    end = sum(len(page) for page in pages[2:]) // _PAGE + 2
    for number in (0, 1):
        meta = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, _PAGE, 0, top, 0, 2, end, number)
        pages[number] = _page(number, 0x04, 0, meta + struct.pack("<Q", _fnv(meta)))
    return b"".join(pages)


def _page(number: int, flags: int, count: int, content: bytes) -> bytes:
    """A page, with as many overflow pages as its content needs."""
    size = -(-(16 + len(content)) // _PAGE)
    return (struct.pack("<QHHI", number, flags, count, size - 1) + content).ljust(size * _PAGE, b"\0")


def _fnv(data: bytes) -> int:
    """The checksum of a meta page: FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def put_blob(registry: Registry, repository: str, data: bytes) -> dict[str, Any]:
    """Push a blob. Returns the digest and the size for a manifest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    binary = {"Content-Type": "application/octet-stream"}
    with registry.session(registry.writer) as session:
        address = f"https://{registry.host}/v2/{repository}/blobs/uploads/"
        place = session.post(address, headers=binary, timeout=20).headers["Location"]
        url = f"https://{registry.host}{place}"
        answer = session.put(url, params={"digest": digest}, data=data, headers=binary, timeout=20)
    assert answer.status_code == 201, answer.text
    return {"digest": digest, "size": len(data)}


def put_manifest(registry: Registry, repository: str, name: str | None, document: Mapping[str, Any]) -> dict[str, Any]:
    """Push a manifest as a tag, or without a tag. Returns its descriptor for an index."""
    data = _json(document)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    kind = {"Content-Type": document["mediaType"]}
    with registry.session(registry.writer) as session:
        address = f"https://{registry.host}/v2/{repository}/manifests/{name or digest}"
        answer = session.put(address, data=data, headers=kind, timeout=20)
    assert answer.status_code == 201, answer.text
    return {"mediaType": document["mediaType"], "digest": digest, "size": len(data)}


def put_index(registry: Registry, repository: str, tag: str, members: Mapping[str, Mapping[str, Any]]) -> str:
    """Push an index of the members with these architectures. Returns its digest."""
    listed = [
        {**member, "platform": {"os": "linux", "architecture": architecture}}
        for architecture, member in members.items()
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    return str(put_manifest(registry, repository, tag, document)["digest"])


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
