# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two jobs publish at the same time, or one is killed. A published tag always refers to a complete image."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from reliability.support import Site, archive, tags_in, tools_of, wait_until, wait_until_held

from environment.faults import Fault

BLOB = Fault("hold", "PATCH .*/blobs/", size=300_000, times=1)
TWO = ("amd64", "arm64")
ROUNDS = 3


def _build(site: Site, name: str, architectures: Sequence[str] | None, size: int = 1_000_000) -> dict[str, Any]:
    """An image with new content. Without architectures it has one archive and no index."""
    paths = {each: str(archive(site.directory / f"{name}-{each}.tar", architecture=each, size=size)) for each in TWO}
    if architectures is None:
        return {"archive": paths["amd64"]}
    return {"archives": {each: paths[each] for each in architectures}}


def _task(image: dict[str, Any], *repositories: str, revision: str = "r1", **options: Any) -> dict[str, Any]:
    images = [{"repository": repository, **image} for repository in repositories]
    return {"images": images, "revision": revision, "retries": 1, **options}


def _published(site: Site, repository: str) -> dict[str, str]:
    """The published tags. All of them refer to complete images."""
    tags = {tag: digest for tag, digest in tags_in(site.registry, repository).items() if not tag.startswith("upload-")}
    with site.registry.session(site.registry.reader) as session:
        for tag in tags:
            address = f"https://{site.registry.host}/v2/{repository}"
            for entry in session.get(f"{address}/manifests/{tag}", timeout=20).json().get("manifests", ()):
                found = session.get(f"{address}/manifests/{entry['digest']}", timeout=20)
                assert found.status_code == 200, f"{tag} lists {entry['digest']}, which is gone"
    return tags


def _require_own(result: dict[str, Any], tags: dict[str, str]) -> None:
    """A job that succeeded has published what its tags hold."""
    assert {tag["tag"]: tag["digest"] for tag in result["tags"]}.items() <= tags.items()


@pytest.mark.parametrize("architectures", [TWO, None], ids=["index", "single"])
def test_another_job_during_a_push(site: Site, architectures: Any) -> None:
    """The slow job is red, and nothing of the other one is lost."""
    slow, fast = (_build(site, name, architectures) for name in ("slow", "fast"))
    site.proxy.set(BLOB)
    running = site.start("zot_publish", site.proxy, **_task(slow, site.repository))
    wait_until_held(site.proxy, BLOB)
    done = site.module("zot_publish", **_task(fast, site.repository))
    assert (done["failed"], done["changed"]) == (False, True), done
    site.proxy.release()
    refused = running.result()
    site.proxy.set()
    assert (refused["failed"], refused["error_class"], refused["moved"]) == (True, "denied", [])
    assert "another job published this revision with other content; no tag has moved" in refused["msg"]
    _require_own(done, _published(site, site.repository))
    again = site.module("zot_publish", **_task(slow, site.repository))
    assert (again["failed"], again["error_class"]) == (True, "denied")
    assert site.module("zot_publish", **_task(fast, site.repository))["changed"] is False


@pytest.mark.parametrize("architectures", [TWO, None], ids=["index", "single"])
def test_two_jobs_at_random_times(site: Site, architectures: Any) -> None:
    """One revision, other content: at most one is green, and the tags hold what it has published."""
    chance = random.Random(os.environ.get("ZOT_TEST_SEED"))
    for number in range(ROUNDS):
        repository = f"{site.repository}/{number}"
        tasks = [_task(_build(site, f"{number}-{name}", architectures, 100_000), repository) for name in ("a", "b")]
        first = site.start("zot_publish", site.registry, **tasks[0])
        time.sleep(chance.uniform(0, 0.5))
        second = site.start("zot_publish", site.registry, **tasks[1])
        results = [first.result(), second.result()]
        tags = _published(site, repository)
        green = [result for result in results if not result["failed"]]
        assert len(green) < 2
        for result in green:
            _require_own(result, tags)


def test_two_revisions_of_three_repositories(site: Site) -> None:
    """If their shared tags are mixed, at least one of the jobs is red."""
    for number in range(ROUNDS):
        repositories = [f"{site.repository}/{number}/{name}" for name in ("one", "two", "three")]
        running = [
            site.start(
                "zot_publish",
                site.registry,
                **_task(_build(site, f"{number}-{revision}", None, 1000), *repositories, revision=revision),
            )
            for revision in ("r1", "r2")
        ]
        results = [each.result() for each in running]
        there = [_published(site, repository) for repository in repositories]
        owners = {"r1" if tags["latest"] == tags["r1"] else "r2" for tags in there}
        assert len(owners) == 1 or any(result["failed"] for result in results)
        for result, revision in zip(results, ("r1", "r2")):
            assert result["failed"] or all(tags[revision] for tags in there)


