# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two and eight publishers at the same time. All images are complete at the end, and each result was right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.support import Module
from reliability.support import Publisher, archive, tags_in

from environment.registry import Registry

START = Callable[..., Publisher]
MANY = pytest.mark.parametrize("many", [2, 8])


def _whole(module: Module, repository: str) -> dict[str, dict[str, Any]]:
    """Every tag of the repository with all that it needs: manifest, configuration, and what an index lists."""
    tags = module("zot_image_info", repositories=[repository])["repositories"][0]["tags"]
    there = module("zot_image_info", images=[f"{repository}:{tag}" for tag in tags])
    assert there["failed"] is False, there
    for image in there["images"]:
        assert all(entry["manifest"] for entry in image["manifests"])
        assert image["manifests"] or image["config"]
    return {image["tag"]: image for image in there["images"]}


def _pushed_pair(module: Module, repository: str, folder: Path, revision: str) -> list[str]:
    """The tags of two architectures of a revision, each of which is there now."""
    pair = []
    for architecture in ("amd64", "arm64"):
        tag = f"{revision}-{architecture}"
        path = archive(folder / f"{tag}.tar", architecture=architecture)
        assert module("zot_push", archive=str(path), repository=repository, tags=[tag])["changed"]
        pair.append(tag)
    return pair


@MANY
def test_same_tag(
    many: int,
    registry: Registry,
    repository: str,
    start: START,
    module: Module,
    tmp_path: Path,
) -> None:
    """Different images to one tag: it holds one of them, and who lost it to another says so or had it for a while."""
    archives = [archive(tmp_path / f"{number}.tar", size=200_000) for number in range(many)]
    options = {"repository": repository, "tags": ["1"], "retries": 3}
    running = [start("zot_push", registry, archive=str(path), **options) for path in archives]
    results = [publisher.result() for publisher in running]
    pushed = {result["image"]["digest"] for result in results if not result["failed"]}
    there = _whole(module, repository)
    assert there.keys() == {"1"}
    assert len(pushed) == len([result for result in results if not result["failed"]])
    for result in results:
        if result["failed"]:
            assert result["error_class"] == "tool_failed"
            assert "Another client pushed this tag at the same time" in result["hint"]
    # The last publisher succeeds, because no other write follows.
    assert there["1"]["digest"] in pushed


@MANY
def test_same_image(
    many: int,
    registry: Registry,
    repository: str,
    start: START,
    module: Module,
    tmp_path: Path,
) -> None:
    """One image to one tag, as two runs of the same pipeline do it."""
    path = archive(tmp_path / "1.tar", size=200_000)
    options = {"archive": str(path), "repository": repository, "tags": ["1"], "retries": 3}
    results = [publisher.result() for publisher in [start("zot_push", registry, **options) for _number in range(many)]]
    there = _whole(module, repository)
    assert {result["image"]["digest"] for result in results if not result["failed"]} == {there["1"]["digest"]}
    assert [result for result in results if result["changed"]]
    assert module("zot_push", **options)["changed"] is False


@MANY
def test_different_tags(
    many: int,
    registry: Registry,
    repository: str,
    start: START,
    module: Module,
    tmp_path: Path,
) -> None:
    """In one repository, publishers of different tags do not affect each other."""
    running = []
    for number in range(many):
        path = archive(tmp_path / f"{number}.tar", size=200_000)
        running.append(
            start("zot_push", registry, archive=str(path), repository=repository, tags=[f"r{number}"], retries=3)
        )
    results = [publisher.result() for publisher in running]
    assert [(result["failed"], result["changed"]) for result in results] == [(False, True)] * many, results
    reported = {result["image"]["tag"]: result["image"]["digest"] for result in results}
    assert (
        {tag: image["digest"] for tag, image in _whole(module, repository).items()}
        == reported
        == tags_in(registry, repository)
    )


@MANY
def test_same_index(
    many: int,
    registry: Registry,
    repository: str,
    start: START,
    module: Module,
    tmp_path: Path,
) -> None:
    """The same architectures joined under the same tags, as two runs of the same pipeline do it."""
    pair = _pushed_pair(module, repository, tmp_path, "1")
    options = {"repository": repository, "manifests": pair, "tags": ["1", "latest"], "retries": 3}
    results = [publisher.result() for publisher in [start("zot_index", registry, **options) for _number in range(many)]]
    there = _whole(module, repository)
    assert [result["failed"] for result in results] == [False] * many, results
    assert {tag["digest"] for result in results for tag in result["tags"]} == {there["1"]["digest"]}
    assert there["1"]["digest"] == there["latest"]["digest"]
    assert {entry["digest"] for entry in there["1"]["manifests"]} == {there[tag]["digest"] for tag in pair}
    assert [result for result in results if result["changed"]]
    assert module("zot_index", **options)["changed"] is False


@MANY
def test_different_indexes(
    many: int,
    registry: Registry,
    repository: str,
    start: START,
    module: Module,
    tmp_path: Path,
) -> None:
    """Each pushes its own two architectures and joins them under the tag that all share."""
    members = [_pushed_pair(module, repository, tmp_path, f"r{number}") for number in range(many)]
    running = [
        start("zot_index", registry, repository=repository, manifests=pair, tags=[f"r{number}", "latest"], retries=3)
        for number, pair in enumerate(members)
    ]
    results = [publisher.result() for publisher in running]
    there = _whole(module, repository)
    indexes = [{there[tag]["digest"] for tag in pair} for pair in members]
    for number, result in enumerate(results):
        own, latest = result["tags"]
        assert own["error"] is None
        assert own["digest"] == there[f"r{number}"]["digest"]
        assert {entry["digest"] for entry in there[f"r{number}"]["manifests"]} == indexes[number]
        assert latest["error"] is None or "Another client wrote this tag" in result["hint"]
    assert {entry["digest"] for entry in there["latest"]["manifests"]} in indexes
    winners = [there[f"r{number}"]["digest"] for number, result in enumerate(results) if not result["failed"]]
    assert there["latest"]["digest"] in winners


def test_two_releases_of_the_same_images(
    registry: Registry, repository: str, start: START, module: Module, tmp_path: Path
) -> None:
    """Each shared tag ends with one of them, and who lost one says so: the tags are read again after the last write."""
    repositories = [f"{repository}/{name}" for name in ("one", "two", "three")]
    for number in range(2):
        for name in repositories:
            _pushed_pair(module, name, tmp_path, f"r{number}")
    running = []
    for number in range(2):
        pair = [f"r{number}-amd64", f"r{number}-arm64"]
        images = [
            {"repository": name, "manifests": pair, "tags": [f"r{number}", "latest"], "overwrite": ["latest"]}
            for name in repositories
        ]
        running.append(start("zot_index", registry, images=images, retries=3))
    results = [publisher.result() for publisher in running]
    for name in repositories:
        there = tags_in(registry, name)
        (winner,) = (number for number in range(2) if there["latest"] == there[f"r{number}"])
        tags = {tag["reference"]: tag for tag in results[winner]["tags"]}
        latest = tags[f"{registry.host}/{name}:latest"]
        assert (latest["error"], latest["digest"]) == (None, there["latest"])
    for number, result in enumerate(results):
        for tag in result["tags"]:
            lost = tag["error"]
            assert lost is None or "but this task wrote" in lost["msg"] or "does not hold the index" in lost["msg"]
            assert lost is None or tag["tag"] == "latest"
            assert lost is not None or tag["digest"] == tags_in(registry, tag["repository"])[f"r{number}"]
        assert result["failed"] is any(tag["error"] for tag in result["tags"])
        assert not result["failed"] or "Another client wrote this tag" in result["hint"]
