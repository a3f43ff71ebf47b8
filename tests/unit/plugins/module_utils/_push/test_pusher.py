# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import resource
import stat
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import Archive, InvalidArchiveError
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._push import pusher as pusher_file
from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher, skopeo_message
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.tests.unit.conftest import captured_outputs

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")


@pytest.fixture
def pusher(registry: Registry, session: Session) -> ArchivePusher:
    return ArchivePusher(registry, session)


@contextlib.contextmanager
def opened(path: Path) -> t.Iterator[tuple[OpenArchive, Archive]]:
    with OpenArchive(str(path)) as archive:
        yield archive, archive.read(None, None)


def push(pusher: ArchivePusher, path: Path, reference: Reference = APP) -> str:
    with opened(path) as found, pusher.readable(*found) as readable:
        file, archive = found
        return pusher.push(file, readable, archive, reference)


@pytest.mark.parametrize("name", ["app.tar", "with:colon.tar"])
def test_readable_is_the_file_itself(pusher: ArchivePusher, tmp_path: Path, write_archive: t.Any, name: str) -> None:
    app = write_archive(tmp_path / name)
    with opened(app) as found, pusher.readable(*found) as path:
        assert ":" not in path
        assert os.path.samefile(path, app)
    assert not os.path.lexists(path)


def test_a_replaced_archive_is_not_read(pusher: ArchivePusher, tmp_path: Path, write_archive: t.Any) -> None:
    """skopeo does not read a file that has replaced the archive in the meantime."""
    app = write_archive(tmp_path / "app.tar")
    content = app.read_bytes()
    with opened(app) as (file, archive):
        (tmp_path / "new.tar").write_bytes(b"another archive")
        (tmp_path / "new.tar").rename(app)
        with pusher.readable(file, archive) as path:
            assert Path(path).read_bytes() == content


