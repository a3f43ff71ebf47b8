# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_push on the real registry, with every pair of skopeo and crane that this machine has."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from integration.fixtures import writes
from integration.support import PAIRS, Bare, Module, ReadsOnly, Tools, tar_of

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, classify
from environment.images import CHANGED, GOOD, Images
from environment.registry import Registry

CONFIGURATIONS = Path(__file__).parents[1] / "unit/captured_configurations.json"
PLATFORMS = {"buildah-amd64": "linux/amd64", "buildah-arm64": "linux/arm64", "buildah-arm-v7": "linux/arm/v7"}


@pytest.mark.parametrize("name", [name for name in GOOD if name != "two-images"])
def test_push_then_push_again(
    name: str, tools: Tools, images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """The first push changes, in check mode it only says so; the second changes and writes nothing."""
    options = {"archive": str(images[name]), "repository": repository, "tag": ["1"], **tools.options()}
    with reads_only():
        planned = module("zot_push", check=True, diff=True, **options)
    pushed = module("zot_push", diff=True, **options)
    with reads_only():
        again = module("zot_push", diff=True, **options)
        planned_again = module("zot_push", check=True, **options)

    assert (planned["changed"], pushed["changed"], again["changed"], planned_again["changed"]) == (
        True,
        True,
        False,
        False,
    )
    assert planned["image"]["digest"] is None
    assert planned["image"]["platforms"] == pushed["image"]["platforms"]
    assert pushed["image"] == again["image"] == planned_again["image"]
    assert pushed["image"]["exists"] is True
    assert pushed["image"]["pinned"].endswith(f"{repository}@{pushed['image']['digest']}")
    assert pushed["image"]["media_type"] == "application/vnd.oci.image.manifest.v1+json"
    assert [change["before"]["digest"] for change in pushed["diff"]] == [None]
    assert pushed["diff"][0]["after"]["digest"] == pushed["image"]["digest"]
    assert again["diff"] == []
    if name in PLATFORMS:
        assert pushed["image"]["platforms"] == [PLATFORMS[name]]


def _push_twice(images: dict[str, Path], repository: str, module: Module, registry: Registry, **more: str) -> None:
    """Push each archive to the tag of its name, twice. The second push reads each manifest once and writes nothing."""
    items = [{"archive": str(path), "repository": repository, "tags": [name]} for name, path in images.items()]
    first = module("zot_push", images=items, **more)
    assert (first["failed"], first["changed"]) == (False, True), first
    before = len(registry.requests())
    again = module("zot_push", images=items, **more)
    assert again["changed"] is False, again["diff"]
    requests = [request for request in registry.requests()[before:] if request.path != "/v2/"]
    manifests = [request.path for request in requests if "/manifests/" in request.path]
    assert sorted(manifests) == sorted(f"/v2/{repository}/manifests/{name}" for name in images)
    assert {request.method for request in requests} == {"GET"}


def test_every_builder_is_unchanged(
    tools: Tools, images: Images, repository: str, module: Module, registry: Registry
) -> None:
    archives = {name: images[name] for name in GOOD if name != "two-images"}
    _push_twice(archives, repository, module, registry, **tools.options())


@pytest.mark.parametrize("skopeo", dict.fromkeys(pair.skopeo for pair in PAIRS))
def test_nothing_to_do_for_every_field_of_a_configuration(
    skopeo: str, repository: str, module: Module, registry: Registry, tmp_path: Path
) -> None:
    """Docker's own, empty ones, and what Go writes otherwise than Python."""
    layer = tar_of({"a": b"a"})
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [], "Layers": ["layer.tar"]}]).encode()
    archives = {}
    for number, pair in enumerate(json.loads(CONFIGURATIONS.read_text())["pairs"]):
        if f"sha256:{hashlib.sha256(layer).hexdigest()}" in pair["docker"]:
            files = {"config.json": pair["docker"].encode(), "layer.tar": layer, "manifest.json": manifest}
            archives[str(number)] = tmp_path / f"{number}.tar"
            archives[str(number)].write_bytes(tar_of(files))
    assert len(archives) > 10
    _push_twice(archives, repository, module, registry, skopeo_path=skopeo)


