# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An execution environment has all that the collection needs, and a job in one needs nothing else."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.blocks import blocks
from packaging.requirements import Requirement

from environment import awx
from environment.images import Images
from environment.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


def foreign_imports() -> set[str]:
    """What the collection imports that neither Python nor Ansible brings."""
    found = set()
    for path in ROOT.glob("plugins/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"ansible", "ansible_collections", "jinja2", "markupsafe"}


def test_collection_names_its_requirements(installed: Path, run: Callable[..., str]) -> None:
    """As ansible-builder finds them: its own, and those of the collection that it depends on."""
    found = yaml.safe_load(run("ansible-builder", "introspect", "--sanitize", installed))
    python = {re.split(r"[<>= #]", line)[0] for line in found["python"]}
    ours = foreign_imports()
    assert {"jmespath", "zstandard"} <= ours
    # urllib3 comes with kubernetes and requests.
    assert python == {*ours - {"urllib3"}, "kubernetes", "requests-oauthlib", "jsonpatch"}
    assert "skopeo  # from collection killinit.zot" in found["system"]


DEFINITIONS = ("execution-environment.yml", "execution-environment-aap.yml", "decision-environment.yml")


@pytest.mark.parametrize("name", DEFINITIONS)
def test_image_has_the_tools(name: str, tarball: Path, run: Callable[..., str], tmp_path: Path) -> None:
    definition = tmp_path / name
    definition.write_text((ROOT / name).read_text())
    (tmp_path / tarball.name).symlink_to(tarball)
    context = tmp_path / "context"
    run("ansible-builder", "create", "--file", definition, "--context", context, "--output-filename", "Containerfile")

    assert (context / "_build/collection" / tarball.name).read_bytes() == tarball.read_bytes()
    stages = re.split(r"^FROM .*$", (context / "Containerfile").read_text(), flags=re.MULTILINE)
    _arguments, _base, galaxy, builder, final = stages
    collections = re.findall(r"ansible-galaxy collection install .*", galaxy)
    # The dependency first: ansible-galaxy would otherwise search for it again.
    assert "requirements.yml" in collections[0]
    assert "collection/*.tar.gz" in collections[1]
    crane = re.search(r"^CRANE=(.*)$", (ROOT / "dev").read_text(), re.MULTILINE).group(1)
    assert re.findall(r"^ARG CRANE_RELEASE=.*/(.*)$", builder, re.MULTILINE) == [crane]
    assert final.index("install-from-bindep") < final.index(
        "COPY --from=builder /build/crane/crane /usr/local/bin/crane"
    )
    if name == "decision-environment.yml":
        (rulebook,) = yaml.safe_load(definition.read_text())["dependencies"]["python"]
        assert rulebook in (context / "_build/requirements.txt").read_text()
        assert "java-21-openjdk-headless" in (context / "_build/bindep.txt").read_text()
        pins = (ROOT / "requirements/rulebook.txt").read_text()
        tested = re.search(r"^ansible-rulebook==(\S+)", pins, re.MULTILINE)
        assert tested
        assert tested[1] in Requirement(rulebook).specifier


@pytest.mark.parametrize("name", DEFINITIONS)
def test_crane_comes_from_its_release(name: str, tmp_path: Path) -> None:
    """The steps of the build, with another file as the release. A file with another checksum ends the build."""
    release, build = tmp_path / "release", tmp_path / "build"
    release.mkdir()
    machine = os.uname().machine.replace("aarch64", "arm64")
    file = release / f"go-containerregistry_Linux_{machine}.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(shutil.which("crane") or "", "crane")
        archive.add(__file__, "README.md")
    steps = yaml.safe_load((ROOT / name).read_text())["additional_build_steps"]["append_builder"]
    script = "\n".join(step.removeprefix("RUN ") for step in steps if step.startswith("RUN "))
    # The released file itself cannot be downloaded here.
    released = dict(re.findall(r'"([0-9a-f]{64})  crane\.(\w+)"', script))
    assert {*released.values()} == {"x86_64", "arm64"}
    assert all(each in (ROOT / other).read_text() for each in released for other in DEFINITIONS)
    (checksum,) = (each for each, architecture in released.items() if architecture == machine)
    script = script.replace(checksum, sha256(file.read_bytes()).hexdigest())
    environment = {**os.environ, "CRANE_RELEASE": release.as_uri()}

    def built() -> int:
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()
        return subprocess.run(["sh", "-ec", script], cwd=build, env=environment, check=False).returncode

    assert built() == 0
    assert sorted(path.name for path in build.iterdir()) == sorted(
        ["checksums", "crane", f"crane.{machine}", "machine", "url"]
    )
    assert subprocess.run([build / "crane", "version"], check=False).returncode == 0
    file.write_bytes(file.read_bytes() + b"0")
    assert built() != 0
    assert not (build / "crane").exists()


@pytest.fixture
def job(installed: Path, images: Images, registry: Registry, repository: str, tmp_path: Path) -> Path:
    """The private data of a job, as AWX lays them out: the demo's release, its playbook by path out of a project."""
    archives = {"amd64": str(images["buildah-amd64"]), "arm64": str(images["buildah-arm64"])}
    awx_yml = (ROOT / "playbooks/vars/awx.yml").read_text().replace("!unsafe", "")
    account = {
        "host": registry.host,
        "username": registry.writer.username,
        "password": registry.writer.password,
        "ca": registry.ca.read_text(),
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    contents = {
        "env/extravars": {
            "zot_publish_revision": "3f2c1ab",
            "zot_publish_images": [{"repository": repository, "archives": archives}],
        },
        "env/envvars": {
            **awx.inject(yaml.safe_load(awx_yml)["zot_awx_credential_types"][0], account, tmp_path),
            # What is the same in every execution environment.
            "ANSIBLE_COLLECTIONS_PATH": str(installed),
            "ANSIBLE_HOME": str(tmp_path / "runner"),
            "ANSIBLE_REMOTE_TMP": str(tmp_path / "runner/tmp"),
        },
        "inventory/hosts.json": {"all": {"hosts": {"localhost": local}}},
    }
    folder = tmp_path / "job"
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    shutil.copytree(ROOT / "playbooks", folder / "project/playbooks")
    return folder


def runner(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """What ansible-runner says, with nothing in the environment and nowhere to write but its folders."""
    bare = {"PATH": os.environ["PATH"], "HOME": "/proc/nowhere"}  # not even root can make that
    command = ["ansible-runner", *map(str, arguments)]
    done = subprocess.run(command, env=bare, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-5000:]
    return done.stdout


def outcome(job: Path) -> tuple[dict[str, Any], str]:
    """The custom stats of the job, as AWX reads them from the events, and its whole output."""
    texts = [path.read_text() for path in job.glob("artifacts/**/job_events/*.json")]
    events = [json.loads(text) for text in texts]
    (stats,) = (event["event_data"] for event in events if event["event"] == "playbook_on_stats")
    return {**stats["artifact_data"], "changed": stats["changed"].get("localhost", 0)}, "".join(texts)


def test_job_as_awx_runs_it(job: Path, registry: Registry, tmp_path: Path) -> None:
    """Sent to where it runs, run there, and what came back read; then once more at home."""
    playbook = ("--playbook", "playbooks/publish.yml")
    sent = runner("transmit", job, *playbook)
    answered = runner("worker", "--private-data-dir", tmp_path / "worker", stdin=sent)
    runner("process", job, stdin=answered)
    first, output = outcome(job)
    shutil.rmtree(job / "artifacts")
    runner("run", job, *playbook)
    second, output_again = outcome(job)

    assert [first.pop("changed"), second.pop("changed")] == [1, 0]
    assert first["zot_publish_report"]["written"]
    assert not second["zot_publish_report"]["written"]
    assert first["zot_publish_report"]["images"] == second["zot_publish_report"]["images"]
    assert "3f2c1ab-arm64" in output
    assert registry.writer.password not in output + output_again

    # The guide's job after it: AWX gives it, as variables, what those before it handed on.
    (example,) = (block.text for block in blocks("docs/docsite/rst/guide_awx.rst") if block.file == "after.yml")
    (job / "project/after.yml").write_text(example)
    (job / "env/extravars").write_text(json.dumps(second))
    printed = runner("run", job, "--playbook", "after.yml").decode()
    assert first["zot_publish_report"]["images"][0]["pinned"] in printed