def test_copy_of_a_file_that_was_written_to(
    pusher: ArchivePusher, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    app = write_archive(tmp_path / "app.tar")
    with opened(app) as found, pusher.readable(*found) as path:
        file, archive = found
        with app.open("ab") as changed:
            changed.write(b"more")
        with pytest.raises(InvalidArchiveError, match="was changed after it was read"):
            pusher.push(file, path, archive, APP)
    assert fake.writes == []


def test_readable_of_a_compressed_archive(pusher: ArchivePusher, tmp_path: Path, write_archive: t.Any) -> None:
    plain, packed = write_archive(tmp_path / "app.tar"), write_archive(tmp_path / "app.tar.gz")
    with opened(packed) as found, pusher.readable(*found) as path:
        assert Path(path).read_bytes() == plain.read_bytes()
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert not os.path.exists(path)


def test_readable_without_space(
    pusher: ArchivePusher, tmp_path: Path, write_archive: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is known before anything is written."""
    packed = write_archive(tmp_path / "app.tar.gz")
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=1, f_frsize=512, f_blocks=9))
    with opened(packed) as (file, archive):
        readable = pusher.readable(file, archive)
        with pytest.raises(ZotError, match=r"No space left on device: it needs \d+ bytes, and 512 are free") as raised:
            readable.__enter__()
    assert "remote_tmp" in raised.value.hint
    assert list(tmp_path.rglob("archive.tar")) == []


def test_readable_on_a_full_disk(pusher: ArchivePusher, tmp_path: Path, write_archive: t.Any) -> None:
    """Also where the space was free before."""
    packed = write_archive(tmp_path / "app.tar.gz")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(packed) as (file, archive):
        readable = pusher.readable(file, archive)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(ZotError, match=r"cannot copy .*app\.tar\.gz into .*: File too large") as raised:
                readable.__enter__()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "remote_tmp" in raised.value.hint
    assert list(tmp_path.rglob("archive.tar")) == []


def test_an_error_of_the_push_is_not_one_of_the_disk(
    pusher: ArchivePusher, tmp_path: Path, write_archive: t.Any
) -> None:
    app = write_archive(tmp_path / "app.tar")
    with (
        opened(app) as found,
        pytest.raises(FileNotFoundError),
        pusher.readable(*found),
    ):
        raise FileNotFoundError("the digest file")


@pytest.mark.parametrize("report", ["", "rubbish\n"])
def test_copy_that_names_no_digest(
    pusher: ArchivePusher, fake: t.Any, tmp_path: Path, write_archive: t.Any, report: str
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.reports = report
    with pytest.raises(ZotError, match=r"skopeo reported no digest, so the current image of .* is not known"):
        push(pusher, path)


def test_copy_in_plain_http_on_this_machine(
    pusher: ArchivePusher, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "plain-http")
    push(pusher, path)
    assert ["--dest-tls-verify=false" in command for command in fake.commands] == [False, True]


def test_copy_in_plain_http_to_another_machine(
    pusher: ArchivePusher, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "plain-http")
    with pytest.raises(ZotError) as raised:
        push(pusher, path, Reference("registry.example:5000", "demo/app", "1"))
    assert raised.value.error_class == "tls"
    assert len(fake.commands) == 1


@pytest.mark.parametrize(("there", "expected"), [(False, "quota_exceeded"), (True, "rate_limited")])
def test_quota_or_rate_limit(
    pusher: ArchivePusher, fake: t.Any, tmp_path: Path, write_archive: t.Any, there: bool, expected: str
) -> None:
    """skopeo's words are the same; the quota refuses only the first manifest of a repository."""
    path = write_archive(tmp_path / "app.tar")
    if there:
        fake.put("demo/app", "old")
    fake.fail("copy", "demo/app:1", "quota")
    with pytest.raises(ZotError) as raised:
        push(pusher, path)
    assert raised.value.error_class == expected


def test_rate_limit_of_a_new_repository(
    pusher: ArchivePusher, fake: t.Any, tmp_path: Path, write_archive: t.Any
) -> None:
    """The status is in skopeo's words only where the answer had no error code, as the quota's has."""
    path = write_archive(tmp_path / "app.tar")
    fake.fail("copy", "demo/app:1", "rate-limit")
    with pytest.raises(ZotError) as raised:
        push(pusher, path)
    assert raised.value.error_class == "rate_limited"


@pytest.fixture
def no_policy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "etc/policy.json"
    path.parent.mkdir()
    monkeypatch.setattr(pusher_file, "_POLICIES", (str(path),))
    return path


def test_policy_where_there_is_none(tmp_path: Path, no_policy: Path) -> None:
    assert not no_policy.exists()
    path = pusher_file._policy(str(tmp_path))
    assert path is not None
    assert json.loads(Path(path).read_text()) == {
        "default": [{"type": "reject"}],
        "transports": {name: {"": [{"type": "insecureAcceptAnything"}]} for name in ("docker-archive", "oci")},
    }


def test_policy_of_the_machine(tmp_path: Path, no_policy: Path) -> None:
    no_policy.write_text("{}")
    assert pusher_file._policy(str(tmp_path)) is None


def test_policy_of_the_user(tmp_path: Path, no_policy: Path) -> None:
    assert not no_policy.exists()
    own = Path.home() / ".config/containers/policy.json"
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    assert pusher_file._policy(str(tmp_path)) is None


@pytest.mark.parametrize("output", captured_outputs("skopeo"))
def test_skopeo_message_of_captured_output(output: dict[str, t.Any]) -> None:
    """The text of the one fatal line as Go's strconv.Unquote reads it: nothing around it, nothing left escaped."""
    _before, _found, quoted = output["stderr"].partition("level=fatal msg=")
    assert skopeo_message(output["stderr"]) == json.loads(quoted)


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        pytest.param(
            'time="2026-11-23T12:00:00Z" level=warning msg="Failed, retrying in 2s ... (1/3)"\n'
            'time="2026-11-23T12:00:02Z" level=fatal msg="writing manifest: denied"\n',
            "writing manifest: denied",
            id="a warning before",
        ),
        pytest.param(
            'FATA[0002] initializing source docker-archive:/builds/a.tar: "x" \n',
            'initializing source docker-archive:/builds/a.tar: "x"',
            id="on a terminal",
        ),
        pytest.param(
            'level=fatal msg="getting username: 1 error occurred:\\n\\t* no helper\\n\\n"',
            "getting username: 1 error occurred:\n\t* no helper\n\n",
            id="several lines in one",
        ),
        pytest.param("unknown flag: --x\nusage", "usage", id="no fatal line"),
        pytest.param("  \n", "", id="blank"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_skopeo_message(stderr: str, expected: str) -> None:
    assert skopeo_message(stderr) == expected
