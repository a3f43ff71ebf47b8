# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is attached to an image: signatures, SBOMs, attestations.

Private to killinit.zot: it may change at any time.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader

# cosign attaches by such a tag, and the specification where the registry has no referrers API.
_ATTACHMENT = re.compile(r"sha256-[0-9a-f]{64}(?:\.[a-z]+)?")
_SUFFIXES = ("sig", "att", "sbom")


@dataclass(frozen=True)
class Referrer:
    """One thing that is attached to the manifest *subject*. *tag* is the tag that attaches it, if a tag does."""

    subject: str
    digest: str
    artifact_type: str | None = None
    media_type: str | None = None
    size: int | None = None
    annotations: t.Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None

    def for_ansible(self) -> dict[str, t.Any]:
        """One of the referrers in a result."""
        return {
            "subject": self.subject,
            "digest": self.digest,
            "artifact_type": self.artifact_type,
            "media_type": self.media_type,
            "size": self.size,
            "annotations": dict(self.annotations),
            "tag": self.tag,
        }


def is_attachment(tag: str) -> bool:
    """Whether a tag is no image, but what a tool has attached to one."""
    return bool(_ATTACHMENT.fullmatch(tag))


def signature_tag(digest: str) -> str:
    """The tag under which cosign keeps the signature of an image."""
    return f"{_name(digest)}.sig"


def referrers(reader: Reader, subject: Reference, tags: t.Collection[str]) -> list[Referrer]:
    """What is attached to a manifest, by the referrers API or by a tag of the repository. Raises ZotError.

    *subject* names a digest, *tags* are all tags of its repository.
    """
    digest, repository = str(subject.digest), subject.repository
    found: dict[str, Referrer] = {}
    pages = list(reader.http().pages(repository, f"/v2/{repository}/referrers/{digest}"))
    if not pages and _name(digest) in tags:
        index = reader.manifest(subject.tagged(_name(digest)))
        pages = [dict(index.document)] if index else []
    with reader.valid_response(subject):
        for page in pages:
            for each in _listed(page):
                found.setdefault(each["digest"], _referrer(digest, each))
    for suffix in _SUFFIXES:
        tag = f"{_name(digest)}.{suffix}"
        attached = reader.http().digest(subject.tagged(tag)) if tag in tags else None
        if attached:
            found.setdefault(attached, Referrer(digest, attached, tag=tag))
    return list(found.values())


def _name(digest: str) -> str:
    return digest.replace(":", "-")


def _listed(page: t.Mapping[str, t.Any]) -> list[t.Mapping[str, t.Any]]:
    manifests = page.get("manifests") or []
    if not isinstance(manifests, list) or not all(isinstance(each, dict) for each in manifests):
        raise InvalidImageError("its referrers are not a list of JSON objects")
    return manifests


def _referrer(subject: str, fields: t.Mapping[str, t.Any]) -> Referrer:
    digest, size, annotations = fields.get("digest"), fields.get("size"), fields.get("annotations") or {}
    artifact_type, media_type = fields.get("artifactType") or None, fields.get("mediaType") or None
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidImageError("a referrer has no digest")
    if not isinstance(size, int) or not _are_texts(artifact_type or "", media_type or ""):
        raise InvalidImageError(f"the referrer {digest} has a field of the wrong type")
    if not isinstance(annotations, dict) or not _are_texts(*annotations.values()):
        raise InvalidImageError(f"the annotations of the referrer {digest} are not texts")
    return Referrer(subject, digest, artifact_type, media_type, size, annotations)


def _are_texts(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)
