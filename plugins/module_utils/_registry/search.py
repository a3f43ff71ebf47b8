# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All images of a repository: in one request, from the search extension of Zot, or else from the registry itself.

Private to killinit.zot: it may change at any time.

The extension has its own database, which can differ from the registry after a crash. Before a write or a deletion, the
tag must be read again from the registry itself.
"""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from urllib.parse import quote

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest, is_tag
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import attachment_tag, is_attachment, is_upload
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import require_text
from ansible_collections.killinit.zot.plugins.module_utils._registry.authfile import Account
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import Referrer
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry

# The field Vulnerabilities is omitted, because it would start scans.
_QUERY = """{ExpandedRepoInfo(repo:"%s"){Images{Tag Digest MediaType Size PushTimestamp LastPullTimestamp IsSigned
%sManifests{Digest ConfigDigest Size Platform{Os Arch}}}}}"""
# A Zot before 2.1.15 refuses a query for fields that it does not know.
_NEWER_FIELDS = ("TaggedTimestamp IsDeletable\n", "")
_IMAGE = (
    "fragment i on ImageSummary{Digest SignatureInfo{Tool} Referrers{...r}"
    " Manifests{Digest SignatureInfo{Tool} Platform{Os Arch} Referrers{...r}}}"
    "fragment r on Referrer{MediaType ArtifactType Size Digest Annotations{Key Value}}"
)
# The limit for one request. Proxies limit the length of an address, often to 8 KiB.
_QUERIES = 30
_SAFE = ":{}(),"
# The time that Zot writes for an event that never happened.
_NEVER = ("0001-", "1970-")

T = t.TypeVar("T")


@dataclass(frozen=True)
class ImageMember:
    """A manifest of an index. *size* is the number of bytes of the manifest, its configuration and its layers."""

    digest: str
    config_digest: str | None
    platform: str | None
    size: int


@dataclass(frozen=True)
class TaggedImage:
    """The image of a tag. A single manifest is its own member. None means that a value is not known.

    *tagged_at* is the time when the tag was created, which does not change when the tag moves. *deletable* is whether
    the user may remove the tag.
    """

    tag: str
    digest: str
    media_type: str
    members: t.Sequence[ImageMember]
    pushed_at: str | None = None
    last_pulled_at: str | None = None
    signed: bool | None = None
    tagged_at: str | None = None
    deletable: bool | None = None

    @property
    def digests(self) -> set[str]:
        """Every digest that a container runtime may report for the image."""
        configurations = {each.config_digest for each in self.members if each.config_digest}
        return {self.digest, *(each.digest for each in self.members), *configurations}

    def for_ansible(self) -> dict[str, t.Any]:
        """An entry of the images of a repository in a result."""
        return {
            "tag": self.tag,
            "digest": self.digest,
            "media_type": self.media_type,
            "platforms": [each.platform for each in self.members if each.platform],
            "size": sum(each.size for each in self.members),
            "pushed_at": self.pushed_at,
            "last_pulled_at": self.last_pulled_at,
            "signed": self.signed,
            "manifests": [asdict(each) for each in self.members],
        }


def search(http: Http, repository: str) -> list[TaggedImage] | None:
    """The images of a repository. None if the extension does not answer, so that the registry itself must be read.

    The extension also returns no images for a repository that the user may not read. Raises ZotError.
    """
    document = None
    for fields in _NEWER_FIELDS:
        try:
            query = quote(_QUERY % (repository, fields))
            document = http.document(repository, f"/v2/_zot/ext/search?query={query}")
            break
        except ZotError as error:
            if error.retryable or error.error_class == "tls":
                raise
    try:
        if document is None or document.get("errors"):
            return None
        return [_image(each) for each in document["data"]["ExpandedRepoInfo"]["Images"] or ()]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class SearchedImage:
    """An image with the direct attachments of itself and of its members. *members* have a platform or None.

    Zot does not list signatures and bundles of cosign in *referrers*, but it counts them: *signed* has their number for
    each digest that has any.
    """

    digest: str
    members: t.Mapping[str, str | None]
    referrers: t.Sequence[Referrer]
    signed: t.Mapping[str, int]


def search_images(
    http: Http, references: t.Iterable[Reference], repositories: t.Iterable[str] = ()
) -> tuple[dict[Reference, SearchedImage], dict[str, list[str]]]:
    """The images of tags, and the tags of repositories except for those of signatures, many in one request.

    Images and repositories that the extension does not return are missing. Raises ZotError.
    """
    names = {name: f'ExpandedRepoInfo(repo:"{name}"){{Images{{Tag}}}}' for name in repositories}
    images = {each: f'Image(image:"{each.repository}:{each.tag}"){{...i}}' for each in references}
    by_account: dict[Account, dict[t.Any, str]] = {}
    every: dict[t.Any, str] = {**names, **images}
    for key, query in every.items():
        repository = key.repository if isinstance(key, Reference) else key
        by_account.setdefault(http.account(repository), {})[key] = query
    found: dict[Reference, SearchedImage] = {}
    tags: dict[str, list[str]] = {}
    for queries in by_account.values():
        for key, fields in _run(http, queries):
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                if isinstance(key, Reference):
                    found[key] = _searched(fields)
                else:
                    tags[key] = [require_text(each["Tag"]) for each in fields["Images"]]
    return found, tags


def index_members(
    registry: Registry, references: t.Mapping[Reference, str]
) -> dict[Reference, t.Mapping[str, str | None]]:
    """The members of images and their platforms, by pinned reference. *references* have digests. Raises ZotError.

    The extension knows those of tags. The manifest of any other image is read, which Zot counts as a pull, and its
    retention takes pulls into account.
    """
    found: dict[Reference, SearchedImage] = {}
    try:
        found, _tags = search_images(registry.http(), [each for each in references if not each.digest])
    except ZotError as error:  # the library is missing
        if error.error_class != "tool_missing":
            raise
    members: dict[Reference, t.Mapping[str, str | None]] = {}
    for reference, digest in references.items():
        image, pinned = found.get(reference), reference.pinned(digest)
        if image and image.digest == digest:
            members[pinned] = {member: name for member, name in image.members.items() if member != digest}
    for pinned in {each.pinned(digest) for each, digest in references.items()} - members.keys():
        manifest = registry.manifest(pinned)
        members[pinned] = manifest.platform_by_digest if manifest else {}
    return members


def _run(http: Http, queries: t.Mapping[t.Any, str]) -> t.Iterator[tuple[t.Any, t.Any]]:
    """The result of each query. If Zot cannot answer one query of a request, it answers none of that request."""
    keys = list(queries)
    for start in range(0, len(keys), _QUERIES):
        some = keys[start : start + _QUERIES]
        text = " ".join(f"q{number}:{queries[key]}" for number, key in enumerate(some))
        fragments = _IMAGE if "...i" in text else ""
        repository = some[0].repository if isinstance(some[0], Reference) else some[0]
        data = _answer(http, repository, f"{{{text}}}{fragments}")
        yield from ((key, data[f"q{number}"]) for number, key in enumerate(some) if f"q{number}" in data)


def _answer(http: Http, repository: str, query: str) -> t.Mapping[str, t.Any]:
    try:
        document = http.document(repository, f"/v2/_zot/ext/search?query={quote(query, safe=_SAFE)}")
    except ZotError as error:
        if error.retryable or error.error_class == "tls":
            raise
        return {}
    data = document.get("data") if document and not document.get("errors") else None
    return data if isinstance(data, dict) else {}


def _searched(fields: t.Mapping[str, t.Any]) -> SearchedImage:
    digest = _digest(fields["Digest"])
    manifests = {_digest(each["Digest"]): each for each in fields["Manifests"] or ()}
    subjects = {**manifests, digest: fields}
    return SearchedImage(
        digest,
        {member: _platform(each.get("Platform") or {}) for member, each in manifests.items()},
        [_attached(subject, each) for subject, found in subjects.items() for each in found["Referrers"] or ()],
        {subject: len(each["SignatureInfo"]) for subject, each in subjects.items() if each["SignatureInfo"]},
    )


def _attached(subject: str, fields: t.Mapping[str, t.Any]) -> Referrer:
    return Referrer(
        subject,
        _digest(fields["Digest"]),
        require_text(fields.get("ArtifactType") or "") or None,
        require_text(fields.get("MediaType") or "") or None,
        int(fields["Size"]),
        {require_text(each["Key"]): require_text(each["Value"]) for each in fields.get("Annotations") or ()},
    )


def _image(fields: t.Mapping[str, t.Any]) -> TaggedImage:
    members = [
        ImageMember(
            _digest(each["Digest"]),
            _digest(each["ConfigDigest"]) if each.get("ConfigDigest") else None,
            _platform(each.get("Platform") or {}),
            int(each["Size"]),
        )
        for each in fields["Manifests"] or ()
    ]
    tag, deletable = fields["Tag"], fields.get("IsDeletable")
    if not is_tag(tag):
        raise ValueError(tag)
    return TaggedImage(
        tag,
        _digest(fields["Digest"]),
        require_text(fields["MediaType"]),
        members,
        _time(fields.get("PushTimestamp")),
        _time(fields.get("LastPullTimestamp")),
        fields.get("IsSigned") is True,
        _time(fields.get("TaggedTimestamp")),
        deletable if isinstance(deletable, bool) else None,
    )


def _platform(fields: t.Mapping[str, t.Any]) -> str | None:
    # Zot writes the variant after the architecture: arm/v7.
    os, architecture = require_text(fields.get("Os") or ""), require_text(fields.get("Arch") or "")
    return f"{os}/{architecture}" if os and architecture and "unknown" not in (os, architecture) else None


def _time(value: object) -> str | None:
    text = require_text(value or "")
    return None if not text or text.startswith(_NEVER) else text


def _digest(value: object) -> str:
    text = require_text(value)
    if not is_digest(text):
        raise ValueError(text)
    return text


@dataclass(frozen=True)
class Inventory:
    """The tags of a repository and their images. *source* is C(search) or C(registry)."""

    tags: t.Sequence[str]
    images: t.Sequence[TaggedImage]
    source: str


def read_inventory(
    registry: Registry, repository: Reference, pool: ThreadPoolExecutor, *, uploads: bool = False
) -> Inventory | None:
    """The inventory of a repository; None only if it does not exist. Raises ZotError, also if it may not be read.

    It has no upload tags, except with *uploads*.

    The list of tags is read from the registry itself. The search extension hides a repository that the user may not
    read, and can lack a new tag or list a deleted one. *pool* must not be the pool that runs this function.
    """
    http = registry.http()
    listed = registry.tags(repository)
    if listed is None:
        return None
    tags = [tag for tag in listed if uploads or not is_upload(tag)]
    names = [tag for tag in tags if not is_attachment(tag)]
    found = {each.tag: each for each in (search(http, repository.repository) if names else None) or ()}
    missing = [repository.tagged(tag) for tag in names if tag not in found]
    digests = dict(zip(missing, pool.map(registry.digest, missing)))
    distinct = [repository.pinned(digest) for digest in dict.fromkeys(digests.values()) if digest]
    members = dict(zip(distinct, pool.map(lambda each: _read(registry, each), distinct)))
    attachments = set(tags)
    for reference, digest in digests.items():
        media_type, manifests = members.get(repository.pinned(digest), ("", ())) if digest else ("", ())
        if digest and manifests:  # else another client has just removed the tag
            signed = attachment_tag(digest, "sig") in attachments or None
            found[str(reference.tag)] = TaggedImage(str(reference.tag), digest, media_type, manifests, signed=signed)
    source = "search" if len(missing) < len(names) or not names else "registry"
    return Inventory(tags, [found[tag] for tag in names if tag in found], source)


def _read(registry: Registry, reference: Reference) -> tuple[str, t.Sequence[ImageMember]]:
    """The media type and the members of an image."""
    manifest = registry.manifest(reference)
    if manifest is None:
        return "", ()
    if not manifest.is_index:
        return manifest.media_type, [_member(manifest, next(iter(registry.platforms(reference, manifest)), None))]
    with registry.valid_response(reference):
        entries = [(entry, reference.pinned(entry.digest)) for entry in manifest.entries]
    read = [(entry, registry.manifest(pinned)) for entry, pinned in entries]
    return manifest.media_type, [
        _member(child, platform) if child else ImageMember(entry.digest, None, platform, 0)
        for entry, child in read
        for platform in [str(entry.platform) if entry.platform else None]
    ]


def _member(manifest: Manifest, platform: str | None) -> ImageMember:
    size = manifest.document_size + manifest.size
    return ImageMember(manifest.digest, manifest.config_digest or None, platform, size)
