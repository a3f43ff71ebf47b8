# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An AWX for tests: the one that CONTROLLER_HOST names, or a stand-in for as much of its API as playbooks/awx.yml uses.

awx_fields.json has the fields of each resource as AWX 24.6.1 returned them to OPTIONS. tests/packaging/awx_probes.json
has requests with the answers of the same AWX; a test sends them to the stand-in, too.
"""

from __future__ import annotations

import json
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import yaml
from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

API = "/api/v2/"
TOKEN = "a-token-that-stands-nowhere-else"
FIELDS: dict[str, dict[str, dict[str, Any]]] = json.loads(Path(__file__).with_name("awx_fields.json").read_text())
FIELDS["workflow_approval_templates"] = {
    "name": {"type": "string", "required": True},
    "description": {"type": "string", "default": ""},
    "timeout": {"type": "integer", "default": 0},
}
# The names in the answers of the same AWX, by the type of the object.
ANSWERS: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("awx_answers.json").read_text())
FIELDS["labels"] = {"name": {"type": "string", "required": True}, "organization": {"type": "id", "required": True}}
# The name of the model in messages, and which fields are unique together, with the message if they are not.
_COMBINATION = "{} with this (name, organization) combination already exists."
MODELS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "organizations": ("Organization", ("name",), "Organization with this Name already exists."),
    "credential_types": ("CredentialType", ("name", "kind"), "Credential type with this Name and Kind already exists."),
    "credentials": ("Credential", ("name", "organization", "credential_type"), "Credential already exists."),
    "execution_environments": (
        "ExecutionEnvironment",
        ("name",),
        "Execution environment with this Name already exists.",
    ),
    "projects": ("Project", ("name", "organization"), _COMBINATION.format("Project")),
    "inventories": ("Inventory", ("name", "organization"), "Inventory with this Name and Organization already exists."),
    "hosts": ("Host", ("name", "inventory"), "Host with this Name and Inventory already exists."),
    "job_templates": ("JobTemplate", ("name", "organization"), _COMBINATION.format("JobTemplate")),
    "workflow_job_templates": (
        "WorkflowJobTemplate",
        ("name", "organization"),
        _COMBINATION.format("WorkflowJobTemplate"),
    ),
    "workflow_job_template_nodes": (
        "WorkflowJobTemplateNode",
        ("identifier", "workflow_job_template"),
        "Workflow job template node with this Identifier and Workflow job template already exists.",
    ),
    "workflow_approval_templates": ("WorkflowApprovalTemplate", (), ""),
    "labels": ("Label", ("name", "organization"), "Label with this Name and Organization already exists."),
}
# To which resource the number in such a field belongs.
POINTERS = {
    "organization": "organizations",
    "project": "projects",
    "inventory": "inventories",
    "default_environment": "execution_environments",
    "execution_environment": "execution_environments",
    "credential_type": "credential_types",
    "workflow_job_template": "workflow_job_templates",
    "unified_job_template": "job_templates",
}
LINKS = ("success_nodes", "failure_nodes", "always_nodes")
QUESTIONS = {
    "text": "string",
    "textarea": "string",
    "password": "string",
    "multiplechoice": "string",
    "multiselect": "string",
    "integer": "integer",
    "float": "float",
}
Fields = dict[str, Any]


class Refusal(Exception):
    """A status, and what is wrong with the request."""

    def __init__(self, status: int, /, **answer: Any) -> None:
        super().__init__(answer)
        self.status = status
        self.answer = answer


@dataclass
class Controller:
    """An AWX, known by its address and a token alone."""

    url: str
    token: str

    def request(self, method: str, path: str, body: Fields | None = None) -> tuple[int, Any]:
        """Status and answer of a request; None if the answer is empty or a page for people."""
        url = self.url + quote(path if path.startswith("/") else API + path, safe="/?&=+")
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        return status, json.loads(content) if content[:1] in (b"{", b"[") else None

    def get(self, path: str) -> Any:
        """The answer to a GET; a list has all its pages."""
        status, answer = self.request("GET", path)
        assert status == 200, (path, status, answer)
        if isinstance(answer, dict) and answer.get("next"):
            return [*answer["results"], *self.get(answer["next"])]
        return answer["results"] if isinstance(answer, dict) and "results" in answer else answer

    def named(self, resource: str, name: str) -> Fields:
        """The object of that name."""
        (found,) = self.get(f"{resource}/?name={name}")
        assert isinstance(found, dict)
        return found

    def make(self, resource: str, **fields: Any) -> Fields:
        """Create an object."""
        status, answer = self.request("POST", f"{resource}/", fields)
        assert status == 201, answer
        assert isinstance(answer, dict)
        return answer


@dataclass
class Awx:
    """What the stand-in has, and each request that wanted to change something."""

    playbooks: list[str]  # of a project that can be fetched
    source: str  # the address of that project
    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    resources: dict[str, dict[int, Fields]] = field(default_factory=lambda: {name: {} for name in FIELDS})
    surveys: dict[str, Any] = field(default_factory=dict)
    linked: dict[tuple[int, str], list[int]] = field(default_factory=dict)  # credentials and labels of templates
    fetched: set[int] = field(default_factory=set)
    updates: dict[int, Fields] = field(default_factory=dict)
    last: int = 0

    def make(self, resource: str, fields: Fields) -> Fields:
        """Create an object, as a POST does."""
        known = FIELDS[resource]
        given = {name: value for name, value in fields.items() if name in known}
        if missing := [name for name, each in known.items() if each.get("required") and name not in given]:
            raise Refusal(400, **{name: ["This field is required."] for name in missing})
        self.last += 1
        path = f"{API}{resource}/{self.last}/"
        made: Fields = {"id": self.last, "type": "inventory" if resource == "inventories" else resource[:-1]}
        made |= {"url": path, "related": {}, "summary_fields": {}}
        if resource in ("credential_types", "credentials", "execution_environments"):
            made["managed"] = False
        made |= {
            name: each.get("default", "" if "" in each.get("choices", ()) else None) for name, each in known.items()
        }
        self._change(resource, made, given)
        self.resources[resource][self.last] = made
        if resource in ("job_templates", "workflow_job_templates"):
            made["related"]["survey_spec"] = f"{path}survey_spec/"
        if resource == "projects":
            made["related"]["update"] = f"{path}update/"
            made["summary_fields"]["current_update"] = self._update_project(made)
        if resource == "workflow_job_template_nodes":
            workflow = self.resources["workflow_job_templates"][made["workflow_job_template"]]
            made["summary_fields"]["workflow_job_template"] = {"id": workflow["id"], "name": workflow["name"]}
            made |= {name: [] for name in LINKS}
        return made

    def _change(self, resource: str, one: Fields, given: Fields) -> None:
        """Set fields of an object, if AWX would."""
        for name, value in given.items():
            problem = self._problem(resource, name, FIELDS[resource][name], value)
            if problem:
                raise Refusal(400, **{name: [problem]})
        given = {
            name: FIELDS[resource][name].get("default") if value is None else value for name, value in given.items()
        }
        new = {**one, **given}
        if resource == "job_templates":
            _check_job_template(new, self.playbooks if new["project"] in self.fetched else [])
            new["organization"] = self.resources["projects"][new["project"]]["organization"]
        if resource == "projects" and new["scm_type"] and not new["scm_url"]:
            raise Refusal(400, scm_url=["SCM URL is required."])
        if resource == "credential_types":
            self._check_type_in_use(one, new)
            _check_inputs(new["inputs"] or {})
            _check_injectors(new["injectors"] or {}, new["inputs"] or {})
        if resource == "credentials":
            _check_credential(new, self.resources["credential_types"][new["credential_type"]])
        if resource == "execution_environments":
            _check_environment(one, new)
        _model, unique, message = MODELS[resource]
        for other in self.resources[resource].values() if unique else ():
            if other["id"] != new["id"] and all(other[name] == new[name] for name in unique):
                raise Refusal(400, **{unique[0] if len(unique) == 1 else "__all__": [message]})
        one |= new

    def _problem(self, resource: str, name: str, spec: Fields, value: Any) -> str | None:
        """What is wrong with the value of one field."""
        if name in POINTERS and value is not None and value not in self.resources[POINTERS[name]]:
            return f'Invalid pk "{value}" - object does not exist.'
        if "choices" in spec and value is not None and value not in spec["choices"]:
            return f'"{value}" is not a valid choice.'
        if spec["type"] == "boolean" and not isinstance(value, bool) and value not in (None, "true", "false"):
            return "Must be a valid boolean."
        if spec.get("required") and value == "":
            return "This field may not be blank."
        if spec["type"] == "json" and isinstance(value, str) and value and resource != "credential_types":
            return _variables_problem(value)
        return None

    def _check_type_in_use(self, old: Fields, new: Fields) -> None:
        used = any(each["credential_type"] == new["id"] for each in self.resources["credentials"].values())
        if used and old["inputs"] != new["inputs"]:
            reason = "Modifications to inputs are not allowed for credential types that are in use"
            raise Refusal(403, detail=reason)

    def _update_project(self, project: Fields) -> Fields:
        self.last += 1
        fetched = project["scm_url"] == self.source
        path = f"{API}project_updates/{self.last}/"
        update = {"id": self.last, "type": "project_update", "url": path, "status": "pending", "failed": False}
        update |= {"event_processing_finished": False, "scm_revision": ""}
        ended = {"status": "successful" if fetched else "failed", "failed": not fetched, "job_explanation": ""}
        self.updates[self.last] = {**update, **ended, "event_processing_finished": True, "scm_revision": "63b52071"}
        project["scm_revision"] = "63b52071" if fetched else ""
        if fetched:
            self.fetched.add(project["id"])
        return update

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and answer of a request."""
        if method != "GET":
            self.writes.append((method, path, body))
        resource, *rest = path.removeprefix(API).strip("/").split("/")
        if resource == "project_updates":
            return 200, self.updates[int(rest[0])]
        if resource == "unified_job_templates":
            names = ("job_templates", "workflow_job_templates", "projects", "workflow_approval_templates")
            found = [each for name in names for each in self.resources[name].values()]
            return 200, self._page([each for each in found if _matches(each, query)])
        if resource not in FIELDS:
            raise Refusal(404)
        if not rest:
            if method == "POST":
                return 201, self._shown(self.make(resource, body))
            if unknown := {name.removesuffix("__in") for name in query} - {*FIELDS[resource], "id", "organization"}:
                raise Refusal(400, detail=f"{MODELS[resource][0]} has no field named '{unknown.pop()}'")
            return 200, self._page([each for each in self.resources[resource].values() if _matches(each, query)])
        one = self._one(resource, rest[0])
        if len(rest) == 2:
            return self._below(method, one, path, rest[1], body)
        if method == "DELETE":
            self._delete(resource, one)
            return 204, None
        if method == "PATCH":
            self._change(resource, one, {name: value for name, value in body.items() if name in FIELDS[resource]})
        return 200, self._shown(one)

    def _page(self, results: list[Fields]) -> Fields:
        return {"count": len(results), "next": None, "previous": None, "results": list(map(self._shown, results))}

    def _shown(self, one: Fields) -> Fields:
        """The object as AWX answers it: with the fields that only AWX writes, addresses, and what it refers to."""
        names = ANSWERS.get(one["type"], {"fields": [], "related": [], "summary_fields": []})
        others = {
            name: self.resources[POINTERS[name]].get(one[name])
            for name in POINTERS.keys() & one.keys()
            if one[name] is not None
        }
        missing = POINTERS.keys() - {name for name, other in others.items() if other}
        related = {name: f"{one['url']}{name}/" for name in names["related"] if name not in missing}
        summary: Fields = {name: {} for name in names["summary_fields"] if name not in missing}
        summary |= {name: [] for name in {"recent_jobs"} & summary.keys()}
        for name, other in others.items():
            if other and name in summary:
                related[name] = other["url"]
                summary[name] = {each: other[each] for each in ("id", "name", "description") if each in other}
        for kind in {"labels", "credentials"} & summary.keys():
            linked = [self.resources[kind][number] for number in self.linked.get((one["id"], kind), [])]
            brief = [{"id": each["id"], "name": each["name"]} for each in linked]
            summary[kind] = brief if kind == "credentials" else {"count": len(brief), "results": brief}
        return {
            **dict.fromkeys(names["fields"]),
            **one,
            "related": {**related, **one["related"]},
            "summary_fields": {**summary, **one["summary_fields"]},
        }

    def _one(self, resource: str, text: str) -> Fields:
        """The object of a number, or of a name and the name of its organization."""
        name, plus, organization = unquote(text).partition("++")
        for each in self.resources[resource].values():
            if plus:
                owner = self.resources["organizations"].get(each.get("organization") or 0, {})
                if (each["name"], owner.get("name")) == (name, organization):
                    return each
            elif str(each["id"]) == text:
                return each
        raise Refusal(404, detail=f"No {MODELS[resource][0]} matches the given query.")

    def _delete(self, resource: str, one: Fields) -> None:
        del self.resources[resource][one["id"]]
        for node in self.resources["workflow_job_template_nodes"].values() if "identifier" in one else ():
            for link in LINKS:
                node[link] = [each for each in node[link] if each != one["id"]]

    def _below(self, method: str, one: Fields, path: str, kind: str, body: Any) -> tuple[int, Any]:
        if kind == "survey_spec":
            if method == "POST":
                _check_survey(body)
                self.surveys[path] = body
                return 200, None
            return 200, self.surveys.get(path, {})
        if kind == "update":
            return 202, self._update_project(one)
        if kind == "create_approval_template":
            made = self.make("workflow_approval_templates", body)
            one["unified_job_template"] = made["id"]
            one["related"]["unified_job_template"] = made["url"]
            return 201, self._shown(made)
        resource = "workflow_job_template_nodes" if kind in LINKS else kind
        linked = one[kind] if kind in LINKS else self.linked.setdefault((one["id"], kind), [])
        if method != "POST":
            return 200, self._page([self.resources[resource][number] for number in linked])
        number = body["id"]
        if number not in self.resources[resource]:
            raise Refusal(400, detail=f"{MODELS[resource][0]} matching query does not exist.")
        if body.get("disassociate"):
            linked.remove(number)
        elif number not in linked:
            if kind == "credentials":
                self._check_credential_of_template(number, linked)
            elif kind in LINKS:
                self._check_link(one, number, kind)
            linked.append(number)
        elif kind in LINKS and number == one["id"]:
            raise Refusal(400, Error="Cycle detected.")
        return 204, None

    def _check_credential_of_template(self, number: int, linked: list[int]) -> None:
        types = {each: self.resources["credentials"][each]["credential_type"] for each in (number, *linked)}
        if types[number] in [types[each] for each in linked]:
            name = self.resources["credential_types"][types[number]]["name"]
            raise Refusal(400, error=f"Cannot assign multiple {name} credentials.")

    def _check_link(self, parent: Fields, child: int, kind: str) -> None:
        if any(child in parent[each] for each in LINKS if each != kind):
            raise Refusal(400, Error="Relationship not allowed.")
        nodes = [
            each
            for each in self.resources["workflow_job_template_nodes"].values()
            if each["workflow_job_template"] == parent["workflow_job_template"]
        ]
        children = {each["id"]: {number for link in LINKS for number in each[link]} for each in nodes}
        children[parent["id"]].add(child)
        # Like AWX, this sees no cycle that begins at no other node, unless it is the only one.
        first = children.keys() - set().union(*children.values())
        if child == parent["id"] or not first or any(_has_cycle(each, children, ()) for each in first):
            raise Refusal(400, Error="Cycle detected.")


