# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import (
    image_identity,
    predicted_configurations,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    InvalidImageError,
    Manifest,
    Platform,
    json_object,
    sha256,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REFERENCE = Reference("h.example", "demo/app", "1")


@pytest.mark.parametrize(
    ("wanted", "satisfied"),
    [("windows/amd64", True), ("linux/amd64", False), ("windows/arm64", False)],
)
def test_a_version_of_windows_satisfies_every_request_without_one(wanted: str, satisfied: bool) -> None:
    assert Platform("windows", "amd64", os_version="10.0.20348.2402").satisfies(Platform.parse(wanted)) is satisfied


@pytest.mark.parametrize(
    "text",
    ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/amd64\n", "linux amd64", "linux/.."],
)
def test_platform_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a platform: use os/architecture"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64", "linux/arm64/8", True),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/7", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "linux/amd64/v2", False),
    ],
)
def test_platforms_compare_as_containerd_does(left: str, right: str, same: bool) -> None:
    assert (Platform.parse(left).normalized == Platform.parse(right).normalized) is same


def test_two_versions_of_windows_are_two_platforms() -> None:
    fields = {"os": "windows", "architecture": "amd64"}
    assert Platform.of({**fields, "os.version": "10.0.1"}) != Platform.of({**fields, "os.version": "10.0.2"})


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"os": "linux"}, id="only the system"),
        pytest.param({"os": "", "architecture": "amd64"}, id="an empty system"),
        pytest.param({"os": "unknown", "architecture": "unknown"}, id="an attestation"),
    ],
)
def test_no_platform(fields: dict[str, t.Any]) -> None:
    assert Platform.of(fields) is None


def test_manifest() -> None:
    raw = json.dumps(
        {
            "mediaType": MANIFEST,
            "config": {"digest": "sha256:c", "size": 10},
            "layers": [{"size": 100}, {"size": 1000}],
        }
    ).encode()
    manifest = Manifest.parse(raw)
    assert manifest.document == json.loads(raw)
    assert (manifest.digest, manifest.media_type, manifest.config_digest, manifest.size, manifest.is_index) == (
        sha256(raw),
        MANIFEST,
        "sha256:c",
        1110,
        False,
    )


@pytest.mark.parametrize(
    ("document", "expected"), [({"manifests": []}, INDEX), ({"layers": []}, MANIFEST)], ids=["index", "manifest"]
)
def test_the_media_type_may_be_missing(document: dict[str, t.Any], expected: str) -> None:
    assert Manifest.parse(json.dumps(document).encode()).media_type == expected


def index(*entries: tuple[str, str, dict[str, t.Any]]) -> Manifest:
    manifests = []
    for platform, digest, more in entries:
        names = zip(("os", "architecture", "variant"), platform.split("/"))
        manifests.append({"digest": digest, "platform": dict(names), **more})
    return Manifest.parse(json.dumps({"mediaType": INDEX, "manifests": manifests}).encode())


BASE = index(("linux/amd64", "sha256:a", {}), ("linux/arm64", "sha256:b", {}))


def test_index() -> None:
    found = index(
        ("linux/arm64/v8", "sha256:b", {}), ("unknown/unknown", "sha256:x", {}), ("linux/arm", "sha256:a", {})
    )
    assert [(entry.digest, str(entry.platform)) for entry in found.entries] == [
        ("sha256:b", "linux/arm64/v8"),
        ("sha256:x", "None"),
        ("sha256:a", "linux/arm"),
    ]
    assert [(str(platform), digest) for platform, digest in found.by_platform] == [
        ("linux/arm/v7", "sha256:a"),
        ("linux/arm64", "sha256:b"),
    ]
    assert [entry["digest"] for entry in found.document["manifests"]] == ["sha256:b", "sha256:x", "sha256:a"]


