# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the image archives that the tests and the demo push: small, on the spot, by the real builders.

build(directory) makes them once and gives their paths by name: `build(directory)["buildah-amd64"]`. Each image is a
program that prints a line and waits for SIGTERM; its tag in the archive is localhost/demo:ARCHITECTURE.

| name | what it is |
|---|---|
| buildah-amd64, buildah-arm64, buildah-arm-v7 | docker-archives that buildah wrote, the last one with its variant |
| crane-amd64 | `crane append -o`: two layers on a base for linux/amd64 |
| crane-bare | `crane append -o` without a base: its config names no platform |
| skopeo-amd64 | `skopeo copy` to docker-archive: |
| docker-25 | as Docker 25 to 28 save: an OCI layout with manifest.json beside it, layers not compressed |
| docker-29 | the same as Docker 29 saves out of containerd's store: layers compressed |
| two-images | localhost/demo:amd64 and localhost/demo:arm64, the images of buildah-amd64 and buildah-arm64 |
| colon | buildah-amd64 in a file with a colon in its name |
| gzip, bzip2, xz, zstd | buildah-amd64 compressed |
| healthcheck, onbuild | buildah-amd64 with a HEALTHCHECK, with an ONBUILD |
| empty-layers | from a Dockerfile: two layers, and instructions that made none |
| labels, labels-reordered | one image, but the second config has the labels in the opposite order |
| changed-label, changed-env, changed-layer, changed-architecture | buildah-amd64, but for this one thing |
| cut-short | the first half of buildah-amd64 |
| no-manifest, no-config | buildah-amd64 without its manifest.json, without the config that this names |
| oci-only | a tar of an OCI layout, as `skopeo copy` to oci-archive: writes it, without manifest.json |
| not-a-tar, empty, directory | a text, a file of no bytes, a directory |
"""

from __future__ import annotations

import bz2
import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import lzma
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILDAH = ("buildah-amd64", "buildah-arm64", "buildah-arm-v7")
COMPRESSED = ("gzip", "bzip2", "xz", "zstd")
CHANGED = ("changed-label", "changed-env", "changed-layer", "changed-architecture")
GOOD = (
    *BUILDAH,
    "crane-amd64",
    "crane-bare",
    "skopeo-amd64",
    "docker-25",
    "docker-29",
    "two-images",
    "colon",
    *COMPRESSED,
    "healthcheck",
    "onbuild",
    "empty-layers",
    "labels",
    "labels-reordered",
    *CHANGED,
)
BROKEN = ("cut-short", "no-manifest", "no-config", "oci-only", "not-a-tar", "empty", "directory")

# Where the file is not called NAME.tar.
FILE_NAMES = {
    "colon": "with:colon.tar",
    "gzip": "compressed.tar.gz",
    "bzip2": "compressed.tar.bz2",
    "xz": "compressed.tar.xz",
    "zstd": "compressed.tar.zst",
}

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
        return self.directory / FILE_NAMES.get(name, f"{name}.tar")


def build(
    directory: Path, *, buildah: str = "buildah", skopeo: str = "skopeo", crane: str = "crane", go: str = "go"
) -> Images:
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
            _Builder(Images(made), work, buildah=buildah, skopeo=skopeo, crane=crane, go=go).build()
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
    more: tuple[str, ...] = ()  # further options of `buildah config`

    @property
    def tag(self) -> str:
        return f"localhost/demo:{self.architecture}{self.variant}"


RECIPES = {
    "buildah-amd64": _Recipe(),
    "buildah-arm64": _Recipe(architecture="arm64", program="arm64"),
    "buildah-arm-v7": _Recipe(architecture="arm", variant="v7", program="arm"),
    "healthcheck": _Recipe(more=("--healthcheck", "CMD /program", "--healthcheck-interval", "30s")),
    "onbuild": _Recipe(more=("--onbuild", "ENV BUILT_ON=demo")),
    "changed-label": _Recipe(label="another"),
    "changed-env": _Recipe(environment="another"),
    "changed-layer": _Recipe(text="another\n"),
    "changed-architecture": _Recipe(architecture="arm64"),
}

DOCKERFILE = """\
FROM scratch
COPY amd64 /program
ENV DEMO=one
COPY text /text
LABEL org.example.first=one org.example.second=two org.example.third=three
ENTRYPOINT ["/program"]
"""


@dataclass(frozen=True)
class _Builder:
    images: Images
    work: Path
    buildah: str
    skopeo: str
    crane: str
    go: str

    def build(self) -> None:
        for program in (self.buildah, self.skopeo, self.crane, self.go, "zstd"):
            if shutil.which(program) is None:
                raise ImagesError(f"there is no {program}")
        _say("compiling the program for amd64, arm64 and arm")
        for architecture in ("amd64", "arm64", "arm"):
            self._compile(architecture)
        self._configure()
        for name, recipe in RECIPES.items():
            _say(f"buildah makes {name}")
            self._compose(name, recipe)
        _say("buildah builds empty-layers")
        self._build_dockerfile("empty-layers")

        _say("crane, skopeo and Docker's form")
        self._build_with_crane()
        self._skopeo_copy("docker-archive:", "skopeo-amd64")
        self._skopeo_copy("oci-archive:", "oci-only")
        base = _read_tar(self.images["buildah-amd64"])
        _write_tar(self.images["docker-25"], _docker_save(base, compressed=False))
        _write_tar(self.images["docker-29"], _docker_save(base, compressed=True))
        _write_tar(self.images["two-images"], _together(base, _read_tar(self.images["buildah-arm64"])))
        shutil.copyfile(self.images["buildah-amd64"], self.images["labels"])
        _write_tar(self.images["labels-reordered"], _with_labels(base, lambda labels: dict(reversed(labels.items()))))

        _say("copies: compressed, with a colon, broken")
        self._copy_and_compress()
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
            *(self.go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(context / architecture), "main.go"),
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
            *(self.buildah, "--root", str(self.work / "buildah"), "--runroot", str(self.work / "buildah-run")),
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
            *("--label", "org.example.second=two", "--label", "org.example.third=three", *recipe.more, name),
        )
        self._buildah(
            *("commit", *self._policy(), "--format", "docker", "--timestamp", str(TIMESTAMP), name),
            f"docker-archive:{self.images[name]}:{recipe.tag}",
        )

    def _build_dockerfile(self, name: str) -> None:
        """An image by a Dockerfile, with a layer or an empty one for each instruction."""
        tag = "localhost/demo:amd64"
        context = self.work / "context"
        (context / "text").write_text("one\n", encoding="utf-8")
        (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        self._buildah(
            *("build", *self._policy(), "--isolation", "chroot", "--format", "docker", "--layers"),
            *("--timestamp", str(TIMESTAMP), "--platform", "linux/amd64", "--tag", tag, str(context)),
        )
        self._buildah("push", *self._policy(), tag, f"docker-archive:{self.images[name]}:{tag}")

    def _build_with_crane(self) -> None:
        program = (self.work / "context" / "amd64").read_bytes()
        layers = self.work / "program.tar", self.work / "text.tar"
        _write_tar(layers[0], {"program": program})
        _write_tar(layers[1], {"text": b"one\n"})
        self._run(
            *(self.crane, "append", "--new_layer", str(layers[0])),
            *("--new_tag", "localhost/demo:bare", "--output", str(self.images["crane-bare"])),
        )
        # crane changes images in a registry only, and it brings one.
        with self._crane_registry() as host:
            self._run(self.crane, "append", "--new_layer", str(layers[0]), "--new_tag", f"{host}/demo:bare")
            self._run(
                *(self.crane, "mutate", f"{host}/demo:bare", "--set-platform", "linux/amd64"),
                *("--entrypoint", "/program", "--label", "org.example.first=one", "--tag", f"{host}/demo:base"),
            )
            self._run(
                *(self.crane, "append", "--base", f"{host}/demo:base", "--new_layer", str(layers[1])),
                *("--new_tag", "localhost/demo:amd64", "--output", str(self.images["crane-amd64"])),
            )

    @contextlib.contextmanager
    def _crane_registry(self) -> Iterator[str]:
        command = [self.crane, "registry", "serve", "--address", "127.0.0.1:0"]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.work)}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
            try:
                line = server.stderr.readline() if server.stderr else ""  # "… serving on port 12345"
                port = line.rpartition(" ")[2].strip()
                if not port.isdigit():
                    raise ImagesError(f"{' '.join(command)} names no port: {line}")
                yield f"127.0.0.1:{port}"
            finally:
                server.kill()

    def _skopeo_copy(self, transport: str, name: str) -> None:
        self._run(
            *(self.skopeo, "--policy", str(self.work / "policy.json"), "--tmpdir", str(self.work / "tmp"), "copy"),
            f"docker-archive:{self.images['buildah-amd64']}",
            f"{transport}{self.images[name]}:localhost/demo:amd64",
        )

    def _copy_and_compress(self) -> None:
        source = self.images["buildah-amd64"]
        content = source.read_bytes()
        shutil.copyfile(source, self.images["colon"])
        self.images["gzip"].write_bytes(gzip.compress(content, mtime=0))
        self.images["bzip2"].write_bytes(bz2.compress(content))
        self.images["xz"].write_bytes(lzma.compress(content, preset=1))
        self._run("zstd", "-q", str(source), "-o", str(self.images["zstd"]))

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


def _docker_save(archive: dict[str, bytes], *, compressed: bool) -> dict[str, bytes]:
    """The image of a docker-archive in the form that `docker save` has had since Docker 25.

    Until 28, out of Docker's own store: layers as they are, and LayerSources. From 29 on, out of containerd's store:
    layers compressed as they came.
    """
    image = json.loads(archive["manifest.json"])[0]
    files = {"blobs/": b"", "blobs/sha256/": b""}

    def add(media_type: str, content: bytes) -> dict[str, Any]:
        digest = _digest(content)
        files[blob(digest)] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def blob(digest: str) -> str:
        return f"blobs/{digest.replace(':', '/')}"

    layer_type = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compressed else "")
    config = add("application/vnd.oci.image.config.v1+json", archive[image["Config"]])
    layers = [
        add(layer_type, gzip.compress(archive[name], mtime=0) if compressed else archive[name])
        for name in image["Layers"]
    ]
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = add(
        manifest_type, _json({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers})
    )
    manifest["annotations"] = {
        "io.containerd.image.name": "localhost/demo:amd64",
        "org.opencontainers.image.ref.name": "amd64",
    }
    docker: dict[str, Any] = {
        "Config": blob(config["digest"]),
        "RepoTags": ["localhost/demo:amd64"],
        "Layers": [blob(layer["digest"]) for layer in layers],
    }
    if not compressed:
        docker["LayerSources"] = {layer["digest"]: layer for layer in layers}
        last_layer = layers[-1]["digest"].removeprefix("sha256:")
        files["repositories"] = _json({"localhost/demo": {"amd64": last_layer}})
    index_type = "application/vnd.oci.image.index.v1+json"
    files["index.json"] = _json({"schemaVersion": 2, "mediaType": index_type, "manifests": [manifest]})
    files["manifest.json"] = _json([docker])
    files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
    return files


def _together(first: dict[str, bytes], second: dict[str, bytes]) -> dict[str, bytes]:
    """Two docker-archives of one image each as one archive of two, as `docker save A B` writes it."""
    manifest = json.loads(first["manifest.json"]) + json.loads(second["manifest.json"])
    repositories = json.loads(first["repositories"])
    for repository, tags in json.loads(second["repositories"]).items():
        repositories.setdefault(repository, {}).update(tags)
    return {**first, **second, "manifest.json": _json(manifest), "repositories": _json(repositories)}


def relabelled(archive: Path, target: Path) -> Path:
    """A copy with a label that no other image has. A node knows an image by every name under which it has pulled it."""
    label = {"org.example.own": secrets.token_hex(8)}
    _write_tar(target, _with_labels(_read_tar(archive), lambda labels: {**labels, **label}))
    return target


def _with_labels(archive: dict[str, bytes], change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, bytes]:
    """The same layers; the labels in the config, and so the name of that file, are others."""
    manifest = json.loads(archive["manifest.json"])
    name = manifest[0]["Config"]
    config = json.loads(archive[name])
    config["config"]["Labels"] = change(config["config"]["Labels"])
    content = _json(config)
    manifest[0]["Config"] = f"{hashlib.sha256(content).hexdigest()}.json"
    files = {key: data for key, data in archive.items() if key != name}
    return {**files, manifest[0]["Config"]: content, "manifest.json": _json(manifest)}
