# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

import pytest
import yaml

from ansible_collections.killinit.zot.plugins.module_utils._publish.request import PublishRequest, publish_requests
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry

APP = {"repository": "demo/app", "archives": {"amd64": "a.tar", "arm/v7": "b.tar"}}
TOOL = {"repository": "demo/tool", "archive": "t.tar"}

Parse = t.Callable[..., t.List[PublishRequest]]  # noqa: UP006 - Python 3.9 evaluates it


@pytest.fixture
def parse(registry: Registry) -> Parse:
    """The requests of the options of a task."""

    def parse(*images: dict[str, t.Any], **options: t.Any) -> list[PublishRequest]:
        names = ("tags", "overwrite", "keep_previous", "directory")
        return publish_requests(
            registry, {"revision": "rev", "images": list(images), **dict.fromkeys(names), **options}
        )

    return parse


@pytest.fixture
def problem(parse: Parse) -> t.Callable[..., str]:
    """The message for options that cannot be used."""

    def problem(*images: dict[str, t.Any], **options: t.Any) -> str:
        with pytest.raises(ZotError) as raised:
            parse(*images, **options)
        assert raised.value.error_class == "invalid_option"
        assert "zot_publish_revision" in raised.value.hint
        return raised.value.message

    return problem


def shared(request: PublishRequest) -> list[str | None]:
    return [reference.tag for reference in request.shared]


def test_several_architectures(parse: Parse) -> None:
    (app,) = parse(APP)
    assert app.indexed
    pushes = [(push.archive, push.references[0].tag, str(push.platform), push.split) for push in app.pushes]
    assert pushes == [
        (os.path.abspath("a.tar"), "rev-amd64", "linux/amd64", False),
        (os.path.abspath("b.tar"), "rev-arm-v7", "linux/arm/v7", False),
    ]


def test_one_archive(parse: Parse) -> None:
    """Only reading it shows its platforms."""
    (tool,) = parse(TOOL)
    (push,) = tool.pushes
    assert (tool.indexed, push.references, push.platform, push.split) == (False, (tool.revision,), None, True)


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
def test_other_names_of_an_architecture(parse: Parse, architecture: str, platform: str) -> None:
    (push,) = parse({**APP, "archives": {architecture: "a.tar"}})[0].pushes
    assert push.references[0].tag == platform.replace("linux/", "rev-").replace("/", "-")
    assert str(push.platform) == platform


