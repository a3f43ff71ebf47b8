# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values: platform, manifest, index, image, and when two of them are the same.

Private to killinit.zot: it may change at any time.

Shapes: https://github.com/opencontainers/image-spec, the files manifest.md, image-index.md and config.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field
from datetime import date

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference

_INDEX_TYPES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)

# What is deeper is no image, and Ansible could not print it.
_DEPTH_LIMIT = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


class InvalidImageError(ValueError):
    """A document of the registry or of an archive is not what the image specification says; the message says where."""


@dataclass(frozen=True, order=True)
class Platform:
    """What an image runs on; printed as C(os/architecture[/variant])."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read C(os/architecture[/variant]); raises ValueError when the text is none."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", part) for part in parts):
            raise ValueError(f"{text!r} is not a platform: write os/architecture[/variant], as in linux/arm/v7")
        return cls(*parts)

    @classmethod
    def of(cls, fields: t.Mapping[str, t.Any]) -> Platform | None:
        """The platform that an image configuration or an index entry states; None when it states none.

        C(unknown/unknown) is how buildx marks an attestation: https://docs.docker.com/build/metadata/attestations/
        """
        os, architecture = _text(fields, "os"), _text(fields, "architecture")
        if not os or not architecture or "unknown" in (os, architecture):
            return None
        return cls(os, architecture, _text(fields, "variant"), _text(fields, "os.version"))

    @property
    def normalized(self) -> Platform:
        """The platform as containerd compares it: arm64 is arm64/v8, arm is arm/v7.

        https://github.com/containerd/platforms/blob/main/database.go
        """
        variant = self.variant
        if self.architecture == "arm64" and variant in ("8", "v8"):
            variant = ""
        elif self.architecture == "arm" and variant in ("", "7"):
            variant = "v7"
        return Platform(self.os, self.architecture, variant, self.os_version)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True)
class Entry:
    """One line of an index; without a platform it is an attestation or another addition."""

    digest: str
    platform: Platform | None


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index as the registry holds it. *size* counts bytes of configuration and layers."""

    digest: str
    media_type: str
    document: t.Mapping[str, t.Any] = field(repr=False)
    config_digest: str = ""
    size: int = 0
    entries: tuple[Entry, ...] = ()

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests instead of layers."""
        return self.media_type in _INDEX_TYPES

    @property
    def by_platform(self) -> list[tuple[Platform, str]]:
        """Of an index: platform and digest of each entry that has a platform, sorted.

        Two indexes are the same when this is equal: the order of the entries does not count, nor do fields that a newer
        crane adds (artifactType from 0.22 on), nor entries without a platform.
        """
        return sorted((entry.platform.normalized, entry.digest) for entry in self.entries if entry.platform)

    @classmethod
    def parse(cls, raw: bytes) -> Manifest:
        """Read what the registry sent; the digest is that of the bytes. Raises InvalidImageError."""
        document = json_object(raw, "the manifest")
        media_type = _text(document, "mediaType")
        digest = sha256(raw)
        if "manifests" in document:
            entries = tuple(
                Entry(_text(entry, "digest"), Platform.of(_object(entry, "platform")))
                for entry in _objects(document, "manifests")
            )
            return cls(digest, media_type or "application/vnd.oci.image.index.v1+json", document, entries=entries)
        config = _object(document, "config")
        size = sum(_number(blob, "size") for blob in (config, *_objects(document, "layers")))
        media_type = media_type or "application/vnd.oci.image.manifest.v1+json"
        return cls(digest, media_type, document, config_digest=_text(config, "digest"), size=size)


@dataclass(frozen=True)
class Image:
    """What a reference means: *manifest* is None when it is absent, *config* is None for an index.

    *children* are the manifests behind an index, *planned* the platforms of an index that is not written yet.
    """

    reference: Reference
    manifest: Manifest | None = None
    config: t.Mapping[str, t.Any] | None = field(default=None, repr=False)
    children: tuple[Manifest, ...] = ()
    planned: tuple[Platform, ...] = ()

    @property
    def digest(self) -> str | None:
        """The digest of the manifest, or None."""
        return self.manifest.digest if self.manifest else None

    @property
    def platforms(self) -> list[str]:
        """The platforms, in the order of the index, each C(os/architecture[/variant])."""
        if self.manifest and self.manifest.is_index:
            return [str(entry.platform) for entry in self.manifest.entries if entry.platform]
        platform = Platform.of(self.config or {})
        return [str(each) for each in ((platform,) if platform else self.planned)]

    def for_ansible(self) -> dict[str, t.Any]:
        """The image of a result: always these twelve keys."""
        manifest, config = self.manifest, self.config or {}
        container = _object(config, "config")
        return {
            "reference": str(self.reference),
            "registry": self.reference.registry,
            "repository": self.reference.repository,
            "tag": self.reference.tag,
            "digest": self.digest,
            "pinned": str(self.reference.pinned(manifest.digest)) if manifest else None,
            "media_type": manifest.media_type if manifest else None,
            "platforms": self.platforms,
            "size": (sum(child.size for child in self.children) or manifest.size) if manifest else None,
            "created": config.get("created"),
            "labels": dict(_object(container, "Labels")),
            "exists": manifest is not None,
        }


# What OCI keeps of a configuration, https://github.com/opencontainers/image-spec/blob/main/config.md, in the order of
# its Go types. Docker's own fields (Healthcheck, OnBuild, Shell, Hostname, …) are not here: the conversion drops them.
# Nor is ArgsEscaped, which BuildKit sets and only Windows heeds: skopeo drops it up to 1.11, and keeps it from 1.12 on.
_TOP = ("architecture", "os", "variant", "os.version", "os.features", "author")
_CONTAINER = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
)
_HISTORY = ("created_by", "author", "comment", "empty_layer")


def image_identity(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return what makes an image itself, out of its configuration: two images are the same when this is equal.

    Digests cannot tell: they differ with the tool that wrote the image, its version and its cache. An empty field and
    an absent one are one thing, as they are to skopeo. Raises InvalidImageError when the list of layers is none.
    """
    rootfs, container = _object(config, "rootfs"), _object(config, "config")
    _object(container, "Labels")
    if not isinstance(rootfs.get("diff_ids"), (list, type(None))):
        raise InvalidImageError("rootfs.diff_ids of the configuration is no list")
    return {
        "diff_ids": rootfs.get("diff_ids") or [],
        "created": parse_time(config.get("created")),
        "config": _filled(container, _CONTAINER),
        "history": [
            {**_filled(step, _HISTORY), "created": parse_time(step.get("created"))}
            for step in _objects(config, "history")
        ],
        **_filled(config, _TOP),
    }