def _has_cycle(node: int, children: dict[int, set[int]], path: tuple[int, ...]) -> bool:
    return node in path or any(_has_cycle(each, children, (*path, node)) for each in children[node])


def _matches(one: Fields, query: dict[str, str]) -> bool:
    """Whether an object has the values of a query; with the suffix __in, one of several values."""
    return all(
        str(one.get(name.removesuffix("__in"))) in (value.split(",") if name.endswith("__in") else [value])
        for name, value in query.items()
    )


def _variables_problem(text: str) -> str | None:
    reasons = []
    for load in (json.loads, yaml.safe_load):
        try:
            value = load(text)
        except (ValueError, yaml.YAMLError) as error:
            reasons.append(str(error))
            continue
        if isinstance(value, dict):
            return None
        reasons.append(f"Input type `{type(value).__name__}` is not a dictionary")
    return "Cannot parse as JSON (error: {}) or YAML (error: {}).".format(*reasons)


def _check_job_template(new: Fields, playbooks: list[str]) -> None:
    if not new["project"]:
        raise Refusal(400, project=["Job Templates must have a project assigned."])
    if not new["inventory"] and not new["ask_inventory_on_launch"]:
        raise Refusal(400, inventory=["You must either set a default value or ask to prompt on launch."])
    if new["playbook"] not in playbooks:
        raise Refusal(400, playbook=["Playbook not found for project."])


