# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import io
import json
import lzma
import os
import resource
import signal
import sys
import tarfile
import tempfile
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci import archive_file
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import layers
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    Archive,
    InvalidArchiveError,
    MissingLibraryError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform

CONFIG = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ["sha256:1"]}}


def read(path: str, select: str | None = None, platform: str | None = None) -> Archive:
    return OpenArchive(path).read(select, Platform.parse(platform) if platform else None)


def expand(path: Path, target: Path) -> None:
    OpenArchive(str(path)).expand(str(target))


def tar(members: t.Iterable[tuple[str, bytes | None]], **options: t.Any) -> bytes:
    """A tar of files; one without content is a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    return buffer.getvalue()


def manifest(*images: tuple[str, t.Sequence[str] | None]) -> tuple[str, bytes]:
    return "manifest.json", json.dumps(
        [{"Config": config, "RepoTags": tags, "Layers": ["l/layer.tar"]} for config, tags in images]
    ).encode()


def config(**changes: t.Any) -> bytes:
    return json.dumps({**CONFIG, **changes}).encode()


LAYER = ("l/layer.tar", b"x" * 3000)
GOOD = tar([LAYER, ("c.json", config()), manifest(("c.json", ["demo/app:1"]))])
SEVERAL = tar(
    [
        LAYER,
        ("a.json", config(architecture="amd64")),
        ("b.json", config(architecture="arm64")),
        ("c.json", config(architecture="arm")),
        manifest(
            ("a.json", ["demo/app:amd64", "demo/app:latest"]),
            ("b.json", ["localhost/demo/app:arm64"]),
            ("c.json", None),
        ),
    ]
)


def zstd(data: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor().compress(data)  # type: ignore[no-any-return]


def checked_zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)  # type: ignore[no-any-return]


COMPRESSORS: dict[str, t.Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


class _HangsError(BaseException):
    """No Exception: nothing may take it for damage of the archive."""


@pytest.fixture(autouse=True)
def _no_test_hangs() -> t.Iterator[None]:
    def end(*_arguments: object) -> t.NoReturn:
        raise _HangsError

    before = signal.signal(signal.SIGPROF, end)
    limit_cpu(20)
    yield
    limit_cpu(0)
    signal.signal(signal.SIGPROF, before)


def limit_cpu(seconds: float) -> None:
    """End the test after so many seconds of CPU: the time of the clock also passes while other processes run."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.tar"


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_read(path: Path, compression: str) -> None:
    path.write_bytes(COMPRESSORS[compression](GOOD))
    archive = read(str(path))
    assert (archive.path, archive.compression, archive.config, archive.index, archive.count) == (
        str(path),
        compression,
        CONFIG,
        0,
        1,
    )


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name])
def test_expand(path: Path, tmp_path: Path, compression: str) -> None:
    path.write_bytes(COMPRESSORS[compression](GOOD))
    expand(path, tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes() == GOOD


def test_several_frames_of_zstd(path: Path) -> None:
    """As a parallel compressor writes them."""
    path.write_bytes(zstd(GOOD[:2000]) + zstd(GOOD[2000:]))
    assert read(str(path)).config == CONFIG


def test_cut_zstd(path: Path) -> None:
    """zstandard takes the end of a file for the end of its data."""
    path.write_bytes(zstd(tar([("l/layer.tar", b"0" * 5_000_000)])[:1000]))
    with pytest.raises(InvalidArchiveError, match=r"after the member 'l/layer\.tar': it ends inside a member$"):
        read(str(path))


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name])
def test_expand_of_one_that_is_cut_short(path: Path, tmp_path: Path, compression: str) -> None:
    path.write_bytes(COMPRESSORS[compression](GOOD))
    archive = OpenArchive(str(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidArchiveError, match="truncated or damaged"):
        archive.expand(str(tmp_path / "plain"))


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name])
def test_expand_of_one_with_a_wrong_checksum(path: Path, tmp_path: Path, compression: str) -> None:
    """It is the archive that is damaged: no matter of the disk, which is what an OSError is taken for."""
    packed = checked_zstd(GOOD) if compression == "zstd" else COMPRESSORS[compression](GOOD)
    path.write_bytes(packed)
    archive = OpenArchive(str(path))
    place = {"gzip": -6, "bzip2": -4, "xz": -20, "zstd": -2}[compression]
    damaged = bytearray(packed)
    damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(InvalidArchiveError, match="truncated or damaged"):
        archive.expand(str(tmp_path / "plain"))


