# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of an archive: the members of a tar, which may be compressed, or the files of a directory. Their errors.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import math
import os
import posixpath
import stat
import tarfile
import typing as t
from dataclasses import dataclass, field

# manifest.json and configurations are much smaller. A registry may reject manifests above 4 MiB, too.
_DOCUMENT_LIMIT = 4 * 1024 * 1024
# The limit for all documents of one archive: docker save writes one for each layer.
_DOCUMENTS_LIMIT = 64 * 1024 * 1024
# The headers of one member, with long names, and of all members: 65,536 members have 32 MiB of headers.
_HEADER_LIMIT = 1024 * 1024
_HEADERS_LIMIT = 32 * 1024 * 1024
# Images compress to a third or a tenth of their size. A file that exceeds both limits would only fill memory and disk.
GROWTH_LIMIT, ALWAYS_ALLOWED = 200, 256 * 1024 * 1024
_PIECE = 1024 * 1024

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
# pzstd begins with one: https://github.com/facebook/zstd/blob/dev/doc/zstd_compression_format.md#skippable-frames
_MAGIC |= {bytes([first, 0x2A, 0x4D, 0x18]): "zstd" for first in range(0x50, 0x60)}
# Formats of archives and of compressed files that the modules do not read.
_OTHER_MAGIC = {
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\x02\x21\x4c\x18": "compressed with lz4",
    b"\x5d\x00\x00": "compressed with lzma",
    b"LZIP": "compressed with lzip",
    b"\x1f\x9d": "compressed with compress",
    b"PK\x03\x04": "a zip file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip file",
    b"Rar!\x1a\x07": "a RAR file",
    b"hsqs": "a SquashFS image",
}
_SPACE = b" \t\r\n"
_WRITE_AGAIN = "Write the archive again with docker save, podman save, docker buildx or another builder."


class InvalidArchiveError(ValueError):
    """The file is not an archive that can be pushed. The message names the reason and the member."""

    def __init__(self, message: str, hint: str = _WRITE_AGAIN) -> None:
        """*hint* is the remedy."""
        super().__init__(message, hint)
        self.hint = hint

    def __str__(self) -> str:
        return str(self.args[0])


class UnfitPlatformError(InvalidArchiveError):
    """The archive has no image for the requested platform, or images for several platforms and none was requested."""


class MissingLibraryError(RuntimeError):
    """The library for the compression of the archive is not installed. The message is its name."""


@dataclass(frozen=True)
class Archive:
    """One image of an archive.

    *index* is its position in manifest.json and *count* the number of images in it. An image that only index.json
    lists has a *manifest* instead: its digest. *layers* are the names of the members, without duplicates.
    *state* changes with the file.
    """

    path: str
    compression: str
    config: t.Mapping[str, t.Any] = field(repr=False)
    index: int = 0
    count: int = 1
    manifest: str = ""
    layers: tuple[str, ...] = ()
    state: tuple[int, ...] = ()


class Member(t.NamedTuple):
    """A member of a tar, or a file of a directory. *start* is its position in the uncompressed tar."""

    kind: str
    size: int
    start: int = 0
    target: str = ""


class Tar:
    """A tar that is opened once, so that a file that replaces it later has no effect."""

    def __init__(self, path: str, file: t.BinaryIO) -> None:
        self.path = path
        self.file = file
        with _readable(path):  # the first read can find a disk or a network mount that is damaged
            start = os.pread(file.fileno(), 8, 0)
        self.compression = _compression(path, start)
        self.members: dict[str, Member] = {}
        self.documents: dict[str, bytes] = {}
        self.size = 0  # uncompressed
        self._scan()

    def document(self, name: str) -> bytes | None:
        """The content of the member, if it may be JSON."""
        return self.documents.get(posixpath.normpath(name))

    def member(self, name: str) -> Member | None:
        """The first member of that name, whether the name begins with C(./) or not."""
        return self.members.get(posixpath.normpath(name))

    def open(self) -> Stream:
        """The uncompressed bytes from the beginning, as a context manager."""
        return Stream(self.file, self.compression)

    @property
    def state(self) -> tuple[int, ...]:
        """A value that changes if the file is written to or replaced."""
        found = os.fstat(self.file.fileno())
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _scan(self) -> None:
        """Read all headers and all documents. One pass, because the configuration may precede manifest.json."""
        total, last = 0, None
        try:
            with self.open() as stream, tarfile.open(fileobj=t.cast("t.Any", stream), mode="r:") as tar:
                for member in tar:
                    t.cast("t.Any", tar).members.clear()  # tarfile would keep all members in memory
                    stream.allow(_HEADER_LIMIT)
                    last = member.name
                    name = posixpath.normpath(member.name)
                    if name in self.members:
                        continue
                    self.members[name] = Member(_kind(member), member.size, member.offset_data, member.linkname)
                    if not member.isreg():
                        continue
                    if member.size > _DOCUMENT_LIMIT:
                        if name in ("manifest.json", "index.json"):
                            raise InvalidArchiveError(
                                f"{self.path}: {name} has {member.size} bytes, more than the limit"
                            )
                        continue
                    stream.allow(_HEADER_LIMIT + member.size)
                    content = tar.extractfile(member)
                    if content is None or not (start := content.read(1)) or start not in b"{[" + _SPACE:
                        continue
                    self.documents[name] = start + content.read()
                    total += member.size
                    if total > _DOCUMENTS_LIMIT:
                        raise InvalidArchiveError(
                            f"{self.path} exceeds the limit for JSON documents, at the member {last!r}"
                        )
                while self.compression and stream.piece():
                    pass  # the checksum is at the end
                self.size = stream.tell() if self.compression else os.fstat(self.file.fileno()).st_size
        except (InvalidArchiveError, MissingLibraryError):
            raise
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            if last is None:
                raise InvalidArchiveError(
                    f"{self.path} is neither a docker archive nor an OCI archive: {error}"
                ) from error
            raise InvalidArchiveError(
                f"{self.path} is truncated or damaged after the member {last!r}: {error}"
            ) from error


