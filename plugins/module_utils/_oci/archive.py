# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a docker archive: its manifest.json and a configuration, never its layers.

Private to killinit.zot: it may change at any time.

The format has no specification. The code of skopeo defines which archives are valid:
https://github.com/containers/image/tree/main/docker/internal/tarfile.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import os
import posixpath
import tarfile
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError, json_object

# manifest.json and configurations are much smaller. A registry may reject manifests above 4 MiB, too.
_DOCUMENT_LIMIT = 4 * 1024 * 1024
# The limit for all documents of one archive: docker save writes one for each layer.
_DOCUMENTS_LIMIT = 64 * 1024 * 1024
# The headers of one member, with long names, and of all members: 65,536 members have 32 MiB of headers.
_HEADER_LIMIT = 1024 * 1024
_HEADERS_LIMIT = 32 * 1024 * 1024
# Images compress to a third or a tenth. A file that exceeds both limits would only fill memory and disk.
_GROWTH_LIMIT, _ALWAYS_ALLOWED = 200, 256 * 1024 * 1024
_PIECE = 1024 * 1024

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class InvalidArchiveError(ValueError):
    """The file is not a docker archive, or cannot be pushed. The message names the reason and the member."""


class MissingLibraryError(RuntimeError):
    """The library for the compression of the archive is not installed. The message is its name."""


@dataclass(frozen=True)
class Archive:
    """One image of an archive. *index* is its position in manifest.json, *count* the number of images there."""

    path: str
    compression: str
    config: t.Mapping[str, t.Any]
    index: int
    count: int


def read(path: str, select: str | None = None) -> Archive:
    """Read the only image of the archive, or the image that *select* names by a reference or by its index from 0.

    In an uncompressed archive it seeks from header to header, so the time does not depend on the size. A compressed
    archive is read to its end. Raises InvalidArchiveError and MissingLibraryError.
    """
    compression = _compression(path)
    documents = _documents(path, compression)
    if "manifest.json" not in documents:
        if "index.json" in documents:
            raise InvalidArchiveError(
                f"{path} is an OCI archive: it has index.json, but no manifest.json. Convert it with"
                f" 'skopeo copy oci-archive:{path} docker-archive:FILE'"
            )
        raise InvalidArchiveError(f"{path} is not a docker archive: the member manifest.json is missing")
    images = _images(path, documents["manifest.json"])
    index = _select(path, images, select)
    name = images[index]["Config"]
    if posixpath.normpath(name) not in documents:
        raise InvalidArchiveError(
            f"{path} has no JSON member {name!r}, which its manifest.json names as the configuration"
        )
    try:
        config = json_object(documents[posixpath.normpath(name)], f"the member {name!r} of {path}")
    except InvalidImageError as error:
        raise InvalidArchiveError(str(error)) from error
    return Archive(path, compression, config, index, len(images))