def test_a_configuration_of_another_writer_is_read_once(
    images: Images, repository: str, module: Module, registry: Registry, bare: Bare, tmp_path: Path
) -> None:
    """A configuration with the same meaning and other bytes is read, and once for all its tags."""
    layout = tmp_path / "layout"
    assert bare("skopeo", "copy", "--format=oci", f"docker-archive:{images['labels']}", f"dir:{layout}").returncode == 0
    manifest = json.loads((layout / "manifest.json").read_text())
    spaced = json.dumps(json.loads((layout / manifest["config"]["digest"][7:]).read_text()), indent=1).encode()
    digest = hashlib.sha256(spaced).hexdigest()
    (layout / digest).write_bytes(spaced)
    manifest["config"] |= {"digest": f"sha256:{digest}", "size": len(spaced)}
    (layout / "manifest.json").write_text(json.dumps(manifest))
    for tag in ("1", "2"):
        copied = bare("skopeo", "copy", f"dir:{layout}", f"docker://{registry.host}/{repository}:{tag}")
        assert copied.returncode == 0, copied.stderr
    before = len(registry.requests())
    same = module("zot_push", archive=str(images["labels"]), repository=repository, tags=["1", "2"])
    assert same["changed"] is False
    requests = [request.path for request in registry.requests()[before:] if request.path != "/v2/"]
    assert sorted(requests) == [
        f"/v2/{repository}/blobs/sha256:{digest}",
        f"/v2/{repository}/manifests/1",
        f"/v2/{repository}/manifests/2",
    ]


