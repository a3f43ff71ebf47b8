# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.modules import zot_index

HOST = "127.0.0.1:5000"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(autouse=True)
def members(fake: t.Any, docker_config: t.Any) -> dict[str, str]:
    fake.put("demo/app", "amd64")
    fake.put("demo/app", "arm64", docker_config(architecture="arm64"))
    return dict(fake.tags["demo/app"])


@pytest.fixture
def options() -> dict[str, t.Any]:
    return {"repository": "demo/app", "tags": ["1", "latest"], "manifests": ["amd64", "arm64"]}


def image(digest: str | None, size: int | None) -> dict[str, t.Any]:
    return {
        "reference": f"{HOST}/demo/app:1",
        "registry": HOST,
        "repository": "demo/app",
        "tag": "1",
        "digest": digest,
        "pinned": f"{HOST}/demo/app@{digest}" if digest else None,
        "media_type": INDEX if digest else None,
        "platforms": ["linux/amd64", "linux/arm64"],
        "size": size,
        "created": None,
        "labels": {},
        "exists": digest is not None,
    }


def expected(members: dict[str, str], digest: str | None, size: int | None, *, changed: bool) -> dict[str, t.Any]:
    platforms = ["linux/amd64", "linux/arm64"]
    names = ("1", "latest")
    references = [f"{HOST}/demo/app:{tag}" for tag in names]
    meaning = {"repository": "demo/app", "digest": digest, "platforms": platforms, "size": size}
    tags = [
        {"reference": reference, "tag": tag, **meaning, "changed": changed, "previous_tag": None, "error": None}
        for tag, reference in zip(names, references)
    ]
    diff = [
        {
            "before_header": reference,
            "after_header": reference,
            "before": {"reference": reference, "digest": None, "platforms": []},
            "after": {"reference": reference, "digest": digest or "(known after the push)", "platforms": platforms},
        }
        for reference in references
    ]
    return {
        "changed": changed,
        "registry": HOST,
        "image": image(digest, size),
        "tags": tags,
        "diff": diff if changed else [],
        "manifests": [{"platform": f"linux/{name}", "digest": members[name]} for name in ("amd64", "arm64")],
    }


def test_changed_and_then_unchanged(
    run_module: t.Any, fake: t.Any, members: dict[str, str], options: dict[str, t.Any]
) -> None:
    first = run_module(zot_index.main, **options)
    digest, size = fake.tags["demo/app"]["1"], first["image"]["size"]
    assert size > 2000
    assert first == expected(members, digest, size, changed=True)
    writes = list(fake.writes)
    assert run_module(zot_index.main, **options) == expected(members, digest, size, changed=False)
    assert fake.writes == writes


def test_check_mode(run_module: t.Any, fake: t.Any, members: dict[str, str], options: dict[str, t.Any]) -> None:
    result = run_module(zot_index.main, check=True, **options)
    assert result == expected(members, None, None, changed=True)
    assert fake.writes == []


