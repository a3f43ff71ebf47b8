# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives with index.json, and archives that a module has to refuse although they can be read."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import blob
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    Archive,
    InvalidArchiveError,
    UnfitPlatformError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import image_identity
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform, sha256

WRITE = t.Callable[..., Path]


def read(path: Path, select: str | None = None, platform: str | None = None) -> Archive:
    return OpenArchive(str(path)).read(select, Platform.parse(platform) if platform else None)


def refused(path: Path, select: str | None = None, platform: str | None = None) -> InvalidArchiveError:
    with pytest.raises(InvalidArchiveError) as raised:
        read(path, select, platform)
    assert str(path) in str(raised.value)
    assert raised.value.hint.endswith(".")
    return raised.value


@pytest.fixture
def amd64(docker_config: t.Any) -> dict[str, t.Any]:
    return docker_config(docker_version=None)  # type: ignore[no-any-return]


@pytest.fixture
def arm64(docker_config: t.Any) -> dict[str, t.Any]:
    return docker_config(docker_version=None, architecture="arm64", variant="v8")  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["app.tar", "app.tar.gz", "layout"])
def test_one_image(tmp_path: Path, write_oci: WRITE, amd64: dict[str, t.Any], name: str) -> None:
    archive = read(write_oci(tmp_path / name, [amd64]))
    assert (archive.config, archive.compression) == (amd64, "gzip" if name.endswith("gz") else "")
    assert archive.manifest.startswith("sha256:")
    assert archive.layers == (blob(sha256(b"one")),)


@pytest.mark.parametrize(("platform", "found"), [("linux/arm64", "arm64"), ("linux/amd64", "amd64")])
def test_one_of_two_platforms(
    tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any, platform: str, found: str
) -> None:
    path = write_oci(tmp_path / "app.tar", [amd64, arm64])
    assert read(path, platform=platform).config["architecture"] == found


def test_several_platforms_and_no_choice(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any) -> None:
    path = write_oci(tmp_path / "app.tar", [amd64, arm64])
    for platform, message in (
        (None, "has images for several platforms: linux/amd64, linux/arm64/v8"),
        ("linux/s390x", "has no image for linux/s390x. It has linux/amd64, linux/arm64/v8"),
    ):
        error = refused(path, platform=platform)
        assert isinstance(error, UnfitPlatformError)
        assert message in str(error)


def test_each_platform(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any) -> None:
    path = write_oci(tmp_path / "app.tar", [amd64, arm64])
    assert [archive.config for archive in OpenArchive(str(path)).read_each(None)] == [amd64, arm64]


WINDOWS = [{"os": "windows", "os.version": version} for version in ("10.0.17763.5", "10.0.20348.1")]


@pytest.mark.parametrize(
    ("changes", "platform", "message"),
    [
        (WINDOWS, "windows/amd64", "has 2 images for windows/amd64: 10.0.17763.5, 10.0.20348.1"),
        (
            [{"architecture": "arm"}, {"architecture": "arm", "variant": "v7"}],
            "linux/arm",
            "has 2 images for linux/arm/v7: linux/arm, linux/arm/v7",
        ),
    ],
    ids=["versions of Windows", "variants of arm"],
)
def test_two_images_for_one_platform(
    tmp_path: Path, write_oci: WRITE, docker_config: t.Any, changes: list[t.Any], platform: str, message: str
) -> None:
    """They would have the same tag, and the option platform cannot distinguish them."""
    configs = [docker_config(**each) for each in changes]
    two = write_oci(tmp_path / "two.tar", configs)
    three = write_oci(tmp_path / "three.tar", [*configs, docker_config(architecture="s390x")])
    for path, option in ((two, None), (two, platform), (three, platform)):
        error = refused(path, platform=option)
        assert message in str(error)
        assert error.hint == "Save each of them in an archive of its own."
    for path in (two, three):
        with pytest.raises(UnfitPlatformError, match=message):
            OpenArchive(str(path)).read_each(None)
    assert "Select one of them with platform" in refused(three).hint
    assert read(three, platform="linux/s390x").config["architecture"] == "s390x"
    # Two images of an archive can be selected.
    apart = write_oci(tmp_path / "apart.tar", *([each] for each in configs))
    with pytest.raises(InvalidArchiveError, match="has 2 images: 0: localhost/demo:0, 1: localhost/demo:1"):
        OpenArchive(str(apart)).read_each(None)
    assert len(OpenArchive(str(apart)).read_each("demo:1")) == 1


