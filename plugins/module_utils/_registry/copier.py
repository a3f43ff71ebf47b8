# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy an image between two registries with crane, which keeps its digest.

Private to killinit.zot: it may change at any time.

One run of crane can use different credentials for each repository, but C(--insecure), the CA certificates and the
proxies apply to both registries. If these differ, the image is copied through an OCI layout in the private directory of
the task.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import (
    disk_errors,
    private_directory,
    replace_json,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import NO_READ, ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, crane_message

# These variables differ between any two sessions, even for the same registry.
_OWN_PATHS = ("DOCKER_CONFIG", "SSL_CERT_DIR")


class Copier:
    """Copies images from the registry of one session to the registry of another. Threads may share it."""

    def __init__(self, source: Session, destination: Session) -> None:
        """Neither registry receives the credentials of the other."""
        self._source, self._destination = source, destination
        self._lock = threading.Lock()
        # A layout can be large, so only one exists at a time.
        self._layout = threading.Lock()
        with disk_errors(destination.directory):
            self._directory = tempfile.mkdtemp(dir=destination.directory)
        self._accounts: dict[str, dict[str, str]] = {}

    def copy(self, source: Reference, destination: Reference) -> None:
        """Copy the manifest *source*, or the index with its members, to *destination*. Both have the same digest.

        Blobs and manifests that the destination already has are not sent. Raises ZotError.
        """
        if self._is_one_run(source, destination):
            self._source.runner.retry(lambda: self._run(source, destination))
            return
        with self._layout, private_directory(self._destination.directory) as directory:
            layout = self._source.runner.retry(lambda: self._pull(source, directory))
            self._destination.runner.retry(lambda: self._push(layout, source, destination))

    def _is_one_run(self, source: Reference, destination: Reference) -> bool:
        """Whether both registries need the same options and environment, so that one run of crane is enough."""
        both = (self._source.variables(source.registry), self._destination.variables(destination.registry))
        plain = [{name: value for name, value in each.items() if name not in _OWN_PATHS} for each in both]
        return (
            self._source.insecure == self._destination.insecure
            and self._source.trust.own == self._destination.trust.own
            and plain[0] == plain[1]
        )

    def _run(self, source: Reference, destination: Reference) -> None:
        variables = {**self._destination.variables(destination.registry), "DOCKER_CONFIG": self._directory}
        self._prepare(self._source, source)
        self._prepare(self._destination, destination)
        # Manifests are copied byte by byte.
        command = self._destination.crane("copy", str(source), str(destination))
        try:
            self._destination.runner.run(
                command,
                what=_what(source, destination),
                environment=variables,
                message=crane_message,
                names=[str(source), str(destination), source.name, destination.name],
            )
        except ZotError as error:
            is_source = f"//{source.registry}/v2/{source.repository}/" in error.stderr
            session, reference = (self._source, source) if is_source else (self._destination, destination)
            origin = session.credentials.prepare(reference.registry, reference.repository)
            hint = NO_READ if is_source and error.error_class == "denied" else error.hint
            raise _collected(error.with_(hint=hint, values=session.explained(origin))) from error

    def _prepare(self, session: Session, reference: Reference) -> None:
        """Write the credentials of a repository for crane. They can differ between repositories of one registry."""
        account = session.credentials.account(reference.registry, reference.repository)
        # The runner of the destination redacts the secrets of both sessions in the messages of crane.
        self._destination.secrets.update(session.secrets)
        fields = {"auth": account.basic.partition(" ")[2], "identitytoken": account.identity_token}
        entry = {name: value for name, value in fields.items() if value}
        with self._lock:
            if self._accounts.get(reference.name) == entry:
                return
            self._accounts[reference.name] = entry
            auths = {name: each for name, each in self._accounts.items() if each}
            replace_json(os.path.join(self._directory, "config.json"), {"auths": auths})

    def _pull(self, source: Reference, directory: str) -> str:
        # Use a new layout for each attempt, because crane would add a second entry to an existing layout.
        with disk_errors(directory):
            layout = os.path.join(tempfile.mkdtemp(dir=directory), "layout")
        command = self._source.crane("pull", "--format=oci", str(source), layout)
        with _full_disk(source, directory):
            self._source.run(command, source, f"cannot read {source}", denied=NO_READ)
        return layout

    def _push(self, layout: str, source: Reference, destination: Reference) -> None:
        # Pushes the only entry of the layout. With --index crane would push its index.json instead.
        command = self._destination.crane("push", layout, str(destination))
        try:
            self._destination.run(command, destination, _what(source, destination))
        except ZotError as error:
            raise _collected(error) from error


def _collected(error: ZotError) -> ZotError:
    """The hint for a manifest whose blobs are missing: crane has just sent them, or found them at the destination."""
    if error.error_class != "manifest_invalid":
        return error
    return error.with_(
        hint="If a blob of the image is missing, the garbage collection of the registry has removed it during the copy:"
        " run the task again, and make its delay (Zot: gcDelay) longer than a copy takes. If the image is not an OCI"
        " image, Zot needs http.compat."
    )


def _what(source: Reference, destination: Reference) -> str:
    return f"cannot copy {source} to {destination.name}"


@contextlib.contextmanager
def _full_disk(source: Reference, directory: str) -> t.Iterator[None]:
    try:
        yield
    except ZotError as error:
        if os.strerror(errno.ENOSPC).lower() in error.stderr.lower():
            raise error.with_(
                hint=f"{directory} needs space for {source}: free disk space there, or set remote_tmp (ansible.cfg) to"
                " a larger file system. If both registries have the same ca_path and validate_certs, nothing is stored."
            ) from error
        raise
