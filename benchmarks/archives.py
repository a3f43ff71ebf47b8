# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the archives that the benchmark pushes: of any size, with layers of which half can be compressed, or sparse."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MB, GIB = 10**6, 2**30
_BLOCK = 2**20


def archive(path: Path, *, layers: int, size: int, sparse: bool = False) -> Path:
    """A docker archive of *layers* layers of *size* bytes each, made if it is not there; its name is its seed.

    Half of each layer is random, half compresses to about a half; a *sparse* one holds zeros, and takes no room.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    generator = random.Random(path.name)
    with unfinished.open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        digests = [_layer(tar, f"{number}/layer.tar", size, None if sparse else generator) for number in range(layers)]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/"], "Cmd": ["/program"], "Labels": {"org.example.archive": path.stem}},
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [
                {"created": "2026-01-01T00:00:00Z", "created_by": f"layer {number}"} for number in range(layers)
            ],
        }
        _document(tar, "config.json", config)
        names = [f"{number}/layer.tar" for number in range(layers)]
        _document(tar, "manifest.json", [{"Config": "config.json", "RepoTags": ["bench:one"], "Layers": names}])
    return unfinished.rename(path)


def configuration(path: Path) -> dict[str, Any]:
    """The configuration in an archive that archive() made."""
    with tarfile.open(path) as tar:
        file = tar.extractfile("config.json")
        assert file is not None
        document: dict[str, Any] = json.load(file)
        return document


def _layer(tar: tarfile.TarFile, name: str, size: int, generator: random.Random | None) -> str:
    """Write one layer, itself a tar of one file; return its digest."""
    inner = tarfile.TarInfo(f"data-{name.partition('/')[0]}")
    inner.size = size
    start = inner.tobuf(tarfile.GNU_FORMAT)
    end = bytes(-size % 512 + 2 * 512)
    outer = tarfile.TarInfo(name)
    outer.size = len(start) + size + len(end)
    file = tar.fileobj
    assert file is not None
    file.write(outer.tobuf(tarfile.GNU_FORMAT))
    digest = hashlib.sha256(start)
    file.write(start)
    for block in _content(size, generator):
        digest.update(block)
        if generator:
            file.write(block)
        else:
            file.seek(file.tell() + len(block))
    digest.update(end)
    rest = end + bytes(-outer.size % 512)
    file.write(rest)
    tar.offset = file.tell()
    return f"sha256:{digest.hexdigest()}"


def _content(size: int, generator: random.Random | None) -> Iterator[bytes]:
    zeros = bytes(_BLOCK)
    for start in range(0, size, _BLOCK):
        length = min(_BLOCK, size - start)
        if generator is None:
            block = zeros
        else:
            half = generator.randbytes(_BLOCK // 2)
            block = half + generator.randbytes(_BLOCK // 4).hex().encode()
        yield block[:length]


def _document(tar: tarfile.TarFile, name: str, document: Any) -> None:
    raw = json.dumps(document).encode()
    member = tarfile.TarInfo(name)
    member.size = len(raw)
    tar.addfile(member, io.BytesIO(raw))
