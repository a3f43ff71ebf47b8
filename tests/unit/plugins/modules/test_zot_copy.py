# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_copy from main() down, between two registries in memory."""

from __future__ import annotations

import base64
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import search_images
from ansible_collections.killinit.zot.plugins.modules import zot_copy
from ansible_collections.killinit.zot.tests.unit.conftest import FakeRegistry, replace_tools
from ansible_collections.killinit.zot.tests.unit.copy_scene import IN_TOTO, NOTARY, SPDX, Crane, End
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys
from ansible_collections.killinit.zot.tests.unit.web_registry import CAPTURED
from ansible_collections.killinit.zot.tests.unit.web_server import running

pytest.importorskip("requests")

CA = Path(__file__).parents[2] / "ca.pem"


class Scene:
    """An index of two platforms at the source, with an SBOM, a signature and an attestation of one platform."""

    def __init__(self, source: End, destination: End, crane: Crane, run_module: t.Any) -> None:
        self.source, self.destination, self.crane = source, destination, crane
        self._run_module = run_module
        self.amd64 = source.fake.put("demo/app", "amd64")
        self.arm64 = source.fake.put("demo/app", "arm64", b'{"os":"linux","architecture":"arm64"}')
        self.index = source.fake.put_index("demo/app", "r1", self.amd64, self.arm64)
        self.sbom = source.attach("demo/app", self.index, SPDX)
        self.signature = source.attach("demo/app", self.index, NOTARY)
        self.attestation = source.attach("demo/app", self.arm64, IN_TOTO)

    def __call__(self, **options: t.Any) -> dict[str, t.Any]:
        given: dict[str, t.Any] = {
            "source_registry": self.source.host,
            "source_username": "reader",
            "source_password": "read-s3cret",
            "registry": self.destination.host,
            "tags": ["r1"],
            "repository": "demo/app",
            **options,
        }
        if "images" in options:
            given = {name: value for name, value in given.items() if name not in ("tags", "repository")}
        result: dict[str, t.Any] = self._run_module(zot_copy.main, **given)
        return result

    def tags(self, repository: str = "demo/app") -> dict[str, str]:
        """The tags of the destination."""
        return dict(self.destination.fake.tags.get(repository, {}))

    def clear_requests(self) -> None:
        for end in (self.source, self.destination):
            assert end.server
            end.server.requests.clear()
            end.fake.commands.clear()
        self.crane.done.clear()


@pytest.fixture
def scene(fake: FakeRegistry, run_module: t.Any, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Scene]:
    ends = [End(fake, attached={}), End(FakeRegistry(), attached={})]
    crane = Crane(ends)
    replace_tools(monkeypatch, crane.run)
    with running(ends[0].respond) as source, running(ends[1].respond) as destination:
        ends[0].server, ends[1].server = source, destination
        yield Scene(ends[0], ends[1], crane, run_module)


def test_everything_is_copied_and_the_tag_is_last(scene: Scene) -> None:
    result = scene()
    assert scene.tags() == {"r1": scene.index}
    digests = [scene.index, scene.sbom, scene.signature, scene.attestation]
    assert scene.crane.done[0] == f"copy demo/app@{scene.index}"
    assert sorted(scene.crane.done[1:-1]) == sorted(f"copy demo/app@{each}" for each in digests[1:])
    assert scene.crane.done[-1] == "tag demo/app:r1"
    (image,) = result["images"]
    assert (image["digest"], image["platforms"]) == (scene.index, ["linux/amd64", "linux/arm64"])
    assert {each["digest"]: each["subject"] for each in image["referrers"]} == {
        scene.sbom: scene.index,
        scene.signature: scene.index,
        scene.attestation: scene.arm64,
    }
    assert [each["to"] for each in result["moved"]] == [scene.index]
    assert wrong_keys(zot_copy.RETURN, {name: value for name, value in result.items() if name != "diff"}) == []


def test_a_second_run_asks_little(scene: Scene) -> None:
    """One request for all images of each end, one for each member of the destination, and two for what is signed.

    Zot hides signatures in its search, and lists members that it has lost.
    """
    first = scene(shared_tags=["latest"])
    scene.clear_requests()
    again = scene(shared_tags=["latest"])
    assert (again["changed"], again["moved"], again["diff"], scene.crane.done) == (False, [], [], [])
    assert scene.source.requests == ["GET _zot/ext/search", f"GET demo/app/referrers/{scene.index}"]
    read = [f"HEAD demo/app/manifests/{digest}" for digest in (scene.amd64, scene.arm64, scene.signature)]
    assert scene.destination.requests == ["GET _zot/ext/search", *read]
    found = [{each["digest"] for each in result["images"][0]["referrers"]} for result in (first, again)]
    assert found[0] == found[1] == {scene.sbom, scene.signature, scene.attestation}


