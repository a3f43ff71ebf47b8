# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._index import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry

HOST = "127.0.0.1:5000"
ATTESTATION = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:" + "e" * 64,
    "size": 5,
    "platform": {"architecture": "unknown", "os": "unknown"},
}


KEEP = "{tag}-previous"
PLATFORMS = ["linux/amd64", "linux/arm64"]

Write = t.Callable[..., "dict[str, t.Any]"]


def index(*manifests: str, **more: t.Any) -> dict[str, t.Any]:
    """The options of one index, by default of two platforms under the tag 1."""
    members = list(manifests) or ["1-amd64", "1-arm64"]
    optional = dict.fromkeys(("platforms", "overwrite", "keep_previous"))
    return {"repository": "demo/app", "tags": ["1"], "manifests": members, **optional, **more}


@pytest.fixture
def write(registry: Registry) -> Write:
    """Run the task for one index, or with *images* for several. Without a list of *warnings* there must be none."""

    def write(
        *manifests: str, dry_run: bool = False, warnings: list[str] | None = None, **more: t.Any
    ) -> dict[str, t.Any]:
        found: list[str] = []
        params = {"images": None, "parallel": 4, **index(*manifests, **more)}
        try:
            return run(registry, params, dry_run=dry_run, warn=found.append)
        finally:
            if warnings is None:
                assert found == []
            else:
                warnings += found

    return write


@pytest.fixture(autouse=True)
def members(fake: t.Any, docker_config: t.Any) -> dict[str, str]:
    """The digest of each tag that is there."""
    for tag, changes in {
        "1-amd64": {},
        "1-arm64": {"architecture": "arm64"},
        "1-arm-v7": {"architecture": "arm", "variant": "v7"},
    }.items():
        fake.put("demo/app", tag, docker_config(**changes))
    return dict(fake.tags["demo/app"])


def entries(fake: t.Any, tag: str) -> list[str]:
    raw = fake.manifests["demo/app"][fake.tags["demo/app"][tag]]
    return [entry["digest"] for entry in json.loads(raw)["manifests"]]


@pytest.mark.parametrize("manifests", [["1-amd64", "1-arm64"], ["1-arm64", "1-amd64"]], ids=["sorted", "unsorted"])
def test_a_new_index(write: Write, fake: t.Any, members: dict[str, str], manifests: list[str]) -> None:
    result = write(*manifests)
    assert entries(fake, "1") == [members["1-amd64"], members["1-arm64"]]
    assert (result["changed"], result["image"]["platforms"]) == (True, PLATFORMS)
    assert result["image"]["size"] > 2000
    assert result["manifests"] == [
        {"platform": "linux/amd64", "digest": members["1-amd64"]},
        {"platform": "linux/arm64", "digest": members["1-arm64"]},
    ]