def test_expand_onto_a_full_disk(path: Path, tmp_path: Path) -> None:
    path.write_bytes(gzip.compress(GOOD))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            expand(path, tmp_path / "plain")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_expand_writes_over_nothing(path: Path, tmp_path: Path) -> None:
    path.write_bytes(gzip.compress(GOOD))
    (tmp_path / "plain").write_text("mine")
    with pytest.raises(FileExistsError):
        expand(path, tmp_path / "plain")


def test_zstd_without_its_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(zstd(GOOD))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingLibraryError, match=r"^zstandard$"):
        read(str(path))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param([("c.json", config()), manifest(("c.json", None)), LAYER], CONFIG, id="layers last"),
        pytest.param([("./c.json", config()), manifest(("c.json", []))], CONFIG, id="with ./ in the archive"),
        pytest.param([("c.json", config()), manifest(("./c.json", []))], CONFIG, id="with ./ in the manifest"),
        pytest.param(
            [
                ("blobs", None),
                ("blobs/sha256/c", config()),
                manifest(("blobs/sha256/c", [])),
                ("index.json", b'{"manifests":[]}'),
                ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            ],
            CONFIG,
            id="as Docker 25 saves",
        ),
        pytest.param(
            [("c.json", config()), manifest(("c.json", [])), ("c.json", config(os="windows"))],
            CONFIG,
            id="first of two",
        ),
        pytest.param(
            [("big", b"{" * 5_000_000), ("c.json", config()), manifest(("c.json", []))], CONFIG, id="a big file"
        ),
    ],
)
def test_forms(path: Path, members: list[tuple[str, bytes | None]], expected: dict[str, t.Any]) -> None:
    path.write_bytes(tar([*members, LAYER]))
    assert read(str(path)).config == expected


def test_long_names_in_the_format_of_pax(path: Path) -> None:
    name = "d" * 150 + "/" + "c" * 150
    path.write_bytes(tar([(name, config()), manifest((name, [])), LAYER], format=tarfile.PAX_FORMAT))
    assert read(str(path)).config == CONFIG


@pytest.mark.parametrize(
    ("select", "index"),
    [
        ("0", 0),
        ("2", 2),
        ("demo/app:amd64", 0),
        ("demo/app:latest", 0),
        ("demo/app", 0),
        ("demo/app:arm64", 1),
        ("localhost/demo/app:arm64", 1),
        ("docker.io/demo/app:arm64", 1),
    ],
)
def test_select(path: Path, select: str, index: int) -> None:
    path.write_bytes(SEVERAL)
    archive = read(str(path), select)
    assert (archive.index, archive.count, archive.config["architecture"]) == (
        index,
        3,
        ["amd64", "arm64", "arm"][index],
    )


@pytest.mark.parametrize("select", ["3", "9" * 5000, "-1", "demo/app:none", "app", "", "²", "@0", "0x1"])
def test_select_what_is_not_there(path: Path, select: str) -> None:
    path.write_bytes(SEVERAL)
    with pytest.raises(
        InvalidArchiveError, match=r"has no image .*. It has 0: demo/app:amd64 demo/app:latest, 1: "
    ) as error:
        read(str(path), select)
    assert str(error.value).startswith(f"{path} has no image {select!r}. ")


def test_two_images_and_no_choice(path: Path) -> None:
    path.write_bytes(tar([("c.json", config()), manifest(("c.json", ["a:1"]), ("c.json", ["b:1"]))]))
    with pytest.raises(InvalidArchiveError) as error:
        read(str(path))
    assert str(error.value) == f"{path} has 2 images: 0: a:1, 1: b:1"


