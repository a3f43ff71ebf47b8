# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives made to do harm: refused with a message, or pushed as what they are, and nothing else happens."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from integration.support import Module, tar_of

GIB = 1 << 30


def _add(tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    tar.addfile(member, io.BytesIO(content))


LAYER = tar_of({"text": b"one\n"})
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Labels": {"name": "demo"}},
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(LAYER).hexdigest()}"]},
}


class Archive:
    """A good archive, of which the cases change one thing each."""

    def __init__(self) -> None:
        self.config: bytes = json.dumps(CONFIG).encode()
        self.image: dict[str, Any] = {"Config": "c.json", "RepoTags": ["demo:1"], "Layers": ["layer.tar"]}
        self.manifest: bytes | None = None
        # Further members, written first; one that has the name of another hides it.
        self.first: list[tuple[Any, ...]] = []

    def raw(self) -> bytes:
        """The file."""
        buffer = io.BytesIO()
        manifest = json.dumps([self.image]).encode() if self.manifest is None else self.manifest
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for member in self.first:
                _add(tar, *member)
            for name, content in (("layer.tar", LAYER), ("c.json", self.config), ("manifest.json", manifest)):
                if name not in [first[0] for first in self.first]:
                    _add(tar, name, content)
        return buffer.getvalue()


