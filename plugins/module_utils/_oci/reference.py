# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse, validate and print references.

Private to killinit.zot: it may change at any time.

The grammar is that of the distribution project, https://pkg.go.dev/github.com/distribution/reference. A valid reference
needs no quotes in an argument list, a URL or a log line.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

_HOST = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])"
)
_REGISTRY = re.compile(_HOST + r"(?::[0-9]{1,5})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(_COMPONENT + r"(?:/" + _COMPONENT + r")*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# The limit of the distribution project for registry and repository together.
_NAME_LIMIT = 255


class InvalidReferenceError(ValueError):
    """The text is not a valid reference, or not a valid part of one. The message names the text and the reason."""


class MissingRegistryError(InvalidReferenceError):
    """The reference has no registry, and there is no default registry."""


def _require(pattern: re.Pattern[str], text: str, what: str, form: str) -> str:
    if not pattern.fullmatch(text):
        raise InvalidReferenceError(f"{text!r} is not a valid {what}: {form}")
    return text


def registry_name(text: str) -> str:
    """Return *text* if it is C(host[:port]). Raises InvalidReferenceError."""
    if "@" in text:
        # The text may contain a password, so the message does not.
        raise InvalidReferenceError("the registry contains credentials: set username and password instead")
    return _require(_REGISTRY, text, "registry", "use host[:port], without a scheme and without a path")


def same_registry(one: str, other: str, aliases: t.Iterable[str] = ()) -> bool:
    """Whether *one* and *other* name the same registry. *aliases* are further names of *other*.

    Names of hosts have no case, and 443 is the default port.
    """
    return _host_key(one) in {_host_key(name) for name in (other, *aliases)}


def _host_key(registry: str) -> str:
    return re.sub(":443$", "", registry.lower())


def repository_name(text: str) -> str:
    """Return *text* if it is a repository. Raises InvalidReferenceError."""
    return _require(
        _REPOSITORY, text, "repository", "use lower-case letters, digits and single . _ - in components separated by /"
    )


def tag_name(text: str) -> str:
    """Return *text* if it is a tag. Raises InvalidReferenceError."""
    return _require(_TAG, text, "tag", "use at most 128 letters, digits, _ . - and do not begin with . or -")


def is_tag(text: str) -> bool:
    """Whether *text* is a tag."""
    return bool(_TAG.fullmatch(text))


def is_digest(text: str) -> bool:
    """Whether *text* is C(sha256:) and 64 hexadecimal digits."""
    return bool(_DIGEST.fullmatch(text))


@dataclass(frozen=True)
class Reference:
    """C(registry/repository:tag), C(registry/repository@digest), or both. Then the tag is ignored."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        registry_name(self.registry)
        repository_name(self.repository)
        if len(self.registry) + 1 + len(self.repository) > _NAME_LIMIT:
            raise InvalidReferenceError(f"{self.name!r} is longer than {_NAME_LIMIT} characters")
        if self.tag is not None:
            tag_name(self.tag)
        if self.digest is not None:
            _require(_DIGEST, self.digest, "digest", "sha256: and 64 hexadecimal digits")
        if self.tag is None and self.digest is None:
            raise InvalidReferenceError(f"{self.name!r} has neither a tag nor a digest")

    @classmethod
    def parse(cls, text: str, *, registry: str | None = None) -> Reference:
        """Parse a reference. The default registry is *registry*, the default tag is C(latest).

        Another spelling of *registry*, in upper case or with the port 443, is replaced by *registry*.

        Raises InvalidReferenceError, or MissingRegistryError if there is no registry.
        """
        name, _at, digest = text.partition("@")
        if _at and not digest:
            raise InvalidReferenceError(f"{text!r} has no digest after the @")
        head, slash, tail = name.partition("/")
        if slash and (head == "localhost" or any(mark in head for mark in ".:[")):
            registry, name = registry if registry and same_registry(head, registry) else head, tail
        if registry is None:
            raise MissingRegistryError(f"{text!r} has no registry")
        repository, colon, tag = name.partition(":")
        if not colon:
            return cls(registry, repository, None if digest else "latest", digest or None)
        return cls(registry, repository, tag, digest or None)

    @property
    def name(self) -> str:
        """The registry and the repository."""
        return f"{self.registry}/{self.repository}"

    def known_as(self, registry: str, aliases: t.Iterable[str] = ()) -> Reference:
        """The same image in *registry*, if this reference names it by another spelling or by one of the *aliases*."""
        return replace(self, registry=registry) if same_registry(self.registry, registry, aliases) else self

    def pinned(self, digest: str) -> Reference:
        """The same repository with *digest*, without the tag."""
        return replace(self, tag=None, digest=digest)

    def tagged(self, tag: str) -> Reference:
        """The same repository with *tag*, without the digest."""
        return replace(self, tag=tag, digest=None)

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"
