# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that speaks as much of AWX's API as playbooks/awx.yml uses: there is no AWX to be had in a test.

What it wants of a request, and what it answers, is recorded from what AWX 24.6.1 documents of its API (in its sources:
awx/api/templates/api/*.md) and from its user guide. Where AWX ignores what it does not know, this refuses it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

API = "/api/v2/"
TOKEN = "a-token-that-stands-nowhere-else"

# What a resource has to have to be made, and what it may have.
RESOURCES: dict[str, tuple[set[str], set[str]]] = {
    "organizations": ({"name"}, set()),
    "credential_types": ({"name", "kind"}, {"description", "inputs", "injectors", "managed"}),
    "credentials": ({"name", "credential_type"}, {"organization", "inputs"}),
    "execution_environments": ({"name", "image"}, {"description", "organization", "pull", "credential"}),
    "projects": (
        {"name", "organization"},
        {"default_environment", "scm_type", "scm_url", "scm_branch", "scm_update_on_launch"},
    ),
    "inventories": ({"name", "organization"}, {"kind", "host_filter", "variables"}),
    "hosts": ({"name", "inventory"}, {"enabled", "variables"}),
    "job_templates": (
        {"name", "project", "playbook"},
        {
            *("description", "organization", "inventory", "execution_environment", "extra_vars", "survey_enabled"),
            *("ask_variables_on_launch", "ask_credential_on_launch", "ask_job_type_on_launch"),
            "ask_diff_mode_on_launch",
        },
    ),
    "workflow_job_templates": (
        {"name"},
        {"description", "organization", "survey_enabled", "ask_variables_on_launch"},
    ),
    "workflow_job_template_nodes": ({"workflow_job_template"}, {"unified_job_template", "identifier", "type"}),
    "workflow_approval_templates": ({"name"}, {"description", "timeout"}),
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
ASSOCIATED = {
    "credentials": "credentials",
    "success_nodes": "workflow_job_template_nodes",
    "failure_nodes": "workflow_job_template_nodes",
    "always_nodes": "workflow_job_template_nodes",
}
SURVEYS = ("job_templates", "workflow_job_templates")
QUESTIONS = {"text": str, "textarea": str, "password": str, "integer": int, "float": float}
CHOICES = ("multiplechoice", "multiselect")


class Refusal(Exception):
    """A status, and what is wrong with the request."""

    def __init__(self, status: int, **answer: Any) -> None:
        super().__init__(answer)
        self.status = status
        self.answer = answer


@dataclass
class Awx:
    """Everything there is, and every request that wanted to change something."""

    playbooks: list[str]  # of every project
    url: str = ""
    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    resources: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in RESOURCES})
    surveys: dict[str, Any] = field(default_factory=dict)
    associations: dict[str, list[int]] = field(default_factory=dict)

    def named(self, resource: str, name: str) -> dict[str, Any]:
        """The one that has this name."""
        (found,) = (
            each for each in self.resources[resource].values() if name in (each.get("identifier"), each["name"])
        )
        return found

    def make(self, resource: str, **fields: Any) -> dict[str, Any]:
        """Make one, as a POST does."""
        required, allowed = RESOURCES[resource]
        if missing := required - fields.keys():
            raise Refusal(400, **{name: ["This field is required."] for name in missing})
        self._check(resource, fields, required | allowed)
        number = sum(map(len, self.resources.values())) + 1
        path = f"{API}{resource}/{number}/"
        related = {"survey_spec": f"{path}survey_spec/"} if resource in SURVEYS else {}
        made = {"id": number, "type": resource[:-1], "url": path, "related": related, "name": "", **fields}
        if resource == "projects":
            # A project that comes out of git is fetched at once.
            made |= {"scm_revision": "", "summary_fields": {"current_update": {"id": number}}}
        self.resources[resource][number] = made
        return made

    def _check(self, resource: str, fields: dict[str, Any], allowed: set[str]) -> None:
        if unknown := fields.keys() - allowed:
            raise Refusal(400, **{name: ["No such field."] for name in unknown})
        for name in fields.keys() & POINTERS.keys():
            if fields[name] not in self.resources[POINTERS[name]]:
                raise Refusal(400, **{name: [f'Invalid pk "{fields[name]}" - object does not exist.']})
        if resource == "job_templates" and fields.get("playbook", self.playbooks[0]) not in self.playbooks:
            raise Refusal(400, playbook=["Playbook not found for project."])
        if resource == "credential_types" and "injectors" in fields:
            namespace = {each["id"]: "EXAMPLE" for each in fields["inputs"]["fields"]}
            _render(fields["injectors"], namespace, Path("EXAMPLE"), StrictUndefined)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """What a request is answered."""
        if method != "GET":
            self.writes.append((method, path, body))
        words = path.removeprefix(API).strip("/").split("/")
        if words[0] == "unified_job_templates":
            words[0] = "job_templates"
        if words[0] == "project_updates":
            return 200, {"status": "successful"}
        if words[0] not in RESOURCES:
            raise Refusal(404, detail="Not found.")
        if len(words) == 1:
            if method == "POST":
                return 201, self.make(words[0], **body)
            return 200, _page([each for each in self.resources[words[0]].values() if _matches(each, query)])
        one = self.resources[words[0]].get(int(words[1]))
        if one is None:
            raise Refusal(404, detail="Not found.")
        if len(words) == 3:
            return self._below(method, path, words[2], body)
        if method == "PATCH":
            self._check(words[0], body, set.union(*RESOURCES[words[0]]))
            one |= body
        return 200, one

    def _below(self, method: str, path: str, kind: str, body: Any) -> tuple[int, Any]:
        if kind == "survey_spec":
            if method == "POST":
                _check_survey(body)
                self.surveys[path] = body
            return 200, self.surveys.get(path, {})
        if kind == "create_approval_template":
            node = self.resources["workflow_job_template_nodes"][int(path.split("/")[4])]
            made = self.make("workflow_approval_templates", **body)
            node["unified_job_template"] = made["id"]
            node["related"]["unified_job_template"] = made["url"]
            return 201, made
        there = self.associations.setdefault(path, [])
        if method == "POST":
            if body["id"] not in self.resources[ASSOCIATED[kind]]:
                raise Refusal(400, msg="object does not exist")
            there.append(body["id"])
            return 204, None
        return 200, _page([self.resources[ASSOCIATED[kind]][number] for number in there])


def _page(results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"count": len(results), "next": None, "previous": None, "results": results}


def _matches(one: dict[str, Any], query: dict[str, str]) -> bool:
    return all(str(one.get(name)) == value for name, value in query.items())


def _check_survey(survey: dict[str, Any]) -> None:
    """What the documentation of job_template_survey_spec asks for."""
    if not (isinstance(survey["name"], str) and isinstance(survey["description"], str) and survey["spec"]):
        raise Refusal(400, error="name, description and items are required")
    variables = set()
    for question in survey["spec"]:
        kind, default = question["type"], question.get("default", "")
        if not all(isinstance(question[name], str) for name in ("type", "question_name", "variable")):
            raise Refusal(400, error=f"not a string in {question}")
        if not isinstance(question["required"], bool) or question["variable"] in variables:
            raise Refusal(400, error=f"required is no boolean, or variable comes twice, in {question}")
        variables.add(question["variable"])
        if kind in CHOICES:
            if not set(default.splitlines()) <= set(question["choices"]):
                raise Refusal(400, error=f"Default choice must be answered from the choices listed: {question}")
        elif default != "" and (isinstance(default, bool) or not isinstance(default, QUESTIONS[kind])):
            raise Refusal(400, error=f"Default value expected to be {kind}: {question}")


def _render(
    injectors: dict[str, Any], namespace: dict[str, Any], folder: Path, undefined: type[Undefined] = Undefined
) -> tuple[dict[str, str], dict[str, str]]:
    """The files and the variables of a credential, as the user guide has it under "Custom Credential Types"."""
    environment = ImmutableSandboxedEnvironment(undefined=undefined)
    filenames: dict[str, str] = {}
    files = {}
    for name, template in injectors.get("file", {}).items():
        filenames[name.partition(".")[2]] = str(folder / name)
        files[str(folder / name)] = environment.from_string(template).render(namespace)
    namespace = {**namespace, "tower": {"filename": filenames}}
    variables = {
        name: environment.from_string(template).render(namespace) for name, template in injectors["env"].items()
    }
    return files, variables


def inject(credential_type: dict[str, Any], inputs: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment that a job gets from a credential; its files are written into *folder*."""
    # What is empty is as if it were not there.
    given = {name: value for name, value in inputs.items() if value}
    files, variables = _render(credential_type["injectors"], given, folder)
    for path, content in files.items():
        Path(path).write_text(content)
    return variables


@contextmanager
def running(playbooks: list[str]) -> Iterator[Awx]:
    """An AWX with its Default organization, on loopback."""
    awx = Awx(playbooks)
    awx.make("organizations", name="Default")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    raise Refusal(401, detail="Authentication credentials were not provided.")
                url = urlsplit(self.path)
                length = int(self.headers["Content-Length"] or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = awx.answer(self.command, url.path, dict(parse_qsl(url.query)), body)
            except Refusal as refusal:
                status, answer = refusal.status, refusal.answer
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_GET  # noqa: N815 - the names are of http.server

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        awx.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield awx
        finally:
            server.shutdown()
