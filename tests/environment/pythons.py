# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Pythons of this machine, and environments of other packages than the one that `dev` makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from environment.collection_path import CACHE, ROOT, fetch_collection, link_collection

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
# Modules run from Python 3.9 on, for which there is no ansible-core that is supported.
CORES = {"3.9": "2.15", "3.10": "2.16", "3.11": "2.19", "3.12": "2.20", "3.13": "2.21"}
# The tests of the controller on another ansible-core than that of `dev`.
PLAYBOOKS = (
    "test_playbook_syntax.py",
    "test_cluster_connection.py",
    "test_progress.py::test_lines_while_it_pushes",
    "test_events.py::test_a_single_event",
)
# The oldest supported ansible-core evaluates templates in another way than those from 2.19 on.
OLDEST = ("test_publish.py", "test_settings.py", "test_release_clusters.py::test_every_cluster_runs_the_release")
OTHERS = ("test_publish.py::test_release", "test_settings.py::test_an_inventory_is_enough")


def find_python(version: str) -> str | None:
    """A Python of that version, also one of pyenv's. PATH may hold a shim for a version that pyenv does not have."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


def make_environment(name: str, *packages: str, python: str = sys.executable) -> Path:
    """The directory of the programs of an environment in .cache/python/NAME.

    A package that ends with .txt is a file in requirements/. The environment is made once, and again when its packages
    change: the second time nothing needs the network.
    """
    home = CACHE / "python" / name
    stamp = home / "stamp"
    pins = [ROOT / "requirements" / each for each in packages if each.endswith(".txt")]
    wanted = "\n".join([python, sys.version, *packages, *(each.read_text() for each in pins)])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Making the Python environment {name} (about 10 s)", flush=True)
        what = [f"--requirement={each}" for each in pins] + [each for each in packages if not each.endswith(".txt")]
        subprocess.run(["uv", "venv", "--quiet", "--clear", f"--python={python}", str(home)], check=True)
        try:
            subprocess.run(["uv", "pip", "install", "--quiet", f"--python={home}", *what], check=True)
        except subprocess.CalledProcessError:  # uv does not read the settings of pip
            pip = [sys.executable, "-m", "pip", f"--python={home}", "install", "--quiet"]
            subprocess.run([*pip, *(["--no-deps"] if pins else []), *what], check=True)
        stamp.write_text(wanted)
    return home / "bin"


def suites(version: str) -> dict[str, list[str]]:
    """The tests to run on a Python with its ansible-core, and the options of pytest for them."""
    units = ["--hypothesis-profile=quick", "-m", "not no_cover"]
    if version in ("3.10", "3.12"):
        # What runs on the oldest and on the newest Python also runs between them, if it does not use ansible-core.
        units.append("--ignore=tests/unit/plugins/module_utils")
    found = {"tests/unit": units}
    if version != "3.9":
        playbooks = (*PLAYBOOKS, *(OLDEST if version == "3.10" else OTHERS))
        found[" ".join(f"tests/integration/{name}" for name in playbooks)] = []
    return found


def surroundings() -> dict[str, dict[str, str]]:
    """The oldest kubernetes.core, and another ansible-core than that of `dev`: 2.19 or 2.21.

    For each the variables with which Ansible finds it.
    """
    oldest = CACHE / "surroundings" / "oldest"
    link_collection(oldest)
    fetch_collection(oldest, "kubernetes.core", pins="oldest", python=OWN)
    found = {"kubernetes.core 5.3.0": {"ANSIBLE_COLLECTIONS_PATH": str(oldest)}}
    version = "3.13" if OWN == "3.11" else "3.11"
    python = find_python(version)
    if python is None:
        print(f"NOT with ansible-core {CORES[version]}: Python {version} is not on this machine", flush=True)
        return found
    packages = (f"ansible-core~={CORES[version]}.0", "jmespath", "kubernetes", "zstandard")
    programs = make_environment(f"cluster-{version}", *packages, python=python)
    other = CACHE / "surroundings" / version
    link_collection(other)
    fetch_collection(other, "kubernetes.core", pins="collections", python=version)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**found, f"ansible [core {CORES[version]}": {"ANSIBLE_COLLECTIONS_PATH": str(other), "PATH": path}}
