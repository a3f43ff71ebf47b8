# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import resource
import stat
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import InvalidArchiveError
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")


@contextlib.contextmanager
def opened(registry: Writer, path: Path) -> t.Iterator[tuple[Worker, Archive]]:
    with registry.reading_archives(1), registry.open_archive(str(path)) as worker:
        yield worker, worker.call("cannot read it", "read", None, None)


def copy(registry: Writer, path: Path, reference: Reference = APP) -> str:
    with opened(registry, path) as found, registry.readable(*found) as readable:
        worker, archive = found
        return registry.copy(worker, readable, archive, reference)


@pytest.mark.parametrize("name", ["app.tar", "with:colon.tar"])
def test_readable_is_the_file_itself(registry: Writer, tmp_path: Path, write_archive: t.Any, name: str) -> None:
    app = write_archive(tmp_path / name)
    with opened(registry, app) as found, registry.readable(*found) as path:
        assert ":" not in path
        assert os.path.samefile(path, app)
    assert not os.path.lexists(path)


def test_readable_stays_the_file_that_was_read(registry: Writer, tmp_path: Path, write_archive: t.Any) -> None:
    """skopeo does not read a file that has replaced the archive in the meantime."""
    app = write_archive(tmp_path / "app.tar")
    content = app.read_bytes()
    with opened(registry, app) as (worker, archive):
        (tmp_path / "new.tar").write_bytes(b"another archive")
        (tmp_path / "new.tar").rename(app)
        with registry.readable(worker, archive) as path:
            assert Path(path).read_bytes() == content


