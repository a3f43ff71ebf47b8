# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What playbooks/awx.yml sets up in AWX fits the playbooks, the roles and the modules.

With CONTROLLER_HOST and CONTROLLER_OAUTH_TOKEN the tests run on that AWX, which must be one for tests: they create and
delete objects, and the user must be a system administrator.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.blocks import blocks
from integration.secret_leaks import Watched, assert_no_leak, forms, verbose_settings

from ansible_collections.killinit.zot.plugins.module_utils._registry import settings
from environment import awx
from environment.awx import Controller, Fields, StandIn

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "docs/docsite/rst/guide_awx.rst"
PROBES: list[Fields] = json.loads(Path(__file__).with_name("awx_probes.json").read_text())
PLAYBOOKS = sorted(f"playbooks/{path.name}" for path in ROOT.glob("playbooks/*.yml") if path.name != "awx.yml")
SOURCE = "https://github.com/killinit/zot"
# The type of the question for an option of that type: AWX has no booleans and no lists that one types, and refuses an
# integer that a user has cleared.
TYPES = dict.fromkeys(("str", "path", "list", "raw", "int"), "text") | {"bool": "multiplechoice"}
# The variables of the guide.
(EXAMPLE,) = (block.text for block in blocks(GUIDE) if block.file == "awx.yml")
REQUIRED = ("zot_awx_execution_environment_image", "zot_awx_images")


class _Loader(yaml.SafeLoader):
    """Reads values that are tagged as unsafe."""


_Loader.add_constructor("!unsafe", lambda _loader, node: node.value)
GIVEN: Fields = yaml.load(EXAMPLE, Loader=_Loader)
OWNER: str = GIVEN["zot_awx_organization"]
# What the playbook and the tests create, in the order in which AWX deletes it.
CREATED = (
    "workflow_job_templates",
    "job_templates",
    "inventories",
    "projects",
    "execution_environments",
    "credentials",
    "credential_types",
    "organizations",
)


def _remove(server: Controller) -> None:
    """Delete what the playbook and the tests create."""
    for resource in CREATED:
        for each in server.get(f"{resource}/"):
            if each["name"].startswith(
                ("Zot ", "killinit.zot", "P ", "P1", "Test ", OWNER, *GIVEN["zot_awx_credentials"])
            ):
                server.request("DELETE", each["url"])
    deadline = time.monotonic() + 60
    while server.get("inventories/?name=killinit.zot") and time.monotonic() < deadline:
        time.sleep(1)


@contextmanager
def _running() -> Iterator[Controller]:
    real = awx.controller()
    if real is None:
        with awx.running(PLAYBOOKS, SOURCE) as stand_in:
            yield stand_in
        return
    _remove(real)
    try:
        yield real
    finally:
        _remove(real)


@pytest.fixture(scope="module")
def server() -> Iterator[Controller]:
    """An AWX that has the organization alone."""
    with _running() as server:
        server.make("organizations", name=OWNER)
        yield server


