# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a pull secret as kubelet reads it, and say which of its entries kubelet uses for an image.

Private to killinit.zot: it may change at any time.

The rules are those of Kubernetes 1.37, https://github.com/kubernetes/kubernetes/tree/v1.37.2/pkg/credentialprovider:
secrets/secrets.go reads the secret, config.go an entry, keyring.go matches. What is left out: entries for Docker Hub,
which also fit images that name no registry.
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

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Object

# By type, the field that holds the entries.
FIELDS: t.Mapping[str, str] = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}

_SCHEME = re.compile(r"https?://")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s%^`{}|\\:\[\]]*)(?::([0-9]*))?")
_BROKEN_PATH = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnreadableError(ValueError):
    """Kubelet cannot read this; the message says why, without any secret."""


@dataclass(frozen=True)
class Entry:
    """One entry: what it is for, and the account that kubelet takes from it.

    *name* is its key as it stands in the secret, and *key* is that as kubelet understands it, C(host[:port][/path]), or
    empty if kubelet ignores it. *contradicts* says that C(username) or C(password) are other than in C(auth),
    which counts.
    """

    name: str = field(repr=False)
    key: str
    username: str
    password: str = field(repr=False)
    contradicts: bool

    @property
    def host(self) -> str:
        """The registry that it is for, which may have C(*) in it."""
        return self.key.partition("/")[0]

    @property
    def is_complete(self) -> bool:
        """Whether it holds an account at all."""
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
    """What a Secret holds: the entries that can be read, and why the others, or all, cannot be.

    One *problem* is enough for kubelet to read nothing of it, nor of the pod's other pull secrets. *auths* are the
    entries as they stand there.
    """

    type: str
    data_key: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    auths: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, secret: Object) -> PullSecret:
        """Read a Secret as the API gives it; of the wrong type, too, as far as it has a field of the right name."""
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
    """What kubelet understands by the key of an entry: C(host[:port][/path]), or None if it ignores it."""
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
    """The key of an entry, as far as it can be shown: one may hold a password, as in C(https://user:password@host)."""
    return kubelet_key(name) or repr(name.rpartition("@")[2])


def _auths(data: Object, name: str) -> Object:
    if not data.get(name):
        others = ", ".join(data) or "nothing"
        raise UnreadableError(f"it has no {name}, but {others}")
    try:
        text = base64.b64decode(data[name], validate=True).decode(errors="replace")
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # Without the parser's words: they can quote the secret.
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
    """Go takes a field in any spelling of upper and lower case."""
    return {str(key).lower(): value for key, value in document.items()}.get(name.lower())


def _is_text(value: t.Any) -> bool:
    return value is None or isinstance(value, str)


def _refuse(constant: str) -> t.NoReturn:
    """Python's NaN and Infinity are no JSON."""
    raise ValueError(constant)


def _split_port(address: str) -> tuple[str, str]:
    found = _ADDRESS.fullmatch(address)
    return (found.group(1), found.group(2) or "") if found else (address, "")


def _fits_glob(glob: str, part: str) -> bool:
    # Of Go's patterns an address can only have the star; fnmatch takes no longer for many of them.
    return fnmatchcase(part, glob.replace("[", "[[]"))
