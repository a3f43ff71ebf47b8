# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.modules import zot_push

HOST = "127.0.0.1:5000"
HEADERS = {"before_header": f"{HOST}/demo/app:1", "after_header": f"{HOST}/demo/app:1"}
ABSENT = {"reference": f"{HOST}/demo/app:1", "digest": None, "platforms": []}


@pytest.fixture
def app(tmp_path: Path, write_archive: t.Any) -> str:
    return str(write_archive(tmp_path / "app.tar"))


def image(digest: str | None, tag: str = "1", **changes: t.Any) -> dict[str, t.Any]:
    return {
        "reference": f"{HOST}/demo/app:{tag}",
        "registry": HOST,
        "repository": "demo/app",
        "tag": tag,
        "digest": digest,
        "pinned": f"{HOST}/demo/app@{digest}" if digest else None,
        "media_type": "application/vnd.oci.image.manifest.v1+json" if digest else None,
        "platforms": ["linux/amd64"],
        "created": "2026-11-23T10:00:00.5Z",
        "labels": {"org.example.first": "one", "org.example.second": "two"},
        "exists": digest is not None,
        **changes,
    }


def tag(digest: str | None, *, changed: bool, previous_tag: str | None = None) -> dict[str, t.Any]:
    """Without its size."""
    return {
        "reference": f"{HOST}/demo/app:1",
        "repository": "demo/app",
        "tag": "1",
        "digest": digest,
        "platforms": ["linux/amd64"],
        "changed": changed,
        "previous_tag": previous_tag,
        "error": None,
    }


def test_changed(run_module: t.Any, fake: t.Any, app: str) -> None:
    result = run_module(zot_push.main, archive=app, repository="demo/app", tag="1")
    digest = fake.tags["demo/app"]["1"]
    assert result["image"].pop("size") == result["tags"][0].pop("size") > 1000
    assert result == {
        "registry": HOST,
        "changed": True,
        "image": image(digest),
        "tags": [tag(digest, changed=True)],
        "diff": [
            {
                **HEADERS,
                "before": ABSENT,
                "after": {"reference": f"{HOST}/demo/app:1", "digest": digest, "platforms": ["linux/amd64"]},
            }
        ],
    }


@pytest.mark.parametrize("check", [False, True])
def test_unchanged(run_module: t.Any, fake: t.Any, app: str, check: bool) -> None:
    digest = fake.put("demo/app", "1", salt="another machine")
    result = run_module(zot_push.main, check=check, archive=app, repository="demo/app", tags=["1"])
    assert result["image"].pop("size") == result["tags"][0].pop("size") > 1000
    tags = [tag(digest, changed=False)]
    assert result == {"registry": HOST, "changed": False, "image": image(digest), "tags": tags, "diff": []}
    assert fake.writes == []


def test_check_mode(run_module: t.Any, fake: t.Any, app: str) -> None:
    result = run_module(zot_push.main, check=True, archive=app, repository="demo/app", tags=["1"])
    assert result == {
        "registry": HOST,
        "changed": True,
        "image": image(None, size=None),
        "tags": [{**tag(None, changed=True), "size": None}],
        "diff": [
            {
                **HEADERS,
                "before": ABSENT,
                "after": {
                    "reference": f"{HOST}/demo/app:1",
                    "digest": "(known after the push)",
                    "platforms": ["linux/amd64"],
                },
            }
        ],
    }
    assert fake.writes == []


def test_diff_of_a_tag_that_moves(run_module: t.Any, fake: t.Any, app: str, docker_config: t.Any) -> None:
    before = fake.put("demo/app", "1", docker_config(architecture="arm64"))
    result = run_module(zot_push.main, archive=app, repository="demo/app", tags=["1"], keep_previous="{tag}-previous")
    digest = fake.tags["demo/app"]["1"]
    after = {"reference": f"{HOST}/demo/app:1", "digest": digest, "platforms": ["linux/amd64"]}
    assert result["diff"] == [
        {
            **HEADERS,
            "before": {"reference": f"{HOST}/demo/app:1", "digest": before, "platforms": ["linux/arm64"]},
            "after": {**after, "previous_tag": f"{HOST}/demo/app:1-previous"},
        }
    ]
    assert result["tags"][0].pop("size") == result["image"]["size"]
    assert result["tags"] == [tag(digest, changed=True, previous_tag=f"{HOST}/demo/app:1-previous")]


def test_failure_after_the_previous_image_was_kept(
    run_module: t.Any, fake: t.Any, app: str, docker_config: t.Any
) -> None:
    before = fake.put("demo/app", "1", docker_config(architecture="arm64"))
    fake.fail("tag", "demo/app:1", "immutable-tag", tool="crane 0.22.1")
    result = run_module(zot_push.main, archive=app, repository="demo/app", tags=["1"], keep_previous="{tag}-previous")
    assert (fake.tags["demo/app"]["1"], fake.tags["demo/app"]["1-previous"]) == (before, before)
    (of_tag,) = result["tags"]
    assert (result["error_class"], result["changed"], of_tag["changed"]) == ("denied", True, False)
    assert of_tag["previous_tag"] == f"{HOST}/demo/app:1-previous"


def test_failure(run_module: t.Any, fake: t.Any, app: str, tools: Path) -> None:
    fake.fail("copy", "demo/app:1", "reader-pushes", tool="skopeo 1.18.0")
    result = run_module(zot_push.main, archive=app, repository="demo/app", tags=["1"])
    error = {key: result[key] for key in ("msg", "error_class", "retryable", "hint", "cmd", "rc")}
    assert error.pop("cmd")[0] == str(tools / "skopeo")
    hint = error.pop("hint")
    assert "user 'ci' from zot_username (variable) or username (option)" in hint
    assert "stderr" not in result
    assert error == {
        "msg": f"cannot push {app} to {HOST}/demo/app:1; {HOST}/demo/app:1 now holds nothing. {hint} (skopeo: writing"
        f" manifest: uploading manifest new to {HOST}/demo/app: requested access to the resource is denied)",
        "error_class": "denied",
        "retryable": False,
        "rc": 1,
    }
    assert (result["failed"], result["changed"], result["diff"], result["image"]["exists"]) == (True, False, [], False)
    assert result["tags"][0]["error"]["error_class"] == "denied"


