# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What playbooks/awx.yml sets up in AWX fits the playbooks, the roles and the modules."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.blocks import blocks

from ansible_collections.killinit.zot.plugins.module_utils._registry.module import Spec
from environment import awx
from environment.awx import Awx

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "docs/docsite/rst/guide_awx.rst"
PLAYBOOKS = sorted(f"playbooks/{path.name}" for path in ROOT.glob("playbooks/*.yml") if path.name != "awx.yml")
# The type of the question for an option of that type: AWX has no booleans and no lists that one types.
TYPES = dict.fromkeys(("str", "path", "list", "raw"), "text") | {"int": "integer", "bool": "multiplechoice"}
# The variables without a default.
REQUIRED = {
    "zot_awx_execution_environment_image": "registry.example.com/platform/ee:1",
    "zot_awx_images": [{"repository": "app", "archive": "/dist/app.tar"}],
}


@pytest.fixture(scope="module")
def server() -> Iterator[Awx]:
    with awx.running(PLAYBOOKS) as server:
        yield server


def set_up(
    server: Awx, variables: str = json.dumps(REQUIRED), token: str = awx.TOKEN
) -> subprocess.CompletedProcess[str]:
    """Run the playbook."""
    environment = {**os.environ, "CONTROLLER_HOST": server.url, "CONTROLLER_OAUTH_TOKEN": token}
    command = ["ansible-playbook", str(ROOT / "playbooks/awx.yml"), "--extra-vars", variables]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(server: Awx) -> Awx:
    """AWX, once the playbook has set it up."""
    run = set_up(server)
    assert run.returncode == 0, run.stdout + run.stderr
    return server


def survey(server: Awx, template: dict[str, Any]) -> list[dict[str, Any]]:
    questions: list[dict[str, Any]] = server.surveys[template["related"]["survey_spec"]]["spec"]
    return questions


def options(playbook: str) -> dict[str, dict[str, Any]]:
    """The options of the roles that a playbook runs, with their defaults."""
    found: dict[str, dict[str, Any]] = {}
    for name in set(re.findall(r"(?:role|name): killinit\.zot\.(zot_\w+)", (ROOT / playbook).read_text())):
        specs = yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text())
        defaults = yaml.safe_load((ROOT / f"roles/{name}/defaults/main.yml").read_text())
        for option, spec in specs["argument_specs"]["main"]["options"].items():
            found[option] = {**spec, "default": defaults.get(option, spec.get("default"))}
    return found


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_job_template_asks_for_what_the_roles_take(playbook: str, done: Awx) -> None:
    (template,) = (each for each in done.resources["job_templates"].values() if each["playbook"] == playbook)
    assert template["survey_enabled"]
    specs = options(playbook)
    questions = {question["variable"]: question for question in survey(done, template)}
    assert questions.keys() <= specs.keys()
    for variable, question in questions.items():
        spec = specs[variable]
        assert not spec.get("no_log"), f"{variable} is for a credential"
        assert question["type"] == ("multiplechoice" if "choices" in spec else TYPES[spec["type"]]), variable
        default = spec["default"]
        if isinstance(default, list):
            default = ", ".join(default)
        elif spec["type"] == "bool":
            default = str(default).lower()
            assert question["choices"] == ["true", "false"]
        # An empty default would reach the role as null: https://github.com/ansible/awx/issues/16205
        assert question.get("default") == (None if default == "" else default), variable
        assert question["required"] == (spec.get("required", False) or spec["type"] in ("int", "bool")), variable
        # Without a minimum AWX takes an empty text for an answer to a required question.
        assert not question["required"] or question["type"] != "text" or question["min"] == 1, variable

    fixed = json.loads(template["extra_vars"])
    assert fixed.keys() <= specs.keys()
    assert not fixed.keys() & questions.keys()
    required = {variable for variable, spec in specs.items() if spec.get("required")}
    assert required <= fixed.keys() | questions.keys()


def test_images_and_execution_environment_are_those_of_the_user(done: Awx) -> None:
    """The collection has no registry and no image of a site for a default."""
    for name in ("Zot | Publish", "Zot | Release"):
        fixed = json.loads(done.named("job_templates", name)["extra_vars"])
        assert fixed == {"zot_publish_images": REQUIRED["zot_awx_images"]}
    image = done.named("execution_environments", "killinit.zot")["image"]
    assert image == REQUIRED["zot_awx_execution_environment_image"]


@pytest.mark.parametrize("missing", REQUIRED)
def test_variables_without_a_default(missing: str, server: Awx) -> None:
    before = len(server.writes)
    given = {name: value for name, value in REQUIRED.items() if name != missing}
    refused = set_up(server, json.dumps(given))
    assert refused.returncode == 2
    assert missing in refused.stdout + refused.stderr
    assert len(server.writes) == before


