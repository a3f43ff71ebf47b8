# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball of the files in git, and a directory in which only the collection is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ("integration.fixtures",)

ROOT = Path(__file__).resolve().parents[2]
FETCHED = ROOT / ".cache" / "collections" / "ansible_collections"

Run = Callable[..., str]


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without this checkout and its settings."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or name.startswith("PIP_")}
    return {**kept, "HOME": str(home), "ANSIBLE_LOCALHOST_WARNING": "false"}


@pytest.fixture(scope="session")
def run(bare_environment: dict[str, str]) -> Run:
    """Run a command that must succeed, with additional variables; return its output."""

    def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
        environment = {**bare_environment, **variables}
        done = subprocess.run(
            [str(word) for word in command], env=environment, cwd=cwd, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def copy_checkout(run: Run) -> Callable[[Path], Path]:
    """Create a git repository from the files of this one, committed or not."""

    def copy(folder: Path) -> Path:
        for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        run("git", "init", "--quiet", "--initial-branch=main", cwd=folder)
        run("git", "add", ".", cwd=folder)
        author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        run("git", *author, "commit", "--quiet", "--message=All of it", cwd=folder)
        return folder

    return copy


@pytest.fixture(scope="session")
def tarball(run: Run, copy_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ansible-galaxy collection build` makes of it."""
    folder = tmp_path_factory.mktemp("build")
    run("ansible-galaxy", "collection", "build", "--output-path", folder, cwd=copy_checkout(folder / "checkout"))
    (tarball,) = folder.glob("*.tar.gz")
    return tarball


@pytest.fixture(scope="session")
def installed(run: Run, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path that was empty but for what the collection depends on, once the tarball is installed there."""
    path = tmp_path_factory.mktemp("collections")
    (path / "ansible_collections").mkdir()
    (path / "ansible_collections" / "kubernetes").symlink_to(FETCHED / "kubernetes")
    command = ("ansible-galaxy", "collection", "install", "--offline", tarball, "--collections-path", path)
    run(*command, ANSIBLE_COLLECTIONS_PATH=str(path))
    return path
