# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry as the modules see it.

Private to killinit.zot: it may change at any time.

Reads by crane, which prints manifest and configuration byte for byte; writes images by skopeo and indexes by crane.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive, expand
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
    is_digest,
    registry_name,
    repository_name,
    tag_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry import crane, skopeo
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import (
    Credentials,
    environment,
    is_loopback,
    policy,
    private_directory,
    task_directory,
    without_plain_http,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import invalid_options
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import (
    Runner,
    ended_by_signals,
    find_tool,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


@contextlib.contextmanager
def open_registry(module: AnsibleModule) -> t.Iterator[Registry]:
    """The registry of a task, by the options that all modules share. At the end nothing of it is left.

    Raises ZotError for an option that cannot be used.
    """
    params = module.params
    with ended_by_signals() as first, invalid_options(), task_directory(module.tmpdir) as directory:
        if params["registry"]:
            registry_name(params["registry"])
        credentials = Credentials(
            directory,
            registry=params["registry"],
            username=params["username"],
            password=params["password"],
            authfile=params["authfile"],
        )
        empty = os.path.join(directory, "empty")
        os.mkdir(empty)
        # crane takes a reference for a file if there is one of that name: let there be none.
        runner = Runner(timeout=params["timeout"], retries=params["retries"], directory=empty, hide=credentials.hide)
        first.append(runner.end)
        try:
            yield Registry(
                params["registry"],
                runner=runner,
                credentials=credentials,
                variables=environment(directory, ca_path=params["ca_path"]),
                validate_certs=params["validate_certs"],
                skopeo_path=params["skopeo_path"],
                crane_path=params["crane_path"],
            )
        finally:
            runner.end()
            # A registry may send it back, in a label for instance. What is shorter can be part of any word.
            module.no_log_values.update(secret for secret in credentials.secrets if len(secret) >= 8)


class Registry:
    """Looks and writes. Every method raises ZotError; a look is tried again where that can help, a write is not."""

    def __init__(
        self,
        name: str | None,
        *,
        runner: Runner,
        credentials: Credentials,
        variables: t.Mapping[str, str],
        validate_certs: bool,
        skopeo_path: str | None,
        crane_path: str | None,
    ) -> None:
        """*name* is the registry of references that name none."""
        self.name = name
        self._runner = runner
        self._credentials = credentials
        self._variables = variables
        self._insecure = not validate_certs
        self._skopeo_path = skopeo_path
        self._crane = find_tool(crane_path, "crane")
        self._directory = credentials.directory
        self._policy = policy(self._directory)
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
        command = crane.manifest(self._crane, str(reference), insecure=self._insecure)
        raw = self._look(command, reference)
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
        command = crane.digest(self._crane, str(reference), insecure=self._insecure)
        raw = self._look(command, reference)
        return None if raw is None else raw.decode(errors="replace").strip()

    def tags(self, reference: Reference) -> list[str] | None:
        """The tags of the reference's repository, as the registry orders them; None when the repository is absent."""
        command = crane.tags(self._crane, reference.name, insecure=self._insecure)
        raw = self._look(command, reference)
        if raw is None:
            return None
        with self.sound(reference):
            return [tag_name(tag) for tag in crane.parse_lines(raw)]

    def catalog(self) -> list[str]:
        """The repositories of the registry that the account may see."""
        whole = self.reference("catalog", "latest")  # by whatever name: it is the registry's own credentials that count
        command = crane.catalog(self._crane, whole.registry, insecure=self._insecure)
        what = f"cannot list the repositories of {whole.registry}"
        raw = self._runner.retry(lambda: self._run(command, whole, what, crane.message))
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
    def readable(self, archive: Archive) -> t.Iterator[str]:
        """A path under which skopeo can read an archive: its own, or that of a copy which is gone at the end."""
        if not archive.compression and ":" not in archive.path:
            yield archive.path
            return
        with private_directory(self._directory) as directory:
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
        with private_directory(self._directory) as directory:
            digestfile = os.path.join(directory, "digest")

            def command(verify_tls: bool) -> list[str]:
                return skopeo.copy(
                    find_tool(self._skopeo_path, "skopeo"),
                    archive=path,
                    index=archive.index if archive.count > 1 else None,
                    destination=str(reference),
                    authfile=self._credentials.config,
                    digestfile=digestfile,
                    tmpdir=directory,
                    policy=self._policy,
                    verify_tls=verify_tls,
                )

            what = f"cannot push {archive.path} to {reference}"
            try:
                self._run(command(not self._insecure), reference, what, skopeo.message)
            except ZotError as error:
                if "server gave HTTP response" in error.stderr and is_loopback(reference.registry):
                    # As crane does. An address of another machine stays an error.
                    self._run(command(False), reference, what, skopeo.message)
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
        command = crane.append(self._crane, members, str(reference), insecure=self._insecure)
        self._run(command, reference, f"cannot write the index {reference}", crane.message, names=members)

    def tag(self, source: Reference, tag: str) -> None:
        """Give what *source* means the further tag *tag*."""
        command = crane.tag(self._crane, str(source), tag, insecure=self._insecure)
        self._run(command, source, f"cannot tag {source} as {tag}", crane.message)

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
            return self._runner.retry(attempt)
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
        find_tool(self._skopeo_path, "skopeo")

    def _configuration(self, reference: Reference, digest: str) -> bytes:
        """The configuration of that digest; those who need one at the same time ask once."""
        name = str(reference.pinned(digest))
        done = threading.Event()
        first = self._asking.setdefault(name, done)
        if first is not done:
            first.wait()
        try:
            if name not in self._configurations:
                command = crane.blob(self._crane, name, insecure=self._insecure)
                raw = self._look(command, reference, absent="BLOB_UNKNOWN: ")
                if raw is None or sha256(raw) != digest:
                    raise InvalidImageError("its configuration is not there")
                self._configurations[name] = raw
            return self._configurations[name]
        finally:
            done.set()

    def _look(self, command: t.Sequence[str], reference: Reference, *, absent: str | None = None) -> bytes | None:
        """Run a command that reads; None when what it asks for is absent, for which *absent* may be a further sign."""
        try:
            return self._runner.retry(lambda: self._run(command, reference, f"cannot read {reference}", crane.message))
        except ZotError as error:
            if error.error_class == "not_found" or (absent and absent in error.stderr):
                return None
            raise

    def _run(
        self,
        command: t.Sequence[str],
        reference: Reference,
        what: str,
        message: t.Callable[[str], str],
        names: t.Sequence[str] = (),
    ) -> bytes:
        origin = self._credentials.cover(reference.registry, reference.repository)
        variables = self._variables
        if not self._insecure:
            variables = without_plain_http(variables, reference.registry)
        try:
            return self._runner.run(
                command,
                what=what,
                environment=variables,
                message=message,
                names=[str(reference), reference.name, *names],
            )
        except ZotError as error:
            error.hint = error.hint.replace("{credentials}", origin)
            raise

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
