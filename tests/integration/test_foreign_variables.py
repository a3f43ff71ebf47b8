# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles and playbooks with variables that are not theirs: misspelt ones, and the reports of earlier jobs of AWX.

Registry and account are in an inventory, and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import pull_secret, workload
from integration.patchable_cluster import PatchableCluster
from integration.support import Bare, Module, recap
from unit.api_server import running

from environment.images import Images
from environment.registry import Registry

Playbook = Callable[..., CompletedProcess[str]]
OLD, NEW = "0a1b2c3", "4d5e6f7"
LISTS = (
    *("images", "references", "written", "workloads", "unverified", "unreadable", "undo", "moved", "runs"),
    *("checks", "findings", "deleted", "kept", "clusters", "repositories", "stale", "at_risk"),
)
# Whatever a playbook would take from the report has this word.
MARK = "an-earlier-job"
REPORT = {**{name: [MARK] for name in LISTS}, "changed": False, "images_set": {}, "revision": MARK}
NAMES = ("publish", "pull_secret", "rollout", "rollback", "release", "promote", "prune", "diagnose", "verify")
GOOD, BAD = {**REPORT, "ok": True, "problems": []}, {**REPORT, "ok": False, "problems": [MARK]}

ROLES = {
    "zot_publish": ("zot_publish_tag", "zot_publish_tags"),
    "zot_pull_secret": ("zot_pull_secret_user", "zot_pull_secret_username"),
    "zot_rollout": ("zot_rollout_timeout", "zot_rollout_wait_timeout"),
    "zot_rollback": ("zot_rollback_tag", "zot_rollback_tags"),
    "zot_prune": ("zot_prune_keep_newer", "zot_prune_keep_newer_than"),
    "zot_diagnose": ("zot_diagnose_timeout", "zot_diagnose_pull_timeout"),
    "zot_rotate": ("zot_rotate_expires", "zot_rotate_expires_in"),
}
PLAYBOOKS = {
    "publish": ("zot_publish_tag", "zot_publish_tags"),
    "release": ("zot_release_set_images", "zot_release_set_image"),
    "rollback": ("zot_rollback_rollouts", "zot_rollback_rollout"),
    "verify": ("zot_verify_risk", "zot_verify_at_risk"),
    "diagnose": ("zot_diagnose_timeout", "zot_diagnose_pull_timeout"),
    "report": ("zot_report_repository", "zot_report_repositories"),
    "promote": ("zot_promote_tag", "zot_promote_tags"),
    "prune": ("zot_prune_keep_newer", "zot_prune_keep_newer_than"),
    "restart": ("zot_rollout_timeout", "zot_rollout_wait_timeout"),
    "event": ("zot_report_files", "zot_report_file"),
    "rotate": ("zot_rotate_expires", "zot_rotate_expires_in"),
    "awx": ("zot_awx_image", "zot_awx_images"),
}
# What else the first play of a playbook says if no variable is set.
MISSING = {
    "publish": ("zot_publish_revision", "zot_publish_images"),
    **dict.fromkeys(("verify", "diagnose", "restart", "event"), ("zot_namespace",)),
}
# The required arguments of the roles, which ansible-core checks first.
REQUIRED = {
    "zot_namespace": "apps",
    "zot_publish_revision": NEW,
    "zot_publish_images": [{"repository": "app", "archive": "none.tar"}],
    "zot_prune_repositories": ["app"],
    "zot_pull_secret_username": "puller",
    "zot_pull_secret_password": "Some-Password",
}


def test_a_misspelt_variable_of_a_role(playbook: Playbook, registry: Registry, tmp_path: Path) -> None:
    tasks = [
        {
            "block": [{"ansible.builtin.import_role": {"name": f"killinit.zot.{role}"}}],
            "rescue": [{"ansible.builtin.debug": {"msg": f"{role}: {{{{ ansible_failed_result.msg }}}}"}}],
        }
        for role in ROLES
    ]
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    before = len(registry.requests())
    done = playbook(tmp_path / "play.yml", **REQUIRED, **{misspelt: [] for misspelt, _name in ROLES.values()})
    assert (done.returncode, recap(done)["rescued"]) == (0, len(ROLES)), done.stdout + done.stderr
    for role, (misspelt, name) in ROLES.items():
        assert re.search(rf"{role}: .*{misspelt} is not a variable of \w+: did you mean {name}\?", done.stdout)
    assert len(registry.requests()) == before


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_misspelt_and_missing_variables_of_a_playbook(name: str, playbook: Playbook, registry: Registry) -> None:
    before = len(registry.requests())
    misspelt, meant = PLAYBOOKS[name]
    done = playbook(f"killinit.zot.{name}", **{misspelt: []})
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(rf"{misspelt} is not a variable of \w+: did you mean {meant}\?", done.stdout + done.stderr)
    for missing in MISSING.get(name, ()):
        assert f"Set {missing}: the " in done.stdout
    # Ansible adds the whole specification of a role to its own message.
    assert "argument_spec_data" not in done.stdout
    assert "failed=1" in done.stdout
    assert len(registry.requests()) == before