def test_failure(run_module: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    result = run_module(zot_index.main, **{**options, "manifests": ["amd64", "arm46"]})
    hint = f"Push the missing images first. {HOST}/demo/app has 2 tags. The most similar are arm64, amd64."
    error = {
        "msg": f"cannot write the index: {HOST}/demo/app:arm46 does not exist; nothing was written. {hint}",
        "error_class": "not_found",
        "retryable": False,
        "hint": hint,
        "cmd": [],
        "rc": None,
    }
    message = f"cannot write the index: {HOST}/demo/app:arm46 does not exist"
    error_of_tag = {"error_class": "not_found", "retryable": False, "msg": message}
    tags, absent = result.pop("tags"), result.pop("image")
    assert result == {"failed": True, "changed": False, "registry": HOST, "diff": [], **error}
    assert [(tag["tag"], tag["changed"], tag["error"]) for tag in tags] == [
        ("1", False, error_of_tag),
        ("latest", False, error_of_tag),
    ]
    assert absent["exists"] is False
    assert fake.writes == []


def test_failure_after_the_previous_image_was_kept(run_module: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    before = fake.put("demo/app", "1")
    fake.fail("append", "demo/app:1", "immutable-tag", tool="crane 0.22.1")
    result = run_module(zot_index.main, **{**options, "tags": ["1"], "keep_previous": "{tag}-previous"})
    assert fake.tags["demo/app"]["1-previous"] == fake.tags["demo/app"]["1"] == before
    (of_tag,) = result["tags"]
    assert (result["error_class"], result["changed"], of_tag["changed"]) == ("denied", True, False)
    assert of_tag["previous_tag"] == f"{HOST}/demo/app:1-previous"


def test_check_mode_with_a_missing_member(
    run_module: t.Any, fake: t.Any, options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have been pushed, and the user sees which one that is."""
    warnings: list[str] = []
    monkeypatch.setattr(zot_index.AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    result = run_module(zot_index.main, check=True, **{**options, "manifests": ["amd64", "s390x"]})
    assert [f"{HOST}/demo/app:s390x does not exist yet" in warning for warning in warnings] == [True]
    assert (result["changed"], fake.writes) == (True, [])


def test_images(run_module: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    fake.put("demo/tool", "amd64")
    tool = {"repository": "demo/tool", "tag": ["1"], "manifests": "amd64", "platforms": "linux/amd64, "}
    result = run_module(zot_index.main, images=[options, tool], parallel=2)
    assert [image["reference"] for image in result["images"]] == [f"{HOST}/demo/app:1", f"{HOST}/demo/tool:1"]
    assert [tag["changed"] for tag in result["tags"]] == [True] * 3
    assert "image" not in result
    assert "manifests" not in result


class TestLastTag:
    """Zot deletes an image when its last tag is overwritten, even if the new index lists it."""

    @pytest.fixture(autouse=True)
    def _latest_is_the_only_tag_of_amd64(self, fake: t.Any) -> None:
        fake.tags["demo/app"]["latest"] = fake.tags["demo/app"].pop("amd64")

    @pytest.mark.parametrize("check", [False, True])
    @pytest.mark.parametrize("several", [False, True], ids=["of a member", "of a member of another index"])
    def test_of_a_member(
        self, run_module: t.Any, fake: t.Any, members: dict[str, str], several: bool, check: bool
    ) -> None:
        amd64 = members["amd64"]
        options: dict[str, t.Any] = {"repository": "demo/app", "tags": ["1", "latest"], "manifests": [amd64, "arm64"]}
        if several:
            first = {**options, "tags": ["1"]}
            options = {"images": [first, {**options, "tags": ["latest"], "manifests": ["arm64"]}]}
        result = run_module(zot_index.main, check=check, **options)
        assert f"{HOST}/demo/app:latest holds the member {HOST}/demo/app@{amd64}" in result["msg"]
        assert "nothing was written. Give the member by a tag that the task does not write" in result["msg"]
        assert (result["error_class"], fake.writes) == ("invalid_option", [])

    @pytest.mark.parametrize("several", [False, True], ids=["of an entry", "of a member that is an index"])
    def test_of_what_a_member_lists(
        self, run_module: t.Any, fake: t.Any, members: dict[str, str], docker_config: t.Any, several: bool
    ) -> None:
        child = fake.put_index("demo/app", "child", members["amd64"])
        if several:
            fake.tags["demo/app"]["latest"] = fake.tags["demo/app"].pop("child")
        manifests = [child, fake.put("demo/app", "s390x", docker_config(architecture="s390x"))]
        result = run_module(zot_index.main, repository="demo/app", tags=["latest"], manifests=manifests)
        assert "demo/app:latest holds the member" in result["msg"]
        assert fake.writes == []

    @pytest.mark.parametrize("kept", [False, True], ids=["another tag", "a keeper"])
    def test_that_is_not_the_last(self, run_module: t.Any, fake: t.Any, members: dict[str, str], kept: bool) -> None:
        options = {"repository": "demo/app", "tags": ["latest"], "manifests": [members["amd64"], "arm64"]}
        if kept:
            options["keep_previous"] = "{tag}-previous"
        else:
            fake.tags["demo/app"]["amd64"] = members["amd64"]
            options["manifests"] = ["amd64", "arm64"]
        assert run_module(zot_index.main, **options)["changed"] is True
        assert members["amd64"] in fake.manifests["demo/app"]
        assert run_module(zot_index.main, **options)["changed"] is False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"repository": None}, "one of the following is required: repository, images"),
        ({"tags": None}, "missing parameter(s) required by 'repository': tags"),
        ({"manifests": None}, "missing parameter(s) required by 'repository': manifests"),
        ({"images": [{"repository": "a", "tags": ["1"], "manifests": ["2"]}]}, "parameters are mutually exclusive"),
        ({"images": [{"repository": "a", "tags": ["1"]}], "repository": None}, "missing required arguments: manifests"),
        ({"repository": 83}, "repository is the number 83, not text: quote it"),
        ({"keep_previous": 5349}, "keep_previous is the number 5349, not text: quote it"),
        ({"images": [], "repository": None}, "images is empty: list at least one image"),
    ],
)
def test_required(
    run_module: t.Any, fake: t.Any, options: dict[str, t.Any], given: dict[str, t.Any], message: str
) -> None:
    if "images" in given and "repository" in given:
        options = {}
    assert message in run_module(zot_index.main, **{**options, **given})["msg"]
    assert fake.commands == []