def test_copy_of_a_file_that_was_written_to(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    app = write_archive(tmp_path / "app.tar")
    with opened(registry, app) as found, registry.readable(*found) as path:
        worker, archive = found
        with app.open("ab") as file:
            file.write(b"more")
        with pytest.raises(InvalidArchiveError, match="was changed after it was read"):
            registry.copy(worker, path, archive, APP)
    assert fake.writes == []


def test_readable_of_a_compressed_archive(registry: Writer, tmp_path: Path, write_archive: t.Any) -> None:
    plain, packed = write_archive(tmp_path / "app.tar"), write_archive(tmp_path / "app.tar.gz")
    with opened(registry, packed) as found, registry.readable(*found) as path:
        assert Path(path).read_bytes() == plain.read_bytes()
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert not os.path.exists(path)


def test_readable_without_space(
    registry: Writer, tmp_path: Path, write_archive: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is known before anything is written."""
    packed = write_archive(tmp_path / "app.tar.gz")
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=1, f_frsize=512, f_blocks=9))
    with opened(registry, packed) as (worker, archive):
        readable = registry.readable(worker, archive)
        with pytest.raises(ZotError, match=r"No space left on device: it needs \d+ bytes, and 512 are free") as raised:
            readable.__enter__()
    assert "remote_tmp" in raised.value.hint
    assert list(tmp_path.rglob("archive.tar")) == []


def test_readable_on_a_full_disk(registry: Writer, tmp_path: Path, write_archive: t.Any) -> None:
    """Also where the space was free before."""
    packed = write_archive(tmp_path / "app.tar.gz")
    with opened(registry, packed) as (worker, archive):
        resource.prlimit(worker._pid, resource.RLIMIT_FSIZE, (1000, 1000))
        readable = registry.readable(worker, archive)
        with pytest.raises(ZotError, match=r"cannot copy .*app\.tar\.gz into .*: File too large") as raised:
            readable.__enter__()
    assert "remote_tmp" in raised.value.hint
    assert list(tmp_path.rglob("archive.tar")) == []


def test_an_error_of_the_push_is_not_one_of_the_disk(registry: Writer, tmp_path: Path, write_archive: t.Any) -> None:
    app = write_archive(tmp_path / "app.tar")
    with (
        opened(registry, app) as found,
        pytest.raises(FileNotFoundError),
        registry.readable(*found),
    ):
        raise FileNotFoundError("the digest file")


def test_copy(registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    path = write_archive(tmp_path / "app.tar")
    digest = copy(registry, path)
    assert fake.tags == {"demo/app": {"1": digest}}


@pytest.mark.parametrize("report", ["", "rubbish\n"])
def test_copy_that_names_no_digest(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any, report: str
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.reports = report
    with pytest.raises(ZotError, match=r"skopeo reported no digest, so the current image of .* is not known"):
        copy(registry, path)


def test_copy_in_plain_http_on_this_machine(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "plain-http")
    copy(registry, path)
    assert ["--dest-tls-verify=false" in command for command in fake.commands] == [False, True]


def test_copy_in_plain_http_to_another_machine(
    registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "plain-http")
    with pytest.raises(ZotError) as raised:
        copy(registry, path, Reference("registry.example:5000", "demo/app", "1"))
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
        copy(registry, path)
    assert raised.value.error_class == expected


def test_rate_limit_of_a_new_repository(registry: Writer, fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    """The status is in skopeo's words only where the answer had no error code, as the quota's has."""
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "rate-limit")
    with pytest.raises(ZotError) as raised:
        copy(registry, path)
    assert raised.value.error_class == "rate_limited"


class TestWrite:
    """Registry.write: it reads the tag before it repeats a write."""

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
        assert raised.value.message.endswith(f"the current image of {HOST}/demo/app:1 is not known")

    def test_written_and_not_to_be_seen(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        """A read that fails does not cause another write."""
        fake.fail("manifest", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.startswith(f"{HOST}/demo/app:1 was written, but its current image is not known: ")
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


class TestKeep:
    """Writer.keep: one read and one write, and after an error a read of the keeper."""

    @pytest.fixture
    def image(self, registry: Writer, fake: t.Any) -> Image:
        fake.put("demo/app", "1")
        found = registry.image(APP)
        fake.commands.clear()
        return found

    def test_it_works(self, registry: Writer, fake: t.Any, image: Image) -> None:
        registry.keep(image, APP.tagged("old"))
        assert fake.tags["demo/app"]["old"] == image.digest
        assert len(fake.commands) == 1

    def test_nothing_to_keep(self, registry: Writer, fake: t.Any, image: Image) -> None:
        registry.keep(image, None)
        registry.keep(Image(APP.tagged("absent")), APP.tagged("old"))
        assert fake.commands == []

    def test_an_answer_that_was_lost(self, registry: Writer, fake: t.Any, image: Image) -> None:
        fake.fail("tag", "demo/app:old", "answer-cut-short", tool="crane 0.22.1", landed=True, times=9)
        registry.keep(image, APP.tagged("old"))
        assert len(fake.writes) == 1

    def test_a_keeper_that_may_not_move_and_holds_the_image(self, registry: Writer, fake: t.Any, image: Image) -> None:
        fake.tags["demo/app"]["old"] = image.digest
        fake.fail("tag", "demo/app:old", "immutable-tag", tool="crane 0.22.1", times=9)
        registry.keep(image, APP.tagged("old"))

    def test_a_keeper_that_may_not_move(self, registry: Writer, fake: t.Any, image: Image) -> None:
        fake.put("demo/app", "old", salt="other")
        fake.fail("tag", "demo/app:old", "immutable-tag", tool="crane 0.22.1", times=9)
        with pytest.raises(ZotError) as raised:
            registry.keep(image, APP.tagged("old"))
        assert (raised.value.error_class, len(fake.writes)) == ("denied", 1)

    def test_an_error_that_passes(self, registry: Writer, fake: t.Any, image: Image) -> None:
        fake.fail("tag", "demo/app:old", "status-503", tool="crane 0.22.1", times=2)
        fake.fail("digest", "demo/app:old", "status-503", tool="crane 0.22.1", times=1)
        registry.keep(image, APP.tagged("old"))
        assert fake.tags["demo/app"]["old"] == image.digest


class TestUntag:
    """Writer.untag removes one tag."""

    @pytest.fixture(autouse=True)
    def digest(self, fake: t.Any) -> str:
        digest = fake.put("demo/app", "1")
        fake.tags["demo/app"]["2"] = digest
        return digest  # type: ignore[no-any-return]

    def test_it_works(self, registry: Writer, fake: t.Any, digest: str) -> None:
        registry.untag(APP)
        assert fake.tags["demo/app"] == {"2": digest}
        assert fake.commands[-1][1:] == ["delete", str(APP)]

    def test_a_tag_that_is_gone(self, registry: Writer, fake: t.Any) -> None:
        registry.untag(APP.tagged("absent"))
        registry.untag(Reference(HOST, "demo/none", "1"))
        assert list(fake.tags["demo/app"]) == ["1", "2"]

    @pytest.mark.parametrize("times", [1, 9])
    def test_an_answer_that_was_lost(self, registry: Writer, fake: t.Any, times: int) -> None:
        fake.fail("delete", "demo/app:1", "status-503", tool="crane 0.22.1", landed=True, times=times)
        registry.untag(APP)
        assert list(fake.tags["demo/app"]) == ["2"]

    def test_denied(self, registry: Writer, fake: t.Any) -> None:
        fake.fail("delete", "demo/app:1", "immutable-tag", tool="crane 0.22.1")
        with pytest.raises(ZotError, match=r"^cannot remove the tag .*demo/app:1: .*DENIED") as raised:
            registry.untag(APP)
        assert (raised.value.error_class, len(fake.writes)) == ("denied", 1)

    def test_the_last_error_says_what_is_there(self, registry: Writer, fake: t.Any, digest: str) -> None:
        fake.fail("delete", "demo/app:1", "status-503", tool="crane 0.22.1", times=9)
        with pytest.raises(ZotError) as raised:
            registry.untag(APP)
        assert raised.value.message.endswith(f"demo/app:1 still holds {digest}")

    def test_nobody_knows(self, registry: Writer, fake: t.Any) -> None:
        fake.fail("delete", "demo/app:1", "status-503", tool="crane 0.22.1", times=9)
        fake.fail("digest", "demo/app:1", "status-503", tool="crane 0.22.1", times=9)
        with pytest.raises(ZotError, match=r"the current image of .*demo/app:1 is not known"):
            registry.untag(APP)
