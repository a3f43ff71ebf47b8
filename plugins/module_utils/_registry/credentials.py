# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credentials of one user, the auth file that passes them to the tools, and the private directory of a task.

Private to killinit.zot: it may change at any time.

skopeo and crane search different auth files in different orders, and crane has no option for credentials
(https://github.com/google/go-containerregistry/blob/main/pkg/authn/keychain.go). So the task finds the entry itself and
writes a C(config.json) with only that entry. skopeo reads it by C(--authfile), crane by C(DOCKER_CONFIG).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import json
import os
import shutil
import tempfile
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import same_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import delayed_signals
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options, given

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.authfile import Account


class Credentials:
    """The credentials of one user, and the auth file that passes them to the tools."""

    def __init__(self, directory: str, options: Options) -> None:
        """*directory* is private. The user name and the password are sent to the registry of the *options* only."""
        self.directory = directory
        self.config = os.path.join(directory, "config.json")
        self._options = options
        if options.username and not options.registry:
            raise missing_registry()
        self._lock = threading.Lock()
        self._origins: dict[tuple[str, str], str] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._document: dict[str, dict[str, t.Any]] = {"auths": {}, "credHelpers": {}}
        self._is_written = False
        # Every secret that the tools received so far, in plain text and base64.
        self.secrets: set[str] = set()

    def origin(self, registry: str, repository: str) -> str:
        """The origin of the credentials of a repository as text. Raises ZotError if the auth file cannot be read."""
        with self._lock:
            key = (registry, repository)
            if key not in self._origins:
                self._origins[key] = self._add(registry, repository)
                self._is_written = False
            return self._origins[key]

    def prepare(self, registry: str, repository: str) -> str:
        """Write the credentials of a repository for the tools. Return their origin as text. Raises ZotError."""
        origin = self.origin(registry, repository)
        with self._lock:
            if not self._is_written:
                replace_json(self.config, self._document)
                self._is_written = True
        return origin

    def account(self, registry: str, repository: str) -> Account:
        """The credentials for requests without a tool; empty if there are none. Raises ZotError."""
        self.origin(registry, repository)
        with self._lock:
            key = (registry, repository)
            if key not in self._accounts:
                from ansible_collections.killinit.zot.plugins.module_utils._registry.authfile import account_in

                self._accounts[key], secrets = account_in(self._document, registry, repository)
                self.secrets.update(secrets)
            return self._accounts[key]

    def redact(self, text: str) -> str:
        """Remove every secret of the tools from *text*."""
        for secret in list(self.secrets):  # another thread may add one
            text = text.replace(secret, "********")
        return text

    def _add(self, registry: str, repository: str) -> str:
        options = self._options
        if options.username:
            if not same_registry(registry, options.registry or ""):
                return f"none, since username and password are for {options.registry}"
            plain = f"{options.username}:{options.password}"
            self._add_entry(registry, {"auth": base64.b64encode(plain.encode()).decode()})
            # A play can set another password of the same user.
            user, password = os.environ.get("ZOT_USERNAME"), os.environ.get("ZOT_PASSWORD") or options.password
            option = options.name_of("username")
            is_environment = (user, password) == (options.username, options.password) and option != "source_username"
            origin = "ZOT_USERNAME" if is_environment else given("username", option)
            return f"user {options.username!r} from {origin}"
        # Imported only here, because most tasks have a user name and a password.
        from ansible_collections.killinit.zot.plugins.module_utils._registry import authfile

        usual = authfile.default_authfiles() if options.ambient else []
        candidates = [options.authfile] if options.authfile else usual
        for path in candidates:
            document = authfile.load(path, required=bool(options.authfile))
            helper = authfile.helper_of(document, registry)
            found = authfile.entry_of(document, registry, repository)
            if found:
                name, entry = found
                # crane matches a host or a whole repository, not a prefix, so write the whole repository.
                self._add_entry(registry if name == registry else f"{registry}/{repository}", entry)
                return f"the entry {name} of {path}"
            if helper:
                if not shutil.which(f"docker-credential-{helper}"):
                    raise ZotError(
                        "tool_missing",
                        f"{path} keeps the credentials for {registry} with docker-credential-{helper},"
                        " which is not in PATH",
                        hint="Install the credential helper, or give username and password.",
                    )
                self._document["credHelpers"][registry] = helper
                return f"docker-credential-{helper} of {path}"
        if options.authfile:
            return f"none: {options.authfile} has no entry for {registry}"
        return f"none, since {options.foreign_account}" if options.foreign_account else "none were given"

    def _add_entry(self, key: str, entry: dict[str, t.Any]) -> None:
        self.secrets.update(value for name, value in entry.items() if name != "username" and isinstance(value, str))
        with contextlib.suppress(ValueError):
            self.secrets.add(base64.b64decode(entry.get("auth", "")).decode().partition(":")[2])
        self.secrets.discard("")
        self._document["auths"][key] = entry


@contextlib.contextmanager
def task_directory(tmpdir: str) -> t.Iterator[str]:
    """The private directory of a task, in the *tmpdir* of Ansible.

    First removes the directories that tasks of the same user left after SIGKILL: no process holds their locks.
    """
    for path in glob.glob(os.path.join(glob.escape(os.path.dirname(tmpdir)), "ansible-*", "zot-*")):
        with contextlib.suppress(OSError), _locked(os.path.dirname(path), fcntl.LOCK_EX | fcntl.LOCK_NB) as owner:
            if owner == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # some file systems have no locks
            stack.enter_context(_locked(tmpdir, fcntl.LOCK_SH))
        yield stack.enter_context(private_directory(tmpdir))


@contextlib.contextmanager
def _locked(directory: str, how: int) -> t.Iterator[int]:
    """Hold the lock of a directory. Yields the user id of its owner."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, how)
        yield os.fstat(handle).st_uid
    finally:
        os.close(handle)


@contextlib.contextmanager
def private_directory(parent: str) -> t.Iterator[str]:
    """A temporary directory of mode 0700, removed at the end. Raises ZotError if it cannot be created."""
    with disk_errors(parent):
        path = tempfile.mkdtemp(prefix="zot-", dir=parent)
    try:
        yield path
    finally:
        with delayed_signals():
            shutil.rmtree(path, ignore_errors=True)


def replace_json(path: str, document: t.Mapping[str, t.Any]) -> None:
    """Replace a file atomically, because another thread may start a tool at the same time. Raises ZotError."""
    directory = os.path.dirname(path)
    with disk_errors(directory):
        handle, temporary = tempfile.mkstemp(dir=directory)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
        os.replace(temporary, path)


@contextlib.contextmanager
def disk_errors(directory: str) -> t.Iterator[None]:
    """Convert the error of a full or read-only file system into a ZotError."""
    try:
        yield
    except OSError as error:
        raise ZotError(
            "tool_failed",
            f"cannot write into {directory}: {error.strerror}",
            hint="Free disk space there, or set remote_tmp (ansible.cfg) to a larger file system.",
        ) from error
