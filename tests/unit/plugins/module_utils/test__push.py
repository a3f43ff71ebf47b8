# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    InvalidArchiveError,
    MissingLibraryError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import predicted_oci_configs
from ansible_collections.killinit.zot.plugins.module_utils._push import _invalid_archives, push
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer

HOST = "127.0.0.1:5000"


def item(archive: object, *tags: str, **options: t.Any) -> dict[str, t.Any]:
    return {
        "archive": str(archive),
        "archive_image": None,
        "repository": "demo/app",
        "tags": list(tags) or ["1"],
        "platform": None,
        "force": False,
        "keep_previous": None,
        **options,
    }


def single(archive: object, *tags: str, **options: t.Any) -> dict[str, t.Any]:
    return {**item(archive, *tags, **options), "images": None, "parallel": 4}


def several(*items: dict[str, t.Any], parallel: int = 4) -> dict[str, t.Any]:
    return {"images": list(items), "parallel": parallel}


@pytest.fixture
def app(tmp_path: Path, write_archive: t.Any) -> Path:
    return write_archive(tmp_path / "app.tar")  # type: ignore[no-any-return]


@pytest.fixture
def other(tmp_path: Path, write_archive: t.Any, docker_config: t.Any) -> Path:
    return write_archive(tmp_path / "other.tar", docker_config(architecture="arm64"))  # type: ignore[no-any-return]


def test_a_new_tag(registry: Writer, fake: t.Any, app: Path) -> None:
    result = push(registry, single(app), dry_run=False)
    assert result["changed"] is True
    assert fake.writes == ["copy demo/app:1"]
    assert result["image"]["digest"] == fake.tags["demo/app"]["1"]


@pytest.mark.parametrize("salt", ["skopeo", "another gzip"])
def test_the_same_image_is_not_written(registry: Writer, fake: t.Any, app: Path, salt: str) -> None:
    fake.put("demo/app", "1", salt=salt)
    assert push(registry, single(app), dry_run=False)["changed"] is False
    assert fake.writes == []


@pytest.mark.parametrize(("guessed", "runs"), [(True, ["manifest"] * 2), (False, ["manifest", "blob", "manifest"])])
def test_what_skopeo_makes_of_the_configuration_is_known(
    registry: Writer, fake: t.Any, app: Path, docker_config: t.Any, guessed: bool, runs: list[str]
) -> None:
    """Once two tags hold it they cost one run each."""
    for tag in ("1", "2"):
        fake.put("demo/app", tag, predicted_oci_configs(docker_config())[0] if guessed else None)
    result = push(registry, single(app, "1", "2"), dry_run=False)
    assert (result["changed"], result["image"]["platforms"]) == (False, ["linux/amd64"])
    assert [command[1] for command in fake.commands] == runs


def test_no_skopeo_is_needed_for_the_same_image(registry: Writer, fake: t.Any, app: Path, tools: Path) -> None:
    fake.put("demo/app", "1")
    (tools / "skopeo").unlink()
    assert push(registry, single(app), dry_run=False)["changed"] is False


@pytest.mark.parametrize("dry_run", [False, True])
def test_no_skopeo(registry: Writer, fake: t.Any, app: Path, tools: Path, dry_run: bool) -> None:
    (tools / "skopeo").unlink()
    with pytest.raises(ZotError, match="skopeo is not in PATH") as raised:
        push(registry, single(app), dry_run=dry_run)
    assert raised.value.error_class == "tool_missing"
    assert fake.writes == []


def test_only_the_tag_that_differs_is_written(registry: Writer, fake: t.Any, app: Path, docker_config: t.Any) -> None:
    fake.put("demo/app", "1")
    fake.put("demo/app", "latest", docker_config(author="somebody"))
    result = push(registry, single(app, "1", "latest", "new"), dry_run=False)
    assert fake.writes == ["copy demo/app:latest", "copy demo/app:new"]
    assert [tag["changed"] for tag in result["tags"]] == [False, True, True]


def test_a_tag_that_is_named_twice_is_one(registry: Writer, fake: t.Any, app: Path) -> None:
    push(registry, single(app, "1", "1"), dry_run=False)
    assert fake.writes == ["copy demo/app:1"]