@pytest.mark.parametrize(
    ("archive", "found"),
    [("a.tar", "/here/a.tar"), ("/a.tar", "/a.tar"), ("~/a.tar", "/home/a.tar"), ("$HOME/a.tar", "/home/a.tar")],
)
def test_archives_are_relative_to_a_directory(
    parse: Parse, archive: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home")
    images = [{**APP, "archives": {"amd64": archive}}, {**TOOL, "archive": archive}]
    requests = parse(*images, directory="/here")
    assert {push.archive for request in requests for push in request.pushes} == {found}


@pytest.mark.parametrize(("keep_previous", "kept"), [(None, "{tag}-previous"), ("", None), (False, None)])
def test_previous_images(parse: Parse, keep_previous: t.Any, kept: str | None) -> None:
    """Null is an empty answer of AWX."""
    assert [each.keep_previous for each in parse(APP, TOOL, keep_previous=keep_previous)] == [kept, kept]


@pytest.mark.parametrize(
    "options",
    [
        {"revision": "upload-3f2c1ab03f2c-1.4.2"},
        {"revision": f"sha256-{'0' * 64}"},
        {"tags": ["upload-3f2c1ab03f2c-latest"]},
        {"tags": [f"sha256-{'0' * 64}.sig"]},
        {"keep_previous": "upload-3f2c1ab03f2c-{tag}"},
    ],
)
def test_tags_that_are_not_of_an_image(problem: t.Any, options: dict[str, t.Any]) -> None:
    """zot_prune removes an upload tag a day later, and no event, report or rollback shows it."""
    (name,) = options
    assert problem(APP, **options).startswith(f"{name}: ")
    assert "has the form of an upload tag or an attachment" in problem(TOOL, **options)


@pytest.mark.parametrize(
    ("keep_previous", "kind"), [(True, "boolean True"), (5349, "number 5349"), (1.1, "number 1.1")]
)
def test_the_tag_of_a_previous_image_is_text(problem: t.Any, keep_previous: t.Any, kind: str) -> None:
    assert problem(APP, TOOL, keep_previous=keep_previous).startswith(
        f"keep_previous is the {kind}, not text: quote it."
    )


@pytest.mark.parametrize(
    ("template", "tags", "message"),
    [
        ("previous", ["latest"], "keep_previous is previous, without {tag}: use {tag}-previous"),
        (
            "{tag}-previous",
            ["latest", "latest-previous"],
            "keep_previous: latest-previous would keep the previous image of latest, but is also a tag",
        ),
        (
            "{tag}-amd64",
            ["latest"],
            "keep_previous: rev-amd64 would keep the previous image of rev, but is also a tag to write",
        ),
        ("{tag}/old", ["latest"], "keep_previous: 'rev/old' is not a valid tag"),
    ],
    ids=["without the tag", "an additional tag", "of an architecture", "no tag"],
)
@pytest.mark.parametrize("image", [{**APP, "archives": {"amd64": "a"}}, TOOL], ids=["archives", "archive"])
def test_keepers_that_cannot_be_written(
    problem: t.Any, template: str, tags: list[str], message: str, image: dict[str, t.Any]
) -> None:
    """Two images have one problem."""
    found = problem(image, {**image, "repository": "demo/other"}, tags=tags, keep_previous=template)
    assert found.startswith(message)
    assert found.count("keep_previous") == found.count(message)


def test_an_image_may_have_tags_of_its_own(parse: Parse) -> None:
    own, none = parse({**APP, "tags": ["stable"]}, {**TOOL, "tags": []})
    assert (shared(own), shared(none)) == (["stable"], [])


@pytest.mark.parametrize("name", ["tags", "archives"])
def test_none_counts_as_not_given(parse: Parse, name: str) -> None:
    """AWX turns an empty answer into None."""
    assert parse({**TOOL, name: None}) == parse(TOOL)
    assert shared(parse(TOOL)[0]) == ["latest"]


@pytest.mark.parametrize("tags", [[], ""], ids=["list", "text"])
def test_without_shared_tags_none_moves(parse: Parse, tags: t.Any) -> None:
    assert shared(parse(TOOL, tags=tags)[0]) == []


@pytest.mark.parametrize("tags", ["latest, stable", "latest,stable", "latest\nstable", ["latest", "stable"]])
def test_tags_of_a_command_line_are_one_text(parse: Parse, tags: t.Any) -> None:
    for request in (*parse(APP, tags=tags), *parse({**APP, "tags": tags}, tags=[])):
        assert shared(request) == ["latest", "stable"]


@pytest.mark.parametrize("tags", ["latest stable", ["latest stable"]])
def test_a_blank_separates_no_tags(problem: t.Any, tags: t.Any) -> None:
    """It is more often a typing error, and two tags would move."""
    assert problem(APP, tags=tags).startswith("tags: 'latest stable' is not a valid tag")


def test_the_revision_is_not_a_shared_tag_and_no_tag_is_repeated(parse: Parse) -> None:
    assert shared(parse(APP, tags=["rev", "latest", "latest"])[0]) == ["latest"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        pytest.param([], "images is empty", id="no image"),
        pytest.param([TOOL, {"archive": "a"}], "images[1] has no repository", id="no repository"),
        pytest.param([{"repository": "r"}], "(r) has neither archive nor archives", id="no archive"),
        pytest.param([{**APP, "archive": "x"}], "(demo/app) has both archive and archives", id="both"),
        pytest.param([{"repository": "r", "archives": {}}], "has neither archive nor archives", id="no architecture"),
        pytest.param([APP, APP], "[1] (demo/app) has the repository of another entry", id="twice"),
        pytest.param(
            [{**TOOL, "tags": [1.1]}], "(demo/tool).tags[0] is the number 1.1, not text: quote it", id="number"
        ),
        pytest.param(
            [{**TOOL, "repository": 83}],
            "(83).repository is the number 83, not text: quote it",
            id="number as repository",
        ),
        pytest.param([{**TOOL, "tags": ["la/test"]}], "(demo/tool).tags: 'la/test' is not a valid tag", id="tag"),
        pytest.param([{**APP, "tags": ["rev-amd64"]}], "rev-amd64, which is the tag of one architecture", id="its own"),
        # Only reading it shows the platforms of the archive.
        pytest.param([{**TOOL, "tags": ["rev-arm-v7"]}], "which is the tag of one architecture", id="of the archive"),
        pytest.param(
            [{**APP, "archives": {"amd64": "a", "x86_64": "b"}}], "two archives for linux/amd64", id="amd64 twice"
        ),
        pytest.param([{**APP, "archives": {"AMD 64": "a"}}], "'linux/AMD 64' is not a platform", id="no platform"),
        pytest.param(
            [{**APP, "archives": {386: "a"}}], "the architecture is the number 386, not text: quote it", id="number key"
        ),
        pytest.param([{**APP, "archives": {"amd64": None}}], "archives[amd64] is null, not text", id="no path"),
        pytest.param(
            [{**TOOL, "archive": {"amd64": "a"}}], ".archive is a dict, not text: use archives", id="archive of many"
        ),
    ],
)
def test_images_that_cannot_be_published(problem: t.Any, images: list[dict[str, t.Any]], message: str) -> None:
    assert message in problem(*images)


@pytest.mark.parametrize("revision", [None, ""])
def test_a_revision_that_is_empty(problem: t.Any, revision: str | None) -> None:
    """It would become the tag None-amd64."""
    assert problem(APP, revision=revision) == "revision is empty: set it to the tag of the build"


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
def test_a_revision_that_is_not_text(problem: t.Any, revision: str, message: str) -> None:
    """As YAML reads it. The shared tags are checked as well."""
    value = yaml.safe_load(revision)
    assert message in problem(TOOL, APP, revision=value)
    if "quote" in message:
        assert problem(TOOL, APP, tags=[value]).startswith(f"tags[0] is {message}")


def test_one_problem_explains_values_that_are_not_text(problem: t.Any) -> None:
    """The others are short."""
    found = problem(TOOL, {**APP, "tags": [1.1]}, revision=5349, tags=[True])
    assert found.count("YAML reads an unquoted 0012345") == 1
    assert "tags[0] is the boolean True, not text: quote it." in found
    assert found.endswith("images[1] (demo/app).tags[0] is the number 1.1, not text: quote it")


@pytest.mark.parametrize("revision", ["'0012345'", "'1234567'", "12e4567", "'on'", "'1.10'", "3f2c1ab"])
def test_a_revision_of_digits_is_text(parse: Parse, revision: str) -> None:
    text = yaml.safe_load(revision)
    (request,) = parse(TOOL, revision=text, tags=[text])
    assert (request.revision.tag, request.shared) == (text, ())


def test_all_problems_are_found(problem: t.Any) -> None:
    assert problem({"repository": "r"}, {"archive": "a"}, revision=None).count(": ") == 3
