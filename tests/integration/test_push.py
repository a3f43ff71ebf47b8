# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_push on the real registry, with every version of skopeo and crane that this machine has."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from integration.support import PAIRS, Module, ReadsOnly, Tools, tar_of

from environment.images import GOOD, Images
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

    runs = (planned, pushed, again, planned_again)
    assert [run["changed"] for run in runs] == [True, True, False, False]
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


@pytest.mark.parametrize("skopeo", dict.fromkeys(pair.skopeo for pair in PAIRS))
def test_nothing_to_do_for_every_field_of_a_configuration(
    skopeo: str, repository: str, module: Module, registry: Registry, tmp_path: Path
) -> None:
    """Docker's own, empty ones, and what Go writes otherwise than Python: the second push reads each manifest once."""
    layer = tar_of({"a": b"a"})
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [], "Layers": ["layer.tar"]}]).encode()
    items = []
    for number, pair in enumerate(json.loads(CONFIGURATIONS.read_text())["pairs"]):
        if f"sha256:{hashlib.sha256(layer).hexdigest()}" in pair["docker"]:
            path = tmp_path / f"{number}.tar"
            path.write_bytes(
                tar_of({"config.json": pair["docker"].encode(), "layer.tar": layer, "manifest.json": manifest})
            )
            items.append({"archive": str(path), "repository": repository, "tags": [str(number)]})
    assert len(items) > 10
    first = module("zot_push", images=items, skopeo_path=skopeo)
    assert (first["failed"], first["changed"]) == (False, True), first
    before = len(registry.requests())
    again = module("zot_push", images=items, skopeo_path=skopeo)
    assert again["changed"] is False, again["diff"]
    requests = [each for each in registry.requests()[before:] if each.path != "/v2/"]
    expected = sorted(f"/v2/{repository}/manifests/{item['tags'][0]}" for item in items)
    # The manifest names a configuration that was predicted, so that it is not read.
    assert sorted(each.path for each in requests) == expected
    assert {each.method for each in requests} == {"GET"}


@pytest.mark.parametrize("other", PAIRS, ids=str)
def test_another_version_is_the_same_image(
    other: Tools, tools: Tools, images: Images, repository: str, module: Module, reads_only: ReadsOnly
) -> None:
    """What one version of the tools pushed, another one recognises."""
    options = {"archive": str(images["changed-layer"]), "repository": repository, "tags": ["1"]}
    module("zot_push", **options, **other.options())
    with reads_only():
        assert module("zot_push", **options, **tools.options())["changed"] is False


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


def test_a_relative_path(
    tmp_path: Path, images: Images, repository: str, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts where the module does, and skopeo, which does not run there, finds the same file."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(images["buildah-amd64"], "with:colon.tar")
    assert module("zot_push", archive="with:colon.tar", repository=repository, tags=["1"])["changed"]