def test_images(run_module: t.Any, fake: t.Any, app: str, tmp_path: Path) -> None:
    images = [
        {"archive": str(tmp_path / "none.tar"), "repository": "demo/app", "tag": "broken"},
        {"archive": app, "repository": "demo/app", "tags": ["1", "latest"]},
    ]
    result = run_module(zot_push.main, images=images)
    assert result["msg"].startswith(f"{tmp_path}/none.tar cannot be read: ")
    assert "; nothing was written. " in result["msg"]
    assert (result["failed"], result["changed"], result["error_class"]) == (True, False, "archive_invalid")
    assert [each["reference"].rpartition(":")[2] for each in result["images"]] == ["broken", "1"]
    assert (fake.writes, "image" in result) == ([], False)
    result = run_module(zot_push.main, images=images[1:])
    assert [each["exists"] for each in result["images"]] == [True]
    assert sorted(fake.tags["demo/app"]) == ["1", "latest"]
    assert "image" not in result


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("tag", "message"),
    [("1-arm64", "1-arm64 is a tag of two archives: .*two.tar and .*app.tar"), ("1-arm64-old", "also a tag to write")],
)
def test_derived_tags_of_two_archives(
    run_module: t.Any,
    fake: t.Any,
    app: str,
    tmp_path: Path,
    write_archive: t.Any,
    docker_config: t.Any,
    tag: str,
    message: str,
    check: bool,
) -> None:
    """The platforms of an archive, and thus the tags, are only known when the archive has been read."""
    two = str(write_archive(tmp_path / "two.tar", docker_config(), docker_config(architecture="arm64")))
    split = {"archive": two, "tags": ["1"], "split_platforms": True, "keep_previous": "{tag}-old"}
    images = [{**split, "repository": "demo/app"}, {"archive": app, "repository": "demo/app", "tags": [tag]}]
    result = run_module(zot_push.main, check=check, images=images)
    assert re.search(message, result["msg"])
    assert (result["error_class"], fake.writes) == ("invalid_option", [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "one of the following is required: archive, images", id="nothing"),
        pytest.param({"archive": "a", "images": []}, "mutually exclusive: archive|images", id="both"),
        pytest.param({"archive": "a", "tag": "1"}, "missing parameter.*repository", id="no repository"),
        pytest.param({"archive": "a", "repository": "b"}, "missing parameter.*tags", id="no tags"),
        pytest.param({"images": [{"archive": "a", "tag": "1"}]}, "repository", id="no repository of one of several"),
        pytest.param({"archive": "a", "repository": "b", "tags": []}, "tags is empty", id="empty tags"),
        pytest.param(
            {"archive": "", "repository": "b", "tag": "1"}, "archive is empty for b: set its path", id="empty archive"
        ),
        pytest.param({"images": []}, "images is empty: list at least one image", id="no images"),
        pytest.param({"archive": "a", "repository": "b", "tag": 5349}, "tags is the number 5349", id="a number"),
        pytest.param({"archive": "a", "repository": "b", "tags": [True]}, r"tags\[0\] is the boolean", id="a boolean"),
        pytest.param(
            {"archive": "a", "repository": 1.1, "tag": "1"},
            r"repository is the number 1\.1, not text",
            id="a repository",
        ),
        pytest.param(
            {"images": [{"archive": "a", "repository": "b", "tag": "1", "keep_previous": True}]},
            "keep_previous is the boolean True, not text",
            id="a keeper",
        ),
    ],
)
def test_options(run_module: t.Any, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    result = run_module(zot_push.main, **options)
    assert result["failed"] is True
    assert re.search(message, result["msg"])
    assert fake.commands == []


@pytest.mark.parametrize("keep_previous", [None, ""])
def test_no_previous_image_is_kept(
    run_module: t.Any, fake: t.Any, app: str, docker_config: t.Any, keep_previous: str | None
) -> None:
    fake.put("demo/app", "1", docker_config(architecture="arm64"))
    images = [{"archive": app, "repository": "demo/app", "tag": "1", "keep_previous": keep_previous}]
    assert run_module(zot_push.main, images=images)["tags"][0]["previous_tag"] is None
    assert fake.writes == ["copy demo/app:1"]


def test_force_with_images_is_refused(run_module: t.Any, fake: t.Any, app: str) -> None:
    """It would count for none of them."""
    images = [{"archive": app, "repository": "demo/app", "tag": "1"}]
    result = run_module(zot_push.main, images=images, force=True)
    assert (result.get("failed", False), fake.writes) == (True, [])


def test_the_environment_names_the_registry(run_module: t.Any, app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOT_REGISTRY", HOST)
    options = {"registry": None, "archive": app, "repository": "demo/app", "tags": ["1"]}
    assert run_module(zot_push.main, **options)["image"]["registry"] == HOST


def test_no_registry(run_module: t.Any, app: str) -> None:
    options = {"registry": None, "username": None, "password": None}
    result = run_module(zot_push.main, archive=app, repository="demo/app", tags=["1"], **options)
    names = ("registry (option)", "zot_registry", "ZOT_REGISTRY")
    assert result["msg"].startswith("no registry is given.")
    assert all(name in result["msg"] for name in names)
