# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the image archives that the tests and the demo push: small, on the spot, by the real builders.

build(directory) makes them once and gives their paths by name: `build(directory)["buildah-amd64"]`. Each image is a
program that prints a line and waits for SIGTERM; its tag in the archive is localhost/demo:ARCHITECTURE. Archives of
other builders, and in other forms, are in tests/integration/builders.

| name | what it is |
|---|---|
| buildah-amd64, buildah-arm64, buildah-arm-v7 | docker-archives that buildah wrote, the last one with its variant |
| skopeo-amd64 | `skopeo copy` to docker-archive: |
| two-images | localhost/demo:amd64 and localhost/demo:arm64, the images of buildah-amd64 and buildah-arm64 |
| gzip | buildah-amd64 compressed |
| changed-label, changed-env, changed-layer | buildah-amd64, but for this one thing |
| cut-short | the first half of buildah-amd64 |
| no-manifest, no-config | buildah-amd64 without its manifest.json, without the config that this names |
| not-a-tar, empty, directory | a text, a file of no bytes, a directory |
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILDAH = ("buildah-amd64", "buildah-arm64", "buildah-arm-v7")
CHANGED = ("changed-label", "changed-env", "changed-layer")
GOOD = (*BUILDAH, "skopeo-amd64", "two-images", "gzip", *CHANGED)
BROKEN = ("cut-short", "no-manifest", "no-config", "not-a-tar", "empty", "directory")

# Everything is as old as this, so that the same builder makes the same image again.
TIMESTAMP = 1_700_000_000

STAMP = "images.stamp"

PROGRAM = """\
package main

import (
    "os"
    "os/signal"
    "syscall"
)

func main() {
    stop := make(chan os.Signal, 1)
    signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
    os.Stdout.WriteString("the demo is running\\n")
    <-stop
}
"""


class ImagesError(Exception):
    """A builder failed, or the directory is not ours to write to."""


@dataclass(frozen=True)
class Images:
    directory: Path

    def __getitem__(self, name: str) -> Path:
        if name not in GOOD and name not in BROKEN:
            raise KeyError(name)
        return self.directory / ("compressed.tar.gz" if name == "gzip" else f"{name}.tar")


def build(directory: Path) -> Images:
    """The images in this directory; they are made only if this file has not made them there already."""
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    with _lock(directory):
        if _stamp(directory) == wanted:
            return Images(directory)
        if directory.exists() and any(directory.iterdir()) and _stamp(directory) is None:
            raise ImagesError(f"{directory} holds something else than images")
        # Made aside and renamed at the end: an interrupted build leaves nothing that appears complete.
        with tempfile.TemporaryDirectory(prefix=f"{directory.name}.", dir=directory.parent) as temporary:
            made = Path(temporary) / "images"
            work = Path(temporary) / "work"
            made.mkdir()
            work.mkdir()
            _Builder(Images(made), work).build()
            (made / STAMP).write_text(wanted, encoding="utf-8")
            if directory.exists():
                shutil.rmtree(directory)
            made.rename(directory)
    return Images(directory)