def _check_credential(new: Fields, credential_type: Fields) -> None:
    if not new.get("organization"):
        raise Refusal(400, detail=["Missing 'user', 'team', or 'organization'."])
    names = [each["id"] for each in credential_type["inputs"].get("fields", [])]
    for name in new["inputs"]:
        if name not in names:
            raise Refusal(400, inputs=[f"Additional properties are not allowed ('{name}' was unexpected)"])


def _check_environment(old: Fields, new: Fields) -> None:
    if "://" in new["image"]:
        raise Refusal(400, image=[f"The container image name {new['image']} is not valid"])
    if old["organization"] not in (None, new["organization"]):
        raise Refusal(400, organization=["Cannot change the organization of an execution environment"])


def _schema(name: str, path: list[str | int], reason: str) -> Refusal:
    return Refusal(400, **{name: [f"Schema validation error in relative path {path} ({reason})"]})


def _check_inputs(inputs: Fields) -> None:
    ids = set()
    for index, each in enumerate(inputs.get("fields", [])):
        known = (
            "id",
            "label",
            "type",
            "secret",
            "multiline",
            "help_text",
            "format",
            "default",
            "choices",
            "ask_at_runtime",
        )
        for name in each.keys() - {*known}:
            reason = f"Additional properties are not allowed ('{name}' was unexpected)"
            raise _schema("inputs", ["fields", index], reason)
        if each["type"] not in ("string", "boolean"):
            raise Refusal(400, inputs=[f"'{each['type']}' is not one of ['string', 'boolean']"])
        if "label" not in each:
            raise Refusal(400, inputs=["'label' is a required property"])
        if each["id"] in ids:
            raise Refusal(400, inputs=[f"field IDs must be unique ({each['id']})"])
        ids.add(each["id"])
        if each["type"] == "boolean" and each.get("secret"):
            raise Refusal(400, inputs=[f"secret not allowed for boolean type ({each['id']})"])


