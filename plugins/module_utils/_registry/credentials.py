# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The private directory that holds auth file and CA while a task runs.

Private to killinit.zot: it may change at any time.

skopeo and crane look for credentials in different places and orders, and crane takes them by no option
(https://github.com/google/go-containerregistry/blob/main/pkg/authn/keychain.go). So the task finds the entry itself and
hands both tools one C(config.json) that has nothing else in it: skopeo by C(--authfile), crane by C(DOCKER_CONFIG).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import ipaddress
import json
import os
import re
import shutil
import tempfile
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._registry.certificates import further
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

_POLICIES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")
# Nothing of these may be seen in the environment of a tool.
_OURS = ("ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_AUTHFILE")


class Credentials:
    """What proves to a registry who we are, and the files by which the tools get it."""

    def __init__(
        self,
        directory: str,
        *,
        registry: str | None,
        username: str | None,
        password: str | None,
        authfile: str | None,
        ambient: bool = True,
    ) -> None:
        """*directory* is private already; *username* and *password* are for *registry* and for no other.

        With *ambient* the credentials may also come from where skopeo and crane look by themselves.
        """
        self.directory = directory
        self.config = os.path.join(directory, "config.json")
        self._registry = registry
        self._username, self._password, self._authfile = _chosen(username, password, authfile)
        if self._username and not registry:
            raise ZotError("invalid_option", "username and password are given, but not the registry that they are for")
        self._ambient = ambient
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], str] = {}
        self._written: dict[str, dict[str, t.Any]] = {"auths": {}, "credHelpers": {}}
        # What the tools were given so far, plain and as it is sent.
        self.secrets: set[str] = set()
        self._write()

    def cover(self, registry: str, repository: str) -> str:
        """See to it that both tools find the credentials for a repository; return where they come from, in words.

        Raises ZotError when the auth file cannot be read.
        """
        with self._lock:
            key = (registry, repository)
            if key not in self._known:
                self._known[key] = self._add(registry, repository)
            return self._known[key]

    def hide(self, text: str) -> str:
        """Take every secret that the tools were given out of *text*."""
        for secret in self.secrets:
            text = text.replace(secret, "********")
        return text

    def _add(self, registry: str, repository: str) -> str:
        if self._username is not None:
            if registry != self._registry:
                return f"none, since username and password are for {self._registry}"
            plain = f"{self._username}:{self._password}"
            self._put(registry, {"auth": base64.b64encode(plain.encode()).decode()})
            origin = "ZOT_USERNAME" if os.environ.get("ZOT_USERNAME") == self._username else "the option username"
            return f"user {self._username!r} from {origin}"
        candidates = [self._authfile] if self._authfile else _usual_authfiles() if self._ambient else []
        for path in candidates:
            document = _load(path, required=bool(self._authfile))
            helper = _helper(document, registry)
            for name in _keys(registry, repository):
                entry = _entry(document, name)
                if entry:
                    # crane knows a host and a whole repository, skopeo also what lies between: write the whole one.
                    self._put(registry if name == registry else f"{registry}/{repository}", entry)
                    return f"the entry {name} of {path}"
            if helper:
                if not shutil.which(f"docker-credential-{helper}"):
                    raise ZotError(
                        "tool_missing",
                        f"{path} keeps the credentials for {registry} with docker-credential-{helper},"
                        " which is not in PATH",
                        hint="Install that credential helper, or give username and password.",
                    )
                self._written["credHelpers"][registry] = helper
                self._write()
                return f"docker-credential-{helper}, which {path} names"
        return f"none: {self._authfile} has no entry for {registry}" if self._authfile else "none were given"

    def _put(self, key: str, entry: dict[str, t.Any]) -> None:
        self.secrets.update(value for name, value in entry.items() if name != "username" and isinstance(value, str))
        with contextlib.suppress(ValueError):
            self.secrets.add(base64.b64decode(entry.get("auth", "")).decode().partition(":")[2])
        self.secrets.discard("")
        self._written["auths"][key] = entry
        self._write()

    def _write(self) -> None:
        # Beside it and over it: a tool that starts meanwhile reads the old file or the new one, never half of one.
        with _room(self.directory):
            handle, path = tempfile.mkstemp(dir=self.directory)
            with os.fdopen(handle, "w") as file:
                json.dump(self._written, file)
            os.replace(path, self.config)