def test_each_platform_of_two_images(tmp_path: Path, write_oci: WRITE, amd64: t.Any, docker_config: t.Any) -> None:
    """Two images for one platform are not one image with two platforms."""
    path = write_oci(tmp_path / "app.tar", [amd64], [docker_config(author="somebody")])
    with pytest.raises(InvalidArchiveError, match="has 2 images: 0: localhost/demo:0, 1: localhost/demo:1"):
        OpenArchive(str(path)).read_each(None)
    assert len(OpenArchive(str(path)).read_each("demo:1")) == 1


def test_platform_that_manifest_json_leaves_out(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any) -> None:
    """docker save with the store of containerd. What manifest.json lists needs no conversion."""
    path = write_oci(tmp_path / "app.tar", [amd64, arm64], docker=[amd64])
    assert "several platforms" in str(refused(path))
    assert read(path, platform="linux/amd64").manifest == ""
    assert read(path, platform="linux/arm64").config == arm64
    assert read(path, platform="linux/arm64").manifest


def test_image_that_manifest_json_leaves_out(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any) -> None:
    path = write_oci(tmp_path / "app.tar", [amd64], [arm64], docker=[amd64])
    assert "has 2 images" in str(refused(path))
    assert read(path, "demo:1").config == arm64
    assert read(path, platform="linux/arm64").config == arm64


def test_directory_of_an_unpacked_archive(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any) -> None:
    """manifest.json is not used: skopeo cannot read a docker archive from a directory."""
    layout = write_oci(tmp_path / "layout", [amd64, arm64], docker=[amd64])
    archive = read(layout, platform="linux/amd64")
    assert (archive.config, archive.manifest.partition(":")[0]) == (amd64, "sha256")
    (layout / "index.json").unlink()
    error = refused(layout)
    assert "is a directory, but not an OCI layout" in str(error)
    assert error.hint == f"Pack it with 'tar -C {layout} -cf FILE .', and give the path of FILE."


def test_the_same_image_in_both_lists(tmp_path: Path, write_oci: WRITE, amd64: t.Any) -> None:
    archive = read(write_oci(tmp_path / "app.tar", [amd64], docker=[amd64]))
    assert (archive.manifest, archive.count) == ("", 1)


def changed(path: Path, change: t.Callable[[dict[str, bytes]], None]) -> Path:
    with tarfile.open(path) as tar:
        files = {member.name: t.cast("t.IO[bytes]", tar.extractfile(member)).read() for member in tar}
    change(files)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_platforms_that_are_not_in_the_archive(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any) -> None:
    """docker save writes the index of the builder, and of the platforms only those that it has."""

    def remove(files: dict[str, bytes]) -> None:
        del files[next(name for name, content in files.items() if content.startswith(b"{") and b'"layers"' in content)]

    path = changed(write_oci(tmp_path / "app.tar", [amd64, arm64]), remove)
    assert read(path).config == arm64


