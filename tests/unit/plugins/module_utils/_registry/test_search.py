# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_image_info with details and referrers, from main() to a registry in memory that speaks HTTP."""

from __future__ import annotations

import copy
import json
import sys
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import registry as registry_file
from ansible_collections.killinit.zot.plugins.modules import zot_image_info
from ansible_collections.killinit.zot.tests.unit.web_registry import CAPTURED, WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request, WebServer, running

pytest.importorskip("requests")

ATTACHED = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": f"sha256:{'1' * 64}",
    "size": 732,
    "artifactType": "application/spdx+json",
    "annotations": {"org.opencontainers.image.created": "2026-11-25T00:00:00Z"},
}


class Scene:
    """A registry with an index of two platforms under r1 and latest, and the module to read it with."""

    def __init__(self, web: WebRegistry, server: WebServer, run_module: t.Any) -> None:
        self.web, self.server, self._run_module = web, server, run_module

    def __call__(self, **options: t.Any) -> dict[str, t.Any]:
        found: dict[str, t.Any] = self._run_module(zot_image_info.main, registry=self.server.host, **options)
        return found

    def details(self) -> dict[str, t.Any]:
        """The only repository of a successful result."""
        result = self(repositories=["demo/app"], details=True)
        assert "msg" not in result, result["msg"]
        found: dict[str, t.Any] = result["repositories"][0]
        return found


@pytest.fixture
def scene(fake: t.Any, docker_config: t.Any, run_module: t.Any) -> t.Iterator[Scene]:
    amd64 = fake.put("demo/app", "r1-amd64")
    arm = fake.put("demo/app", "r1-arm-v7", docker_config(architecture="arm", variant="v7"))
    fake.put_index("demo/app", "r1", amd64, arm)
    fake.tags["demo/app"]["latest"] = fake.tags["demo/app"]["r1"]
    web = WebRegistry(fake)
    with running(web.respond) as server:
        yield Scene(web, server, run_module)


def requests_of(server: WebServer) -> list[str]:
    return [f"{each.method} {each.path.partition('?')[0].rpartition('/v2/')[2]}" for each in server.requests]


def test_search_answers_in_one_request(scene: Scene) -> None:
    """The digests are not requested one by one, so no pull is counted."""
    scene.web.searched = {"demo/app": scene.web.describe("demo/app")}
    found = scene.details()
    assert (found["source"], found["exists"], found["tags"]) == (
        "search",
        True,
        ["latest", "r1", "r1-amd64", "r1-arm-v7"],
    )
    latest = found["images"][0]
    assert latest["platforms"] == ["linux/amd64", "linux/arm/v7"]
    assert (latest["pushed_at"], latest["last_pulled_at"]) == ("2026-11-25T17:23:05.323101051Z", None)
    assert latest["signed"] is False
    assert requests_of(scene.server) == ["GET demo/app/tags/list", "GET _zot/ext/search"]
    assert scene.web.fake.commands == []


def test_the_registry_has_the_same_keys(scene: Scene) -> None:
    """Each digest is read once, and each tag with a HEAD."""
    without = scene.details()
    read = [each for each in requests_of(scene.server) if each.startswith("GET demo/app/manifests/")]
    assert len(read) == len(set(read)) + 2 == 5  # the members of the index have tags, too
    assert scene.web.fake.commands == []
    assert sum(each.method == "HEAD" for each in scene.server.requests) == 4
    scene.web.searched = {"demo/app": scene.web.describe("demo/app")}
    searched = scene.details()
    assert (without.pop("source"), searched.pop("source")) == ("registry", "search")
    for image in searched["images"]:
        image.update(pushed_at=None, last_pulled_at=None, signed=None)
    assert without == searched


def test_search_lacks_a_tag_and_keeps_a_deleted_one(scene: Scene) -> None:
    """After a crash its database is not that of the registry."""
    scene.web.searched = {"demo/app": scene.web.describe("demo/app", "r1", "r1-amd64", "r1-arm-v7")}
    del scene.web.fake.tags["demo/app"]["r1-arm-v7"]
    found = scene.details()
    assert [image["tag"] for image in found["images"]] == found["tags"] == ["latest", "r1", "r1-amd64"]
    assert found["source"] == "search"
    assert [image["pushed_at"] is None for image in found["images"]] == [True, False, False]
    assert found["images"][0]["digest"] == found["images"][1]["digest"]


