# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_index on the real registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from integration.support import PAIRS, Bare, Module, ReadsOnly, Tools, recap

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


def test_only_the_tag_that_moved_is_written(
    members: list[str], images: Images, registry: Registry, repository: str, module: Module
) -> None:
    """One of the two holds the index, the other an image: the other gets the digest of the first."""
    module("zot_index", repository=repository, manifests=members, tags=["r1"])
    module("zot_push", archive=str(images["buildah-amd64"]), repository=repository, tags=["latest"])
    before = len(registry.requests())
    result = module("zot_index", repository=repository, manifests=members, tags=["r1", "latest"])
    written = {request.path.rpartition("/")[2] for request in registry.requests()[before:] if request.method == "PUT"}
    assert [tag["changed"] for tag in result["tags"]] == [False, True]
    assert len({tag["digest"] for tag in result["tags"]}) == 1
    assert written == {"latest"}


@pytest.mark.parametrize("other", PAIRS, ids=str)
def test_index_of_another_crane_is_the_same(
    other: Tools, tools: Tools, members: list[str], repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """Trap 26: crane 0.22 adds a field to each entry, so the digest depends on its version."""
    options = {"repository": repository, "manifests": members, "tags": ["r1"]}
    module("zot_index", **options, **other.options())
    with reads_only():
        assert module("zot_index", **options, **tools.options())["changed"] is False


def test_one_architecture_moved(members: list[str], images: Images, repository: str, module: Module) -> None:
    """The index follows it, and the diff shows both digests."""
    options = {"repository": repository, "manifests": members, "tags": ["r1"]}
    first = module("zot_index", **options)
    module("zot_push", archive=str(images["changed-layer"]), repository=repository, tags=[members[0]])
    second = module("zot_index", diff=True, **options)
    assert second["changed"] is True
    assert second["diff"][0]["before"]["digest"] == first["image"]["digest"]
    assert second["diff"][0]["after"]["digest"] == second["image"]["digest"] != first["image"]["digest"]


def test_members_by_digest(members: list[str], repository: str, module: Module) -> None:
    """A digest names the same manifest as its tag."""
    by_tag = module("zot_index", repository=repository, manifests=members, tags=["r1"])
    digests = [entry["digest"] for entry in by_tag["manifests"]]
    assert module("zot_index", repository=repository, manifests=digests, tags=["r1"])["changed"] is False


def test_tag_that_is_the_only_one_of_a_member(
    images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """Zot would delete the member when the index is written to its only tag."""
    pushes = [
        {"archive": str(images[f"buildah-{name}"]), "repository": repository, "tags": [tag]}
        for name, tag in (("amd64", "latest"), ("arm64", "r1-arm64"))
    ]
    digests = [image["digest"] for image in module("zot_push", images=pushes)["images"]]
    options = {"repository": repository, "manifests": digests, "tags": ["r1", "latest"]}
    with reads_only():
        result = module("zot_index", **options)
    assert (result["failed"], result["error_class"]) == (True, "invalid_option")
    assert f"{repository}:latest holds the member" in result["msg"]
    assert module("zot_index", keep_previous="{tag}-previous", **options)["changed"]
    assert not module("zot_index", keep_previous="{tag}-previous", **options)["changed"]


def test_member_that_is_missing(members: list[str], repository: str, module: Module, reads_only: ReadsOnly) -> None:
    """It is named, with the most similar tags, and nothing is written."""
    options = {"repository": repository, "manifests": [*members, "r1-amd46"], "tags": ["r1"]}
    with reads_only():
        result = module("zot_index", **options)
    assert result["error_class"] == "not_found"
    assert f"{repository}:r1-amd46 does not exist" in result["msg"]
    assert "The most similar are r1-amd64" in result["hint"]


def test_member_that_is_missing_in_check_mode(
    members: list[str],
    registry: Registry,
    repository: str,
    playbook: Callable[..., CompletedProcess[str]],
    reads_only: ReadsOnly,
    tmp_path: Path,
) -> None:
    """An earlier task would push it: the index would be written, and a warning names the member."""
    options = {"repository": repository, "manifests": [*members, "r1-s390x"], "tags": ["r1", "latest"]}
    index = {"name": "Create the index", "killinit.zot.zot_index": options}
    play = tmp_path / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [index]}]))
    with reads_only():
        planned = playbook(play, "--check")
    assert recap(planned)["changed"] == 1
    output = " ".join((planned.stdout + planned.stderr).split())
    assert f"[WARNING]: {registry.host}/{repository}:r1-s390x does not exist yet." in output
    done = playbook(play)
    assert done.returncode == 2
    assert f"{repository}:r1-s390x does not exist" in done.stdout