@contextlib.contextmanager
def task_directory(tmpdir: str) -> t.Iterator[str]:
    """The private directory of a task, in the *tmpdir* that Ansible gives it.

    It first removes what tasks of the same user left when SIGKILL ended them: nobody holds the locks of those any more.
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
    """Hold the lock of a directory; gives the directory's owner."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, how)
        yield os.fstat(handle).st_uid
    finally:
        os.close(handle)


@contextlib.contextmanager
def private_directory(parent: str) -> t.Iterator[str]:
    """A directory of mode 0700 that is gone at the end, however that comes. Raises ZotError if it cannot be made."""
    with _room(parent):
        path = tempfile.mkdtemp(prefix="zot-", dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _room(directory: str) -> t.Iterator[None]:
    """Turn a full or unwritable disk into an error that says so."""
    try:
        yield
    except OSError as error:
        raise ZotError(
            "tool_failed",
            f"cannot write into {directory}: {error.strerror}",
            hint="Make room there, or point remote_tmp (ansible.cfg) to a place that has it, and run the task again.",
        ) from error


def environment(directory: str, *, ca_path: str | None) -> dict[str, str]:
    """The environment for both tools: our own without its secrets, with the auth file and the CA.

    Raises ZotError when *ca_path* cannot be read.
    """
    result = {name: value for name, value in os.environ.items() if name not in _OURS}
    result["DOCKER_CONFIG"] = directory
    bundle, more = further(result)
    authority = b""
    if ca_path:
        try:
            with open(ca_path, "rb") as file:
                authority = file.read()
        except (OSError, ValueError) as error:  # a ValueError for a path that no system can have
            reason = error.strerror if isinstance(error, OSError) else error
            raise ZotError(
                "invalid_option", f"ca_path {ca_path} cannot be read: {reason}", hint="Give a PEM file."
            ) from error
    certificates = os.path.join(directory, "certificates")
    with _room(directory):
        os.mkdir(certificates, 0o700)
        for name, content in (("system.crt", more), ("ca.crt", authority)):
            with open(os.path.join(certificates, name), "wb") as file:
                file.write(content)
    # Beside the system's, not instead of them.
    result.update(SSL_CERT_DIR=certificates, **({"SSL_CERT_FILE": bundle} if bundle else {}))
    return result


def without_plain_http(environment: t.Mapping[str, str], registry: str) -> dict[str, str]:
    """The environment with which crane cannot fall back to plain HTTP for *registry*; loopback is not affected.

    crane does so unasked for private addresses and, before 0.21.6, for *.local, and sends the credentials with it
    (https://github.com/google/go-containerregistry/blob/main/pkg/name/registry.go). A proxy for HTTP alone, at which
    nobody answers, stops that.
    """
    result = dict(environment)
    host = _host(registry)
    if host.endswith(".local") or _is_private(host):
        import urllib.request  # for these alone: it takes a twentieth of a module's start

        if urllib.request.proxy_bypass(host):
            for name in ("HTTPS_PROXY", "https_proxy"):
                result.pop(name, None)
        result.update(dict.fromkeys(("NO_PROXY", "no_proxy"), ""))
        result.update(dict.fromkeys(("HTTP_PROXY", "http_proxy"), "http://127.0.0.1:1"))
    return result


def is_loopback(registry: str) -> bool:
    """Whether *registry* is on this machine, where plain HTTP shows nothing to anybody."""
    host = _host(registry).strip("[]")
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _host(registry: str) -> str:
    return re.sub(r":[0-9]+$", "", registry)


def _is_private(host: str) -> bool:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.is_private and not address.is_loopback
    return False


def policy(directory: str) -> str | None:
    """A signature policy for skopeo where the machine has none, as in most containers; None where it has one.

    Ours accepts docker archives, which nobody signs, and nothing else.
    """
    usual = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "containers/policy.json")
    if any(os.path.exists(path) for path in (usual, *_POLICIES)):
        return None
    path = os.path.join(directory, "policy.json")
    with _room(directory), open(path, "w") as file:
        accept = {"docker-archive": {"": [{"type": "insecureAcceptAnything"}]}}
        json.dump({"default": [{"type": "reject"}], "transports": accept}, file)
    return path


