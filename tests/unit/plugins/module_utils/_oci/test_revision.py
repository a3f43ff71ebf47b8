# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tags are revisions: the table in the guide to pruning."""

from __future__ import annotations

import re

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import (
    Revisions,
    architecture_tag,
    attachment_tag,
    form_of,
    is_attachment,
    is_commit,
    is_revision,
    is_upload,
    keeper_tag,
    subject_of,
    upload_tag,
    without_architecture,
)

COMMITS = ["3f2c1ab", "0012345", "20261125", "a" * 40]
OTHER_REVISIONS = ["1.4.2", "v1.4.2", "1.4.2.1", "2026.11.25", "1.4.2-rc.1", "1.4.2-alpine", "3f2c1ab-alpine3.20"]
OTHER_REVISIONS += ["sha-3f2c1ab", "3f2c1ab-dirty"]
# These have digits, but may move.
OTHER_NUMBERS = ["build-17", "r10", "17", "1", "v1", "1.4", "v1.4", "1.4-alpine", "stable-2", "pr-17"]
SHARED = ["latest", "stable", "main", "3F2C1AB", "3f2c1a", "a" * 41]
DIGEST = f"sha256:{'3f2c1ab0' * 8}"
SPECIAL = [
    *(keeper_tag("{tag}-previous", tag) for tag in ("latest", "3f2c1ab", "1.4.2", "3f2c1ab-amd64")),
    *(f"upload-3f2c1ab03f2c-{tag}" for tag in ("3f2c1ab", "3f2c1ab-amd64", "1.4.2")),
    *(attachment_tag(DIGEST, kind) for kind in ("", "sig")),
]


@pytest.mark.parametrize("revision", [*COMMITS, *OTHER_REVISIONS])
def test_a_revision(revision: str) -> None:
    assert is_revision(revision)
    assert Revisions().of(revision) == revision
    assert is_commit(revision) is (revision in COMMITS)
    assert form_of(revision)


@pytest.mark.parametrize("tag", [*OTHER_NUMBERS, *SHARED, *SPECIAL])
@pytest.mark.parametrize("suffix", ["", "-amd64"])
def test_any_other_tag(tag: str, suffix: str) -> None:
    assert not is_revision(tag)
    assert Revisions().of(tag + suffix) is None


@pytest.mark.parametrize(
    ("platform", "suffix"),
    [
        ("linux/amd64", "amd64"),
        ("linux/amd64/v2", "amd64-v2"),
        ("linux/arm/v7", "arm-v7"),
        ("linux/arm64/v8", "arm64-v8"),
        ("windows/amd64", "windows-amd64"),
        ("linux/mips64le", "mips64le"),
        ("linux/s390x", "s390x"),
    ],
)
@pytest.mark.parametrize("revision", ["3f2c1ab", "1.4.2", "1.4.2-rc.1", "sha-3f2c1ab"])
def test_the_tag_of_one_architecture(platform: str, suffix: str, revision: str) -> None:
    tag = architecture_tag(revision, Platform.parse(platform))
    assert tag == f"{revision}-{suffix}"
    assert without_architecture(tag) == revision
    assert not is_revision(tag)
    assert Revisions().of(tag) == revision
    assert Revisions(re.compile(re.escape(revision))).of(tag) == revision


@pytest.mark.parametrize("tag", ["3f2c1ab", "-amd64", "3f2c1ab-amd64-previous", "3f2c1ab-amd", "3f2c1ab-"])
def test_no_tag_of_one_architecture(tag: str) -> None:
    assert without_architecture(tag) is None


def test_a_pattern_replaces_the_rule() -> None:
    builds = Revisions(re.compile(r"build-\d+|demo-amd64|v\d+.*"))
    assert [builds.of(tag) for tag in ("build-17", "build-17-arm64", "demo-amd64")] == [
        "build-17",
        "build-17",
        "demo-amd64",
    ]
    # Both parts match.
    assert builds.of("v1-amd64") == "v1"
    assert [builds.of(tag) for tag in ("3f2c1ab", "1.4.2", "demo", "demo-arm64")] == [None] * 4


@pytest.mark.parametrize(
    ("tags", "same"),
    [
        (("3f2c1ab", "0" * 40), True),
        (("sha-3f2c1ab", "sha-abcdefa"), True),
        (("sha-3f2c1ab", "3f2c1ab"), False),
        (("3f2c1ab-alpine", "abcdefa-alpine"), True),
        (("1.4.2", "1.10.0"), True),
        (("build-17", "build-18"), True),
        (("3f2c1ab", "1.4.2"), False),
        (("3f2c1ab", "3f2c1ab-amd64"), False),
        (("1.4.2", "1.4"), False),
        (("1.4.2", "v1.4.2"), False),
        (("1.4.2-rc1", "1.4.2"), False),
    ],
)
def test_tags_of_one_form(tags: tuple[str, str], same: bool) -> None:
    left, right = map(form_of, tags)
    assert (left == right) is same


@pytest.mark.parametrize("tag", ["latest", "stable", "main-previous"])
def test_a_tag_without_digits_has_no_form(tag: str) -> None:
    assert form_of(tag) is None


def test_special_tags() -> None:
    assert keeper_tag("before-{tag}", "latest") == "before-latest"
    assert is_upload("upload-3f2c1ab03f2c-3f2c1ab-amd64")
    assert not any(map(is_upload, ("upload", "upload-3f2c1ab", "upload-3f2c1ab03f2c-")))
    assert upload_tag(DIGEST, "3f2c1ab-amd64") == f"upload-{DIGEST[7:19]}-3f2c1ab-amd64"
    assert len(upload_tag(DIGEST, "a" * 128)) == 128
    assert is_upload(upload_tag(DIGEST, "a" * 128))
    for kind in ("", "sig", "att"):
        assert is_attachment(attachment_tag(DIGEST, kind))
        assert subject_of(attachment_tag(DIGEST, kind)) == DIGEST
    assert not any(map(is_attachment, ("sha256", "sha256-3f2c1ab", "latest")))
