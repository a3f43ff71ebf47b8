# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.killinit.zot.plugins.filter._publish_plan import FilterModule

publish_plan = FilterModule().filters()["_publish_plan"]


class Lazy(t.Dict[str, str]):  # noqa: UP006 - Python 3.9
    """In place of the dictionaries of templates, which are subclasses."""


APP = {"repository": "demo/app", "archives": {"amd64": "a.tar", "arm/v7": "b.tar"}}
TOOL = {"repository": "demo/tool", "archive": "t.tar"}


def plan(*images: dict[str, t.Any], tags: t.Any = ("latest",)) -> dict[str, list[t.Any]]:
    found: dict[str, list[t.Any]] = publish_plan(list(images), "rev", tags)
    assert found["problems"] == []
    return found


def test_pushes_of_several_architectures() -> None:
    assert plan(APP)["pushes"] == [
        {
            "archive": archive,
            "repository": "demo/app",
            "tags": [tag],
            "platform": platform,
            "overwrite": False,
            "index": "rev",
        }
        for archive, tag, platform in (
            ("a.tar", "rev-amd64", "linux/amd64"),
            ("b.tar", "rev-arm-v7", "linux/arm/v7"),
        )
    ]


@pytest.mark.parametrize(
    ("architecture", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("linux/amd64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("arm64/v8", "linux/arm64/v8"),
    ],
)
def test_other_names_of_an_architecture(architecture: str, platform: str) -> None:
    found = plan({**APP, "archives": {architecture: "a.tar"}})
    (push,), (index,) = found["pushes"], found["indexes"]
    assert push["tags"] == index["manifests"] == [platform.replace("linux/", "rev-").replace("/", "-")]
    assert [push["platform"]] == index["platforms"] == [platform]


@pytest.mark.parametrize(
    ("archive", "found"),
    [("a.tar", "/here/a.tar"), ("/a.tar", "/a.tar"), ("~/a.tar", "~/a.tar"), ("$HOME/a.tar", "$HOME/a.tar")],
)
def test_archives_are_relative_to_a_directory(archive: str, found: str) -> None:
    images = [{**APP, "archives": {"amd64": archive}}, {**TOOL, "archive": archive}]
    made = publish_plan(images, "rev", ["latest"], "/here")
    assert {push["archive"] for push in made["pushes"] + made["moves"]} == {found}


def test_index_of_several_architectures() -> None:
    assert plan(APP)["indexes"] == [
        {
            "repository": "demo/app",
            "manifests": ["rev-amd64", "rev-arm-v7"],
            "platforms": ["linux/amd64", "linux/arm/v7"],
            "tags": ["rev", "latest"],
            "overwrite": ["latest"],
        }
    ]


def test_overwrite() -> None:
    """The revision may be replaced only where the user says so. A shared tag moves."""
    protected, replaced = (publish_plan([APP, TOOL], "rev", ["latest"], "", each) for each in (False, True))
    assert [push["overwrite"] for push in protected["pushes"]] == [False] * 3
    assert [push["overwrite"] for push in replaced["pushes"]] == [True] * 3
    assert (protected["indexes"][0]["overwrite"], replaced["indexes"][0]["overwrite"]) == (["latest"], True)
    assert publish_plan([APP], "rev", [])["indexes"][0]["overwrite"] == []
    assert ["overwrite" in push for push in protected["moves"] + replaced["moves"]] == [False, False]


def test_index_of_one_archive_with_several_platforms() -> None:
    """Only the push knows the platforms."""
    pushed = [
        {"repository": "demo/tool", "tag": "rev-amd64", "platforms": ["linux/amd64"]},
        {"repository": "demo/tool", "tag": "rev-arm-v7", "platforms": ["linux/arm/v7"]},
        {"repository": "demo/other", "tag": "rev-arm64", "platforms": ["linux/arm64"]},
    ]
    found = publish_plan([TOOL], "rev", ["latest"], pushed=pushed)
    assert found["moves"] == []
    assert found["indexes"] == [
        {
            "repository": "demo/tool",
            "manifests": ["rev-amd64", "rev-arm-v7"],
            "platforms": ["linux/amd64", "linux/arm/v7"],
            "tags": ["rev", "latest"],
            "overwrite": ["latest"],
        }
    ]


def test_indexes_name_their_members_by_digest() -> None:
    """zot_prune removes the tags of single architectures. In check mode a digest may not be known yet."""
    amd64 = {"repository": "demo/app", "tag": "rev-amd64", "platforms": ["linux/amd64"], "digest": "sha256:1"}
    arm = {"repository": "demo/app", "tag": "rev-arm-v7", "platforms": ["linux/arm/v7"], "digest": None}
    other = {**arm, "repository": "demo/tool", "digest": "sha256:2"}
    found = publish_plan([APP, TOOL], "rev", ["latest"], pushed=[amd64, arm, other])
    assert [index["manifests"] for index in found["indexes"]] == [["sha256:1", "rev-arm-v7"], ["sha256:2"]]


def test_one_archive_moves_its_shared_tags_last() -> None:
    found = plan(TOOL)
    assert found["pushes"] == [
        {"archive": "t.tar", "repository": "demo/tool", "tags": ["rev"], "split_platforms": True, "overwrite": False}
    ]
    assert found["moves"] == [{"archive": "t.tar", "repository": "demo/tool", "tags": ["latest"]}]
    assert found["indexes"] == []


def test_no_shared_tag_is_pushed_first() -> None:
    """No shared tag moves until every architecture is pushed."""
    assert not any("latest" in push["tags"] for push in plan(APP, TOOL)["pushes"])


def test_previous_images_are_kept() -> None:
    """Also under the tags of the architectures: Zot deletes a member of an index with its last tag."""
    made = publish_plan([APP, TOOL], "rev", ["latest"], keep_previous="{tag}-previous")
    entries = made["pushes"] + made["indexes"] + made["moves"]
    assert [entry["keep_previous"] for entry in entries] == ["{tag}-previous"] * 5


@pytest.mark.parametrize("keep_previous", ["", None, False])
def test_no_previous_image_is_kept(keep_previous: t.Any) -> None:
    made = publish_plan([APP, TOOL], "rev", ["latest"], keep_previous=keep_previous)
    assert made["problems"] == []
    assert not any("keep_previous" in entry for entry in made["pushes"] + made["indexes"] + made["moves"])


@pytest.mark.parametrize(
    ("keep_previous", "kind"), [(True, "boolean True"), (5349, "number 5349"), (1.1, "number 1.1")]
)
def test_the_tag_of_a_previous_image_is_text(keep_previous: t.Any, kind: str) -> None:
    (problem,) = publish_plan([APP, TOOL], "rev", ["latest"], keep_previous=keep_previous)["problems"]
    assert problem.startswith(f"zot_publish_keep_previous is the {kind}, not text: quote it.")


@pytest.mark.parametrize(
    ("template", "tags", "message"),
    [
        ("previous", ["latest"], "zot_publish_keep_previous is previous, without {tag}: use {tag}-previous."),
        (
            "{tag}-previous",
            ["latest", "latest-previous"],
            "zot_publish_keep_previous: latest-previous would keep the previous image of latest, but is also a tag",
        ),
        (
            "{tag}-amd64",
            ["latest"],
            "zot_publish_keep_previous: rev-amd64 would keep the previous image of rev, but is also a tag to write",
        ),
        ("{tag}/old", ["latest"], "zot_publish_keep_previous: 'rev/old' is not a valid tag"),
    ],
    ids=["without the tag", "an additional tag", "of an architecture", "no tag"],
)
@pytest.mark.parametrize("image", [{**APP, "archives": {"amd64": "a"}}, TOOL], ids=["archives", "archive"])
def test_keepers_that_cannot_be_written(template: str, tags: list[str], message: str, image: dict[str, t.Any]) -> None:
    """The role would find them only after the push. Two images have one problem."""
    found = publish_plan([image, {**image, "repository": "demo/other"}], "rev", tags, keep_previous=template)
    (problem,) = found["problems"]
    assert problem.startswith(message)
    assert found["pushes"] == []


def test_an_image_may_have_tags_of_its_own() -> None:
    assert plan({**APP, "tags": ["stable"]})["indexes"][0]["tags"] == ["rev", "stable"]


def test_an_image_may_have_no_additional_tag() -> None:
    """An empty list replaces the common tags."""
    assert plan({**TOOL, "tags": []})["moves"] == []


@pytest.mark.parametrize("name", ["tags", "archives"])
def test_none_counts_as_not_given(name: str) -> None:
    """AWX turns an empty answer into None."""
    assert plan({**TOOL, name: None}) == plan(TOOL)


@pytest.mark.parametrize("tags", [[], "", None], ids=["list", "text", "none"])
def test_without_additional_tags_nothing_moves(tags: t.Any) -> None:
    assert plan(TOOL, tags=tags)["moves"] == []


@pytest.mark.parametrize("tags", ["latest, stable", "latest,stable", ["latest", "stable"], ["latest stable"]])
def test_tags_of_a_command_line_are_one_text(tags: t.Any) -> None:
    for found in (plan(APP, tags=tags), plan({**APP, "tags": tags}, tags=[])):
        assert found["indexes"][0]["tags"] == ["rev", "latest", "stable"]


def test_the_revision_is_not_an_additional_tag_and_no_tag_is_repeated() -> None:
    assert plan(APP, tags=["rev", "latest", "latest"])["indexes"][0]["tags"] == ["rev", "latest"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        pytest.param([], "zot_publish_images is empty", id="no image"),
        pytest.param([TOOL, {"archive": "a"}], r"zot_publish_images\[1\] has no repository", id="no repository"),
        pytest.param([{"repository": "r"}], r"\(r\) has neither archive nor archives", id="no archive"),
        pytest.param([{**APP, "archive": "x"}], r"\(demo/app\) has both archive and archives", id="both"),
        pytest.param([{"repository": "r", "archives": {}}], "has neither archive nor archives", id="no architecture"),
        pytest.param([APP, APP], r"\[1\] \(demo/app\) has the repository of another entry", id="twice"),
        pytest.param(
            [{**TOOL, "tags": [1.1]}], r"\(demo/tool\)\.tags is the number 1\.1, not text: quote it", id="number"
        ),
        pytest.param(
            [{**TOOL, "repository": 83}],
            r"\(83\)\.repository is the number 83, not text: quote it",
            id="number as repository",
        ),
        pytest.param([{**TOOL, "tags": ["la/test"]}], r"\(demo/tool\)\.tags: 'la/test' is not a valid tag", id="tag"),
        pytest.param([{**APP, "tags": ["rev-amd64"]}], "rev-amd64, which is the tag of one architecture", id="its own"),
        # Only the push knows the platforms of the archive.
        pytest.param([{**TOOL, "tags": ["rev-arm-v7"]}], "which is the tag of one architecture", id="of the archive"),
        pytest.param(
            [{**APP, "archives": {"amd64": "a", "x86_64": "b"}}], "two archives for linux/amd64", id="amd64 twice"
        ),
        pytest.param([{**APP, "archives": {"AMD 64": "a"}}], "'linux/AMD 64' is not a platform", id="no platform"),
        pytest.param(
            [{**APP, "archives": {386: "a"}}], "the architecture is the number 386, not text: quote it", id="number key"
        ),
        pytest.param([{**APP, "archives": {"amd64": None}}], r"archives\[amd64\] is null, not text", id="no path"),
        pytest.param(
            [{**TOOL, "archive": Lazy(amd64="a")}], r"\.archive is a dict, not text: use archives", id="archive of many"
        ),
    ],
)
def test_images_that_cannot_be_published(images: list[dict[str, t.Any]], message: str) -> None:
    found = publish_plan(images, "rev", ["latest"])
    (problem,) = found["problems"]
    assert re.search(message, problem)
    assert found["pushes"] == found["indexes"] == found["moves"] == []


