# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a pull secret like kubelet, and find the entries that kubelet uses for an image.

Private to killinit.zot: it may change at any time.

The rules are those of Kubernetes 1.37, https://github.com/kubernetes/kubernetes/tree/v1.37.2/pkg/credentialprovider:
secrets/secrets.go reads the secret, config.go an entry, keyring.go matches. Not implemented: entries for Docker Hub,
which also match images that name no registry.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing as t
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import unquote

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object

# The field that contains the entries, by the type of the secret.
FIELDS: t.Mapping[str, str] = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}

# The types of the secrets that a repair may replace. Something else uses a secret of any other type.
REPLACEABLE = (*FIELDS, "Opaque")

_SCHEME = re.compile(r"https?://")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s%^`{}|\\:\[\]]*)(?::([0-9]*))?")
_BROKEN_PATH = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnreadableError(ValueError):
    """Kubelet cannot read this. The message contains the reason and no secret."""


@dataclass(frozen=True)
class Entry:
    """One entry: the repositories that it applies to, and the credentials that kubelet reads from it.

    *name* is its key in the secret. *key* is that key as kubelet parses it, C(host[:port][/path]), or empty if kubelet
    ignores it. *contradicts* means that C(username) or C(password) differ from C(auth), which kubelet uses.
    """

    name: str = field(repr=False)
    key: str
    username: str
    password: str = field(repr=False)
    contradicts: bool

    @property
    def host(self) -> str:
        """The registry that it applies to, which may contain C(*)."""
        return self.key.partition("/")[0]

    @property
    def is_complete(self) -> bool:
        """Whether it has a user name and a password."""
        return bool(self.username and self.password)

    def fits(self, repository: str) -> bool:
        """Whether kubelet uses it for C(registry/repository)."""
        glob, slash, path = self.key.partition("/")
        host, target_slash, target_path = repository.partition("/")
        (glob, glob_port), (host, port) = _split_port(glob), _split_port(host)
        globs, parts = glob.split("."), host.split(".")
        return (
            bool(self.key)
            and glob_port == port
            and len(globs) == len(parts)
            # A prefix of the text: open fits openclaw/openclaw.
            and (target_slash + target_path).startswith(slash + path)
            and all(_fits_glob(*pair) for pair in zip(globs, parts))
        )


@dataclass(frozen=True)
class PullSecret:
    """The content of a Secret: the entries that can be read, and the *problems* of the others.

    If there is a problem, kubelet ignores this and all other pull secrets of the pod. *auths* are the raw entries.
    """

    type: str
    data_key: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    auths: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, secret: Object) -> PullSecret:
        """Read a Secret of the API, also one of the wrong type if it has a field with entries."""
        kind = str(secret.get("type") or "Opaque")
        data = secret.get("data") or {}
        name = FIELDS.get(kind) or next((each for each in FIELDS.values() if each in data), ".dockerconfigjson")
        try:
            auths = _auths(data, name)
        except UnreadableError as error:
            return cls(kind, name, (), (str(error),))
        entries, problems = [], []
        for key, value in auths.items():
            try:
                entry = _entry(key, value)
            except UnreadableError as error:
                problems.append(f"the entry {printable_key(key)} {error}")
            else:
                entries.append(entry)
        return cls(kind, name, tuple(entries), tuple(problems), auths)

    @property
    def unreadable_keys(self) -> list[str]:
        """The keys of the entries that kubelet cannot read."""
        readable = {entry.name for entry in self.entries}
        return [printable_key(name) for name in self.auths if name not in readable]

    def for_image(self, repository: str) -> list[Entry]:
        """The entries that kubelet tries for C(registry/repository), one after the other until one can pull."""
        fitting = [entry for entry in self.entries if entry.fits(repository)]
        return sorted(fitting, key=lambda entry: entry.key, reverse=True)


def secret_names(owner: Object) -> list[str]:
    """The pull secrets that the specification of a pod, or a service account, names."""
    return [each["name"] for each in owner.get("imagePullSecrets") or () if each.get("name")]


def service_account_of(specification: Object) -> str:
    """The service account of a pod."""
    return str(specification.get("serviceAccountName") or specification.get("serviceAccount") or "default")


def kubelet_key(name: str) -> str | None:
    """How kubelet parses the key of an entry: C(host[:port][/path]), or None if kubelet ignores it."""
    text = name if _SCHEME.match(name) else f"https://{name}"
    address, slash, path = re.split(r"[?#]", text.partition("://")[2], maxsplit=1)[0].partition("/")
    address = address.rpartition("@")[2]
    if _CONTROL.search(text) or not _ADDRESS.fullmatch(address) or _BROKEN_PATH.search(path):
        return None
    path = slash + unquote(path)
    if path.startswith(("/v1/", "/v2/")):
        path = path[len("/v2") :]
    return address if path == "/" else address + path


def printable_key(name: str) -> str:
    """The key of an entry without its secrets: a key may be a URL with a password, C(https://user:password@host)."""
    return kubelet_key(name) or repr(name.rpartition("@")[2])


def _auths(data: Object, name: str) -> Object:
    if not data.get(name):
        others = ", ".join(data) or "nothing"
        raise UnreadableError(f"it has no {name}, but {others}")
    try:
        text = base64.b64decode(data[name], validate=True).decode(errors="replace")
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # The message of the parser can quote the secret, so it is not used.
        raise UnreadableError(f"its {name} is not JSON") from None
    if document is None:
        return {}
    if isinstance(document, dict) and name == ".dockerconfigjson":
        headers, document = _value(document, "HttpHeaders"), _value(document, "auths")
        if headers is not None and not (isinstance(headers, dict) and all(map(_is_text, headers.values()))):
            raise UnreadableError(f"HttpHeaders in its {name} are not an object of texts")
        document = {} if document is None else document
        if not isinstance(document, dict):
            raise UnreadableError(f"auths in its {name} is not an object")
    if not isinstance(document, dict):
        raise UnreadableError(f"its {name} is not an object")
    return document


def _entry(name: str, value: t.Any) -> Entry:
    if not isinstance(value, dict) and value is not None:
        raise UnreadableError("is not an object")
    fields = {each: _value(value or {}, each) for each in ("username", "password", "email", "auth")}
    for each, content in fields.items():
        if not _is_text(content):
            raise UnreadableError(f"has a {each} that is not a text")
    username, password = fields["username"] or "", fields["password"] or ""
    contradicts = False
    if fields["auth"]:
        given = (username, password)
        username, password = _account(fields["auth"])
        contradicts = any(text and text != used for text, used in zip(given, (username, password)))
    return Entry(name, kubelet_key(name) or "", username, password, contradicts)


def _account(auth: str) -> tuple[str, str]:
    text = auth.replace("\r", "").replace("\n", "")
    if not text.endswith("="):
        text += "=" * (-len(text) % 4)
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode(errors="replace").partition(":")
    except (binascii.Error, ValueError):
        raise UnreadableError("has an auth that is not base64") from None
    if not colon:
        raise UnreadableError("has an auth that is not base64 of username:password")
    return username, password


def _value(document: Object, name: str) -> t.Any:
    """The value of a field. Like Go, ignore the case of its name."""
    return {str(key).lower(): value for key, value in document.items()}.get(name.lower())


def _is_text(value: t.Any) -> bool:
    return value is None or isinstance(value, str)


def _refuse(constant: str) -> t.NoReturn:
    """Refuse NaN and Infinity, which Python accepts and JSON does not have."""
    raise ValueError(constant)


def _split_port(address: str) -> tuple[str, str]:
    found = _ADDRESS.fullmatch(address)
    return (found.group(1), found.group(2) or "") if found else (address, "")


def _fits_glob(glob: str, part: str) -> bool:
    # An address can contain only the star of Go's patterns. fnmatch is fast even with many stars.
    return fnmatchcase(part, glob.replace("[", "[[]"))