def test_several_indexes(
    members: list[str], images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """In one task; an error that can be known before the first write stops all, and a second run writes nothing."""
    other = f"{repository}/other"
    module("zot_push", archive=str(images["buildah-amd64"]), repository=other, tags=["r1-amd64"])
    platforms = list(ARCHITECTURES.values())
    indexes = [
        {"repository": repository, "manifests": members, "platforms": platforms, "tags": ["r1", "latest"]},
        {"repository": other, "manifests": ["r1-amd64"], "tags": ["r1"]},
    ]
    with reads_only():
        planned = module("zot_index", images=indexes, check=True, diff=True)
    absent = {"repository": other, "manifests": ["absent"], "tags": ["r2"]}
    with reads_only():
        failed = module("zot_index", images=[*indexes, absent])
    done = module("zot_index", images=indexes)
    with reads_only():
        again = module("zot_index", images=indexes, parallel=1)
    assert failed["failed"] is True
    assert "absent does not exist; nothing was written. " in failed["msg"]
    assert [tag["changed"] for tag in failed["tags"]] == [False, False, False, False]
    assert [tag["changed"] for tag in done["tags"]] == [True, True, True]
    assert [len(run["diff"]) for run in (planned, again)] == [3, 0]
    assert [sorted(image["platforms"]) for image in planned["images"]] == [sorted(platforms), ["linux/amd64"]]
    assert again["images"] == done["images"]
    there = module("zot_image_info", images=[f"{repository}:latest", f"{other}:r1", f"{other}:r2"])["images"]
    assert [image["digest"] for image in there] == [*(image["digest"] for image in again["images"]), None]


def test_platform_that_comes_twice(
    members: list[str], images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """Trap 23: crane would list it twice. Both are named."""
    module("zot_push", archive=str(images["changed-env"]), repository=repository, tags=["other-amd64"])
    with reads_only():
        result = module("zot_index", repository=repository, manifests=[*members, "other-amd64"], tags=["r1"])
    assert result["error_class"] == "platform_mismatch"
    assert f"{repository}:r1-amd64 and " in result["msg"]
    assert f"{repository}:other-amd64 are both for linux/amd64" in result["msg"]


def test_member_without_platform(
    members: list[str], images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """crane would list it without one, and no node would ever choose it."""
    module("zot_push", archive=str(images["crane-bare"]), repository=repository, tags=["bare"])
    with reads_only():
        result = module("zot_index", repository=repository, manifests=[*members, "bare"], tags=["r1"])
    assert result["error_class"] == "platform_mismatch"
    assert f"{repository}:bare has no platform" in result["msg"]


@pytest.mark.parametrize(
    "platforms", [["linux/amd64"], ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]], ids=["less", "more"]
)
def test_platforms_are_exact(
    platforms: list[str], members: list[str], repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """A missing architecture, and one too many."""
    with reads_only():
        result = module("zot_index", repository=repository, manifests=members, tags=["r1"], platforms=platforms)
    assert result["error_class"] == "platform_mismatch"
    assert "linux/amd64, linux/arm/v7, linux/arm64, not for" in result["msg"]


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


def test_immutable_tag(images: Images, repository: str, module: Module, reads_only: ReadsOnly) -> None:
    """An equal index under a tag that may not move is ok; another one is refused."""
    repository = f"immutable/{repository}"
    for name in ("buildah-amd64", "buildah-arm64"):
        module("zot_push", archive=str(images[name]), repository=repository, tags=[name])
    options = {"repository": repository, "tags": ["r1"]}
    module("zot_index", manifests=["buildah-amd64"], **options)
    with reads_only():
        assert module("zot_index", manifests=["buildah-amd64"], **options)["changed"] is False
    assert module("zot_index", manifests=["buildah-arm64"], **options)["error_class"] == "denied"