def test_a_registered_result_is_no_misspelt_variable(playbook: Playbook, tmp_path: Path) -> None:
    tasks = [
        {"ansible.builtin.command": "true", "register": "zot_prune_output"},
        {"ansible.builtin.import_role": {"name": "killinit.zot.zot_prune"}},
    ]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = playbook(tmp_path / "play.yml", zot_prune_repositories=["app"], zot_prune_without_clusters=True)
    assert "zot_prune_output" not in done.stdout + done.stderr


@pytest.fixture
def variables(
    registry: Registry,
    repository: str,
    images: Images,
    module: Module,
    bare: Bare,
    environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[dict[str, Any]]:
    """Two revisions of an image, and a cluster that runs the newer one: the variables of all playbooks."""
    for revision, archive in ((OLD, "buildah-amd64"), (NEW, "changed-layer")):
        pushed = module(
            "zot_push",
            archive=str(images[archive]),
            repository=f"{repository}/app",
            tags=[revision, "latest"],
            keep_previous="{tag}-previous",
        )
        assert not pushed["failed"], pushed
    image = f"{registry.host}/{repository}/app"

    def resolve(text: str) -> str:
        return text.partition("@")[2] or bare("crane", "digest", f"{image}:{text.rpartition(':')[2]}").stdout.strip()

    objects = (workload(f"{image}:latest", name="app"), pull_secret(registry, registry.reader))
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    names = ("registry", "username", "password", "ca_path")
    settings = {f"zot_{name}": environment.pop(f"ZOT_{name.upper()}") for name in names}
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = {"all": {"hosts": {"localhost": local}, "vars": settings}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    pushed_event = {"name": f"{repository}/app", "reference": "latest", "digest": f"sha256:{'0' * 64}"}
    with running(PatchableCluster("apps", resolve, *objects)) as server:
        environment["K8S_AUTH_KUBECONFIG"] = str(server.kubeconfig(tmp_path / "kubeconfig"))
        yield {
            "zot_namespace": "apps",
            "zot_retries": 0,
            "zot_publish_revision": NEW,
            "zot_publish_images": [{"repository": f"{repository}/app", "archive": str(images["changed-layer"])}],
            "zot_promote_revision": NEW,
            "zot_promote_images": [{"repository": f"{repository}/copy", "source_repository": f"{repository}/app"}],
            "zot_prune_repositories": [f"{repository}/app"],
            "zot_prune_keep_last": 5,
            "zot_report_repositories": [f"{repository}/app"],
            "zot_report_file": str(tmp_path / "report.json"),
            "zot_rollout_wait_timeout": 10,
            "zot_rollout_wait_sleep": 1,
            "ansible_eda": {"event": {"payload": pushed_event}},
        }


# The playbook rotate is tested with a real cluster.
@pytest.mark.parametrize("name", sorted(PLAYBOOKS.keys() - {"awx", "rotate"}))
@pytest.mark.parametrize("earlier", [BAD, GOOD], ids=["success after a failure", "failure after a success"])
def test_the_report_of_an_earlier_job_is_no_result(
    name: str, earlier: dict[str, Any], variables: dict[str, Any], playbook: Playbook, tmp_path: Path
) -> None:
    """AWX passes it as an extra variable, which overrides facts and registered results."""
    given = dict(variables)
    if earlier["ok"]:
        # Nothing listens there. The playbook diagnose reads no registry if all pods run.
        given |= {"zot_registry": "127.0.0.1:1", "zot_context": "typo"}
    old = {f"zot_{each}_report": earlier for each in NAMES}
    old |= {"zot_report": earlier, "zot_prune_cluster": {"cluster": f"https://{MARK}", "registry": "x", "in_use": []}}

    options = ("--check", f"--inventory={tmp_path / 'inventory.json'}")
    done = playbook(f"killinit.zot.{name}", *options, **given, **old)
    assert (done.returncode == 0) is not earlier["ok"], done.stdout
    assert MARK not in done.stdout + done.stderr
    found = re.search(r"RUN: (\{.*\})", done.stdout)
    # The playbook prune ends before it has a report if it cannot read a cluster.
    assert found or (name == "prune" and earlier["ok"])
    for report in json.loads(found[1]).values() if found else ():
        assert report.get("ok", not earlier["ok"]) is not earlier["ok"], report