# The Go types of image-spec in skopeo 1.13 and later, in 1.12 and Debian 12's 1.9.3, and in earlier ones: the order of
# a platform's fields, and the fields of the container.
_NEWER = ("architecture", "os", "os.version", "os.features", "variant")
_OLDER = ("architecture", "variant", "os", "os.version", "os.features")
_AGES = ((_NEWER, (*_CONTAINER, "ArgsEscaped")), (_OLDER, (*_CONTAINER, "ArgsEscaped")), (_OLDER, _CONTAINER))
# What Go's encoding/json writes otherwise than Python: as if it were to stand in HTML.
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def predicted_oci_configs(config: t.Mapping[str, t.Any]) -> list[bytes]:
    """Return the bytes that skopeo makes of a configuration for an OCI registry, one guess for each age of skopeo.

    Which of them is right, if any, is for a digest to tell. Raises InvalidImageError as image_identity() does.
    https://github.com/containers/image/blob/main/internal/image/docker_schema2.go, convertToManifestOCI1
    """
    rootfs, container = _object(config, "rootfs"), _object(config, "config")
    rest = {
        "rootfs": {"type": rootfs.get("type") or "", "diff_ids": rootfs.get("diff_ids")},
        "history": [{**_created(step), **_filled(step, _HISTORY)} for step in _objects(config, "history")],
    }
    found = []
    for platform, kept in _AGES:
        document = {
            **_created(config),
            **_filled(config, ("author",)),
            **{name: config.get(name) or "" for name in platform if config.get(name) or name in ("architecture", "os")},
            "config": {name: _sorted(value) for name, value in _filled(container, kept).items()},
            **_filled(rest, rest),
        }
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        found.append(text.translate(_ESCAPES).encode())
    return found


def _created(fields: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The time in a configuration or a step of its history, as Go writes it: no zeros at its end, Z for UTC."""
    text = fields.get("created")
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d*[1-9])?\.?0*(Z|[+-]\d\d:\d\d)", str(text))
    if found:
        seconds, fraction, zone = found.groups()
        text = f"{seconds}{fraction or ''}{'Z' if zone[1:] == '00:00' else zone}"
    return {"created": text} if text else {}


def _sorted(value: t.Any) -> t.Any:
    return dict(sorted(value.items())) if isinstance(value, dict) else value


def parse_time(text: t.Any) -> tuple[str, str] | None:
    """Return an RFC 3339 time as one that compares: seconds in UTC and the fraction without its trailing zeros.

    Builders write nanoseconds, which Python's datetime would cut. What is no such time is compared as it stands.
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-]\d\d):(\d\d))", str(text))
    if not found:
        return str(text), ""
    day, hour, minute, second, fraction, zone_hour, zone_minute = found.groups()
    try:
        seconds = ((date.fromisoformat(day).toordinal() * 24 + int(hour)) * 60 + int(minute)) * 60 + int(second)
    except ValueError:
        return str(text), ""
    if zone_hour:
        offset = abs(int(zone_hour)) * 3600 + int(zone_minute) * 60
        seconds += offset if zone_hour.startswith("-") else -offset
    return str(seconds), (fraction or "").rstrip("0")


def sha256(raw: bytes) -> str:
    """The digest of *raw*."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def json_object(raw: bytes, what: str) -> dict[str, t.Any]:
    """Read one JSON object; raises InvalidImageError, which says *what* it is that cannot be read."""
    try:
        document = _plain(json.loads(raw, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise InvalidImageError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidImageError(f"{what} is no JSON object")
    return document


def _plain(value: t.Any, depth: int = 0) -> t.Any:
    """*value* as Ansible can print it, or a ValueError.

    Half a surrogate pair is no text: it becomes U+FFFD, as Go reads it (https://pkg.go.dev/encoding/json#Unmarshal).
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


def _refuse(constant: str) -> t.NoReturn:
    """Python's NaN and Infinity are no JSON."""
    raise ValueError(constant)


def _filled(fields: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    return {name: fields[name] for name in names if fields.get(name)}


def _object(fields: t.Mapping[str, t.Any], name: str) -> t.Mapping[str, t.Any]:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidImageError(f"{name} is no JSON object")
    return value


def _objects(fields: t.Mapping[str, t.Any], name: str) -> list[t.Mapping[str, t.Any]]:
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidImageError(f"{name} is no list of JSON objects")
    return value


def _text(fields: t.Mapping[str, t.Any], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise InvalidImageError(f"{name} is no text")
    return value


def _number(fields: t.Mapping[str, t.Any], name: str) -> int:
    value = fields.get(name) or 0
    if not isinstance(value, int):
        raise InvalidImageError(f"{name} is no number")
    return value