def test_order_and_payloads(done: Awx) -> None:
    made = [path.split("/")[3] for method, path, _body in done.writes if method == "POST" and path.count("/") == 4]
    assert list(dict.fromkeys(made)) == [
        "credential_types",
        "execution_environments",
        "projects",
        "inventories",
        "hosts",
        "job_templates",
        "workflow_job_templates",
        "workflow_job_template_nodes",
    ]
    project = done.named("projects", "killinit.zot")
    image = done.named("execution_environments", "killinit.zot")
    inventory = done.named("inventories", "killinit.zot")
    assert project["default_environment"] == image["id"]
    for template in done.resources["job_templates"].values():
        pointers = [template[name] for name in ("project", "execution_environment", "inventory")]
        assert pointers == [project["id"], image["id"], inventory["id"]]
    host = done.named("hosts", "localhost")
    assert host["inventory"] == inventory["id"]
    assert json.loads(host["variables"])["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"


def test_workflow(done: Awx) -> None:
    """Publish, verify, restart, each after the one before. A failure after the publish asks for a rollback.

    The workflow asks all questions of its jobs.
    """
    nodes = {each["id"]: each for each in done.resources["workflow_job_template_nodes"].values()}

    def after(name: str, edge: str) -> list[str]:
        (node,) = (each for each in nodes.values() if each["identifier"] == name)
        return [nodes[number]["identifier"] for number in done.associations.get(f"{node['url']}{edge}/", [])]

    assert {
        each["identifier"]: [after(each["identifier"], f"{edge}_nodes") for edge in ("success", "failure")]
        for each in nodes.values()
    } == {
        "Zot | Publish": [["Zot | Verify"], []],
        "Zot | Verify": [["Zot | Restart"], ["Approve the rollback"]],
        "Zot | Restart": [[], ["Approve the rollback"]],
        "Approve the rollback": [["Zot | Roll back"], []],
        "Zot | Roll back": [[], []],
    }
    (approval,) = done.resources["workflow_approval_templates"].values()
    assert (approval["name"], approval["timeout"]) == ("Approve the rollback", 86400)
    jobs = [done.resources["job_templates"].get(each["unified_job_template"]) for each in nodes.values()]
    playbooks = [job["playbook"] for job in jobs if job]
    assert playbooks == [f"playbooks/{name}.yml" for name in ("publish", "verify", "restart", "rollback")]

    (workflow,) = done.resources["workflow_job_templates"].values()
    asked = {each["variable"]: each for each in survey(done, workflow)}
    assert asked == {each["variable"]: each for job in jobs if job for each in survey(done, job)}


def test_images_of_the_rollback_have_no_archives(done: Awx) -> None:
    """Their paths may contain a revision, which a rollback does not have."""
    fixed = json.loads(done.named("job_templates", "Zot | Roll back")["extra_vars"])
    assert fixed == {"zot_rollback_images": [{"repository": "app"}]}


def test_again_nothing_changes(done: Awx) -> None:
    before = len(done.writes)
    run = set_up(done)
    assert run.returncode == 0, run.stdout
    assert "changed=0 " in run.stdout
    assert len(done.writes) == before


def test_as_the_guide_has_it(tmp_path: Path) -> None:
    """Another organization, its execution environment, its credentials for each job, and its images."""
    (example,) = (block.text for block in blocks(GUIDE) if block.file == "awx.yml")
    (tmp_path / "awx.yml").write_text(example)
    with awx.running(PLAYBOOKS) as server:
        server.make("organizations", name="Platform")
        kind = server.make("credential_types", name="Any", kind="cloud")["id"]
        names = ("ci at oci.killinit.cc", "the cluster")
        numbers = [server.make("credentials", name=name, credential_type=kind)["id"] for name in names]
        run = set_up(server, f"@{tmp_path}/awx.yml")
        assert run.returncode == 0, run.stdout + run.stderr
        assert (
            server.named("projects", "killinit.zot")["organization"] == server.named("organizations", "Platform")["id"]
        )
        assert server.named("execution_environments", "killinit.zot")["image"] in example
        for template in server.resources["job_templates"].values():
            assert sorted(server.associations[f"{template['url']}credentials/"]) == numbers
        fixed = json.loads(server.named("job_templates", "Zot | Release")["extra_vars"])
    # AWX evaluates the expression in the job, which knows its revision.
    assert fixed["zot_publish_images"][0]["archives"] == {
        architecture: f"/dist/{{{{ zot_publish_revision }}}}/{architecture}.tar" for architecture in ("amd64", "arm64")
    }


def test_guide_has_every_job_and_every_credential(done: Awx) -> None:
    guide = (ROOT / GUIDE).read_text(encoding="utf-8")
    for template in done.resources["job_templates"].values():
        questions = ", ".join(question["question_name"] for question in survey(done, template))
        assert f"* - {template['name']}\n     - ``{template['playbook']}``\n     - {questions}\n" in guide
    credential_type = done.named("credential_types", "Zot registry")
    assert ", ".join(f"``{name}``" for name in credential_type["injectors"]["env"]) in guide
    (workflow,) = done.resources["workflow_job_templates"].values()
    assert f'"{workflow["name"]}"' in guide


def test_refusals_are_seen(server: Awx) -> None:
    refused = set_up(server, token="another")
    assert refused.returncode == 2
    assert "HTTP 401" in refused.stdout + refused.stderr
    template = {"name": "Other", "description": "", "playbook": "playbooks/other.yml", "survey": []}
    refused = set_up(server, json.dumps({**REQUIRED, "zot_awx_job_templates": [template]}))
    assert refused.returncode == 2
    assert "Playbook not found for project" in refused.stdout + refused.stderr


def test_injectors_are_what_the_modules_read(done: Awx, tmp_path: Path) -> None:
    spec = Spec({}).for_module()["argument_spec"]
    option_of = {option["fallback"][1][0]: name for name, option in spec.items() if "fallback" in option}
    credential_type = done.named("credential_types", "Zot registry")
    fields = {each["id"]: each for each in credential_type["inputs"]["fields"]}
    assert [name for name, each in fields.items() if each.get("secret")] == ["password"]

    inputs = {"host": "h:5000", "username": "u", "password": "p", "ca": "-----BEGIN"}
    assert inputs.keys() == fields.keys()
    variables = awx.inject(credential_type, inputs, tmp_path)
    given = {option_of[name]: value for name, value in variables.items()}
    assert Path(given.pop("ca_path")).read_text() == "-----BEGIN"
    assert given == {"registry": "h:5000", "username": "u", "password": "p"}
    assert awx.inject(credential_type, {**inputs, "ca": ""}, tmp_path)["ZOT_CA_PATH"] == ""
