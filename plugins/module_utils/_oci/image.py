# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values: platform, manifest, index, configuration, and image. Nothing here reads a file.

Private to killinit.zot: it may change at any time.

Specification: https://github.com/opencontainers/image-spec, the files manifest.md, image-index.md and config.md.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable, strict_json

INDEX_TYPES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)

# https://github.com/containerd/platforms/blob/main/database.go
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}

# Valid documents are not deeper, and Ansible could not print them.
_DEPTH_LIMIT = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


class InvalidImageError(ValueError):
    """A document does not conform to the image specification. The message names the field."""


class Platform(t.NamedTuple):
    """A platform; printed as C(os/architecture[/variant])."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse C(os/architecture[/variant]), also with the names that uname uses. Raises ValueError for other text."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", part) for part in parts):
            raise ValueError(f"{text!r} is not a platform: use os/architecture[/variant], for example linux/arm/v7")
        return cls(parts[0], _ARCHITECTURES.get(parts[1], parts[1]), *parts[2:])

    @classmethod
    def of(cls, fields: t.Mapping[str, t.Any]) -> Platform | None:
        """The platform of an image configuration or of an index entry. None if it has no platform.

        buildx marks attestations with C(unknown/unknown): https://docs.docker.com/build/metadata/attestations/
        """
        os, architecture = _text(fields, "os"), _text(fields, "architecture")
        if not os or not architecture or "unknown" in (os, architecture):
            return None
        return cls(os, architecture, _text(fields, "variant"), _text(fields, "os.version"))

    @property
    def normalized(self) -> Platform:
        """The platform in the form that containerd compares: arm64 is arm64/v8, arm is arm/v7.

        https://github.com/containerd/platforms/blob/main/database.go
        """
        variant = self.variant
        if self.architecture == "arm64" and variant in ("8", "v8"):
            variant = ""
        elif self.architecture == "arm" and variant in ("", "7"):
            variant = "v7"
        return Platform(self.os, self.architecture, variant, self.os_version)

    def satisfies(self, wanted: Platform) -> bool:
        """Whether an image for this platform may be used for *wanted*, which seldom has a version of Windows."""
        found = self.normalized
        return wanted.normalized in (found, found._replace(os_version=""))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Entry(t.NamedTuple):
    """An entry of an index. Without a platform it is an attestation or another attachment."""

    digest: str
    platform: Platform | None


class Manifest(t.NamedTuple):
    """A manifest or an index of the registry.

    *size* is the number of bytes of configuration and layers, *document_size* that of the manifest itself.
    """

    digest: str
    media_type: str
    document: t.Mapping[str, t.Any]
    config_digest: str = ""
    size: int = 0
    entries: tuple[Entry, ...] = ()
    document_size: int = 0

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests instead of layers."""
        return self.media_type in INDEX_TYPES

    @property
    def platform_by_digest(self) -> dict[str, str | None]:
        """The platform of each entry, by digest."""
        return {entry.digest: str(entry.platform) if entry.platform else None for entry in self.entries}

    @property
    def by_platform(self) -> list[tuple[Platform, str]]:
        """The platform and the digest of each entry that has a platform, sorted.

        Two indexes are equal if this is equal. The order of the entries, fields that newer versions of crane add
        (artifactType since 0.22) and entries without a platform are ignored.
        """
        return sorted((entry.platform.normalized, entry.digest) for entry in self.entries if entry.platform)

    @classmethod
    def parse(cls, raw: bytes) -> Manifest:
        """Parse the document of the registry. The digest is computed from the bytes. Raises InvalidImageError."""
        document = json_object(raw, "the manifest")
        media_type = _text(document, "mediaType")
        digest = sha256(raw)
        if "manifests" in document:
            entries = tuple(
                Entry(_text(entry, "digest"), Platform.of(object_field(entry, "platform")))
                for entry in objects_field(document, "manifests")
            )
            media_type = media_type or "application/vnd.oci.image.index.v1+json"
            return cls(digest, media_type, document, entries=entries, document_size=len(raw))
        config = object_field(document, "config")
        size = sum(_number(blob, "size") for blob in (config, *objects_field(document, "layers")))
        media_type = media_type or "application/vnd.oci.image.manifest.v1+json"
        config_digest = _text(config, "digest")
        return cls(digest, media_type, document, config_digest=config_digest, size=size, document_size=len(raw))


