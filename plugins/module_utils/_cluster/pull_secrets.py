# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a pull secret like kubelet, find the entries that kubelet uses for an image, and set the entry of a registry.

Private to killinit.zot: it may change at any time.

The rules are those of Kubernetes 1.37, https://github.com/kubernetes/kubernetes/tree/v1.37.2/pkg/credentialprovider:
secrets/secrets.go reads the secret, config.go an entry, keyring.go matches. Not implemented: entries for Docker Hub,
which also match images that name no registry.

An annotation says which API key an entry holds, with a fingerprint: it says nothing of what somebody else writes later.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
import typing as t
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from urllib.parse import unquote

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import (
    object_in,
    parse_time,
    printable,
    strict_json,
)

# The field that contains the entries, by the type of the secret.
FIELDS: t.Mapping[str, str] = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}
# The type of the secrets that a repair writes.
TYPE = "kubernetes.io/dockerconfigjson"
# The types of the secrets that a repair may replace. Something else uses a secret of any other type.
REPLACEABLE = (*FIELDS, "Opaque")

_SHORTEST = 8
_SCHEME = re.compile(r"https?://")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s%^`{}|\\:\[\]]*)(?::([0-9]*))?")
_BROKEN_PATH = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SPACE = re.compile(r"[ \t\n\r]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnreadableSecretError(ValueError):
    """Kubelet cannot read this. The message contains the reason and no secret."""


@dataclass(frozen=True)
class SecretEntry:
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

    If there is a problem, kubelet ignores this and all other pull secrets of the pod. *auths* are all entries, and
    *others* the other fields of their document, both as the JSON text in the secret.
    """

    type: str
    data_key: str
    entries: tuple[SecretEntry, ...]
    problems: tuple[str, ...]
    auths: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    others: t.Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, secret: Object) -> PullSecret:
        """Read a Secret of the API, also one of the wrong type if it has a field with entries."""
        kind = str(secret.get("type") or "Opaque")
        data = secret.get("data") or {}
        name = FIELDS.get(kind) or next((each for each in FIELDS.values() if each in data), ".dockerconfigjson")
        try:
            auths, others = _fields(data, name)
        except UnreadableSecretError as error:
            return cls(kind, name, (), (str(error),))
        entries, problems = [], []
        for key, text in auths.items():
            try:
                entry = _entry(key, json.loads(text))
            except UnreadableSecretError as error:
                problems.append(f"the entry {printable_key(key)} {error}")
            else:
                entries.append(entry)
        return cls(kind, name, tuple(entries), tuple(problems), auths, others)

    @property
    def unreadable_keys(self) -> list[str]:
        """The keys of the entries that kubelet cannot read."""
        readable = {entry.name for entry in self.entries}
        return [printable_key(name) for name in self.auths if name not in readable]

    def for_image(self, repository: str) -> list[SecretEntry]:
        """The entries that kubelet tries for C(registry/repository), one after the other until one can pull."""
        fitting = [entry for entry in self.entries if entry.fits(repository)]
        return sorted(fitting, key=lambda entry: entry.key, reverse=True)

    def joined(self, other: PullSecret) -> PullSecret:
        """This content, with the readable entries of *other* for what this content has no entry."""
        keys = {kubelet_key(name) for name in self.auths}
        missing = [each for each in other.entries if each.name not in self.auths and (each.key or None) not in keys]
        auths = {**self.auths, **{each.name: other.auths[each.name] for each in missing}}
        return replace(self, entries=(*self.entries, *missing), auths=auths, others={**other.others, **self.others})

    def with_entry(self, *registries: str) -> EntryUpdate:
        """The update that sets the entries of *registries*, and removes the entries that kubelet cannot read."""
        # A key that kubelet cannot parse may contain a password at an unknown place.
        readable = [each for each in self.entries if each.key or "@" not in each.name]
        return EntryUpdate(self, registries, tuple(each.name for each in readable if each.key not in registries))

    def without_entry(self, *registries: str) -> EntryUpdate:
        """The update that removes the entries of *registries*, and nothing else."""
        return EntryUpdate(self, (), tuple(name for name in self.auths if kubelet_key(name) not in registries))


@dataclass(frozen=True)
class PullCredentials:
    """The credentials that a repair writes."""

    username: str
    password: str = field(repr=False)

    def entry(self) -> dict[str, str]:
        """An entry in the form of C(kubectl create secret docker-registry)."""
        auth = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"username": self.username, "password": self.password, "auth": auth}


@dataclass(frozen=True)
class EntryUpdate:
    """Sets the entries of *registries* in a pull secret. Those with the keys in *kept* do not change by a byte."""

    secret: PullSecret
    registries: tuple[str, ...]
    kept: tuple[str, ...] = field(repr=False)

    def changes(self, credentials: PullCredentials | None) -> tuple[str, ...]:
        """The change of each entry, without secrets. Without *credentials*, those of the registries always change."""
        auths = self.secret.auths
        names = {*self.registries, *self.kept}
        words = {printable_key(name): "removed" for name in auths if name not in names}
        for registry in self.registries:
            if registry not in auths:
                words[registry] = "credentials updated" if registry in words else "added"
            elif not credentials or json.loads(auths[registry]) != credentials.entry():
                words[registry] = "credentials updated"
        return tuple(printable(f"entry {key}: {word}") for key, word in words.items())

    @property
    def is_empty(self) -> bool:
        """Whether the secret then has neither an entry nor anything else in its document."""
        return not self.registries and not self.kept and not self.secret.others

    def data(self, credentials: PullCredentials | None) -> str:
        """The value of C(.dockerconfigjson) in the data of the Secret. *credentials* are those of all registries."""
        entries = {name: self.secret.auths[name] for name in self.kept}
        if credentials:
            entries.update((name, json.dumps(credentials.entry())) for name in self.registries)
        document = _json_text({**self.secret.others, "auths": _json_text(entries)})
        return base64.b64encode(document.encode()).decode()


def hidden_texts(secret: Object) -> t.Iterator[str]:
    """The texts of a Secret that no output may contain, in plain text and base64. Short ones are parts of words."""
    yield from (value for value in (secret.get("data") or {}).values() if len(value) >= _SHORTEST)
    for text in PullSecret.read(secret).auths.values():
        entry = json.loads(text)
        for name, value in entry.items() if isinstance(entry, dict) else ():
            if isinstance(value, str) and len(value) >= _SHORTEST and name.lower() not in ("username", "email"):
                yield value


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


def _fields(data: Object, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """The entries in a field of a Secret, and the other fields of their document, each as its JSON text."""
    if not data.get(name):
        others = ", ".join(data) or "nothing"
        raise UnreadableSecretError(f"it has no {name}, but {others}")
    try:
        text = base64.b64decode(data[name], validate=True).decode(errors="replace")
        document = strict_json(text)
        texts = _members(text) if isinstance(document, dict) else {}
    except (ValueError, RecursionError):
        # The message of the parser can quote the secret, so it is not used.
        raise UnreadableSecretError(f"its {name} is not JSON") from None
    if document is None:
        return {}, {}
    if not isinstance(document, dict):
        raise UnreadableSecretError(f"its {name} is not an object")
    if name != FIELDS[TYPE]:
        return texts, {}
    headers, auths = _value(document, "HttpHeaders"), _value(document, "auths")
    if headers is not None and not (isinstance(headers, dict) and all(map(_is_text, headers.values()))):
        raise UnreadableSecretError(f"HttpHeaders in its {name} are not an object of texts")
    if auths is not None and not isinstance(auths, dict):
        raise UnreadableSecretError(f"auths in its {name} is not an object")
    beside = {key: value for key, value in texts.items() if key.lower() != "auths"}
    return _members(_value(texts, "auths")) if auths else {}, beside


def _members(text: str) -> dict[str, str]:
    """The fields of a JSON object, each with its value as it is written."""
    decode = json.JSONDecoder().raw_decode
    found = {}
    place = _after_space(text, _after_space(text, 0) + 1)
    while text[place] != "}":
        name, place = decode(text, place)
        start = _after_space(text, _after_space(text, place) + 1)
        place = decode(text, start)[1]
        found[name] = text[start:place]
        place = _after_space(text, place)
        if text[place] == ",":
            place = _after_space(text, place + 1)
    return found


def _after_space(text: str, place: int) -> int:
    return t.cast("re.Match[str]", _SPACE.match(text, place)).end()


def _json_text(fields: t.Mapping[str, str]) -> str:
    """A JSON object of fields whose values are JSON texts."""
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}"


def _entry(name: str, value: t.Any) -> SecretEntry:
    if not isinstance(value, dict) and value is not None:
        raise UnreadableSecretError("is not an object")
    fields = {each: _value(value or {}, each) for each in ("username", "password", "email", "auth")}
    for each, content in fields.items():
        if not _is_text(content):
            raise UnreadableSecretError(f"has a {each} that is not a text")
    username, password = fields["username"] or "", fields["password"] or ""
    contradicts = False
    if fields["auth"]:
        given = (username, password)
        username, password = _decoded(fields["auth"])
        contradicts = any(text and text != used for text, used in zip(given, (username, password)))
    return SecretEntry(name, kubelet_key(name) or "", username, password, contradicts)


def _decoded(auth: str) -> tuple[str, str]:
    text = auth.replace("\r", "").replace("\n", "")
    if not text.endswith("="):
        text += "=" * (-len(text) % 4)
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode(errors="replace").partition(":")
    except (binascii.Error, ValueError):
        raise UnreadableSecretError("has an auth that is not base64") from None
    if not colon:
        raise UnreadableSecretError("has an auth that is not base64 of username:password")
    return username, password


def _value(document: Object, name: str) -> t.Any:
    """The value of a field. Like Go, ignore the case of its name."""
    return {str(key).lower(): value for key, value in document.items()}.get(name.lower())


def _is_text(value: t.Any) -> bool:
    return value is None or isinstance(value, str)


def _split_port(address: str) -> tuple[str, str]:
    found = _ADDRESS.fullmatch(address)
    return (found.group(1), found.group(2) or "") if found else (address, "")


def _fits_glob(glob: str, part: str) -> bool:
    # An address can contain only the star of Go's patterns. fnmatch is fast even with many stars.
    return fnmatchcase(part, glob.replace("[", "[[]"))


# A JSON object with an entry for each registry.
API_KEYS = "killinit.zot/api-keys"


@dataclass(frozen=True)
class PullKey:
    """An API key in a pull secret, without the key itself. *expires_at* is a time of RFC 3339, or None for never."""

    uuid: str
    label: str
    expires_at: str | None

    def expiry_text(self, now: float, within: float) -> str | None:
        """A sentence if the key has expired, or expires *within* some seconds. Zot only says that it is not valid."""
        expires = parse_time(self.expires_at)
        if expires is None or expires.timestamp - now > within:
            return None
        word = "has expired" if expires.timestamp <= now else "expires"
        return printable(f"The API key {self.uuid} ({self.label}) {word} at {self.expires_at}.")

    def for_ansible(self) -> dict[str, t.Any]:
        """The value of C(key) in a result. The texts are escaped: they come from a cluster."""
        return {name: value and printable(value) for name, value in asdict(self).items()}


def held_key(secret: Object | None, registry: str) -> PullKey | None:
    """The API key in the entry of *registry*; None if the entry holds something else, or if nothing is known of it."""
    credentials = held_credentials(secret, registry)
    record = _records(secret).get(registry)
    with contextlib.suppress(KeyError, TypeError):
        if credentials and record["fingerprint"] == _fingerprint(credentials.password):  # type: ignore[index]
            expires = record["expires_at"]  # type: ignore[index]
            return PullKey(str(record["uuid"]), str(record["label"]), None if expires is None else str(expires))  # type: ignore[index]
    return None


def held_credentials(secret: Object | None, registry: str) -> PullCredentials | None:
    """The user name and the password in the entry of *registry*; None if there is no such entry."""
    found = [each for each in PullSecret.read(secret or {}).entries if each.key == registry]
    return PullCredentials(found[-1].username, found[-1].password) if found else None


def key_annotation(secret: Object | None, registries: t.Iterable[str], key: PullKey, password: str) -> dict[str, str]:
    """The annotation of a secret whose entries of *registries* hold *key*. *password* is the key itself."""
    entry = {**asdict(key), "fingerprint": _fingerprint(password)}
    return {API_KEYS: json.dumps({**_records(secret), **dict.fromkeys(registries, entry)}, sort_keys=True)}


def key_label(server: str, namespace: str, secret: str, accounts: t.Mapping[str, Object] | None) -> str | None:
    """The label of the keys of a pull secret. None if the service accounts are not known.

    Two clusters may have the same address, for example that of a tunnel, and would revoke the keys of each other. The
    identifier of the service account default, which each namespace has, differs.
    """
    identifier = (accounts or {}).get("default", {}).get("metadata", {}).get("uid")
    host = server.partition("://")[2] or server
    return f"{namespace}/{secret} at {host.rstrip('/')} ({identifier[:8]})" if identifier else None


def _records(secret: Object | None) -> dict[str, t.Any]:
    return object_in(((secret or {}).get("metadata", {}).get("annotations") or {}).get(API_KEYS))


def _fingerprint(password: str) -> str:
    # An API key has 128 random bits, so nobody finds it by its fingerprint.
    return hashlib.sha256(password.encode()).hexdigest()[:16]