def _chosen(
    username: str | None, password: str | None, authfile: str | None
) -> tuple[str | None, str | None, str | None]:
    """Of credentials and auth file the one that the task names; the environment is only for what it does not name."""
    if username and authfile:
        if username == os.environ.get("ZOT_USERNAME"):
            username = password = None
        elif authfile == os.environ.get("ZOT_AUTHFILE"):
            authfile = None
        else:
            raise ZotError("invalid_option", "authfile and username are both given: which is it to be?")
    if username and password is None:
        raise ZotError("invalid_option", "username is given without password")
    return username or None, password, authfile or None


def _usual_authfiles() -> list[str]:
    """Where skopeo and crane look by themselves, skopeo's places first.

    https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
    """
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    return [
        *filter(None, [os.environ.get("REGISTRY_AUTH_FILE")]),
        os.path.join(runtime, "containers/auth.json" if os.environ.get("XDG_RUNTIME_DIR") else "auth.json"),
        os.path.join(config, "containers/auth.json"),
        os.path.join(os.environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json"),
    ]


def _load(path: str, *, required: bool) -> dict[str, t.Any]:
    hint = "Give a file as docker login or skopeo login writes it, or username and password."
    try:
        with open(path, "rb") as file:
            document = json.load(file)
    except OSError as error:
        if not required:
            return {}
        raise ZotError("invalid_option", f"authfile {path} cannot be read: {error.strerror}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        # Without the parser's words: they can quote the file.
        raise ZotError("invalid_option", f"the auth file {path} is not valid JSON", hint=hint) from error
    auths = document.get("auths", {}) if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise ZotError("invalid_option", f"the auth file {path} has no object auths", hint=hint)
    return t.cast("dict[str, t.Any]", document)


def _keys(registry: str, repository: str) -> t.Iterator[str]:
    """The keys that fit a repository, the longest first."""
    parts = repository.split("/")
    for count in range(len(parts), 0, -1):
        yield "/".join([registry, *parts[:count]])
    yield registry


def _entry(document: dict[str, t.Any], name: str) -> dict[str, t.Any] | None:
    for key, entry in document.get("auths", {}).items():
        bare = key.partition("://")[2] or key
        bare = bare.rstrip("/")
        for version in ("/v1", "/v2"):
            bare = bare[: -len(version)] if bare.endswith(version) else bare
        # What is no text can be no credential.
        fields = (
            {field: value for field, value in entry.items() if isinstance(value, str)}
            if isinstance(entry, dict)
            else {}
        )
        if bare == name and any(fields.get(field) for field in ("auth", "password", "identitytoken")):
            if fields.get("auth") or fields.get("identitytoken"):
                return fields
            plain = f"{fields.get('username', '')}:{fields['password']}"
            return {"auth": base64.b64encode(plain.encode()).decode()}
    return None


def _helper(document: dict[str, t.Any], registry: str) -> str | None:
    helpers = document.get("credHelpers")
    named = helpers.get(registry) if isinstance(helpers, dict) else None
    found = named or document.get("credsStore")
    return found if isinstance(found, str) else None
