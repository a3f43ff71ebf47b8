# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the attachments of an image: signatures, SBOMs, attestations.

Private to killinit.zot: it may change at any time.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import attachment_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry


@dataclass(frozen=True)
class Referrer:
    """An attachment of the manifest *subject*. *tag* is set if it is attached by a tag."""

    subject: str
    digest: str
    artifact_type: str | None = None
    media_type: str | None = None
    size: int | None = None
    annotations: t.Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None

    @property
    def kinds(self) -> set[str]:
        """The kinds (C(KINDS)) of the attachment. An attestation that contains an SBOM has both kinds."""
        if self.tag:
            return {_TAGGED[self.tag.rpartition(".")[2]]}
        artifact_type = self.artifact_type or ""
        if _BUNDLE.fullmatch(artifact_type):
            predicate = self.annotations.get(_PREDICATE, _SIGNATURE_PREDICATE)
            if predicate == _SIGNATURE_PREDICATE:
                return {"signature"}
            return {"attestation", "sbom"} if _SBOM_PREDICATES.fullmatch(predicate) else {"attestation"}
        return {kind for kind, pattern in _TYPES.items() if pattern.fullmatch(artifact_type)}

    @property
    def is_signature_of_zot(self) -> bool:
        """Whether the search extension of Zot counts it as a signature, and therefore does not list it."""
        return bool(_BUNDLE.fullmatch(self.artifact_type or "")) or "signature" in self.kinds

    def for_ansible(self) -> dict[str, t.Any]:
        """An entry of the referrers in a result."""
        return asdict(self)


# https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md: a bundle is a signature or an attestation.
_BUNDLE = re.compile(r"application/vnd\.dev\.sigstore\.bundle(?:[.+].*|)")
_PREDICATE = "dev.sigstore.bundle.predicateType"
_SIGNATURE_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
_SBOM_PREDICATES = re.compile(r"https://(?:spdx\.dev/Document|cyclonedx\.org/bom).*")
_TYPES: t.Mapping[str, re.Pattern[str]] = {
    "signature": re.compile(r"application/vnd\.(?:cncf\.notary\.signature|dev\.cosign\.artifact\.sig\..*)"),
    "sbom": re.compile(
        r"(?:application|text)/(?:spdx.*|vnd\.cyclonedx.*|vnd\.syft.*|vnd\.dev\.cosign\.artifact\.sbom\..*)"
    ),
    "attestation": re.compile(r"application/(?:vnd\.in-toto.*|vnd\.dev\.cosign\.artifact\.att\..*)"),
}
_TAGGED = {"sig": "signature", "att": "attestation", "sbom": "sbom"}
KINDS = tuple(_TYPES)
# An image with more attachments than this is an error of the registry.
_MOST = 1000


def referrers(registry: Registry, subject: Reference, tags: t.Collection[str]) -> list[Referrer]:
    """The attachments of a manifest, from the referrers API and from the tags of the repository. Raises ZotError.

    *subject* is a reference by digest. *tags* are all tags of its repository.
    """
    digest, repository = str(subject.digest), subject.repository
    found: dict[str, Referrer] = {}
    pages = list(registry.http().pages(repository, f"/v2/{repository}/referrers/{digest}"))
    if not pages and attachment_tag(digest) in tags:
        index = registry.manifest(subject.tagged(attachment_tag(digest)))
        pages = [dict(index.document)] if index else []
    with registry.valid_response(subject):
        for page in pages:
            for each in _listed(page):
                found.setdefault(each["digest"], _referrer(digest, each))
    return [*found.values(), *tagged_referrers(registry, subject, tags)]


def tagged_referrers(registry: Registry, subject: Reference, tags: t.Collection[str]) -> list[Referrer]:
    """The attachments of a manifest by tags of the repository. Raises ZotError."""
    found = []
    for suffix in _TAGGED:
        tag = attachment_tag(str(subject.digest), suffix)
        attached = registry.digest(subject.tagged(tag)) if tag in tags else None
        if attached:
            found.append(Referrer(str(subject.digest), attached, tag=tag))
    return found


def all_referrers(
    subjects: t.Iterable[str], attached: t.Callable[[t.Sequence[str]], t.Iterable[Referrer]]
) -> list[Referrer]:
    """The attachments of the digests *subjects*, and the attachments of attachments: an SBOM can be signed.

    *attached* returns the direct attachments of digests. Raises ZotError if there are too many.
    """
    found: dict[tuple[str, str | None], Referrer] = {}
    known: set[str] = set()
    following = list(dict.fromkeys(subjects))
    while following:
        known.update(following)
        level = [each for each in attached(following) if found.setdefault((each.digest, each.tag), each) is each]
        if len(found) > _MOST:
            raise ZotError("tool_failed", f"more than {_MOST} objects are attached to {next(iter(subjects))}")
        following = [digest for digest in dict.fromkeys(each.digest for each in level) if digest not in known]
    return list(found.values())


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