def _check_injectors(injectors: Fields, inputs: Fields) -> None:
    for name in injectors.keys() - {"file", "env", "extra_vars"}:
        raise _schema("injectors", [], f"Additional properties are not allowed ('{name}' was unexpected)")
    patterns = {"file": r"^template(\.[a-zA-Z_]+[a-zA-Z0-9_]*)?$", "env": "^[a-zA-Z_]+[a-zA-Z0-9_]*$"}
    for kind, pattern in patterns.items():
        for name in injectors.get(kind, {}):
            if not re.search(pattern, name):
                raise _schema("injectors", [kind], f"{name!r} does not match any of the regexes: {pattern!r}")
            if kind == "env" and name.startswith("ANSIBLE_"):
                reason = "may affect Ansible configuration so its use is not allowed in credentials."
                raise Refusal(400, injectors=[f"Environment variable {name} {reason}"])
    _render(injectors, {each["id"]: "EXAMPLE" for each in inputs.get("fields", [])}, Path("EXAMPLE"), StrictUndefined)


def _check_survey(survey: Fields) -> None:
    for name, kind in (("name", str), ("description", str), ("spec", list)):
        if name not in survey:
            raise Refusal(400, error=f"Field '{name}' is missing from survey spec.")
        assert isinstance(survey[name], kind)
    if not survey["spec"]:
        raise Refusal(400, error="'spec' doesn't contain any items.")
    variables: set[str] = set()
    for index, question in enumerate(survey["spec"]):
        if problem := _question_problem(f"survey question {index}", question, variables):
            raise Refusal(400, error=problem)
        variables.add(question["variable"])