def _with(*first: tuple[Any, ...], **changes: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        archive = Archive()
        archive.first += first
        archive.image |= {name: value for name, value in changes.items() if name.istitle() or name == "RepoTags"}
        for name in changes.keys() & {"config", "manifest"}:
            setattr(archive, name, changes[name])
        path.write_bytes(archive.raw())

    return write


def _hole(path: Path) -> None:
    """A member of 4 GiB of nothing but a hole, which costs no disk, before a good archive."""
    member = tarfile.TarInfo("hole")
    member.size = 4 * GIB
    with path.open("wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.seek(member.size, os.SEEK_CUR)
        file.write(Archive().raw())


def _bomb(path: Path) -> None:
    """384 MiB of zeros as a layer; gzip lets outputs be joined."""
    member = tarfile.TarInfo("layer.tar")
    member.size = GIB * 3 // 8
    parts = (member.tobuf(tarfile.GNU_FORMAT), bytes(GIB // 64), Archive().raw())
    start, block, end = map(gzip.compress, parts)
    path.write_bytes(start + block * 24 + end)


def _xz_of_much_memory(path: Path) -> None:
    """Its header asks for a dictionary of 4 GiB: https://tukaani.org/xz/xz-file-format.txt, 3.1 and 5.3.1."""
    raw = bytearray(lzma.compress(Archive().raw()))
    end = 12 + (raw[12] + 1) * 4 - 4
    assert raw[14:16] == b"\x21\x01"
    raw[16] = 40
    raw[end : end + 4] = zlib.crc32(raw[12:end]).to_bytes(4, "little")
    path.write_bytes(raw)


def _zstd_of_much_memory(path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path.write_bytes(compressor.compress(Archive().raw()) + compressor.flush())


def _sparse(path: Path) -> None:
    """A member in GNU's old format for files with holes: three numbers more in the header."""
    header = bytearray(tarfile.TarInfo("hole").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"%011o\0" % (8 * GIB - 1)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + Archive().raw())


ESCAPES = "\x1b[2J\x1b[31m\nok: [localhost]\u202e"
OTHER = json.dumps({**CONFIG, "author": "somebody else"}).encode()
LISTED = json.dumps([{"Config": "c.json", "RepoTags": [f"demo:{ESCAPES}"], "Layers": ["layer.tar"]}] * 2).encode()
DEEP = b'{"a":' * 65 + b"0" + b"}" * 65

# By name: what writes it, and the words in the message that refuses it.
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "config upwards": (_with(Config="../../../../etc/passwd"), "has no JSON member"),
    "config absolute": (_with(Config="/etc/passwd"), "has no JSON member"),
    "config is a link": (_with(("c.json", b"", tarfile.SYMTYPE, "/etc/passwd")), "has no JSON member"),
    "config is a hard link": (_with(("c.json", b"", tarfile.LNKTYPE, "/etc/passwd")), "has no JSON member"),
    "config is a device": (_with(("c.json", b"", tarfile.CHRTYPE)), "has no JSON member"),
    "config with escapes": (_with(Config=f"{ESCAPES}.json"), r"\x1b[2J"),
    "manifest is a link": (_with(("manifest.json", b"", tarfile.SYMTYPE, "/etc/passwd")), "index.json are missing"),
    "layer upwards": (_with(Layers=["../../../../etc/passwd"]), "layer"),
    "layer absolute": (_with(Layers=["/etc/passwd"]), "layer"),
    "layer is a link": (_with(("layer.tar", b"", tarfile.SYMTYPE, "/etc/passwd")), "which is missing"),
    "layer is a link to itself": (_with(("layer.tar", b"", tarfile.SYMTYPE, "layer.tar")), "not a regular file"),
    "deep config": (_with(config=b'{"a":' * 100_000), "not valid JSON"),
    "config too deep to be printed": (_with(config=DEEP), "more than 64 levels"),
    "tags with escapes": (_with(manifest=LISTED), r"\x1b[2J\x1b[31m"),
    "bomb of gzip": (_bomb, "expands to more than 200 times its size"),
    "zstd of much memory": (_zstd_of_much_memory, "too much memory"),
}
# By name: what writes it. It is pushed as the good archive that it also is.
HARMLESS: dict[str, Callable[[Path], None]] = {
    "member upwards": _with(("../outside", b"x"), ("a/../../outside", b"x")),
    "member absolute": _with(("/tmp/zot-hostile-outside", b"x")),
    "link upwards": _with(("outside", b"", tarfile.SYMTYPE, "../../outside"), ("outside/x", b"x")),
    "link absolute": _with(("passwd", b"", tarfile.SYMTYPE, "/etc/passwd"), ("passwd", b"x")),
    "hard link": _with(("passwd", b"", tarfile.LNKTYPE, "/etc/passwd")),
    "devices": _with(("tty", b"", tarfile.CHRTYPE), ("disk", b"", tarfile.BLKTYPE), ("fifo", b"", tarfile.FIFOTYPE)),
    "escapes in a name": _with((ESCAPES, b"x"), (f"{ESCAPES}.json", b"{}")),
    "escapes in the tags": _with(RepoTags=[ESCAPES, "--help", "a b"]),
    "empty name": _with(("", b"x"), (".", b"x"), ("/", b"x")),
    "hole of 4 GiB": _hole,
    "sparse member of 8 GiB": _sparse,
    "config twice": _with(("c.json", json.dumps(CONFIG).encode()), ("c.json", OTHER)),
    "config twice in two spellings": _with(("./c.json", json.dumps(CONFIG).encode()), ("c.json", OTHER)),
    "manifest twice": _with(
        ("manifest.json", json.dumps([Archive().image]).encode()), ("manifest.json", b"[]"), ("other", b"x")
    ),
    "xz of much memory": _xz_of_much_memory,
    "labels with escapes and half a pair": _with(
        config=json.dumps({**CONFIG, "config": {"Labels": {ESCAPES: "\ud800", "password": "hunter2"}}}).encode()
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path, repository: str, module: Module) -> None:
    """In bounded time; nothing is pushed, and nothing that a terminal obeys is in the message."""
    path = tmp_path / "archive"
    write, expected = REFUSED[name]
    write(path)
    started = os.times()
    result = module("zot_push", archive=str(path), repository=repository, tags=["1"])
    # Of CPU, with that of the tools: the time of the clock also passes while other processes run.
    assert sum(os.times()[:4]) - sum(started[:4]) < 30
    assert (result["failed"], result["error_class"], result["changed"]) == (True, "archive_invalid", False), result
    assert expected in result["msg"]
    assert result["msg"].isprintable()
    assert "root:" not in json.dumps(result)
    assert module("zot_image_info", images=[f"{repository}:1"])["images"][0]["exists"] is False
    assert [each.name for each in tmp_path.iterdir() if each.name != "tmp"] == ["archive"]


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str, tmp_path: Path, repository: str, module: Module) -> None:
    """Only the files that the manifest names are read, as skopeo does; otherwise the image would be pushed again."""
    path = tmp_path / "sub" / "archive"
    path.parent.mkdir()
    HARMLESS[name](path)
    options = {"archive": str(path), "repository": repository, "tags": ["1"], "platform": "linux/amd64"}
    result = module("zot_push", **options)
    assert (result["failed"], result["changed"]) == (False, True), result
    assert module("zot_push", **options)["changed"] is False
    there = module("zot_image_info", images=[f"{repository}:1"])["images"][0]
    assert there["config"]["rootfs"] == CONFIG["rootfs"]
    assert there["config"].get("author") is None
    assert not [*tmp_path.rglob("outside"), *Path("/tmp").glob("zot-hostile-outside")]
