# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._tag.run import run

HOST = "127.0.0.1:5000"
NONE = f"sha256:{'0' * 64}"
KEEP = "{tag}-previous"

Tag = t.Callable[..., "dict[str, t.Any]"]


def image(*tags: str, **more: t.Any) -> dict[str, t.Any]:
    """The options of one image: by default latest moves to the image of the tag new."""
    options = {"repository": "demo/app", "source": "new", "tags": list(tags) or ["latest"], "keep_previous": None}
    return {**options, **more}


@pytest.fixture
def tag(registry: Registry) -> Tag:
    """Run the task for one image, or with *images* for several."""

    def tag(*tags: str, dry_run: bool = False, **more: t.Any) -> dict[str, t.Any]:
        params = {"images": None, "parallel": 4, "state": "present", **image(*tags, **more)}
        return run(registry, params, [], dry_run=dry_run)

    return tag


def undo(tag: Tag, moved: t.Sequence[dict[str, t.Any]]) -> None:
    """As the example of the module does."""
    for each in moved:
        state = "present" if each["from"] else "absent"
        tag(each["tag"], repository=each["repository"], source=each["from"], state=state)


@pytest.fixture(autouse=True)
def digests(fake: t.Any, docker_config: t.Any) -> dict[str, str]:
    """An image under a tag of its own, and the shared tags of another one."""
    for name in ("new", "old"):
        fake.put("demo/app", name, docker_config(author=name))
    for name in ("latest", "stable"):
        fake.tags["demo/app"][name] = fake.tags["demo/app"]["old"]
    return dict(fake.tags["demo/app"])


def tags_of(fake: t.Any) -> dict[str, dict[str, str]]:
    return {repository: dict(tags) for repository, tags in fake.tags.items()}