def _question_problem(where: str, question: Fields, variables: set[str]) -> str | None:
    for name, kind, text in (
        ("type", str, "string"),
        ("question_name", str, "string"),
        ("variable", str, "string"),
        ("required", bool, "boolean"),
    ):
        if name not in question:
            return f"'{name}' missing from {where}"
        if not isinstance(question[name], kind):
            return f"'{name}' in {where} expected to be {text}."
    kind = question["type"]
    if kind not in QUESTIONS:
        return f"'{kind}' in {where} is not one of '{', '.join(QUESTIONS)}' allowed question types."
    if question["variable"] in variables:
        return f"'variable' '{question['variable']}' duplicated in {where}."
    for limit in ("min", "max"):
        if isinstance(question.get(limit), str):
            return f"The {limit} limit in {where} expected to be integer."
    default = question.get("default", "")
    expected = {"string": str, "integer": int, "float": float}[QUESTIONS[kind]]
    if default != "" and (isinstance(default, bool) or not isinstance(default, expected)):
        return f"Default value {default} in {where} expected to be {QUESTIONS[kind]}."
    if kind in ("multiplechoice", "multiselect"):
        if "choices" not in question:
            return f"{where.capitalize()} of type {kind} must specify choices."
        choices = question["choices"]
        choices = choices.splitlines() if isinstance(choices, str) else choices
        if not set(default.splitlines()) <= set(choices):
            return "Default choice must be answered from the choices listed."
    return None


