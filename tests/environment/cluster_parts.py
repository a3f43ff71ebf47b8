# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of the cluster.

Those of Kubernetes and containerd and a pause image are built once, from the Go modules that kubernetes-go/go.mod
lists, into a directory of .cache/kubernetes/. etcd and runc come from Debian's packages.
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
GO_MOD = (GO_MODULE / "go.mod").read_text(encoding="utf-8")


def _listed(pattern: str) -> list[str]:
    """What lines of go.mod say."""
    return re.findall(rf"^\s*{pattern}$", GO_MOD, re.MULTILINE)


[KUBERNETES_VERSION] = _listed(r"k8s\.io/kubernetes (v\S+)(?: // indirect)?")
[CONTAINERD_VERSION] = _listed(r"github\.com/containerd/containerd/v2 (v\S+)(?: // indirect)?")
[GO_VERSION] = _listed(r"go (\S+)")

PROGRAMS = CACHE / f"kubernetes-{KUBERNETES_VERSION}-containerd-{CONTAINERD_VERSION}"
KUBECTL = PROGRAMS / "kubectl"
PAUSE_ARCHIVE = PROGRAMS / "pause.tar"
PAUSE_IMAGE = "localhost/pause:1"

# Program: Debian package.
SYSTEM = {"etcd": "etcd-server", "runc": "runc"}
# A user's PATH often lacks the directories of the system's programs.
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"

# What makes the compiler cheaper: no inlining, no debugging information, which the linker removes in any case, one
# thread for each package, since several are compiled at a time, and no garbage collection below this limit of memory:
# https://pkg.go.dev/cmd/compile, https://pkg.go.dev/runtime
# The standard library is compiled as for any other program: the build of crane has most of it in the cache already.
CHEAP = ("-gcflags=all=-l -dwarf=false -c=1", "-gcflags=std=")
NO_COLLECTION = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}

Log = Callable[[str], None]


class ClusterError(Exception):
    """The cluster cannot be built or started, or does not do what it should."""


def is_built() -> bool:
    return PROGRAMS.exists()


def build(log: Log) -> None:
    """Build all programs, unless they are there: then nothing needs the network."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built():
            return
        go = _find_go()
        names = ", ".join(_listed(r"tool \S+/(\S+)"))
        log(f"building the cluster's programs: {names} (about 10 minutes on two cores)")
        start = time.monotonic()
        # Made aside and renamed at the end: an interrupted build leaves nothing that appears complete.
        with tempfile.TemporaryDirectory(prefix="build-", dir=CACHE) as temporary:
            made = Path(temporary) / PROGRAMS.name
            made.mkdir()
            _build_programs(go, made)
            _make_pause_archive(go, made)
            made.rename(PROGRAMS)
        log(f"built the cluster's programs in {time.monotonic() - start:.0f} s")


def system_program(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise ClusterError(f"there is no {name}: please install the Debian package {SYSTEM[name]}")
    return found


# --- building ---------------------------------------------------------------------------------------------------------


def _find_go() -> str:
    go = shutil.which("go")
    if go is None:
        raise ClusterError(f"building the cluster needs Go {GO_VERSION} or newer, and there is no go")
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    if _numbers(version) < _numbers(GO_VERSION):
        raise ClusterError(f"building the cluster needs Go {GO_VERSION} or newer, and {go} is {version}")
    return go


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _build_programs(go: str, made: Path) -> None:
    major, minor = KUBERNETES_VERSION.lstrip("v").split(".")[:2]
    stamps = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    # What Kubernetes' own hack/lib/version.sh sets: without it, the server says that it is v0.0.0.
    stamped = [
        f"{package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in stamps.items()
    ]
    stamped.append(f"github.com/containerd/containerd/v2/version.Version={CONTAINERD_VERSION}")
    _go(
        *(go, "build", "-mod=readonly", *CHEAP),
        *("-ldflags", f"-s -w {' '.join(f'-X {each}' for each in stamped)}"),
        # These parts of containerd need C libraries, or a kernel that has them.
        *("-tags", "no_btrfs no_devmapper no_zfs"),
        *("-o", f"{made}/", "tool", "./pause"),
    )


def _make_pause_archive(go: str, made: Path) -> None:
    """The image of the container that holds each pod's namespaces, as `docker save` would write it."""
    layer = _tar({"pause": (made / "pause").read_bytes()})
    config = {
        "architecture": _go(go, "env", "GOARCH").strip(),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    (made / PAUSE_ARCHIVE.name).write_bytes(
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


def _go(*command: str) -> str:
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        **NO_COLLECTION,
        # No flags of the user; modules that the user can remove; and no query to git about this directory.
        "GOFLAGS": "-modcacherw -buildvcs=false",
    }
    # This takes both cores for minutes: every other process has priority.
    command = ("nice", *command)
    result = subprocess.run(
        command, cwd=GO_MODULE, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr.strip()}")
    return result.stdout
