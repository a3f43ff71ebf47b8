# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import MissingLibraryError
from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher
from ansible_collections.killinit.zot.plugins.module_utils._push.run import run as push
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session

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
        "overwrite": None,
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


@pytest.mark.parametrize("salt", ["skopeo", "another gzip"])
def test_the_same_image_is_not_written(session: Session, fake: t.Any, app: Path, salt: str) -> None:
    fake.put("demo/app", "1", salt=salt)
    assert push(session, single(app), dry_run=False)["changed"] is False
    assert fake.writes == []


def test_no_skopeo_is_needed_for_the_same_image(session: Session, fake: t.Any, app: Path, tools: Path) -> None:
    fake.put("demo/app", "1")
    (tools / "skopeo").unlink()
    assert push(session, single(app), dry_run=False)["changed"] is False


@pytest.mark.parametrize("dry_run", [False, True])
def test_no_skopeo(session: Session, fake: t.Any, app: Path, tools: Path, dry_run: bool) -> None:
    (tools / "skopeo").unlink()
    with pytest.raises(ZotError, match="skopeo is not in PATH") as raised:
        push(session, single(app), dry_run=dry_run)
    assert raised.value.error_class == "tool_missing"
    assert fake.writes == []


def test_only_the_tag_that_differs_is_written(session: Session, fake: t.Any, app: Path, docker_config: t.Any) -> None:
    fake.put("demo/app", "1")
    fake.put("demo/app", "latest", docker_config(author="somebody"))
    result = push(session, single(app, "1", "latest", "new"), dry_run=False)
    assert fake.writes == ["copy demo/app:latest", "copy demo/app:new"]
    assert [tag["changed"] for tag in result["tags"]] == [False, True, True]


def test_a_tag_that_is_named_twice_is_one(session: Session, fake: t.Any, app: Path) -> None:
    push(session, single(app, "1", "1"), dry_run=False)
    assert fake.writes == ["copy demo/app:1"]


def test_a_tag_that_holds_an_index_is_written(session: Session, fake: t.Any, app: Path) -> None:
    fake.put_index("demo/app", "1", fake.put("demo/app", "amd64"))
    assert push(session, single(app), dry_run=False)["changed"] is True


def test_force(session: Session, fake: t.Any, app: Path) -> None:
    fake.put("demo/app", "1")
    assert push(session, single(app, force=True), dry_run=False)["changed"] is True
    assert fake.writes == ["copy demo/app:1"]


def test_a_dry_run_writes_nothing(session: Session, fake: t.Any, app: Path) -> None:
    result = push(session, single(app, "1", "2"), dry_run=True)
    assert fake.writes == []
    assert [(tag["changed"], tag["digest"]) for tag in result["tags"]] == [(True, None), (True, None)]
    assert (result["image"]["platforms"], result["image"]["exists"]) == (["linux/amd64"], False)