def layers(path: str, index: int) -> list[tuple[int, int]]:
    """The start and the end of each layer of one image in an uncompressed archive, in order, without duplicates.

    Raises InvalidArchiveError.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            members = {posixpath.normpath(member.name): member for member in tar}
            manifest = tar.extractfile(members["manifest.json"])
            images = _images(path, manifest.read() if manifest else b"")
        found = []
        for name in images[index]["Layers"]:
            member = members[posixpath.normpath(name)]
            if member.issym():  # docker save writes a layer that two images share once
                member = members[posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))]
            found.append((member.offset_data, member.offset_data + member.size))
    except (tarfile.TarError, OSError, LookupError, TypeError) as error:
        raise InvalidArchiveError(f"the layers of {path} cannot be located: {error}") from error
    return list(dict.fromkeys(found))


def expand(archive: Archive, target: str) -> None:
    """Decompress the archive to *target*.

    skopeo 1.9.3 (Debian 12) cannot read a docker archive that is compressed with gzip, and decompresses other formats
    once for each tag. Raises OSError if *target* cannot be written, and InvalidArchiveError.
    """
    try:
        with _open(archive.path, archive.compression) as source, open(target, "xb") as expanded:
            while piece := source.piece():
                expanded.write(piece)
        # zstandard does not report a truncated file.
        _documents(target, "")
    except (EOFError, InvalidArchiveError) as error:
        raise InvalidArchiveError(f"{archive.path} is truncated or damaged: {error}") from error


def _compression(path: str) -> str:
    if os.path.isdir(path):
        raise InvalidArchiveError(f"{path} is a directory, not an archive")
    try:
        with open(path, "rb") as file:
            start = file.read(6)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidArchiveError(f"{path} cannot be read: {reason}") from error
    if not start:
        raise InvalidArchiveError(f"{path} is empty")
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


class _Stream:
    """The uncompressed bytes of an archive, forward only. Raises EOFError for a damaged file, never OSError.

    tarfile trusts the headers, for example the length of a name and the number of pieces of a sparse file. This class
    limits the bytes that tarfile can read to the size of valid headers and documents.
    """

    def __init__(self, file: t.Any, longest: float) -> None:
        """*longest* is the limit of the uncompressed size."""
        self._file = file
        self._longest = longest
        self._seeks = longest == math.inf
        self._position = self._read = 0
        self.allow(_HEADER_LIMIT)

    def allow(self, size: int) -> None:
        """Allow tarfile to read *size* bytes before the next member."""
        self._allowed = size

    def read(self, size: int) -> bytes:
        """The interface of tarfile: return the next *size* bytes."""
        self._allowed -= size
        self._read += size
        if self._allowed < 0 or self._read > _HEADERS_LIMIT + _DOCUMENTS_LIMIT:
            raise EOFError("its headers exceed the limit")
        return self.piece(size)

    def piece(self, size: int = _PIECE) -> bytes:
        """The next bytes, empty at the end."""
        try:
            data: bytes = self._file.read(size)
        except EOFError:
            raise
        except Exception as error:  # each decompressor has its own exceptions, two of them OSError
            raise EOFError(str(error)) from error
        self._position += len(data)
        if self._position > self._longest:
            raise EOFError(
                f"it expands to more than {_GROWTH_LIMIT} times its size. Give it uncompressed if that is intended"
            )
        return data

    def tell(self) -> int:
        """The interface of tarfile: the current position."""
        return self._position

    def seek(self, position: int) -> None:
        """The interface of tarfile: skip to *position*."""
        if position < self._position:
            raise EOFError("a header has an invalid size")
        if self._seeks:
            self._position = self._file.seek(position)
        while self._position < position:
            if not self.piece(min(_PIECE, position - self._position)):
                raise EOFError("it ends inside a member")

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()


def _open(path: str, compression: str) -> _Stream:
    """The uncompressed bytes of the archive, as a context manager."""
    if not compression:
        return _Stream(open(path, "rb"), math.inf)
    longest = max(_ALWAYS_ALLOWED, _GROWTH_LIMIT * os.path.getsize(path))
    if compression == "zstd":
        try:
            import zstandard
        except ImportError as error:
            raise MissingLibraryError("zstandard") from error
        # Parallel compressors write several frames.
        reader = zstandard.ZstdDecompressor().stream_reader(
            open(path, "rb"),  # noqa: SIM115 - closed with the reader
            read_across_frames=True,
            closefd=True,
        )
        return _Stream(reader, longest)
    return _Stream({"gzip": gzip, "bzip2": bz2, "xz": lzma}[compression].open(path), longest)


def _documents(path: str, compression: str) -> dict[str, bytes]:
    """Return the members that may be JSON, by name. One pass, because the configuration may precede manifest.json."""
    documents: dict[str, bytes] = {}
    total, last = 0, None
    try:
        with _open(path, compression) as stream, tarfile.open(fileobj=t.cast("t.Any", stream), mode="r:") as tar:
            for member in tar:
                t.cast("t.Any", tar).members.clear()  # tarfile would keep all members in memory
                stream.allow(_HEADER_LIMIT)
                last = member.name
                name = posixpath.normpath(member.name)
                if not member.isreg() or name in documents:
                    continue
                if member.size > _DOCUMENT_LIMIT:
                    if name == "manifest.json":
                        raise InvalidArchiveError(f"{path}: manifest.json has {member.size} bytes, more than the limit")
                    continue
                stream.allow(_HEADER_LIMIT + member.size)
                content = tar.extractfile(member)
                if content is None or not (start := content.read(1)) or start not in b"{[":
                    continue
                documents[name] = start + content.read()
                total += member.size
                if total > _DOCUMENTS_LIMIT:
                    raise InvalidArchiveError(f"{path} exceeds the limit for JSON documents, at the member {last!r}")
            while compression and stream.piece():
                pass  # the checksum is at the end
    except (InvalidArchiveError, MissingLibraryError):
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if last is None:
            raise InvalidArchiveError(f"{path} is not a docker archive: {error}") from error
        raise InvalidArchiveError(f"{path} is truncated or damaged after the member {last!r}: {error}") from error
    return documents


def _images(path: str, raw: bytes) -> list[dict[str, t.Any]]:
    try:
        images = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidArchiveError(f"the member manifest.json of {path} is not valid JSON: {error}") from error
    if not isinstance(images, list) or not all(
        isinstance(image, dict) and isinstance(image.get("Config"), str) for image in images
    ):
        raise InvalidArchiveError(f"the member manifest.json of {path} is not a list of images with a Config")
    if not images:
        raise InvalidArchiveError(f"the member manifest.json of {path} lists no images")
    return images


def _select(path: str, images: t.Sequence[t.Mapping[str, t.Any]], select: str | None) -> int:
    listed = [image.get("RepoTags") for image in images]
    names = [[str(tag) for tag in tags] if isinstance(tags, list) else [] for tags in listed]
    listing = ", ".join(f"{index}: {' '.join(tags) or '(no tag)'}" for index, tags in enumerate(names))
    if select is None:
        if len(images) > 1:
            raise InvalidArchiveError(f"{path} has {len(images)} images. Select one with archive_image: {listing}")
        return 0
    if select.isdecimal():
        # Python raises ValueError for a number with more than 4300 digits.
        if len(select) < 10 and int(select) < len(images):
            return int(select)
    else:
        wanted = _familiar(select)
        for index, tags in enumerate(names):
            if wanted in map(_familiar, tags):
                return index
    raise InvalidArchiveError(f"{path} has no image {select!r}. It has {listing}")


def _familiar(name: str) -> str:
    """The name as Docker prints it: podman and buildah add a default registry, Docker does not."""
    if ":" not in name.rpartition("/")[2]:
        name += ":latest"
    for prefix in ("docker.io/", "localhost/", "library/"):
        if name.startswith(prefix):
            name = name[len(prefix) :]
    return name