def test_a_tag_that_holds_an_index_is_written(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.put_index("demo/app", "1", fake.put("demo/app", "amd64"))
    assert push(registry, single(app), dry_run=False)["changed"] is True


def test_force(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.put("demo/app", "1")
    assert push(registry, single(app, force=True), dry_run=False)["changed"] is True
    assert fake.writes == ["copy demo/app:1"]


def test_a_dry_run_writes_nothing(registry: Writer, fake: t.Any, app: Path) -> None:
    result = push(registry, single(app, "1", "2"), dry_run=True)
    assert fake.writes == []
    assert [(tag["changed"], tag["digest"]) for tag in result["tags"]] == [(True, None), (True, None)]
    assert (result["image"]["platforms"], result["image"]["exists"]) == (["linux/amd64"], False)


def test_a_dry_run_of_what_is_there(registry: Writer, fake: t.Any, app: Path) -> None:
    digest = fake.put("demo/app", "1")
    result = push(registry, single(app), dry_run=True)
    assert (result["changed"], result["image"]["digest"]) == (False, digest)


@pytest.mark.parametrize(
    ("scenario", "error_class"),
    [("bad-password", "unauthorized"), ("status-503", "unavailable"), ("unknown-authority", "tls")],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_error_while_looking_is_not_absence(
    registry: Writer, fake: t.Any, app: Path, scenario: str, error_class: str, dry_run: bool
) -> None:
    fake.fail("manifest", "demo/app:1", scenario, times=99)
    with pytest.raises(ZotError) as raised:
        push(registry, single(app), dry_run=dry_run)
    assert raised.value.error_class == error_class
    assert fake.writes == []


def test_the_first_tag_lands_and_the_second_is_refused(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.fail("copy", "demo/app:2", "immutable-tag")
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: cannot push .*demo/app:2: ") as raised:
        push(registry, single(app, "1", "2"), dry_run=False)
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("denied", True)
    assert [(tag["changed"], bool(tag["error"])) for tag in result["tags"]] == [(True, False), (False, True)]


@pytest.mark.parametrize("landed", [True, False], ids=["only the answer was lost", "nothing was written"])
def test_the_answer_of_a_push_is_lost(registry: Writer, fake: t.Any, app: Path, landed: bool) -> None:
    fake.fail("copy", "demo/app:1", "connection-reset", landed=landed)
    result = push(registry, single(app), dry_run=False)
    assert result["changed"] is True
    assert result["image"]["digest"] == fake.tags["demo/app"]["1"]
    assert len(fake.writes) == (1 if landed else 2)


def test_a_500_that_dropped_the_tag(registry: Writer, fake: t.Any, app: Path, docker_config: t.Any) -> None:
    fake.put("demo/app", "1", docker_config(author="before"))
    fake.fail("copy", "demo/app:1", "status-500", tool="skopeo 1.18.0", drops=True)
    result = push(registry, single(app), dry_run=False)
    assert result["image"]["exists"] is True
    assert result["image"]["digest"] == fake.tags["demo/app"]["1"]


def test_another_digest_is_read_back(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.reports = "sha256:" + "0" * 64
    with pytest.raises(ZotError, match="but skopeo reported sha256:0000") as raised:
        push(registry, single(app), dry_run=False)
    assert raised.value.error_class == "tool_failed"


def test_quota(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.fail("copy", "demo/app:1", "quota", times=99)
    with pytest.raises(ZotError) as raised:
        push(registry, single(app), dry_run=False)
    assert (raised.value.error_class, len(fake.writes)) == ("quota_exceeded", 1)


def test_rate_limit_is_tried_again(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.put("demo/app", "old")
    fake.fail("copy", "demo/app:1", "rate-limit", times=2)
    assert push(registry, single(app), dry_run=False)["changed"] is True
    assert len(fake.writes) == 3


class TestKeepPrevious:
    """The image that a tag holds before it moves gets the tag of the template."""

    @pytest.fixture
    def before(self, fake: t.Any, docker_config: t.Any) -> str:
        return fake.put("demo/app", "1", docker_config(author="before"))  # type: ignore[no-any-return]

    def test_needed(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        result = push(registry, single(app, keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == before
        assert fake.writes == [f"tag demo/app@{before} 1-previous", "copy demo/app:1"]
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:1-previous"

    @pytest.mark.parametrize("force", [False, True])
    def test_the_same_image_again(self, registry: Writer, fake: t.Any, app: Path, before: str, force: bool) -> None:
        """The keeper keeps what the tag held before, not what it holds now."""
        options = single(app, keep_previous="{tag}-previous")
        push(registry, options, dry_run=False)
        result = push(registry, {**options, "force": force}, dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == before
        assert result["tags"][0]["previous_tag"] is None

    def test_also_with_another_tag(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        """The other tags of the repository are not read."""
        fake.tags["demo/app"] |= {f"r{number}": before for number in range(500)}
        result = push(registry, single(app, keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == before
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:1-previous"
        assert not {"ls", "digest"} & {command[1] for command in fake.commands}

    def test_not_asked_for(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        push(registry, single(app), dry_run=False)
        assert before not in fake.tags["demo/app"].values()

    def test_nothing_was_there(self, registry: Writer, fake: t.Any, app: Path) -> None:
        push(registry, single(app, keep_previous="previous"), dry_run=False)
        assert list(fake.tags["demo/app"]) == ["1"]

    def test_both_tags_of_the_image_move(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        """Each tag has its keeper, so that each can be moved back."""
        fake.tags["demo/app"]["2"] = before
        push(registry, single(app, "1", "2", keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == fake.tags["demo/app"]["2-previous"] == before

    def test_a_dry_run_says_what_would_be_kept(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        result = push(registry, single(app, keep_previous="{tag}-previous"), dry_run=True)
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:1-previous"
        assert fake.tags["demo/app"] == {"1": before}

    def test_a_dry_run_says_what_the_push_then_keeps(
        self, registry: Writer, fake: t.Any, app: Path, before: str
    ) -> None:
        """Two tags of one image."""
        fake.tags["demo/app"]["2"] = before
        options = single(app, "1", "2", keep_previous="{tag}-previous")
        planned = push(registry, options, dry_run=True)
        done = push(registry, options, dry_run=False)
        assert [tag["previous_tag"] for tag in planned["tags"]] == [tag["previous_tag"] for tag in done["tags"]]

    def test_the_keeper_cannot_be_written(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        """Then nothing is pushed over the image."""
        fake.fail("tag", "demo/app:previous", "immutable-tag", tool="crane 0.22.1")
        with pytest.raises(ZotError, match="cannot tag"):
            push(registry, single(app, keep_previous="previous"), dry_run=False)
        assert fake.tags["demo/app"]["1"] == before

    def test_a_keeper_that_was_moved_is_reported(self, registry: Writer, fake: t.Any, app: Path, before: str) -> None:
        """The image that the keeper held until now is not kept: only one step back is asked for."""
        fake.put("demo/app", "previous", salt="older")
        push(registry, single(app, keep_previous="previous"), dry_run=False)
        assert fake.tags["demo/app"]["previous"] == before

    @pytest.mark.parametrize(
        ("keep", "message"),
        [
            ("{tag}", "which is also a tag to write"),
            ("2", "which is also a tag to write"),
            ("previous", "use {tag} in keep_previous"),
            ("{tag}/x", "not a valid tag"),
        ],
    )
    def test_a_keeper_that_cannot_be(self, registry: Writer, fake: t.Any, app: Path, keep: str, message: str) -> None:
        with pytest.raises(ZotError, match=message) as raised:
            push(registry, single(app, "1", "2", keep_previous=keep), dry_run=False)
        assert raised.value.error_class == "invalid_option"
        assert fake.commands == []


def test_several_archives_keep_their_order(registry: Writer, app: Path, other: Path) -> None:
    result = push(registry, several(item(other, "arm64"), item(app, "amd64")), dry_run=False)
    assert [image["platforms"] for image in result["images"]] == [["linux/arm64"], ["linux/amd64"]]
    assert "image" not in result


def test_one_that_fails_does_not_stop_the_others(
    registry: Writer, fake: t.Any, app: Path, other: Path, tmp_path: Path
) -> None:
    items = [item(tmp_path / "none.tar", "broken"), item(app, "amd64"), item(other, "arm64")]
    with pytest.raises(ZotError, match=r"^2 of 3 tags are in place, 1 failed: .*none\.tar cannot be read") as raised:
        push(registry, several(*items, parallel=1), dry_run=False)
    result = raised.value.for_ansible()
    assert result["error_class"] == "archive_invalid"
    assert [(tag["changed"], bool(tag["error"])) for tag in result["tags"]] == [
        (False, True),
        (True, False),
        (True, False),
    ]
    assert [image["exists"] for image in result["images"]] == [False, True, True]
    assert sorted(fake.tags["demo/app"]) == ["amd64", "arm64"]


def test_an_error_that_passes_does_not_hide_one_that_does_not(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.fail("copy", "demo/app:a", "connection-refused", times=99)
    fake.fail("copy", "demo/app:b", "reader-pushes", times=99)
    with pytest.raises(ZotError) as raised:
        push(registry, several(item(app, "a"), item(app, "b")), dry_run=False)
    assert raised.value.error_class == "denied"


@pytest.mark.parametrize("dry_run", [False, True])
def test_two_archives_for_one_tag(registry: Writer, fake: t.Any, app: Path, other: Path, dry_run: bool) -> None:
    with pytest.raises(ZotError, match=r"demo/app:2 is a tag of two archives: .*app\.tar and .*other\.tar") as raised:
        push(registry, several(item(app, "1", "2"), item(other, "2")), dry_run=dry_run)
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


def test_the_keeper_of_one_is_the_target_of_another(registry: Writer, app: Path, other: Path) -> None:
    """Whichever comes last would win: it has to be refused as two archives for one tag are."""
    with pytest.raises(ZotError) as raised:
        push(registry, several(item(app, "1", keep_previous="2"), item(other, "2")), dry_run=False)
    assert raised.value.error_class == "invalid_option"


@pytest.mark.parametrize("platform", ["linux/amd64", None])
def test_the_platform_fits(registry: Writer, app: Path, platform: str | None) -> None:
    assert push(registry, single(app, platform=platform), dry_run=False)["changed"] is True


def test_the_platform_does_not_fit(registry: Writer, fake: t.Any, other: Path) -> None:
    with pytest.raises(ZotError, match=r"other\.tar is for linux/arm64, not for linux/amd64") as raised:
        push(registry, single(other, platform="linux/amd64"), dry_run=False)
    assert raised.value.error_class == "platform_mismatch"
    assert fake.commands == []


def test_no_platform_at_all(registry: Writer, tmp_path: Path, write_archive: t.Any, docker_config: t.Any) -> None:
    archive = write_archive(tmp_path / "bare.tar", docker_config(os=None, architecture=None))
    with pytest.raises(ZotError, match="is for an unknown platform, not for linux/amd64"):
        push(registry, single(archive, platform="linux/amd64"), dry_run=False)


def test_one_image_of_several(registry: Writer, tmp_path: Path, write_archive: t.Any, docker_config: t.Any) -> None:
    archive = write_archive(tmp_path / "two.tar", docker_config(), docker_config(architecture="arm64"))
    result = push(registry, single(archive, archive_image="localhost/demo:1"), dry_run=False)
    assert result["image"]["platforms"] == ["linux/arm64"]


def test_a_compressed_archive(registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    archive = write_archive(tmp_path / "app.tar.gz")
    assert push(registry, single(archive, "1", "2"), dry_run=False)["changed"] is True
    assert len(fake.writes) == 2


@pytest.mark.parametrize(
    "config", [{"rootfs": {"diff_ids": "x"}}, {"rootfs": 5}, {"history": 5}, {"config": [5]}], ids=str
)
def test_a_configuration_that_cannot_be_used(
    registry: Writer,
    tmp_path: Path,
    write_archive: t.Any,
    docker_config: t.Any,
    config: dict[str, t.Any],
) -> None:
    with pytest.raises(ZotError, match=r"the configuration in .* is invalid") as raised:
        push(registry, single(write_archive(tmp_path / "app.tar", docker_config(**config))), dry_run=False)
    assert raised.value.error_class == "archive_invalid"


@pytest.mark.parametrize("config", [{"os": 5}, {"variant": ["x"]}, {"architecture": [1]}], ids=str)
@pytest.mark.parametrize("platform", [None, "linux/amd64"])
def test_a_platform_that_is_no_text_ends_in_no_traceback(
    registry: Writer,
    tmp_path: Path,
    write_archive: t.Any,
    docker_config: t.Any,
    config: dict[str, t.Any],
    platform: str | None,
) -> None:
    archive = write_archive(tmp_path / "app.tar", docker_config(**config))
    with pytest.raises(ZotError) as raised:
        push(registry, single(archive, platform=platform), dry_run=True)
    assert raised.value.error_class in ("archive_invalid", "platform_mismatch")


def test_a_damaged_configuration_in_the_registry_is_written_over(registry: Writer, fake: t.Any, app: Path) -> None:
    fake.put("demo/app", "1", {"rootfs": {"diff_ids": "x"}})
    assert push(registry, single(app), dry_run=False)["changed"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"tags": []}, "tags is empty", id="no tag"),
        pytest.param({"tags": ["-1"]}, "not a valid tag", id="a tag that is an option"),
        pytest.param({"repository": "Demo"}, "not a valid repository", id="a capital"),
        pytest.param({"repository": f"{HOST}/demo"}, "begins with the registry", id="the registry"),
        pytest.param({"platform": "amd64"}, "is not a platform", id="half a platform"),
    ],
)
def test_options_that_cannot_be_used(
    registry: Writer, fake: t.Any, app: Path, options: dict[str, t.Any], message: str
) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        push(registry, single(app, **options), dry_run=False)
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


@pytest.mark.parametrize("parallel", [0, -1])
def test_parallel_below_one(registry: Writer, app: Path, parallel: int) -> None:
    with pytest.raises(ZotError) as raised:
        push(registry, several(item(app), parallel=parallel), dry_run=False)
    assert raised.value.error_class == "invalid_option"


def test_no_images_at_all(registry: Writer) -> None:
    assert push(registry, several(), dry_run=False) == {"changed": False, "tags": [], "diff": [], "images": []}


@pytest.mark.parametrize(
    ("error", "error_class", "message"),
    [
        (InvalidArchiveError("it is cut"), "archive_invalid", "it is cut"),
        (MissingLibraryError("zstandard"), "tool_missing", "the Python library zstandard is required"),
    ],
    ids=["archive", "library"],
)
def test_invalid_archives(error: Exception, error_class: str, message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised, _invalid_archives():
        raise error
    assert raised.value.error_class == error_class