def test_a_manifest_that_is_none() -> None:
    with pytest.raises(InvalidImageError, match=r"^the manifest is not a JSON object$"):
        Manifest.parse(b"[]")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(index(("linux/arm64", "sha256:b", {}), ("linux/amd64", "sha256:a", {})), True, id="order"),
        pytest.param(
            index(("linux/amd64", "sha256:a", {"artifactType": "x"}), ("linux/arm64", "sha256:b", {"size": 5})),
            True,
            id="a newer crane",
        ),
        pytest.param(
            index(
                ("linux/amd64", "sha256:a", {}), ("linux/arm64", "sha256:b", {}), ("unknown/unknown", "sha256:x", {})
            ),
            True,
            id="an attestation",
        ),
        pytest.param(
            index(("linux/amd64", "sha256:a", {}), ("linux/arm64/v8", "sha256:b", {})),
            True,
            id="another word for arm64",
        ),
        pytest.param(index(("linux/amd64", "sha256:b", {}), ("linux/arm64", "sha256:a", {})), False, id="exchanged"),
        pytest.param(index(("linux/amd64", "sha256:a", {})), False, id="one is missing"),
        pytest.param(
            index(("linux/amd64", "sha256:a", {}), ("linux/arm64", "sha256:b", {}), ("linux/arm64", "sha256:b", {})),
            False,
            id="one is repeated",
        ),
    ],
)
def test_same_index(other: Manifest, same: bool) -> None:
    assert (BASE.by_platform == other.by_platform) is same


def test_the_size_of_an_index_is_that_of_its_children() -> None:
    children = (Manifest("sha256:a", MANIFEST, {}, size=5), Manifest("sha256:b", MANIFEST, {}, size=6))
    assert Image(REFERENCE, index(), None, children).for_ansible()["size"] == 11


def test_the_platforms_of_an_index_keep_their_order_and_spelling() -> None:
    found = index(
        ("linux/arm64/v8", "sha256:b", {}), ("unknown/unknown", "sha256:x", {}), ("linux/amd64", "sha256:a", {})
    )
    assert Image(REFERENCE, found).platforms == ["linux/arm64/v8", "linux/amd64"]


JSON: st.SearchStrategy[t.Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
# The names that count, with anything behind them.
NAMES = ["config", "rootfs", "history", "created", "diff_ids", "Labels", "Env", "os", "architecture", "variant"]
NAMES += ["os.version", "os.features", "mediaType", "manifests", "layers", "digest", "size", "platform", "author"]
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | JSON)


@given(DOCUMENTS)
def test_content_of_any_json(document: dict[str, t.Any]) -> None:
    try:
        found = image_identity(document)
    except InvalidImageError:
        return
    same = [json.dumps(document), *predicted_configurations(document)]
    assert {json.dumps(image_identity(json.loads(each)), sort_keys=True) for each in same} == {
        json.dumps(found, sort_keys=True)
    }


@given(DOCUMENTS)
def test_manifest_of_any_json(document: dict[str, t.Any]) -> None:
    raw = json.dumps(document).encode()
    try:
        manifest = Manifest.parse(raw)
        image = Image(REFERENCE, manifest, document)
        result = image.for_ansible()
    except InvalidImageError:
        return
    assert result["digest"] == sha256(raw)
    assert manifest.by_platform == sorted(manifest.by_platform)
    assert isinstance(result["size"], int) is not manifest.is_index


@given(st.binary(max_size=30))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    try:
        found = json_object(raw, "it")
    except InvalidImageError:
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(b"[]", "it is not a JSON object", id="a list"),
        pytest.param(b"{", "it is not valid JSON", id="cut short"),
        pytest.param(b"\xff\xfe", "it is not valid JSON", id="no text"),
        pytest.param(b"[" * 100_000, "it is not valid JSON", id="deep"),
        pytest.param(b'{"a":' * 65 + b"0" + b"}" * 65, "more than 64 levels", id="too deep to be printed"),
        pytest.param(b'{"a": NaN}', "it is not valid JSON: NaN", id="NaN"),
    ],
)
def test_json_object_refuses(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidImageError, match=message):
        json_object(raw, "it")


def test_half_a_pair_is_read_as_go_reads_it() -> None:
    """skopeo writes it so, and Ansible cannot take it as it stands."""
    found = json_object(rb'{"\udc00": ["\ud800x", "\ud83d\ude00"]}', "it")
    assert found == {"\ufffd": ["\ufffdx", "\U0001f600"]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"config": []}, None),
        ({"config": [1]}, "config is not a JSON object"),
        ({"layers": {"a": 1}}, "layers is not a list of JSON objects"),
        ({"layers": [1]}, "layers is not a list of JSON objects"),
        ({"config": {"size": "1"}}, "size is not a number"),
        ({"mediaType": 1}, "mediaType is not a string"),
    ],
)
def test_manifest_says_what_is_wrong(document: dict[str, t.Any], message: str | None) -> None:
    raw = json.dumps(document).encode()
    if message is None:
        assert Manifest.parse(raw).config_digest == ""
        return
    with pytest.raises(InvalidImageError, match=message):
        Manifest.parse(raw)