class _Files:
    """The paths of the files of a credential, as AWX names them in templates: tower.filename.NAME."""

    def __init__(self, names: dict[str, str]) -> None:
        self.__dict__.update(names)


def _render(
    injectors: Fields, namespace: Fields, folder: Path, undefined: type[Undefined] = Undefined
) -> tuple[dict[str, str], dict[str, str]]:
    """The files and the variables of a credential."""
    environment = ImmutableSandboxedEnvironment(undefined=undefined)
    names: dict[str, str] = {}
    found: dict[str, dict[str, str]] = {"file": {}, "env": {}}
    for kind in found:
        for name, template in injectors.get(kind, {}).items():
            try:
                text = environment.from_string(template).render(**namespace, tower={"filename": _Files(names)})
            except TemplateSyntaxError as error:
                raise Refusal(
                    400, injectors=[f"Syntax error rendering template for {name} inside of {kind} ({error})"]
                ) from error
            except UndefinedError as error:
                reason = str(error).replace(f"{_Files.__module__}._Files", "awx.main.fields.ExplodingNamespace")
                raise Refusal(400, injectors=[f"{name} uses an undefined field ({reason})"]) from error
            if kind == "file":
                names[name.partition(".")[2]] = str(folder / name)
            found[kind][str(folder / name) if kind == "file" else name] = text
    return found["file"], found["env"]


def inject(credential_type: Fields, inputs: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment that a job gets from a credential; its files are written into *folder*."""
    # What is empty is as if it were not there.
    given = {name: value for name, value in inputs.items() if value}
    files, variables = _render(credential_type["injectors"], given, folder)
    for path, content in files.items():
        Path(path).write_text(content)
    return variables


@dataclass
class StandIn(Controller):
    """The stand-in for AWX, with the requests that it has received."""

    awx: Awx

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """Each request that wanted to change something."""
        return self.awx.writes


def controller() -> Controller | None:
    """The AWX that CONTROLLER_HOST and CONTROLLER_OAUTH_TOKEN name."""
    if host := os.environ.get("CONTROLLER_HOST"):
        return Controller(host.rstrip("/"), os.environ["CONTROLLER_OAUTH_TOKEN"])
    return None


@contextmanager
def running(playbooks: list[str], source: str) -> Iterator[StandIn]:
    """A stand-in with the organization Default and a credential type of AWX, on loopback."""
    awx = Awx(playbooks, source)
    awx.make("organizations", {"name": "Default"})
    inputs = {"fields": [{"id": "host", "label": "Host", "type": "string"}], "required": ["host"]}
    bearer = "OpenShift or Kubernetes API Bearer Token"
    awx.make("credential_types", {"name": bearer, "kind": "cloud", "inputs": inputs, "injectors": {}})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers["Content-Length"] or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    raise Refusal(401, detail="Authentication credentials were not provided.")
                url = urlsplit(self.path)
                status, answer = awx.answer(self.command, url.path, dict(parse_qsl(url.query)), body)
            except Refusal as refusal:
                status, answer = refusal.status, refusal.answer or None
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are of http.server

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield StandIn(f"http://127.0.0.1:{server.server_port}", TOKEN, awx)
        finally:
            server.shutdown()