def test_a_tag_moves(tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
    before = tags_of(fake)
    planned = tag("latest", "added", keep_previous=KEEP, dry_run=True)
    assert (fake.writes, tags_of(fake)) == ([], before)
    result = tag("latest", "added", keep_previous=KEEP)
    assert planned == result
    new, old = digests["new"], digests["old"]
    assert fake.tags["demo/app"] == {**digests, "latest": new, "added": new, "latest-previous": old}
    assert result["moved"] == [
        {"reference": f"{HOST}/demo/app:{name}", "repository": "demo/app", "tag": name, "from": holds, "to": moved}
        for name, holds, moved in (("latest", old, new), ("added", None, new), ("latest-previous", None, old))
    ]
    assert [each["previous_tag"] for each in result["tags"]] == [f"{HOST}/demo/app:latest-previous", None]
    assert [result["diff"][0][name]["digest"] for name in ("before", "after")] == [old, new]
    assert (result["changed"], result["image"]["digest"]) == (True, new)
    undo(tag, result["moved"])
    assert tags_of(fake) == before


def test_an_equal_tag_is_not_written(tag: Tag, fake: t.Any) -> None:
    """An immutable registry would deny it."""
    tag()
    fake.commands.clear()
    result = tag("latest", "new")
    assert (result["changed"], result["moved"], result["diff"], fake.writes) == (False, [], [], [])


def test_a_digest_as_the_source(tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
    tag(source=digests["new"])
    assert fake.tags["demo/app"]["latest"] == digests["new"]


def test_an_index(tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
    index = fake.put_index("demo/app", "multi", digests["new"])
    result = tag(source="multi")
    assert fake.tags["demo/app"]["latest"] == index
    assert (result["image"]["platforms"], result["image"]["size"]) == (["linux/amd64"], None)


def test_an_index_that_lost_a_member(tag: Tag, fake: t.Any, digests: dict[str, str], docker_config: t.Any) -> None:
    """Nothing is written, whatever else the task has to do."""
    lost = fake.put("demo/app", None, docker_config(architecture="arm64"))
    fake.put_index("demo/app", "multi", digests["new"], lost)
    del fake.manifests["demo/app"][lost]
    images = [image("added"), image(source="multi")]
    with pytest.raises(ZotError, match=rf"multi is not whole: .* linux/arm64 {lost}") as raised:
        tag(images=images)
    assert (raised.value.error_class, fake.writes) == ("not_found", [])
    assert "Publish the same archives again" in raised.value.hint


@pytest.mark.parametrize("state", ["present", "absent"])
def test_another_client_moves_the_tag_meanwhile(tag: Tag, fake: t.Any, docker_config: t.Any, state: str) -> None:
    """Its image is not lost."""
    other = fake.put("demo/app", "other", docker_config(author="other"))
    run_command = fake.run

    def meanwhile(command: t.Sequence[str], *more: t.Any) -> t.Any:
        result = run_command(command, *more)
        if command[1:] == ["manifest", f"{HOST}/demo/app:latest"]:
            fake.tags["demo/app"]["latest"] = other
        return result

    fake.run = meanwhile
    with pytest.raises(ZotError, match="at the start of the task") as raised:
        tag(state=state, source="new" if state == "present" else None)
    assert (fake.tags["demo/app"]["latest"], fake.writes, raised.value.result["moved"]) == (other, [], [])


class TestAbsent:
    """A tag is removed, and no other one."""

    def test_a_mirror_that_brings_the_tag_back(self, tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
        """As on-demand sync of Zot does with the next read. Otherwise each run would be changed."""
        run_command = fake.run

        def sync(command: t.Sequence[str], *more: t.Any) -> t.Any:
            fake.tags["demo/app"].setdefault("latest", digests["old"])
            return run_command(command, *more)

        fake.run = sync
        with pytest.raises(ZotError, match="the registry has it again") as raised:
            tag(state="absent", source=None)
        assert (raised.value.result["changed"], "source" in raised.value.hint) == (False, True)

    def test_a_tag(self, tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
        before = tags_of(fake)
        planned = tag(source=None, state="absent", dry_run=True)
        assert tags_of(fake) == before
        result = tag(source=None, state="absent")
        assert planned == result
        assert fake.tags["demo/app"] == {name: digests[name] for name in ("new", "old", "stable")}
        assert [(each["from"], each["to"]) for each in result["moved"]] == [(digests["old"], None)]
        assert result["diff"][0]["after"]["digest"] is None
        assert (result["tags"][0]["changed"], result["image"]["exists"]) == (True, False)
        assert tag(source=None, state="absent")["changed"] is False
        undo(tag, result["moved"])
        assert tags_of(fake) == before

    @pytest.mark.parametrize("repository", ["demo/app", "demo/none"])
    def test_a_tag_that_is_absent(self, tag: Tag, fake: t.Any, repository: str) -> None:
        """Zot removes a repository soon after its last tag, and a second run must write nothing."""
        assert tag("absent", repository=repository, source=None, state="absent")["changed"] is False
        assert fake.writes == []

    @pytest.mark.parametrize("state", ["present", "absent"])
    def test_a_digest(self, tag: Tag, fake: t.Any, digests: dict[str, str], state: str) -> None:
        with pytest.raises(ZotError, match="is a digest, not a tag") as raised:
            tag(digests["old"], source="new" if state == "present" else None, state=state)
        assert (raised.value.error_class, fake.commands) == ("invalid_option", [])

    def test_denied(self, tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
        """The other tag stays, too."""
        fake.fail("delete", "demo/app:latest", "immutable-tag")
        with pytest.raises(ZotError, match="cannot remove the tag") as raised:
            tag("latest", "stable", source=None, state="absent")
        assert (raised.value.error_class, raised.value.result["moved"]) == ("denied", [])
        assert "the action delete" in raised.value.hint
        assert fake.tags["demo/app"] == digests


class TestKeepPrevious:
    """The image that a tag holds before it moves gets the tag of the template."""

    def test_the_only_tag_of_the_previous_image(self, tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
        del fake.tags["demo/app"]["old"], fake.tags["demo/app"]["stable"]
        tag(keep_previous=KEEP)
        assert fake.tags["demo/app"]["latest-previous"] == digests["old"]
        assert digests["old"] in fake.manifests["demo/app"]

    def test_a_keeper_that_holds_the_image(self, tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
        """An immutable registry would deny to write it again."""
        fake.tags["demo/app"]["latest-previous"] = digests["old"]
        fake.fail("tag", "demo/app:latest-previous", "immutable-tag", times=9)
        result = tag(keep_previous=KEEP)
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
    def test_a_keeper_that_cannot_be(self, tag: Tag, fake: t.Any, keep_previous: str, message: str) -> None:
        with pytest.raises(ZotError, match=message) as raised:
            tag("latest", "stable", keep_previous=keep_previous)
        assert (raised.value.error_class, fake.commands) == ("invalid_option", [])

    def test_a_keeper_that_is_the_only_tag_of_the_source(
        self, tag: Tag, fake: t.Any, digests: dict[str, str], docker_config: t.Any
    ) -> None:
        """Zot would delete the source when the keeper moves."""
        kept = fake.put("demo/app", "latest-previous", docker_config(author="kept"))
        with pytest.raises(ZotError, match=r"latest-previous holds the source .*overwrite that tag") as raised:
            tag(source=kept, keep_previous=KEEP)
        assert (raised.value.error_class, fake.writes) == ("invalid_option", [])
        # Under a tag of its own it stays.
        fake.tags["demo/app"]["r1"] = kept
        tag(source="r1", keep_previous=KEEP)
        assert fake.tags["demo/app"]["latest"] == kept
        assert fake.tags["demo/app"]["latest-previous"] == digests["old"]

    def test_the_keeper_cannot_be_written(self, tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
        fake.fail("tag", "demo/app:latest-previous", "immutable-tag")
        with pytest.raises(ZotError) as raised:
            tag(keep_previous=KEEP)
        assert (raised.value.error_class, raised.value.result["moved"]) == ("denied", [])
        assert fake.tags["demo/app"] == digests


class TestSeveral:
    """The list form."""

    @pytest.fixture
    def images(self, fake: t.Any, docker_config: t.Any) -> list[dict[str, t.Any]]:
        names = ["demo/a", "demo/b", "demo/c"]
        for name in names:
            for each in ("latest", "new"):
                fake.put(name, each, docker_config(author=f"{name} {each}"))
            fake.tags[name]["old"] = fake.tags[name]["latest"]
        return [image(repository=name) for name in names]

    def test_one_is_denied(self, tag: Tag, fake: t.Any, images: list[dict[str, t.Any]]) -> None:
        """The error lists what moved, and that undoes it."""
        before = tags_of(fake)
        fake.fail("tag", "demo/b:latest", "immutable-tag", times=9)
        with pytest.raises(ZotError, match=r"^2 of 3 tags are in place, 1 failed: ") as raised:
            tag(images=images)
        result = raised.value.for_ansible()
        assert (result["error_class"], result["changed"]) == ("denied", True)
        assert [each["repository"] for each in result["moved"]] == ["demo/a", "demo/c"]
        assert f"moved: {HOST}/demo/a:latest, {HOST}/demo/c:latest" in result["msg"]
        assert [each["changed"] for each in result["tags"]] == [True, False, True]
        undo(tag, result["moved"])
        assert tags_of(fake) == before

    def test_a_source_is_absent(self, tag: Tag, fake: t.Any, images: list[dict[str, t.Any]]) -> None:
        """All sources are read first: nothing is written."""
        del fake.tags["demo/c"]["new"]
        with pytest.raises(ZotError, match=r"do not exist: .*demo/c:new, .*demo/none@sha256:0+$") as raised:
            tag(images=[*images, image(repository="demo/none", source=NONE)])
        assert (raised.value.error_class, fake.writes) == ("not_found", [])
        assert "The most similar are" in raised.value.hint
        assert "Nothing was written" in raised.value.hint

    def test_an_error_while_reading(self, tag: Tag, fake: t.Any, images: list[dict[str, t.Any]]) -> None:
        fake.fail("manifest", "demo/c:latest", "status-503", times=99, tool="crane 0.22.1")
        with pytest.raises(ZotError) as raised:
            tag(images=images)
        assert (raised.value.error_class, fake.writes) == ("unavailable", [])

    def test_a_source_that_only_a_moving_tag_holds(self, tag: Tag, fake: t.Any, docker_config: t.Any) -> None:
        """By digest: the other image of the list would overwrite its only tag."""
        only = fake.put("demo/app", "canary", docker_config(author="canary"))
        with pytest.raises(ZotError, match="canary holds the source") as raised:
            tag(images=[image(source=only), image("canary")])
        assert (raised.value.error_class, fake.writes) == ("invalid_option", [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"tags": []}, "tags is empty for demo/app", id="no tag"),
        pytest.param({"tags": ["a/b"]}, "not a valid tag", id="a reference"),
        pytest.param({"source": None}, "source is missing for demo/app", id="no source"),
        pytest.param({"source": ""}, "source is missing for demo/app", id="an empty source"),
        pytest.param({"source": "sha256:abc"}, "not a valid tag", id="half a digest"),
        pytest.param({"state": "absent"}, "source of demo/app cannot be used with state absent", id="a source"),
        pytest.param(
            {"source": None, "state": "absent", "keep_previous": KEEP}, "keep_previous of demo/app", id="a keeper"
        ),
        pytest.param({"repository": "Demo"}, "not a valid repository", id="a capital"),
        pytest.param({"images": []}, "images is empty", id="no image"),
        pytest.param({"images": [image(), image(source="old")]}, "is a tag of two images", id="a tag twice"),
        pytest.param(
            {"images": [image(source="stable"), image("stable")]}, "both a source and a tag of another", id="it moves"
        ),
        pytest.param({"parallel": 0}, "parallel is 0, but must be at least 1", id="none at a time"),
        pytest.param({"tags": 5349}, "tags is the number 5349, not text: quote it", id="a number"),
        pytest.param({"tags": ["1", True]}, r"tags\[1\] is the boolean True, not text: quote it", id="a boolean"),
        pytest.param({"source": 5349}, "source is the number 5349, not text: quote it", id="a number as the source"),
    ],
)
def test_options_that_cannot_be_used(tag: Tag, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        tag(**options)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


def test_a_write_that_dropped_the_tag(tag: Tag, fake: t.Any, digests: dict[str, str]) -> None:
    """Zot can remove a tag and answer 500. The tag is listed, so that it can be moved back."""
    fake.fail("tag", "demo/app:latest", "status-500", drops=True, times=9, tool="crane 0.22.1")
    with pytest.raises(ZotError, match="now holds nothing") as raised:
        tag()
    fake.faults.clear()
    undo(tag, raised.value.result["moved"])
    assert fake.tags["demo/app"] == digests


def test_somebody_else_writes_the_tag_at_the_same_time(tag: Tag, fake: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake._do_tag

    def write(reference: str, name: str) -> bytes:
        output: bytes = real(reference, name)
        fake.put("demo/app", "latest", salt="somebody else")
        return output

    monkeypatch.setattr(fake, "_do_tag", write)
    with pytest.raises(ZotError, match="which was written") as raised:
        tag()
    assert [each["tag"] for each in raised.value.result["moved"]] == ["latest"]
