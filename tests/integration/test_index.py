# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_index on the real registry."""

from __future__ import annotations

import json

import pytest
from integration.support import PAIRS, Bare, Module, ReadsOnly, Tools

from environment.images import Images
from environment.registry import Registry

ARCHITECTURES = {"amd64": "linux/amd64", "arm64": "linux/arm64", "arm-v7": "linux/arm/v7"}


@pytest.fixture
def members(images: Images, repository: str, module: Module) -> list[str]:
    """The tags of three architectures, pushed."""
    pushed = module(
        "zot_push",
        images=[
            {"archive": str(images[f"buildah-{name}"]), "repository": repository, "tags": [f"r1-{name}"]}
            for name in ARCHITECTURES
        ],
    )
    assert not pushed["failed"], pushed
    return [f"r1-{name}" for name in ARCHITECTURES]


def _document(bare: Bare, reference: str) -> dict[str, object]:
    return json.loads(bare("crane", "manifest", reference).stdout)


def test_index_under_two_tags(
    tools: Tools, members: list[str], repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """Both hold it (crane itself keeps only the last tag); again, also in another order, nothing is written."""
    options = {"repository": repository, "tags": ["r1", "latest"], **tools.options()}
    platforms = list(ARCHITECTURES.values())
    with reads_only():
        planned = module("zot_index", manifests=members, platforms=platforms, check=True, diff=True, **options)
    written = module("zot_index", manifests=members, platforms=platforms, diff=True, **options)
    with reads_only():
        again = module("zot_index", manifests=members, platforms=platforms, diff=True, **options)
        reordered = module("zot_index", manifests=members[::-1], platforms=platforms[::-1], **options)

    assert [run["changed"] for run in (planned, written, again, reordered)] == [True, True, False, False]
    assert sorted(planned["image"]["platforms"]) == sorted(written["image"]["platforms"]) == sorted(platforms)
    assert planned["image"]["digest"] is None
    assert written["image"] == again["image"] == reordered["image"]
    assert len({tag["digest"] for tag in written["tags"]}) == 1
    assert [change["after"]["digest"] for change in written["diff"]] == [written["image"]["digest"]] * 2
    there = module("zot_image_info", images=[f"{repository}:{tag}" for tag in ("r1", "latest", *members)])["images"]
    assert there[0]["digest"] == there[1]["digest"] == written["image"]["digest"]
    assert there[0]["size"] == written["image"]["size"] == sum(image["size"] for image in there[2:])
    assert {entry["platform"]: entry["digest"] for entry in written["manifests"]} == {
        platform: image["digest"] for platform, image in zip(platforms, there[2:], strict=True)
    }


@pytest.mark.parametrize("other", PAIRS, ids=str)
def test_index_of_another_crane_is_the_same(
    other: Tools, tools: Tools, members: list[str], repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """Trap 26: crane 0.22 adds a field to each entry, so the digest depends on its version."""
    options = {"repository": repository, "manifests": members, "tags": ["r1"]}
    module("zot_index", **options, **other.options())
    with reads_only():
        assert module("zot_index", **options, **tools.options())["changed"] is False


def test_attestation_is_kept_and_not_counted(
    members: list[str], registry: Registry, repository: str, module: Module, bare: Bare, tmp_path, reads_only: ReadsOnly
) -> None:
    """Trap 25: an index as buildx writes it, whose entry unknown/unknown is the attestation of the image beside it."""
    name = f"{registry.host}/{repository}"
    layout = tmp_path / "layout"
    blob = tmp_path / "attestation.tar"
    blob.write_bytes(bytes(10240))
    assert bare("crane", "append", "-f", str(blob), "-t", f"{name}:attestation", "--oci-empty-base").returncode == 0
    attestation = bare("crane", "digest", f"{name}:attestation").stdout.strip()
    pulled = bare("crane", "pull", "--format", "oci", f"{name}:{members[0]}", str(layout))
    assert pulled.returncode == 0, pulled.stderr
    assert bare("crane", "pull", "--format", "oci", f"{name}:attestation", str(layout)).returncode == 0
    index = json.loads((layout / "index.json").read_text())
    image, extra = index["manifests"]
    image["platform"] = {"os": "linux", "architecture": "amd64"}
    extra["platform"] = {"os": "unknown", "architecture": "unknown"}
    extra["annotations"] = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"],
    }
    index["mediaType"] = "application/vnd.oci.image.index.v1+json"
    (layout / "index.json").write_text(json.dumps(index))
    pushed = bare("crane", "push", "--index", str(layout), f"{name}:with-attestation")
    assert pushed.returncode == 0, pushed.stderr

    options = {"repository": repository, "manifests": ["with-attestation", members[1]], "tags": ["r1"]}
    result = module("zot_index", platforms=["linux/amd64", "linux/arm64"], **options)
    assert result["changed"] is True, result
    assert [entry["platform"] for entry in result["manifests"]] == ["linux/amd64", "linux/arm64"]
    entries = _document(bare, f"{name}:r1")["manifests"]
    assert attestation in [entry["digest"] for entry in entries]
    with reads_only():
        assert module("zot_index", **options)["changed"] is False
    described = module("zot_image_info", images=[f"{repository}:r1"])["images"][0]
    assert described["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [entry["platform"] for entry in described["manifests"] if entry["digest"] == attestation] == [None]
