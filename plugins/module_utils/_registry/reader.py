# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read images and tags by crane, which prints manifests and configurations byte for byte.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import difflib
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    InvalidImageError,
    Manifest,
    json_object,
    sha256,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    Reference,
    repository_name,
    tag_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry import crane
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import invalid_options
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session


class Reader:
    """Reads. Every method raises ZotError; a read is tried again where that can help."""

    def __init__(self, session: Session) -> None:
        """The registry of *session* is that of references that name none."""
        self.name = session.name
        self._session = session
        # By their pinned references, what has been read and what is expected: whatever has a digest is what is meant.
        self._configurations: dict[str, bytes] = {}
        self._asking: dict[str, threading.Event] = {}

    def reference(self, repository: str, tag: str) -> Reference:
        """A reference into this registry."""
        if not self.name:
            raise ZotError(
                "invalid_option",
                "no registry is named",
                hint="Set the option registry, or ZOT_REGISTRY in the environment.",
            )
        with invalid_options():
            if repository.startswith(f"{self.name}/"):
                raise InvalidReferenceError(f"repository {repository!r} begins with the registry: leave that out")
            return Reference(self.name, repository, tag)

    def references(self, repository: str, tags: t.Iterable[str]) -> tuple[Reference, ...]:
        """References into this registry, one for each tag, none twice."""
        return tuple(self.reference(repository, tag) for tag in dict.fromkeys(tags))

    def manifest(self, reference: Reference) -> Manifest | None:
        """The manifest or index behind a reference; None when it is absent, and only then."""
        command = crane.manifest(self._session.crane, str(reference), insecure=self._session.insecure)
        raw = self._session.read(command, reference)
        if raw is None:
            return None
        with self.sound(reference):
            manifest = Manifest.parse(raw)
            if reference.digest and reference.digest != manifest.digest:
                raise InvalidImageError(f"its digest is {manifest.digest}")
            return manifest

    def image(self, reference: Reference) -> Image:
        """What a reference means, with the configuration where it means one image."""
        manifest = self.manifest(reference)
        if manifest is None or manifest.is_index:
            return Image(reference, manifest)
        with self.sound(reference):
            raw = self._configuration(reference, manifest.config_digest)
            image = Image(reference, manifest, json_object(raw, "its configuration"))
            image.for_ansible()  # what cannot be shown is found here, and not at the end of the task
            return image

    def expect(self, reference: Reference, configurations: t.Iterable[bytes]) -> None:
        """Know these already, should the reference's repository have an image with one of them."""
        for raw in configurations:
            self._configurations[str(reference.pinned(sha256(raw)))] = raw

    def digest(self, reference: Reference) -> str | None:
        """The digest behind a reference, without its manifest; None when it is absent."""
        command = crane.digest(self._session.crane, str(reference), insecure=self._session.insecure)
        raw = self._session.read(command, reference)
        return None if raw is None else raw.decode(errors="replace").strip()

    def tags(self, reference: Reference) -> list[str] | None:
        """The tags of the reference's repository, as the registry orders them; None when the repository is absent."""
        command = crane.tags(self._session.crane, reference.name, insecure=self._session.insecure)
        raw = self._session.read(command, reference)
        if raw is None:
            return None
        with self.sound(reference):
            return [tag_name(tag) for tag in crane.parse_lines(raw)]

    def catalog(self) -> list[str]:
        """The repositories of the registry that the account may see."""
        whole = self.reference("catalog", "latest")  # by whatever name: it is the registry's own credentials that count
        command = crane.catalog(self._session.crane, whole.registry, insecure=self._session.insecure)
        what = f"cannot list the repositories of {whole.registry}"
        raw = self._session.runner.retry(lambda: self._session.run(command, whole, what, crane.message))
        with self.sound(whole):
            return [repository_name(name) for name in crane.parse_lines(raw)]

    def nearest_tags(self, reference: Reference) -> str:
        """For a reference that is absent: the tags that its author may have meant, as a sentence for people."""
        tags = self.tags(reference)
        if not tags:
            return f"{reference.name} holds no tag at all: push the image first."
        near = difflib.get_close_matches(reference.tag or "", tags, n=5, cutoff=0.4) or tags[-5:]
        return f"{reference.name} holds {len(tags)} tags; the nearest are {', '.join(near)}."

    @contextlib.contextmanager
    def sound(self, reference: Reference) -> t.Iterator[None]:
        """Turn what is wrong with an answer for *reference* into an error of the registry."""
        try:
            yield
        except (InvalidImageError, InvalidReferenceError) as error:
            raise ZotError(
                "tool_failed",
                f"{reference}: the registry's answer is not usable: {error}",
                hint="Push the image again; if that does not help, ask the registry's operator.",
            ) from error

    def _configuration(self, reference: Reference, digest: str) -> bytes:
        """The configuration of that digest; those who need one at the same time ask once."""
        name = str(reference.pinned(digest))
        done = threading.Event()
        first = self._asking.setdefault(name, done)
        if first is not done:
            first.wait()
        try:
            if name not in self._configurations:
                command = crane.blob(self._session.crane, name, insecure=self._session.insecure)
                raw = self._session.read(command, reference, absent="BLOB_UNKNOWN: ")
                if raw is None or sha256(raw) != digest:
                    raise InvalidImageError("its configuration is not there")
                self._configurations[name] = raw
            return self._configurations[name]
        finally:
            done.set()
