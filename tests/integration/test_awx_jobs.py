# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks with the variables that AWX writes for a job: answers that are empty, and answers that are no text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import pull_secret, workload
from integration.patchable_cluster import PatchableCluster
from integration.support import Bare
from unit.api_server import running

from environment import awx_jobs
from environment.images import Images
from environment.registry import Registry

REVISIONS = ("0a1b2c3", "4d5e6f7")
# EDA starts this one, with an event.
PLAYBOOKS = ("publish", "verify", "restart", "diagnose", "release", "rollback", "report")

Job = Callable[..., CompletedProcess[str]]


def test_the_file_is_the_one_that_awx_writes() -> None:
    text = awx_jobs.CAPTURED.read_text(encoding="utf-8")
    variables = awx_jobs.read(text)
    assert variables["zot_rollout_workloads"] == ""
    assert awx_jobs.written(variables) == text


@pytest.fixture
def cluster(
    registry: Registry, repository: str, bare: Bare, environment: dict[str, str], tmp_path: Path
) -> Iterator[PatchableCluster]:
    """A namespace with one Deployment."""
    image = f"{registry.host}/{repository}/app"

    def resolve(text: str) -> str:
        tag = text.rpartition(":")[2]
        done = bare("crane", "digest", f"{image}:{tag}")
        return text.partition("@")[2] or done.stdout.strip() or f"sha256:{'0' * 64}"

    objects = (workload(f"{image}:latest", name="app"), pull_secret(registry, registry.reader))
    cluster = PatchableCluster("apps", resolve, *objects)
    with running(cluster) as server:
        environment["K8S_AUTH_KUBECONFIG"] = str(server.kubeconfig(tmp_path / "kubeconfig"))
        yield cluster


@pytest.fixture
def templates(images: Images, repository: str, tmp_path: Path) -> dict[str, Any]:
    """The job templates, whose archives have the revision in their path."""
    for revision, archive in zip(REVISIONS, ("buildah-amd64", "changed-layer"), strict=True):
        (tmp_path / f"{revision}.tar").symlink_to(images[archive])
    found = awx_jobs.job_templates([{"repository": f"{repository}/app", "archive": f"{tmp_path}/REVISION.tar"}])
    evaluated: dict[str, Any] = json.loads(json.dumps(found).replace("REVISION", "{{ zot_publish_revision }}"))
    return evaluated


@pytest.fixture
def job(templates: dict[str, Any], playbook: Callable[..., CompletedProcess[str]], tmp_path: Path) -> Job:
    """Run a job with the answers to all questions of a type: job("release", text="")."""

    def run(name: str, text: str, *, required: bool) -> CompletedProcess[str]:
        questions = {each["variable"]: each for each in templates[name]["survey"]}
        typed = {
            variable: text
            for variable, each in questions.items()
            if each["type"] == "text" and (required or not each["required"]) and not each.get("default", "").isdigit()
        }
        if not text:
            # AWX refuses an answer that is not a choice, also an empty one, and takes the default for no answer.
            optional = [name for name, each in questions.items() if not each["required"] and "choices" not in each]
            typed |= dict.fromkeys(optional, "")
        answers = {"zot_publish_revision": REVISIONS[name == "release"], "zot_namespace": "apps"}
        given = {variable: value for variable, value in answers.items() if variable in questions}
        extra = tmp_path / "extravars"
        extra.write_text(awx_jobs.variables_of(templates[name], {**given, **typed}))
        return playbook(awx_jobs.ROOT / f"playbooks/{name}.yml", "--extra-vars", f"@{extra}")

    return run


def test_every_answer_is_empty(cluster: PatchableCluster, job: Job) -> None:
    """The same as no answer: each job succeeds."""
    for name in PLAYBOOKS:
        done = job(name, "", required=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.patched == ["app"] * 3


@pytest.mark.parametrize(
    ("text", "names"), [("1.10", PLAYBOOKS), ("0012345", ("publish",)), ("no", ("verify", "restart", "rollback"))]
)
def test_answers_that_are_no_text(
    text: str, names: tuple[str, ...], cluster: PatchableCluster, job: Job, registry: Registry
) -> None:
    """AWX makes 1.1, 5349 and false of them. Each job fails before its first request to the registry."""
    before = len(registry.requests())
    for name in names:
        done = job(name, text, required=True)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "not text: quote it" in done.stdout or name == "report", done.stdout
    assert len(registry.requests()) == before
    assert cluster.patched == []


@pytest.mark.parametrize("name", ["publish", "restart"])
def test_required_answers_are_empty(name: str, cluster: PatchableCluster, job: Job, registry: Registry) -> None:
    """AWX refuses them; the playbooks name the variable, and send no request."""
    before = len(registry.requests())
    done = job(name, "", required=True)
    assert len(registry.requests()) == before
    assert done.returncode == 2
    variable = {"publish": "zot_publish_revision", "restart": "zot_namespace"}[name]
    assert f"Set {variable}: the " in done.stdout, done.stdout
    assert cluster.patched == []


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        *((name, {"zot_hosts": "typo"}) for name in ("publish", "verify", "restart", "diagnose", "promote", "event")),
        ("verify", {"zot_hosts": "localhost:typo"}),
        ("prune", {"zot_publish_host": "typo", "zot_prune_without_clusters": "true"}),
        ("rollback", {"zot_publish_host": "typo", "zot_rollback_rollout": "false"}),
        ("report", {"zot_publish_host": "typo", "zot_report_registry_only": "true"}),
    ],
)
def test_a_play_without_hosts_is_an_error(
    name: str, variables: dict[str, str], playbook: Callable[..., CompletedProcess[str]]
) -> None:
    """Ansible skips such a play and succeeds."""
    done = playbook(awx_jobs.ROOT / f"playbooks/{name}.yml", **variables)
    assert done.returncode != 0
    variable = next(iter(variables))
    assert f"{variable} names typo, which is not a host or a group with hosts" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["publish", "promote", "restart", "release", "rollback", "prune"])
def test_a_report_that_cannot_be_written(
    name: str, playbook: Callable[..., CompletedProcess[str]], cluster: PatchableCluster, registry: Registry
) -> None:
    """The playbook fails before it writes: the report has what is necessary to undo the changes."""
    before = len(registry.requests())
    given = {
        "zot_namespace": "apps",
        "zot_report_file": "report.json, none/report.md",
        "zot_publish_revision": "0a1b2c3",
        "zot_publish_images": [{"repository": "demo/app", "archive": "app.tar"}],
        "zot_prune_repositories": ["demo/app"],
        "zot_prune_without_clusters": True,
    }
    done = playbook(awx_jobs.ROOT / f"playbooks/{name}.yml", **given)
    assert done.returncode == 2
    assert "none/report.md cannot be written on the controller: No such file or directory" in done.stdout + done.stderr
    assert len(registry.requests()) == before
    assert cluster.patched == []