def test_a_member_that_moves_after_it_was_read(
    write: Write, fake: t.Any, members: dict[str, str], docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index has the image that was checked."""
    fake.tags["demo/app"]["also"] = members["1-arm64"]
    real = fake._do_append

    def append(*arguments: str) -> bytes:
        fake.put("demo/app", "1-arm64", docker_config(architecture="s390x"))
        return real(*arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr(fake, "_do_append", append)
    write()
    assert entries(fake, "1") == [members["1-amd64"], members["1-arm64"]]


def test_members_by_digest(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    write(members["1-amd64"], "1-arm64")
    assert entries(fake, "1") == [members["1-amd64"], members["1-arm64"]]


@pytest.mark.parametrize("again", [["1-amd64", "1-arm64"], ["1-arm64", "1-amd64"]], ids=["the same", "another order"])
def test_the_same_index_is_not_written(write: Write, fake: t.Any, again: list[str]) -> None:
    write()
    before = list(fake.writes)
    assert write(*again)["changed"] is False
    assert fake.writes == before


def test_an_index_of_another_crane_is_the_same(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    fake.newer_crane = False
    fake.put_index("demo/app", "1", members["1-arm64"], members["1-amd64"])
    fake.newer_crane = True
    assert write()["changed"] is False


def test_an_index_with_an_attestation_more_is_the_same(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    fake.put_index("demo/app", "1", members["1-amd64"], members["1-arm64"], more=[ATTESTATION])
    assert write()["changed"] is False


def test_a_member_that_moved(write: Write, fake: t.Any, docker_config: t.Any) -> None:
    write()
    digest = fake.put("demo/app", "1-arm64", docker_config(architecture="arm64", author="new"))
    assert write()["changed"] is True
    assert digest in entries(fake, "1")


def test_a_platform_more(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    write()
    write("1-amd64", "1-arm-v7", "1-arm64")
    assert sorted(entries(fake, "1")) == sorted(members.values())


def test_the_second_tag_gets_the_digest_of_the_first(write: Write, fake: t.Any) -> None:
    write(tags=["1", "latest"])
    assert fake.tags["demo/app"]["latest"] == fake.tags["demo/app"]["1"]


@pytest.mark.parametrize(("there", "absent"), [("1", "latest"), ("latest", "1")])
def test_only_one_of_two_tags_holds_it(write: Write, fake: t.Any, there: str, absent: str) -> None:
    """An immutable registry would deny to write the first one again."""
    write(tags=[there])
    for verb in ("append", "tag"):
        fake.fail(verb, f"demo/app:{there}", "immutable-tag", tool="crane 0.22.1", times=9)
    result = write(tags=["1", "latest"])
    assert fake.tags["demo/app"]["latest"] == fake.tags["demo/app"]["1"]
    assert {tag["tag"]: tag["changed"] for tag in result["tags"]} == {there: False, absent: True}


def test_a_tag_that_holds_an_image_becomes_the_index(write: Write, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    assert write()["changed"] is True


def test_an_index_among_the_members(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    """Its entries are taken; an attestation of it is kept, and not counted."""
    fake.put_index("demo/app", "child", members["1-amd64"], members["1-arm64"], more=[ATTESTATION])
    result = write("child", "1-arm-v7")
    assert sorted(entries(fake, "1")) == sorted([*members.values(), ATTESTATION["digest"]])
    assert [each["platform"] for each in result["manifests"]] == ["linux/amd64", "linux/arm/v7", "linux/arm64"]
    assert write("child", "1-arm-v7")["changed"] is False


def test_a_missing_member(write: Write, fake: t.Any) -> None:
    with pytest.raises(
        ZotError, match=r"^cannot write the index: .*demo/app:1-amd46, .*demo/app:x do not exist; nothing was written$"
    ) as raised:
        write("1-amd46", "x", "1-arm64")
    assert raised.value.error_class == "not_found"
    assert "The most similar are 1-amd64" in raised.value.hint
    assert fake.writes == []


def test_a_member_that_lists_what_is_no_digest(write: Write, fake: t.Any) -> None:
    """It is the registry's fault, and that of no option."""
    entry = {**ATTESTATION, "digest": "../../x", "platform": {"os": "linux", "architecture": "s390x"}}
    fake.put_index("demo/app", "child", more=[entry])
    with pytest.raises(ZotError, match="response of the registry is invalid") as raised:
        write("child")
    assert (raised.value.error_class, fake.writes) == ("tool_failed", [])


def test_a_missing_child_of_a_member(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    fake.put_index("demo/app", "child", members["1-amd64"])
    del fake.manifests["demo/app"][members["1-amd64"]], fake.tags["demo/app"]["1-amd64"]
    with pytest.raises(ZotError, match="does not exist") as raised:
        write("child")
    assert raised.value.error_class == "not_found"


def test_a_platform_that_comes_twice(write: Write, fake: t.Any, docker_config: t.Any) -> None:
    fake.put("demo/app", "2-arm64", docker_config(architecture="arm64", variant="v8", author="other"))
    with pytest.raises(ZotError, match=r"demo/app:1-arm64 and .*demo/app:2-arm64 are both for linux/arm64") as raised:
        write("1-amd64", "1-arm64", "2-arm64")
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


def test_a_member_that_is_named_twice_is_one(write: Write, fake: t.Any, members: dict[str, str]) -> None:
    write("1-amd64", "1-amd64")
    assert entries(fake, "1") == [members["1-amd64"]]


def test_one_manifest_under_two_names(write: Write, members: dict[str, str]) -> None:
    with pytest.raises(ZotError, match="are both for linux/amd64"):
        write("1-amd64", members["1-amd64"])


def test_a_member_without_a_platform(write: Write, fake: t.Any, docker_config: t.Any) -> None:
    fake.put("demo/app", "bare", docker_config(os=None, architecture=None))
    with pytest.raises(ZotError, match="demo/app:bare has no platform") as raised:
        write("1-amd64", "bare")
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


@pytest.mark.parametrize(
    "platforms",
    [["linux/amd64", "linux/arm64"], ["linux/arm64/v8", "linux/amd64"], None, []],
    ids=["both", "another word", "none", "empty"],
)
def test_the_platforms_fit(write: Write, platforms: list[str] | None) -> None:
    assert write(platforms=platforms)["changed"] is True


@pytest.mark.parametrize(
    "platforms", [["linux/amd64"], ["linux/amd64", "linux/arm64", "linux/arm/v7"], ["linux/amd64", "linux/s390x"]]
)
def test_the_platforms_do_not_fit(write: Write, fake: t.Any, platforms: list[str]) -> None:
    with pytest.raises(ZotError, match="would be for linux/amd64, linux/arm64, not for linux/") as raised:
        write(platforms=platforms)
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


def test_two_versions_of_windows(write: Write, fake: t.Any, docker_config: t.Any) -> None:
    """The same printed platform, but two images: no duplicate."""
    for tag in ("10.1", "10.2"):
        fake.put("demo/app", tag, docker_config(os="windows", **{"os.version": tag}))
    fake_entry = fake._entry

    def entry(repository: str, digest: str) -> t.Any:
        found = fake_entry(repository, digest)
        config = json.loads(fake.manifests[repository][digest])["config"]["digest"]
        found["platform"]["os.version"] = json.loads(fake.blobs[config])["os.version"]
        return found

    fake._entry = entry
    assert write("10.1", "10.2")["changed"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"tags": []}, "tags is empty", id="no tag"),
        pytest.param({"manifests": []}, "manifests is empty", id="no manifest"),
        pytest.param({"manifests": ["a/b"]}, "not a valid tag", id="a reference"),
        pytest.param({"manifests": ["sha256:abc"]}, "not a valid tag", id="half a digest"),
        pytest.param({"platforms": ["amd64"]}, "is not a platform", id="half a platform"),
        pytest.param({"tags": ["1-amd64"]}, "both a tag to write and a member of an index", id="itself"),
        pytest.param({"repository": "Demo"}, "not a valid repository", id="a capital"),
        pytest.param({"keep_previous": "{tag}/x"}, "not a valid tag", id="a keeper that is no tag"),
        pytest.param({"keep_previous": "{tag}"}, "also a tag to write", id="a keeper that is written"),
        pytest.param({"keep_previous": "{tag}-arm64"}, "also a tag to write or to read", id="a keeper that is listed"),
        pytest.param(
            {"tags": ["1", "2"], "keep_previous": "old"}, "use {tag} in keep_previous", id="one keeper of two"
        ),
        pytest.param({"images": [index(), index("1-amd64")]}, "1 is a tag of two indexes", id="a tag twice"),
        pytest.param({"images": [index(tags=["x"]), index("x")]}, "demo/app:x is both a tag", id="a member moves"),
        pytest.param({"parallel": 0}, "parallel is 0, but must be at least 1", id="none at a time"),
        pytest.param({"tags": [5349]}, r"tags\[0\] is the number 5349, not text: quote it", id="a number"),
        pytest.param({"manifests": [5349]}, r"manifests\[0\] is the number 5349", id="a number as a member"),
    ],
)
def test_options_that_cannot_be_used(write: Write, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        write(**options)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


@pytest.mark.parametrize("verb", ["manifest", "blob"])
def test_a_read_error_does_not_mean_absence(write: Write, fake: t.Any, verb: str) -> None:
    fake.fail(verb, "", "bad-password", times=99)
    with pytest.raises(ZotError) as raised:
        write()
    assert raised.value.error_class == "unauthorized"
    assert fake.writes == []


def test_the_answer_of_the_write_is_lost(write: Write, fake: t.Any) -> None:
    fake.fail("append", "demo/app:1", "answer-cut-short", applied=True)
    assert write()["changed"] is True
    assert fake.writes == ["append demo/app:1"]  # a second write could replace the image of another client


def test_the_second_tag_is_refused(write: Write, fake: t.Any) -> None:
    fake.fail("tag", "demo/app:latest", "immutable-tag", tool="crane 0.22.1")
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: cannot tag ") as raised:
        write(tags=["1", "latest"])
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("denied", True)


def test_somebody_else_writes_the_tag_at_the_same_time(write: Write, fake: t.Any, monkeypatch: t.Any) -> None:
    real = fake._do_append

    def append(*arguments: str) -> bytes:
        output: bytes = real(*arguments)
        fake.put("demo/app", "1", salt="somebody else")
        return output

    monkeypatch.setattr(fake, "_do_append", append)
    with pytest.raises(ZotError, match="not the index that was written"):
        write()


@pytest.mark.parametrize(
    ("platforms", "planned"),
    [(None, ["linux/amd64"]), (PLATFORMS, PLATFORMS)],
    ids=["platforms of the others", "given platforms"],
)
def test_a_missing_member_in_a_dry_run(
    write: Write, fake: t.Any, members: dict[str, str], platforms: t.Any, planned: list[str]
) -> None:
    warnings: list[str] = []
    result = write("1-amd64", "2-arm64", tags=["2", "latest"], platforms=platforms, dry_run=True, warnings=warnings)
    assert [(tag["changed"], tag["digest"], tag["platforms"]) for tag in result["tags"]] == [(True, None, planned)] * 2
    assert result["manifests"] == [{"platform": "linux/amd64", "digest": members["1-amd64"]}]
    assert len(warnings) == 1
    assert f"{HOST}/demo/app:2-arm64 does not exist yet" in warnings[0]
    assert fake.writes == []


def test_a_repository_that_is_missing_in_a_dry_run(write: Write) -> None:
    warnings: list[str] = []
    result = write(repository="demo/new", platforms=PLATFORMS, dry_run=True, warnings=warnings)
    assert (result["changed"], result["image"]["platforms"]) == (True, PLATFORMS)
    assert "demo/new:1-amd64, 127.0.0.1:5000/demo/new:1-arm64 do not exist yet" in warnings[0]


def test_a_missing_member_changes_a_tag_that_holds_an_index(write: Write) -> None:
    write("1-amd64")
    result = write("1-amd64", "absent", dry_run=True, warnings=[])
    assert [(diff["before"]["platforms"], diff["after"]["digest"]) for diff in result["diff"]] == [
        (["linux/amd64"], "(known after the push)")
    ]


def test_a_member_of_another_platform_in_a_dry_run(write: Write) -> None:
    """A missing member does not excuse the wrong platform of another one."""
    with pytest.raises(ZotError, match="would be for linux/amd64, not for linux/arm64, linux/s390x"):
        write("1-amd64", "absent", platforms=["linux/arm64", "linux/s390x"], dry_run=True)


def test_several_indexes(write: Write, fake: t.Any, docker_config: t.Any) -> None:
    fake.put("demo/tool", "1-amd64", docker_config())
    images = [index(), index("1-amd64", repository="demo/tool", tags=["1", "latest"])]
    result = write(images=images)
    assert [image["reference"] for image in result["images"]] == [f"{HOST}/demo/app:1", f"{HOST}/demo/tool:1"]
    assert [tag["reference"].rpartition("/")[2] for tag in result["tags"]] == ["app:1", "tool:1", "tool:latest"]
    assert len(result["diff"]) == 3
    assert result.keys() == {"changed", "images", "tags", "diff"}
    assert fake.tags["demo/tool"]["latest"] == fake.tags["demo/tool"]["1"]
    again = write(images=images)
    assert (again["changed"], again["diff"], again["images"]) == (False, [], result["images"])


@pytest.mark.parametrize("dry_run", [False, True])
def test_all_members_are_read_before_the_first_write(write: Write, fake: t.Any, dry_run: bool) -> None:
    images = [index("1-amd64", tags=["2", "latest"], platforms=["linux/arm64"]), index()]
    with pytest.raises(ZotError, match=r"demo/app:2 would be for linux/amd64, .*; nothing was written$") as raised:
        write(images=images, dry_run=dry_run)
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("platform_mismatch", False)
    assert [tag["error"] is None for tag in result["tags"]] == [False, False, True]
    assert fake.writes == []


def test_an_index_that_fails_does_not_stop_the_others(write: Write, fake: t.Any) -> None:
    fake.fail("append", "demo/app:2", "immutable-tag", tool="crane 0.22.1")
    with pytest.raises(ZotError, match=r"^1 of 3 tags are in place, 2 failed: cannot write the index ") as raised:
        write(images=[index("1-amd64", tags=["2", "latest"]), index()])
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("denied", True)
    assert [tag["error"] is None for tag in result["tags"]] == [False, False, True]
    assert fake.tags["demo/app"].keys() >= {"1"}
    assert "latest" not in fake.tags["demo/app"]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("overwrite", [False, ["latest"]])
def test_overwrite(write: Write, fake: t.Any, docker_config: t.Any, overwrite: t.Any, dry_run: bool) -> None:
    """The error names both digests; nothing is written, also to the tags that may move."""
    write(tags=["1", "latest"])
    before = fake.tags["demo/app"]["1"]
    new = fake.put("demo/app", "1-amd64", docker_config(author="somebody"))
    fake.commands.clear()
    with pytest.raises(ZotError) as raised:
        write(tags=["1", "latest"], overwrite=overwrite, dry_run=dry_run)
    error = raised.value
    assert error.message.startswith(
        f"{HOST}/demo/app:1 holds another image, {before}, not an index of {new} for linux/amd64"
    )
    assert (error.error_class, "zot_publish_overwrite" in error.hint, fake.writes) == ("denied", True, [])
    changed = write(tags=["1", "latest"], overwrite=["1", "latest"], dry_run=dry_run)
    assert changed["changed"] is True


def test_an_index_that_would_lose_a_platform(write: Write) -> None:
    write()
    with pytest.raises(ZotError, match="not an index of linux/amd64, which would lose linux/arm64"):
        write("1-amd64", overwrite=False)
    assert write(overwrite=False)["changed"] is False


def test_a_tag_that_another_client_moves_meanwhile(
    write: Write, fake: t.Any, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tag was right after its write. The result still reports the image that each tag holds at the end."""
    real = fake._do_tag

    def tag(*arguments: str) -> bytes:
        output: bytes = real(*arguments)
        fake.put("demo/app", "1", docker_config(author="somebody"))
        return output

    monkeypatch.setattr(fake, "_do_tag", tag)
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: .*demo/app:1 holds sha256:") as raised:
        write(tags=["1", "latest"])
    assert fake.tags["demo/app"]["1"] in raised.value.message
    assert "Another client wrote this tag" in raised.value.hint
    assert [each["changed"] for each in raised.value.result["tags"]] == [True, True]


def test_texts_instead_of_lists(write: Write) -> None:
    texts = {"tags": "0012345", "manifests": "1-amd64, 1-arm64", "platforms": "linux/amd64, linux/arm64"}
    assert [tag["tag"] for tag in write(**texts)["tags"]] == ["0012345"]


def test_each_index_has_its_warning(write: Write) -> None:
    warnings: list[str] = []
    images = [index("x", tags=["3"]), index(), index("y", tags=["2"])]
    write(images=images, dry_run=True, warnings=warnings)
    assert [warning.partition(" ")[0].rpartition(":")[2] for warning in warnings] == ["x", "y"]


def test_a_version_of_windows_need_not_be_requested(write: Write, fake: t.Any, docker_config: t.Any) -> None:
    windows = docker_config(os="windows", **{"os.version": "10.0.20348.2402"})
    fake.put("demo/app", "1-windows", windows)
    result = write("1-windows", platforms=["windows/amd64"])
    assert (result["changed"], result["image"]["platforms"]) == (True, ["windows/amd64"])


class TestKeepPrevious:
    """The index that a tag holds before it moves gets the tag of the template."""

    @pytest.fixture
    def before(self, fake: t.Any, members: dict[str, str]) -> str:
        return fake.put_index("demo/app", "latest", members["1-amd64"])  # type: ignore[no-any-return]

    def test_kept(self, write: Write, fake: t.Any, before: str) -> None:
        """The keeper keeps what the tag held before, also when nothing moves in the second run."""
        options: dict[str, t.Any] = {"tags": ["2", "latest"], "keep_previous": KEEP}
        planned = write(**options, dry_run=True)
        assert fake.writes == []
        done = write(**options)
        tags = fake.tags["demo/app"]
        assert (tags["latest"], tags["latest-previous"]) == (tags["2"], before)
        assert before in fake.manifests["demo/app"]
        for result in (planned, done):
            assert [tag["previous_tag"] for tag in result["tags"]] == [None, f"{HOST}/demo/app:latest-previous"]
        again = write(**options)
        assert tags["latest-previous"] == before
        assert (again["changed"], again["tags"][1]["previous_tag"]) == (False, None)

    def test_not_asked_for(self, write: Write, fake: t.Any, before: str) -> None:
        write(tags=["latest"], keep_previous="")
        assert before not in fake.manifests["demo/app"]

    def test_the_keeper_cannot_be_written(self, write: Write, fake: t.Any, before: str) -> None:
        """Then the tag does not move."""
        fake.fail("tag", "demo/app:latest-previous", "immutable-tag", tool="crane 0.22.1")
        with pytest.raises(ZotError, match="cannot tag") as raised:
            write(tags=["latest"], keep_previous=KEEP)
        assert raised.value.error_class == "denied"
        assert fake.tags["demo/app"]["latest"] == before

    def test_a_missing_member_in_a_dry_run(self, write: Write, before: str) -> None:
        result = write("1-amd64", "absent", tags=["latest"], keep_previous=KEEP, dry_run=True, warnings=[])
        assert before
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:latest-previous"


class TestLastTag:
    """Zot deletes an image when its last tag is overwritten, even if the new index lists it."""

    @pytest.fixture(autouse=True)
    def _latest_is_the_only_tag_of_amd64(self, fake: t.Any) -> None:
        fake.tags["demo/app"]["latest"] = fake.tags["demo/app"].pop("1-amd64")

    @pytest.mark.parametrize("dry_run", [False, True])
    @pytest.mark.parametrize("several", [False, True], ids=["of a member", "of a member of another index"])
    def test_of_a_member(
        self, write: Write, fake: t.Any, members: dict[str, str], several: bool, dry_run: bool
    ) -> None:
        amd64 = members["1-amd64"]
        options: dict[str, t.Any] = {"manifests": [amd64, "1-arm64"], "tags": ["1", "latest"]}
        if several:
            options = {"images": [index(amd64, "1-arm64"), index("1-arm64", tags=["latest"])]}
        match = f"{HOST}/demo/app:latest holds the member {HOST}/demo/app@{amd64}.*nothing was written"
        with pytest.raises(ZotError, match=match) as raised:
            write(**options, dry_run=dry_run)
        assert "Give the member by a tag that the task does not write" in raised.value.hint
        assert (raised.value.error_class, fake.writes) == ("invalid_option", [])

    @pytest.mark.parametrize("several", [False, True], ids=["of an entry", "of a member that is an index"])
    def test_of_what_a_member_lists(self, write: Write, fake: t.Any, members: dict[str, str], several: bool) -> None:
        child = fake.put_index("demo/app", "child", members["1-amd64"])
        if several:
            fake.tags["demo/app"]["latest"] = fake.tags["demo/app"].pop("child")
        with pytest.raises(ZotError, match="demo/app:latest holds the member"):
            write(child, "1-arm64", tags=["latest"])
        assert fake.writes == []

    @pytest.mark.parametrize("kept", [False, True], ids=["another tag", "a keeper"])
    def test_that_is_not_the_last(self, write: Write, fake: t.Any, members: dict[str, str], kept: bool) -> None:
        member = members["1-amd64"]
        options: dict[str, t.Any] = {"tags": ["latest"], "keep_previous": KEEP if kept else None}
        if not kept:
            fake.tags["demo/app"]["1-amd64"] = member
        options["manifests"] = [member if kept else "1-amd64", "1-arm64"]
        assert write(**options)["changed"] is True
        assert member in fake.manifests["demo/app"]
        assert write(**options)["changed"] is False