def test_killed_at_random_points(site: Site) -> None:
    """The same task again ends right, sends no image again that was complete, and never removes anything."""
    chance = random.Random(os.environ.get("ZOT_TEST_SEED"))
    task = _task(_build(site, "image", TWO), site.repository)
    complete: set[str] = set()
    before = len(site.registry.requests())
    for _round in range(ROUNDS):
        killed = site.start("zot_publish", site.registry, **task, parallel=1)
        time.sleep(chance.uniform(0.2, 1.5))
        killed.process.kill()
        killed.process.wait()
        killed.process.communicate()
        wait_until(lambda: not tools_of(site.registry.host), "the tools of the killed module end")
        _published(site, site.repository)
        complete = {tag for tag in tags_in(site.registry, site.repository) if tag.startswith("upload-")}
    done = site.module("zot_publish", **task)
    assert done["failed"] is False, done
    assert {reference.rpartition(":")[2] for reference in done["uploaded"]} & complete == set()
    _require_own(done, _published(site, site.repository))
    assert site.module("zot_publish", **task)["changed"] is False
    assert not [line for line in map(str, site.registry.requests()[before:]) if "DELETE" in line]


def test_an_index_that_lost_an_image_is_repaired(site: Site) -> None:
    """By the same archives, also after the upload tags were removed."""
    image = _build(site, "image", TWO)
    task = _task(image, site.repository)
    done = site.module("zot_publish", **task)
    before = _published(site, site.repository)
    uploads = [tag for tag in tags_in(site.registry, site.repository) if tag.startswith("upload-")]
    options = {"repository": site.repository, "tags": uploads, "state": "absent"}
    assert site.module("zot_tag", **options)["changed"]
    other = str(archive(site.directory / "other.tar"))
    assert site.module("zot_push", repository=site.repository, archive=other, tags=["r1-amd64"])["changed"]
    if site.registry.kind != "zot":
        site.registry.forget(site.repository, before["r1-amd64"])
    with pytest.raises(AssertionError, match="which is gone"):
        _published(site, site.repository)
    repaired = site.module("zot_publish", **task)
    assert (repaired["failed"], repaired["changed"]) == (False, True), repaired
    tags = _published(site, site.repository)
    assert tags["r1"] == before["r1"]
    _require_own(done, tags)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("PATCH .*/blobs/", id="upload"),
        pytest.param("PUT .*/manifests/upload-.*-r1-amd64", id="uploaded"),
        pytest.param("PUT .*/manifests/r1-arm64", id="architecture"),
        pytest.param("PUT .*/manifests/upload-[0-9a-f]+-r1$", id="index"),
        pytest.param("PUT .*/manifests/r1$", id="revision"),
        pytest.param("PUT .*/manifests/latest$", id="shared tag"),
    ],
)
def test_ended_in_each_phase(where: str, site: Site) -> None:
    """The same command ends right. It sends no image again that was uploaded completely, and removes nothing."""
    task = _task(_build(site, "image", TWO), site.repository)
    fault = Fault("stall", where)
    site.proxy.set(fault)
    ended = site.start("zot_publish", site.proxy, **task, parallel=1)
    wait_until_held(site.proxy, fault)
    ended.process.terminate()
    assert "interrupted" in ended.result()["msg"]
    _published(site, site.repository)
    complete = [tag for tag in tags_in(site.registry, site.repository) if re.match("upload-.*-r1-", tag)]
    assert where.startswith("PATCH") or len(complete) == (0 if "amd64" in where else 2)
    site.proxy.set(Fault("count"))
    done = site.through("zot_publish", **task)
    sent = site.proxy.recorded_requests()
    assert (done["failed"], done["changed"]) == (False, True), done
    assert not [each.request for each in sent if each.request.startswith("DELETE")]
    # Each image has a layer of 1 MB, which may be complete without its manifest.
    uploaded = sum(each.size for each in sent if "/blobs/" in each.request)
    assert round(uploaded / 1_000_000) <= 2 - len(complete)
    _require_own(done, _published(site, site.repository))
    assert site.module("zot_publish", **task)["changed"] is False


@pytest.mark.parametrize("architectures", [TWO, None], ids=["index", "single"])
def test_an_account_that_may_not_update(site: Site, architectures: Any) -> None:
    """It publishes revisions. No other job replaces them, also with overwrite."""
    repository = f"immutable/{site.repository}"
    task = _task(_build(site, "image", architectures), repository, tags=[])
    done = site.module("zot_publish", **task)
    assert (done["failed"], done["changed"]) == (False, True), done
    assert site.module("zot_publish", **task)["changed"] is False
    other = _task(_build(site, "other", architectures), repository, tags=[], overwrite=True, keep_previous="")
    refused = site.module("zot_publish", **other)
    assert (refused["failed"], refused["error_class"], refused["moved"]) == (True, "denied", [])
    tags = _published(site, repository)
    _require_own(done, tags)
    assert site.module("zot_publish", **task)["changed"] is False
    assert _published(site, repository) == tags


def test_an_account_that_may_not_delete(site: Site) -> None:
    """It publishes and moves shared tags, and learns which right it needs for the removal of a tag."""
    repository = f"lasting/{site.repository}"
    first, second = (_task(_build(site, each, TWO), repository, revision=each) for each in ("r1", "r2"))
    for task in (first, second):
        done = site.module("zot_publish", **task)
        assert (done["failed"], done["changed"]) == (False, True), done
        _require_own(done, _published(site, repository))
    assert site.module("zot_publish", **second)["changed"] is False
    refused = site.module("zot_tag", repository=repository, tags=["r1"], state="absent")
    assert refused["error_class"] == "denied"
    assert "may not remove tags" in refused["hint"]
    assert "the action delete" in refused["hint"]