@pytest.mark.parametrize("revision", [None, ""])
def test_a_revision_that_is_empty(revision: str | None) -> None:
    """It would become the tag None-amd64."""
    found = publish_plan([APP], revision)
    assert found["problems"] == ["zot_publish_revision is empty: set it to the tag of the build."]
    assert found["pushes"] == []


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("0012345", "the number 5349, not text: quote it"),
        ("on", "the boolean True, not text: quote it"),
        ("1.10", "the number 1.1, not text: quote it"),
        ("2026-11-25", "the date 2026-11-25, not text: quote it"),
        ("[a]", "a list, not text"),
        ("{a: b}", "a dict, not text"),
        ("'../x'", "'../x' is not a valid tag"),
    ],
)
def test_a_revision_that_is_not_text(revision: str, message: str) -> None:
    """As YAML reads it. The additional tags are checked as well."""
    value = yaml.safe_load(revision)
    (problem,) = publish_plan([TOOL, APP], value)["problems"]
    assert message in problem
    if "quote" in message:
        (problem,) = publish_plan([TOOL, APP], "rev", [value])["problems"]
        assert problem.startswith(f"zot_publish_tags is {message}")


def test_one_problem_explains_values_that_are_not_text() -> None:
    """The others are short."""
    (revision, tags, own) = publish_plan([TOOL, {**APP, "tags": [1.1]}], 5349, [True])["problems"]
    assert "YAML reads an unquoted 0012345" in revision
    assert tags == "zot_publish_tags is the boolean True, not text: quote it."
    assert own == "zot_publish_images[1] (demo/app).tags is the number 1.1, not text: quote it."


@pytest.mark.parametrize("revision", ["'0012345'", "'1234567'", "12e4567", "'on'", "'1.10'", "3f2c1ab"])
def test_a_revision_of_digits_is_text(revision: str) -> None:
    text = yaml.safe_load(revision)
    found = publish_plan([TOOL], text, [text])
    assert (found["pushes"][0]["tags"], found["moves"]) == ([text], [])


def test_all_problems_are_found() -> None:
    assert len(publish_plan([{"repository": "r"}, {"archive": "a"}], None)["problems"]) == 3
