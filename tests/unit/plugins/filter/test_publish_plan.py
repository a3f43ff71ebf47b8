# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.filter.publish_plan import FilterModule

errors = pytest.importorskip("ansible.errors")
publish_plan = FilterModule().filters()["publish_plan"]

APP = {"repository": "demo/app", "archives": {"amd64": "a.tar", "arm/v7": "b.tar"}}
TOOL = {"repository": "demo/tool", "archive": "t.tar"}


def plan(*images: dict[str, t.Any], tags: t.Sequence[str] = ("latest",)) -> dict[str, list[t.Any]]:
    return publish_plan(list(images), "h", "rev", list(tags))  # type: ignore[no-any-return]


def test_pushes_of_several_architectures() -> None:
    assert plan(APP)["pushes"] == [
        {"archive": "a.tar", "repository": "demo/app", "tags": ["rev-amd64"], "platform": "linux/amd64"},
        {"archive": "b.tar", "repository": "demo/app", "tags": ["rev-arm-v7"], "platform": "linux/arm/v7"},
    ]


@pytest.mark.parametrize(
    ("archive", "found"),
    [("a.tar", "/here/a.tar"), ("/a.tar", "/a.tar"), ("~/a.tar", "~/a.tar"), ("$HOME/a.tar", "$HOME/a.tar")],
)
def test_archives_are_relative_to_a_directory(archive: str, found: str) -> None:
    images = [{**APP, "archives": {"amd64": archive}}, {**TOOL, "archive": archive}]
    made = publish_plan(images, "h", "rev", ["latest"], "/here")
    assert {push["archive"] for push in made["pushes"] + made["moves"]} == {found}


def test_index_of_several_architectures() -> None:
    (index,) = plan(APP)["indexes"]
    assert index.pop("image")["reference"] == "h/demo/app:rev"
    assert index == {
        "repository": "demo/app",
        "manifests": ["rev-amd64", "rev-arm-v7"],
        "platforms": ["linux/amd64", "linux/arm/v7"],
        "tags": ["rev", "latest"],
        "references": ["h/demo/app:rev", "h/demo/app:latest"],
    }


def test_one_archive_moves_its_shared_tags_last() -> None:
    found = plan(TOOL)
    assert found["pushes"] == [{"archive": "t.tar", "repository": "demo/tool", "tags": ["rev"]}]
    assert found["moves"] == [{"archive": "t.tar", "repository": "demo/tool", "tags": ["latest"]}]
    assert found["indexes"] == []


def test_no_shared_tag_is_pushed_first() -> None:
    """Nothing moves a shared tag until every architecture is in."""
    assert not any("latest" in push["tags"] for push in plan(APP, TOOL)["pushes"])


def test_references_are_all_there_is_in_the_end() -> None:
    assert plan(APP, TOOL)["references"] == [
        "h/demo/app:rev-amd64",
        "h/demo/app:rev-arm-v7",
        "h/demo/app:rev",
        "h/demo/app:latest",
        "h/demo/tool:rev",
        "h/demo/tool:latest",
    ]


def test_an_image_may_have_tags_of_its_own() -> None:
    assert plan({**APP, "tags": ["stable"]})["indexes"][0]["tags"] == ["rev", "stable"]


def test_an_image_may_have_no_further_tag() -> None:
    """An empty list of its own is a list of its own."""
    assert plan({**TOOL, "tags": []})["moves"] == []


def test_without_further_tags_nothing_moves() -> None:
    assert plan(TOOL, tags=[])["moves"] == []


def test_the_revision_is_no_further_tag_and_none_comes_twice() -> None:
    assert plan(APP, tags=["rev", "latest", "latest"])["indexes"][0]["tags"] == ["rev", "latest"]


def test_the_image_of_an_index_has_the_keys_of_every_image() -> None:
    assert plan(APP)["indexes"][0]["image"] == {
        "reference": "h/demo/app:rev",
        "registry": "h",
        "repository": "demo/app",
        "tag": "rev",
        "digest": None,
        "pinned": None,
        "media_type": None,
        "platforms": ["linux/amd64", "linux/arm/v7"],
        "size": None,
        "created": None,
        "labels": {},
        "exists": False,
    }


@pytest.mark.parametrize(
    ("images", "message"),
    [
        pytest.param([{"archive": "a"}], "needs repository", id="no repository"),
        pytest.param([{"repository": "r"}], "either archives or archive", id="no archive"),
        pytest.param([{**APP, "archive": "x"}], "either archives or archive", id="both"),
        pytest.param([{"repository": "r", "archives": {}}], "either archives or archive", id="no architecture"),
        pytest.param([APP, APP], "demo/app is listed twice", id="twice"),
    ],
)
def test_refused(images: list[dict[str, t.Any]], message: str) -> None:
    with pytest.raises(errors.AnsibleFilterError, match=message):
        plan(*images)