def set_up(
    server: Controller,
    *options: str,
    without: str | None = None,
    token: str | None = None,
    environment: Mapping[str, str] | None = None,
    **others: Any,
) -> subprocess.CompletedProcess[str]:
    """Run the playbook with the variables of the guide, without one of them, or with others."""
    environment = {**os.environ, "ANSIBLE_PIPELINING": "true", **(environment or {})}
    environment |= {"CONTROLLER_HOST": server.url, "CONTROLLER_OAUTH_TOKEN": token or server.token}
    given = "".join(re.findall(rf"(?m)^(?!{without}:)\w+:.*\n(?:[ -].*\n)*", EXAMPLE))
    command = ["ansible-playbook", str(ROOT / "playbooks/awx.yml"), *options]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(given)
        file.flush()
        command += ["--extra-vars", f"@{file.name}", "--extra-vars", json.dumps(others)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class WatchedRun:
    """A run of the playbook at -vvvv, with logs, callbacks and a diff, and the directories of all that it left."""

    done: subprocess.CompletedProcess[str]
    watched: Watched
    directories: tuple[Path, ...]

    def assert_no_leak(self, token: str) -> None:
        # The modules read it from the environment, as the user gave it.
        given = ["CONTROLLER_OAUTH_TOKEN"]
        secrets = forms("user", token)
        assert_no_leak(secrets, self.watched, self.done, self.directories, ours=[], given=given, tools=())


@contextmanager
def watched_run(server: Controller, directory: Path, token: str | None = None) -> Iterator[WatchedRun]:
    home = directory / "home"
    home.mkdir()
    # Ansible puts a socket into it, whose path may not be long.
    with tempfile.TemporaryDirectory() as temporary:
        environment = {
            **verbose_settings(directory),
            "HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_REMOTE_TMP": str(home / "tmp"),
            "TMPDIR": temporary,
        }
        with Watched(home) as watched:
            done = set_up(server, "-vvvv", "--diff", token=token, environment=environment)
        yield WatchedRun(done, watched, (directory, Path(temporary)))


def state(server: Controller) -> list[Fields]:
    """Everything that AWX has, with the time of the last change."""
    resources = (*CREATED, "hosts", "workflow_job_template_nodes")
    found = [each for resource in resources for each in server.get(f"{resource}/")]
    surveys = [server.get(each["related"]["survey_spec"]) for each in found if "survey_spec" in each["related"]]
    volatile = {"related", "summary_fields", "last_job_run", "last_updated", "last_update_failed", "status"}
    kept = [{name: value for name, value in each.items() if name not in volatile} for each in found]
    # The update of a project changes it.
    return [each for each in kept if each["type"] != "project"] + surveys


def project(server: Controller, name: str, organization: int) -> Fields:
    """Create a project, and wait until AWX has fetched it."""
    made = server.make("projects", name=name, organization=organization, scm_type="git", scm_url=SOURCE)
    update = f"project_updates/{made['summary_fields']['current_update']['id']}/"
    deadline = time.monotonic() + 120
    while not server.get(update)["event_processing_finished"] and time.monotonic() < deadline:
        time.sleep(1)
    return made


@pytest.fixture(scope="module")
def first_run(server: Controller, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedRun]:
    """The run that configures AWX as the guide has it, beside an organization with the same names."""
    default = server.named("organizations", "Default")["id"]
    fetched = project(server, "killinit.zot", default)
    inventory = server.make("inventories", name="killinit.zot", organization=default)
    same = {"project": fetched["id"], "inventory": inventory["id"], "playbook": "playbooks/publish.yml"}
    server.make("job_templates", name="Zot | Publish", **same)
    server.make("workflow_job_templates", name="Zot | Publish, verify, restart", organization=default)

    owner = server.named("organizations", OWNER)["id"]
    registry = server.make("credential_types", name="Test type", kind="cloud", inputs={"fields": []}, injectors={})
    cluster = server.named("credential_types", "OpenShift or Kubernetes API Bearer Token")
    for name, kind in zip(GIVEN["zot_awx_credentials"], (registry, cluster), strict=True):
        inputs = dict.fromkeys(kind["inputs"].get("required", ()), "x")
        server.make("credentials", name=name, credential_type=kind["id"], organization=owner, inputs=inputs)
    with watched_run(server, tmp_path_factory.mktemp("first")) as run:
        assert run.done.returncode == 0, run.done.stdout + run.done.stderr
        yield run


@pytest.fixture(scope="module")
def done(server: Controller, first_run: WatchedRun) -> Controller:
    """AWX after the first run."""
    assert first_run
    return server


def ours(server: Controller, resource: str) -> list[Fields]:
    """The objects of a resource in the organization of the playbook."""
    owner = server.named("organizations", OWNER)["id"]
    found: list[Fields] = server.get(f"{resource}/?organization={owner}")
    return found


def one(server: Controller, resource: str, name: str) -> Fields:
    (found,) = (each for each in ours(server, resource) if each["name"] == name)
    return found


def survey(server: Controller, template: Fields) -> list[Fields]:
    questions: list[Fields] = server.get(template["related"]["survey_spec"])["spec"]
    return questions


def nodes(server: Controller, name: str = "Zot | Publish, verify, restart") -> list[Fields]:
    workflow = one(server, "workflow_job_templates", name)
    found: list[Fields] = server.get(f"workflow_job_template_nodes/?workflow_job_template={workflow['id']}")
    return found


def links(server: Controller) -> dict[str, list[list[str]]]:
    """For each node the names of the nodes after it: on success, on failure, and always."""
    names = {each["id"]: each["identifier"] for each in nodes(server)}
    return {
        each["identifier"]: [sorted(names[number] for number in each[kind]) for kind in awx.LINKS]
        for each in nodes(server)
    }


LINKED: dict[str, list[list[str]]] = {
    "Zot | Publish": [["Zot | Verify"], [], []],
    "Zot | Verify": [["Zot | Restart"], ["Approve the rollback"], []],
    "Zot | Restart": [[], ["Approve the rollback"], []],
    "Approve the rollback": [["Zot | Roll back"], [], []],
    "Zot | Roll back": [[], [], []],
}


# The values of a node that decide a result.
VALUES = ("job_type", "extra_data", "all_parents_must_converge", "diff_mode")
TEMPLATES = sorted(
    [
        *(f"Zot | {name}" for name in ("Diagnose", "Prune", "Promote", "Publish", "Release", "Report", "Restart")),
        *(f"Zot | {name}" for name in ("Roll back", "Rotate", "Verify")),
        *(f"Zot automation | {name}" for name in ("Event", "Prune what was listed")),
    ]
)


def options(playbook: str) -> dict[str, dict[str, Any]]:
    """The options of the roles that a playbook runs, with their defaults."""
    found: dict[str, dict[str, Any]] = {}
    for name in set(re.findall(r"(?:role|name): killinit\.zot\.(zot_\w+)", (ROOT / playbook).read_text())):
        specs = yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text())
        defaults = yaml.safe_load((ROOT / f"roles/{name}/defaults/main.yml").read_text())
        for option, spec in specs["argument_specs"]["main"]["options"].items():
            found[option] = {**spec, "default": defaults.get(option, spec.get("default"))}
    return found


