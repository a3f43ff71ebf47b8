# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the images of an archive: manifest.json, index.json and the configurations, but not the layers.

Private to killinit.zot: it may change at any time.

A docker archive has manifest.json. Its format has no specification; the code of skopeo defines which archives are
valid: https://github.com/containers/image/tree/main/docker/internal/tarfile. An OCI archive or layout has index.json:
https://github.com/opencontainers/image-spec/blob/main/image-layout.md. An archive of Docker 25 or later has both.
"""

from __future__ import annotations

import json
import posixpath
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    Archive,
    Directory,
    InvalidArchiveError,
    Member,
    Tar,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import as_go_reads, canonical_config
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    InvalidImageError,
    Platform,
    json_object,
    sha256,
)

Files = t.Union[Tar, Directory]

# The annotations of index.json that name an image: those of containerd and Docker, and that of the specification.
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_CONFIGURATIONS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
# An index that lists indexes has two levels. The limits end the search in a malicious archive.
_LEVELS, _MANIFESTS_LIMIT = 4, 1000


class _Variant(t.NamedTuple):
    """An image for one platform: the position in manifest.json, or the digest of the manifest."""

    config_name: str
    platform: Platform | None
    position: int = 0
    manifest: str = ""


class _Listed(t.NamedTuple):
    """An image with its names. It has a variant for each platform."""

    names: t.Sequence[str]
    variants: t.Sequence[_Variant]


def read(files: Files, select: str | None = None, platform: Platform | None = None) -> Archive:
    """Read the only image of the archive, or the image for *platform*, or the image that *select* names.

    *select* is a reference or an index from 0. An archive with a single image is not required to be for *platform*.
    Raises InvalidArchiveError.
    """
    images = _images(files)
    chosen = _selected(files.path, images, select)
    if platform and sum(len(image.variants) for image in chosen) > 1:
        matching = [
            _Listed(image.names, fitting)
            for image in chosen
            if (fitting := [each for each in image.variants if each.platform and each.platform.satisfies(platform)])
        ]
        if not matching:
            raise UnfitPlatformError(
                f"{files.path} has no image for {platform}. It has {_platforms(chosen)}",
                "Give one of these platforms, or build the image for the requested platform.",
            )
        chosen = matching
    if len(chosen) > 1:
        raise _several(files.path, images)
    variants = chosen[0].variants
    if len(variants) > 1:
        alike = _alike(variants)
        if len(alike) == len(variants):
            raise _indistinct(files.path, alike)
        raise UnfitPlatformError(
            f"{files.path} has images for several platforms: {_platforms(chosen)}", "Select one of them with platform."
        )
    return _archive(files, variants[0])


def read_each(files: Files, select: str | None = None) -> list[Archive]:
    """Read the image for each platform of the archive, or of the image that *select* names."""
    images = _images(files)
    chosen = _selected(files.path, images, select)
    variants = [variant for image in chosen for variant in image.variants]
    alike = _alike(variants)
    if len(chosen) > 1 and (alike or not all(variant.platform for variant in variants)):
        raise _several(files.path, images)
    if alike:
        raise _indistinct(files.path, alike)
    return [_archive(files, variant) for variant in variants]


def _several(path: str, images: t.Sequence[_Listed]) -> InvalidArchiveError:
    message = f"{path} has {len(images)} images: {_listing(images)}"
    return InvalidArchiveError(message, "Select one of them with archive_image.")


def _alike(variants: t.Iterable[_Variant]) -> list[_Variant]:
    """The variants for the first platform that has several. Neither a tag nor an option names a version of Windows."""
    groups: dict[Platform, list[_Variant]] = {}
    for each in variants:
        if each.platform:
            groups.setdefault(each.platform.normalized._replace(os_version=""), []).append(each)
    return next((group for group in groups.values() if len(group) > 1), [])


def _indistinct(path: str, variants: t.Sequence[_Variant]) -> UnfitPlatformError:
    platforms = [each.platform for each in variants if each.platform]
    names = ", ".join(each.os_version or str(each) for each in platforms)
    message = f"{path} has {len(platforms)} images for {platforms[0].normalized}: {names}"
    return UnfitPlatformError(message, "Save each of them in an archive of its own.")


def blob(digest: str) -> str:
    """The name of a file in an OCI layout."""
    return f"blobs/{digest.replace(':', '/', 1)}"


def layers(path: str, index: int) -> list[tuple[int, int]]:
    """The start and the end of each layer of one image in an uncompressed docker archive, in order.

    Raises InvalidArchiveError.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            tar = Tar(path, file)
            if tar.compression:
                raise InvalidArchiveError(f"{path} is compressed")
            members = [resolved(tar, name) for name in _layer_names(tar, _docker_images(tar)[index])]
            return list(dict.fromkeys((member.start, member.start + member.size) for member in members))
    except (OSError, LookupError, InvalidArchiveError) as error:
        raise InvalidArchiveError(f"the layers of {path} cannot be located: {error}") from error


