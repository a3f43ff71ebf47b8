# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Push the images of archives with skopeo.

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

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._push.request import ArchivedImage, OpenedArchive
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import private_directory, replace_json
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, last_line
from ansible_collections.killinit.zot.plugins.module_utils._registry.tls import is_loopback

_DAMAGED = "Build the image again: a layer is damaged, or expands to more than 200 times its size."
_NO_TLS = "--dest-tls-verify=false"
# A converted image can be large, so only one exists at a time.
_CONVERSION = threading.Lock()
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_TERMINAL_FATAL = re.compile(r"^FATA\[[0-9]+\] (.*)$", re.MULTILINE)
_POLICIES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")


class ArchivePusher:
    """Pushes the images of archives to a registry. Every method raises ZotError or InvalidArchiveError."""

    def __init__(self, registry: Registry, session: Session) -> None:
        """*session* is that of *registry*."""
        self._registry, self._session = registry, session
        self._policy = _policy(session.directory)

    @contextlib.contextmanager
    def readable(self, opened: OpenArchive, archive: Archive) -> t.Iterator[str]:
        """A path that skopeo can read: a link to the open archive, or a temporary copy."""
        with contextlib.ExitStack() as stack:
            if archive.manifest:
                stack.enter_context(_CONVERSION)
            directory = stack.enter_context(private_directory(self._session.directory))
            path = os.path.join(directory, "archive.tar")
            what = f"cannot copy {archive.path} into {directory}"
            with _disk_errors(what):
                if archive.manifest:
                    self._convert(opened, archive, directory, path)
                elif archive.compression:
                    _require_space(directory, opened.expanded_size(), what)
                    opened.expand(path)
                else:
                    # A link is also needed because skopeo parses the text after a colon in a path as an image name.
                    os.symlink(opened.location(), path)
            if not archive.manifest:
                opened.check_layers(archive, path if archive.compression else None)
            yield path

    def _convert(self, opened: OpenArchive, archive: Archive, directory: str, path: str) -> None:
        layout = os.path.join(directory, "layout")
        what = f"cannot convert {archive.path}"
        _require_space(directory, opened.converted_size(archive), what)
        opened.extract(archive, layout)
        command = [*self._skopeo_copy(directory), f"oci:{layout}", f"docker-archive:{path}"]
        largest = opened.largest_size(archive)
        try:
            self._session.run_on_files(command, what, skopeo_message, largest)
        except ZotError as error:
            if os.strerror(errno.ENOSPC).lower() in error.stderr.lower():
                raise _no_space(what, os.strerror(errno.ENOSPC)) from error
            if error.rc is not None and error.error_class != "tool_missing":
                raise error.with_(error_class="archive_invalid", hint=_DAMAGED) from error
            raise
        shutil.rmtree(layout)

    def upload(self, opened: OpenedArchive, image: ArchivedImage, before: Image) -> Image:
        """Push an image to the tag of *before*. Return the image of the tag."""
        with opened.file() as file, self.readable(file, image.archive) as path:
            return self.write(file, path, image, before)

    def write(
        self, opened: OpenArchive, path: str, image: ArchivedImage, before: Image, *, force: bool = False
    ) -> Image:
        """Push an image from the *path* of readable() to the tag of *before*. Return the image of the tag.

        With *force* another digest of the same image must be written.
        """
        reported = []

        def action() -> None:
            reported.append(self.push(opened, path, image.archive, before.reference))

        def is_written(now: Image) -> bool:
            return image.held_by(now) and not (force and now.digest == before.digest)

        after = self._registry.write(before.reference, action, is_written)
        if reported and after.digest != reported[-1]:
            raise ZotError(
                "tool_failed",
                f"{before.reference} holds {after.digest or 'nothing'}, but skopeo reported {reported[-1]}",
                hint="Another client pushed this tag at the same time. Use one job per tag, and run the task again.",
            )
        if not image.held_by(after):
            raise ZotError(
                "archive_invalid",
                f"{before.reference} holds {after.digest}, which is not the image that was read from the archive",
                hint="The archive was changed during the push. Run the task again when the build has finished.",
            )
        return after

    def push(self, opened: OpenArchive, path: str, archive: Archive, reference: Reference) -> str:
        """Push the image of an archive from the *path* of readable(). Return the digest that skopeo reports."""
        opened.require_unchanged(archive)
        with private_directory(self._session.directory) as directory:
            digestfile = os.path.join(directory, "digest")
            options = [
                # Without it skopeo first sends a Docker manifest, which Zot rejects.
                "--format=oci",
                f"--authfile={self._session.credentials.config}",
                f"--digestfile={digestfile}",
            ]

            def push(*more: str) -> None:
                # The only command that writes an image.
                source = f"docker-archive:{path}" + (f":@{archive.index}" if archive.count > 1 else "")
                command = [*self._skopeo_copy(directory), *options, *more, source, f"docker://{reference}"]
                self._session.run(command, reference, what, message=skopeo_message)

            what = f"cannot push {archive.path} to {reference}"
            try:
                push(*([_NO_TLS] if self._session.insecure else []))
            except ZotError as error:
                if "server gave HTTP response" in error.stderr and is_loopback(reference.registry):
                    # Like crane, allow plain HTTP only for a loopback address.
                    push(_NO_TLS)
                elif (
                    error.error_class == "rate_limited"
                    and not re.search(r"StatusCode: 429|429 \(", error.stderr)
                    and not self._registry.tags(reference)
                ):
                    # Zot returns TOOMANYREQUESTS for both its rate limit and its quota of repositories. skopeo prints
                    # the HTTP status only for the rate limit. The quota rejects only the first manifest of a
                    # repository.
                    raise error.with_(error_class="quota_exceeded", hint=None) from error
                else:
                    raise
            digest = ""
            with contextlib.suppress(OSError, ValueError), open(digestfile) as file:
                digest = file.read().strip()
            if not is_digest(digest):
                raise ZotError(
                    "tool_failed",
                    f"{what}: skopeo reported no digest, so the current image of {reference} is not known",
                    hint="Check that skopeo_path, or PATH, refers to the real skopeo, and run the task again.",
                )
            return digest

    def _skopeo_copy(self, directory: str) -> list[str]:
        """The beginning of a command of skopeo.

        Without C(--tmpdir) it expands archives in /var/tmp and ignores TMPDIR
        (https://github.com/containers/skopeo/issues/805).
        """
        policy = [f"--policy={self._policy}"] if self._policy else []
        return [self._session.skopeo, f"--tmpdir={directory}", *policy, "copy", "--quiet"]


def skopeo_message(stderr: str) -> str:
    """The message of the fatal log entry, or else the last line."""
    found = _FATAL.findall(stderr)
    if found:
        # The message is a quoted Go string. Only quotes, line breaks and tabs need to be decoded.
        return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), found[-1])
    found = _TERMINAL_FATAL.findall(stderr)
    return found[-1].strip() if found else last_line(stderr)


def _policy(directory: str) -> str | None:
    """The path of a signature policy for skopeo. None if the machine has one; most containers have none.

    The policy accepts only archives, which have no signatures.
    """
    usual = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "containers/policy.json")
    if any(os.path.exists(path) for path in (usual, *_POLICIES)):
        return None
    path = os.path.join(directory, "policy.json")
    accept = {name: {"": [{"type": "insecureAcceptAnything"}]} for name in ("docker-archive", "oci")}
    replace_json(path, {"default": [{"type": "reject"}], "transports": accept})
    return path


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