def _stamp(directory: Path) -> str | None:
    try:
        return (directory / STAMP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Only one process builds; the others wait and find the images made."""
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"images: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Recipe:
    """What one image that buildah makes differs in from the others."""

    architecture: str = "amd64"
    variant: str = ""
    program: str = "amd64"
    label: str = "one"
    environment: str = "one"
    text: str = "one\n"

    @property
    def tag(self) -> str:
        return f"localhost/demo:{self.architecture}{self.variant}"


RECIPES = {
    "buildah-amd64": _Recipe(),
    "buildah-arm64": _Recipe(architecture="arm64", program="arm64"),
    "buildah-arm-v7": _Recipe(architecture="arm", variant="v7", program="arm"),
    "changed-label": _Recipe(label="another"),
    "changed-env": _Recipe(environment="another"),
    "changed-layer": _Recipe(text="another\n"),
}


@dataclass(frozen=True)
class _Builder:
    images: Images
    work: Path

    def build(self) -> None:
        for program in ("buildah", "skopeo", "go"):
            if shutil.which(program) is None:
                raise ImagesError(f"there is no {program}")
        _say("compiling the program for amd64, arm64 and arm")
        for architecture in ("amd64", "arm64", "arm"):
            self._compile(architecture)
        self._configure()
        for name, recipe in RECIPES.items():
            _say(f"buildah makes {name}")
            self._compose(name, recipe)
        _say("copies: by skopeo, two in one, compressed, broken")
        self._run(
            *("skopeo", "--policy", str(self.work / "policy.json"), "--tmpdir", str(self.work / "tmp"), "copy"),
            f"docker-archive:{self.images['buildah-amd64']}",
            f"docker-archive:{self.images['skopeo-amd64']}:localhost/demo:amd64",
        )
        base = _read_tar(self.images["buildah-amd64"])
        _write_tar(self.images["two-images"], _together(base, _read_tar(self.images["buildah-arm64"])))
        self.images["gzip"].write_bytes(gzip.compress(self.images["buildah-amd64"].read_bytes(), mtime=0))
        self._break(base)

    def _configure(self) -> None:
        """What the tools read instead of the machine's own configuration."""
        (self.work / "tmp").mkdir()
        (self.work / "config.json").write_text("{}", encoding="utf-8")  # no accounts; buildah insists on the file
        (self.work / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="utf-8")
        # buildah 1.39 does not start without netavark, which Debian does not install with it. No image here needs a
        # network, so nothing ever runs it.
        netavark = self.work / "bin" / "netavark"
        netavark.parent.mkdir()
        netavark.write_text("#!/bin/false\n", encoding="utf-8")
        netavark.chmod(0o755)
        (self.work / "containers.conf").write_text(
            f'[engine]\nhelper_binaries_dir = ["{netavark.parent}"]\n', encoding="utf-8"
        )

    def _run(self, *command: str, **variables: str) -> None:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.work),
            "TMPDIR": str(self.work / "tmp"),
            "XDG_RUNTIME_DIR": str(self.work / "tmp"),
            "DOCKER_CONFIG": str(self.work),
            "CONTAINERS_CONF": str(self.work / "containers.conf"),
            **variables,
        }
        try:
            subprocess.run(
                command, cwd=self.work, env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True
            )
        except subprocess.CalledProcessError as error:
            output = (error.stdout + error.stderr).decode(errors="replace").strip()
            raise ImagesError(f"{' '.join(command)}: exit code {error.returncode}\n{output}") from error

    def _compile(self, architecture: str) -> None:
        context = self.work / "context"
        context.mkdir(exist_ok=True)
        (self.work / "main.go").write_text(PROGRAM, encoding="utf-8")
        self._run(
            *("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(context / architecture), "main.go"),
            GOOS="linux",
            GOARCH=architecture,
            GOARM="7",
            CGO_ENABLED="0",
            GOCACHE=str(self.work / "go-cache"),
            GOTOOLCHAIN="local",
            TMPDIR=str(self.work),
        )

    def _buildah(self, command: str, *arguments: str) -> None:
        # Files and nothing more: no overlay and no namespaces, which need rights that a container does not have.
        self._run(
            *("buildah", "--root", str(self.work / "buildah"), "--runroot", str(self.work / "buildah-run")),
            *("--storage-driver", "vfs", command, *arguments),
        )

    def _policy(self) -> tuple[str, str]:
        return "--signature-policy", str(self.work / "policy.json")

    def _compose(self, name: str, recipe: _Recipe) -> None:
        """An image by buildah's own commands: unlike a Dockerfile's, its history does not tell what is in it."""
        context = self.work / "context"
        (context / "text").write_text(recipe.text, encoding="utf-8")
        self._buildah("from", *self._policy(), "--name", name, "scratch")
        self._buildah("copy", name, str(context / recipe.program), "/program")
        self._buildah("copy", name, str(context / "text"), "/text")
        variant = ("--variant", recipe.variant) if recipe.variant else ()
        self._buildah(
            *("config", "--arch", recipe.architecture, *variant, "--entrypoint", '["/program"]'),
            *("--env", f"DEMO={recipe.environment}", "--label", f"org.example.first={recipe.label}"),
            *("--label", "org.example.second=two", "--label", "org.example.third=three", name),
        )
        self._buildah(
            *("commit", *self._policy(), "--format", "docker", "--timestamp", str(TIMESTAMP), name),
            f"docker-archive:{self.images[name]}:{recipe.tag}",
        )

    def _break(self, base: dict[str, bytes]) -> None:
        content = self.images["buildah-amd64"].read_bytes()
        self.images["cut-short"].write_bytes(content[: len(content) // 2])
        config = json.loads(base["manifest.json"])[0]["Config"]
        _write_tar(self.images["no-manifest"], {name: data for name, data in base.items() if name != "manifest.json"})
        _write_tar(self.images["no-config"], {name: data for name, data in base.items() if name != config})
        self.images["not-a-tar"].write_text("This is a text and no archive.\n" * 500, encoding="utf-8")
        self.images["empty"].touch()
        self.images["directory"].mkdir()


# --- archives in other forms ------------------------------------------------------------------------------------------


def _read_tar(path: Path) -> dict[str, bytes]:
    """The files of a small tar. The links for Docker before 1.10 are left out: nothing reads them any more."""
    files = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                files[member.name] = content.read()
    return files


def _write_tar(target: Path | io.BytesIO, files: dict[str, bytes]) -> None:
    """Names that end with a slash are directories."""
    path, stream = (target, None) if isinstance(target, Path) else (None, target)
    with tarfile.open(path, "w", stream, format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mtime = TIMESTAMP
            member.mode = 0o755  # one of the files is the program
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_archive(path: Path, architecture: str, files: dict[str, bytes]) -> None:
    """A docker archive of one layer with these files, which needs no builder: what a docker-archive has to hold."""
    layer = io.BytesIO()
    _write_tar(layer, files)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
    }
    image = {"Config": "config.json", "RepoTags": [f"localhost/demo:{architecture}"], "Layers": ["layer.tar"]}
    _write_tar(path, {"config.json": _json(config), "layer.tar": layer.getvalue(), "manifest.json": _json([image])})


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _together(first: dict[str, bytes], second: dict[str, bytes]) -> dict[str, bytes]:
    """Two docker-archives of one image each as one archive of two, as `docker save A B` writes it."""
    manifest = json.loads(first["manifest.json"]) + json.loads(second["manifest.json"])
    repositories = json.loads(first["repositories"])
    for repository, tags in json.loads(second["repositories"]).items():
        repositories.setdefault(repository, {}).update(tags)
    return {**first, **second, "manifest.json": _json(manifest), "repositories": _json(repositories)}


def relabelled(archive: Path, target: Path) -> Path:
    """A copy with a label that no other image has. A node knows an image by every name under which it has pulled it."""
    files = _read_tar(archive)
    manifest = json.loads(files["manifest.json"])
    config = json.loads(files.pop(manifest[0]["Config"]))
    config["config"]["Labels"]["org.example.own"] = secrets.token_hex(8)
    content = _json(config)
    # The name of the file is the digest of its content.
    manifest[0]["Config"] = f"{hashlib.sha256(content).hexdigest()}.json"
    _write_tar(target, {**files, manifest[0]["Config"]: content, "manifest.json": _json(manifest)})
    return target