def resolved(files: Files, name: str) -> Member:
    """The member that holds a layer. Raises InvalidArchiveError."""
    member = files.member(name)
    if member and member.kind == "link":  # docker save writes a layer that two images share once
        target = posixpath.normpath(posixpath.join(posixpath.dirname(posixpath.normpath(name)), member.target))
        linked = files.member(target)
        if linked is None:
            raise InvalidArchiveError(
                f"{files.path} has no layer {name!r}: it is a link to {target!r}, which is missing"
            )
        member = linked
    if member is None:
        raise InvalidArchiveError(f"{files.path} has no layer {name!r}, which its manifest lists")
    if member.kind == "hard link":
        raise InvalidArchiveError(
            f"{files.path}: the layer {name!r} is a hard link, which skopeo reads as an empty file",
            "Write the archive again with tar --hard-dereference.",
        )
    if member.kind != "file":
        raise InvalidArchiveError(f"{files.path}: the layer {name!r} is not a regular file")
    return member


def _archive(files: Files, variant: _Variant) -> Archive:
    config = _config(files, variant.config_name)
    if variant.manifest:
        names = _blob_layers(files, variant.manifest)
        return Archive(
            files.path, files.compression, config, manifest=variant.manifest, layers=names, state=files.state
        )
    docker = _docker_images(files)
    names = _layer_names(files, docker[variant.position])
    rootfs = config.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    count = len(docker[variant.position].get("Layers") or ())
    if isinstance(listed, list) and len(listed) != count:
        raise InvalidArchiveError(f"{files.path}: manifest.json lists {count} layers, the configuration {len(listed)}")
    for name in names:
        resolved(files, name)
    return Archive(
        files.path, files.compression, config, variant.position, len(docker), layers=names, state=files.state
    )


def _config(files: Files, name: str) -> dict[str, t.Any]:
    raw = files.document(name)
    if raw is None:
        raise InvalidArchiveError(
            f"{files.path} has no JSON member {name!r}, which its manifest.json names as the configuration"
        )
    return canonical_config(_object(files, repr(name), raw))


def _object(files: Files, name: str, raw: bytes) -> dict[str, t.Any]:
    """The JSON object in a member. Raises InvalidArchiveError."""
    try:
        return json_object(raw, f"the member {name} of {files.path}")
    except InvalidImageError as error:
        raise InvalidArchiveError(str(error)) from error


def _layer_names(files: Files, image: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    names = image.get("Layers") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidArchiveError(f"the member manifest.json of {files.path} has Layers that are not a list of names")
    return tuple(dict.fromkeys(names))


def _images(files: Files) -> list[_Listed]:
    """All images: those of manifest.json in their order, each with its other platforms, then those of index.json."""
    # skopeo reads a docker archive only from a file. In a directory index.json lists the same images.
    docker = None if isinstance(files, Directory) else files.document("manifest.json")
    index = files.document("index.json")
    if docker is None and index is None:
        raise _not_an_archive(files)
    other = _index_images(files, index) if index is not None else []
    found = []
    for number, image in enumerate(_docker_images(files) if docker is not None else ()):
        own = _Variant(image["Config"], _platform(files, image["Config"]), number)
        raw = files.document(own.config_name)
        # The same image has the same configuration. In index.json it may have more platforms.
        group = next((each for each in other if _has_config(files, each, raw)), None)
        more: list[_Variant] = []
        if group:
            other.remove(group)
            more = [each for each in group.variants if files.document(each.config_name) != raw]
        found.append(_Listed(_texts(image.get("RepoTags")), [own, *more]))
    if not found + other:
        where = "index.json" if docker is None else "manifest.json"
        raise InvalidArchiveError(f"the member {where} of {files.path} lists no images")
    return found + other


def _has_config(files: Files, image: _Listed, raw: bytes | None) -> bool:
    return raw is not None and any(files.document(each.config_name) == raw for each in image.variants)


def _not_an_archive(files: Files) -> InvalidArchiveError:
    if isinstance(files, Directory):
        hint = "Give an archive, or the directory of an OCI layout."
        if files.member("version"):
            hint = f"Convert the directory with 'skopeo copy dir:{files.path} docker-archive:FILE'."
        elif files.member("manifest.json"):
            hint = f"Pack it with 'tar -C {files.path} -cf FILE .', and give the path of FILE."
        return InvalidArchiveError(f"{files.path} is a directory, but not an OCI layout: it has no index.json", hint)
    return InvalidArchiveError(
        f"{files.path} is not an archive of an image: the members manifest.json and index.json are missing",
        "Write the archive again. An archive of a root file system is converted with"
        " 'crane append -f FILE -t NAME -o ARCHIVE'.",
    )


def _docker_images(files: Files) -> list[dict[str, t.Any]]:
    images = _json(files, "manifest.json")
    if isinstance(images, list):
        images = [as_go_reads(image, ("Config", "RepoTags", "Layers")) for image in images]
    if not isinstance(images, list) or not all(
        isinstance(image, dict) and isinstance(image.get("Config"), str) for image in images
    ):
        raise InvalidArchiveError(f"the member manifest.json of {files.path} is not a list of images with a Config")
    return images


def _json(files: Files, name: str) -> t.Any:
    try:
        return json.loads(files.document(name) or b"")
    except (ValueError, RecursionError) as error:
        raise InvalidArchiveError(f"the member {name} of {files.path} is not valid JSON: {error}") from error


def _index_images(files: Files, raw: bytes) -> list[_Listed]:
    """The images of index.json whose manifest is in the archive. docker save may omit platforms."""
    names: dict[str, list[str]] = {}
    entries: dict[str, dict[str, t.Any]] = {}
    for entry in _entries(files, "index.json", raw):
        annotations = entry.get("annotations")
        found = [annotations.get(name) for name in _NAMES] if isinstance(annotations, dict) else []
        names.setdefault(entry["digest"], []).extend(_texts([name for name in found if name]))
        entries.setdefault(entry["digest"], entry)
    visited: set[str] = set()
    images = [_Listed(names[digest], _variants(files, entry, visited, 1)) for digest, entry in entries.items()]
    return [image for image in images if image.variants]


def _entries(files: Files, name: str, raw: bytes) -> list[dict[str, t.Any]]:
    entries = _object(files, name, raw).get("manifests") or []
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and re.fullmatch(r"sha256:[0-9a-f]{64}", str(entry.get("digest"))) for entry in entries
    ):
        raise InvalidArchiveError(f"the member {name} of {files.path} is not a list of manifests with a sha256 digest")
    return entries