def test_an_unreadable_repository_is_an_error(scene: Scene) -> None:
    scene.web.searched = {}
    scene.web.unreadable.add("demo/app")
    result = scene(repositories=["demo/app"], details=True)
    assert (result["failed"], result["error_class"]) == (True, "denied")


def test_an_absent_repository(scene: Scene) -> None:
    scene.web.searched = {}
    (found,) = scene(repositories=["demo/none"], details=True)["repositories"]
    assert (found["exists"], found["tags"], found["images"], found["source"]) == (False, [], [], None)


@pytest.mark.parametrize("answer", ["absent", "unreadable", "unknown-field"])
def test_missing_answers_of_the_search_are_read_from_the_registry(
    answer: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = CAPTURED[answer]
    reply = Reply(json.dumps(captured["body"]).encode(), captured["status"])
    monkeypatch.setattr(scene.web, "_search", lambda _query: reply)
    found = scene.details()
    assert (found["source"], len(found["images"])) == ("registry", 4)


IMAGE = CAPTURED["index"]["body"]["data"]["ExpandedRepoInfo"]["Images"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"Tag": 1},
        {"Tag": "../up"},
        {"Digest": "sha256:0"},
        {"Digest": None},
        {"MediaType": {}},
        {"Manifests": 1},
        {"Manifests": ["text"]},
        {"Manifests": [{}]},
        {"Manifests": [{**IMAGE["Manifests"][0], "Size": "many"}]},
        {"Manifests": [{**IMAGE["Manifests"][0], "Platform": "linux"}]},
        {"PushTimestamp": 5},
    ],
    ids=str,
)
def test_search_answers_with_wrong_types(change: dict[str, t.Any], scene: Scene) -> None:
    scene.web.searched = {"demo/app": [{**copy.deepcopy(IMAGE), **change}]}
    found = scene.details()
    assert (found["source"], len(found["images"])) == ("registry", 4)


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"data": null}', b'{"data": {"ExpandedRepoInfo": []}}'])
def test_search_answers_with_something_else(body: bytes, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.web, "_search", lambda _query: Reply(body))
    assert scene.details()["source"] == "registry"


def test_search_is_unavailable(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes is no reason to read every tag."""
    monkeypatch.setattr(scene.web, "_search", lambda _query: Reply(b"", 503))
    result = scene(repositories=["demo/app"], details=True)
    assert (result["error_class"], result["retryable"]) == ("unavailable", True)


def test_what_is_attached_is_no_image(scene: Scene) -> None:
    """But cosign's tag says that an image is signed."""
    tags = scene.web.fake.tags["demo/app"]
    name = f"sha256-{tags['r1-amd64'][7:]}"
    tags[f"{name}.sig"] = tags[name] = scene.web.fake.put("demo/app", None, salt="signature")
    found = scene.details()
    assert [image["tag"] for image in found["images"]] == ["latest", "r1", "r1-amd64", "r1-arm-v7"]
    assert f"{name}.sig" in found["tags"]
    assert {image["tag"]: image["signed"] for image in found["images"]}["r1-amd64"] is True
    assert found["images"][0]["signed"] is None


def test_an_artifact_that_is_no_image(scene: Scene) -> None:
    """A chart has another configuration, and no platform."""
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": f"sha256:{'0' * 64}", "size": 9},
        "layers": [],
    }
    scene.web.fake.put_manifest("demo/app", "chart", document)
    chart = scene.details()["images"][0]
    assert (chart["tag"], chart["platforms"], chart["manifests"][0]["config_digest"]) == (
        "chart",
        [],
        f"sha256:{'0' * 64}",
    )


def test_a_tag_that_is_removed_meanwhile(scene: Scene) -> None:
    respond = scene.web.respond

    def remove(request: Request) -> Reply:
        if request.method == "HEAD":
            scene.web.fake.tags["demo/app"].pop("r1-amd64", None)
        return respond(request)

    scene.server.respond = remove
    assert [image["tag"] for image in scene.details()["images"]] == ["latest", "r1", "r1-arm-v7"]


