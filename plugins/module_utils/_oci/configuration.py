# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of an image: whether two images are the same, and what skopeo writes to a registry. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    InvalidImageError,
    object_field,
    objects_field,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import parse_time

# The fields of an OCI configuration (https://github.com/opencontainers/image-spec/blob/main/config.md), in the order of
# its Go types. The conversion drops Docker's own fields (Healthcheck, OnBuild, Shell, Hostname, …). ArgsEscaped, which
# BuildKit sets and only Windows uses, is missing too: skopeo drops it up to 1.11 and keeps it since 1.12.
_TOP = ("architecture", "os", "variant", "os.version", "os.features", "author")
_CONTAINER = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal")
_HISTORY = ("created_by", "author", "comment", "empty_layer")


def image_identity(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the fields of a configuration that identify the image. Two images are equal if this is equal.

    Digests cannot be compared: they depend on the tool that wrote the image, its version and its cache. As in skopeo,
    an empty field equals a missing one. Raises InvalidImageError if the list of layers is not a list.
    """
    rootfs, container = object_field(config, "rootfs"), object_field(config, "config")
    object_field(container, "Labels")
    if not isinstance(rootfs.get("diff_ids"), (list, type(None))):
        raise InvalidImageError("rootfs.diff_ids of the configuration is not a list")
    return {
        "diff_ids": rootfs.get("diff_ids") or [],
        "created": _time(config.get("created")),
        "config": _filled(container, _CONTAINER),
        "history": [
            {**_filled(step, _HISTORY), "created": _time(step.get("created"))}
            for step in objects_field(config, "history")
        ],
        **_filled(config, _TOP),
    }


def as_go_reads(fields: t.Any, names: t.Iterable[str]) -> t.Any:
    """The fields of an object under *names*: Go ignores the case of a key (https://pkg.go.dev/encoding/json#Unmarshal)."""
    if not isinstance(fields, dict):
        return fields
    known = {name.lower(): name for name in names}
    return {known.get(name.lower(), name): value for name, value in fields.items()}


def canonical_config(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The configuration of an archive as skopeo reads it, and as it then writes it to the registry."""
    result: dict[str, t.Any] = as_go_reads(config, (*_TOP, "created", "config", "rootfs", "history"))
    container = as_go_reads(result.get("config"), (*_CONTAINER, "ArgsEscaped"))
    if isinstance(container, dict) and isinstance(container.get("Labels"), dict):
        # A null in a map of texts is the empty text.
        labels = {name: "" if value is None else value for name, value in container["Labels"].items()}
        container = {**container, "Labels": labels}
    history = result.get("history")
    if isinstance(history, list):
        result["history"] = [as_go_reads(step, (*_HISTORY, "created")) for step in history]
    for name, value in (("config", container), ("rootfs", as_go_reads(result.get("rootfs"), ("type", "diff_ids")))):
        if name in result:
            result[name] = value
    return result


# The Go types of image-spec in skopeo 1.13 and later, in 1.12 and the 1.9.3 of Debian 12, and in earlier versions: the
# order of the platform fields, and the fields of the container.
_NEWER = ("architecture", "os", "os.version", "os.features", "variant")
_OLDER = ("architecture", "variant", "os", "os.version", "os.features")
_AGES = ((_NEWER, (*_CONTAINER, "ArgsEscaped")), (_OLDER, (*_CONTAINER, "ArgsEscaped")), (_OLDER, _CONTAINER))
# Characters that Go's encoding/json escapes for HTML, unlike Python.
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def predicted_configurations(config: t.Mapping[str, t.Any]) -> list[bytes]:
    """The configurations that skopeo may write to an OCI registry, one for each group of versions.

    A manifest in the registry shows by its digest which of them is right, if any. Then nothing has to be read. Raises
    InvalidImageError as image_identity() does.
    https://github.com/containers/image/blob/main/internal/image/docker_schema2.go, convertToManifestOCI1
    """
    rootfs, container = object_field(config, "rootfs"), object_field(config, "config")
    rest = {
        "rootfs": {"type": rootfs.get("type") or "", "diff_ids": rootfs.get("diff_ids")},
        "history": [{**_created(step), **_filled(step, _HISTORY)} for step in objects_field(config, "history")],
    }
    found = []
    for platform, fields in _AGES:
        document = {
            **_created(config),
            **_filled(config, ("author",)),
            **{name: config.get(name) or "" for name in platform if config.get(name) or name in ("architecture", "os")},
            "config": {name: _sorted(value) for name, value in _filled(container, fields).items()},
            **_filled(rest, rest),
        }
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        found.append(text.translate(_ESCAPES).encode())
    return found


def _created(fields: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The time of a configuration or of a history entry in the format of Go: no trailing zeros, Z for UTC."""
    text = fields.get("created")
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d*[1-9])?\.?0*(Z|[+-]\d\d:\d\d)", str(text))
    if found:
        seconds, fraction, zone = found.groups()
        text = f"{seconds}{fraction or ''}{'Z' if zone[1:] == '00:00' else zone}"
    return {"created": text} if text else {}


def _sorted(value: t.Any) -> t.Any:
    return dict(sorted(value.items())) if isinstance(value, dict) else value


def _time(text: t.Any) -> object:
    """A time in comparable form. Any other text is compared as text."""
    return parse_time(text) or text or None


def _filled(fields: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    return {name: fields[name] for name in names if fields.get(name)}
