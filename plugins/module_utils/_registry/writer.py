# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write indexes and tags with crane.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry import crane
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader


class Writer(Reader):
    """Reads and writes a registry. Every method raises ZotError. The tag is read before a write is repeated."""

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
        """Move the tag *reference* to an image of its repository, and return the image that it then refers to."""
        pinned, tag = reference.pinned(digest), reference.tag or ""
        return self.write(reference, lambda: self.tag(pinned, tag), lambda now: now.digest == digest, read)

    def keep(self, image: Image, keeper: Reference | None) -> None:
        """Add the tag *keeper* to *image*, whose tag is about to move. This costs one read and one write.

        The keeper is not read first. If the registry denies the write, the keeper may already refer to the image.
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
        """Remove a tag and keep the other tags of its image.

        crane is used, because C(skopeo delete) removes the digest of the tag and thus all its tags
        (https://github.com/containers/skopeo/blob/main/docs/skopeo-delete.1.md).
        """
        command = crane.delete(self._session.crane, str(reference), insecure=self._session.insecure)

        def attempt() -> None:
            try:
                self._session.run(command, reference, f"cannot remove the tag {reference}", crane.message)
            except ZotError as error:
                # The tag was removed by a request whose response was lost, or by another client.
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
        """Run *action*, which writes *reference*, and return the image that the reference then has.

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
