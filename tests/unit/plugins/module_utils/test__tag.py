# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._tag import Moved
from ansible_collections.killinit.zot.plugins.module_utils._tag import move_tags as move

HOST = "127.0.0.1:5000"
NONE = f"sha256:{'0' * 64}"


def move_tags(registry: Registry, options: dict[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    return move(registry, options, Moved(), dry_run=dry_run)


def params(
    *tags: str, repository: str | None = "demo/app", source: str | None = "new", state: str = "present", **more: t.Any
) -> dict[str, t.Any]:
    image = {"repository": repository, "source": source, "tags": list(tags) or ["latest"], "keep_previous": None}
    return {**image, "images": None, "parallel": 4, "state": state, **more}


def many(*images: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """The parameters of the list form."""
    names = ("repository", "source", "tags", "keep_previous")
    listed = [{name: image[name] for name in names} for image in images]
    return {**dict.fromkeys(names), "images": listed, "parallel": 4, "state": "present", **more}


def undo(registry: Registry, moved: t.Sequence[dict[str, t.Any]]) -> None:
    """As the example of the module does."""
    for each in moved:
        state = "present" if each["from"] else "absent"
        options = params(each["tag"], repository=each["repository"], source=each["from"], state=state)
        move_tags(registry, options, dry_run=False)


@pytest.fixture(autouse=True)
def digests(fake: t.Any, docker_config: t.Any) -> dict[str, str]:
    """An image under a tag of its own, and the shared tags of another one."""
    for tag in ("new", "old"):
        fake.put("demo/app", tag, docker_config(author=tag))
    for tag in ("latest", "stable"):
        fake.tags["demo/app"][tag] = fake.tags["demo/app"]["old"]
    return dict(fake.tags["demo/app"])


def tags_of(fake: t.Any) -> dict[str, dict[str, str]]:
    return {repository: dict(tags) for repository, tags in fake.tags.items()}


def test_a_tag_moves(registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
    before = tags_of(fake)
    result = move_tags(registry, params("latest", "added"), dry_run=False)
    new, old = digests["new"], digests["old"]
    assert fake.tags["demo/app"] == {**digests, "latest": new, "added": new}
    assert result["moved"] == [
        {
            "reference": f"{HOST}/demo/app:{tag}",
            "repository": "demo/app",
            "tag": tag,
            "from": holds,
            "to": new,
        }
        for tag, holds in (("latest", old), ("added", None))
    ]
    assert result["diff"][0]["before"]["digest"] == old
    assert result["diff"][0]["after"]["digest"] == new
    assert (result["changed"], result["image"]["digest"]) == (True, new)
    undo(registry, result["moved"])
    assert tags_of(fake) == before


def test_an_equal_tag_is_not_written(registry: Registry, fake: t.Any) -> None:
    """An immutable registry would deny it."""
    move_tags(registry, params(), dry_run=False)
    fake.commands.clear()
    result = move_tags(registry, params("latest", "new"), dry_run=False)
    assert (result["changed"], result["moved"], result["diff"], fake.writes) == (False, [], [], [])


def test_a_digest_as_the_source(registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
    move_tags(registry, params(source=digests["new"]), dry_run=False)
    assert fake.tags["demo/app"]["latest"] == digests["new"]


def test_an_index(registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
    index = fake.put_index("demo/app", "multi", digests["new"])
    result = move_tags(registry, params(source="multi"), dry_run=False)
    assert fake.tags["demo/app"]["latest"] == index
    assert (result["image"]["platforms"], result["image"]["size"]) == (["linux/amd64"], None)


def test_a_dry_run(registry: Registry, fake: t.Any) -> None:
    options = params("latest", "added", keep_previous="{tag}-previous")
    before = tags_of(fake)
    planned = move_tags(registry, options, dry_run=True)
    assert (fake.writes, tags_of(fake)) == ([], before)
    done = move_tags(registry, options, dry_run=False)
    assert planned == done


class TestAbsent:
    """A tag is removed, and no other one."""

    def test_a_tag(self, registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
        before = tags_of(fake)
        options = params("latest", source=None, state="absent")
        planned = move_tags(registry, options, dry_run=True)
        assert tags_of(fake) == before
        result = move_tags(registry, options, dry_run=False)
        assert planned == result
        assert fake.tags["demo/app"] == {tag: digests[tag] for tag in ("new", "old", "stable")}
        assert fake.writes == ["delete demo/app:latest"]
        assert [(each["from"], each["to"]) for each in result["moved"]] == [(digests["old"], None)]
        assert result["diff"][0]["after"]["digest"] is None
        assert (result["tags"][0]["changed"], result["image"]["exists"]) == (True, False)
        assert move_tags(registry, options, dry_run=False)["changed"] is False
        undo(registry, result["moved"])
        assert tags_of(fake) == before

    @pytest.mark.parametrize("repository", ["demo/app", "demo/none"])
    def test_a_tag_that_is_absent(self, registry: Registry, fake: t.Any, repository: str) -> None:
        """Zot removes a repository soon after its last tag, and a second run must write nothing."""
        options = params("absent", repository=repository, source=None, state="absent")
        assert move_tags(registry, options, dry_run=False)["changed"] is False
        assert fake.writes == []

    @pytest.mark.parametrize("state", ["present", "absent"])
    def test_a_digest(self, registry: Registry, fake: t.Any, digests: dict[str, str], state: str) -> None:
        options = params(digests["old"], source="new" if state == "present" else None, state=state)
        with pytest.raises(ZotError, match="is a digest, not a tag") as raised:
            move_tags(registry, options, dry_run=False)
        assert (raised.value.error_class, fake.commands) == ("invalid_option", [])

    def test_denied(self, registry: Registry, fake: t.Any) -> None:
        fake.fail("delete", "demo/app:latest", "immutable-tag")
        options = params("latest", "stable", source=None, state="absent")
        with pytest.raises(ZotError, match="cannot remove the tag") as raised:
            move_tags(registry, options, dry_run=False)
        assert (raised.value.error_class, raised.value.result["moved"]) == ("denied", [])
        assert fake.writes == ["delete demo/app:latest"]


class TestKeepPrevious:
    """The image that a tag holds before it moves gets the tag of the template."""

    def test_kept(self, registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
        del fake.tags["demo/app"]["old"], fake.tags["demo/app"]["stable"]
        before = tags_of(fake)
        result = move_tags(registry, params("latest", "added", keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["latest-previous"] == digests["old"]
        assert "added-previous" not in fake.tags["demo/app"]
        assert [tag["previous_tag"] for tag in result["tags"]] == [f"{HOST}/demo/app:latest-previous", None]
        assert [each["tag"] for each in result["moved"]] == ["latest", "added", "latest-previous"]
        undo(registry, result["moved"])
        assert tags_of(fake) == before

    def test_a_keeper_that_holds_the_image(self, registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
        fake.tags["demo/app"]["latest-previous"] = digests["old"]
        result = move_tags(registry, params(keep_previous="{tag}-previous"), dry_run=False)
        assert fake.writes == [f"tag demo/app@{digests['new']} latest"]
        assert [each["tag"] for each in result["moved"]] == ["latest"]
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:latest-previous"

    @pytest.mark.parametrize(
        ("keep_previous", "message"),
        [
            pytest.param("{tag}", "also a tag to write", id="itself"),
            pytest.param("new", "also a tag to write or to read", id="the source"),
            pytest.param("previous", "use {tag} in keep_previous", id="one keeper of two tags"),
            pytest.param("{tag}/x", "not a valid tag", id="no tag"),
        ],
    )
    def test_a_keeper_that_cannot_be(self, registry: Registry, fake: t.Any, keep_previous: str, message: str) -> None:
        with pytest.raises(ZotError, match=message) as raised:
            move_tags(registry, params("latest", "stable", keep_previous=keep_previous), dry_run=False)
        assert (raised.value.error_class, fake.commands) == ("invalid_option", [])

    def test_a_keeper_that_is_the_only_tag_of_the_source(
        self, registry: Registry, fake: t.Any, digests: dict[str, str], docker_config: t.Any
    ) -> None:
        """Zot would delete the source when the keeper moves."""
        kept = fake.put("demo/app", "latest-previous", docker_config(author="kept"))
        with pytest.raises(ZotError, match=r"latest-previous holds the source .*overwrite that tag") as raised:
            move_tags(registry, params(source=kept, keep_previous="{tag}-previous"), dry_run=False)
        assert (raised.value.error_class, fake.writes) == ("invalid_option", [])
        # Under a tag of its own it stays.
        fake.tags["demo/app"]["r1"] = kept
        move_tags(registry, params(source="r1", keep_previous="{tag}-previous"), dry_run=False)
        assert fake.tags["demo/app"]["latest"] == kept
        assert fake.tags["demo/app"]["latest-previous"] == digests["old"]

    def test_the_keeper_cannot_be_written(self, registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
        fake.fail("tag", "demo/app:latest-previous", "immutable-tag")
        with pytest.raises(ZotError) as raised:
            move_tags(registry, params(keep_previous="{tag}-previous"), dry_run=False)
        assert (raised.value.error_class, raised.value.result["moved"]) == ("denied", [])
        assert fake.tags["demo/app"] == digests


class TestSeveral:
    """The list form."""

    @pytest.fixture
    def names(self, fake: t.Any, docker_config: t.Any) -> list[str]:
        names = ["demo/a", "demo/b", "demo/c"]
        for name in names:
            for tag in ("latest", "new"):
                fake.put(name, tag, docker_config(author=f"{name} {tag}"))
            fake.tags[name]["old"] = fake.tags[name]["latest"]
        return names

    def test_one_is_denied(self, registry: Registry, fake: t.Any, names: list[str]) -> None:
        """The error lists what moved, and that undoes it."""
        before = tags_of(fake)
        fake.fail("tag", "demo/b:latest", "immutable-tag", times=9)
        options = many(*(params(repository=name) for name in names))
        with pytest.raises(ZotError, match=r"^2 of 3 tags are in place, 1 failed: ") as raised:
            move_tags(registry, options, dry_run=False)
        result = raised.value.for_ansible()
        assert (result["error_class"], result["changed"]) == ("denied", True)
        assert [each["repository"] for each in result["moved"]] == ["demo/a", "demo/c"]
        assert f"moved: {HOST}/demo/a:latest, {HOST}/demo/c:latest" in result["msg"]
        assert [tag["changed"] for tag in result["tags"]] == [True, False, True]
        undo(registry, result["moved"])
        assert tags_of(fake) == before

    def test_a_source_is_absent(self, registry: Registry, fake: t.Any, names: list[str]) -> None:
        """All sources are read first: nothing is written."""
        del fake.tags["demo/c"]["new"]
        images = [*(params(repository=name) for name in names), params(repository="demo/none", source=NONE)]
        with pytest.raises(ZotError, match=r"do not exist: .*demo/c:new, .*demo/none@sha256:0+$") as raised:
            move_tags(registry, many(*images), dry_run=False)
        assert (raised.value.error_class, fake.writes) == ("not_found", [])
        assert "The most similar are" in raised.value.hint

    def test_an_error_while_reading(self, registry: Registry, fake: t.Any, names: list[str]) -> None:
        fake.fail("manifest", "demo/c:latest", "status-503", times=99, tool="crane 0.22.1")
        with pytest.raises(ZotError) as raised:
            move_tags(registry, many(*(params(repository=name) for name in names)), dry_run=False)
        assert (raised.value.error_class, fake.writes) == ("unavailable", [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(params(tags=[]), "tags is empty for demo/app", id="no tag"),
        pytest.param(params(tags=["a/b"]), "not a valid tag", id="a reference"),
        pytest.param(params(source=None), "source is missing for demo/app", id="no source"),
        pytest.param(params(source=""), "source is missing for demo/app", id="an empty source"),
        pytest.param(params(source="sha256:abc"), "not a valid tag", id="half a digest"),
        pytest.param(params(state="absent"), "source of demo/app cannot be used with state absent", id="a source"),
        pytest.param(
            params(source=None, state="absent", keep_previous="{tag}-x"), "keep_previous of demo/app", id="a keeper"
        ),
        pytest.param(params(repository="Demo"), "not a valid repository", id="a capital"),
        pytest.param(many(), "images is empty", id="no image"),
        pytest.param(many(params(), params(source="old")), "is a tag of two images", id="a tag twice"),
        pytest.param(
            many(params(source="stable"), params("stable")), "both a source and a tag of another", id="a source moves"
        ),
        pytest.param(many(params(), parallel=0), "parallel is 0, but must be at least 1", id="none at a time"),
    ],
)
def test_options_that_cannot_be_used(registry: Registry, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        move_tags(registry, options, dry_run=False)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


def test_a_source_that_only_a_moving_tag_holds(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    """By digest: the other image of the list would overwrite its only tag."""
    only = fake.put("demo/app", "canary", docker_config(author="canary"))
    with pytest.raises(ZotError, match="canary holds the source") as raised:
        move_tags(registry, many(params(source=only), params("canary")), dry_run=False)
    assert (raised.value.error_class, fake.writes) == ("invalid_option", [])


def test_a_write_that_dropped_the_tag(registry: Registry, fake: t.Any, digests: dict[str, str]) -> None:
    """Zot can remove a tag and answer 500. The tag is listed, so that it can be moved back."""
    fake.fail("tag", "demo/app:latest", "status-500", drops=True, times=9, tool="crane 0.22.1")
    with pytest.raises(ZotError, match="now holds nothing") as raised:
        move_tags(registry, params(), dry_run=False)
    fake.faults.clear()
    undo(registry, raised.value.result["moved"])
    assert fake.tags["demo/app"] == digests


def test_somebody_else_writes_the_tag_at_the_same_time(
    registry: Registry, fake: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fake._do_tag

    def tag(reference: str, name: str) -> bytes:
        output: bytes = real(reference, name)
        fake.put("demo/app", "latest", salt="somebody else")
        return output

    monkeypatch.setattr(fake, "_do_tag", tag)
    with pytest.raises(ZotError, match="which was written") as raised:
        move_tags(registry, params(), dry_run=False)
    assert [each["tag"] for each in raised.value.result["moved"]] == ["latest"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": 5349}, "tags is the number 5349, not text: quote it"),
        ({"tags": ["1", True]}, r"tags\[1\] is the boolean True, not text: quote it"),
        ({"source": 5349}, r"source is the number 5349, not text: quote it"),
    ],
)
def test_tags_are_text(registry: Registry, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        move_tags(registry, {**params(), **options}, dry_run=False)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])