def test_requests_is_not_installed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is needed for the details alone."""
    monkeypatch.setitem(sys.modules, "requests", None)
    assert scene(repositories=["demo/app"])["repositories"][0]["exists"]
    result = scene(repositories=["demo/app"], details=True)
    assert result["error_class"] == "tool_missing"
    assert "pip install requests" in result["hint"]


def test_many_images_are_read_over_http(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is that of crane, which also reads them if the library is missing."""
    monkeypatch.setattr(registry_file, "_FEW", 0)
    fake = scene.web.fake
    tags = ["r1", "none", *(f"t{number}" for number in range(20))]
    for number in range(20):
        fake.put("demo/app", f"t{number}")
    names = [f"demo/app:{tag}" for tag in tags]
    fake.commands.clear()
    found = scene(images=names)["images"]
    assert len(fake.commands) < len(names)
    assert [image["exists"] for image in found] == [tag != "none" for tag in tags]
    monkeypatch.setitem(sys.modules, "requests", None)
    assert scene(images=names)["images"] == found
    assert len(fake.commands) >= len(names)


def test_few_images_are_read_with_crane(scene: Scene) -> None:
    """As many references to one image are one image."""
    assert [image["exists"] for image in scene(images=["demo/app:r1"] * 30)["images"]] == [True] * 30
    assert scene.server.requests == []


def test_referrers_of_an_image_and_its_members(scene: Scene) -> None:
    tags = scene.web.fake.tags["demo/app"]
    other = {**ATTACHED, "digest": f"sha256:{'2' * 64}", "artifactType": "", "annotations": None}
    scene.web.attached = {tags["r1"]: [ATTACHED], tags["r1-arm-v7"]: [other, other]}
    (image,) = scene(images=["demo/app:r1"], referrers=True)["images"]
    assert image["referrers"] == [
        {
            "subject": tags["r1"],
            "digest": ATTACHED["digest"],
            "artifact_type": "application/spdx+json",
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "size": 732,
            "annotations": ATTACHED["annotations"],
            "tag": None,
        },
        {
            "subject": tags["r1-arm-v7"],
            "digest": other["digest"],
            "artifact_type": None,
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "size": 732,
            "annotations": {},
            "tag": None,
        },
    ]


def test_referrers_by_tag(scene: Scene) -> None:
    """Without the API the specification has a tag with an index of them; cosign has tags of its own."""
    fake = scene.web.fake
    subject = fake.tags["demo/app"]["r1-amd64"]
    name = subject.replace(":", "-")
    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [ATTACHED]}
    fake.put_manifest("demo/app", name, document)
    signature = fake.put("demo/app", f"{name}.sig", salt="signature")
    (image,) = scene(images=["demo/app:r1-amd64"], referrers=True)["images"]
    assert [(each["subject"], each["digest"], each["tag"]) for each in image["referrers"]] == [
        (subject, ATTACHED["digest"], None),
        (subject, signature, f"{name}.sig"),
    ]


def test_referrers_of_what_does_not_exist(scene: Scene) -> None:
    scene.web.attached = {}
    (image,) = scene(images=["demo/none:1"], referrers=True)["images"]
    assert (image["exists"], image["referrers"]) == (False, [])


@pytest.mark.parametrize(
    "change",
    [{"digest": "text"}, {"digest": None}, {"size": "1"}, {"artifactType": 1}, {"annotations": {"a": 1}}],
    ids=str,
)
def test_referrers_with_wrong_types(change: dict[str, t.Any], scene: Scene) -> None:
    scene.web.attached = {scene.web.fake.tags["demo/app"]["r1-amd64"]: [{**ATTACHED, **change}]}
    result = scene(images=["demo/app:r1-amd64"], referrers=True)
    assert result["error_class"] == "tool_failed"
    assert "the response of the registry is invalid" in result["msg"]


def test_referrers_of_another_registry(scene: Scene) -> None:
    """The account is for one registry."""
    result = scene(images=["other.example/demo/app:1"], referrers=True)
    assert result["error_class"] == "invalid_option"
