# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The grammar of tags: revisions, their architectures, shared tags, keepers, upload tags and attachments.

Private to killinit.zot: it may change at any time.

The table in docs/docsite/rst/guide_prune.rst describes this grammar to users.
"""

from __future__ import annotations

import re

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform

_COMMIT = re.compile(r"[0-9a-f]{7,40}")
# docker/metadata-action writes sha-3f2c1ab. A version with fewer than three numbers moves with its patch versions, and
# a keeper with the tag whose previous image it keeps.
_REVISION = re.compile(
    r"(?!.*-previous)(?:(?:sha-)?(?P<commit>[0-9a-f]{7,40})|v?[0-9]+(?:\.[0-9]+){2,})"
    r"(?:[-_.][A-Za-z0-9_][A-Za-z0-9_.-]*)?"
)
# https://go.dev/doc/install/source#environment
_ARCHITECTURE = re.compile(
    r"-(?:(?:darwin|freebsd|windows)-)?(?:386|amd64|arm|arm64|loong64|mips\w*|ppc64(?:le)?|riscv64|s390x)(?:-?v\d+)?\Z"
)
_NUMBER = re.compile(r"[0-9]+")
_UPLOAD = re.compile(r"upload-[0-9a-f]{12}-.+")
# The tags of attachments: of cosign, and of the specification for registries without the referrers API.
_ATTACHMENT = re.compile(r"sha256-[0-9a-f]{64}(?:\.[a-z]+)?")


def is_commit(tag: str) -> bool:
    """Whether a tag is 7 to 40 hexadecimal digits, as the SHA of a commit."""
    return bool(_COMMIT.fullmatch(tag))


def is_revision(tag: str) -> bool:
    """Whether a tag is the tag of one build: a commit or a version of three numbers, also with a suffix."""
    return bool(_REVISION.fullmatch(tag)) and not without_architecture(tag)


def form_of(tag: str) -> str | None:
    """The common part of the tags of all revisions; None for a tag without digits, for example C(stable).

    Tags of the same form differ only in the commit or in their numbers. A tag such as C(build-17) has a form, too.
    """
    found = _REVISION.fullmatch(tag)
    if found and found["commit"]:
        tag = f"{tag[: found.start('commit')]}<0>{tag[found.end('commit') :]}"
    return _NUMBER.sub("0", tag) if _NUMBER.search(tag) else None


def architecture_tag(tag: str, platform: Platform) -> str:
    """The tag of one architecture. A tag cannot contain a slash, and Linux is not named: C(3f2c1ab-arm-v7)."""
    return f"{tag}-{str(platform).removeprefix('linux/').replace('/', '-')}"


def without_architecture(tag: str) -> str | None:
    """The part of the tag of one architecture before the architecture; None for a tag without architecture."""
    found = _ARCHITECTURE.search(tag)
    return tag[: found.start()] or None if found else None


class Revisions:
    """Distinguishes the tags of revisions from shared tags, for example C(latest)."""

    def __init__(self, pattern: re.Pattern[str] | None = None) -> None:
        """*pattern* matches the whole tag of a revision. Without it, is_revision() decides."""
        self._matches = pattern.fullmatch if pattern else is_revision

    def of(self, tag: str) -> str | None:
        """The revision that a tag belongs to, also as the tag of one architecture; None for every other tag."""
        return next((each for each in (without_architecture(tag), tag) if each and self._matches(each)), None)


def keeper_tag(template: str, tag: str) -> str:
    """The tag that keeps the previous image of a tag, by the option keep_previous."""
    return template.replace("{tag}", tag)


def upload_tag(config_digest: str, tag: str) -> str:
    """The tag that holds an image until *tag* and its other tags may move to it. A tag has at most 128 characters."""
    return f"upload-{config_digest.partition(':')[2][:12]}-{tag}"[:128]


def is_upload(tag: str) -> bool:
    """Whether a tag only holds an image until the other tags refer to it, for example C(upload-3f2c1ab03f2c-1.4.2)."""
    return bool(_UPLOAD.fullmatch(tag))


def uploaded_tag(tag: str) -> str:
    """The tag that the image of an upload tag is meant for."""
    return tag.split("-", 2)[2]


def is_attachment(tag: str) -> bool:
    """Whether a tag is the tag of an attachment, and not of an image."""
    return bool(_ATTACHMENT.fullmatch(tag))


def attachment_tag(digest: str, kind: str = "") -> str:
    """The tag of an attachment of an image. cosign adds the *kind*, for example C(sig)."""
    return ".".join(filter(None, (digest.replace(":", "-"), kind)))


def subject_of(tag: str) -> str:
    """The digest of the image that an attachment belongs to."""
    return f"sha256:{tag[len('sha256-') :][:64]}"