@pytest.mark.parametrize(
    ("scenario", "error_class"),
    [("bad-password", "unauthorized"), ("status-503", "unavailable"), ("unknown-authority", "tls")],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_read_error_does_not_mean_absence(
    session: Session, fake: t.Any, app: Path, scenario: str, error_class: str, dry_run: bool
) -> None:
    fake.fail("manifest", "demo/app:1", scenario, times=99)
    with pytest.raises(ZotError) as raised:
        push(session, single(app), dry_run=dry_run)
    assert raised.value.error_class == error_class
    assert fake.writes == []


def test_the_first_tag_lands_and_the_second_is_refused(session: Session, fake: t.Any, app: Path) -> None:
    fake.fail("copy", "demo/app:2", "immutable-tag")
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: cannot push .*demo/app:2; ") as raised:
        push(session, single(app, "1", "2"), dry_run=False)
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("denied", True)
    assert [(tag["changed"], bool(tag["error"])) for tag in result["tags"]] == [(True, False), (False, True)]


@pytest.mark.parametrize("applied", [True, False], ids=["only the answer was lost", "nothing was written"])
def test_the_answer_of_a_push_is_lost(session: Session, fake: t.Any, app: Path, applied: bool) -> None:
    fake.fail("copy", "demo/app:1", "connection-reset", applied=applied)
    result = push(session, single(app), dry_run=False)
    assert result["changed"] is True
    assert result["image"]["digest"] == fake.tags["demo/app"]["1"]
    assert len(fake.writes) == (1 if applied else 2)


def test_a_500_that_dropped_the_tag(session: Session, fake: t.Any, app: Path, docker_config: t.Any) -> None:
    fake.put("demo/app", "1", docker_config(author="before"))
    fake.fail("copy", "demo/app:1", "status-500", tool="skopeo 1.18.0", drops=True)
    result = push(session, single(app), dry_run=False)
    assert result["image"]["exists"] is True
    assert result["image"]["digest"] == fake.tags["demo/app"]["1"]


def test_another_digest_is_read_back(session: Session, fake: t.Any, app: Path) -> None:
    fake.reports = "sha256:" + "0" * 64
    with pytest.raises(ZotError, match="but skopeo reported sha256:0000") as raised:
        push(session, single(app), dry_run=False)
    assert raised.value.error_class == "tool_failed"


def test_rate_limit_is_tried_again(session: Session, fake: t.Any, app: Path) -> None:
    fake.put("demo/app", "old")
    fake.fail("copy", "demo/app:1", "rate-limit", times=2)
    assert push(session, single(app), dry_run=False)["changed"] is True
    assert len(fake.writes) == 3


class TestKeepPrevious:
    """The image that a tag holds before it moves gets the tag of the template."""

    @pytest.fixture
    def before(self, fake: t.Any, docker_config: t.Any) -> str:
        return fake.put("demo/app", "1", docker_config(author="before"))  # type: ignore[no-any-return]

    def test_needed(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        result = push(session, single(app, keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == before
        after = fake.tags["demo/app"]["1"]
        upload = next(tag for tag in fake.tags["demo/app"] if tag.startswith("upload-"))
        assert fake.writes == [
            f"copy demo/app:{upload}",
            f"tag demo/app@{before} 1-previous",
            f"tag demo/app@{after} 1",
        ]
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:1-previous"

    @pytest.mark.parametrize("force", [False, True])
    def test_the_same_image_again(self, session: Session, fake: t.Any, app: Path, before: str, force: bool) -> None:
        """The keeper keeps what the tag held before, not what it holds now."""
        options = single(app, keep_previous="{tag}-previous")
        push(session, options, dry_run=False)
        result = push(session, {**options, "force": force}, dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == before
        assert result["tags"][0]["previous_tag"] is None

    def test_also_with_another_tag(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        """The tags of the repository are not listed."""
        fake.tags["demo/app"] |= {f"r{number}": before for number in range(500)}
        result = push(session, single(app, keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == before
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:1-previous"
        assert "ls" not in {command[1] for command in fake.commands}

    def test_not_asked_for(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        push(session, single(app), dry_run=False)
        assert before not in fake.tags["demo/app"].values()

    def test_nothing_was_there(self, session: Session, fake: t.Any, app: Path) -> None:
        push(session, single(app, keep_previous="previous"), dry_run=False)
        assert "previous" not in fake.tags["demo/app"]

    def test_both_tags_of_the_image_move(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        """Each tag has its keeper, so that each can be moved back."""
        fake.tags["demo/app"]["2"] = before
        push(session, single(app, "1", "2", keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["1-previous"] == fake.tags["demo/app"]["2-previous"] == before

    def test_a_dry_run_says_what_would_be_kept(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        result = push(session, single(app, keep_previous="{tag}-previous"), dry_run=True)
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:1-previous"
        assert fake.tags["demo/app"] == {"1": before}

    def test_a_dry_run_says_what_the_push_then_keeps(
        self, session: Session, fake: t.Any, app: Path, before: str
    ) -> None:
        """Two tags of one image."""
        fake.tags["demo/app"]["2"] = before
        options = single(app, "1", "2", keep_previous="{tag}-previous")
        planned = push(session, options, dry_run=True)
        done = push(session, options, dry_run=False)
        assert [tag["previous_tag"] for tag in planned["tags"]] == [tag["previous_tag"] for tag in done["tags"]]

    def test_the_keeper_cannot_be_written(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        """Then nothing is pushed over the image."""
        fake.fail("tag", "demo/app:previous", "immutable-tag", tool="crane 0.22.1")
        with pytest.raises(ZotError, match="cannot tag"):
            push(session, single(app, keep_previous="previous"), dry_run=False)
        assert fake.tags["demo/app"]["1"] == before

    def test_a_keeper_that_was_moved_is_reported(self, session: Session, fake: t.Any, app: Path, before: str) -> None:
        """The image that the keeper held until now is not kept: only one step back is kept."""
        fake.put("demo/app", "previous", salt="older")
        push(session, single(app, keep_previous="previous"), dry_run=False)
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
    def test_a_keeper_that_cannot_be(self, session: Session, fake: t.Any, app: Path, keep: str, message: str) -> None:
        with pytest.raises(ZotError, match=message) as raised:
            push(session, single(app, "1", "2", keep_previous=keep), dry_run=False)
        assert raised.value.error_class == "invalid_option"
        assert fake.commands == []

    def test_one_keeper_for_several_platforms(self, session: Session, fake: t.Any, app: Path) -> None:
        with pytest.raises(ZotError, match=r"has no \{tag\}") as raised:
            push(session, single(app, split_platforms=True, keep_previous="previous"), dry_run=False)
        assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


def test_several_archives_keep_their_order(session: Session, app: Path, other: Path) -> None:
    result = push(session, several(item(other, "arm64"), item(app, "amd64")), dry_run=False)
    assert [image["platforms"] for image in result["images"]] == [["linux/arm64"], ["linux/amd64"]]
    assert "image" not in result


@pytest.mark.parametrize("dry_run", [False, True])
def test_all_archives_are_read_before_the_first_push(
    dry_run: bool, session: Session, fake: t.Any, app: Path, other: Path, tmp_path: Path
) -> None:
    """One error names all that is wrong, and nothing is written."""
    items = [
        item(app, "amd64"),
        item(tmp_path / "none.tar", "broken"),
        item(other, "arm64", platform="linux/amd64"),
    ]
    message = (
        r"none\.tar cannot be read: .*; .*other\.tar is for linux/arm64, not for linux/amd64; nothing was written$"
    )
    with pytest.raises(ZotError, match=message) as raised:
        push(session, several(*items), dry_run=dry_run)
    result = raised.value.for_ansible()
    assert [tag["error"] and tag["error"]["error_class"] for tag in result["tags"]] == [
        None,
        "archive_invalid",
        "platform_mismatch",
    ]
    assert (result["changed"], result["diff"], fake.writes) == (False, [], [])


def test_a_push_that_fails_does_not_stop_the_others(session: Session, fake: t.Any, app: Path, other: Path) -> None:
    fake.fail("copy", "demo/app:broken", "reader-pushes", times=99)
    items = [item(app, "broken"), item(app, "amd64"), item(other, "arm64")]
    with pytest.raises(ZotError, match=r"^2 of 3 tags are in place, 1 failed: cannot push .*app\.tar") as raised:
        push(session, several(*items, parallel=1), dry_run=False)
    result = raised.value.for_ansible()
    assert result["error_class"] == "denied"
    # One text once: the words of the registry and the remedy are in the message of the task alone.
    words = "requested access to the resource is denied"
    assert result["msg"].count(words) == 1
    assert result["msg"].index(result["hint"]) < result["msg"].index(words)
    assert words not in str({name: value for name, value in result.items() if name != "msg"})
    assert [(tag["changed"], bool(tag["error"])) for tag in result["tags"]] == [
        (False, True),
        (True, False),
        (True, False),
    ]
    assert [image["exists"] for image in result["images"]] == [False, True, True]
    assert sorted(fake.tags["demo/app"]) == ["amd64", "arm64"]


def test_an_error_that_passes_does_not_hide_one_that_does_not(session: Session, fake: t.Any, app: Path) -> None:
    fake.fail("copy", "demo/app:a", "connection-refused", times=99)
    fake.fail("copy", "demo/app:b", "reader-pushes", times=99)
    with pytest.raises(ZotError) as raised:
        push(session, several(item(app, "a"), item(app, "b")), dry_run=False)
    assert raised.value.error_class == "denied"


@pytest.mark.parametrize("dry_run", [False, True])
def test_two_archives_for_one_tag(session: Session, fake: t.Any, app: Path, other: Path, dry_run: bool) -> None:
    with pytest.raises(ZotError, match=r"demo/app:2 is a tag of two archives: .*app\.tar and .*other\.tar") as raised:
        push(session, several(item(app, "1", "2"), item(other, "2")), dry_run=dry_run)
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


def test_the_keeper_of_one_is_the_target_of_another(session: Session, app: Path, other: Path) -> None:
    """The last push would win, so this is refused, as two archives for one tag are."""
    with pytest.raises(ZotError) as raised:
        push(session, several(item(app, "1", keep_previous="2"), item(other, "2")), dry_run=False)
    assert raised.value.error_class == "invalid_option"


class TestOverwrite:
    """The options overwrite and index."""

    @pytest.mark.parametrize("dry_run", [False, True])
    @pytest.mark.parametrize("overwrite", [False, "false", ["latest"], "latest"])
    def test_a_tag_that_holds_another_image(
        self, session: Session, fake: t.Any, app: Path, docker_config: t.Any, overwrite: t.Any, dry_run: bool
    ) -> None:
        """The error says when both were built, and what to do; nothing is written, also to the tags that may move."""
        before = fake.put("demo/app", "1", docker_config(author="somebody", created="2026-11-20T10:00:00Z"))
        with pytest.raises(ZotError) as raised:
            push(session, single(app, "1", "latest", overwrite=overwrite), dry_run=dry_run)
        error = raised.value
        held = f"{HOST}/demo/app:1 holds another image, {before} (created 2026-11-20T10:00:00Z), not the image of {app}"
        assert error.message.startswith(f"{held} (created ")
        assert "zot_publish_overwrite" in error.hint
        assert (error.error_class, error.retryable, fake.writes) == ("denied", False, [])

    @pytest.mark.parametrize("overwrite", [None, True, "yes", ["1"], "1, latest"])
    def test_may_be_allowed(
        self, session: Session, fake: t.Any, app: Path, docker_config: t.Any, overwrite: t.Any
    ) -> None:
        fake.put("demo/app", "1", docker_config(author="somebody"))
        assert push(session, single(app, overwrite=overwrite), dry_run=False)["changed"] is True

    @pytest.mark.parametrize("force", [False, True])
    def test_the_same_image_is_no_other(self, session: Session, fake: t.Any, app: Path, force: bool) -> None:
        """Nor is a tag that does not exist."""
        fake.put("demo/app", "1", salt="another gzip")
        result = push(session, single(app, "1", "2", overwrite=False, force=force), dry_run=False)
        assert [tag["changed"] for tag in result["tags"]] == [force, True]

    def test_an_image_that_appears_during_the_push(
        self, session: Session, fake: t.Any, app: Path, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The tag moves only after the push, and was read again right before."""
        real = fake._do_copy

        def copy(*arguments: str) -> bytes:
            output: bytes = real(*arguments)
            fake.put("demo/app", "1", docker_config(author="somebody"))
            return output

        monkeypatch.setattr(fake, "_do_copy", copy)
        with pytest.raises(ZotError, match=r"demo/app:1 holds sha256:\w+, not nothing as at the start") as raised:
            push(session, single(app, overwrite=False), dry_run=False)
        assert "Another client wrote this tag" in raised.value.hint
        other = fake.tags["demo/app"]["1"]
        result = push(session, single(app, keep_previous="{tag}-previous"), dry_run=False)
        assert (fake.tags["demo/app"]["1-previous"], result["changed"]) == (other, True)
        # The image of the first push is still under its upload tag.
        assert [write.partition(" ")[0] for write in fake.writes].count("copy") == 1


def test_a_tag_that_another_client_moves_meanwhile(
    session: Session, fake: t.Any, app: Path, other: Path, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tag was right after its write. The result still reports the image that each tag holds at the end."""
    real = fake._do_copy

    def copy(*arguments: str) -> bytes:
        output: bytes = real(*arguments)
        if arguments[-1].endswith(":2"):
            fake.put("demo/app", "1", docker_config(author="somebody"))
        return output

    monkeypatch.setattr(fake, "_do_copy", copy)
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: .*demo/app:1 holds sha256:") as raised:
        push(session, several(item(app, "1"), item(other, "2"), parallel=1), dry_run=False)
    assert fake.tags["demo/app"]["1"] in raised.value.message
    assert "Another client wrote this tag" in raised.value.hint
    assert [tag["changed"] for tag in raised.value.result["tags"]] == [True, True]


def test_a_tag_that_another_client_moves_while_the_archive_is_read(
    session: Session, fake: t.Any, app: Path, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = OpenArchive.read

    def read_archive(*arguments: t.Any) -> t.Any:
        fake.put("demo/app", "1", docker_config(author="somebody"))
        return real(*arguments)

    monkeypatch.setattr(OpenArchive, "read", read_archive)
    with pytest.raises(ZotError, match="demo/app:1 holds another image") as raised:
        push(session, single(app, overwrite=False), dry_run=False)
    assert raised.value.error_class == "denied"
    assert fake.writes == []


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (5349, "tags is the number 5349, not text: quote it"),
        ([1.1], r"tags\[0\] is the number 1.1, not text: quote it"),
        (["1", True], r"tags\[1\] is the boolean True, not text: quote it"),
        (True, "tags is the boolean True, not text: quote it"),
        ([datetime.date(2026, 11, 25)], r"tags\[0\] is the date 2026-11-25, not text: quote it"),
        ([None], r"tags\[0\] is null, not text"),
        ([["1"]], r"tags\[0\] is a list, not text"),
        ({"1": "2"}, "tags is a dict, not text"),
        ([], "tags is empty"),
        ("", "tags is empty"),
    ],
)
def test_a_tag_is_text(session: Session, fake: t.Any, app: Path, tags: t.Any, message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        push(session, {**single(app), "tags": tags}, dry_run=False)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


@pytest.mark.parametrize("overwrite", [0, 1, 1.5, "on", "Off", "y", "N"])
def test_overwrite_is_a_boolean_or_a_list(session: Session, fake: t.Any, app: Path, overwrite: t.Any) -> None:
    """A number would not be a tag if it was quoted, and these words are not meant as tags."""
    with pytest.raises(ZotError, match=f"overwrite is {overwrite}: use true, false or a list of tags") as raised:
        push(session, single(app, overwrite=overwrite), dry_run=False)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [("0012345", ["0012345"]), (["1234567"], ["1234567"]), ("1.10, latest", ["1.10", "latest"]), ("on", ["on"])],
)
def test_digits_in_text_are_a_tag(session: Session, fake: t.Any, app: Path, tags: t.Any, expected: list[str]) -> None:
    push(session, {**single(app), "tags": tags}, dry_run=False)
    assert sorted(fake.tags["demo/app"]) == expected


@pytest.mark.parametrize("platform", ["linux/amd64", None])
def test_the_platform_fits(session: Session, app: Path, platform: str | None) -> None:
    assert push(session, single(app, platform=platform), dry_run=False)["changed"] is True


def test_the_platform_does_not_fit(session: Session, fake: t.Any, other: Path) -> None:
    with pytest.raises(ZotError, match=r"other\.tar is for linux/arm64, not for linux/amd64") as raised:
        push(session, single(other, platform="linux/amd64"), dry_run=False)
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


def test_no_platform_at_all(session: Session, tmp_path: Path, write_archive: t.Any, docker_config: t.Any) -> None:
    archive = write_archive(tmp_path / "bare.tar", docker_config(os=None, architecture=None))
    with pytest.raises(ZotError, match="is for an unknown platform, not for linux/amd64"):
        push(session, single(archive, platform="linux/amd64"), dry_run=False)


def test_one_image_of_several(session: Session, tmp_path: Path, write_archive: t.Any, docker_config: t.Any) -> None:
    archive = write_archive(tmp_path / "two.tar", docker_config(), docker_config(architecture="arm64"))
    result = push(session, single(archive, archive_image="localhost/demo:1"), dry_run=False)
    assert result["image"]["platforms"] == ["linux/arm64"]


def test_a_compressed_archive(session: Session, fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    archive = write_archive(tmp_path / "app.tar.gz")
    assert push(session, single(archive, "1", "2"), dry_run=False)["changed"] is True
    assert len(fake.writes) == 2


@pytest.mark.parametrize(
    "config", [{"rootfs": {"diff_ids": "x"}}, {"rootfs": 5}, {"history": 5}, {"config": [5]}], ids=str
)
def test_a_configuration_that_cannot_be_used(
    session: Session,
    tmp_path: Path,
    write_archive: t.Any,
    docker_config: t.Any,
    config: dict[str, t.Any],
) -> None:
    with pytest.raises(ZotError, match=r"the configuration in .* is invalid") as raised:
        push(session, single(write_archive(tmp_path / "app.tar", docker_config(**config))), dry_run=False)
    assert raised.value.error_class == "archive_invalid"


@pytest.mark.parametrize("config", [{"os": 5}, {"variant": ["x"]}, {"architecture": [1]}], ids=str)
@pytest.mark.parametrize("platform", [None, "linux/amd64"])
def test_a_platform_that_is_no_text_ends_in_no_traceback(
    session: Session,
    tmp_path: Path,
    write_archive: t.Any,
    docker_config: t.Any,
    config: dict[str, t.Any],
    platform: str | None,
) -> None:
    archive = write_archive(tmp_path / "app.tar", docker_config(**config))
    with pytest.raises(ZotError) as raised:
        push(session, single(archive, platform=platform), dry_run=True)
    assert raised.value.error_class in ("archive_invalid", "platform_mismatch")


def test_a_damaged_configuration_in_the_registry_is_written_over(session: Session, fake: t.Any, app: Path) -> None:
    fake.put("demo/app", "1", {"rootfs": {"diff_ids": "x"}})
    assert push(session, single(app), dry_run=False)["changed"] is True


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
    session: Session, fake: t.Any, app: Path, options: dict[str, t.Any], message: str
) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        push(session, single(app, **options), dry_run=False)
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


@pytest.mark.parametrize("parallel", [0, -1])
def test_parallel_below_one(session: Session, fake: t.Any, app: Path, parallel: int) -> None:
    with pytest.raises(ZotError) as raised:
        push(session, several(item(app, "1", "2"), parallel=parallel), dry_run=False)
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


def test_a_library_is_missing(session: Session, fake: t.Any, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> t.NoReturn:
        raise MissingLibraryError("zstandard")

    monkeypatch.setattr(OpenArchive, "read", fail)
    with pytest.raises(ZotError, match="the Python library zstandard is required") as raised:
        push(session, single(app), dry_run=False)
    assert (raised.value.error_class, fake.writes) == ("tool_missing", [])


@pytest.fixture
def oci(tmp_path: Path, write_oci: t.Any, docker_config: t.Any) -> Path:
    """An OCI archive with two platforms."""
    arm = docker_config(architecture="arm", variant="v7")
    return write_oci(tmp_path / "oci.tar", [docker_config(), arm], layer=b"layer one")  # type: ignore[no-any-return]


def test_one_platform_of_an_oci_archive(session: Session, fake: t.Any, oci: Path, tmp_path: Path) -> None:
    """It is converted once for all tags, and not at all if there is nothing to push."""
    options = single(oci, "1", "2", platform="linux/arm/v7")
    result = push(session, options, dry_run=False)
    assert (result["changed"], result["image"]["platforms"]) == (True, ["linux/arm/v7"])
    converted, *copied = [command for command in fake.commands if "copy" in command]
    assert [part.partition(":")[0] for part in converted[-2:]] == ["oci", "docker-archive"]
    assert [part.partition(":")[0] for part in copied[0][-2:]] == ["docker-archive", "docker"]
    assert len(copied) == 2
    assert max(fake.largest) > 256 << 20
    fake.commands.clear()
    for dry_run in (False, True):
        assert push(session, options, dry_run=dry_run)["changed"] is False
    assert not [command for command in fake.commands if "copy" in command]
    assert not list(tmp_path.rglob("layout"))


def test_the_same_image_in_a_docker_archive(
    session: Session, tmp_path: Path, oci: Path, write_archive: t.Any, docker_config: t.Any
) -> None:
    push(session, single(write_archive(tmp_path / "docker.tar", docker_config())), dry_run=False)
    assert push(session, single(oci, platform="linux/amd64"), dry_run=False)["changed"] is False


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_platform(session: Session, fake: t.Any, oci: Path, dry_run: bool) -> None:
    result = push(session, several(item(oci, "1", "latest", split_platforms=True)), dry_run=dry_run)
    assert [(tag["tag"], tag["platforms"], tag["changed"]) for tag in result["tags"]] == [
        ("1-amd64", ["linux/amd64"], True),
        ("latest-amd64", ["linux/amd64"], True),
        ("1-arm-v7", ["linux/arm/v7"], True),
        ("latest-arm-v7", ["linux/arm/v7"], True),
    ]
    assert len(result["images"]) == 2
    assert len(fake.writes) == (0 if dry_run else 4)


def test_the_only_platform(session: Session, fake: t.Any, app: Path) -> None:
    """It needs no name of its own."""
    result = push(session, several(item(app, split_platforms=True)), dry_run=False)
    assert [tag["tag"] for tag in result["tags"]] == ["1"]
    assert fake.writes == ["copy demo/app:1"]


def test_each_platform_and_one(session: Session, oci: Path) -> None:
    with pytest.raises(ZotError, match="platform and split_platforms are both set"):
        push(session, several(item(oci, split_platforms=True, platform="linux/amd64")), dry_run=False)


@pytest.mark.parametrize(
    ("platform", "message"),
    [
        (None, "has images for several platforms: linux/amd64, linux/arm/v7"),
        ("linux/s390x", "has no image for linux/s390x. It has linux/amd64, linux/arm/v7"),
    ],
)
def test_no_platform_of_an_oci_archive(
    session: Session, fake: t.Any, oci: Path, platform: str | None, message: str
) -> None:
    with pytest.raises(ZotError) as raised:
        push(session, single(oci, platform=platform), dry_run=False)
    assert raised.value.error_class == "platform_mismatch"
    assert message in raised.value.for_ansible()["msg"]
    assert fake.writes == []


def test_a_version_of_windows_need_not_be_requested(
    session: Session, fake: t.Any, tmp_path: Path, write_archive: t.Any, docker_config: t.Any
) -> None:
    windows = docker_config(os="windows", **{"os.version": "10.0.20348.2402"})
    path = write_archive(tmp_path / "windows.tar", windows)
    assert push(session, single(path, platform="windows/amd64"), dry_run=False)["changed"] is True
    assert fake.writes == ["copy demo/app:1"]


def replace_while_the_tag_is_read(monkeypatch: pytest.MonkeyPatch, app: Path, other: Path) -> None:
    """Replace an archive once, after it was read."""
    image = Registry.image

    def replaced(*arguments: t.Any) -> t.Any:
        if other.exists():
            other.replace(app)
        return image(*arguments)

    monkeypatch.setattr(Registry, "image", replaced)


def test_an_archive_that_is_replaced_by_another_platform(
    session: Session, fake: t.Any, app: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was read. skopeo reads the file that was open."""
    replace_while_the_tag_is_read(monkeypatch, app, other)
    result = push(session, {**single(app), "platform": "linux/amd64"}, dry_run=False)
    assert result["image"]["platforms"] == ["linux/amd64"]
    assert fake.writes == ["copy demo/app:1"]


def test_an_archive_that_is_replaced_before_it_is_opened_again(
    session: Session, fake: t.Any, app: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more archives than workers, each archive is opened to read it and to push it."""
    replace_while_the_tag_is_read(monkeypatch, app, other)
    first, second = item(app, "1", platform="linux/amd64"), item(app, "2", platform="linux/amd64")
    with pytest.raises(ZotError, match=r"was changed after it was read|is for linux/arm64"):
        push(session, several(first, second, parallel=1), dry_run=False)
    assert fake.writes == []


def test_another_image_than_the_one_that_was_read(
    session: Session, fake: t.Any, app: Path, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is compared with the archive, not only with what skopeo reports."""

    def copy(*_arguments: object) -> t.Any:
        return fake.put("demo/app", "1", docker_config(architecture="arm64"))

    monkeypatch.setattr(ArchivePusher, "push", copy)
    with pytest.raises(ZotError, match="which is not the image that was read from the archive") as raised:
        push(session, single(app), dry_run=False)
    assert raised.value.error_class == "archive_invalid"


@pytest.mark.parametrize(
    ("stderr", "error_class", "hint"),
    [
        ("writing blob: happened during read: gzip: invalid checksum", "archive_invalid", "a layer is damaged"),
        ("write /tmp/stream-blob1: file too large", "archive_invalid", "expands to more than 200 times"),
        ("write /tmp/stream-blob1: no space left on device", "tool_failed", "remote_tmp"),
        ("unexpected EOF", "archive_invalid", "a layer is damaged"),
    ],
)
def test_a_conversion_that_fails(
    session: Session, fake: t.Any, oci: Path, stderr: str, error_class: str, hint: str
) -> None:
    fake.fail_with("convert", "archive.tar", f'time="2026-11-25" level=fatal msg="{stderr}"')
    with pytest.raises(ZotError, match="cannot convert") as raised:
        push(session, single(oci, platform="linux/amd64"), dry_run=False)
    assert raised.value.error_class == error_class
    assert hint in raised.value.hint
    assert fake.writes == []