@pytest.mark.parametrize("without", ["source", "destination", "both"])
def test_without_the_search_extension(scene: Scene, without: str) -> None:
    for name in ("source", "destination"):
        getattr(scene, name).search = without not in (name, "both")
    scene()
    scene.crane.done.clear()
    again = scene()
    assert (again["changed"], scene.crane.done) == (False, [])


@pytest.mark.parametrize("kind", [SPDX, NOTARY])
def test_a_late_referrer(scene: Scene, kind: str) -> None:
    scene()
    late = scene.source.attach("demo/app", scene.amd64, kind, "late")
    scene.crane.done.clear()
    assert scene(check=True)["changed"] is True
    result = scene()
    assert scene.crane.done == [f"copy demo/app@{late}"]
    assert [each["digest"] for each in result["images"][0]["referrers"] if each["copied"]] == [late]
    assert (result["images"][0]["copied"], result["moved"]) == (False, [])
    (diff,) = result["diff"]
    assert [each for each in diff["after"]["referrers"] if each not in diff["before"]["referrers"]] == [
        f"{kind} {late}"
    ]
    assert scene()["changed"] is False


@pytest.mark.parametrize("suffix", ["sig", "att", "sbom"])
def test_a_tag_that_attaches(scene: Scene, suffix: str) -> None:
    scene()
    tag = f"{scene.arm64.replace(':', '-')}.{suffix}"
    digest = scene.source.fake.put("demo/app", tag, salt="attached")
    scene.crane.done.clear()
    result = scene()
    assert scene.crane.done == [f"copy demo/app@{digest}", f"tag demo/app:{tag}"]
    assert [each["tag"] for each in result["images"][0]["referrers"] if each["copied"]] == [tag]
    assert scene()["changed"] is False
    moved = scene.source.fake.put("demo/app", tag, salt="signed again")
    refused = scene(overwrite=False)
    assert (refused["error_class"], tag in refused["msg"]) == ("denied", True)
    assert scene()["changed"] is True
    assert scene.tags()[tag] == moved


def test_two_tags_attach_the_same_manifest(scene: Scene) -> None:
    tags = [f"{scene.arm64.replace(':', '-')}.{suffix}" for suffix in ("sig", "att")]
    digest = scene.source.fake.put("demo/app", tags[0], salt="attached")
    scene.source.fake.tags["demo/app"][tags[1]] = digest
    scene()
    assert scene.tags() == {"r1": scene.index, **dict.fromkeys(tags, digest)}
    assert scene()["changed"] is False


def test_an_index_at_the_source_lacks_a_member(scene: Scene) -> None:
    """Zot deletes a member whose last tag moves. Nothing is written, and a dry run says the same."""
    del scene.source.fake.manifests["demo/app"][scene.arm64]
    for result in (scene(check=True), scene()):
        assert (result["error_class"], f"linux/arm64 {scene.arm64}" in result["msg"]) == ("not_found", True)
        assert (scene.crane.done, scene.tags()) == ([], {})


@pytest.mark.parametrize("shared", [["latest"], []])
def test_an_index_at_the_destination_lacks_a_member(scene: Scene, shared: list[str]) -> None:
    """No tag moves to it before the member is there again, and without a tag to move the member is copied, too."""
    scene.source.search = scene.destination.search = False
    scene()
    del scene.destination.fake.manifests["demo/app"][scene.arm64]
    scene.crane.done.clear()
    result = scene(shared_tags=shared)
    assert scene.crane.done == [f"copy demo/app@{scene.arm64}", *(f"tag demo/app:{tag}" for tag in shared)]
    assert "msg" not in result, result["msg"]


def test_without_referrers(scene: Scene) -> None:
    scene(referrers=False)
    assert scene.crane.done == [f"copy demo/app@{scene.index}", "tag demo/app:r1"]
    assert scene(referrers=False, require=["sbom"])["error_class"] == "invalid_option"
    assert scene()["changed"] is True


def test_the_search_extension_is_behind(scene: Scene) -> None:
    """It may find that nothing is to be done. The registry decides what is written."""
    scene()
    scene.destination.stale["demo/app:r1"] = scene.amd64
    scene.crane.done.clear()
    assert (scene()["changed"], scene.crane.done) == (False, [])
    scene.destination.stale.clear()
    new = scene.source.fake.put_index("demo/app", "r1", scene.arm64)
    scene.source.stale["demo/app:r1"] = scene.amd64
    assert scene()["images"][0]["digest"] == new == scene.tags()["r1"]