def test_check_mode_on_an_empty_awx(server: Controller) -> None:
    before = state(server)
    checked = set_up(server, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "changed=0 " not in checked.stdout
    assert state(server) == before


def test_every_probe_is_answered_as_by_awx(done: Controller) -> None:
    """The requests and the answers of AWX 24.6.1."""
    numbers = {
        "own organization": done.named("organizations", OWNER)["id"],
        "own project": one(done, "projects", "killinit.zot")["id"],
        "own inventory": one(done, "inventories", "killinit.zot")["id"],
    }

    def with_numbers(value: Any) -> Any:
        if isinstance(value, list):
            return [with_numbers(each) for each in value]
        return numbers.get(value[1:], value) if isinstance(value, str) and value.startswith("@") else value

    different = []
    created = []
    for probe in PROBES:
        path = re.sub(r"\{([^}]*)\}", lambda found: str(numbers[found[1]]), probe["path"])
        body = {name: with_numbers(value) for name, value in probe["body"].items()} if "body" in probe else None
        status, answer = done.request(probe["method"], path, body)
        if status == 201:
            numbers[probe["name"]] = answer["id"]
            created.append(answer["url"])
        expected = probe["answer"]
        if status == probe["status"] < 300 and expected:
            # Of an object, the fields that are compared; of a list, the objects.
            expected = {name: with_numbers(value) for name, value in expected.items()}
            answer = {name: answer.get(name) for name in expected}
            if "results" in answer:
                answer["results"] = [each["id"] for each in answer["results"]]
        if (status, answer) != (probe["status"], expected):
            different.append((probe["name"], status, answer))
    for url in reversed(created):
        done.request("DELETE", url)
    assert different == []
    assert len(PROBES) == len({probe["name"] for probe in PROBES})


@pytest.mark.parametrize("name", TEMPLATES)
def test_job_template_asks_for_what_the_roles_take(name: str, done: Controller) -> None:
    template = one(done, "job_templates", name)
    playbook: str = template["playbook"]
    assert template["survey_enabled"]
    specs = options(playbook)
    questions = {question["variable"]: question for question in survey(done, template)}
    text = (ROOT / playbook).read_text(encoding="utf-8")
    assert [variable for variable in questions if variable not in specs and variable not in text] == []
    for variable, question in questions.items():
        # Without a minimum AWX takes an empty text for an answer to a required question.
        assert not question["required"] or question["type"] != "text" or question["min"] == 1, variable
        if variable not in specs:
            continue
        spec = specs[variable]
        assert not spec.get("no_log"), f"{variable} is for a credential"
        assert question["type"] == ("multiplechoice" if "choices" in spec else TYPES[spec["type"]])
        default = spec["default"]
        if isinstance(default, list):
            default = ", ".join(default)
        elif isinstance(default, int) and spec["type"] != "bool":
            default = str(default)
        elif spec["type"] == "bool":
            default = str(default).lower()
            assert question["choices"] == ["true", "false"]
        # An empty default would reach the role as null: https://github.com/ansible/awx/issues/16205
        assert default is None or question.get("default") == (None if default == "" else default), variable
        # AWX refuses a job of the API without an answer to a required question, even if the question has a default.
        required = spec.get("required", False) and "default" not in question
        # The survey does not ask for zot_namespace, which is the default of the namespaces.
        assert question["required"] == (required or variable == "zot_rotate_namespaces"), variable

    fixed = json.loads(template["extra_vars"])
    assert [variable for variable in fixed if variable not in specs and variable not in text] == []
    assert not fixed.keys() & questions.keys()
    needed = {variable for variable, spec in specs.items() if spec.get("required")}
    assert needed <= fixed.keys() | questions.keys()


def test_only_the_job_of_an_event_takes_any_variable(done: Controller) -> None:
    """Who may give any variable can send the credentials to another registry."""
    templates = ours(done, "job_templates")
    assert sorted(each["name"] for each in templates) == TEMPLATES
    assert {each["playbook"] for each in templates} == set(PLAYBOOKS)
    assert [each["name"] for each in templates if each["ask_variables_on_launch"]] == ["Zot automation | Event"]
    assert not any(each["ask_variables_on_launch"] for each in ours(done, "workflow_job_templates"))


def test_images_environment_and_credentials_are_those_of_the_guide(done: Controller) -> None:
    """The collection has no registry and no image of a site for a default. AWX evaluates the expressions in the job."""
    for name in ("Zot | Publish", "Zot | Release"):
        fixed = json.loads(one(done, "job_templates", name)["extra_vars"])
        assert fixed == {"zot_publish_images": GIVEN["zot_awx_images"]}
    image = done.named("execution_environments", "killinit.zot")["image"]
    assert image == GIVEN["zot_awx_execution_environment_image"]
    for template in ours(done, "job_templates"):
        used = [each["name"] for each in done.get(f"{template['url']}credentials/")]
        assert sorted(used) == sorted(GIVEN["zot_awx_credentials"])


@pytest.mark.parametrize("missing", REQUIRED)
def test_variables_without_a_default(missing: str, server: Controller) -> None:
    before = state(server)
    refused = set_up(server, without=missing)
    assert refused.returncode == 2
    assert missing in refused.stdout + refused.stderr
    assert state(server) == before


def test_objects_are_those_of_the_organization(done: Controller) -> None:
    fetched = one(done, "projects", "killinit.zot")
    image = done.named("execution_environments", "killinit.zot")
    inventory = one(done, "inventories", "killinit.zot")
    assert fetched["default_environment"] == image["id"]
    for template in ours(done, "job_templates"):
        pointers = [template[name] for name in ("project", "execution_environment", "inventory")]
        assert pointers == [fetched["id"], image["id"], inventory["id"]]
    (host,) = done.get(f"hosts/?inventory={inventory['id']}")
    assert host["name"] == "localhost"
    assert json.loads(host["variables"])["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"


def test_workflow(done: Controller) -> None:
    """Publish, verify, restart, each after the one before. A failure after the publish asks for a rollback.

    The workflow asks all questions of its jobs.
    """
    assert links(done) == LINKED
    found = {each["identifier"]: each for each in nodes(done)}
    approval = done.get(found["Approve the rollback"]["related"]["unified_job_template"])
    assert (approval["name"], approval["timeout"]) == ("Approve the rollback", 86400)
    templates = {each["id"]: each for each in ours(done, "job_templates")}
    jobs = [templates[each["unified_job_template"]] for name, each in found.items() if name.startswith("Zot ")]
    assert sorted(job["name"] for job in jobs) == sorted(name for name in LINKED if name.startswith("Zot "))

    workflow = one(done, "workflow_job_templates", "Zot | Publish, verify, restart")
    questions = {each["variable"]: each for each in survey(done, workflow)}
    assert questions == {each["variable"]: each for job in jobs for each in survey(done, job)}


def test_objects_have_the_fields_of_awx(done: Controller) -> None:
    """Those of the recorded answers, so that the playbook meets no other object in AWX."""
    (inventory,) = ours(done, "inventories")
    found = [*done.get(f"hosts/?inventory={inventory['id']}"), *nodes(done)]
    found += [done.named("credential_types", "Zot registry"), done.named("execution_environments", "killinit.zot")]
    for resource in ("projects", "inventories", "job_templates", "workflow_job_templates"):
        found += ours(done, resource)
    assert {each["type"] for each in found} == awx.ANSWERS.keys() - {"organization", "project_update"}
    for each in found:
        names = awx.ANSWERS[each["type"]]
        assert each.keys() == {*names["fields"]}, each["type"]
        assert each["related"].keys() <= {*names["related"]}, each["type"]
        assert each["summary_fields"].keys() <= {*names["summary_fields"]}, each["type"]
    templates = [each["summary_fields"] for each in ours(done, "job_templates")]
    assert {each["organization"]["name"] for each in templates} == {OWNER}
    assert {each["labels"]["count"] for each in templates} == {1}
    assert {len(each["credentials"]) for each in templates} == {len(GIVEN["zot_awx_credentials"])}


def test_pruning_waits_for_an_approval(done: Controller) -> None:
    """The first job only lists what the last one may remove."""
    found = {each["identifier"]: each for each in nodes(done, "Zot | Prune after an approval")}
    names = ("Zot | Prune", "Approve the removal", "Zot automation | Prune what was listed")
    first, approval, last = (found[name] for name in names)
    assert (first["job_type"], last["job_type"]) == ("check", None)
    assert (first["success_nodes"], approval["success_nodes"]) == ([approval["id"]], [last["id"]])
    assert [each[link] for each in found.values() for link in ("failure_nodes", "always_nodes")] == [[]] * 6
    removal = done.get(f"job_templates/{last['unified_job_template']}/")
    assert "zot_prune_report.deleted" in json.loads(removal["extra_vars"])["zot_prune_only"]
    template = done.get(f"job_templates/{first['unified_job_template']}/")
    assert survey(done, template) == survey(done, removal)
    # The job type of a node has an effect only where the template asks for it.
    assert template["ask_job_type_on_launch"] is True
    assert {each["variable"]: each.get("default") for each in survey(done, template)}[
        "zot_prune_repositories"
    ] == "openclaw/openclaw"


def test_jobs_of_automation_stand_apart(done: Controller) -> None:
    labels = {
        each["name"]: [label["name"] for label in done.get(f"{each['url']}labels/")]
        for each in ours(done, "job_templates")
    }
    assert labels == {
        name: ["Zot for automation" if name.startswith("Zot automation | ") else "Zot for users"] for name in TEMPLATES
    }


def test_images_of_the_rollback_have_no_archives(done: Controller) -> None:
    """Their paths may contain a revision, which a rollback does not have."""
    fixed = json.loads(one(done, "job_templates", "Zot | Roll back")["extra_vars"])
    assert fixed == {"zot_rollback_images": [{"repository": "openclaw/openclaw"}]}


def test_a_second_run_changes_nothing(done: Controller) -> None:
    """It only updates the project."""
    before = state(done)
    writes = len(done.writes) if isinstance(done, StandIn) else 0
    run = set_up(done)
    assert run.returncode == 0, run.stdout
    assert "changed=0 " in run.stdout
    assert state(done) == before
    if isinstance(done, StandIn):
        assert [path for _method, path, _body in done.writes[writes:]] == [
            f"{one(done, 'projects', 'killinit.zot')['url']}update/"
        ]


def test_other_changes_are_corrected(done: Controller) -> None:
    """Links of the wrong kind, an extra node, a missing node, an update that failed, and all that decides a result."""
    found = {each["identifier"]: each for each in nodes(done)}
    workflow = found["Zot | Publish"]["workflow_job_template"]
    verify, restart = (found[name]["url"] for name in ("Zot | Verify", "Zot | Restart"))

    def link(url: str, kind: str, name: str, *, disassociate: bool = False) -> None:
        body: Fields = {"id": found[name]["id"], **({"disassociate": True} if disassociate else {})}
        status, answer = done.request("POST", f"{url}{kind}_nodes/", body)
        assert status == 204, answer

    link(verify, "success", "Zot | Restart", disassociate=True)
    link(verify, "failure", "Approve the rollback", disassociate=True)
    link(verify, "failure", "Zot | Restart")
    link(verify, "success", "Approve the rollback")
    link(restart, "failure", "Approve the rollback", disassociate=True)
    link(restart, "always", "Approve the rollback")
    made = done.make(
        "workflow_job_template_nodes",
        workflow_job_template=workflow,
        unified_job_template=found["Zot | Publish"]["unified_job_template"],
        identifier="extra",
    )
    assert done.request("POST", f"{verify}always_nodes/", {"id": made["id"]})[0] == 204
    assert done.request("DELETE", found["Zot | Roll back"]["url"])[0] == 204
    inventory = one(done, "inventories", "killinit.zot")
    (host,) = done.get(f"hosts/?inventory={inventory['id']}")
    template = one(done, "job_templates", "Zot | Restart")
    flow = done.get(f"workflow_job_templates/{workflow}/")
    value = json.dumps({"zot_registry": "other:5000"})
    different: list[tuple[Fields, Fields]] = [
        (host, {"enabled": False, "variables": value}),
        (inventory, {"variables": value, "description": ""}),
        (flow, {"extra_vars": value, "limit": "none", "allow_simultaneous": True, "ask_limit_on_launch": True}),
        (template, {"limit": "none", "job_tags": "never", "timeout": 1, "job_slice_count": 2, "become_enabled": True}),
        (template, {"forks": 1, "verbosity": 4, "ask_limit_on_launch": True, "allow_simultaneous": True}),
    ]
    before_it = [(each["url"], {name: each[name] for name in changed}) for each, changed in different]
    different += [
        (found["Zot | Verify"], {"extra_data": {"zot_namespace": "other"}, "all_parents_must_converge": True}),
        (found["Zot | Restart"], {"job_type": "check", "diff_mode": True}),
    ]
    for each, changed in different:
        status, answer = done.request("PATCH", each["url"], changed)
        assert status == 200, answer

    fetched = one(done, "projects", "killinit.zot")
    text = _refused(done, zot_awx_project={"scm_url": "https://127.0.0.1:1/none.git"})
    assert "https://127.0.0.1:1/none.git cannot be fetched" in text
    changed = one(done, "projects", "killinit.zot")
    assert [changed[name] for name in ("scm_type", "scm_branch", "scm_update_on_launch")] == ["git", "main", True]
    assert changed["scm_url"] != fetched["scm_url"]

    before = state(done)
    checked = set_up(done, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "changed=0 " not in checked.stdout
    assert state(done) == before
    run = set_up(done)
    assert run.returncode == 0, run.stdout + run.stderr
    assert links(done) == LINKED
    assert [(url, {name: done.get(url)[name] for name in values}) for url, values in before_it] == before_it
    again = {each["identifier"]: each for each in nodes(done)}
    for name in ("Zot | Verify", "Zot | Restart"):
        assert (
            [again[name][each] for each in VALUES] == [found[name][each] for each in VALUES] == [None, {}, False, None]
        )


def _refused(server: Controller, **variables: Any) -> str:
    refused = set_up(server, **variables)
    assert refused.returncode == 2
    return refused.stdout + refused.stderr


def test_the_token_is_nowhere(server: Controller, first_run: WatchedRun) -> None:
    first_run.assert_no_leak(server.token)


def test_a_token_that_awx_refuses(done: Controller, tmp_path: Path) -> None:
    """It is nowhere, either, and the error names its variable."""
    token = "a-token-of-somebody-else-0815"
    with watched_run(done, tmp_path, token) as run:
        assert run.done.returncode == 2
        run.assert_no_leak(token)
    text = run.done.stdout + run.done.stderr
    assert "HTTP 401" in text
    assert "CONTROLLER_OAUTH_TOKEN" in text
    assert "a change of its inputs" not in text


def test_the_answer_of_awx_is_shown(done: Controller) -> None:
    template = {"name": "Other", "description": "", "playbook": "playbooks/other.yml", "survey": []}
    text = _refused(done, zot_awx_job_templates=[template])
    assert "Playbook not found for project" in text
    assert "Create the job templates (Other)" in text
    # The name of an execution environment is that of one organization.
    text = _refused(done, zot_awx_organization="Default")
    assert "Cannot change the organization of an execution environment" in text


def test_a_credential_type_in_use(done: Controller) -> None:
    """AWX answers 403 to a change of its inputs; awx.awx hides the reason."""
    kind = done.named("credential_types", "Zot registry")
    owner = done.named("organizations", OWNER)["id"]
    inputs = {"host": "h", "username": "u", "password": "p"}
    used = done.make("credentials", name="Test", credential_type=kind["id"], organization=owner, inputs=inputs)
    fields = [{**each, "help_text": "Other"} for each in kind["inputs"]["fields"]]
    changed = {"injectors": {}, "inputs": {**kind["inputs"], "fields": fields}}
    other = {"name": kind["name"], "description": kind["description"], **changed}
    text = _refused(done, zot_awx_credential_types=[other])
    done.request("DELETE", used["url"])
    assert "HTTP 403" in text
    assert "refuses a change of its inputs" in text
    assert "zot_awx_registry_type" in text


def test_injectors_are_what_the_modules_read(done: Controller, tmp_path: Path) -> None:
    option_of = {settings.environment_variable(name): name for name in settings.SETTINGS}
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
