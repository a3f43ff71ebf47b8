# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All reads and writes of a registry: tags, manifests, configurations and indexes.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
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
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import (
    NO_DELETE,
    NO_READ,
    ZotError,
    lost_members,
    missing_registry,
    most_similar,
    unknown_image,
    unread,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import invalid_options

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http

# To import the library requests and to connect takes as long as about so many runs of crane.
_FEW = 8
_IMAGES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")


class Registry:
    """Reads and writes a registry, with retries. Every method raises ZotError.

    crane does the first reads of a task, and those of other registries. All further reads and moves of tags, and all of
    a task that expects many reads, are HTTP requests, if the library requests is installed. A tag is read before its
    write is repeated.
    """

    def __init__(self, session: Session) -> None:
        """The registry of *session* is the default registry of references."""
        self.name = session.name
        self._session = session
        self._http: Http | None = None
        self._crane_reads = 0
        self._lock = threading.Lock()
        # The configurations that were read, by pinned reference, and those that are being read.
        self._configurations: dict[str, bytes] = {}
        self._in_flight: dict[str, threading.Event] = {}
        # The media types and documents of manifests that get a tag.
        self._prepared: dict[Reference, tuple[str, bytes]] = {}

    def http(self) -> Http:
        """The HTTP session with this registry, which the first call opens, for what only HTTP can do."""
        # Imported late: the import takes longer than a request, and most tasks do not need it.
        from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http

        with self._lock:
            if self._http is None:
                self._http = Http(self._session)
            return self._http

    def expect(self, reads: int) -> None:
        """Use HTTP from the first read on, if a task is going to read more than a few times. *reads* is the minimum."""
        if reads > _FEW:
            self._crane_reads = _FEW

    def _http_for(self, reference: Reference) -> Http | None:
        """The HTTP session for a read. None if crane reads it."""
        if reference.registry != self.name:
            return None
        if self._http is None:
            self._crane_reads += 1
            if self._crane_reads > _FEW:
                try:
                    return self.http()
                except ZotError as error:  # the library is missing
                    if error.error_class != "tool_missing":
                        raise
        return self._http

    def reference(self, repository: str, tag: str) -> Reference:
        """A reference to a tag in this registry."""
        if not self.name:
            raise missing_registry()
        with invalid_options():
            if repository.startswith(f"{self.name}/"):
                raise InvalidReferenceError(f"repository {repository!r} begins with the registry: remove the registry")
            return Reference(self.name, repository, tag)

    def parse(self, text: str) -> Reference:
        """A reference that an option names. Without a registry in *text* it is in this registry."""
        with invalid_options():
            return Reference.parse(text, registry=self.name)

    def references(self, repository: str, tags: t.Iterable[str]) -> tuple[Reference, ...]:
        """References to the tags of a repository in this registry, without duplicates."""
        return tuple(self.reference(repository, tag) for tag in dict.fromkeys(tags))

    def manifest(self, reference: Reference) -> Manifest | None:
        """The manifest or index of a reference. None only if it does not exist."""
        raw = self._read_manifest(reference)
        if raw is None:
            return None
        with self.valid_response(reference):
            manifest = Manifest.parse(raw)
            if reference.digest and reference.digest != manifest.digest:
                raise InvalidImageError(f"its digest is {manifest.digest}")
            return manifest

    def image(self, reference: Reference) -> Image:
        """The manifest or index of a reference, and the configuration of a manifest."""
        return self.configured(reference, self.manifest(reference))

    def with_children(self, reference: Reference) -> Image:
        """The image of a reference with the manifests of an index."""
        return self.completed(self.image(reference), self.manifest)

    def completed(self, image: Image, read: t.Callable[[Reference], Manifest | None]) -> Image:
        """An image with the manifests of an index, which *read* returns, and the digests of those that are gone."""
        found = [(each, read(each)) for each in self.members(image.reference, image.manifest)]
        missing = tuple(str(each.digest) for each, manifest in found if manifest is None)
        return image._replace(children=tuple(manifest for _each, manifest in found if manifest), missing=missing)

    def members(self, reference: Reference, manifest: Manifest | None) -> list[Reference]:
        """The members of an index by digest. A manifest that is not an index has none."""
        with self.valid_response(reference):
            entries = manifest.entries if manifest and manifest.is_index else ()
            return list(dict.fromkeys(reference.pinned(entry.digest) for entry in entries))

    def missing(self, reference: Reference, manifest: Manifest) -> list[str]:
        """The digests of the members of an index that the registry does not have. An index without any is whole."""
        return [str(each.digest) for each in self.members(reference, manifest) if self.digest(each) is None]

    def incomplete(self, image: Image) -> ZotError | None:
        """The error of an index that has lost a member; None if it is whole."""
        missing = self.missing(image.reference, image.manifest) if image.manifest else []
        return lost_members(image._replace(missing=tuple(missing)))

    def configured(self, reference: Reference, manifest: Manifest | None) -> Image:
        """The image of a manifest that was read, with its configuration."""
        if manifest is None or manifest.is_index:
            return Image(reference, manifest)
        with self.valid_response(reference):
            raw = self._configuration(reference, manifest.config_digest)
            image = Image(reference, manifest, json_object(raw, "its configuration"))
            image.for_ansible()  # raises now, not at the end of the task, if a field has the wrong type
            return image

    def know(self, reference: Reference, configurations: t.Iterable[bytes]) -> None:
        """Read none of these *configurations* if a manifest in the repository of *reference* names it."""
        self._configurations.update({str(reference.pinned(sha256(raw))): raw for raw in configurations})

    def platforms(self, reference: Reference, manifest: Manifest) -> list[str]:
        """The platforms of a manifest or index that was read. Only the configuration of an image names one."""
        config = manifest.document.get("config") or {}
        if manifest.is_index or config.get("mediaType") not in _IMAGES:
            return Image(reference, manifest).platforms
        return self.configured(reference, manifest).platforms

    def digest(self, reference: Reference) -> str | None:
        """The digest of a reference, without a download of the manifest. None if the reference does not exist."""
        http = self._http_for(reference)
        if http:
            return http.digest(reference)
        raw = self._session.read(self._session.crane("digest", str(reference)), reference)
        return None if raw is None else raw.decode(errors="replace").strip()

    def certainly_holds(self, reference: Reference, digest: str | None) -> bool:
        """Whether a tag certainly still has *digest*. False if the tag cannot be read."""
        try:
            return self.digest(reference) == digest
        except ZotError:
            return False

    def tags(self, reference: Reference) -> list[str] | None:
        """The tags of the repository of *reference*, in the order of the registry. None if it does not exist."""
        http = self._http_for(reference)
        if http:
            return http.tags(reference.repository)
        raw = self._session.read(self._session.crane("ls", reference.name), reference)
        if raw is None:
            return None
        with self.valid_response(reference):
            return [tag_name(tag) for tag in crane_lines(raw)]

    def catalog(self) -> list[str]:
        """The repositories of the registry that the user may read."""
        whole = self.reference("catalog", "latest")  # any repository name: crane uses the credentials of the registry
        command = self._session.crane("catalog", whole.registry)
        what = f"cannot list the repositories of {whole.registry}"
        raw = self._session.runner.retry(lambda: self._session.run(command, whole, what, denied=NO_READ))
        with self.valid_response(whole):
            return [repository_name(name) for name in crane_lines(raw)]

    def nearest_tags(self, reference: Reference) -> str:
        """For a reference that does not exist: a sentence that lists the most similar tags."""
        return most_similar(reference, self.tags(reference))

    def append(self, manifests: t.Iterable[Reference], reference: Reference) -> None:
        """Write an index of *manifests* under a tag."""
        members = [str(member) for member in manifests]
        given = [part for member in members for part in ("--manifest", member)]
        # Of several options --tag crane uses only the last.
        command = self._session.crane("index", "append", *given, "--tag", str(reference))
        self._session.run(command, reference, f"cannot write the index {reference}", names=members)

    def prepare(self, source: Reference) -> None:
        """Read the manifest with the digest of *source*, so that tag() sends only one request, unless crane does it."""
        http = self._http_for(source)
        raw = http.manifest(source) if http else None
        if raw is not None:
            with self.valid_response(source):
                self._prepared[source] = Manifest.parse(raw).media_type, raw

    def tag(self, source: Reference, tag: str) -> None:
        """Add the tag *tag* to the image of *source*, which has a digest."""
        if source not in self._prepared:
            self.prepare(source)
        if self._http and source.registry == self.name:
            if source not in self._prepared:
                raise ZotError("not_found", f"cannot tag {source}: it does not exist")
            self._http.put_manifest(source.tagged(tag), *self._prepared[source])
            return
        command = self._session.crane("tag", str(source), tag)
        self._session.run(command, source, f"cannot tag {source} as {tag}")

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
        command, what = self._session.crane("delete", str(reference)), f"cannot remove the tag {reference}"

        def attempt() -> None:
            try:
                self._session.run(command, reference, what, denied=NO_DELETE)
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
                raise unknown_image(error, reference) from error
            if now:
                raise error.with_(message=f"{error.message}; {reference} still holds {now}") from error

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
                raise unread(error, reference) from error
            # The error of the write explains more than the error of the read after it.
            failure = failures[-1] if failures else error
            # crane repeats a write after a lost response; the registry denies the second write of an immutable tag.
            if not failure.retryable and failure.error_class != "denied":
                raise failure from None
            try:
                now = read_image()
            except ZotError:
                raise unknown_image(failure, reference) from failure
            if is_done(now):
                return now
            message = f"{failure.message}; {reference} now holds {now.digest or 'nothing'}"
            raise failure.with_(message=message) from failure

    @contextlib.contextmanager
    def valid_response(self, reference: Reference) -> t.Iterator[None]:
        """Convert an invalid document of *reference* into an error of the registry."""
        try:
            yield
        except (InvalidImageError, InvalidReferenceError) as error:
            raise ZotError(
                "tool_failed",
                f"{reference}: the response of the registry is invalid: {error}",
                hint="Push the image again. If the error remains, ask the operator of the registry.",
            ) from error

    def _read_manifest(self, reference: Reference) -> bytes | None:
        http = self._http_for(reference)
        if http:
            return http.manifest(reference)
        return self._session.read(self._session.crane("manifest", str(reference)), reference)

    def _read_blob(self, reference: Reference, digest: str) -> bytes | None:
        http, pinned = self._http_for(reference), reference.pinned(digest)
        if http:
            return http.blob(pinned)
        # Unlike C(crane config) this does not request the manifest first.
        return self._session.read(self._session.crane("blob", str(pinned)), reference, absent="BLOB_UNKNOWN: ")

    def _configuration(self, reference: Reference, digest: str) -> bytes:
        """The configuration of that digest. Threads that need the same one share a single download."""
        name = str(reference.pinned(digest))
        done = threading.Event()
        first = self._in_flight.setdefault(name, done)
        if first is not done:
            first.wait()
        try:
            if name not in self._configurations:
                raw = self._read_blob(reference, digest)
                if raw is None or sha256(raw) != digest:
                    raise InvalidImageError("its configuration does not exist")
                self._configurations[name] = raw
            return self._configurations[name]
        finally:
            done.set()


def crane_lines(stdout: bytes) -> list[str]:
    """The lines of C(crane ls) or C(crane catalog), which follow the pages of the registry."""
    return stdout.decode(errors="replace").split("\n")[:-1]
