# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry import registry as registry_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry, crane_lines
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.tests.unit.conftest import CAPTURED
from ansible_collections.killinit.zot.tests.unit.web_registry import WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import WebServer, running

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")


def test_manifest(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    manifest = registry.manifest(APP)
    assert manifest is not None
    assert manifest.digest == digest


@pytest.mark.parametrize("method", ["manifest", "image", "digest", "tags"])
def test_an_absent_repository(registry: Registry, method: str) -> None:
    found = getattr(registry, method)(APP)
    assert (found.manifest if isinstance(found, Image) else found) is None


@pytest.mark.parametrize("method", ["manifest", "image", "digest"])
def test_an_absent_tag(registry: Registry, fake: t.Any, method: str) -> None:
    fake.put("demo/app", "2")
    found = getattr(registry, method)(APP)
    assert (found.manifest if isinstance(found, Image) else found) is None


# The scenario, the class, and the number of requests: one more for each of the two retries where that can help.
@pytest.mark.parametrize(
    ("scenario", "error_class", "times"),
    [
        ("bad-password", "unauthorized", 1),
        ("no-credentials", "unauthorized", 1),
        ("reader-pushes", "denied", 1),
        ("unknown-authority", "tls", 1),
        ("plain-http", "tls", 1),
        ("status-500", "unavailable", 3),
        ("status-503", "unavailable", 3),
        ("rate-limit", "rate_limited", 3),
        ("connection-refused", "unavailable", 3),
        ("no-such-host", "unavailable", 3),
        ("answer-cut-short", "unavailable", 3),
        ("blob-of-another-digest", "tool_failed", 1),
        ("absent-blob", "tool_failed", 1),
    ],
)
@pytest.mark.parametrize(("method", "verb"), [("manifest", "manifest"), ("digest", "digest"), ("image", "manifest")])
def test_an_error_is_never_absence(
    registry: Registry, fake: t.Any, method: str, verb: str, scenario: str, error_class: str, times: int
) -> None:
    fake.put("demo/app", "1")
    fake.fail(verb, "demo/app:1", scenario, times=99)
    with pytest.raises(ZotError) as raised:
        getattr(registry, method)(APP)
    assert raised.value.error_class == error_class
    assert sum(command[1] == verb for command in fake.commands) == times


def test_a_read_is_retried(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    fake.fail("digest", "demo/app:1", "status-503", times=2)
    assert registry.digest(APP) == digest


def test_image(registry: Registry, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    image = registry.image(APP)
    assert (image.platforms, image.for_ansible()["labels"]) == (
        ["linux/amd64"],
        {"org.example.first": "one", "org.example.second": "two"},
    )


def test_image_of_an_index_has_no_configuration(registry: Registry, fake: t.Any) -> None:
    arm = fake.put("demo/app", "arm", {"os": "linux", "architecture": "arm", "rootfs": {"diff_ids": []}})
    fake.put_index("demo/app", "1", arm)
    image = registry.image(APP)
    assert (image.platforms, image.config) == (["linux/arm"], None)
    assert [command[1] for command in fake.commands] == ["manifest"]


def test_members_that_an_index_lost(registry: Registry, fake: t.Any) -> None:
    amd64 = fake.put("demo/app", "amd64")
    gone = fake.put("demo/app", "arm64", salt="1")
    fake.put_index("demo/app", "whole", amd64)
    fake.put_index("demo/app", "broken", amd64, gone)
    fake.put("demo/app", "arm64", salt="2")
    lost = {}
    for tag in ("whole", "broken", "amd64"):
        reference = Reference(HOST, "demo/app", tag)
        manifest = registry.manifest(reference)
        assert manifest
        lost[tag] = registry.missing(reference, manifest)
    assert lost == {"whole": [], "broken": [gone], "amd64": []}


def test_image_whose_tag_moves_meanwhile(registry: Registry, fake: t.Any, monkeypatch: t.Any) -> None:
    """The configuration is that of the manifest."""
    before = fake.put("demo/app", "1")
    fake.put("demo/app", "another tag of the image")
    real = fake._do_blob

    def move(reference: str) -> bytes:
        fake.put("demo/app", "1", {"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []}})
        return real(reference)  # type: ignore[no-any-return]

    monkeypatch.setattr(fake, "_do_blob", move)
    image = registry.image(APP)
    assert (image.digest, image.platforms) == (before, ["linux/amd64"])


def blobs(fake: t.Any) -> int:
    return sum(command[1] == "blob" for command in fake.commands)


def test_a_configuration_is_read_once_from_a_repository(registry: Registry, fake: t.Any) -> None:
    """Another repository could lack it."""
    for repository, tag in (("demo/app", "1"), ("demo/app", "2"), ("demo/other", "1")):
        fake.put(repository, tag)
    first, second = registry.image(APP), registry.image(APP.tagged("2"))
    assert first.config == second.config
    assert blobs(fake) == 1
    registry.image(Reference(HOST, "demo/other", "1"))
    assert blobs(fake) == 2


@pytest.mark.parametrize("fails", [False, True], ids=["it is there", "the first does not get it"])
def test_two_that_need_a_configuration_at_the_same_time(
    registry: Registry, fake: t.Any, monkeypatch: t.Any, fails: bool
) -> None:
    """One asks and the others wait; but what kept that one from getting it need not keep them."""
    fake.put("demo/app", "1")
    if fails:
        fake.fail("blob", "", "bad-password")
    real, released = fake._fault, threading.Event()

    def hold(verb: str, arguments: list[str]) -> t.Any:
        fault = real(verb, arguments)
        assert verb != "blob" or released.wait(5)
        return fault

    monkeypatch.setattr(fake, "_fault", hold)
    with ThreadPoolExecutor(max_workers=3) as pool:
        pending = [pool.submit(registry.image, APP) for _number in range(3)]
        end = time.monotonic() + 5
        while sum(command[1] == "manifest" for command in fake.commands) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        released.set()
    errors = [each.exception() for each in pending if each.exception()]
    assert [error.error_class for error in errors if isinstance(error, ZotError)] == ["unauthorized"] * fails
    assert blobs(fake) in ((2, 3) if fails else (1,))


def test_labels_that_are_not_an_object(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    """It is an error now, and no exception when the result is written."""
    fake.put("demo/app", "1", docker_config() | {"config": {"Labels": ["a"]}})
    with pytest.raises(ZotError, match="response of the registry is invalid: Labels is not a JSON object"):
        registry.image(APP)


@pytest.mark.parametrize("scenario", ["absent-blob", "absent-repository"])
def test_image_whose_configuration_is_not_there(registry: Registry, fake: t.Any, scenario: str) -> None:
    """It is no image that is absent."""
    fake.put("demo/app", "1")
    fake.fail("blob", "", scenario)
    with pytest.raises(
        ZotError, match=r"demo/app:1: the response of the registry is invalid: its configuration does not exist"
    ):
        registry.image(APP)


def test_a_configuration_of_another_digest(registry: Registry, fake: t.Any, monkeypatch: t.Any) -> None:
    """crane finds that out, and if it did not, it would not be believed."""
    fake.put("demo/app", "1")
    fake.blobs = dict.fromkeys(fake.blobs, b"{}")
    with pytest.raises(ZotError, match=r"cannot read .*demo/app:1: copying blob .*: error verifying sha256 checksum"):
        registry.image(APP)
    monkeypatch.setattr(fake, "_do_blob", lambda _reference: b"{}")
    with pytest.raises(ZotError, match="invalid: its configuration does not exist"):
        registry.image(APP)


def test_a_configuration_that_cannot_be_read_is_an_error(registry: Registry, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    fake.fail("blob", "", "bad-password", times=9)
    with pytest.raises(ZotError, match=r"cannot read .*demo/app:1: ") as raised:
        registry.image(APP)
    assert raised.value.error_class == "unauthorized"


@pytest.mark.parametrize("digest", ["", "--help", "../../etc/passwd", f"sha512:{'0' * 128}"])
def test_a_configuration_whose_digest_is_none(registry: Registry, fake: t.Any, digest: str) -> None:
    document = {"schemaVersion": 2, "config": {"digest": digest, "size": 2}, "layers": []}
    fake.put_manifest("demo/app", "1", document)
    with pytest.raises(ZotError, match=r"the response of the registry is invalid: .* is not a valid digest"):
        registry.image(APP)
    assert [command[1] for command in fake.commands] == ["manifest"]


def test_a_digest_that_the_bytes_do_not_have(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    fake.manifests["demo/app"][digest] += b" "
    with pytest.raises(ZotError, match="invalid: its digest is sha256:"):
        registry.manifest(APP.pinned(digest))


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b'{"layers": 5}', b""], ids=["HTML", "list", "number", "nothing"])
def test_an_answer_that_is_no_manifest(registry: Registry, fake: t.Any, raw: bytes) -> None:
    digest = fake.put("demo/app", "1")
    fake.manifests["demo/app"][digest] = raw
    with pytest.raises(ZotError, match="the response of the registry is invalid") as raised:
        registry.manifest(APP)
    assert raised.value.error_class == "tool_failed"


def test_tags(registry: Registry, fake: t.Any) -> None:
    for tag in ("2", "1"):
        fake.put("demo/app", tag)
    assert registry.tags(APP) == ["1", "2"]


@pytest.mark.parametrize("tag", ["\x1b[2J", "-x", "a\nb c", "", "a" * 129])
def test_tags_that_cannot_be(registry: Registry, fake: t.Any, tag: str) -> None:
    fake.put("demo/app", tag)
    with pytest.raises(ZotError, match=r"the response of the registry is invalid: .* is not a valid tag") as raised:
        registry.tags(APP)
    assert raised.value.error_class == "tool_failed"


def test_nearest_tags(registry: Registry, fake: t.Any) -> None:
    for tag in ("3f2c1ab-amd64", "3f2c1ab-arm64", "latest"):
        fake.put("demo/app", tag)
    hint = registry.nearest_tags(APP.tagged("3f2c1ab-arm46"))
    assert hint.startswith(f"{HOST}/demo/app has 3 tags. The most similar are 3f2c1ab-arm64, 3f2c1ab-amd64")
    assert "latest" not in hint


def test_nearest_tags_where_none_is_near(registry: Registry, fake: t.Any) -> None:
    fake.put("demo/app", "zzz")
    assert registry.nearest_tags(APP) == f"{HOST}/demo/app has 1 tags. The most similar are zzz."


def test_nearest_tags_of_nothing(registry: Registry) -> None:
    assert registry.nearest_tags(APP) == f"{HOST}/demo/app has no tags: push the image first."


def test_reference_with_the_registry_in_the_repository(registry: Registry) -> None:
    with pytest.raises(ZotError, match="begins with the registry: remove the registry"):
        registry.reference(f"{HOST}/demo/app", "1")


class TestOverHttp:
    """crane does only the first reads."""

    @pytest.fixture
    def server(self, fake: t.Any) -> t.Iterator[WebServer]:
        with running(WebRegistry(fake).respond) as server:
            yield server

    @pytest.fixture
    def host(self, server: WebServer) -> str:
        return server.host

    @pytest.fixture
    def reader(self, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Registry]:
        monkeypatch.setattr(registry_file, "_FEW", 0)
        with open_task(str(tmp_path)) as task:
            yield Registry(task.session(Options(host, retries=0)))

    @pytest.mark.parametrize("installed", [True, False])
    def test_many_reads(
        self, reader: Registry, host: str, fake: t.Any, monkeypatch: pytest.MonkeyPatch, installed: bool
    ) -> None:
        """Without the library requests, crane does all of them."""
        monkeypatch.setattr(registry_file, "_FEW", 3)
        if not installed:
            monkeypatch.setitem(sys.modules, "requests", None)
        digests = [fake.put("demo/app", str(number), salt=str(number)) for number in range(10)]
        references = [Reference(host, "demo/app", str(number)) for number in range(10)]
        assert [reader.digest(each) for each in references] == digests
        assert reader.tags(references[0]) == [str(number) for number in range(10)]
        assert len(fake.commands) == (3 if installed else 11)

    @pytest.mark.parametrize(("reads", "runs"), [(3, 1), (4, 0)])
    def test_many_expected_reads(
        self, reader: Registry, host: str, fake: t.Any, monkeypatch: pytest.MonkeyPatch, reads: int, runs: int
    ) -> None:
        """crane would be started for the first ones in vain."""
        monkeypatch.setattr(registry_file, "_FEW", 3)
        digest = fake.put("demo/app", "1")
        reader.expect(reads)
        assert reader.digest(Reference(host, "demo/app", "1")) == digest
        assert len(fake.commands) == runs

    def test_image(self, reader: Registry, host: str, fake: t.Any) -> None:
        digest = fake.put("demo/app", "1")
        image = reader.image(Reference(host, "demo/app", "1"))
        assert (image.digest, image.platforms) == (digest, ["linux/amd64"])
        assert fake.commands == []

    def test_move(self, reader: Registry, server: WebServer, fake: t.Any) -> None:
        """If the manifest was read before, the next request writes the tag."""
        digest = fake.put("demo/app", "1")
        tag = Reference(server.host, "demo/app", "2")
        reader.prepare(tag.pinned(digest))
        before = len(server.requests)
        assert reader.move(tag, digest).digest == digest
        assert [each.method for each in server.requests[before:]][:2] == ["PUT", "GET"]
        assert fake.tags["demo/app"] == {"1": digest, "2": digest}
        assert fake.commands == []

    def test_move_to_what_does_not_exist(self, reader: Registry, host: str, fake: t.Any) -> None:
        fake.put("demo/app", "1")
        with pytest.raises(ZotError, match="it does not exist"):
            reader.move(Reference(host, "demo/app", "2"), f"sha256:{'a' * 64}")
        assert "2" not in fake.tags["demo/app"]

    @pytest.mark.parametrize("absent", [("demo/app", "2"), ("demo/none", "1")])
    def test_absent(self, reader: Registry, host: str, fake: t.Any, absent: tuple[str, str]) -> None:
        fake.put("demo/app", "1")
        assert reader.manifest(Reference(host, *absent)) is None

    def test_no_configuration(self, reader: Registry, host: str, fake: t.Any) -> None:
        fake.put("demo/app", "1")
        fake.blobs.clear()
        with pytest.raises(ZotError, match="its configuration does not exist"):
            reader.image(Reference(host, "demo/app", "1"))

    def test_another_manifest(self, reader: Registry, host: str, fake: t.Any) -> None:
        digest, other = fake.put("demo/app", "1"), f"sha256:{'a' * 64}"
        fake.manifests["demo/app"][other] = fake.manifests["demo/app"][digest]
        with pytest.raises(ZotError, match=f"its digest is {digest}"):
            reader.manifest(Reference(host, "demo/app", "1").pinned(other))

    def test_another_registry(self, reader: Registry, fake: t.Any) -> None:
        """The session has only the connections and credentials of its own registry."""
        digest = fake.put("demo/app", "1")
        manifest = reader.manifest(APP)
        assert manifest is not None
        assert manifest.digest == digest
        assert [command[1] for command in fake.commands] == ["manifest"]


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        *(
            pytest.param(each["stdout"].encode(), each["stdout"].split(), id=each["tool"])
            for each in CAPTURED["successes"]
            if each["command"] == "crane ls"
        ),
        pytest.param(b"", [], id="no tag at all"),
        pytest.param(b"latest\n", ["latest"], id="one"),
        pytest.param(b"\xff\n", ["\ufffd"], id="no text"),
    ],
)
def test_crane_lines(stdout: bytes, expected: list[str]) -> None:
    assert crane_lines(stdout) == expected