class TestTags:
    """Which tags move, when, and what is kept."""

    def test_no_tag_moves_if_an_image_fails(self, scene: Scene) -> None:
        other = scene.source.fake.put("demo/other", "r1", salt="other")
        items = [{"repository": name, "tags": ["r1"], "shared_tags": ["latest"]} for name in ("demo/app", "demo/other")]
        scene.crane.fails[other] = "reader-pushes"
        result = scene(images=items)
        assert (result["error_class"], result["changed"], result["moved"]) == ("denied", True, [])
        assert "1 of 2 images are copied" in result["msg"]
        assert "no tag was written" in result["msg"]
        assert scene.tags() == scene.tags("demo/other") == {}
        assert [bool(image["error"]) for image in result["images"]] == [False, True]
        scene.crane.fails.clear()
        scene.crane.done.clear()
        assert scene(images=items)["changed"] is True
        # The shared tags move after the others of all images.
        assert [each.rpartition(":")[2] for each in scene.crane.done[-4:]] == ["r1", "r1", "latest", "latest"]

    @pytest.mark.parametrize("overwrite", [False, "no", ["r2"]])
    def test_another_image_under_the_tag(self, scene: Scene, overwrite: t.Any) -> None:
        before = scene.destination.fake.put("demo/app", "r1", salt="before")
        result = scene(overwrite=overwrite)
        assert (result["error_class"], result["moved"], scene.crane.done) == ("denied", [], [])
        assert before in result["msg"]
        assert scene.index in result["msg"]

    def test_the_previous_image_is_kept(self, scene: Scene) -> None:
        before = scene.destination.fake.put("demo/app", "latest", salt="before")
        options = {"shared_tags": ["latest"], "overwrite": False, "keep_previous": "{tag}-previous"}
        planned = scene(check=True, **options)
        assert (scene.crane.done, scene.tags()) == ([], {"latest": before})
        result = scene(**options)
        assert planned == result
        assert scene.tags() == {"r1": scene.index, "latest": scene.index, "latest-previous": before}
        assert result["images"][0]["tags"][1]["previous_tag"].endswith("demo/app:latest-previous")
        assert [(each["tag"], each["from"]) for each in result["moved"]] == [
            ("r1", None),
            ("latest", before),
            ("latest-previous", None),
        ]

    def test_another_client_moves_the_tag_during_the_copy(self, scene: Scene) -> None:
        """Its image is not replaced, and not lost."""
        scene.destination.fake.put("demo/app", "latest", salt="before")
        scene.crane.meanwhile = lambda: scene.destination.fake.put("demo/app", "latest", salt="meanwhile")
        result = scene(shared_tags=["latest"], overwrite=False, keep_previous="{tag}-previous")
        assert (result["error_class"], "at the same time" in result["msg"]) == ("tool_failed", True)
        meanwhile = scene.destination.fake.put("demo/app", None, salt="meanwhile")
        assert scene.tags() == {"r1": scene.index, "latest": meanwhile}
        assert [each["tag"] for each in result["moved"]] == ["r1"]

    def test_the_garbage_collection_runs_before_the_first_tag(self, scene: Scene) -> None:
        """It removes what no tag holds. The image is copied again."""
        collected = []

        def collect() -> None:
            if scene.index in scene.destination.fake.manifests["demo/app"] and not collected:
                collected.append(scene.destination.fake.manifests["demo/app"].pop(scene.index))

        scene.crane.meanwhile = collect
        assert not scene().get("failed")
        assert (scene.tags(), len(collected)) == ({"r1": scene.index}, 1)
        assert scene.crane.done.count(f"copy demo/app@{scene.index}") == 2

    def test_a_signal_during_the_shared_tags(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        """What has moved can be moved back."""
        before = scene.destination.fake.put("demo/app", "latest", salt="before")
        real = scene.destination.fake.put_manifest

        def put(repository: str, tag: str, document: dict[str, t.Any]) -> str:
            digest: str = real(repository, tag, document)
            if tag == "latest":
                os.kill(os.getpid(), signal.SIGTERM)
            return digest

        monkeypatch.setattr(scene.destination.fake, "put_manifest", put)
        result = scene(shared_tags=["latest"], keep_previous="{tag}-previous")
        assert "interrupted by signal" in result["msg"]
        assert [(each["tag"], each["from"]) for each in result["moved"]] == [
            ("r1", None),
            ("latest", before),
            ("latest-previous", None),
        ]

    def test_the_tag_is_denied_after_the_keeper(self, scene: Scene) -> None:
        before = scene.destination.fake.put("demo/app", "latest", salt="before")
        scene.crane.fails["latest"] = "reader-pushes"
        options = {"tags": None, "digests": [scene.index], "shared_tags": ["latest"]}
        result = scene(keep_previous="{tag}-previous", **options)
        assert (result["error_class"], scene.tags()["latest-previous"]) == ("denied", before)
        assert [(each["tag"], each["from"], each["to"]) for each in result["moved"]] == [
            ("latest-previous", None, before)
        ]
        (diff,) = result["diff"]
        assert diff["before"]["tags"] == {"latest": before, "latest-previous": None}
        assert diff["after"]["tags"] == {"latest": before, "latest-previous": before}
        assert "no tag was written" not in result["msg"]

    def test_the_image_that_the_keeper_loses(self, scene: Scene) -> None:
        """Promoted again when only the keeper holds it: Zot deletes it when the keeper moves."""
        options = {"tags": None, "shared_tags": ["latest"], "keep_previous": "{tag}-previous"}
        scene(digests=[scene.amd64], **options)
        scene(digests=[scene.arm64], **options)
        result = scene(digests=[scene.amd64], **options)
        assert "msg" not in result, result["msg"]
        assert scene.tags() == {"latest": scene.amd64, "latest-previous": scene.arm64}
        assert {scene.amd64, scene.arm64} <= scene.destination.fake.manifests["demo/app"].keys()

    def test_a_digest(self, scene: Scene) -> None:
        result = scene(tags=None, digests=scene.index)
        assert (scene.tags(), result["images"][0]["tag"]) == ({}, None)
        assert scene(tags=None, digests=scene.index)["changed"] is False


class TestGate:
    """What an image must carry."""

    @pytest.mark.parametrize(
        ("require", "missing"),
        [(["sbom", "signature"], None), (["attestation"], "attestation"), ("signature,attestation", "attestation")],
    )
    @pytest.mark.parametrize("again", [False, True])
    def test_require(self, scene: Scene, require: t.Any, missing: str | None, again: bool) -> None:
        """The attestation belongs to one of two platforms."""
        if again:
            scene()
        scene.crane.done.clear()
        result = scene(require=require)
        assert result.get("error_class") == (missing and "denied")
        assert not missing or f"has no {missing}" in result["msg"]
        assert not missing or scene.crane.done == []

    def test_each_member(self, scene: Scene) -> None:
        scene.source.attach("demo/app", scene.amd64, IN_TOTO)
        assert "msg" not in scene(require=["attestation"])

    def test_an_attestation_of_buildx_is_not_a_platform(self, scene: Scene) -> None:
        """buildx lists it in the index for the platform unknown/unknown."""
        attestation = scene.source.fake.put("demo/app", "att", b'{"os":"unknown","architecture":"unknown"}')
        scene.source.fake.put_index("demo/app", "r2", scene.amd64, attestation)
        assert scene(tags=["r2"], require=["sbom"])["error_class"] == "denied"
        scene.source.attach("demo/app", scene.amd64, SPDX)
        for _again in range(2):
            assert "msg" not in scene(tags=["r2"], require=["sbom"])

    def test_the_key_is_relative(self, scene: Scene, tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """cosign runs in another working directory."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "key.pub").touch()
        (tmp_path / "cosign").touch(mode=0o755)
        result = scene(verify_key="key.pub", cosign_path=str(tmp_path / "cosign"))
        assert "msg" not in result, result["msg"]
        assert str(tmp_path / "key.pub") in " ".join(scene.crane.verified[0])

    def test_no_cosign(self, scene: Scene, tmp_path: t.Any) -> None:
        key = tmp_path / "key.pub"
        key.touch()
        assert scene(verify_key=str(key))["error_class"] == "tool_missing"


class TestEnds:
    """Each end has its own account and its own TLS options."""

    def test_one_run_has_both_accounts(self, scene: Scene) -> None:
        scene()
        encoded = {
            end.host: base64.b64encode(text.encode()).decode()
            for end, text in ((scene.source, "reader:read-s3cret"), (scene.destination, "ci:s3cret"))
        }
        assert scene.crane.accounts[0] == {f"{host}/demo/app": {"auth": auth} for host, auth in encoded.items()}
        for end in (scene.source, scene.destination):
            assert end.server
            assert {each for each in end.server.credentials if each} == {f"Basic {encoded[end.host]}"}

    @pytest.mark.parametrize(
        "options", [{"source_validate_certs": False}, {"validate_certs": False}, {"source_ca_path": "CA"}]
    )
    def test_ends_that_differ(self, scene: Scene, options: t.Any) -> None:
        """Through a layout, and each end gets its own account only."""
        paths = {name: str(CA) if value == "CA" else value for name, value in options.items()}
        result = scene(**paths)
        assert "msg" not in result, result["msg"]
        assert scene.tags() == {"r1": scene.index}
        assert (scene.crane.accounts, len(scene.crane.layouts)) == ([], 4)

    def test_nothing_of_the_environment_is_for_the_source(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZOT_USERNAME", "ci")
        monkeypatch.setenv("ZOT_PASSWORD", "s3cret")
        scene(source_username=None, source_password=None, username=None, password=None)
        assert scene.source.server
        assert {each for each in scene.source.server.credentials if each} == set()

    @pytest.mark.parametrize("user", ["reader:read-s3cret", "ci:s3cret"], ids=["its own", "of the destination"])
    def test_one_registry(self, scene: Scene, user: str) -> None:
        """The account of the destination, unless the source has one of its own: crane gets both, by repository."""
        own = {} if user.startswith("reader") else {"source_username": None, "source_password": None}
        host = scene.source.host
        result = scene(source_registry=None, registry=host, source_repository="demo/app", repository="prod/app", **own)
        assert "msg" not in result, result["msg"]
        users = {"demo/app": user, "prod/app": "ci:s3cret"}
        auths = {name: {"auth": base64.b64encode(text.encode()).decode()} for name, text in users.items()}
        assert scene.crane.accounts[0] == {f"{host}/{name}": auth for name, auth in auths.items()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": None}, "list at least one"),
        ({"tags": [12]}, "quote it"),
        ({"tags": 0}, "quote it"),
        ({"repository": 83}, "quote it"),
        ({"keep_previous": True}, "quote it"),
        ({"shared_tags": False}, "quote it"),
        ({"verify_key": ""}, "verify_key '' cannot be read"),
        ({"digests": ["r1"]}, "is not a digest"),
        ({"tags": ["r1", "r2"], "shared_tags": ["latest"]}, "needs exactly one image, not r1, r2"),
        ({"source_registry": None, "registry": "zot.example.com"}, "both the source and the destination"),
        ({"keep_previous": "r1", "shared_tags": ["latest"]}, "also a tag to write"),
        ({"images": []}, "images is empty"),
        ({"images": [{"repository": "a", "tags": ["1"], "shared_tags": ["1"]}] * 2}, "a tag of two images"),
        ({"repository": "127.0.0.1:1/a"}, "not a valid repository"),
    ],
)
def test_options(scene: Scene, options: t.Any, words: str) -> None:
    result = scene(**options)
    assert (result["error_class"], words in result["msg"]) == ("invalid_option", True), result["msg"]
    assert scene.source.requests == scene.destination.requests == scene.crane.done == []


def test_an_image_that_does_not_exist(scene: Scene) -> None:
    """All are named, and nothing is written."""
    result = scene(tags=["r1", "r2", "r3"])
    assert (result["error_class"], scene.crane.done) == ("not_found", [])
    assert all(f"demo/app:{tag}" in result["msg"] for tag in ("r2", "r3"))
    result = scene(tags=None, digests=[f"sha256:{'a' * 64}"])
    assert (result["error_class"], "most similar" in result["msg"]) == ("not_found", False)


def test_what_zot_answers() -> None:
    """Captured: an index with a signed member, an image with a signature and a signed SBOM, and tags of cosign."""

    class Http:
        def account(self, _repository: str) -> str:
            return ""

        def document(self, _repository: str, _path: str) -> t.Any:
            return CAPTURED["attached"]["body"]

    names = ("o/app", "o/signed")
    references = [Reference("zot.example.com", name, "r1") for name in names]
    http: t.Any = Http()
    found, tags = search_images(http, references, [])
    assert (len(found), tags) == (2, {})
    index, signed = (found[each] for each in references)
    assert list(index.members.values()) == ["linux/amd64", "linux/arm64"]
    assert [(each.artifact_type, each.annotations.get("k")) for each in index.referrers] == [
        (IN_TOTO, None),
        (SPDX, "v"),
    ]
    assert index.signed == {list(index.members)[1]: 1}
    assert (signed.referrers, signed.signed) == ([], {signed.digest: 2})
