# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two and eight publishers at the same time. All images are complete at the end, and each result was right."""

from __future__ import annotations

from typing import Any

import pytest
from reliability.support import Site, archive, tags_in

MANY = pytest.mark.parametrize("many", [2, 8])


def _whole(site: Site) -> dict[str, dict[str, Any]]:
    """Every tag of the repository with all that it needs: manifest, configuration, and what an index lists."""
    repository = site.repository
    tags = site.module("zot_image_info", repositories=[repository])["repositories"][0]["tags"]
    there = site.module("zot_image_info", images=[f"{repository}:{tag}" for tag in tags])
    assert there["failed"] is False, there
    for image in there["images"]:
        assert all(entry["manifest"] for entry in image["manifests"])
        assert image["manifests"] or image["config"]
    return {image["tag"]: image for image in there["images"]}


def _pushed_pair(site: Site, repository: str, revision: str) -> list[str]:
    """The tags of two architectures of a revision, each of which is there now."""
    pair = []
    for architecture in ("amd64", "arm64"):
        tag = f"{revision}-{architecture}"
        path = archive(site.directory / f"{tag}.tar", architecture=architecture)
        assert site.module("zot_push", archive=str(path), repository=repository, tags=[tag])["changed"]
        pair.append(tag)
    return pair


def _at_once(site: Site, name: str, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of these tasks in the repository of the test, which run at the same time."""
    where = {} if "images" in tasks[0] else {"repository": site.repository}
    running = [site.start(name, site.registry, retries=3, **where, **task) for task in tasks]
    return [publisher.result() for publisher in running]


@MANY
def test_same_tag(many: int, site: Site) -> None:
    """Different images to one tag: it holds one of them, and who lost it to another says so or had it for a while."""
    archives = [archive(site.directory / f"{number}.tar", size=200_000) for number in range(many)]
    results = _at_once(site, "zot_push", [{"archive": str(path), "tags": ["1"]} for path in archives])
    pushed = {result["image"]["digest"] for result in results if not result["failed"]}
    there = _whole(site)
    assert there.keys() == {"1"}
    assert len(pushed) == len([result for result in results if not result["failed"]])
    for result in results:
        if result["failed"]:
            assert result["error_class"] == "tool_failed"
            assert "Another client pushed this tag at the same time" in result["hint"]
    # The last publisher succeeds, because no other write follows.
    assert there["1"]["digest"] in pushed


@MANY
def test_same_image(many: int, site: Site) -> None:
    """One image to one tag, as two runs of the same pipeline do it."""
    task = {"archive": str(archive(site.directory / "1.tar", size=200_000)), "tags": ["1"]}
    results = _at_once(site, "zot_push", [task] * many)
    there = _whole(site)
    assert {result["image"]["digest"] for result in results if not result["failed"]} == {there["1"]["digest"]}
    assert [result for result in results if result["changed"]]
    assert site.module("zot_push", repository=site.repository, **task)["changed"] is False


@MANY
def test_different_tags(many: int, site: Site) -> None:
    """In one repository, publishers of different tags do not affect each other."""
    archives = [archive(site.directory / f"{number}.tar", size=200_000) for number in range(many)]
    tasks = [{"archive": str(path), "tags": [f"r{number}"]} for number, path in enumerate(archives)]
    results = _at_once(site, "zot_push", tasks)
    assert [(result["failed"], result["changed"]) for result in results] == [(False, True)] * many, results
    reported = {result["image"]["tag"]: result["image"]["digest"] for result in results}
    there = {tag: image["digest"] for tag, image in _whole(site).items()}
    assert there == reported == tags_in(site.registry, site.repository)


@MANY
def test_same_index(many: int, site: Site) -> None:
    """The same architectures joined under the same tags, as two runs of the same pipeline do it."""
    pair = _pushed_pair(site, site.repository, "1")
    task = {"manifests": pair, "tags": ["1", "latest"]}
    results = _at_once(site, "zot_index", [task] * many)
    there = _whole(site)
    assert [result["failed"] for result in results] == [False] * many, results
    assert {tag["digest"] for result in results for tag in result["tags"]} == {there["1"]["digest"]}
    assert there["1"]["digest"] == there["latest"]["digest"]
    assert {entry["digest"] for entry in there["1"]["manifests"]} == {there[tag]["digest"] for tag in pair}
    assert [result for result in results if result["changed"]]
    assert site.module("zot_index", repository=site.repository, **task)["changed"] is False


@MANY
def test_different_indexes(many: int, site: Site) -> None:
    """Each pushes its own two architectures and joins them under the tag that all share."""
    members = [_pushed_pair(site, site.repository, f"r{number}") for number in range(many)]
    tasks = [{"manifests": pair, "tags": [f"r{number}", "latest"]} for number, pair in enumerate(members)]
    results = _at_once(site, "zot_index", tasks)
    there = _whole(site)
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


def test_two_releases_of_the_same_images(site: Site) -> None:
    """Each shared tag ends with one of them, and who lost one says so: the tags are read again after the last write."""
    registry, repositories = site.registry, [f"{site.repository}/{name}" for name in ("one", "two", "three")]
    tasks = []
    for number in range(2):
        pairs = [(name, _pushed_pair(site, name, f"r{number}")) for name in repositories]
        tags = {"tags": [f"r{number}", "latest"], "overwrite": ["latest"]}
        images = [{"repository": name, "manifests": pair, **tags} for name, pair in pairs]
        tasks.append({"images": images})
    results = _at_once(site, "zot_index", tasks)
    for name in repositories:
        there = tags_in(registry, name)
        (winner,) = (number for number in range(2) if there["latest"] == there[f"r{number}"])
        tags = {tag["reference"]: tag for tag in results[winner]["tags"]}
        latest = tags[f"{registry.host}/{name}:latest"]
        assert (latest["error"], latest["digest"]) == (None, there["latest"])
    for number, result in enumerate(results):
        for tag in result["tags"]:
            lost = tag["error"]
            # Right after its own write, or at the end of the task.
            assert lost is None or (lost["error_class"], "holds sha256:" in lost["msg"]) == ("tool_failed", True)
            assert lost is None or tag["tag"] == "latest"
            assert lost is not None or tag["digest"] == tags_in(registry, tag["repository"])[f"r{number}"]
        assert result["failed"] is any(tag["error"] for tag in result["tags"])
        assert not result["failed"] or "Another client wrote this tag" in result["hint"]
