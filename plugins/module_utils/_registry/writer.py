# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write images with skopeo, and indexes and tags with crane.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry import crane, skopeo
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import is_loopback, private_directory
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker

_DAMAGED = "Build the image again: a layer is damaged, or expands to more than 200 times its size."


class Writer(Reader):
    """Reads and writes a registry. Every method raises ZotError. The tag is read before a write is repeated."""

    def __init__(self, session: Session) -> None:
        """The registry of *session* is the default registry of references."""
        super().__init__(session)
        # A converted image can be large, so there is only one at a time.
        self._conversion = threading.Lock()

    @contextlib.contextmanager
    def reading_archives(self, count: int) -> t.Iterator[None]:
        """Start the processes that read *count* archives at the same time. Call it before any thread is started."""
        with self._session.workers.started(count, OpenArchive):
            yield

    @contextlib.contextmanager
    def open_archive(self, path: str) -> t.Iterator[Worker]:
        """A worker that has the archive open: its methods are those of OpenArchive."""
        what = f"cannot read {path}"
        with self._session.workers.one(what) as worker:
            worker.call(what, "open", path)
            yield worker

    @contextlib.contextmanager
    def readable(self, worker: Worker, archive: Archive) -> t.Iterator[str]:
        """A path that skopeo can read: a link to the open archive, or a temporary copy."""
        with contextlib.ExitStack() as stack:
            if archive.manifest:
                stack.enter_context(self._conversion)
            directory = stack.enter_context(private_directory(self._session.directory))
            path = os.path.join(directory, "archive.tar")
            what = f"cannot copy {archive.path} into {directory}"
            with _disk_errors(what):
                if archive.manifest:
                    self._convert(worker, archive, directory, path)
                elif archive.compression:
                    _require_space(directory, worker.call(what, "expanded_size"), what)
                    worker.call(what, "expand", path)
                else:
                    # Also because skopeo parses the text after a colon as the name of an image.
                    os.symlink(worker.call(what, "location"), path)
            if not archive.manifest:
                worker.call(what, "check_layers", archive, path if archive.compression else None)
            yield path

    def _convert(self, worker: Worker, archive: Archive, directory: str, path: str) -> None:
        layout = os.path.join(directory, "layout")
        what = f"cannot convert {archive.path}"
        _require_space(directory, worker.call(what, "converted_size", archive), what)
        worker.call(what, "extract", archive, layout)
        command = skopeo.convert(
            self._session.find_skopeo(), layout=layout, archive=path, tmpdir=directory, policy=self._session.policy
        )
        largest = worker.call(what, "largest_size", archive)
        try:
            self._session.run_on_files(command, what, skopeo.message, largest)
        except ZotError as error:
            if os.strerror(errno.ENOSPC).lower() in error.stderr.lower():
                raise _no_space(what, os.strerror(errno.ENOSPC)) from error
            if error.rc is not None and error.error_class != "tool_missing":
                error.error_class, error.hint = "archive_invalid", _DAMAGED
            raise
        shutil.rmtree(layout)

    def copy(self, worker: Worker, path: str, archive: Archive, reference: Reference) -> str:
        """Push the image of an archive from the *path* of readable(). Return the digest that skopeo reports."""
        worker.call(f"cannot read {archive.path}", "require_unchanged", archive)
        with private_directory(self._session.directory) as directory:
            digestfile = os.path.join(directory, "digest")

            def command(verify_tls: bool) -> list[str]:
                return skopeo.copy(
                    self._session.find_skopeo(),
                    archive=path,
                    index=archive.index if archive.count > 1 else None,
                    destination=str(reference),
                    authfile=self._session.credentials.config,
                    digestfile=digestfile,
                    tmpdir=directory,
                    policy=self._session.policy,
                    verify_tls=verify_tls,
                )

            what = f"cannot push {archive.path} to {reference}"
            try:
                self._session.run(command(not self._session.insecure), reference, what, skopeo.message)
            except ZotError as error:
                if "server gave HTTP response" in error.stderr and is_loopback(reference.registry):
                    # crane also allows plain HTTP on loopback. For other hosts it stays an error.
                    self._session.run(command(False), reference, what, skopeo.message)
                elif (
                    error.error_class == "rate_limited"
                    and not re.search(r"StatusCode: 429|429 \(", error.stderr)
                    and not self.tags(reference)
                ):
                    # Zot answers TOOMANYREQUESTS for its rate limit and for its quota of repositories. skopeo prints
                    # the HTTP status only for the rate limit. The quota rejects only the first manifest of a
                    # repository.
                    raise ZotError(
                        "quota_exceeded",
                        error.message,
                        detail=error.detail,
                        command=error.command,
                        rc=error.rc,
                        stderr=error.stderr,
                    ) from error
                else:
                    raise
            digest = ""
            with contextlib.suppress(OSError, ValueError), open(digestfile) as file:
                digest = file.read().strip()
            if not is_digest(digest):
                raise ZotError(
                    "tool_failed",
                    f"{what}: skopeo reported no digest, so the current image of {reference} is not known",
                    hint="Check that skopeo_path, or PATH, leads to a real skopeo, and run the task again.",
                )
            return digest

    def append(self, manifests: t.Iterable[Reference], reference: Reference) -> None:
        """Write an index of *manifests* under a tag."""
        members = [str(member) for member in manifests]
        command = crane.append(self._session.crane, members, str(reference), insecure=self._session.insecure)
        self._session.run(command, reference, f"cannot write the index {reference}", crane.message, names=members)

    def tag(self, source: Reference, tag: str) -> None:
        """Add the tag *tag* to the image of *source*."""
        command = crane.tag(self._session.crane, str(source), tag, insecure=self._session.insecure)
        self._session.run(command, source, f"cannot tag {source} as {tag}", crane.message)

    def move(self, reference: Reference, digest: str, read: t.Callable[[], Image] | None = None) -> Image:
        """Let the tag *reference* hold an image of its repository, and return the image that it then holds."""
        pinned, tag = reference.pinned(digest), reference.tag or ""
        return self.write(reference, lambda: self.tag(pinned, tag), lambda now: now.digest == digest, read)

    def keep(self, image: Image, keeper: Reference | None) -> None:
        """Add the tag *keeper* to *image*, whose tag is about to move. This costs one read and one write.

        The keeper is not read first. If the registry denies the write, the keeper may already hold the image.
        """
        if keeper is None or image.digest is None:
            return
        pinned, tag = image.reference.pinned(image.digest), keeper.tag or ""

        def attempt() -> None:
            try:
                self.tag(pinned, tag)
            except ZotError as error:
                if error.retryable or error.error_class == "denied":
                    with contextlib.suppress(ZotError):
                        if self.digest(keeper) == pinned.digest:
                            return
                raise

        self._session.runner.retry(attempt)

    def untag(self, reference: Reference) -> None:
        """Remove a tag. The other tags of its image stay.

        With crane, because C(skopeo delete) removes the digest of the tag, and with it all its tags
        (https://github.com/containers/skopeo/blob/main/docs/skopeo-delete.1.md).
        """
        command = crane.delete(self._session.crane, str(reference), insecure=self._session.insecure)

        def attempt() -> None:
            try:
                self._session.run(command, reference, f"cannot remove the tag {reference}", crane.message)
            except ZotError as error:
                # It was removed by a request whose response was lost, or by another client.
                if error.error_class != "not_found":
                    raise

        try:
            self._session.runner.retry(attempt)
        except ZotError as error:
            if not error.retryable:
                raise
            try:
                now = self.digest(reference)
            except ZotError:
                error.message += f"; the current image of {reference} is not known"
                raise error from None
            if now:
                error.message += f"; {reference} still holds {now}"
                raise

    def write(
        self,
        reference: Reference,
        action: t.Callable[[], t.Any],
        is_done: t.Callable[[Image], bool],
        read: t.Callable[[], Image] | None = None,
    ) -> Image:
        """Run *action*, which writes *reference*, and return the image that the reference then holds.

        *read* returns that image, by default with its manifest and configuration.

        After a retryable error the reference is read before the next write: the write may have succeeded although its
        response was lost, or Zot may have removed the tag
        (https://github.com/project-zot/zot/blob/main/pkg/api/routes.go, UpdateManifest). A successful write is not
        repeated if only the read after it fails. The final error names the current digest of the reference.
        """
        read_image = read or (lambda: self.image(reference))
        failures: list[ZotError] = []
        written = False

        def attempt() -> Image:
            nonlocal written
            if failures and not written:
                now = read_image()
                if is_done(now):
                    return now
            if not written:
                try:
                    action()
                except ZotError as error:
                    failures.append(error)
                    raise
                written = True
            return read_image()

        try:
            return self._session.runner.retry(attempt)
        except ZotError as error:
            if written:
                error.message = f"{reference} was written, but its current image is not known: {error.message}"
                raise
            # The error of the write explains more than the error of the read after it.
            failure = failures[-1] if failures else error
            # crane repeats a write after a lost response; the registry denies the second write of an immutable tag.
            if not failure.retryable and failure.error_class != "denied":
                raise failure from None
            try:
                now = read_image()
            except ZotError:
                failure.message += f"; the current image of {reference} is not known"
                raise failure from None
            if is_done(now):
                return now
            failure.message += f"; {reference} now holds {now.digest or 'nothing'}"
            raise failure from None

    def require_skopeo(self) -> None:
        """Raise ZotError if skopeo is not installed. Called before the first write, and in check mode."""
        self._session.find_skopeo()


@contextlib.contextmanager
def _disk_errors(what: str) -> t.Iterator[None]:
    """Convert the error of a full or read-only file system into a ZotError."""
    try:
        yield
    except OSError as error:
        raise _no_space(what, error.strerror or str(error)) from error


def _require_space(directory: str, size: int, what: str) -> None:
    """Raise ZotError if the file system of *directory* has less than *size* bytes free."""
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < size:
        raise _no_space(what, f"{os.strerror(errno.ENOSPC)}: it needs {size} bytes, and {free} are free")


def _no_space(what: str, reason: str) -> ZotError:
    return ZotError(
        "tool_failed",
        f"{what}: {reason}",
        hint="Free disk space there, set remote_tmp (ansible.cfg) to a larger file system, or give an uncompressed"
        " docker archive.",
    )