@pytest.mark.parametrize(
    ("find", "write", "message"),
    [
        (b"one", None, "has no layer 'blobs/sha256/"),
        (b"one", b"on", "is damaged: the layer blobs/sha256/"),
        (b'"architecture"', b'{"architecture":"s390x","os":"linux"}', "is damaged: the member blobs/sha256/"),
        (
            b'"manifests"',
            b'{"manifests":[{"digest":"../../etc/passwd"}]}',
            "not a list of manifests with a sha256 digest",
        ),
        (b'"manifests"', b'{"manifests":1}', "not a list of manifests"),
        (b'"manifests"', b"[]", "not a JSON object"),
        (b'"manifests"', b"{", "index.json of .* is not valid JSON"),
        (b'"manifests"', b"{}", "lists no images"),
    ],
)
def test_damaged(
    tmp_path: Path, write_oci: WRITE, amd64: t.Any, find: bytes, write: bytes | None, message: str
) -> None:
    def change(files: dict[str, bytes]) -> None:
        name = next(name for name, content in files.items() if find in content)
        if write is None:
            del files[name]
        else:
            files[name] = write

    path = changed(write_oci(tmp_path / "app.tar", [amd64]), change)
    with pytest.raises(InvalidArchiveError, match=message):
        read(path)


def test_index_of_itself(tmp_path: Path, write_oci: WRITE, amd64: t.Any) -> None:
    """Many indexes of many entries are not read without bounds."""
    path = write_oci(tmp_path / "app.tar", *[[amd64]] * 3)

    def change(files: dict[str, bytes]) -> None:
        entry = json.loads(files["index.json"])["manifests"][0]
        for _level in range(6):
            raw = json.dumps({"manifests": [entry] * 50}).encode()
            files[blob(sha256(raw))] = raw
            entry = {"digest": sha256(raw)}
        files["index.json"] = json.dumps({"manifests": [entry]}).encode()

    assert "lists no images" in str(refused(changed(path, change)))


@pytest.mark.parametrize("name", ["app.tar", "app.tar.gz", "layout"])
def test_extract(tmp_path: Path, write_oci: WRITE, amd64: t.Any, arm64: t.Any, name: str) -> None:
    """A layout of one image."""
    opened = OpenArchive(str(write_oci(tmp_path / name, [amd64, arm64], layer=b"layer" * 1000)))
    archive = opened.read(None, Platform.parse("linux/arm64"))
    opened.extract(archive, str(tmp_path / "one"))
    assert OpenArchive(str(tmp_path / "one")).read(None, None).config == arm64
    assert (tmp_path / "one" / archive.layers[0]).read_bytes() == b"layer" * 1000
    assert len(list((tmp_path / "one/blobs/sha256").iterdir())) == 3
    assert opened.converted_size(archive) > 10_000
    assert opened.largest_size(archive) > 256 << 20


def test_extract_of_a_file_that_was_cut(tmp_path: Path, write_oci: WRITE, amd64: t.Any) -> None:
    path = write_oci(tmp_path / "app.tar", [amd64], layer=b"layer" * 1000)
    opened = OpenArchive(str(path))
    archive = opened.read(None, None)
    os.truncate(path, 1024)
    with pytest.raises(InvalidArchiveError, match="was changed after it was read"):
        opened.extract(archive, str(tmp_path / "one"))


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
def test_what_is_not_a_file(tmp_path: Path, kind: str) -> None:
    """Nothing is opened that could block."""
    path = tmp_path / "app.tar"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    else:
        path = Path("/dev/null")
    assert f"is a {kind}, not a file" in str(refused(path))


