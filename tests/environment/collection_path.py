# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetches other collections, and makes this checkout one of those that Ansible finds."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
# `ansible` 13, the last that holds awx.awx, needs it; awx.awx itself runs on any.
AWX_PYTHON = "3.12"


def _collections() -> Path:
    """The path of collections, which Ansible uses for this checkout."""
    inside = CACHE / "collections"
    if "ansible_collections" not in ROOT.parts:
        return inside
    # ansible-doc finds no role in a path with two folders of this name.
    link = Path.home() / ".cache" / "killinit-zot" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    for folder in (inside, link.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(inside)
    return link


COLLECTIONS = _collections()


def link_collection(path: Path) -> None:
    """Make this checkout a collection in a path of collections."""
    namespace = path.resolve() / "ansible_collections" / "killinit"
    namespace.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (namespace / "zot").symlink_to(os.path.relpath(ROOT, namespace))


def fetch_collection(path: Path, name: str, *, pins: str, python: str) -> None:
    """Unpack a collection out of the package `ansible` that requirements/PINS.txt has for that Python.

    Galaxy cannot be reached from everywhere; the package holds the same collections.
    """
    namespace = path / "ansible_collections" / name.split(".")[0]
    requirements = ROOT / "requirements" / f"{pins}.txt"
    stamp = namespace / "stamp"
    wanted = f"{python}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Fetching {name} (50 MB, about 5 s)", flush=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        folder = Path(directory)
        options = "--quiet --disable-pip-version-check --no-deps --only-binary=:all:"
        download = [sys.executable, "-m", "pip", "download", *options.split(), f"--python-version={python}"]
        subprocess.run([*download, f"--dest={folder}", f"--requirement={requirements}"], check=True)
        (wheel,) = folder.glob("*.whl")
        with ZipFile(wheel) as archive:
            inside = f"ansible_collections/{name.replace('.', '/')}/"
            archive.extractall(folder, [each for each in archive.namelist() if each.startswith(inside)])
        unpacked = folder / "ansible_collections" / namespace.name
        (unpacked / "stamp").write_text(wanted)
        shutil.rmtree(namespace, ignore_errors=True)
        unpacked.rename(namespace)
