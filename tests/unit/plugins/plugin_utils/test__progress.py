# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import layers
from ansible_collections.killinit.zot.plugins.module_utils._vulnerability_info import images
from ansible_collections.killinit.zot.plugins.plugin_utils import _progress
from ansible_collections.killinit.zot.plugins.plugin_utils._progress import Copies, Copy, scans

# Three layers of 100, 200 and 300 bytes, the last one first in the file.
PLACES = [(1000, 1100), (2000, 2200), (500, 800)]

# A process that looks like skopeo: with its arguments, a connection, and the archive open at a position.
FAKE_SKOPEO = """
import socket, sys
connection = socket.socket() if sys.argv[2] == "connected" else None
files = [open(sys.argv[1], "rb") for place in sys.argv[3:-2]]
for file, place in zip(files, sys.argv[3:-2]):
    file.seek(int(place))
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def fake_skopeo(archive: Path, source: str, *places: int, connected: bool = True) -> t.Iterator[None]:
    arguments = [str(archive), "connected" if connected else "alone", *map(str, places), source, "docker://host/a:1"]
    command = [sys.executable, "-c", FAKE_SKOPEO, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=archive.parent, start_new_session=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate()


@pytest.fixture
def archive(tmp_path: Path, write_archive: t.Any) -> Path:
    return Path(write_archive(tmp_path / "app.tar"))


def test_nothing_is_done_at_first() -> None:
    copy = Copy("host/a:1", PLACES)
    copy.update([])
    assert (copy.reference, copy.size, copy.done, copy.begun) == ("host/a:1", 600, 0, 0)


def test_layers_are_read_side_by_side() -> None:
    copy = Copy("host/a:1", PLACES)
    copy.update([1010, 2020, 530])
    assert copy.done == 60


@pytest.mark.parametrize(("position", "done"), [(999, 0), (1000, 0), (1001, 1), (1100, 100), (1101, 0)])
def test_only_what_is_in_a_layer_counts(position: int, done: int) -> None:
    copy = Copy("host/a:1", PLACES)
    copy.update([position])
    assert copy.done == done


def test_a_layer_that_is_no_longer_read_has_been_read() -> None:
    copy = Copy("host/a:1", PLACES)
    copy.update([1010])
    copy.update([])
    assert copy.done == 100


def test_a_layer_that_was_never_read_counts_once_a_later_one_has_been_for_a_while() -> None:
    """At first it may only be about to be read."""
    copy = Copy("host/a:1", PLACES)
    copy.update([2010])
    assert copy.done == 10
    copy.update([1001, 2020])
    assert copy.done == 21
    copy.update([2030])
    assert copy.done == 130


@given(st.lists(st.lists(st.integers(0, 2500), max_size=6)))
def test_it_never_gets_less_and_never_too_much(reads: list[list[int]]) -> None:
    copy = Copy("host/a:1", PLACES)
    for positions in reads:
        before = copy.done
        copy.update(positions)
        assert before <= copy.done <= copy.size


def test_a_process_with_the_archive_open(archive: Path) -> None:
    ((start, end),) = layers(str(archive), 0)
    copies = Copies(os.getpid())
    with fake_skopeo(archive, f"docker-archive:{archive}", start + 7):
        (copy,) = copies.read()
        assert (copy.reference, copy.done, copy.size) == ("host/a:1", 7, end - start)
        assert copies.read() == [copy]
    assert copies.read() == []


def test_of_several_images_the_one_that_is_copied(archive: Path) -> None:
    """And a path that begins where the process is."""
    ((start, _end),) = layers(str(archive), 0)
    copies = Copies(os.getpid())
    with fake_skopeo(archive, f"docker-archive:{archive.name}:@0", start + 7):
        assert [copy.done for copy in copies.read()] == [7]
    with fake_skopeo(archive, f"docker-archive:{archive.name}:@1", start + 7):
        assert copies.read() == []


def test_without_a_connection_nothing_is_copied(archive: Path) -> None:
    """As skopeo does where layers are compressed: it reads them all to know their sizes."""
    with fake_skopeo(archive, f"docker-archive:{archive}", layers(str(archive), 0)[0][1], connected=False):
        assert Copies(os.getpid()).read() == []


def test_other_processes_are_none_of_ours(tmp_path: Path, archive: Path) -> None:
    other = tmp_path / "other.tar"
    other.write_bytes(archive.read_bytes())
    for source in (f"oci-archive:{archive}", f"docker-archive:{other}", f"docker-archive:{tmp_path}/none.tar"):
        with fake_skopeo(archive, source, layers(str(archive), 0)[0][0] + 7):
            assert Copies(os.getpid()).read() == []
    with fake_skopeo(archive, f"docker-archive:{archive}", layers(str(archive), 0)[0][0] + 7):
        assert Copies(2**30).read() == []


def test_without_proc_there_is_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress.os.path, "isdir", lambda _path: False)
    assert Copies(os.getpid()).read() == []


def test_scans_of_a_module() -> None:
    """While a module waits for scans, and not after them. The reason comes from the registry."""
    code = (
        f"from {images.__name__} import ScanProgress\n"
        "progress = ScanProgress('oci.example', 3)\n"
        "progress.scanned()\n"
        "progress.waits('no database\\x1b[2J')\n"
        "print(flush=True)\n"
        "input()\n"
        "progress.close()\n"
        "print(flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as module:
        assert module.stdin
        assert module.stdout
        module.stdout.readline()
        assert list(scans(os.getpid())) == ["oci.example: 1 of 3 images are scanned (no database\\x1b[2J)"]
        module.stdin.write(b"\n")
        module.stdin.flush()
        module.stdout.readline()
        assert list(scans(os.getpid())) == []
        module.stdin.write(b"\n")
