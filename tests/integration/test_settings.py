# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registry and account from variables, the environment, a task and module_defaults, and to whom the account is sent."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request, WebServer, running
from environment.images import Images
from environment.registry import Registry

Run = Callable[..., list[dict[str, Any]]]
NOBODY, LOOPED = "127.0.0.1:1", "127.0.0.1:4"
SECRET = "s3cret-0815"

# It prints what a callback plugin sees of a task and of its result.
CALLBACK = """
import json
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_TYPE, CALLBACK_NAME = "stdout", "everything"

    def _print(self, result, failed=False):
        task = getattr(result, "task", None) or result._task
        found = getattr(result, "result", None) or result._result
        seen = {"name": task.name, "args": task.args, "result": found, "failed": failed}
        print(json.dumps(seen, default=str), flush=True)

    v2_runner_on_ok = v2_runner_item_on_ok = _print

    def v2_runner_on_failed(self, result, **_options):
        self._print(result, failed=True)
"""


@pytest.fixture
def settings(registry: Registry, tmp_path: Path) -> dict[str, Any]:
    """Registry, account and CA certificate in group_vars/all.yml, the password encrypted with a vault."""
    (tmp_path / "vault").write_text("of the vault\n")
    command = ["ansible-vault", "encrypt_string", "--vault-password-file=vault", "--name=zot_password"]
    vault = subprocess.run(
        [*command, registry.writer.password], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    plain = {
        "own_host": registry.host,
        "zot_registry": "{{ own_host }}",
        "zot_username": registry.writer.username,
        "zot_ca_path": str(registry.ca),
    }
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(f"{yaml.safe_dump(plain)}{vault}")
    return plain


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of Ansible with an inventory of two hosts, without ZOT_* in the environment."""
    local = "ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'"
    (tmp_path / "hosts").write_text(f"controller {local}\nbuilder {local}\n")
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "everything.py").write_text(CALLBACK)
    bare = {name: value for name, value in environment.items() if not name.startswith("ZOT_")}
    bare |= {"ANSIBLE_CALLBACK_PLUGINS": str(tmp_path / "callbacks"), "ANSIBLE_STDOUT_CALLBACK": "everything"}

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        more = ["--inventory=hosts", *(["--vault-password-file=vault"] if (tmp_path / "vault").exists() else [])]
        return subprocess.run(
            [*words, *more], env={**bare, **variables}, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def run(command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Run:
    """Run tasks; returns what a callback plugin sees of each task. A task that fails is ignored."""

    def run(
        *tasks: dict[str, Any], options: tuple[str, ...] = (), env: dict[str, str] | None = None, **play: Any
    ) -> list[dict[str, Any]]:
        steps = [{"name": f"task {number}", "ignore_errors": True, **task} for number, task in enumerate(tasks)]
        (tmp_path / "play.yml").write_text(
            json.dumps([{"hosts": "controller", "gather_facts": False, **play, "tasks": steps}])
        )
        done = command("ansible-playbook", "play.yml", *options, **(env or {}))
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
        assert len(found) >= len(tasks), done.stdout + done.stderr
        return found

    return run


def image_info(**options: Any) -> dict[str, Any]:
    return {"killinit.zot.zot_image_info": {"retries": 0, **options}}


def test_an_inventory_is_enough(
    settings: dict[str, Any],
    run: Run,
    command: Callable[..., subprocess.CompletedProcess[str]],
    images: Images,
    registry: Registry,
    repository: str,
) -> None:
    """For a task, a loop, another host, the lookup and an ad-hoc command; and no callback sees the password."""
    assert settings
    push = {"archive": str(images["buildah-amd64"]), "repository": repository}
    reference = f"{registry.host}/{repository}:1"
    found = run(
        {"killinit.zot.zot_push": {**push, "tags": ["1"]}},
        {"killinit.zot.zot_push": {**push, "tags": "{{ item }}"}, "loop": ["2", "3"]},
        {**image_info(images=[f"{repository}:3"]), "delegate_to": "builder", "vars": {"zot_retries": 1}},
        {"ansible.builtin.debug": {"msg": "{{ lookup('killinit.zot.digest', '" + repository + ":1') }}"}},
        options=("-vvv",),
    )
    assert not [each for each in found if each["failed"]], found
    assert found[0]["args"] == {**push, "tags": ["1"]}
    assert found[-1]["result"]["msg"].startswith(f"{registry.host}/{repository}@sha256:")
    assert registry.writer.password not in json.dumps(found)

    done = command("ansible", "builder", "-m", "killinit.zot.zot_image_info", "-a", f"images={reference}", "-vvv")
    assert '"exists": true' in done.stdout, done.stdout + done.stderr
    assert registry.writer.password not in done.stdout + done.stderr


def test_the_first_that_is_set_wins(settings: dict[str, Any], run: Run) -> None:
    """The task, module_defaults, the variables, the environment; empty, null and omit are not set."""
    assert settings
    images = {"images": ["app:1"], "validate_certs": False}
    elsewhere = {"group/killinit.zot.registry": {"registry": "127.0.0.1:2"}}
    found = run(
        image_info(**images, registry=NOBODY),
        {**image_info(**images), "module_defaults": elsewhere},
        {**image_info(**images, registry=NOBODY), "module_defaults": elsewhere},
        {**image_info(**images), "vars": {"zot_registry": "127.0.0.1:3"}},
        {**image_info(**images, registry=""), "vars": {"zot_registry": "127.0.0.1:3"}},
        {
            **image_info(**images, registry="{{ omit }}"),
            "vars": {"zot_registry": "{{ item }}"},
            "loop": ["127.0.0.1:4"],
        },
        {**image_info(**images), "vars": {"zot_registry": "{{ omit }}"}},
        {**image_info(**images), "vars": {"zot_registry": ""}},
        env={"ZOT_REGISTRY": "127.0.0.1:9", "ZOT_RETRIES": "x"},
    )
    registries = [each["result"].get("registry") or each["result"]["results"][0]["registry"] for each in found]
    assert registries == [f"127.0.0.1:{port}" for port in (1, 2, 1, 3, 3, 4, 9, 9)]


def test_extra_variables_of_awx(
    command: Callable[..., subprocess.CompletedProcess[str]], registry: Registry, repository: str, tmp_path: Path
) -> None:
    """AWX marks all of them as unsafe, in a file."""
    lines = {"zot_registry": registry.host, "zot_username": registry.reader.username, "zot_timeout": 20}
    lines |= {"zot_password": registry.reader.password, "zot_ca_path": str(registry.ca), "zot_authfile": ""}
    (tmp_path / "extra.yml").write_text("".join(f"{name}: !unsafe {value!r}\n" for name, value in lines.items()))
    query = ["-m", "killinit.zot.zot_image_info", "-a", f"images={repository}:1"]
    done = command("ansible", "controller", *query, "-e", "@extra.yml", "-vvv")
    assert '"exists": false' in done.stdout, done.stdout + done.stderr
    assert registry.reader.password not in done.stdout + done.stderr


def test_user_in_the_inventory_and_password_of_the_pipeline(run: Run, registry: Registry, repository: str) -> None:
    """As in a pipeline that has only one secret. The password of another user is not taken."""
    variables = {"zot_registry": registry.host, "zot_ca_path": str(registry.ca)}
    variables["zot_username"] = registry.writer.username
    query = image_info(images=[f"{repository}:1"])
    secret = {"ZOT_PASSWORD": registry.writer.password}
    (found,) = run(query, vars=variables, env=secret)
    assert found["result"]["images"][0]["exists"] is False, found
    for env, half in (({}, "has no password"), ({**secret, "ZOT_USERNAME": "somebody"}, "has no password")):
        (found,) = run(query, vars=variables, env=env)
        assert half in found["result"]["msg"]
        assert "zot_password (variable), password (option) or ZOT_PASSWORD (environment)" in found["result"]["msg"]
    del variables["zot_username"]
    (found,) = run(query, vars=variables, env=secret)
    assert "the password has no user name. Set zot_username (variable)" in found["result"]["msg"]


def test_a_variable_that_cannot_be_read(settings: dict[str, Any], run: Run, tmp_path: Path) -> None:
    """It is named, and a task that does not need it works."""
    assert settings
    undefined = ("--extra-vars=zot_registry={{ nowhere }}",)
    found = run(
        image_info(images=["app:1"], registry=NOBODY, validate_certs=False),
        image_info(images=["app:1"]),
        options=undefined,
    )
    assert [each["result"].get("registry") for each in found] == [NOBODY, None]
    assert "the variable zot_registry cannot be evaluated: 'nowhere' is undefined" in found[1]["result"]["msg"]
    (tmp_path / "vault").write_text("another password\n")
    (found_encrypted,) = run(image_info(images=["app:1"]))
    # Before ansible-core 2.19 Ansible itself decrypts the variables of a task, and names none of them.
    refused = found_encrypted["result"]["msg"]
    assert "the variable zot_password cannot be evaluated" in refused or "Decryption failed" in refused


def test_a_setting_of_the_wrong_type_is_named(run: Run) -> None:
    """By all names that the reader can set, wherever it was set."""
    names = "zot_timeout (variable), timeout (option) or ZOT_TIMEOUT (environment)"
    query = image_info(images=["app:1"], registry=NOBODY)
    for given in ({"env": {"ZOT_TIMEOUT": "abc"}}, {"vars": {"zot_timeout": "abc"}}):
        (found,) = run(query, **given)
        assert "'timeout'" in found["result"]["msg"]
        assert names in found["result"]["msg"]
    (found,) = run(image_info(images=["app:1"], registry=NOBODY, parallel="x"))
    assert found["failed"]
    assert "(variable)" not in found["result"]["msg"]


def test_a_password_in_a_name_is_refused(run: Run, registry: Registry, images: Images) -> None:
    """Ansible would mask it in the result, and a role would go on with the masked name. Nothing is written."""
    before = len(registry.requests())
    account = {"zot_registry": registry.host, "zot_username": "admin", "zot_password": "admin"}
    push = {"archive": str(images["buildah-amd64"]), "repository": "admin/tools", "tags": ["1"]}
    (found,) = run({"killinit.zot.zot_push": push}, vars=account)
    assert "occurs in the option repository" in found["result"]["msg"]
    assert len(registry.requests()) == before


@pytest.fixture
def other() -> Iterator[WebServer]:
    """A registry that asks everybody for an account."""
    challenge = {"WWW-Authenticate": 'Basic realm="other"'}
    with running(lambda _request: Reply(b"{}", 401, challenge)) as server:
        yield server


BASIC = f"Basic {base64.b64encode(f'ci:{SECRET}'.encode()).decode()}"
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def mine(other: WebServer) -> Iterator[WebServer]:
    """The registry of the account, which redirects every blob to the other one."""
    types = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json")
    config = {"mediaType": types[1], "size": len(CONFIG), "digest": digest_of(CONFIG)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": types[0], "config": config, "layers": []}).encode()

    def respond(request: Request) -> Reply:
        if request.authorization != BASIC:
            return Reply(b"{}", 401, {"WWW-Authenticate": 'Basic realm="mine"'})
        if "/blobs/" in request.path:
            return Reply(b"", 307, {"Location": f"http://{other.host}{request.path}"})
        return Reply(manifest, 200, {"Content-Type": types[0], "Docker-Content-Digest": digest_of(manifest)})

    with running(respond) as server:
        yield server


LOOKUP = "{{ lookup('killinit.zot.digest', 'app:1', retries=0) }}"
COPY = {"repository": "app", "tags": ["1"], "source_repository": "app", "retries": 0}
# Tasks that read `app` from the registry OTHER, with the account of the registry MINE in the environment.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "option": image_info(images=["app:1"], registry="OTHER"),
    "variable": {**image_info(images=["app:1"]), "vars": {"zot_registry": "OTHER"}},
    "variable_and_alias": {
        **image_info(images=["app:1"]),
        "vars": {"zot_registry": "OTHER", "zot_registry_aliases": ["MINE"]},
    },
    "alias": image_info(images=["OTHER/app:1"], registry_aliases=["OTHER"]),
    "redirect": image_info(images=["app:1"]),
    "lookup_with_a_variable": {"ansible.builtin.debug": {"msg": LOOKUP}, "vars": {"zot_registry": "OTHER"}},
    "lookup_of_a_reference": {"ansible.builtin.debug": {"msg": LOOKUP.replace("app:1", "OTHER/app:1")}},
    "lookup_with_an_option": {"ansible.builtin.debug": {"msg": LOOKUP.replace("retries", "registry='OTHER', retries")}},
    "source_of_a_copy": {"killinit.zot.zot_copy": {**COPY, "source_registry": "OTHER"}},
    "destination_of_a_copy": {"killinit.zot.zot_copy": {**COPY, "registry": "OTHER", "source_registry": "MINE"}},
}


def test_the_account_goes_to_no_other_registry(run: Run, mine: WebServer, other: WebServer) -> None:
    """Each task sends requests there, which have the name of its repository."""
    tasks = [json.loads(json.dumps(task).replace("app", name)) for name, task in ELSEWHERE.items()]
    named = json.loads(json.dumps(tasks).replace("OTHER", other.host).replace("MINE", mine.host))
    env = {"ZOT_REGISTRY": mine.host, "ZOT_USERNAME": "ci", "ZOT_PASSWORD": SECRET}
    found = run(*named, env=env)
    assert set(other.credentials) == {None}, other.requests
    paths = " ".join(unquote(each.path) for each in other.requests)
    assert not [name for name in ELSEWHERE if not re.search(rf"\b{name}\b", paths)], paths
    assert SECRET not in json.dumps(found)


def test_the_error_says_whose_account_it_is(run: Run, other: WebServer) -> None:
    env = {"ZOT_REGISTRY": "oci.example.com", "ZOT_USERNAME": "ci", "ZOT_PASSWORD": SECRET}
    (found,) = run(image_info(images=["app:1"], registry=other.host), env=env)
    reason = "none, since ZOT_USERNAME and ZOT_PASSWORD in the environment are for ZOT_REGISTRY, oci.example.com"
    assert reason in found["result"]["msg"]


def test_an_account_of_the_task_is_sent(run: Run, mine: WebServer) -> None:
    """The control of the test above: what the task names goes to the registry that the task names."""
    env = {"ZOT_REGISTRY": "oci.example.com", "ZOT_USERNAME": "other", "ZOT_PASSWORD": "other"}
    run(image_info(images=["app:1"], registry=mine.host, username="ci", password=SECRET), env=env)
    assert BASIC in mine.credentials
