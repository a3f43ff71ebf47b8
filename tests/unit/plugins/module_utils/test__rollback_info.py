# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.modules import zot_rollback_info
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys

HOST = "127.0.0.1:5000"
APP, TOOL = "demo/app", "demo/tool"


@pytest.fixture
def find(run_module: t.Any, fake: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """Runs the module for some repositories; it writes nothing, and returns what RETURN documents."""

    def run(*repositories: str, **options: t.Any) -> dict[str, t.Any]:
        images = [{"repository": name, "archive": "/gone.tar"} for name in repositories or (APP,)]
        result: dict[str, t.Any] = run_module(zot_rollback_info.main, **{"images": images, **options})
        assert fake.writes == []
        assert wrong_keys(zot_rollback_info.RETURN, result) == []
        return result

    return run


@pytest.fixture
def publish(fake: t.Any, docker_config: t.Any) -> t.Callable[..., str]:
    """Publish a build under a revision and under tags, as zot_publish does; returns the digest."""

    def run(repository: str, revision: str, build: str, *tags: str, platforms: t.Sequence[str] = ("amd64",)) -> str:
        members = []
        for platform in platforms:
            config = docker_config(architecture=platform, created=f"2026-11-{build}T10:00:00Z")
            members.append(fake.put(repository, f"{revision}-{platform}", config, salt=f"{build} {platform}"))
        digest: str = fake.put_index(repository, revision, *members)
        for tag in tags:
            before = fake.tags[repository].get(tag)
            if before not in (None, digest):
                fake.tags[repository][f"{tag}-previous"] = before
            fake.tags[repository][tag] = digest
        return digest

    return run


def test_previous_release(find: t.Any, publish: t.Any) -> None:
    """Of two images and two tags; the tag of one architecture is no revision."""
    old, new = (publish(APP, f"r{day}", day, "latest", "stable") for day in ("10", "11"))
    tool = [publish(TOOL, f"r{day}", day, "latest") for day in ("10", "11")]
    result = find(APP, TOOL, images=[{"repository": APP, "tags": "latest, stable"}, {"repository": TOOL}])
    assert (result["ok"], result["problems"], result["revision"]) == (True, [], "r10")
    revisions = {"from_revision": "r11", "to_revision": "r10"}
    assert result["images"] == [
        {"reference": f"{HOST}/{APP}:latest", "from": new, "to": old, **revisions},
        {"reference": f"{HOST}/{APP}:stable", "from": new, "to": old, **revisions},
        {"reference": f"{HOST}/{TOOL}:latest", "from": tool[1], "to": tool[0], **revisions},
    ]
    assert result["moves"] == [
        {"repository": APP, "source": old, "tags": ["latest", "stable"]},
        {"repository": TOOL, "source": tool[0], "tags": ["latest"]},
    ]
    assert result["references"] == [f"{HOST}/{APP}:r10", f"{HOST}/{TOOL}:r10"]


@pytest.mark.parametrize("first", [APP, TOOL], ids=["changed first", "unchanged first"])
@pytest.mark.parametrize("older", [True, False], ids=["with an older keeper", "without a keeper"])
def test_an_image_that_the_last_release_did_not_change(find: t.Any, publish: t.Any, first: str, older: bool) -> None:
    """Its tag did not move, so that its keeper is of an older release: the tag stays."""
    for revision, day in [("r09", "09")] * older + [("r10", "10"), ("r11", "10")]:
        tool = publish(TOOL, revision, day, "latest")
    old, new = (publish(APP, f"r{day}", day, "latest") for day in ("10", "11"))
    assert old != new
    result = find(first, *({APP, TOOL} - {first}))
    assert (result["problems"], result["revision"]) == ([], "r10")
    assert result["moves"] == [{"repository": APP, "source": old, "tags": ["latest"]}]
    (unchanged,) = (each for each in result["images"] if each["reference"] == f"{HOST}/{TOOL}:latest")
    assert (unchanged["from"], unchanged["to"], unchanged["to_revision"]) == (tool, tool, "r10")


def test_rolled_back_already(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    """The keeper still holds the image: nothing moves, and nothing moves forward again."""
    old = [publish(name, "r10", "10", "latest") for name in (APP, TOOL)]
    for name, digest in zip((APP, TOOL), old):
        publish(name, "r11", "11", "latest")
        fake.tags[name]["latest"] = digest
    result = find(APP, TOOL)
    assert (result["ok"], result["revision"], result["moves"]) == (True, "r10", [])


def test_an_unchanged_image_when_rolled_back_already(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    for revision, day in (("r09", "09"), ("r10", "10"), ("r11", "10")):
        publish(TOOL, revision, day, "latest")
    old, _new = (publish(APP, f"r{day}", day, "latest") for day in ("10", "11"))
    fake.tags[APP]["latest"] = old
    result = find(APP, TOOL)
    assert (result["problems"], result["revision"], result["moves"]) == ([], "r10", [])


def test_a_release_after_a_rollback(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    """It changes one image of two: the other one is equal to its keeper."""
    for day in ("10", "11"):
        app, tool = (publish(name, f"r{day}", day, "latest") for name in (APP, TOOL))
        if day == "10":
            before = app, tool
    for name, digest in zip((APP, TOOL), before):
        fake.tags[name]["latest"] = digest
    publish(APP, "r12", "10", "latest")
    publish(TOOL, "r12", "12", "latest")
    result = find(APP, TOOL)
    assert (result["problems"], result["revision"]) == ([], "r10")
    assert result["moves"] == [{"repository": TOOL, "source": before[1], "tags": ["latest"]}]


def test_a_revision(find: t.Any, publish: t.Any) -> None:
    oldest = publish(APP, "r10", "10", "latest")
    for day in ("11", "12"):
        publish(APP, f"r{day}", day, "latest")
    result = find(revision="r10")
    assert (result["revision"], result["references"]) == ("r10", [f"{HOST}/{APP}:r10"])
    assert result["moves"] == [{"repository": APP, "source": oldest, "tags": ["latest"]}]


def test_a_revision_that_one_image_lacks(find: t.Any, publish: t.Any) -> None:
    """Nothing moves; the message lists the newest revisions of that repository, by their build time."""
    publish(APP, "r10", "10", "latest")
    for revision, day in (("z1", "01"), ("a9", "09"), ("m5", "05"), ("m4", "04"), ("m3", "03"), ("m2", "02")):
        publish(TOOL, revision, day, "latest")
    result = find(APP, TOOL, revision="r10")
    assert (result["ok"], result["moves"]) == (False, [])
    (problem,) = result["problems"]
    assert problem.startswith(f"{HOST}/{TOOL}:r10 does not exist: ")
    assert problem.endswith("a9, m5, m4, m3, m2")


def test_a_pruned_revision(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    """Only the keeper holds the image."""
    old, _new = (publish(APP, f"r{day}", day, "latest") for day in ("10", "11"))
    del fake.tags[APP]["r10"]
    result = find()
    assert (result["ok"], result["revision"], result["references"]) == (True, None, [f"{HOST}/{APP}:latest"])
    assert result["moves"] == [{"repository": APP, "source": old, "tags": ["latest"]}]


def test_a_keeper_of_another_name(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    """The keepers of other tags are no revisions, either."""
    old, _new = (publish(APP, f"r{day}", day, "latest") for day in ("10", "11"))
    tags = fake.tags[APP]
    tags["before-latest"] = tags.pop("latest-previous")
    tags["before-r11"] = old
    result = find(keep_previous="before-{tag}")
    assert (result["revision"], result["moves"][0]["source"]) == ("r10", old)


@pytest.mark.parametrize("there", [True, False], ids=["first release", "no repository"])
def test_no_previous_image(find: t.Any, publish: t.Any, there: bool) -> None:
    if there:
        publish(APP, "r10", "10", "latest")
    result = find()
    assert (result["ok"], result["moves"]) == (False, [])
    assert f"{HOST}/{APP}:latest-previous does not exist" in result["problems"][0]
    assert ("r10" in result["problems"][0]) is there


def test_keepers_of_different_releases(find: t.Any, publish: t.Any) -> None:
    for day in ("10", "12"):
        publish(APP, f"r{day}", day, "latest")
    for day in ("09", "11", "12"):
        publish(TOOL, f"r{day}", day, "latest")
    result = find(APP, TOOL)
    assert (result["ok"], result["moves"]) == (False, [])
    assert "no revision has only the current or previous images of the tags" in result["problems"][0]


@pytest.mark.parametrize("revisions", [("aaaaaa2", "aaaaaa3"), ("1.4.2", "1.4.3"), ("r10", "r11")])
@pytest.mark.parametrize("shared", ["10", "12"], ids=["the same image", "another image"])
def test_another_shared_tag(find: t.Any, publish: t.Any, revisions: tuple[str, str], shared: str) -> None:
    """It is no revision, although its image is the previous one: a workload that names a revision needs a revision."""
    for revision, day in zip(revisions, ("10", "11")):
        publish(APP, revision, day, "latest")
        publish(TOOL, revision, "10", "latest")
    publish(APP, "stable", "10")
    publish(TOOL, "stable", shared)
    assert find(APP)["revision"] == revisions[0]
    assert find(APP, TOOL)["revision"] == revisions[0]
    known = f"the newest of 2 revisions of {APP} are {revisions[1]}, {revisions[0]}"
    assert find(APP, revision="none")["problems"][0].endswith(known)


@pytest.mark.parametrize("platform", ["amd64-v2", "arm-v7", "mips64", "windows-amd64"])
def test_the_tag_of_one_architecture_is_no_revision(find: t.Any, publish: t.Any, platform: str) -> None:
    for revision, day in (("abc1234", "10"), ("def5678", "11")):
        publish(APP, revision, day, "latest", platforms=[platform])
    assert find()["revision"] == "abc1234"
    assert find(revision="none")["problems"][0].endswith(f"the newest of 2 revisions of {APP} are def5678, abc1234")


def test_a_version_is_a_revision_and_a_shorter_version_is_a_shared_tag(find: t.Any, publish: t.Any) -> None:
    for revision, day in (("1.4.2", "10"), ("1.5.0", "11")):
        publish(APP, revision, day, "latest")
        publish(APP, "upload-0123456789ab-1.4.2", day)
    publish(APP, "1.4", "10")
    assert find()["revision"] == "1.4.2"
    assert find(revision="none")["problems"][0].endswith(f"the newest of 2 revisions of {APP} are 1.5.0, 1.4.2")


def test_revisions_without_digits(find: t.Any, publish: t.Any) -> None:
    for revision, day in (("spring", "10"), ("summer", "11")):
        publish(APP, revision, day, "latest")
    assert find()["revision"] == "spring"


def test_several_revisions_fit(find: t.Any, publish: t.Any) -> None:
    """They give different images: the user decides. If they give the same images, either name is right."""
    publish(APP, "r10", "10", "latest")
    publish(APP, "r11", "10", "latest")
    publish(APP, "r12", "12", "latest")
    assert find()["revision"] in ("r10", "r11")
    publish(TOOL, "r10", "10", "latest")
    publish(TOOL, "r11", "11", "latest")
    publish(TOOL, "r12", "11", "latest")
    result = find(APP, TOOL)
    assert (result["ok"], result["moves"]) == (False, [])
    assert "several revisions with different images, r10, r11" in result["problems"][0]


def test_a_platform_is_missing(find: t.Any, publish: t.Any) -> None:
    publish(APP, "r10", "10", "latest")
    publish(APP, "r11", "11", "latest", platforms=("amd64", "arm64"))
    result = find()
    assert (result["ok"], result["moves"]) == (False, [])
    assert "has no linux/arm64" in result["problems"][0]
    assert find(require_platforms=False)["ok"] is True


def test_images_without_an_index(find: t.Any, fake: t.Any, docker_config: t.Any) -> None:
    old = fake.put(APP, "r10", docker_config(created="2026-11-10T10:00:00Z"))
    fake.tags[APP]["latest-previous"] = old
    fake.put(APP, "latest", docker_config(created="2026-11-11T10:00:00Z"))
    result = find()
    assert (result["revision"], result["moves"][0]["source"]) == ("r10", old)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": []}, "images is empty"),
        ({"images": [{"tags": ["latest"]}]}, "images[0] has no repository"),
        ({"images": [{"repository": APP}, {"repository": APP}]}, "the repository of another entry"),
        ({"tags": []}, "has no shared tag"),
        ({"tags": [f"sha256:{'0' * 64}"]}, "is a digest, not a tag"),
        ({"tags": ["no tag!"]}, "is not a valid tag"),
        # It would move two tags.
        ({"tags": "1.4 2"}, "'1.4 2' is not a valid tag"),
        ({"revision": 12345}, "quote it"),
        ({"revision": "latest"}, "is a shared tag"),
        # zot_prune removes it a day after its creation.
        ({"revision": "upload-3f2c1ab03f2c-r10"}, "is an upload tag"),
        ({"keep_previous": "{tag} before"}, "is not a valid tag"),
    ],
)
def test_bad_options(find: t.Any, options: dict[str, t.Any], message: str) -> None:
    result = find(**options)
    assert (result["failed"], result["error_class"]) == (True, "invalid_option")
    assert message in result["msg"]


def test_failure(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    publish(APP, "r10", "10", "latest")
    fake.fail("digest", f"{APP}:latest", "bad-password", times=9)
    result = find()
    assert (result["failed"], result["error_class"]) == (True, "unauthorized")


def test_more_revisions_than_can_be_compared(find: t.Any, publish: t.Any, fake: t.Any) -> None:
    """Each would be a request. The revision that is given is one request, however many there are."""
    old, new = (publish(APP, f"r{day}", day, "latest") for day in ("10", "11"))
    fake.tags[APP].update({f"s{number}": new for number in range(1000)})
    result = find(APP)
    assert (result["ok"], result["moves"]) == (False, [])
    assert "more than the 1000 that are compared" in result["problems"][0]
    assert find(APP, revision="r10")["moves"] == [{"repository": APP, "source": old, "tags": ["latest"]}]


class TestBroken:
    """A revision whose index has lost a member is not the one to go back to."""

    @pytest.fixture
    def lost(self, publish: t.Any, fake: t.Any) -> str:
        """The member for arm64 of r10, the previous release."""
        for day in ("09", "10", "11"):
            publish(APP, f"r{day}", day, "latest", platforms=("amd64", "arm64"))
        digest: str = fake.tags[APP].pop("r10-arm64")
        del fake.manifests[APP][digest]
        return digest

    @pytest.mark.parametrize("revision", [None, "r10"])
    def test_a_revision(self, find: t.Any, lost: str, revision: str | None) -> None:
        result = find(revision=revision)
        (problem,) = result["problems"]
        assert f"{HOST}/{APP}:r10 is not whole: the registry has lost its member linux/arm64 {lost}" in problem
        assert "the newest of 3 revisions of demo/app are r11, r09" in problem
        assert (result["ok"], result["moves"]) == (False, [])

    def test_an_image_that_only_the_keeper_holds(self, find: t.Any, fake: t.Any, lost: str) -> None:
        for tag in ("r10", "r10-amd64"):
            del fake.tags[APP][tag]
        (problem,) = find()["problems"]
        assert "latest-previous is not whole" in problem
        assert lost in problem

    def test_the_current_image(self, find: t.Any, publish: t.Any, fake: t.Any) -> None:
        """Going back from it is the remedy."""
        old, new = (publish(APP, f"r{day}", day, "latest", platforms=("amd64", "arm64")) for day in ("10", "11"))
        del fake.manifests[APP][fake.tags[APP].pop("r11-arm64")]
        result = find()
        assert (result["problems"], result["revision"]) == ([], "r10")
        assert [(each["from"], each["to"]) for each in result["images"]] == [(new, old)]
