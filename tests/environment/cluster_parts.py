# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of the cluster.

Some are built from Go modules, once, into .cache/kubernetes/NAME-VERSION/: Kubernetes by the module in kubernetes-go/,
containerd by `go install`, and a pause image. etcd and runc come from Debian's packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "kubernetes"
GO_MODULE = HERE / "kubernetes-go"

KUBERNETES_VERSION = "v1.37.2"  # also in kubernetes-go/go.mod
CONTAINERD_VERSION = "v2.4.2"
GO_VERSION = (1, 26, 6)  # what the go.mod of this containerd asks for; Kubernetes asks for 1.26.0

KUBERNETES = CACHE / f"kubernetes-{KUBERNETES_VERSION}"
CONTAINERD = CACHE / f"containerd-{CONTAINERD_VERSION}"
PAUSE = CACHE / "pause-1"

KUBECTL = KUBERNETES / "kubectl"
PAUSE_ARCHIVE = PAUSE / "pause.tar"
PAUSE_IMAGE = "localhost/pause:1"

KUBERNETES_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
# ctr imports the pause image.
CONTAINERD_COMMANDS = ("containerd", "containerd-shim-runc-v2", "ctr")

# Program: Debian package.
SYSTEM = {"etcd": "etcd-server", "runc": "runc"}
# A user's PATH often lacks the directories of the system's programs.
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"

# What makes the compiler cheaper: no inlining, no debugging information, which the linker removes in any case, and no
# garbage collection below this limit of memory: https://pkg.go.dev/cmd/compile, https://pkg.go.dev/runtime
# The standard library is compiled as for any other program: the build of crane has most of it in the cache already.
CHEAP = ("-gcflags=all=-l -dwarf=false", "-gcflags=std=")
NO_COLLECTION = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}

Log = Callable[[str], None]


class ClusterError(Exception):
    """The cluster cannot be built or started, or does not do what it should."""


def is_built() -> bool:
    return not missing()


def missing() -> list[Path]:
    """The programs that are still to be built."""
    wanted = [
        *(KUBERNETES / name for name in KUBERNETES_COMMANDS),
        *(CONTAINERD / name for name in CONTAINERD_COMMANDS),
        PAUSE_ARCHIVE,
    ]
    return [path for path in wanted if not path.exists()]


def build(log: Log) -> None:
    """Brings every program that is not there yet; the others are left alone, and then nothing needs the network."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = missing()
        if not wanted:
            return
        go = _find_go()
        log(f"building {', '.join(path.name for path in wanted)} (all of it takes about 10 minutes on two cores)")
        start = time.monotonic()
        for path in wanted:
            _build_one(go, path, log)
        log(f"built the cluster's programs in {time.monotonic() - start:.0f} s")


def system_program(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise ClusterError(f"there is no {name}: please install the Debian package {SYSTEM[name]}")
    return found


# --- building ---------------------------------------------------------------------------------------------------------


def _find_go() -> str:
    go = shutil.which("go")
    wanted = ".".join(map(str, GO_VERSION))
    if go is None:
        raise ClusterError(f"building the cluster needs Go {wanted} or newer, and there is no go")
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < GO_VERSION:
        raise ClusterError(f"building the cluster needs Go {wanted} or newer, and {go} is {version}")
    return go


def _build_one(go: str, path: Path, log: Log) -> None:
    start = time.monotonic()
    path.parent.mkdir(exist_ok=True)
    # Made aside and renamed at the end: an interrupted build leaves nothing that appears complete.
    with tempfile.TemporaryDirectory(prefix="build-", dir=CACHE) as temporary:
        made = Path(temporary) / path.name
        if path.parent == KUBERNETES:
            _build_kubernetes(go, made)
        elif path.parent == CONTAINERD:
            _build_containerd(go, made)
        else:
            _build_pause(go, made)
        made.rename(path)
    log(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB in {time.monotonic() - start:.0f} s")


def _build_kubernetes(go: str, made: Path) -> None:
    major, minor = KUBERNETES_VERSION.lstrip("v").split(".")[:2]
    stamps = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    # What Kubernetes' own hack/lib/version.sh sets: without it, the server says that it is v0.0.0.
    flags = " ".join(
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in stamps.items()
    )
    _go(
        *(go, "build", "-mod=readonly", *CHEAP, "-ldflags", f"-s -w {flags}"),
        *("-o", str(made), f"k8s.io/kubernetes/cmd/{made.name}"),
        directory=GO_MODULE,
    )


def _build_containerd(go: str, made: Path) -> None:
    module = "github.com/containerd/containerd/v2"
    _go(
        *(go, "install", *CHEAP),
        *("-ldflags", f"-s -w -X {module}/version.Version={CONTAINERD_VERSION}"),
        # These need C libraries, or a kernel that has them.
        *("-tags", "no_btrfs no_devmapper no_zfs", f"{module}/cmd/{made.name}@{CONTAINERD_VERSION}"),
        directory=made.parent,
        GOBIN=str(made.parent),
    )


def _build_pause(go: str, made: Path) -> None:
    """The image of the container that holds each pod's namespaces, as `docker save` would write it."""
    program = made.with_name("pause")
    _go(*(go, "build", *CHEAP, "-ldflags", "-s -w", "-o", str(program), "./pause"), directory=GO_MODULE)
    architecture = _go(go, "env", "GOARCH", directory=made.parent).strip()
    layer = _tar({"pause": program.read_bytes()})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    made.write_bytes(
        _tar(
            {
                "manifest.json": json.dumps(manifest).encode(),
                "config.json": json.dumps(config).encode(),
                "layer.tar": layer,
            }
        )
    )


def _tar(files: dict[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def _go(*command: str, directory: Path, **variables: str) -> str:
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        **NO_COLLECTION,
        # No flags of the user; modules that the user can remove; and no query to git about this directory.
        "GOFLAGS": "-modcacherw -buildvcs=false",
        **variables,
    }
    # This takes both cores for minutes: every other process has priority.
    command = ("nice", *command)
    result = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr.strip()}")
    return result.stdout