class Directory:
    """A directory, for example an OCI layout. Its files are read when they are needed."""

    compression = ""
    # Files are named by their digest, which skopeo verifies.
    state: tuple[int, ...] = ()

    def __init__(self, path: str) -> None:
        self.path = path

    def document(self, name: str) -> bytes | None:
        """The content of the file, if it may be JSON."""
        found = self.member(name)
        if found is None or found.kind != "file" or found.size > _DOCUMENT_LIMIT:
            return None
        with _readable(self.path), open(os.path.join(self.path, name), "rb") as file:
            return file.read(_DOCUMENT_LIMIT)

    def member(self, name: str) -> Member | None:
        """The file of that name. Bazel writes layouts in which the files are symbolic links."""
        try:
            found = os.stat(os.path.join(self.path, name))
        except (OSError, ValueError):
            return None
        return Member("file" if stat.S_ISREG(found.st_mode) else "other", found.st_size)


class Stream:
    """The uncompressed bytes of an archive, forward only. Raises EOFError for a damaged file, never OSError.

    tarfile trusts the headers, for example the length of a name and the number of pieces of a sparse file. This class
    limits the bytes that tarfile can read to the size of valid headers and documents.
    """

    def __init__(self, file: t.BinaryIO, compression: str, size: int | None = None) -> None:
        """*file* stays open. *size* is the compressed size if it is not that of the file."""
        if size is None:
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
        self._file = _decompressed(file, compression)
        self._longest = max(ALWAYS_ALLOWED, GROWTH_LIMIT * size) if compression else math.inf
        self._seeks = not compression
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
                f"it expands to more than {GROWTH_LIMIT} times its size. Give it uncompressed if that is intended"
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
            try:
                self._position = self._file.seek(position)
            except (OSError, OverflowError) as error:
                raise EOFError(str(error)) from error
        while self._position < position:
            if not self.piece(min(_PIECE, position - self._position)):
                raise EOFError("it ends inside a member")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_error: object) -> None:
        """The file stays open for the next stream."""


def open_files(path: str) -> Tar | Directory:
    """Open an archive. Raises InvalidArchiveError, also if it is neither a regular file nor a directory."""
    with _readable(path):
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return Directory(path)
        _require_regular(path, mode)
        # Without O_NONBLOCK, a FIFO that has replaced the file would block until another process writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb", buffering=0)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return Tar(path, file)
    except BaseException:
        file.close()
        raise


def _require_regular(path: str, mode: int) -> None:
    kinds = (("FIFO", stat.S_ISFIFO), ("socket", stat.S_ISSOCK), ("device", lambda _mode: True))
    if not stat.S_ISREG(mode):
        kind = next(name for name, check in kinds if check(mode))
        raise InvalidArchiveError(
            f"{path} is a {kind}, not a file", "Write the archive to a file or a directory, and give its path."
        )


@contextlib.contextmanager
def _readable(path: str) -> t.Iterator[None]:
    """Convert the error of a file that cannot be read."""
    try:
        yield
    except InvalidArchiveError:
        raise
    except PermissionError as error:
        raise InvalidArchiveError(
            f"{path} cannot be read: {error.strerror}",
            "Allow the user of the task to read the file and to enter its directories, or set become.",
        ) from error
    except FileNotFoundError as error:
        raise InvalidArchiveError(
            f"{path} cannot be read: {error.strerror}",
            "Correct the path. The file must exist on the host where the task runs.",
        ) from error
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidArchiveError(f"{path} cannot be read: {reason}", "Correct the path.") from error


def _compression(path: str, start: bytes) -> str:
    if not start:
        raise InvalidArchiveError(f"{path} is empty")
    for magic, name in _OTHER_MAGIC.items():
        if start.startswith(magic):
            raise InvalidArchiveError(
                f"{path} is {name}, which is not supported",
                "Give the archive uncompressed, or compressed with gzip, bzip2, xz or zstd.",
            )
    return compression_of(start)


def compression_of(start: bytes) -> str:
    """The compression of a file that begins with *start*, or an empty text."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def _decompressed(file: t.BinaryIO, compression: str) -> t.Any:
    if not compression:
        return file
    if compression == "zstd":
        try:
            import zstandard
        except ImportError as error:
            raise MissingLibraryError("zstandard") from error
        # Parallel compressors write several frames.
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
    return {"gzip": gzip, "bzip2": bz2, "xz": lzma}[compression].open(file)


def _kind(member: tarfile.TarInfo) -> str:
    if member.isreg():
        return "file"
    if member.issym():
        return "link"
    return "hard link" if member.islnk() else "other"