@pytest.mark.parametrize("name", CHANGED)
def test_one_difference_is_a_change(name: str, tools: Tools, images: Images, repository: str, module: Module) -> None:
    """One label, one variable, one layer, the architecture."""
    options = {"repository": repository, "tags": ["1"], **tools.options()}
    first = module("zot_push", archive=str(images["buildah-amd64"]), **options)
    second = module("zot_push", archive=str(images[name]), **options)
    assert second["changed"] is True
    assert second["image"]["digest"] != first["image"]["digest"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("labels", "labels-reordered"),
        ("buildah-amd64", "healthcheck"),
        ("buildah-amd64", "onbuild"),
        ("buildah-amd64", "gzip"),
        ("buildah-amd64", "docker-25"),
        ("docker-25", "docker-29"),
    ],
)
def test_another_form_is_the_same_image(
    first: str, second: str, images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """What OCI does not keep, and how the archive was written, makes no difference."""
    module("zot_push", archive=str(images[first]), repository=repository, tags=["1"])
    with reads_only():
        assert module("zot_push", archive=str(images[second]), repository=repository, tags=["1"])["changed"] is False


@pytest.mark.parametrize("level", ["1", "9"])
def test_another_compression_level_is_the_same_image(
    level: str,
    images: Images,
    repository: str,
    module: Module,
    reads_only: ReadsOnly,
    registry: Registry,
    bare: Bare,
) -> None:
    """Trap 2: the digest depends on the level, and on the cache of the machine that pushed."""
    options = ["--format=oci", "--dest-compress-format=gzip", f"--dest-compress-level={level}"]
    target = f"docker://{registry.host}/{repository}:1"
    assert bare("skopeo", "copy", *options, f"docker-archive:{images['changed-layer']}", target).returncode == 0
    with reads_only():
        same = module("zot_push", archive=str(images["changed-layer"]), repository=repository, tags=["1"])
    assert same["changed"] is False


@pytest.mark.parametrize("other", PAIRS, ids=str)
def test_another_version_is_the_same_image(
    other: Tools, tools: Tools, images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """What one version of the tools pushed, another one recognises."""
    options = {"archive": str(images["empty-layers"]), "repository": repository, "tags": ["1"]}
    module("zot_push", **options, **other.options())
    with reads_only():
        assert module("zot_push", **options, **tools.options())["changed"] is False


def test_immutable_tag(images: Images, module: Module, reads_only: ReadsOnly, repository: str) -> None:
    """Traps 7: a second PUT of an equal image would be refused. A different one is, and says why."""
    options = {"repository": f"immutable/{repository}", "tags": ["1"]}
    module("zot_push", archive=str(images["buildah-amd64"]), **options)
    with reads_only():
        assert module("zot_push", archive=str(images["buildah-amd64"]), **options)["changed"] is False
        assert module("zot_push", archive=str(images["changed-env"]), check=True, **options)["changed"] is True
    refused = module("zot_push", archive=str(images["changed-env"]), **options)
    assert refused["error_class"] == "denied"
    assert "immutable" in refused["hint"]
    assert "'writer' from zot_username (variable) or username (option)" in refused["hint"]
    assert refused["changed"] is False


@pytest.mark.parametrize(
    ("choice", "platform"),
    [("localhost/demo:amd64", "linux/amd64"), ("demo:arm64", "linux/arm64"), ("1", "linux/arm64")],
)
def test_one_of_two_images(
    choice: str, platform: str, tools: Tools, images: Images, repository: str, module: Module
) -> None:
    """Trap 11: an archive that holds two, by reference as docker or podman shows it, or by index."""
    options = {"archive": str(images["two-images"]), "archive_image": choice, "repository": repository, "tags": ["1"]}
    first = module("zot_push", **options, **tools.options())
    assert (first["changed"], first["image"]["platforms"]) == (True, [platform])
    assert module("zot_push", **options, **tools.options())["changed"] is False


def test_only_the_tag_that_differs_is_written(
    images: Images, registry: Registry, repository: str, module: Module
) -> None:
    """Of two tags, one of which holds the image."""
    options = {"archive": str(images["buildah-amd64"]), "repository": repository}
    module("zot_push", tags=["a"], **options)
    before = len(registry.requests())
    both = module("zot_push", tags=["a", "b"], diff=True, **options)
    written = [request.path.rpartition("/")[2] for request in registry.requests()[before:] if request.method == "PUT"]
    assert [tag["changed"] for tag in both["tags"]] == [False, True]
    assert "b" in written
    assert "a" not in written
    assert [change["after"]["reference"].rpartition(":")[2] for change in both["diff"]] == ["b"]


def test_force_pushes_again(images: Images, repository: str, module: Module) -> None:
    """Though the tag holds the image."""
    options = {"archive": str(images["buildah-amd64"]), "repository": repository, "tags": ["1"]}
    module("zot_push", **options)
    assert module("zot_push", force=True, **options)["changed"] is True


def test_platform_is_refused_before_anything_is_written(
    images: Images, repository: str, module: Module, registry: Registry
) -> None:
    """An arm64 archive for amd64; an archive that has no platform."""
    before = len(registry.requests())
    for name, message in (("buildah-arm64", "is for linux/arm64"), ("crane-bare", "an unknown platform")):
        refused = module(
            "zot_push", archive=str(images[name]), repository=repository, tags=["1"], platform="linux/amd64"
        )
        assert refused["error_class"] == "platform_mismatch"
        assert message in refused["msg"]
        assert "linux/amd64" in refused["msg"]
    assert not writes(registry.requests()[before:])
    accepted = module(
        "zot_push", archive=str(images["buildah-arm-v7"]), repository=repository, tags=["1"], platform="linux/arm"
    )
    assert accepted["changed"] is True


def test_a_list_with_a_broken_archive(images: Images, repository: str, module: Module, reads_only: ReadsOnly) -> None:
    """It is found before the first push, and the failure says which it is."""
    good, broken = str(images["buildah-amd64"]), str(images["cut-short"])
    items = [
        {"archive": archive, "repository": repository, "tags": [tag]}
        for archive, tag in ((good, "1"), (broken, "2"), (good, "3"))
    ]
    with reads_only():
        result = module("zot_push", images=items)
    assert result["failed"] is True
    assert result["error_class"] == "archive_invalid"
    assert broken in result["msg"]
    assert "; nothing was written. " in result["msg"]
    assert [image["tag"] for image in result["images"]] == ["1", "2", "3"]
    assert [image["exists"] for image in result["images"]] == [False, False, False]
    assert [tag["changed"] for tag in result["tags"]] == [False, False, False]
    assert [(tag["error"] or {}).get("error_class") for tag in result["tags"]] == [None, "archive_invalid", None]


def test_keep_previous(images: Images, registry: Registry, repository: str, module: Module) -> None:
    """The image that a tag holds before it moves stays under another tag. The same image again changes nothing."""
    options = {"repository": repository, "keep_previous": "{tag}-previous"}
    first = module("zot_push", archive=str(images["buildah-amd64"]), tags=["1", "latest"], **options)
    with_revision = module("zot_push", archive=str(images["changed-env"]), tags=["latest"], **options)
    kept = f"{registry.host}/{repository}:latest-previous"
    assert [tag["previous_tag"] for tag in with_revision["tags"]] == [kept]
    assert module("zot_image_info", images=[kept])["images"][0]["digest"] == first["image"]["digest"]
    planned = module("zot_push", archive=str(images["changed-layer"]), tags=["latest"], check=True, **options)
    alone = module("zot_push", archive=str(images["changed-layer"]), tags=["latest"], **options)
    assert module("zot_push", archive=str(images["changed-layer"]), tags=["latest"], **options)["changed"] is False
    assert [tag["previous_tag"] for tag in planned["tags"]] == [tag["previous_tag"] for tag in alone["tags"]] == [kept]
    there = module("zot_image_info", images=[kept, with_revision["image"]["pinned"], first["image"]["pinned"]])
    assert [image["digest"] for image in there["images"]] == [
        with_revision["image"]["digest"],
        with_revision["image"]["digest"],
        first["image"]["digest"],
    ]


def test_a_relative_path(
    tmp_path: Path, images: Images, repository: str, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts where the module does, and skopeo, which does not run there, finds the same file."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(images["buildah-amd64"], "app.tar")
    assert module("zot_push", archive="app.tar", repository=repository, tags=["1"])["changed"]


def test_nothing_to_do_does_not_read_the_layers(
    tmp_path: Path, images: Images, repository: str, module: Module
) -> None:
    """4 GiB more in the archive (a hole, which costs nothing on disk) do not make a difference that can be felt."""
    small = images["buildah-amd64"]
    large = tmp_path / "large.tar"
    hole = 4 * 1024**3
    with tarfile.open(small) as source, large.open("wb") as target:
        header = tarfile.TarInfo("hole")
        header.size = hole
        target.write(header.tobuf(tarfile.GNU_FORMAT))
        target.seek(hole, 1)
        with tarfile.open(fileobj=target, mode="w|") as copy:
            for member in source:
                copy.addfile(member, source.extractfile(member))
    assert large.stat().st_size > hole
    module("zot_push", archive=str(small), repository=repository, tags=["1"])
    started = time.monotonic()
    assert module("zot_push", archive=str(large), repository=repository, tags=["1"])["changed"] is False
    assert time.monotonic() - started < 5


def test_crane_push_is_refused_and_classified(images: Images, registry: Registry, repository: str, bare: Bare) -> None:
    """The reason for all this: the registry answers 415, and the hint says what to do instead."""
    refused = bare("crane", "push", str(images["buildah-amd64"]), f"{registry.host}/{repository}:1")
    assert refused.returncode == 1
    assert classify(refused.stderr) == "manifest_invalid"
    assert "push with killinit.zot.zot_push" in ZotError("manifest_invalid", "").hint
    answers = {(request.method, request.status) for request in registry.requests() if repository in request.path}
    assert ("PUT", 415) in answers
