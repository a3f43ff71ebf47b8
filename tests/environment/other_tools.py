# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The skopeos and cranes that are supported besides those in PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from environment.collection_path import CACHE

# The last of each minor version; `dev` brings the newest.
CRANES = ("v0.20.8", "v0.21.9")
# Those of Debian 12 and 13.
SKOPEOS = {"bookworm": "1.9.3", "trixie": "1.18.0"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def other_tools() -> dict[str, str]:
    """The variables that name them to the tests."""
    tools = {"ZOT_TEST_CRANE": older_cranes(), "ZOT_TEST_SKOPEO": other_skopeos()}
    return {name: os.pathsep.join(map(str, paths)) for name, paths in tools.items()}


def older_cranes() -> list[Path]:
    """The paths of CRANES, which are built once."""
    paths = []
    for version in CRANES:
        folder = CACHE / "crane" / version
        if not (folder / "crane").exists():
            print(f"Building crane {version} (about 20 s)", flush=True)
            package = f"github.com/google/go-containerregistry/cmd/crane@{version}"
            environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-modcacherw"}
            subprocess.run(["go", "install", package], env=environment, check=True)
        paths.append(folder / "crane")
    return paths


def other_skopeos() -> list[Path]:
    """The paths of SKOPEOS, without the version in PATH."""
    own = _read("skopeo", "--version").split()[-1]
    paths = []
    for release, version in SKOPEOS.items():
        folder = CACHE / "skopeo" / version
        if version == own:
            continue
        if not (folder / "skopeo").exists():
            # REPO_URI is where this machine gets its own packages from.
            command = ("apt-get", "indextargets", "--format=$(REPO_URI)", "Created-By: Packages", "Component: main")
            found = _read(*command).split() if shutil.which("apt-get") else []
            mirror = next((address for address in found if address.endswith("/debian/")), None)
            if mirror is None:
                print(f"NOT with skopeo {version}, which is a package of Debian {release}", flush=True)
                continue
            print(f"Fetching skopeo {version} (40 MB, about 20 s)", flush=True)
            _unpack_skopeo(f"deb [signed-by={KEYRING}] {mirror} {release} main", folder)
        paths.append(folder / "skopeo")
    return paths


def _read(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _unpack_skopeo(source: str, folder: Path) -> None:
    """Let apt-get fetch skopeo from a source into a folder, with the libraries of its release, and install nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    for each in ("state/lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True)
    (folder / "state" / "status").touch()
    (folder / "sources.list").write_text(f"{source}\n")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "state" / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    apt = ("apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in settings.items()))
    _read(*apt, "update")
    _read(*apt, "install", "--download-only", "--yes", "skopeo")
    for package in sorted(folder.glob("cache/archives/*.deb")):
        _read("dpkg", "--extract", str(package), f"{folder}/root")
    loader = next(path for path in folder.glob("root/**/ld-linux-*.so.*") if not path.is_symlink())
    libraries = {str(path.parent) for path in folder.glob("root/**/lib*.so.*")}
    program = folder / "program"
    program.write_text(
        f'#!/bin/sh\nexec {loader} --library-path {":".join(sorted(libraries))} {folder}/root/usr/bin/skopeo "$@"\n'
    )
    program.chmod(0o755)
    program.rename(folder / "skopeo")
    for each in ("state", "cache"):
        shutil.rmtree(folder / each)
