# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module from main() down to a registry in memory that speaks HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
import typing as t
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._prune import run as prune
from ansible_collections.killinit.zot.plugins.modules import zot_prune
from ansible_collections.killinit.zot.plugins.plugin_utils._tables import table_of_tags
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys
from ansible_collections.killinit.zot.tests.unit.web_registry import DENIED, NAME_UNKNOWN, WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request, WebServer, running

pytest.importorskip("requests")

REPOSITORY = "demo/app"
OLD, MIDDLE, NEW = "aaaaaa1", "aaaaaa2", "aaaaaa3"
OLD_TAGS = [OLD, f"{OLD}-amd64", f"{OLD}-arm64"]
REFUSED = Reply(b'{"errors":[{"code":"DENIED","message":"denied"}]}', 405)
CONFLICT = Reply(b'{"errors":[{"code":"MANIFEST_INVALID","message":"conflict"}]}', 409)
UNKNOWN = Reply(b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', 404)
NO_REPOSITORY = Reply(NAME_UNKNOWN.body, 400)


class Scene:
    """A registry with three revisions, the last of which is latest, and the module."""

    def __init__(self, web: WebRegistry, server: WebServer, run_module: t.Any) -> None:
        self.web, self.server, self._run_module = web, server, run_module
        self.tags: dict[str, str] = web.fake.tags[REPOSITORY]
        self.before = dict(self.tags)

    def __call__(self, **options: t.Any) -> dict[str, t.Any]:
        if self.web.searched is not None:
            self.web.searched = {REPOSITORY: self.web.describe(REPOSITORY)}
        given = {"repositories": [REPOSITORY], "registry": self.server.host, "parallel": 1, **options}
        found: dict[str, t.Any] = self._run_module(zot_prune.main, **given)
        extra = ("diff", "warnings")
        assert wrong_keys(zot_prune.RETURN, {key: value for key, value in found.items() if key not in extra}) == []
        return found

    def prune(self, **options: t.Any) -> dict[str, t.Any]:
        return self(**{"keep_last": 2, **options})

    def answer(self, method: str, target: str, *replies: Reply | t.Callable[[], None]) -> None:
        """Answer the next requests for a tag in another way, or do something before the answer."""
        respond, left = self.server.respond, list(replies)

        def other(request: Request) -> Reply:
            if left and request.method == method and request.path.endswith(f"/manifests/{target}"):
                reply = left.pop(0)
                if isinstance(reply, Reply):
                    return reply
                reply()
            return respond(request)

        self.server.respond = other

    @property
    def removed(self) -> list[str]:
        """The tags in the DELETE requests that the server received."""
        return [each.path.rpartition("/")[2] for each in self.server.requests if each.method == "DELETE"]


@pytest.fixture
def scene(fake: t.Any, docker_config: t.Any, run_module: t.Any) -> t.Iterator[Scene]:
    web = WebRegistry(fake)
    for number, name in enumerate((OLD, MIDDLE, NEW)):
        members = [
            fake.put(REPOSITORY, f"{name}-{each}", docker_config(architecture=each), salt=name)
            for each in ("amd64", "arm64")
        ]
        fake.put_index(REPOSITORY, name, *members)
        for tag in (name, f"{name}-amd64", f"{name}-arm64"):
            web.pushed[tag] = web.tagged[tag] = f"2026-0{number + 1}-01T10:00:00.123456789Z"
    fake.tags[REPOSITORY]["latest"] = fake.tags[REPOSITORY][NEW]
    web.searched = {}
    with running(web.respond) as server:
        yield Scene(web, server, run_module)


def tags_of(found: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    return [each["tag"] for each in found]


def test_removed_and_then_unchanged(scene: Scene) -> None:
    before = dict(scene.tags)
    planned = scene.prune(check=True)
    assert scene.removed == []
    done = scene.prune()
    # Check mode is exact.
    for found in (planned, done):
        for each in (*found["deleted"], *found["kept"]):
            each["age"] = bool(each["age"])
    assert planned == done
    assert (done["changed"], tags_of(done["deleted"]), scene.removed) == (True, OLD_TAGS, OLD_TAGS)
    assert done["deleted"][0] == {
        "reference": f"{scene.server.host}/{REPOSITORY}:{OLD}",
        "repository": REPOSITORY,
        "tag": OLD,
        "digest": before[OLD],
        "revision": OLD,
        "pushed_at": "2026-01-01T10:00:00Z",
        "age": True,
        "size": done["deleted"][1]["size"] + done["deleted"][2]["size"],
        "reason": "old",
        "missing": [],
    }
    assert {each["tag"]: each["reason"] for each in done["kept"]} == {
        tag: "shared_tag" if tag == "latest" else "keep_last" for tag in before if tag not in OLD_TAGS
    }
    assert done["freeable"] == done["deleted"][0]["size"] > 2000
    assert done["undo"] == [{"repository": REPOSITORY, "source": before[tag], "tags": [tag]} for tag in OLD_TAGS]
    (diff,) = done["diff"]
    assert [tag for tag in diff["before"] if tag not in diff["after"]] == OLD_TAGS
    again = scene.prune()
    assert (again["changed"], again["deleted"], again["undo"], again["diff"]) == (False, [], [], [])
    assert scene.removed == OLD_TAGS


def test_a_version_is_removed_only_if_the_option_matches_it(scene: Scene) -> None:
    versions = [tag.replace(OLD, "1.4.2") for tag in OLD_TAGS]
    for old, version in zip(OLD_TAGS, versions):
        scene.tags[version] = scene.tags.pop(old)
        scene.web.pushed[version] = scene.web.tagged[version] = scene.web.pushed[old]
    kept = scene.prune(keep_last=2)
    assert (kept["changed"], {each["reason"] for each in kept["kept"] if each["tag"] in versions}) == (
        False,
        {"not_commit"},
    )
    assert len([line for line in table_of_tags(kept) if line.endswith("zot_prune_revisions is not set")]) == 3
    done = scene.prune(keep_last=2, revisions=r"[0-9a-f]{7,40}|\d+\.\d+\.\d+")
    assert tags_of(done["deleted"]) == sorted(versions)


def test_members(scene: Scene) -> None:
    done = scene(untag_members=True)
    members = [tag for tag in scene.before if tag.endswith("64")]
    assert (tags_of(done["deleted"]), done["freeable"]) == (sorted(members), 0)
    assert {each["reason"] for each in done["deleted"]} == {"member"}


@pytest.mark.parametrize("what", ["index", "member", "configuration", "tag", "pinned"])
def test_in_use(what: str, scene: Scene) -> None:
    """By every digest that a pod may report, and by the name of the tag."""
    app, digest = f"{scene.server.host}/{REPOSITORY}", scene.before[f"{OLD}-arm64"]
    document = json.loads(scene.web.fake.manifests[REPOSITORY][digest])
    used = {
        "index": scene.before[OLD],
        "member": digest,
        "configuration": document["config"]["digest"],
        "tag": f"{app}:{OLD}-amd64",
        "pinned": f"{app}:x@{digest}",
    }[what]
    done = scene.prune(in_use=[f"sha256:{'7' * 64}", used])
    assert (done["deleted"], scene.removed) == ([], [])
    assert {each["reason"] for each in done["kept"] if each["tag"] in OLD_TAGS} == {"in_use"}
    assert tags_of(scene.prune(in_use=[f"sha256:{'7' * 64}"])["deleted"]) == OLD_TAGS


# What the registry answers to a DELETE, and the error, or what becomes of the tag.
ANSWERS = {
    "202": (Reply(b"", 202), None),
    "404": (UNKNOWN, None),
    "400 NAME_UNKNOWN": (NO_REPOSITORY, None),
    "403": (DENIED, "denied"),
    "405": (REFUSED, "denied"),
    "409": (CONFLICT, "denied"),
    "401": (Reply(b'{"code":"UNAUTHORIZED"}', 401), "unauthorized"),
    "302": (Reply(b"", 302, {"Location": f"/v2/{REPOSITORY}/manifests/latest"}), "tool_failed"),
    "200": (Reply(b"", 200), "tool_failed"),
    "500": (Reply(b"", 500), "unavailable"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_status(case: str, scene: Scene) -> None:
    """An error ends the removals, and the result says what was removed. No redirect is followed."""
    reply, error_class = ANSWERS[case]
    scene.answer("DELETE", f"{OLD}-amd64", *[reply] * (3 if case == "500" else 1))
    done = scene.prune()
    assert set(scene.before) - set(scene.tags) <= set(OLD_TAGS)
    if error_class is None:
        assert tags_of(done["deleted"]) == ([OLD, f"{OLD}-amd64", f"{OLD}-arm64"] if case == "202" else OLD_TAGS[::2])
        assert f"{OLD}-amd64" not in tags_of(done["kept"])
        return
    assert (done["failed"], done["error_class"], done["changed"]) == (True, error_class, True)
    assert (tags_of(done["deleted"]), [each["tags"] for each in done["undo"]]) == ([OLD], [[OLD]])
    assert {each["tag"]: each["reason"] for each in done["kept"] if each["tag"] in OLD_TAGS} == {
        f"{OLD}-amd64": "failed",
        f"{OLD}-arm64": "not_tried",
    }
    assert re.search(rf"cannot remove \S+:{OLD}-amd64: HTTP status {case}.*1 of 3 tags were removed", done["msg"])
    assert scene.prune()["changed"] is True
    assert set(scene.before) - set(scene.tags) == set(OLD_TAGS)


def test_a_lost_answer(scene: Scene) -> None:
    """The removal happened. It is repeated only if the tag still holds the image."""

    def lose() -> None:
        del scene.tags[OLD]

    scene.answer("DELETE", OLD, Reply(b"", 503))
    scene.answer("HEAD", OLD, lambda: None, lose)
    assert tags_of(scene.prune()["deleted"]) == OLD_TAGS
    assert scene.removed.count(OLD) == 1


def test_an_unknown_outcome_can_be_undone(scene: Scene) -> None:
    scene.answer("DELETE", OLD, *[Reply(b"", 503)] * 3)
    heads = [lambda: None] * 3
    scene.answer("HEAD", OLD, *heads, *[Reply(b"", 503)] * 3)
    done = scene.prune()
    assert (done["error_class"], done["deleted"]) == ("unavailable", [])
    assert done["undo"] == [{"repository": REPOSITORY, "source": scene.before[OLD], "tags": [OLD]}]


@pytest.mark.parametrize("target", [OLD, f"{OLD}-amd64"])
def test_a_tag_that_moved_is_kept(target: str, scene: Scene) -> None:
    """Between the plan and its removal."""

    def move() -> None:
        scene.tags[target] = scene.tags[NEW]

    scene.answer("HEAD", target, move)
    done = scene.prune()
    assert target not in scene.removed
    assert [each["reason"] for each in done["kept"] if each["tag"] == target] == ["moved"]
    assert "failed" not in done


def test_an_index_that_moved_keeps_the_tag_of_its_member(scene: Scene) -> None:
    def move() -> None:
        scene.tags[OLD] = scene.tags[NEW]

    scene.answer("HEAD", OLD, move)
    done = scene(untag_members=True)
    assert [each["reason"] for each in done["kept"] if each["tag"] == f"{OLD}-amd64"] == ["moved"]
    assert f"{OLD}-amd64" in scene.tags


def test_search_is_of_yesterday(scene: Scene) -> None:
    """After a crash of Zot its search extension may name another digest."""
    scene.web.searched = {}
    searched = scene.web.describe(REPOSITORY)
    scene.tags[OLD] = scene.tags[NEW]
    described = scene.web.describe
    scene.web.describe = lambda *_arguments: searched  # type: ignore[method-assign]
    done = scene.prune()
    scene.web.describe = described  # type: ignore[method-assign]
    assert OLD in scene.tags
    assert [each["reason"] for each in done["kept"] if each["tag"] == OLD] == ["moved"]


def test_without_search_every_age_is_unknown(scene: Scene) -> None:
    scene.web.searched = None
    done = scene.prune()
    assert (done["changed"], {each["reason"] for each in done["kept"]}) == (False, {"unknown_age", "shared_tag"})
    assert "The age of the tags of demo/app is not known" in done["warnings"][0]
    assert len(scene(untag_members=True)["deleted"]) == 6


def test_the_account_may_not_remove_tags(scene: Scene) -> None:
    """Check mode says so, too; nothing is tried."""
    scene.web.deletable = False
    for check in (True, False):
        done = scene.prune(check=check)
        assert (done["error_class"], done["deleted"], scene.removed) == ("denied", [], [])
        assert "action delete" in done["hint"]
        assert [each["reason"] for each in done["kept"] if each["tag"] in OLD_TAGS] == ["denied"] * 3
    assert "failed" not in scene.prune(keep_last=3)


def test_too_many(scene: Scene) -> None:
    for check in (True, False):
        done = scene.prune(max_deletes=2, check=check)
        assert (done["error_class"], done["changed"], scene.removed) == ("invalid_option", False, [])
        assert "3 tags would be removed, and max_deletes is 2" in done["msg"]
        assert [each["reason"] for each in done["kept"] if each["tag"] in OLD_TAGS] == ["max_deletes"] * 3
    assert len(scene.prune(max_deletes=3)["deleted"]) == 3


def attach(scene: Scene, digest: str) -> str:
    tag = f"{digest.replace(':', '-')}.sig"
    scene.web.fake.put(REPOSITORY, tag, salt=tag)
    return tag


def test_attachments(scene: Scene) -> None:
    """The attachments of an old index and of an old member are removed last, and can be restored."""
    old, member, new, orphan = (
        attach(scene, each)
        for each in (scene.tags[OLD], scene.tags[f"{OLD}-amd64"], scene.tags[NEW], f"sha256:{'9' * 64}")
    )
    digest = scene.tags[old]
    done = scene.prune()
    assert set(scene.removed[:3]) == set(OLD_TAGS)
    assert set(scene.removed[3:]) == {old, member, orphan}
    assert new in tags_of(done["kept"])
    assert {"repository": REPOSITORY, "source": digest, "tags": [old]} in done["undo"]


def test_the_attachment_of_an_image_that_is_tagged_again(scene: Scene) -> None:
    """Somebody rolls back to it meanwhile."""
    signature = attach(scene, scene.tags[OLD])

    def roll_back() -> None:
        scene.tags["latest"] = scene.before[OLD]
        scene.web.searched = {REPOSITORY: scene.web.describe(REPOSITORY)}

    scene.answer("DELETE", f"{OLD}-arm64", roll_back)
    done = scene.prune()
    assert signature in scene.tags
    assert tags_of(done["deleted"]) == OLD_TAGS
    assert [each["reason"] for each in done["kept"] if each["tag"] == signature] == ["moved"]


def test_an_untagged_image_keeps_its_attachment(scene: Scene) -> None:
    """A pod may run it."""
    digest = scene.tags.pop(OLD)
    signature = attach(scene, digest)
    assert signature in tags_of(scene.prune()["kept"])


@pytest.mark.parametrize("body", [b'{"tags": ["a\\u001b[2J"]}', b"<html>", b"[" * 100_000], ids=["tag", "html", "deep"])
def test_a_hostile_list_of_tags(body: bytes, scene: Scene) -> None:
    respond = scene.server.respond
    scene.server.respond = lambda request: Reply(body) if request.path.endswith("/tags/list") else respond(request)
    done = scene.prune()
    assert (done["error_class"], done["deleted"], scene.removed) == ("tool_failed", [], [])
    assert "the answer of the registry is invalid" in done["msg"]
    assert done["msg"].isprintable()


@pytest.mark.parametrize("tags", [[], [OLD]])
def test_a_tag_list_with_endless_pages(tags: list[str], scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.killinit.zot.plugins.module_utils._registry import http_api

    monkeypatch.setattr(http_api, "_MOST_PAGES", 50)
    respond, page = scene.server.respond, iter(range(1_000_000))

    def endless(request: Request) -> Reply:
        if "/tags/list" not in request.path:
            return respond(request)
        link = {"Link": f'</v2/{REPOSITORY}/tags/list?last={next(page)}>; rel="next"'}
        return Reply(json.dumps({"tags": tags}).encode(), 200, link)

    scene.server.respond = endless
    done = scene.prune()
    assert "its pages do not end" in done["msg"]
    assert scene.removed == []


def test_a_tag_list_that_is_too_long(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.killinit.zot.plugins.module_utils._registry import http_api

    monkeypatch.setattr(http_api, "_MOST_TAGS", 9)
    assert "it has more than 9 tags" in scene.prune()["msg"]


def test_a_repository_that_is_unreadable(scene: Scene) -> None:
    """The search extension answers as if it were empty."""
    scene.web.unreadable.add(REPOSITORY)
    done = scene.prune()
    assert (done["error_class"], scene.removed) == ("denied", [])


def test_one_of_two_repositories_does_not_exist(scene: Scene) -> None:
    done = scene.prune(repositories=[REPOSITORY, "demo/none"])
    assert (done["error_class"], scene.removed) == ("not_found", [])
    assert "demo/none does not exist; nothing was removed" in done["msg"]


def test_parallel_is_bounded(scene: Scene) -> None:
    respond, lock, most = scene.server.respond, threading.Lock(), [0, 0]

    def slow(request: Request) -> Reply:
        if request.method != "DELETE":
            return respond(request)
        with lock:
            most[0] += 1
            most[1] = max(most)
        time.sleep(0.05)
        with lock:
            most[0] -= 1
            return respond(request)

    scene.server.respond = slow
    assert len(scene.prune(keep_last=1, parallel=3)["deleted"]) == 6
    assert 1 < most[1] <= 3


def test_the_newest_revision_is_kept_at_any_age(scene: Scene) -> None:
    done = scene(keep_newer_than="1m")
    assert {each["tag"]: each["reason"] for each in done["kept"]}[NEW] == "keep_last"
    assert len(done["deleted"]) == 6
    assert scene(keep_newer_than="9999w", keep_last=1)["changed"] is False


def test_a_fast_clock_does_not_make_a_revision_old(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry has written the time of the push, so its clock counts."""
    pushed = datetime.now(timezone.utc)
    scene.web.pushed.update(dict.fromkeys(OLD_TAGS, f"{pushed:%FT%TZ}"))
    scene.web.pushed[NEW] = f"{pushed + timedelta(seconds=5):%FT%TZ}"
    monkeypatch.setattr(prune, "time", SimpleNamespace(time=lambda: time.time() + 40 * 86400))
    done = scene(keep_newer_than="30d")
    kept = {each["tag"]: each for each in done["kept"]}
    assert [(kept[tag]["reason"], kept[tag]["age"] < 60) for tag in OLD_TAGS] == [("newer", True)] * 3
    monkeypatch.setattr(prune, "time", SimpleNamespace(time=lambda: 0))
    assert scene(keep_newer_than="30d")["changed"] is False


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 10:00:00 GMT"])
def test_an_invalid_date_is_ignored(date: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_arguments: date)
    assert len(scene(keep_newer_than="1m")["deleted"]) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repositories": []}, "repositories is empty"),
        ({"repositories": [5]}, "repositories[0] is the number 5"),
        ({"repositories": ["Demo/App"]}, "is not a valid repository"),
        ({"repositories": ["demo/app:latest"]}, "is not a valid repository"),
        ({"keep_last": 0}, "keep_last is 0, but must be at least 1"),
        ({"keep_newer_than": "30"}, "use a number and the unit"),
        ({"keep_newer_than": 30}, "keep_newer_than is the number 30"),
        ({"keep_newer_than": "0d"}, "use a number and the unit"),
        ({"keep_newer_than": "1y"}, "use a number and the unit"),
        ({"keep": ["("]}, "keep: '(' is not a regular expression"),
        ({"keep": [5]}, "keep[0] is the number 5"),
        ({"keep": "aaaaaa1,aaaaaa2"}, "keep: 'aaaaaa1,aaaaaa2' matches no tag"),
        ({"keep": "aaaaaa.*\n"}, "keep: 'aaaaaa.*\\n' matches no tag"),
        ({"keep": ["a{6}1", "a{6,7}2, b"]}, "keep: 'a{6,7}2, b' matches no tag"),
        ({"revisions": "("}, "revisions: '(' is not a regular expression"),
        ({"revisions": ".*"}, "revisions: '.*' also matches the shared tag latest"),
        ({"revisions": "[a-z0-9]+|v.*"}, "also matches the shared tag latest"),
        ({"in_use": []}, "in_use is empty"),
        ({"in_use": ""}, "in_use is empty"),
        ({"in_use": ["mirror.example/demo/app:1"]}, "is not an image of"),
        ({"in_use": [""]}, "in_use is empty"),
        ({"in_use": ["sha256:0"]}, "'sha256:0' is not a digest"),
        ({"in_use": OLD}, f"in_use: '{OLD}' is neither reference nor digest"),
        ({"in_use": [f"{REPOSITORY}:{NEW}, {OLD}"]}, f"in_use: '{OLD}' is neither reference"),
        ({"max_deletes": -1}, "max_deletes is -1, but must be at least 0"),
        ({"parallel": 0}, "parallel is 0, but must be at least 1"),
        ({"keep_last": None}, "no option selects tags to remove"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_used(options: dict[str, t.Any], message: str, scene: Scene) -> None:
    done = scene.prune(**options)
    assert (done["error_class"], done["deleted"], scene.server.requests) == ("invalid_option", [], [])
    assert message in done["msg"]


def test_texts_with_commas(scene: Scene) -> None:
    """A list of repositories may be one text; an expression may contain a comma."""
    done = scene.prune(repositories=f"{REPOSITORY}, {REPOSITORY}", keep="a{6,7}1.*")
    assert done["deleted"] == []
    assert scene.prune(keep="[ab,]{6}1")["changed"] is False
    assert scene.prune(keep=["a{6}1"])["changed"] is False


def test_an_older_zot_does_not_know_every_field(scene: Scene) -> None:
    """It refuses the whole query. Then the push alone says how old a tag is."""
    respond = scene.server.respond

    def older(request: Request) -> Reply:
        if "TaggedTimestamp" in request.path:
            return Reply(b'{"errors":[{"message":"Cannot query field"}],"data":null}', 422)
        return respond(request)

    scene.server.respond = older
    assert tags_of(scene.prune()["deleted"]) == OLD_TAGS
    assert "unknown" not in str(scene.prune())


def test_a_broken_revision_and_upload_tags(scene: Scene) -> None:
    """The intact revisions are kept, the broken one is named, and the upload tag of a day ago is removed."""
    web = scene.web
    lost, amd64 = scene.tags[f"{NEW}-arm64"], scene.tags[f"{NEW}-amd64"]
    old, young = f"upload-0123456789ab-{NEW}-amd64", "upload-ba9876543210-latest"
    for tag, pushed in ((old, "2026-03-01T10:00:00Z"), (young, "2999-01-01T10:00:00Z")):
        scene.tags[tag] = amd64
        web.pushed[tag] = web.tagged[tag] = pushed
    del scene.tags[f"{NEW}-arm64"]
    web.lost = {lost}
    done = scene.prune()
    assert tags_of(done["deleted"]) == [old]
    host = scene.server.host
    assert done["broken"] == [f"{host}/{REPOSITORY}:{tag}" for tag in (NEW, "latest")]
    (warning,) = done["warnings"]
    assert all(word in warning for word in ("linux/arm64", lost, "Publish the same archives again"))
    kept = {each["tag"]: (each["reason"], each["missing"]) for each in done["kept"]}
    assert (kept[OLD], kept[MIDDLE], kept[NEW]) == (("keep_last", []), ("keep_last", []), ("broken", [lost]))
    assert kept[young] == ("upload", [])
    table = table_of_tags(done)
    assert [line for line in table if NEW in line and "not whole" in line]
    heads = [each.path for each in scene.server.requests if each.method == "HEAD" and "sha256:" in each.path]
    assert len(heads) == len(set(heads)) == 6