def test_several_images_and_no_choice(path: Path) -> None:
    path.write_bytes(SEVERAL)
    with pytest.raises(InvalidArchiveError, match=r"has 3 images: 0: demo/app:amd64 .* 2: \(no tag\)"):
        read(str(path))


def test_a_library_image_by_its_long_name(path: Path) -> None:
    path.write_bytes(tar([("c.json", config()), manifest(("c.json", ["busybox:1"])), LAYER]))
    assert read(str(path), "docker.io/library/busybox:1").index == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"This is a text.\n" * 500, "is neither a docker archive nor", id="a text"),
        pytest.param(GOOD[:1000], "truncated or damaged after the member 'l/layer.tar'", id="cut in a layer"),
        pytest.param(gzip.compress(GOOD)[:-30], "ended before the end-of-stream marker", id="cut gzip"),
        pytest.param(gzip.compress(b"text"), "is neither a docker archive nor", id="a compressed text"),
        pytest.param(b"\x1f\x8b", "is neither a docker archive nor", id="two bytes of gzip"),
        pytest.param(tar([]), "manifest.json and index.json are missing", id="a tar of nothing"),
        pytest.param(tar([LAYER]), "manifest.json and index.json are missing", id="no manifest"),
        pytest.param(tar([("index.json", b"{}")]), "index.json .* lists no images", id="OCI of nothing"),
        pytest.param(tar([manifest(("c.json", []))]), "has no JSON member 'c.json'", id="no configuration"),
        pytest.param(tar([manifest(("c.json", [])), ("c.json", b"x")]), "has no JSON member", id="config is a text"),
        pytest.param(
            tar([manifest(("c.json", [])), ("c.json", b"{")]), "the member 'c.json' of .* not valid", id="cut config"
        ),
        pytest.param(tar([manifest(("c.json", [])), ("c.json", b"[]")]), "not a JSON object", id="config is a list"),
        pytest.param(tar([("manifest.json", b"[")]), "manifest.json .* not valid JSON", id="cut manifest"),
        pytest.param(tar([("manifest.json", b"{}")]), "not a list of images", id="manifest is an object"),
        pytest.param(tar([("manifest.json", b"[]")]), "lists no images", id="manifest of nothing"),
        pytest.param(tar([("manifest.json", b"[1]")]), "not a list of images", id="manifest of numbers"),
        pytest.param(tar([("manifest.json", b'[{"Config":1}]')]), "not a list of images", id="Config is a number"),
        pytest.param(tar([("manifest.json", b"[" * 99_999)]), "not valid JSON", id="deep manifest"),
        pytest.param(tar([("manifest.json", b"[" * 4_194_305)]), "more than the limit", id="big manifest"),
        pytest.param(tar([("manifest.json", None)]), "index.json are missing", id="manifest is a directory"),
    ],
)
def test_refused(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InvalidArchiveError, match=message) as error:
        read(str(path))
    assert str(path) in str(error.value)


def test_more_json_than_can_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_file, "_DOCUMENTS_LIMIT", 1000)
    path.write_bytes(tar([(f"{number}.json", b"{" * 400) for number in range(3)]))
    with pytest.raises(InvalidArchiveError, match=r"exceeds the limit for JSON documents, at the member '2\.json'"):
        read(str(path))


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchiveError, match="is a directory"):
        read(str(tmp_path))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchiveError, match=r"none.tar cannot be read: No such file or directory"):
        read(str(tmp_path / "none.tar"))


