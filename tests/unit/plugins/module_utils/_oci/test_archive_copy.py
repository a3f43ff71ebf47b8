# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci import archive_file
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import InvalidArchiveError


def zstd(data: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data)  # type: ignore[no-any-return]


COMPRESSORS: dict[str, t.Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


def archive(path: Path, layer: bytes, *, compressed: bool = False) -> OpenArchive:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [hashlib.sha256(layer).hexdigest()]}}
    manifest = [{"Config": "c.json", "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w:gz" if compressed else "w") as tar:
        for name, content in (
            ("layer.tar", layer),
            ("c.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return OpenArchive(str(path))


def check(opened: OpenArchive, expanded: Path | None = None) -> None:
    opened.check_layers(opened.read(None, None), str(expanded) if expanded else None)


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
def test_layers_that_are_compressed(tmp_path: Path, compress: t.Callable[[bytes], bytes]) -> None:
    check(archive(tmp_path / "app.tar", compress(b"layer" * 1000)))
    opened = archive(tmp_path / "app.tar.gz", compress(b"layer" * 1000), compressed=True)
    opened.expand(str(tmp_path / "expanded"))
    check(opened, tmp_path / "expanded")


def test_layer_that_is_not_compressed(tmp_path: Path) -> None:
    check(archive(tmp_path / "app.tar", b"layer" * 1000))


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
def test_layer_that_is_damaged(tmp_path: Path, compress: t.Callable[[bytes], bytes]) -> None:
    raw = bytearray(compress(b"layer" * 1000))
    raw[len(raw) // 2] ^= 0xFF
    with pytest.raises(InvalidArchiveError, match=r"the layer 'layer\.tar' is invalid: "):
        check(archive(tmp_path / "app.tar", bytes(raw)))


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
def test_layer_that_grows_without_bound(
    tmp_path: Path, compress: t.Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end can declare a small size: several compressed files follow one another."""
    monkeypatch.setattr(archive_file, "ALWAYS_ALLOWED", 1 << 20)
    with pytest.raises(InvalidArchiveError, match="expands to more than 200 times its size"):
        check(archive(tmp_path / "app.tar", compress(bytes(1 << 23)) + compress(b"end")))


def test_file_that_was_written_to(tmp_path: Path) -> None:
    opened = archive(tmp_path / "app.tar", b"layer")
    found = opened.read(None, None)
    (tmp_path / "app.tar").rename(tmp_path / "other.tar")
    opened.require_unchanged(found)
    with (tmp_path / "other.tar").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InvalidArchiveError, match="was changed after it was read"):
        opened.require_unchanged(found)


def test_file_that_was_replaced(tmp_path: Path) -> None:
    """Between two times at which it is opened."""
    found = archive(tmp_path / "app.tar", b"layer").read(None, None)
    archive(tmp_path / "new.tar", b"other")
    (tmp_path / "new.tar").rename(tmp_path / "app.tar")
    with pytest.raises(InvalidArchiveError, match="was changed after it was read"):
        OpenArchive(str(tmp_path / "app.tar")).require_unchanged(found)


def test_declared_size_of_a_layer(tmp_path: Path, write_oci: t.Any, docker_config: t.Any) -> None:
    """The disk is checked before the layer is decompressed."""
    layer = gzip.compress(bytes(5_000_000))
    opened = OpenArchive(str(write_oci(tmp_path / "app.tar", [docker_config()], layer=layer)))
    assert opened.converted_size(opened.read(None, None)) > 10_000_000
