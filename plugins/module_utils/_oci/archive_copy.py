# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An open archive, and the temporary copies of it that skopeo reads.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import io
import json
import os
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import blob, read, read_each, resolved
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    ALWAYS_ALLOWED,
    GROWTH_LIMIT,
    Archive,
    Directory,
    InvalidArchiveError,
    MissingLibraryError,
    Stream,
    Tar,
    compression_of,
    open_files,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform, sha256

# Headers and documents of a docker archive that skopeo writes.
_OVERHEAD = 1024 * 1024


class OpenArchive:
    """An archive that stays open until the end of the context."""

    def __init__(self, path: str) -> None:
        """Raises InvalidArchiveError and MissingLibraryError."""
        self._files = open_files(path)

    def __enter__(self) -> OpenArchive:
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        if isinstance(self._files, Tar):
            self._files.file.close()

    def read(self, select: str | None, platform: Platform | None) -> Archive:
        """See archive.read()."""
        return read(self._files, select, platform)

    def read_each(self, select: str | None) -> list[Archive]:
        """See archive.read_each()."""
        return read_each(self._files, select)

    def location(self) -> str:
        """A path of the open file for other processes, also if another file has replaced it."""
        if isinstance(self._files, Tar):
            path = f"/proc/{os.getpid()}/fd/{self._files.file.fileno()}"
            if os.path.exists(path):
                return path
        return self._files.path

    def require_unchanged(self, archive: Archive) -> None:
        """Raise InvalidArchiveError if the file was written to, or replaced, since the image was read."""
        if self._files.state != archive.state:
            raise InvalidArchiveError(
                f"{self._files.path} was changed after it was read", "Run the task again when the build has finished."
            )

    def expanded_size(self) -> int:
        """The uncompressed size of the archive."""
        return self._files.size if isinstance(self._files, Tar) else 0

    def converted_size(self, archive: Archive) -> int:
        """The disk space that extract() and the conversion by skopeo need, as far as the layers declare their size."""
        copied, sizes = 0, [0]
        for name in archive.layers:
            member = resolved(self._files, name)
            copied += member.size if isinstance(self._files, Tar) else 0
            sizes.append(self._uncompressed_size(name, member.size))
        # skopeo writes each layer to a temporary file before it writes it to the archive.
        return copied + sum(sizes) + max(sizes) + _OVERHEAD

    def largest_size(self, archive: Archive) -> int:
        """The maximum size of the converted archive. A larger one would only fill the disk."""
        size = sum(resolved(self._files, name).size for name in archive.layers)
        return max(ALWAYS_ALLOWED, GROWTH_LIMIT * size) + _OVERHEAD

    def expand(self, target: str) -> None:
        """Decompress the archive to *target*.

        skopeo 1.9.3 (Debian 12) cannot read a docker archive that is compressed with gzip, and decompresses other
        formats once for each tag. Raises OSError if *target* cannot be written, and InvalidArchiveError.
        """
        files = t.cast("Tar", self._files)
        try:
            with files.open() as source, open(target, "xb") as expanded:
                while piece := source.piece():
                    expanded.write(piece)
                size = expanded.tell()
        except EOFError as error:
            raise InvalidArchiveError(f"{files.path} is truncated or damaged: {error}") from error
        if size != files.size:  # zstandard does not report a truncated file
            raise InvalidArchiveError(f"{files.path} is truncated or damaged: it has {size} bytes uncompressed")

    def extract(self, archive: Archive, directory: str) -> None:
        """Write an OCI layout with only this image to *directory*, so that skopeo cannot select another image.

        Raises OSError if it cannot be written, and InvalidArchiveError.
        """
        self.require_unchanged(archive)
        manifest = self._files.document(blob(archive.manifest)) or b""
        if sha256(manifest) != archive.manifest:
            raise InvalidArchiveError(f"{self._files.path} is damaged: the member {blob(archive.manifest)} has changed")
        document = json.loads(manifest)
        config = document["config"]["digest"]
        media_type = document.get("mediaType") or "application/vnd.oci.image.manifest.v1+json"
        entry = {"mediaType": media_type, "digest": archive.manifest, "size": len(manifest)}
        os.makedirs(os.path.join(directory, "blobs", "sha256"))
        for name, content in (
            ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            ("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()),
            (blob(archive.manifest), manifest),
            (blob(config), self._files.document(blob(config)) or b""),
        ):
            with open(os.path.join(directory, name), "xb") as file:
                file.write(content)
        if isinstance(self._files, Directory):
            for name in archive.layers:
                os.symlink(os.path.abspath(os.path.join(self._files.path, name)), os.path.join(directory, name))
            return
        members = sorted((resolved(self._files, name).start, name) for name in archive.layers)
        try:
            with self._files.open() as source:
                for start, name in members:
                    source.seek(start)
                    _copy(source, os.path.join(directory, name), resolved(self._files, name).size)
        except EOFError as error:
            raise InvalidArchiveError(f"{self._files.path} is truncated or damaged: {error}") from error

    def check_layers(self, archive: Archive, expanded: str | None) -> None:
        """Raise InvalidArchiveError if a compressed layer is damaged or expands without bounds.

        *expanded* is the copy that expand() wrote. skopeo decompresses layers without a limit.
        """
        source = expanded or os.dup(t.cast("Tar", self._files).file.fileno())
        with open(source, "rb", buffering=0) as file:
            for name in archive.layers:
                member = resolved(self._files, name)
                part = _Part(file, member.start, member.size)
                compression = compression_of(part.read(8))
                part.seek(0)
                try:
                    with Stream(t.cast("t.BinaryIO", part), compression, member.size) as layer:
                        while compression and layer.piece():
                            pass
                except MissingLibraryError:
                    continue  # skopeo needs no library for it
                except EOFError as error:
                    raise InvalidArchiveError(f"{self._files.path}: the layer {name!r} is invalid: {error}") from error

    def _uncompressed_size(self, name: str, size: int) -> int:
        """The size that the end of a layer with gzip compression declares, but at least the size of the blob."""
        with self._layer(name) as file:
            if compression_of(file.read(8)) == "gzip":
                # Modulo 2 ** 32, and only for the last part of a file that has several.
                file.seek(size - 4)
                return max(size, int.from_bytes(file.read(4), "little"))
        return size

    def _layer(self, name: str) -> t.Any:
        if isinstance(self._files, Directory):
            return open(os.path.join(self._files.path, name), "rb")
        member = resolved(self._files, name)
        if self._files.compression:  # reading it would decompress the archive again
            return io.BytesIO()
        return _Part(self._files.file, member.start, member.size)


class _Part(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: t.BinaryIO, start: int, size: int) -> None:
        self._descriptor, self._start, self._size, self._position = file.fileno(), start, size, 0

    def readable(self) -> bool:
        """The interface of io.RawIOBase."""
        return True

    def seekable(self) -> bool:
        """The interface of io.RawIOBase."""
        return True

    def readinto(self, buffer: t.Any) -> int:
        """The interface of io.RawIOBase."""
        wanted = min(len(buffer), self._size - self._position)
        data = os.pread(self._descriptor, wanted, self._start + self._position) if wanted > 0 else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """The interface of io.RawIOBase."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + position
        return self._position


def _copy(source: Stream, target: str, size: int) -> None:
    with open(target, "xb") as file:
        while size > 0:
            piece = source.piece(min(size, 1024 * 1024))
            if not piece:
                raise EOFError("it ends inside a layer")
            file.write(piece)
            size -= len(piece)