def test_a_file_that_cannot_be_read() -> None:
    """The disk or the network mount is damaged."""
    assert "/proc/self/mem cannot be read: Input/output error" in str(refused(Path("/proc/self/mem")))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x04\x22\x4d\x18", "compressed with lz4"),
        (b"\x5d\x00\x00\x80\x00", "compressed with lzma"),
        (b"PK\x03\x04", "a zip file"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(content * 300)
    error = refused(path)
    assert f"is {name}, which is not supported" in str(error)
    assert "gzip, bzip2, xz or zstd" in error.hint


def test_hints(tmp_path: Path, write_archive: WRITE, docker_config: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the archive again does not help in every case."""
    assert "must exist on the host where the task runs" in refused(tmp_path / "none.tar").hint
    two = write_archive(tmp_path / "two.tar", docker_config(), docker_config(author="somebody"))
    assert refused(two).hint == "Select one of them with archive_image."
    assert refused(two, "2").hint == "Set archive_image to one of them."
    (tmp_path / "directory").mkdir()
    assert "OCI layout" in refused(tmp_path / "directory").hint
    (tmp_path / "directory/version").write_text("Directory Transport Version: 1.1")
    (tmp_path / "directory/manifest.json").write_text("{}")
    assert "skopeo copy dir:" in refused(tmp_path / "directory").hint
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("etc/passwd"))
    assert "crane append" in refused(tmp_path / "root.tar").hint

    def denied(*_arguments: object) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "Allow the user of the task to read the file" in refused(two).hint


@pytest.mark.parametrize("space", [b" ", b"\n", b"\r\n\t "])
def test_white_space_before_json(tmp_path: Path, write_archive: WRITE, docker_config: t.Any, space: bytes) -> None:
    def change(files: dict[str, bytes]) -> None:
        for name in files:
            if name.endswith(".json"):
                files[name] = space + files[name]

    assert read(changed(write_archive(tmp_path / "app.tar"), change)).config == docker_config()


def test_keys_in_another_case(tmp_path: Path, write_archive: WRITE, docker_config: t.Any) -> None:
    """Go ignores the case of a key, and reads a null label as an empty text."""
    config = docker_config()
    upper = {
        **{name.upper(): value for name, value in config.items()},
        "RootFS": {"DIFF_IDS": config["rootfs"]["diff_ids"]},
        "HISTORY": [{name.title(): value for name, value in step.items()} for step in config["history"]],
        "Config": {
            **{name.lower(): value for name, value in config["config"].items()},
            "labels": {**config["config"]["Labels"], "org.example.empty": None},
        },
    }
    for name in ("rootfs", "config"):
        upper.pop(name.upper())

    def change(files: dict[str, bytes]) -> None:
        files["manifest.json"] = (
            files["manifest.json"].replace(b'"Config"', b'"config"').replace(b'"Layers"', b'"LAYERS"')
        )

    path = changed(write_archive(tmp_path / "app.tar", upper), change)
    config["config"]["Labels"]["org.example.empty"] = ""
    assert image_identity(read(path).config) == image_identity(config)


def docker_archive(path: Path, kind: bytes | None, *, layers: int = 1) -> Path:
    """A docker archive whose layer is a member of that kind, or missing."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ["sha256:1"]}}).encode()
    manifest = json.dumps([{"Config": "c.json", "Layers": ["a/layer.tar"] * layers}]).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in (("b/layer.tar", b"layer"), ("c.json", config), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if kind:
            member = tarfile.TarInfo("a/layer.tar")
            member.type = kind
            member.linkname = "b/layer.tar" if kind == tarfile.LNKTYPE else "../b/layer.tar"
            tar.addfile(member)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (None, "has no layer 'a/layer.tar'"),
        (tarfile.LNKTYPE, "the layer 'a/layer.tar' is a hard link"),
        (tarfile.FIFOTYPE, "the layer 'a/layer.tar' is not a regular file"),
        (tarfile.DIRTYPE, "the layer 'a/layer.tar' is not a regular file"),
    ],
    ids=["missing", "hard link", "FIFO", "directory"],
)
def test_layers_that_skopeo_cannot_read(tmp_path: Path, kind: bytes | None, message: str) -> None:
    """They are found when the archive is read, so also in check mode."""
    error = refused(docker_archive(tmp_path / "app.tar", kind))
    assert message in str(error)
    assert ("tar --hard-dereference" in error.hint) is (kind == tarfile.LNKTYPE)


def test_layer_that_is_a_symbolic_link(tmp_path: Path) -> None:
    assert read(docker_archive(tmp_path / "app.tar", tarfile.SYMTYPE)).layers == ("a/layer.tar",)


def test_more_layers_than_the_configuration_has(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "app.tar", tarfile.SYMTYPE, layers=2)
    assert "manifest.json lists 2 layers, the configuration 1" in str(refused(path))