class Image(t.NamedTuple):
    """The image of a reference. *manifest* is None if it does not exist, *config* is None for an index.

    *children* are the manifests of an index, and *missing* the digests of those that the registry has lost. *planned*
    are the platforms of an index that has not been written.
    """

    reference: Reference
    manifest: Manifest | None = None
    config: t.Mapping[str, t.Any] | None = None
    children: tuple[Manifest, ...] = ()
    planned: tuple[Platform, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def digest(self) -> str | None:
        """The digest of the manifest, or None."""
        return self.manifest.digest if self.manifest else None

    @property
    def platforms(self) -> list[str]:
        """The platforms in the order of the index, in the form C(os/architecture[/variant])."""
        if self.manifest and self.manifest.is_index:
            return [str(entry.platform) for entry in self.manifest.entries if entry.platform]
        platform = Platform.of(self.config or {})
        return [str(each) for each in ((platform,) if platform else self.planned)]

    @property
    def size(self) -> int | None:
        """The number of bytes. None if the image does not exist, and for an index without its *children*."""
        if self.manifest is None or (self.manifest.is_index and not self.children):
            return None
        return sum(child.size for child in self.children) or self.manifest.size

    def for_ansible(self) -> dict[str, t.Any]:
        """The image in a result. It always has these twelve keys."""
        manifest, config = self.manifest, self.config or {}
        container = object_field(config, "config")
        return {
            "reference": str(self.reference),
            "registry": self.reference.registry,
            "repository": self.reference.repository,
            "tag": self.reference.tag,
            "digest": self.digest,
            "pinned": str(self.reference.pinned(manifest.digest)) if manifest else None,
            "media_type": manifest.media_type if manifest else None,
            "platforms": self.platforms,
            "size": self.size,
            "created": config.get("created"),
            "labels": dict(object_field(container, "Labels")),
            # An index without a member cannot be pulled on that platform, so it does not count as existing.
            "exists": manifest is not None and not self.missing,
        }


def origin_text(config: t.Mapping[str, t.Any] | None) -> str:
    """When an image was built, for an error that compares two images: their digests say nothing to a reader."""
    created = (config or {}).get("created")
    return f" (created {printable(created)})" if created and isinstance(created, str) else ""


def sha256(raw: bytes) -> str:
    """The digest of *raw*."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def json_object(raw: bytes, what: str) -> dict[str, t.Any]:
    """Parse one JSON object. Raises InvalidImageError with *what* as the name of the document."""
    try:
        document = _plain(strict_json(raw))
    except (ValueError, RecursionError) as error:
        raise InvalidImageError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidImageError(f"{what} is not a JSON object")
    return document


def _plain(value: t.Any, depth: int = 0) -> t.Any:
    """Convert *value* into a form that Ansible can print. Raises ValueError.

    An unpaired surrogate becomes U+FFFD, as in Go (https://pkg.go.dev/encoding/json#Unmarshal).
    """
    if depth > _DEPTH_LIMIT:
        raise ValueError(f"it has more than {_DEPTH_LIMIT} levels")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(item, depth + 1) for name, item in value.items()}
    return value


def object_field(fields: t.Mapping[str, t.Any], name: str) -> t.Mapping[str, t.Any]:
    """A JSON object in a document. Raises InvalidImageError for anything else."""
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidImageError(f"{name} is not a JSON object")
    return value


def objects_field(fields: t.Mapping[str, t.Any], name: str) -> list[t.Mapping[str, t.Any]]:
    """A list of JSON objects in a document. Raises InvalidImageError for anything else."""
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidImageError(f"{name} is not a list of JSON objects")
    return value


def _text(fields: t.Mapping[str, t.Any], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise InvalidImageError(f"{name} is not a string")
    return value


def _number(fields: t.Mapping[str, t.Any], name: str) -> int:
    value = fields.get(name) or 0
    if not isinstance(value, int):
        raise InvalidImageError(f"{name} is not a number")
    return value
