# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write images by skopeo, and indexes and tags by crane.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive, expand
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry import crane, skopeo
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import is_loopback, private_directory
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader


class Writer(Reader):
    """Reads and writes. Every method raises ZotError; a write is not repeated before the tag was read again."""

    @contextlib.contextmanager
    def readable(self, archive: Archive) -> t.Iterator[str]:
        """A path under which skopeo can read an archive: its own, or that of a copy which is gone at the end."""
        if not archive.compression and ":" not in archive.path:
            yield archive.path
            return
        with private_directory(self._session.directory) as directory:
            path = os.path.join(directory, "archive.tar")
            try:
                if archive.compression:
                    expand(archive, path)
                else:
                    # skopeo takes what follows a colon for an image in the archive, and there is no way to quote it.
                    os.symlink(os.path.abspath(archive.path), path)
            except OSError as error:
                raise ZotError(
                    "tool_failed",
                    f"cannot expand {archive.path} into {directory}: {error.strerror}",
                    hint="Make room there, point remote_tmp (ansible.cfg) to a place that has it, or give the archive"
                    " uncompressed.",
                ) from error
            yield path

    def copy(self, path: str, archive: Archive, reference: Reference) -> str:
        """Push the image of an archive, whose readable *path* is given; return the digest that skopeo reports."""
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
                    # As crane does. An address of another machine stays an error.
                    self._session.run(command(False), reference, what, skopeo.message)
                elif (
                    error.error_class == "rate_limited"
                    and not re.search(r"StatusCode: 429|429 \(", error.stderr)
                    and not self.tags(reference)
                ):
                    # skopeo does not show the limit by which crane's words tell Zot's quota of repositories from its
                    # limit of requests. The quota answers with an error code, which skopeo shows without the status,
                    # and refuses the first manifest of a new repository and no other.
                    raise ZotError(
                        "quota_exceeded", error.message, command=error.command, rc=error.rc, stderr=error.stderr
                    ) from error
                else:
                    raise
            digest = ""
            with contextlib.suppress(OSError, ValueError), open(digestfile) as file:
                digest = file.read().strip()
            if not is_digest(digest):
                raise ZotError(
                    "tool_failed",
                    f"{what}: skopeo named no digest, so what {reference} holds now is not known",
                    hint="See to it that skopeo_path, or PATH, leads to a real skopeo, and run the task again.",
                )
            return digest

    def append(self, manifests: t.Iterable[Reference], reference: Reference) -> None:
        """Write a new index of *manifests* under a tag."""
        members = [str(member) for member in manifests]
        command = crane.append(self._session.crane, members, str(reference), insecure=self._session.insecure)
        self._session.run(command, reference, f"cannot write the index {reference}", crane.message, names=members)

    def tag(self, source: Reference, tag: str) -> None:
        """Give what *source* means the further tag *tag*."""
        command = crane.tag(self._session.crane, str(source), tag, insecure=self._session.insecure)
        self._session.run(command, source, f"cannot tag {source} as {tag}", crane.message)

    def write(self, reference: Reference, action: t.Callable[[], t.Any], is_done: t.Callable[[Image], bool]) -> Image:
        """Run *action*, which writes *reference*, and return what the reference then means.

        After an error worth a retry it looks before it writes again: the write may have landed and only its answer been
        lost, or Zot may have dropped the tag (https://github.com/project-zot/zot/blob/main/pkg/api/routes.go,
        UpdateManifest). What was written is not written again because the look at it failed. The last error says what
        the reference means now.
        """
        failures: list[ZotError] = []
        written = False

        def attempt() -> Image:
            nonlocal written
            if failures and not written:
                now = self.image(reference)
                if is_done(now):
                    return now
            if not written:
                try:
                    action()
                except ZotError as error:
                    failures.append(error)
                    raise
                written = True
            return self.image(reference)

        try:
            return self._session.runner.retry(attempt)
        except ZotError as error:
            if written:
                error.message = f"{reference} was written, but what it holds now is not known: {error.message}"
                raise
            # Why it could not be written says more than why it could not be looked at afterwards.
            failure = failures[-1] if failures else error
            # crane itself writes again after a lost answer, which an immutable tag then denies.
            if not failure.retryable and failure.error_class != "denied":
                raise failure from None
            try:
                now = self.image(reference)
            except ZotError:
                failure.message += f"; what {reference} holds now is not known"
                raise failure from None
            if is_done(now):
                return now
            failure.message += f"; {reference} now holds {now.digest or 'nothing'}"
            raise failure from None

    def require_skopeo(self) -> None:
        """Raise ZotError when there is no skopeo: before anything is written, and in a dry run, too."""
        self._session.find_skopeo()
