# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball is complete: all content is documented, and works after the installation."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from integration.blocks import comparable, pattern

from environment.images import Images

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# For developers only.
NOT_FOR_USERS = (
    "tests",
    "requirements",
    "noxfile.py",
    "antsibull-nox.toml",
    "dev",
    ".ci",
    ".github",
    "decision-environment.yml",
    "execution-environment.yml",
    "execution-environment-aap.yml",
)


def names(pattern: str) -> list[str]:
    """The full names of the files that match."""
    return [f"killinit.zot.{path.stem}" for path in sorted(ROOT.glob(pattern))]


def code_blocks(language: str) -> list[str]:
    """The code blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_holds_what_users_need_and_no_more(tarball: Path) -> None:
    with tarfile.open(tarball) as tar:
        members = set(tar.getnames())
    everything = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/**/*") if "__pycache__" not in path.parts}
    for folder in ("plugins", "roles", "playbooks", "meta", "extensions/eda", "LICENSES", "changelogs"):
        wanted = {name for name in everything if name.startswith(f"{folder}/")} - {"changelogs/.plugin-cache.yaml"}
        assert wanted, folder
        assert wanted <= members
    assert {"README.md", "LICENSE", "MANIFEST.json", "FILES.json"} <= members
    assert not {name for name in members if name.split("/")[0] in NOT_FOR_USERS}
    assert "extensions/molecule" not in members
    assert not {name for name in members if Path(name).name.startswith(".")}


def test_playbooks_are_found(installed: Path, run: Callable[..., str]) -> None:
    """By the name of the collection, and all that they name is found, too."""
    # Only the second path has awx.awx, which is no dependency.
    paths = f"{installed}:{ROOT}/.cache/collections"
    playbooks = names("playbooks/*.yml")
    found = run("ansible-playbook", "--syntax-check", *playbooks, ANSIBLE_COLLECTIONS_PATH=paths)
    assert found.count("playbook: ") == len(playbooks) > 0


def test_installs_without_its_dependency(tarball: Path, run: Callable[..., str], tmp_path: Path) -> None:
    """As README has it; the playbook that needs no cluster is complete then."""
    path = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    assert "add `--no-deps`" in README
    run("ansible-galaxy", "collection", "install", "--no-deps", tarball, "--collections-path", tmp_path, **path)
    assert [each.name for each in (tmp_path / "ansible_collections").iterdir() if each.is_dir()] == ["killinit"]
    run("ansible-playbook", "--syntax-check", "killinit.zot.publish", **path)


def test_the_first_minute(
    installed: Path, images: Images, environment: dict[str, str], repository: str, tmp_path: Path
) -> None:
    """The first publish of the README, unchanged except for the registry and the user."""
    exports, command = next(each for each in code_blocks("sh") if each.startswith("export ")).strip().splitlines()
    given = {word.partition("=")[0] for word in shlex.split(exports)[1:]}
    assert given == {"ZOT_REGISTRY", "ZOT_USERNAME", "ZOT_PASSWORD"}

    variables = code_blocks("yaml")[0]
    assert variables.startswith("# release.yml\n")
    (tmp_path / "release.yml").write_text(variables.replace("openclaw/", f"{repository}/"))
    (tmp_path / "dist").mkdir()
    for name, archive in (
        ("openclaw-amd64", "buildah-amd64"),
        ("openclaw-arm64", "buildah-arm64"),
        ("workspace", "skopeo-amd64"),
    ):
        tar = tmp_path / "dist" / f"{name}.tar"
        tar.symlink_to(images[archive])
        assert str(tar.relative_to(tmp_path)) in variables

    del environment["PYTHONPATH"]
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(installed)
    for changed in (1, 0):
        done = subprocess.run(
            shlex.split(command), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"changed={changed} " in done.stdout
        documented = code_blocks("text")[0].replace("openclaw/", f"{repository}/")
        assert re.search(pattern(documented), comparable(done.stdout)), done.stdout


def test_crane_by_its_released_file(tmp_path: Path) -> None:
    """The lines of the README and of the quick start, with a release on this machine."""
    release, archive = tmp_path / "release", "go-containerregistry_Linux_x86_64.tar.gz"
    release.mkdir()
    crane = shutil.which("crane")
    assert crane
    with tarfile.open(release / archive, "w:gz") as tar:
        tar.add(crane, "crane")
    checksum = hashlib.sha256((release / archive).read_bytes()).hexdigest()
    (release / "checksums.txt").write_text(f"{checksum}  {archive}\n{'0' * 64}  another.tar.gz\n")
    lines = next(each for each in code_blocks("sh") if each.startswith("release="))
    start = (ROOT / "docs/docsite/rst/guide_start.rst").read_text(encoding="utf-8")
    assert all(f"$ {line}\n" in start for line in lines.splitlines())
    lines = re.sub(r"https://\S+", release.as_uri(), lines, count=1).replace("sudo ", "")
    subprocess.run(["sh", "-euc", lines.replace("/usr/local/bin", ".")], cwd=tmp_path, check=True)
    assert (tmp_path / "crane").read_bytes() == Path(crane).read_bytes()
