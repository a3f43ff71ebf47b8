# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import (
    Archive,
    read,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry import writer as writer_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.module import open_session
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")


def test_manifest(registry: Writer, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    manifest = registry.manifest(APP)
    assert manifest is not None
    assert manifest.digest == digest


@pytest.mark.parametrize("look", ["manifest", "image", "digest", "tags"])
def test_an_absent_repository(registry: Writer, look: str) -> None:
    found = getattr(registry, look)(APP)
    assert (found.manifest if isinstance(found, Image) else found) is None


@pytest.mark.parametrize("look", ["manifest", "image", "digest"])
def test_an_absent_tag(registry: Writer, fake: t.Any, look: str) -> None:
    fake.put("demo/app", "2")
    found = getattr(registry, look)(APP)
    assert (found.manifest if isinstance(found, Image) else found) is None


# The scenario, the class, and how often it is asked: once more for each of the two retries where that can help.
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
@pytest.mark.parametrize(("look", "verb"), [("manifest", "manifest"), ("digest", "digest"), ("image", "manifest")])
def test_an_error_is_never_absence(
    registry: Writer, fake: t.Any, look: str, verb: str, scenario: str, error_class: str, times: int
) -> None:
    fake.put("demo/app", "1")
    fake.fail(verb, "demo/app:1", scenario, times=99)
    with pytest.raises(ZotError) as raised:
        getattr(registry, look)(APP)
    assert raised.value.error_class == error_class
    assert sum(command[1] == verb for command in fake.commands) == times


def test_a_look_is_tried_again(registry: Writer, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    fake.fail("digest", "demo/app:1", "status-503", times=2)
    assert registry.digest(APP) == digest


def test_the_hint_names_the_credentials(registry: Writer, fake: t.Any) -> None:
    fake.fail("manifest", "demo/app:1", "bad-password")
    with pytest.raises(ZotError, match="cannot read") as raised:
        registry.manifest(APP)
    assert raised.value.hint == "The registry does not accept the credentials: user 'ci' from the option username."


def test_image(registry: Writer, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    image = registry.image(APP)
    assert (image.platforms, image.for_ansible()["labels"]) == (
        ["linux/amd64"],
        {"org.example.first": "one", "org.example.second": "two"},
    )


def test_image_of_an_index_has_no_configuration(registry: Writer, fake: t.Any) -> None:
    arm = fake.put("demo/app", "arm", {"os": "linux", "architecture": "arm", "rootfs": {"diff_ids": []}})
    fake.put_index("demo/app", "1", arm)
    image = registry.image(APP)
    assert (image.platforms, image.config) == (["linux/arm"], None)
    assert [command[1] for command in fake.commands] == ["manifest"]


def test_image_whose_tag_moves_meanwhile(registry: Writer, fake: t.Any, monkeypatch: t.Any) -> None:
    """The configuration is that of the manifest."""
    before = fake.put("demo/app", "1")
    real = fake._do_blob

    def move(reference: str) -> bytes:
        fake.put("demo/app", "1", {"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []}})
        return real(reference)  # type: ignore[no-any-return]

    monkeypatch.setattr(fake, "_do_blob", move)
    image = registry.image(APP)
    assert (image.digest, image.platforms) == (before, ["linux/amd64"])


def blobs(fake: t.Any) -> int:
    return sum(command[1] == "blob" for command in fake.commands)


def test_a_configuration_is_read_once_from_a_repository(registry: Writer, fake: t.Any) -> None:
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
    registry: Writer, fake: t.Any, monkeypatch: t.Any, fails: bool
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


def test_a_configuration_that_is_expected_is_not_read(registry: Writer, fake: t.Any) -> None:
    raw = b'{"os": "linux", "architecture": "s390x"}'
    fake.put("demo/app", "1", raw)
    registry.expect(APP, [b"{}", raw])
    assert registry.image(APP).platforms == ["linux/s390x"]
    assert blobs(fake) == 0


def test_a_configuration_that_is_not_the_expected_one_is_read(registry: Writer, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    registry.expect(APP, [b'{"os": "linux", "architecture": "s390x"}'])
    assert registry.image(APP).platforms == ["linux/amd64"]
    assert blobs(fake) == 1


def test_image_that_cannot_be_shown(registry: Writer, fake: t.Any, docker_config: t.Any) -> None:
    """It is an error now, and no exception when the result is written."""
    fake.put("demo/app", "1", docker_config() | {"config": {"Labels": ["a"]}})
    with pytest.raises(ZotError, match="answer is not usable: Labels is no JSON object"):
        registry.image(APP)


@pytest.mark.parametrize("scenario", ["absent-blob", "absent-repository"])
def test_image_whose_configuration_is_not_there(registry: Writer, fake: t.Any, scenario: str) -> None:
    """It is no image that is absent."""
    fake.put("demo/app", "1")
    fake.fail("blob", "", scenario)
    with pytest.raises(ZotError, match=r"demo/app:1: the registry's answer is not usable: its configuration is not th"):
        registry.image(APP)


def test_a_configuration_of_another_digest(registry: Writer, fake: t.Any, monkeypatch: t.Any) -> None:
    """crane finds that out, and if it did not, it would not be believed."""
    fake.put("demo/app", "1")
    fake.blobs = dict.fromkeys(fake.blobs, b"{}")
    with pytest.raises(ZotError, match=r"cannot read .*demo/app:1: copying blob .*: error verifying sha256 checksum"):
        registry.image(APP)
    monkeypatch.setattr(fake, "_do_blob", lambda _reference: b"{}")
    with pytest.raises(ZotError, match="not usable: its configuration is not there"):
        registry.image(APP)


def test_a_configuration_that_cannot_be_read_is_an_error(registry: Writer, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    fake.fail("blob", "", "bad-password", times=9)
    with pytest.raises(ZotError, match=r"cannot read .*demo/app:1: ") as raised:
        registry.image(APP)
    assert raised.value.error_class == "unauthorized"


@pytest.mark.parametrize("digest", ["", "--help", "../../etc/passwd", f"sha512:{'0' * 128}"])
def test_a_configuration_whose_digest_is_none(registry: Writer, fake: t.Any, digest: str) -> None:
    document = {"schemaVersion": 2, "config": {"digest": digest, "size": 2}, "layers": []}
    fake.put_manifest("demo/app", "1", document)
    with pytest.raises(ZotError, match=r"the registry's answer is not usable: .* is not a valid digest"):
        registry.image(APP)
    assert [command[1] for command in fake.commands] == ["manifest"]


def test_a_digest_that_the_bytes_do_not_have(registry: Writer, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    fake.manifests["demo/app"][digest] += b" "
    with pytest.raises(ZotError, match="not usable: its digest is sha256:"):
        registry.manifest(APP.pinned(digest))


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b'{"layers": 5}', b""], ids=["HTML", "list", "number", "nothing"])
def test_an_answer_that_is_no_manifest(registry: Writer, fake: t.Any, raw: bytes) -> None:
    digest = fake.put("demo/app", "1")
    fake.manifests["demo/app"][digest] = raw
    with pytest.raises(ZotError, match="the registry's answer is not usable") as raised:
        registry.manifest(APP)
    assert raised.value.error_class == "tool_failed"


def test_tags(registry: Writer, fake: t.Any) -> None:
    for tag in ("2", "1"):
        fake.put("demo/app", tag)
    assert registry.tags(APP) == ["1", "2"]


@pytest.mark.parametrize("tag", ["\x1b[2J", "-x", "a\nb c", "", "a" * 129])
def test_tags_that_cannot_be(registry: Writer, fake: t.Any, tag: str) -> None:
    fake.put("demo/app", tag)
    with pytest.raises(ZotError, match=r"the registry's answer is not usable: .* is not a valid tag") as raised:
        registry.tags(APP)
    assert raised.value.error_class == "tool_failed"


def test_nearest_tags(registry: Writer, fake: t.Any) -> None:
    for tag in ("3f2c1ab-amd64", "3f2c1ab-arm64", "latest"):
        fake.put("demo/app", tag)
    hint = registry.nearest_tags(APP.tagged("3f2c1ab-arm46"))
    assert hint.startswith(f"{HOST}/demo/app holds 3 tags; the nearest are 3f2c1ab-arm64, 3f2c1ab-amd64")
    assert "latest" not in hint


def test_nearest_tags_where_none_is_near(registry: Writer, fake: t.Any) -> None:
    fake.put("demo/app", "zzz")
    assert registry.nearest_tags(APP) == f"{HOST}/demo/app holds 1 tags; the nearest are zzz."


def test_nearest_tags_of_nothing(registry: Writer) -> None:
    assert registry.nearest_tags(APP) == f"{HOST}/demo/app holds no tag at all: push the image first."


def test_reference_with_the_registry_in_the_repository(registry: Writer) -> None:
    with pytest.raises(ZotError, match="begins with the registry: leave that out"):
        registry.reference(f"{HOST}/demo/app", "1")


def archive(tmp_path: Path, name: str = "app.tar") -> Archive:
    # The file is of no matter here, only its path.
    return Archive(str(tmp_path / name), "gzip" if name.endswith("gz") else "", {}, 0, 1)


def test_readable_is_the_file_itself(registry: Writer, tmp_path: Path) -> None:
    with registry.readable(archive(tmp_path)) as path:
        assert path == str(tmp_path / "app.tar")


def test_readable_with_a_colon_in_the_path(registry: Writer, tmp_path: Path, monkeypatch: t.Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "with:colon.tar").write_text("content")
    with registry.readable(Archive("with:colon.tar", "", {}, 0, 1)) as path:
        assert ":" not in path
        assert Path(path).read_text() == "content"
    assert not os.path.lexists(path)


def test_readable_of_a_compressed_archive(registry: Writer, tmp_path: Path, write_archive: t.Any) -> None:
    plain, packed = write_archive(tmp_path / "app.tar"), write_archive(tmp_path / "app.tar.gz")
    with registry.readable(read(str(packed))) as path:
        assert Path(path).read_bytes() == plain.read_bytes()
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert not os.path.exists(path)


def test_readable_on_a_full_disk(registry: Writer, tmp_path: Path, monkeypatch: t.Any) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer_file, "expand", full)
    readable = registry.readable(archive(tmp_path, "app.tar.gz"))
    with pytest.raises(ZotError, match=r"cannot expand .*app\.tar\.gz into .*: No space left on device") as raised:
        readable.__enter__()
    assert "remote_tmp" in raised.value.hint
    assert list(tmp_path.rglob("archive.tar")) == []


def test_an_error_of_the_push_is_not_one_of_the_disk(registry: Writer, tmp_path: Path) -> None:
    (tmp_path / "a:b.tar").write_text("")
    with pytest.raises(FileNotFoundError), registry.readable(archive(tmp_path, "a:b.tar")):
        raise FileNotFoundError("the digest file")


def test_copy(registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    path = write_archive(tmp_path / "app.tar")
    digest = registry.copy(str(path), read(str(path)), APP)
    assert fake.tags == {"demo/app": {"1": digest}}


@pytest.mark.parametrize("report", ["", "rubbish\n"])
def test_copy_that_names_no_digest(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any, report: str
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.reports = report
    with pytest.raises(ZotError, match=r"skopeo named no digest, so what .* holds now is not known"):
        registry.copy(str(path), read(str(path)), APP)


def test_copy_in_plain_http_on_this_machine(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "plain-http")
    registry.copy(str(path), read(str(path)), APP)
    assert ["--dest-tls-verify=false" in command for command in fake.commands] == [False, True]


def test_copy_in_plain_http_to_another_machine(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "plain-http")
    with pytest.raises(ZotError) as raised:
        registry.copy(str(path), read(str(path)), Reference("registry.example:5000", "demo/app", "1"))
    assert raised.value.error_class == "tls"
    assert len(fake.commands) == 1


@pytest.mark.parametrize(("there", "expected"), [(False, "quota_exceeded"), (True, "rate_limited")])
def test_quota_or_rate_limit(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any, there: bool, expected: str
) -> None:
    """skopeo's words are the same; the quota refuses only the first manifest of a repository."""
    path = write_archive(tmp_path / "app.tar")
    if there:
        fake.put("demo/app", "old")
    fake.fail("copy", "demo/app:1", "quota")
    with pytest.raises(ZotError) as raised:
        registry.copy(str(path), read(str(path)), APP)
    assert raised.value.error_class == expected


def test_rate_limit_of_a_new_repository(registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    """The status is in skopeo's words only where the answer had no error code, as the quota's has."""
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "rate-limit")
    with pytest.raises(ZotError) as raised:
        registry.copy(str(path), read(str(path)), APP)
    assert raised.value.error_class == "rate_limited"


def test_crane_cannot_fall_back_to_plain_http(registry: Writer, fake: t.Any) -> None:
    registry.digest(Reference("192.168.7.7:5000", "demo/app", "1"))
    assert fake.environments[0]["HTTP_PROXY"] == "http://127.0.0.1:1"


class TestWrite:
    """Registry.write: it looks before it writes again."""

    @pytest.fixture
    def done(self, registry: Writer, fake: t.Any) -> t.Callable[..., Image]:
        source = fake.put("demo/app", "source")

        def write() -> Image:
            return registry.write(
                APP, lambda: registry.tag(APP.pinned(source), "1"), lambda image: image.digest == source
            )

        return write

    def test_it_works(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 1

    def test_an_answer_that_was_lost(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "answer-cut-short", tool="crane 0.22.1", landed=True, times=9)
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 1

    def test_a_write_that_did_not_land(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "status-503")
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 2

    def test_a_500_that_dropped_the_tag(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.put("demo/app", "1", salt="before")
        fake.fail("tag", "demo/app:1", "status-500", drops=True)
        assert done().digest == fake.tags["demo/app"]["1"]
        assert len(fake.writes) == 2

    def test_the_last_error_says_what_is_there(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        before = fake.put("demo/app", "1", salt="before")
        fake.fail("tag", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.endswith(f"; {HOST}/demo/app:1 now holds {before}")

    def test_the_last_error_says_that_nothing_is_there(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.put("demo/app", "1", salt="before")
        fake.fail("tag", "demo/app:1", "status-500", times=99, drops=True)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.endswith(" now holds nothing")

    def test_the_last_answer_was_lost(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "status-503", times=2)
        fake.fail("tag", "demo/app:1", "answer-cut-short", tool="crane 0.22.1", landed=True)
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 3

    def test_nobody_knows(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "status-503", times=99)
        fake.fail("manifest", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.endswith(f"what {HOST}/demo/app:1 holds now is not known")

    def test_written_and_not_to_be_seen(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        """It is not written again because a look at it fails."""
        fake.fail("manifest", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.startswith(f"{HOST}/demo/app:1 was written, but what it holds now is not known: ")
        assert len(fake.writes) == 1

    def test_a_tag_that_may_not_move_and_whose_answer_was_lost(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        """crane writes it again by itself; what is denied then is there."""
        fake.fail("tag", "demo/app:1", "immutable-tag", landed=True)
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 1

    def test_no_second_try_of_what_is_denied(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "immutable-tag", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.error_class == "denied"
        assert len(fake.writes) == 1


class Module:
    """What open_session needs of AnsibleModule."""

    def __init__(self, tmpdir: Path, **params: t.Any) -> None:
        self.tmpdir = str(tmpdir)
        self.no_log_values: set[str] = set()
        self.params = {
            "registry": HOST,
            "username": None,
            "password": None,
            "authfile": None,
            "ca_path": None,
            "validate_certs": True,
            "timeout": 5,
            "retries": 0,
            "skopeo_path": None,
            "crane_path": None,
            **params,
        }


def test_open_session_leaves_nothing(fake: t.Any, tmp_path: Path) -> None:
    with open_session(t.cast("t.Any", Module(tmp_path, username="me", password="s3cret"))) as session:
        Writer(session).digest(APP)
        assert len(list(tmp_path.iterdir())) == 1
    assert fake.commands
    assert list(tmp_path.iterdir()) == []


def test_what_was_sent_is_hidden_in_the_result(fake: t.Any, tmp_path: Path) -> None:
    """A registry may send it back, in a label for instance."""
    for password, hidden in (("s3cret", {"bWU6czNjcmV0"}), ("s3cret99", {"s3cret99", "bWU6czNjcmV0OTk="})):
        module = Module(tmp_path, username="me", password=password)
        with open_session(t.cast("t.Any", module)) as session:
            Writer(session).digest(APP)
        assert fake.commands
        assert module.no_log_values == hidden


def test_insecure_reaches_both_tools(fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    (tmp_path / "t").mkdir()
    path = write_archive(tmp_path / "app.tar")
    with open_session(t.cast("t.Any", Module(tmp_path / "t", validate_certs=False))) as session:
        registry = Writer(session)
        registry.copy(str(path), read(str(path)), APP)
        registry.image(APP)
    assert "--dest-tls-verify=false" in fake.commands[0]
    assert all(command[1] == "--insecure" for command in fake.commands[1:])


@pytest.mark.parametrize("registry", ["https://h.example", "h.example/", "-x", "h example"])
def test_open_session_refuses_a_name(fake: t.Any, tmp_path: Path, registry: str) -> None:
    opened = open_session(t.cast("t.Any", Module(tmp_path, registry=registry)))
    with pytest.raises(ZotError, match="is not a valid registry") as raised:
        opened.__enter__()
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []
    assert list(tmp_path.iterdir()) == []


def test_no_registry_at_all(fake: t.Any, tmp_path: Path) -> None:
    opened = open_session(t.cast("t.Any", Module(tmp_path, registry=None)))
    with opened as session, pytest.raises(ZotError, match="no registry is named"):
        Writer(session).reference("demo/app", "1")
    assert fake.commands == []


def test_no_crane(tools: Path, tmp_path: Path) -> None:
    (tools / "crane").unlink()
    with pytest.raises(ZotError, match="crane is not in PATH"), open_session(t.cast("t.Any", Module(tmp_path))):
        pytest.fail("it is open")