def test_a_sparse_layer_of_a_terabyte_costs_nothing(tmp_path: Path) -> None:
    """Nothing of a layer is read: the archive is a file with a hole."""
    path = tmp_path / "huge.tar"
    member = tarfile.TarInfo("l/layer.tar")
    member.size = 1 << 40
    with path.open("wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        try:
            file.seek(1 << 40, io.SEEK_CUR)
            file.write(tar([("c.json", config()), manifest(("c.json", []))]))
        except OSError:
            pytest.skip("no file can be so large here")
    assert read(str(path)).config == CONFIG


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


KINDS = {
    "name": tarfile.GNUTYPE_LONGNAME,
    "link": tarfile.GNUTYPE_LONGLINK,
    "pax": tarfile.XHDTYPE,
    "global": tarfile.XGLTYPE,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", ["", "gzip"])
def test_a_header_of_which_tarfile_would_read_all(path: Path, kind: str, compression: str) -> None:
    """64 MiB of a long name, as a hole or compressed, are not read into memory."""
    data = header("x", 1 << 26, KINDS[kind])
    if compression:
        path.write_bytes(gzip.compress(data + bytes(1 << 26)))
    else:
        path.write_bytes(data)
        os.truncate(path, 1 << 27)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchiveError, match="headers exceed the limit"):
            read(str(path))
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_a_sparse_member_whose_map_has_no_end(path: Path) -> None:
    """tarfile keeps as many numbers of it as it promises."""
    records = "".join(f"{key}={value}\n" for key, value in (("GNU.sparse.major", 1), ("GNU.sparse.minor", 0)))
    pax = "".join(f"{len(line) + 4} {line}\n" for line in records.splitlines()).encode()
    member = header("x", len(pax), tarfile.XHDTYPE) + pax.ljust(512, b"\0") + header("y", 1 << 26)
    path.write_bytes(member + b"9999999999\n" + b"0\n" * (1 << 20))
    with pytest.raises(InvalidArchiveError, match="headers exceed the limit"):
        read(str(path))


def test_more_members_than_can_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_file, "_DOCUMENTS_LIMIT", 0)
    monkeypatch.setattr(archive_file, "_HEADERS_LIMIT", 512 * 1000)
    path.write_bytes(gzip.compress(header("x", 0) * 1001))
    with pytest.raises(InvalidArchiveError, match="headers exceed the limit"):
        read(str(path))


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name])
def test_what_grows_without_bound(path: Path, tmp_path: Path, compression: str, monkeypatch: t.Any) -> None:
    """Neither read to its end nor written to the disk."""
    path.write_bytes(COMPRESSORS[compression](header("l/layer.tar", 1 << 23) + bytes(1 << 23) + GOOD))
    archive = OpenArchive(str(path))
    monkeypatch.setattr(archive_file, "ALWAYS_ALLOWED", 1 << 20)
    for action in (lambda: read(str(path)), lambda: archive.expand(str(tmp_path / "plain"))):
        with pytest.raises(InvalidArchiveError, match="expands to more than 200 times its size"):
            action()
    assert (tmp_path / "plain").stat().st_size < 3 << 20


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=["a zero", "half a pair"])
def test_a_path_that_cannot_be(name: str) -> None:
    with pytest.raises(InvalidArchiveError, match="cannot be read"):
        read(name)


