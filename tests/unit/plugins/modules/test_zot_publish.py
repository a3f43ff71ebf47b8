# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.modules import zot_publish
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys

Run = t.Callable[..., t.Dict[str, t.Any]]  # noqa: UP006 - Python 3.9 evaluates it


@pytest.fixture
def images(tmp_path: Path, write_archive: t.Any, docker_config: t.Any) -> list[dict[str, t.Any]]:
    """An image for two architectures, one archive with two platforms, and one without an index."""
    archives = {
        each: str(write_archive(tmp_path / f"{each}.tar", docker_config(architecture=each)))
        for each in ("amd64", "arm64")
    }
    both = str(write_archive(tmp_path / "both.tar", docker_config(), docker_config(architecture="arm64")))
    return [
        {"repository": "demo/app", "archives": archives},
        {"repository": "demo/both", "archive": both},
        {"repository": "demo/tool", "archive": archives["amd64"], "tags": ["latest", "stable"]},
    ]


@pytest.fixture
def publish(run_module: t.Any, images: list[dict[str, t.Any]]) -> Run:
    """Run the module; its result has the keys that are documented."""

    def publish(**options: t.Any) -> dict[str, t.Any]:
        result: dict[str, t.Any] = run_module(zot_publish.main, **{"images": images, "revision": "r1", **options})
        assert wrong_keys(zot_publish.RETURN, {key: value for key, value in result.items() if key != "diff"}) == []
        return result

    return publish


def published(fake: t.Any, repository: str) -> dict[str, str]:
    return {tag: digest for tag, digest in fake.tags[repository].items() if not tag.startswith("upload-")}


def changed(result: dict[str, t.Any]) -> list[str]:
    return [tag["reference"] for tag in result["tags"] if tag["changed"]]


def test_check_mode_then_publish_then_nothing(publish: Run, fake: t.Any) -> None:
    planned = publish(check=True)
    assert fake.writes == []
    done = publish()
    assert changed(planned) == changed(done)
    assert {each["reference"] for each in planned["moved"]} == {each["reference"] for each in done["moved"]}
    assert [diff["before_header"] for diff in planned["diff"]] == [diff["before_header"] for diff in done["diff"]]
    tags = {name: published(fake, f"demo/{name}") for name in ("app", "both", "tool")}
    assert {name: list(found) for name, found in tags.items()} == {
        "app": ["r1-amd64", "r1-arm64", "r1", "latest"],
        "both": ["r1-amd64", "r1-arm64", "r1", "latest"],
        "tool": ["r1", "latest", "stable"],
    }
    assert all(found["r1"] == found["latest"] for found in tags.values())
    assert [image["digest"] for image in done["images"]] == [found["r1"] for found in tags.values()]
    fake.commands.clear()
    again = publish()
    assert (again["changed"], again["uploaded"], again["moved"], fake.writes) == (False, [], [], [])
    assert again["images"] == done["images"]


def test_a_new_revision_keeps_what_the_shared_tags_held(publish: Run, fake: t.Any, images: t.Any) -> None:
    publish()
    before = published(fake, "demo/tool")["latest"]
    images[2]["archive"] = images[0]["archives"]["arm64"]
    result = publish(revision="r2")
    tags = published(fake, "demo/tool")
    assert (tags["latest-previous"], tags["stable-previous"], tags["latest"]) == (before, before, tags["r2"])
    entry = next(tag for tag in result["tags"] if tag["reference"].endswith("demo/tool:latest"))
    assert entry["previous_tag"].endswith("demo/tool:latest-previous")
    (diff,) = [each["after"] for each in result["diff"] if each["after"]["reference"] == entry["reference"]]
    assert diff["previous_tag"] == entry["previous_tag"]


@pytest.mark.parametrize("check", [False, True])
def test_a_published_revision_is_not_replaced(publish: Run, fake: t.Any, images: t.Any, check: bool) -> None:
    """Also where zot_prune has removed the tags of the architectures. Nothing is uploaded."""
    publish()
    for tag in [tag for tag in fake.tags["demo/app"] if tag.startswith(("upload-", "r1-"))]:
        del fake.tags["demo/app"][tag]
    fake.commands.clear()
    assert publish(check=check)["changed"] is False
    images[0]["archives"] = {"amd64": images[0]["archives"]["amd64"]}
    fewer = publish(check=check)
    assert "also has linux/arm64: its new index would lose that; nothing was written" in fewer["msg"]
    images[0] = {"repository": "demo/app", "archive": images[2]["archive"]}
    single = publish(check=check)
    assert "demo/app:r1 holds another image" in single["msg"]
    assert (single["error_class"], fake.writes) == ("denied", [])


def test_a_refused_write_stops_before_the_shared_tags(publish: Run, fake: t.Any) -> None:
    """If one image fails, no image moves a shared tag. The next task finishes the work."""
    fake.fail("tag", "demo/both:r1", "immutable-tag", tool="crane 0.22.1")
    result = publish()
    assert (result["error_class"], result["failed"]) == ("denied", True)
    assert "; moved: " in result["msg"]
    assert not any("latest" in fake.tags[name] for name in ("demo/app", "demo/both", "demo/tool"))
    fake.commands.clear()
    assert changed(publish())
    assert not any(write.startswith(("copy", "append")) for write in fake.writes)
