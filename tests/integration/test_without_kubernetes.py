# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry half where neither kubernetes.core nor the Kubernetes client is installed."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.support import recap

from environment.images import Images
from environment.registry import Registry

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the installed libraries, but without the Kubernetes client."""
    folder = tmp_path_factory.mktemp("without-kubernetes")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("kubernetes", "ansible_collections")) and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


@pytest.fixture
def run(python: Path, environment: dict[str, str], tmp_path: Path) -> Run:
    """Run a program of ansible-core, with a collections path that has killinit.zot and nothing else."""
    collections = tmp_path / "collections"
    (collections / "ansible_collections" / "killinit").mkdir(parents=True)
    (collections / "ansible_collections" / "killinit" / "zot").symlink_to(ROOT)
    variables = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables |= {"ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_HOME": str(tmp_path / "ansible")}

    def run(program: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "ansible", program, *map(str, options)]
        return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_kubernetes_is_not_installed(python: Path, run: Run) -> None:
    """Otherwise the other tests here would show nothing."""
    for library, found in (("kubernetes", False), ("ansible_collections.kubernetes", False), ("ansible", True)):
        done = subprocess.run([python, "-I", "-c", f"import {library}"], capture_output=True, check=False)
        assert (done.returncode == 0) is found, library
    listed = run("galaxy", "collection", "list")
    assert "killinit.zot" in listed.stdout
    assert "kubernetes.core" not in listed.stdout


def test_modules(run: Run, images: Images, repository: str, tmp_path: Path) -> None:
    """Each module of the registry half does its work."""
    archive = str(images["buildah-amd64"])
    tasks = [
        {"killinit.zot.zot_push": {"archive": archive, "repository": repository, "tags": ["1-amd64"]}},
        {"killinit.zot.zot_index": {"repository": repository, "manifests": ["1-amd64"], "tags": ["1"]}},
        {"killinit.zot.zot_tag": {"repository": repository, "source": "1", "tags": ["2"]}},
        {"killinit.zot.zot_rollback_info": {"images": [{"repository": repository, "tags": ["2"]}], "revision": "1"}},
        {"killinit.zot.zot_image_info": {"images": [f"{repository}:1"]}, "register": "current"},
        {"ansible.builtin.assert": {"that": ["current.images[0].exists"]}},
    ]
    play = tmp_path / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = run("playbook", play)
    assert done.returncode == 0, done.stdout + done.stderr
    assert recap(done)["changed"] == 3


def test_publish(run: Run, images: Images, registry: Registry, repository: str, tmp_path: Path) -> None:
    """A dry run and a release by the playbook."""
    release: dict[str, Any] = {
        "zot_publish_revision": "r1",
        "zot_publish_images": [
            {"repository": f"{repository}/openclaw", "archives": {"amd64": str(images["buildah-amd64"])}},
            {"repository": f"{repository}/workspace", "archive": str(images["skopeo-amd64"])},
        ],
    }
    variables = tmp_path / "release.json"
    variables.write_text(json.dumps(release))
    for options in (["--check"], []):
        before = len(registry.requests())
        done = run("playbook", "killinit.zot.publish", "--extra-vars", f"@{variables}", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert recap(done)["changed"] == 1
        assert any(request.method == "PUT" for request in registry.requests()[before:]) is not bool(options)


def test_rollback_of_tags(run: Run, images: Images, repository: str, tmp_path: Path) -> None:
    """Two revisions, and the playbook that moves the shared tag back. On a cluster it says what to install."""
    variables = tmp_path / "release.json"
    release: dict[str, Any] = {"zot_publish_images": [{"repository": repository, "archive": ""}]}
    for revision, archive in (("a000001", "buildah-amd64"), ("b000002", "changed-layer")):
        release["zot_publish_images"][0]["archive"] = str(images[archive])
        variables.write_text(json.dumps({**release, "zot_publish_revision": revision}))
        done = run("playbook", "killinit.zot.publish", "--extra-vars", f"@{variables}")
        assert done.returncode == 0, done.stdout + done.stderr
    variables.write_text(json.dumps(release))

    for options in (["--check"], []):
        done = run(
            "playbook", "killinit.zot.rollback", "--extra-vars", f"@{variables}", "-e", "zot_rollback_rollout=false",
            *options,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "latest: b000002 → a000001" in done.stdout

    for name in ("restart", "rollback"):
        done = run("playbook", f"killinit.zot.{name}", "--extra-vars", f"@{variables}", "-e", "zot_namespace=app")
        assert done.returncode == 2
        assert "uses a cluster and needs the collection kubernetes.core" in done.stdout + done.stderr
        assert "ansible-galaxy collection install kubernetes.core" in done.stdout + done.stderr
