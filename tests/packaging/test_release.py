# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release is one command: `./dev release 1.2.3`, tried in a checkout that is thrown away."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Copy = Callable[[Path], Path]
CACHE = Path(__file__).resolve().parents[2] / ".cache"


@pytest.fixture
def scratch(copy_checkout: Copy, tmp_path: Path) -> Path:
    """A checkout with one more changelog fragment, which has already fetched the collections."""
    scratch = copy_checkout(tmp_path / "scratch")
    fetched = scratch / ".cache/collections/ansible_collections"
    fetched.mkdir(parents=True)
    for name in ("kubernetes", "awx"):
        (fetched / name).symlink_to(CACHE / "collections/ansible_collections" / name)
    (scratch / "changelogs/fragments/heard.yml").write_text("---\nbugfixes:\n  - The bell rings.\n")
    git(scratch, "add", ".")
    git(scratch, "commit", "--quiet", "--message=Ring the bell")
    return scratch


def environment() -> dict[str, str]:
    author = {"GIT_AUTHOR_NAME": "Somebody", "GIT_AUTHOR_EMAIL": "somebody@example.com"}
    committer = {name.replace("AUTHOR", "COMMITTER"): value for name, value in author.items()}
    return {**os.environ, **author, **committer}


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    ).stdout


def release(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `dev` does once the environment is there."""
    command = ["nox", "--session", "release", "--", *arguments]
    return subprocess.run(command, cwd=scratch, env=environment(), capture_output=True, text=True, check=False)


def test_release(scratch: Path) -> None:
    done = release(scratch, "9.8.7")
    assert done.returncode == 0, done.stdout + done.stderr

    assert git(scratch, "status", "--porcelain") == ""
    assert git(scratch, "log", "-1", "--format=%s%d").strip() == "Release 9.8.7 (HEAD -> main, tag: 9.8.7)"
    assert git(scratch, "cat-file", "-t", "9.8.7").strip() == "tag"
    assert yaml.safe_load((scratch / "galaxy.yml").read_text())["version"] == "9.8.7"
    changelog = (scratch / "CHANGELOG.md").read_text()
    assert r"v9\.8\.7" in changelog
    assert "The bell rings" in changelog
    assert not list((scratch / "changelogs/fragments").glob("*.yml"))
    for gate in (["yamllint", "--strict", "."], ["antsibull-changelog", "lint"], ["reuse", "lint", "--lines"]):
        assert subprocess.run(gate, cwd=scratch, check=False).returncode == 0, gate
    with tarfile.open(scratch / "killinit-zot-9.8.7.tar.gz") as tar:
        manifest = json.load(tar.extractfile("MANIFEST.json"))
        assert tar.extractfile("CHANGELOG.md").read().decode() == changelog
    assert manifest["collection_info"]["version"] == "9.8.7"

    again = release(scratch, "9.8.7")
    assert again.returncode
    assert "9.8.7 is released already" in again.stderr
    empty = release(scratch, "9.8.8")
    assert empty.returncode
    assert "changelogs/fragments" in empty.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "give one version"), (("1.2",), "give one version"), (("1.2.3",), "commit or stash the changes")],
    ids=["none", "half", "changed files"],
)
def test_refused_with_nothing_done(arguments: tuple[str, ...], message: str, scratch: Path) -> None:
    (scratch / "README.md").write_text("Not ready.\n")
    before = git(scratch, "rev-parse", "HEAD")
    refused = release(scratch, *arguments)
    assert refused.returncode
    assert message in refused.stderr
    assert git(scratch, "rev-parse", "HEAD") == before
    assert git(scratch, "status", "--porcelain") == " M README.md\n"