def _variants(files: Files, entry: t.Mapping[str, t.Any], visited: set[str], level: int) -> list[_Variant]:
    """The images of an entry, without attestations, signatures and other artifacts."""
    digest = entry["digest"]
    raw = files.document(blob(digest))
    if raw is None or digest in visited or level > _LEVELS or len(visited) > _MANIFESTS_LIMIT:
        return []
    visited.add(digest)
    document = _verified(files, digest, raw)
    if "manifests" in document:
        entries = _entries(files, blob(digest), raw)
        return [variant for each in entries for variant in _variants(files, each, visited, level + 1)]
    config = document.get("config")
    listed = entry.get("platform")
    if not isinstance(config, dict) or config.get("mediaType") not in _CONFIGURATIONS:
        return []
    if isinstance(listed, dict) and "unknown" in (listed.get("os"), listed.get("architecture")):
        return []
    name = str(config.get("digest"))
    raw = files.document(blob(name))
    if raw is None:
        return []
    _verified(files, name, raw)
    return [_Variant(blob(name), _platform(files, blob(name)), manifest=digest)]


def _verified(files: Files, digest: str, raw: bytes) -> dict[str, t.Any]:
    if sha256(raw) != digest:
        raise InvalidArchiveError(f"{files.path} is damaged: the member {blob(digest)} has the digest {sha256(raw)}")
    return _object(files, blob(digest), raw)


def _blob_layers(files: Files, manifest: str) -> tuple[str, ...]:
    document = _verified(files, manifest, files.document(blob(manifest)) or b"")
    listed = document.get("layers") or []
    if not isinstance(listed, list) or not all(isinstance(layer, dict) for layer in listed):
        raise InvalidArchiveError(f"the member {blob(manifest)} of {files.path} has layers that are not objects")
    for layer in listed:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", str(layer.get("digest"))):
            raise InvalidArchiveError(
                f"the member {blob(manifest)} of {files.path} has a layer without a sha256 digest"
            )
        name = blob(layer["digest"])
        size, listed_size = resolved(files, name).size, layer.get("size")
        if size != listed_size:
            raise InvalidArchiveError(f"{files.path} is damaged: the layer {name} has {size} bytes, not {listed_size}")
    return tuple(dict.fromkeys(blob(layer["digest"]) for layer in listed))


def _platform(files: Files, config_name: str) -> Platform | None:
    """The platform of a configuration. None if it cannot be read: it is read again if the image is selected."""
    try:
        return Platform.of(_config(files, config_name))
    except (InvalidArchiveError, InvalidImageError):
        return None


def _texts(value: t.Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _selected(path: str, images: t.Sequence[_Listed], select: str | None) -> list[_Listed]:
    if select is None:
        return list(images)
    if select.isdecimal():
        # Python raises ValueError for a number with more than 4300 digits.
        if len(select) < 10 and int(select) < len(images):
            return [images[int(select)]]
    else:
        wanted = _familiar(select)
        for image in images:
            if wanted in map(_familiar, image.names):
                return [image]
    raise InvalidArchiveError(
        f"{path} has no image {select!r}. It has {_listing(images)}", "Set archive_image to one of them."
    )


def _listing(images: t.Sequence[_Listed]) -> str:
    return ", ".join(f"{index}: {' '.join(image.names) or '(no tag)'}" for index, image in enumerate(images))


def _platforms(images: t.Sequence[_Listed]) -> str:
    return ", ".join(str(variant.platform or "no platform") for image in images for variant in image.variants)


def _familiar(name: str) -> str:
    """The name as Docker prints it: podman and buildah add a default registry, Docker does not."""
    if ":" not in name.rpartition("/")[2]:
        name += ":latest"
    for prefix in ("docker.io/", "localhost/", "library/"):
        if name.startswith(prefix):
            name = name[len(prefix) :]
    return name