def outcome(data: bytes, select: str | None = None) -> str:
    """What becomes of some bytes: anything but a result or InvalidArchiveError is let through, and fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.tar"
        path.write_bytes(data)
        try:
            archive = read(str(path), select)
            if archive.compression:
                expand(path, Path(folder) / "plain")
        except InvalidArchiveError as error:
            return str(error)
    return hashlib.sha256(json.dumps(archive.config).encode()).hexdigest()


@settings(max_examples=3 * settings().max_examples // 2)
@given(st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"]), st.binary(max_size=1500))
def test_any_bytes(magic: bytes, data: bytes) -> None:
    assert outcome(magic + data)


@settings(max_examples=4 * settings().max_examples)
@given(
    st.sampled_from(["", "gzip", "bzip2", "xz", "zstd"]),
    st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=12)), min_size=1, max_size=3),
    st.floats(0, 1),
)
# A header that gives its size in base 256, as a negative number; one whose number is no number.
@example("", [(124 / len(GOOD), b"\xff" * 12)], 1.0)
@example("", [(124 / len(GOOD), b"\x80" + b"\xff" * 11)], 1.0)
def test_any_mutation(compression: str, changes: list[tuple[float, bytes]], end: float) -> None:
    data = bytearray(COMPRESSORS[compression](GOOD))
    for place, patch in changes:
        start = int(place * len(data))
        data[start : start + len(patch)] = patch
    assert outcome(bytes(data[: int(end * len(data)) or 1]))


NAMES = ["manifest.json", "c.json", "./c.json", "/c.json", "../c.json", "index.json", "a" * 120, ""]
CONTENT = st.sampled_from(
    [config(), manifest(("c.json", None))[1], manifest(("../c.json", ["x"]))[1], b"[]", b"{}", b"[{}]", b"{", b"[\x00"]
) | st.binary(max_size=40)


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(st.tuples(st.sampled_from(NAMES), CONTENT), max_size=4), st.sampled_from([None, "0", "1", "x:1", "٣"]))
def test_any_members(members: list[tuple[str, bytes]], select: str | None) -> None:
    assert outcome(tar(members), select)


@pytest.mark.parametrize(
    "tags", [[1], "text", {"a": 1}, 5, True], ids=["numbers", "a text", "an object", "a number", "true"]
)
def test_tags_that_are_no_list_of_texts(tags: t.Any) -> None:
    data = tar([("c.json", config()), ("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": tags}]).encode())])
    assert outcome(data)


def headers(number: bytes) -> bytes:
    """A valid checksum over a header whose size is *number*."""
    header = bytearray(GOOD[:512])
    header[124:136] = number
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + GOOD[512:]


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(b"\xff" * 12, id="-1"),
        pytest.param(b"\xff" * 10 + b"\x00\x00", id="-65536"),
        pytest.param(b"\x80" + b"\xff" * 11, id="huge"),
        pytest.param(b"\x80\x00\x00\x00\x7f" + b"\xff" * 7, id="the longest file"),
        pytest.param(b"-0000000001\0", id="a minus"),
        pytest.param(b"xxxxxxxxxxx\0", id="no number"),
    ],
)
@pytest.mark.parametrize("compression", ["", "gzip"])
def test_sizes_that_cannot_be(number: bytes, compression: str) -> None:
    limit_cpu(3)
    assert outcome(COMPRESSORS[compression](headers(number)))


def test_the_module_needs_no_zstandard(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path.write_bytes(GOOD)
    importlib.import_module(archive_file.__name__)
    assert read(str(path)).config == CONFIG


def layered(path: Path, names: t.Any, links: t.Mapping[str, str] | None = None) -> str:
    with tarfile.open(path, "w") as tar_file:
        for name, content in (("a/layer.tar", b"aaaa"), ("b/layer.tar", b"bb")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar_file.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar_file.addfile(member)
        raw = json.dumps([{"Config": "other", "Layers": []}, {"Config": "config", "Layers": names}]).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size = len(raw)
        tar_file.addfile(member, io.BytesIO(raw))
    return str(path)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a/layer.tar", "b/layer.tar"], [b"aaaa", b"bb"]),
        (["b/layer.tar", "./a/layer.tar"], [b"bb", b"aaaa"]),
        (["b/layer.tar", "c/layer.tar", "b/layer.tar"], [b"bb", b"aaaa"]),
        (["a/layer.tar", "c/layer.tar"], [b"aaaa"]),
        ([], []),
    ],
)
def test_places_of_layers(names: list[str], found: list[bytes], tmp_path: Path) -> None:
    path = layered(tmp_path / "a.tar", names, {"c/layer.tar": "../a/layer.tar"})
    raw = Path(path).read_bytes()
    assert [raw[start:end] for start, end in layers(path, 1)] == found
    assert layers(path, 0) == []


@pytest.mark.parametrize("names", [1, [1], ["none"], ["c/layer.tar"]])
def test_places_of_layers_that_are_not_there(names: t.Any, tmp_path: Path) -> None:
    path = layered(tmp_path / "a.tar", names, {"c/layer.tar": "../none/layer.tar"})
    with pytest.raises(InvalidArchiveError, match="cannot be located"):
        layers(path, 1)


def test_places_of_layers_in_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"no archive")
    for name in (path, tmp_path / "none.tar"):
        with pytest.raises(InvalidArchiveError, match="cannot be located"):
            layers(str(name), 0)
    with pytest.raises(InvalidArchiveError, match="cannot be located"):
        layers(layered(path, []), 2)
