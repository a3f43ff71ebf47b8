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


def params(*manifests: str, tags: t.Sequence[str] = ("1",), platforms: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    members = list(manifests) or ["1-amd64", "1-arm64"]
    index = {
        "repository": "demo/app",
        "tags": list(tags),
        "manifests": members,
        "platforms": platforms,
        "overwrite": None,
        "keep_previous": None,
    }
    return {**index, "images": None, "parallel": 4, "assume_pushed": [], **more}


def many(*indexes: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """The parameters of the list form."""
    names = ("repository", "tags", "manifests", "platforms", "overwrite", "keep_previous")
    images = [{name: index[name] for name in names} for index in indexes]
    return {**dict.fromkeys(names), "images": images, "parallel": 4, "assume_pushed": [], **more}


def write(
    registry: Registry, options: dict[str, t.Any], *, dry_run: bool, warnings: list[str] | None = None
) -> dict[str, t.Any]:
    """Without a list of *warnings* there must be none."""
    found: list[str] = []
    try:
        return run(registry, options, dry_run=dry_run, warn=found.append)
    finally:
        if warnings is None:
            assert found == []
        else:
            warnings += found


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


def test_a_new_index(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    result = write(registry, params(), dry_run=False)
    assert entries(fake, "1") == [members["1-amd64"], members["1-arm64"]]
    assert (result["changed"], result["image"]["platforms"]) == (True, ["linux/amd64", "linux/arm64"])
    assert result["manifests"] == [
        {"platform": "linux/amd64", "digest": members["1-amd64"]},
        {"platform": "linux/arm64", "digest": members["1-arm64"]},
    ]


def test_the_members_are_pinned_and_sorted(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    write(registry, params("1-arm64", "1-amd64"), dry_run=False)
    command = next(command for command in fake.commands if "append" in command)
    assert [part for part in command if "@" in part] == [
        f"{HOST}/demo/app@{members['1-amd64']}",
        f"{HOST}/demo/app@{members['1-arm64']}",
    ]


def test_members_by_digest(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    write(registry, params(members["1-amd64"], "1-arm64"), dry_run=False)
    assert entries(fake, "1") == [members["1-amd64"], members["1-arm64"]]


@pytest.mark.parametrize("again", [["1-amd64", "1-arm64"], ["1-arm64", "1-amd64"]], ids=["the same", "another order"])
def test_the_same_index_is_not_written(registry: Registry, fake: t.Any, again: list[str]) -> None:
    write(registry, params(), dry_run=False)
    before = list(fake.writes)
    assert write(registry, params(*again), dry_run=False)["changed"] is False
    assert fake.writes == before


def test_an_index_of_another_crane_is_the_same(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    fake.newer_crane = False
    fake.put_index("demo/app", "1", members["1-arm64"], members["1-amd64"])
    fake.newer_crane = True
    assert write(registry, params(), dry_run=False)["changed"] is False


def test_an_index_with_an_attestation_more_is_the_same(
    registry: Registry, fake: t.Any, members: dict[str, str]
) -> None:
    fake.put_index("demo/app", "1", members["1-amd64"], members["1-arm64"], more=[ATTESTATION])
    assert write(registry, params(), dry_run=False)["changed"] is False


def test_a_member_that_moved(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    write(registry, params(), dry_run=False)
    digest = fake.put("demo/app", "1-arm64", docker_config(architecture="arm64", author="new"))
    assert write(registry, params(), dry_run=False)["changed"] is True
    assert digest in entries(fake, "1")


def test_a_platform_more(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    write(registry, params(), dry_run=False)
    write(registry, params("1-amd64", "1-arm-v7", "1-arm64"), dry_run=False)
    assert sorted(entries(fake, "1")) == sorted(members.values())


def test_the_second_tag_gets_the_digest_of_the_first(registry: Registry, fake: t.Any) -> None:
    write(registry, params(tags=["1", "latest"]), dry_run=False)
    digest = fake.tags["demo/app"]["1"]
    assert fake.writes == ["append demo/app:1", f"tag demo/app@{digest} latest"]
    assert fake.tags["demo/app"]["latest"] == digest


@pytest.mark.parametrize(("there", "absent"), [("1", "latest"), ("latest", "1")])
def test_only_one_of_two_tags_holds_it(registry: Registry, fake: t.Any, there: str, absent: str) -> None:
    write(registry, params(tags=[there]), dry_run=False)
    fake.commands.clear()
    result = write(registry, params(tags=["1", "latest"]), dry_run=False)
    assert fake.writes == [f"tag demo/app@{fake.tags['demo/app'][there]} {absent}"]
    assert {tag["reference"].rpartition(":")[2]: tag["changed"] for tag in result["tags"]} == {
        there: False,
        absent: True,
    }


def test_a_tag_that_holds_an_image_becomes_the_index(registry: Registry, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    assert write(registry, params(), dry_run=False)["changed"] is True


def test_a_dry_run(registry: Registry, fake: t.Any) -> None:
    result = write(registry, params(tags=["1", "latest"]), dry_run=True)
    assert fake.writes == []
    assert (result["changed"], result["image"]["platforms"], result["image"]["digest"]) == (
        True,
        ["linux/amd64", "linux/arm64"],
        None,
    )


def test_an_index_among_the_members(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    """Its entries are taken; an attestation of it is kept, and not counted."""
    fake.put_index("demo/app", "child", members["1-amd64"], members["1-arm64"], more=[ATTESTATION])
    result = write(registry, params("child", "1-arm-v7"), dry_run=False)
    assert sorted(entries(fake, "1")) == sorted([*members.values(), ATTESTATION["digest"]])
    assert [each["platform"] for each in result["manifests"]] == ["linux/amd64", "linux/arm/v7", "linux/arm64"]
    assert write(registry, params("child", "1-arm-v7"), dry_run=False)["changed"] is False


def test_the_size_is_that_of_all_members(registry: Registry) -> None:
    result = write(registry, params(), dry_run=False)
    assert result["image"]["size"] > 2000


def test_a_missing_member(registry: Registry, fake: t.Any) -> None:
    with pytest.raises(
        ZotError, match=r"^cannot write the index: .*demo/app:1-amd46 does not exist; nothing was written$"
    ) as raised:
        write(registry, params("1-amd46", "1-arm64"), dry_run=False)
    assert raised.value.error_class == "not_found"
    assert "The most similar are 1-amd64" in raised.value.hint
    assert fake.writes == []


def test_a_member_that_lists_what_is_no_digest(registry: Registry, fake: t.Any) -> None:
    """It is the registry's fault, and that of no option."""
    entry = {**ATTESTATION, "digest": "../../x", "platform": {"os": "linux", "architecture": "s390x"}}
    fake.put_index("demo/app", "child", more=[entry])
    with pytest.raises(ZotError, match="response of the registry is invalid") as raised:
        write(registry, params("child"), dry_run=False)
    assert (raised.value.error_class, fake.writes) == ("tool_failed", [])


def test_two_missing_members(registry: Registry) -> None:
    with pytest.raises(ZotError, match=r"demo/app:x, .*demo/app:y do not exist"):
        write(registry, params("x", "y"), dry_run=False)


def test_a_missing_child_of_a_member(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    fake.put_index("demo/app", "child", members["1-amd64"])
    del fake.manifests["demo/app"][members["1-amd64"]], fake.tags["demo/app"]["1-amd64"]
    with pytest.raises(ZotError, match="does not exist") as raised:
        write(registry, params("child"), dry_run=False)
    assert raised.value.error_class == "not_found"


def test_a_platform_that_comes_twice(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    fake.put("demo/app", "2-arm64", docker_config(architecture="arm64", variant="v8", author="other"))
    with pytest.raises(ZotError, match=r"demo/app:1-arm64 and .*demo/app:2-arm64 are both for linux/arm64") as raised:
        write(registry, params("1-amd64", "1-arm64", "2-arm64"), dry_run=False)
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


def test_a_member_that_is_named_twice_is_one(registry: Registry, fake: t.Any, members: dict[str, str]) -> None:
    write(registry, params("1-amd64", "1-amd64"), dry_run=False)
    assert entries(fake, "1") == [members["1-amd64"]]


def test_one_manifest_under_two_names(registry: Registry, members: dict[str, str]) -> None:
    with pytest.raises(ZotError, match="are both for linux/amd64"):
        write(registry, params("1-amd64", members["1-amd64"]), dry_run=False)


def test_a_member_without_a_platform(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    fake.put("demo/app", "bare", docker_config(os=None, architecture=None))
    with pytest.raises(ZotError, match="demo/app:bare has no platform") as raised:
        write(registry, params("1-amd64", "bare"), dry_run=False)
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


@pytest.mark.parametrize(
    "platforms",
    [["linux/amd64", "linux/arm64"], ["linux/arm64/v8", "linux/amd64"], None, []],
    ids=["both", "another word", "none", "empty"],
)
def test_the_platforms_fit(registry: Registry, platforms: list[str] | None) -> None:
    assert write(registry, params(platforms=platforms), dry_run=False)["changed"] is True


@pytest.mark.parametrize(
    "platforms", [["linux/amd64"], ["linux/amd64", "linux/arm64", "linux/arm/v7"], ["linux/amd64", "linux/s390x"]]
)
def test_the_platforms_do_not_fit(registry: Registry, fake: t.Any, platforms: list[str]) -> None:
    with pytest.raises(ZotError, match="would be for linux/amd64, linux/arm64, not for linux/") as raised:
        write(registry, params(platforms=platforms), dry_run=False)
    assert raised.value.error_class == "platform_mismatch"
    assert fake.writes == []


def test_two_versions_of_windows(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
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
    assert write(registry, params("10.1", "10.2"), dry_run=False)["changed"] is True


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
    ],
)
def test_options_that_cannot_be_used(registry: Registry, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        write(registry, {**params(), **options}, dry_run=False)
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


@pytest.mark.parametrize("verb", ["manifest", "blob"])
def test_a_read_error_does_not_mean_absence(registry: Registry, fake: t.Any, verb: str) -> None:
    fake.fail(verb, "", "bad-password", times=99)
    with pytest.raises(ZotError) as raised:
        write(registry, params(), dry_run=False)
    assert raised.value.error_class == "unauthorized"
    assert fake.writes == []


def test_the_answer_of_the_write_is_lost(registry: Registry, fake: t.Any) -> None:
    fake.fail("append", "demo/app:1", "answer-cut-short", applied=True)
    assert write(registry, params(), dry_run=False)["changed"] is True
    assert fake.writes == ["append demo/app:1"]


def test_the_second_tag_is_refused(registry: Registry, fake: t.Any) -> None:
    fake.fail("tag", "demo/app:latest", "immutable-tag", tool="crane 0.22.1")
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: cannot tag ") as raised:
        write(registry, params(tags=["1", "latest"]), dry_run=False)
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("denied", True)


def test_somebody_else_writes_the_tag_at_the_same_time(registry: Registry, fake: t.Any, monkeypatch: t.Any) -> None:
    real = fake._do_append

    def append(*arguments: str) -> bytes:
        output: bytes = real(*arguments)
        fake.put("demo/app", "1", salt="somebody else")
        return output

    monkeypatch.setattr(fake, "_do_append", append)
    with pytest.raises(ZotError, match="not the index that was written"):
        write(registry, params(), dry_run=False)


PLATFORMS = ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize(
    ("platforms", "planned"),
    [(None, ["linux/amd64"]), (PLATFORMS, PLATFORMS)],
    ids=["platforms of the others", "given platforms"],
)
def test_a_missing_member_in_a_dry_run(
    registry: Registry, fake: t.Any, members: dict[str, str], platforms: t.Any, planned: list[str]
) -> None:
    warnings: list[str] = []
    options = params("1-amd64", "2-arm64", tags=["2", "latest"], platforms=platforms)
    result = write(registry, options, dry_run=True, warnings=warnings)
    assert [(tag["changed"], tag["digest"], tag["platforms"]) for tag in result["tags"]] == [(True, None, planned)] * 2
    assert result["manifests"] == [{"platform": "linux/amd64", "digest": members["1-amd64"]}]
    assert len(warnings) == 1
    assert f"{HOST}/demo/app:2-arm64 does not exist yet" in warnings[0]
    assert fake.writes == []


def test_a_repository_that_is_missing_in_a_dry_run(registry: Registry) -> None:
    warnings: list[str] = []
    options = params("1-amd64", "1-arm64", platforms=PLATFORMS, repository="demo/new")
    result = write(registry, options, dry_run=True, warnings=warnings)
    assert (result["changed"], result["image"]["platforms"]) == (True, PLATFORMS)
    assert "demo/new:1-amd64, 127.0.0.1:5000/demo/new:1-arm64 do not exist yet" in warnings[0]


def test_a_missing_member_changes_a_tag_that_holds_an_index(registry: Registry) -> None:
    write(registry, params("1-amd64"), dry_run=False)
    result = write(registry, params("1-amd64", "absent"), dry_run=True, warnings=[])
    assert [(diff["before"]["platforms"], diff["after"]["digest"]) for diff in result["diff"]] == [
        (["linux/amd64"], "(known after the push)")
    ]


def test_a_member_of_another_platform_in_a_dry_run(registry: Registry) -> None:
    """A missing member does not excuse the wrong platform of another one."""
    with pytest.raises(ZotError, match="would be for linux/amd64, not for linux/arm64, linux/s390x"):
        write(registry, params("1-amd64", "absent", platforms=["linux/arm64", "linux/s390x"]), dry_run=True)


def test_a_member_that_a_dry_run_would_have_pushed(registry: Registry, fake: t.Any) -> None:
    """The tag holds the index of the current members, but one of them is about to move. That needs no warning."""
    write(registry, params(), dry_run=False)
    writes = list(fake.writes)
    for pushed in (f"{HOST}/demo/app:1-arm64", "demo/app:1-arm64"):
        result = write(registry, params(platforms=PLATFORMS, assume_pushed=[pushed]), dry_run=True)
        assert (result["changed"], result["image"]["platforms"]) == (True, PLATFORMS)
    other = [f"{HOST}/demo/other:1-arm64"]
    assert write(registry, params(assume_pushed=other), dry_run=True)["changed"] is False
    assert write(registry, params(assume_pushed=[pushed]), dry_run=False)["changed"] is False
    assert fake.writes == writes


def test_a_reference_to_assume_that_is_none(registry: Registry, fake: t.Any) -> None:
    with pytest.raises(ZotError, match="is not a valid tag") as raised:
        write(registry, params(assume_pushed=["demo/app:-"]), dry_run=True)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


def test_several_indexes(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    fake.put("demo/tool", "1-amd64", docker_config())
    tool = params("1-amd64", repository="demo/tool", tags=["1", "latest"])
    result = write(registry, many(params(), tool), dry_run=False)
    assert [image["reference"] for image in result["images"]] == [f"{HOST}/demo/app:1", f"{HOST}/demo/tool:1"]
    assert [tag["reference"].rpartition("/")[2] for tag in result["tags"]] == ["app:1", "tool:1", "tool:latest"]
    assert len(result["diff"]) == 3
    assert result.keys() == {"changed", "images", "tags", "diff"}
    assert fake.tags["demo/tool"]["latest"] == fake.tags["demo/tool"]["1"]
    again = write(registry, many(params(), tool), dry_run=False)
    assert (again["changed"], again["diff"], again["images"]) == (False, [], result["images"])


@pytest.mark.parametrize("dry_run", [False, True])
def test_all_members_are_read_before_the_first_write(registry: Registry, fake: t.Any, dry_run: bool) -> None:
    options = params("1-amd64", tags=["2", "latest"], platforms=["linux/arm64"])
    with pytest.raises(ZotError, match=r"demo/app:2 would be for linux/amd64, .*; nothing was written$") as raised:
        write(registry, many(options, params()), dry_run=dry_run)
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("platform_mismatch", False)
    assert [tag["error"] is None for tag in result["tags"]] == [False, False, True]
    assert fake.writes == []


def test_an_index_that_fails_does_not_stop_the_others(registry: Registry, fake: t.Any) -> None:
    fake.fail("append", "demo/app:2", "immutable-tag", tool="crane 0.22.1")
    with pytest.raises(ZotError, match=r"^1 of 3 tags are in place, 2 failed: cannot write the index ") as raised:
        write(registry, many(params("1-amd64", tags=["2", "latest"]), params()), dry_run=False)
    result = raised.value.for_ansible()
    assert (result["error_class"], result["changed"]) == ("denied", True)
    assert [tag["error"] is None for tag in result["tags"]] == [False, False, True]
    assert fake.tags["demo/app"].keys() >= {"1"}
    assert "latest" not in fake.tags["demo/app"]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("overwrite", [False, ["latest"]])
def test_overwrite(registry: Registry, fake: t.Any, docker_config: t.Any, overwrite: t.Any, dry_run: bool) -> None:
    """The error names both digests; nothing is written, also to the tags that may move."""
    write(registry, params(tags=["1", "latest"]), dry_run=False)
    before = fake.tags["demo/app"]["1"]
    new = fake.put("demo/app", "1-amd64", docker_config(author="somebody"))
    fake.commands.clear()
    with pytest.raises(ZotError) as raised:
        write(registry, params(tags=["1", "latest"], overwrite=overwrite), dry_run=dry_run)
    error = raised.value
    assert error.message.startswith(
        f"{HOST}/demo/app:1 holds another image, {before}, not an index of {new} for linux/amd64"
    )
    assert (error.error_class, "zot_publish_overwrite" in error.hint, fake.writes) == ("denied", True, [])
    changed = write(registry, params(tags=["1", "latest"], overwrite=["1", "latest"]), dry_run=dry_run)
    assert changed["changed"] is True


def test_an_index_that_would_lose_a_platform(registry: Registry, fake: t.Any) -> None:
    write(registry, params(), dry_run=False)
    with pytest.raises(ZotError, match="not an index of linux/amd64, which would lose linux/arm64"):
        write(registry, params("1-amd64", overwrite=False), dry_run=False)
    assert fake.writes == ["append demo/app:1"]
    assert write(registry, params(overwrite=False), dry_run=False)["changed"] is False


def test_a_tag_that_another_client_moves_meanwhile(
    registry: Registry, fake: t.Any, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tag was right after its write. The result still reports the image that each tag holds at the end."""
    real = fake._do_tag

    def tag(*arguments: str) -> bytes:
        output: bytes = real(*arguments)
        fake.put("demo/app", "1", docker_config(author="somebody"))
        return output

    monkeypatch.setattr(fake, "_do_tag", tag)
    with pytest.raises(ZotError, match=r"^1 of 2 tags are in place, 1 failed: .*demo/app:1 holds sha256:") as raised:
        write(registry, params(tags=["1", "latest"]), dry_run=False)
    assert fake.tags["demo/app"]["1"] in raised.value.message
    assert "Another client wrote this tag" in raised.value.hint
    assert [each["changed"] for each in raised.value.result["tags"]] == [True, True]


def test_tags_and_manifests_are_text(registry: Registry, fake: t.Any) -> None:
    for name in ("tags", "manifests"):
        with pytest.raises(ZotError, match=rf"{name}\[0\] is the number 5349, not text: quote it") as raised:
            write(registry, {**params(), name: [5349]}, dry_run=False)
        assert (raised.value.error_class, fake.commands) == ("invalid_option", [])
    listed = {"manifests": "1-amd64, 1-arm64", "platforms": "linux/amd64, linux/arm64"}
    result = write(registry, {**params(), "tags": "0012345", **listed}, dry_run=False)
    assert [tag["tag"] for tag in result["tags"]] == ["0012345"]


def test_each_index_has_its_warning(registry: Registry) -> None:
    warnings: list[str] = []
    indexes = (params("x", tags=["3"]), params(tags=["1"]), params("y", tags=["2"]))
    write(registry, many(*indexes), dry_run=True, warnings=warnings)
    assert [warning.partition(" ")[0].rpartition(":")[2] for warning in warnings] == ["x", "y"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(many(params(), params("1-amd64")), "demo/app:1 is a tag of two indexes", id="a tag twice"),
        pytest.param(many(params(tags=["x"]), params("x")), "demo/app:x is both a tag", id="a member that moves"),
        pytest.param(many(params(), parallel=0), "parallel is 0, but must be at least 1", id="none at a time"),
    ],
)
def test_lists_that_cannot_be_used(registry: Registry, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ZotError, match=message) as raised:
        write(registry, options, dry_run=False)
    assert (raised.value.error_class, fake.commands) == ("invalid_option", [])


def test_a_version_of_windows_need_not_be_requested(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    windows = docker_config(os="windows", **{"os.version": "10.0.20348.2402"})
    fake.put("demo/app", "1-windows", windows)
    result = write(registry, params("1-windows", platforms=["windows/amd64"]), dry_run=False)
    assert (result["changed"], result["image"]["platforms"]) == (True, ["windows/amd64"])


class TestKeepPrevious:
    """The index that a tag holds before it moves gets the tag of the template."""

    @pytest.fixture
    def before(self, fake: t.Any, members: dict[str, str]) -> str:
        fake.deletes_untagged = True
        return fake.put_index("demo/app", "latest", members["1-amd64"])  # type: ignore[no-any-return]

    def test_kept(self, registry: Registry, fake: t.Any, before: str) -> None:
        options = params(tags=["2", "latest"], keep_previous="{tag}-previous")
        planned = write(registry, options, dry_run=True)
        assert fake.writes == []
        done = write(registry, options, dry_run=False)
        digest = fake.tags["demo/app"]["2"]
        assert fake.writes == [
            "append demo/app:2",
            f"tag demo/app@{before} latest-previous",
            f"tag demo/app@{digest} latest",
        ]
        assert fake.tags["demo/app"]["latest-previous"] == before
        assert before in fake.manifests["demo/app"]
        for result in (planned, done):
            assert [tag["previous_tag"] for tag in result["tags"]] == [None, f"{HOST}/demo/app:latest-previous"]

    def test_the_same_index_again(self, registry: Registry, fake: t.Any, before: str) -> None:
        """The keeper keeps what the tag held before, not what it holds now."""
        options = params(tags=["latest"], keep_previous="{tag}-previous")
        write(registry, options, dry_run=False)
        again = write(registry, options, dry_run=False)
        assert fake.tags["demo/app"]["latest-previous"] == before
        assert (again["changed"], again["tags"][0]["previous_tag"]) == (False, None)

    def test_not_asked_for(self, registry: Registry, fake: t.Any, before: str) -> None:
        write(registry, params(tags=["latest"], keep_previous=""), dry_run=False)
        assert before not in fake.manifests["demo/app"]

    def test_the_keeper_cannot_be_written(self, registry: Registry, fake: t.Any, before: str) -> None:
        """Then the tag does not move."""
        fake.fail("tag", "demo/app:latest-previous", "immutable-tag", tool="crane 0.22.1")
        with pytest.raises(ZotError, match="cannot tag") as raised:
            write(registry, params(tags=["latest"], keep_previous="{tag}-previous"), dry_run=False)
        assert raised.value.error_class == "denied"
        assert fake.tags["demo/app"]["latest"] == before

    def test_a_missing_member_in_a_dry_run(self, registry: Registry, before: str) -> None:
        options = params("1-amd64", "absent", tags=["latest"], keep_previous="{tag}-previous")
        result = write(registry, options, dry_run=True, warnings=[])
        assert before
        assert result["tags"][0]["previous_tag"] == f"{HOST}/demo/app:latest-previous"
