# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secret that the role writes is the one on which the module gave its verdict."""

from __future__ import annotations

import base64
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullCredentials, PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.checks import Check
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.run import plan_repair, repaired
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_info.state import Scope, State

template = pytest.importorskip("ansible.template")
if not hasattr(template, "trust_as_template"):
    pytest.skip("ansible-core before 2.19", allow_module_level=True)

REGISTRY = "oci.killinit.cc"
ACCOUNT = PullCredentials("puller", "new-p\u00e4ssword{{ 1 }}")
ROLE = Path(__file__).resolve().parents[3] / "roles" / "zot_pull_secret"
(_NAMES, CHECK, _FAIL) = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))
(REPAIR,) = yaml.safe_load((ROLE / "tasks" / "repair.yml").read_text(encoding="utf-8"))
OTHER = {"auth": base64.b64encode(b"somebody:else{{ 2 }}").decode(), "email": "a@b.example"}
CONFIG = "kubernetes.io/dockerconfigjson"
Object = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def _trusted(value: t.Any) -> t.Any:
    """As Ansible reads a file of tasks: every text in it may be a template."""
    if isinstance(value, dict):
        return {name: _trusted(each) for name, each in value.items()}
    return template.trust_as_template(value) if isinstance(value, str) else value


def secret(document: t.Any, *, kind: str = CONFIG, field: str = ".dockerconfigjson", **more: t.Any) -> dict[str, t.Any]:
    text = document if isinstance(document, str) else json.dumps(document)
    metadata = {"name": "zot-pull-secret", "namespace": "openclaw", "uid": "1", "resourceVersion": "7"}
    data = {field: base64.b64encode(text.encode()).decode(), **more.pop("data", {})}
    metadata.update(more.pop("metadata", {}))
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": data, **more}


def written(current: Object | None) -> tuple[dict[str, t.Any], PullSecret]:
    """The Secret that the role writes for *current*, and what the module predicts."""
    scope = Scope(Selection("openclaw"), "zot-pull-secret", REGISTRY)
    state = State(scope, current, (), (), {}, None, ())
    repair = plan_repair(state, [Check("auth", "", "failed", "")], ACCOUNT)
    before = {"name": scope.secret, "namespace": scope.namespace, "registry": REGISTRY, "repair": repair.for_ansible()}
    variables = {
        **_trusted(CHECK["vars"]),
        "__zot_pull_secret_before": before,
        "__zot_pull_secret_read": {"resources": [current]} if current else {"skipped": True},
        "zot_pull_secret_username": ACCOUNT.username,
        "zot_pull_secret_password": ACCOUNT.password,
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    found = templar.template(template.trust_as_template("{{ __zot_pull_secret_wanted }}"))
    predicted = repaired(state, repair, ACCOUNT).secret
    assert predicted
    return json.loads(json.dumps(found)), PullSecret.read(predicted)


def read_by_kubelet(secret: PullSecret) -> dict[str, Object]:
    return {entry.key or entry.name: json.loads(secret.auths[entry.name]) for entry in secret.entries}


CURRENT: dict[str, Object | None] = {
    "none": None,
    "others": secret({"auths": {"quay.io": OTHER, REGISTRY: {}}}),
    "another spelling": secret({"AUTHS": {"quay.io": OTHER, f"https://{REGISTRY}/v2/": {}}, "HttpHeaders": {}}),
    "two spellings": secret({"Auths": {"a.example": OTHER}, "auths": {"quay.io": OTHER}}),
    "a part of the registry": secret({"auths": {f"{REGISTRY}/demo": OTHER}}),
    "a user in the key": secret({"auths": {"https://u:p@quay.io/v2/": OTHER, "u:p@a.example/x@y": OTHER}}),
    "a query in the key": secret({"auths": {"quay.io?from=me@home": OTHER}}),
    "no entries": secret({"auths": None}),
    "null": secret("null"),
    "not JSON": secret("auths: none", kind="Opaque"),
    "a list": secret({"auths": []}),
    "an entry that cannot be read": secret({"auths": {"x": 1, "quay.io": OTHER}}),
    "not ASCII": secret({"auths": {"quay.io": {"username": "\u00fcser", "password": "p\u00e4ss"}}}),
    "a template": secret({"auths": {"quay.io": {"username": "{{ zot }}", "password": "{% if %}"}}}),
    "dockercfg": secret({"quay.io": OTHER}, kind="kubernetes.io/dockercfg", field=".dockercfg"),
    "Opaque dockercfg": secret({"quay.io": OTHER}, kind="Opaque", field=".dockercfg"),
    "no data": {**secret({}), "data": None, "type": "Opaque"},
}


@pytest.mark.parametrize("name", CURRENT)
def test_the_role_writes_what_the_module_predicts(name: str) -> None:
    found, predicted = written(CURRENT[name])
    # The role removes the user and the password before an @ from a key, which kubelet ignores.
    assert read_by_kubelet(PullSecret.read(found)) == read_by_kubelet(predicted)
    assert PullSecret.read(found).problems == ()
    assert json.loads(predicted.auths[REGISTRY]) == ACCOUNT.entry()
    assert found["type"] == CONFIG
    assert found["metadata"]["name"] == "zot-pull-secret"
    assert found["metadata"]["namespace"] == "openclaw"
    # An object with these could not be created again.
    assert not {"uid", "resourceVersion"} & found["metadata"].keys()


def test_everything_else_in_the_secret_is_kept() -> None:
    annotations = {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "the old data"}
    metadata = {"labels": {"app": "x"}, "annotations": annotations}
    given = secret({"auths": {}}, kind="Opaque", metadata=metadata, data={"more": "eA=="}, immutable=True)
    found, _predicted = written(given)
    assert found["metadata"]["labels"] == {"app": "x"}
    assert found["metadata"]["annotations"] == {"a": "b"}
    assert found["immutable"] is True
    assert found["data"].keys() == {".dockerconfigjson", "more"}
    assert "immutable" not in written(None)[0]


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({"username": "puller", "password": "12345"}, None),
        ({"username": "puller", "password": 12345}, "zot_pull_secret_password is a number, not text. Quote the value."),
        ({"username": "puller", "password": 0}, "zot_pull_secret_password is a number, not text. Quote the value."),
        ({"username": 1, "password": 1.5}, "zot_pull_secret_username is a number, not text. Quote the value."),
        ({"username": "puller", "password": ""}, "Set zot_pull_secret_username and zot_pull_secret_password."),
        ({"username": None, "password": None}, "Set zot_pull_secret_username and zot_pull_secret_password."),
        ({}, "Set zot_pull_secret_username and zot_pull_secret_password."),
    ],
)
def test_credentials_that_cannot_be_written(credentials: Object, message: str | None) -> None:
    """A number in YAML may be another one than in the file: 0012345 is 5349."""
    task = REPAIR["block"][0]
    arguments = task["ansible.builtin.assert"]
    before = {"name": "zot-pull-secret", "namespace": "openclaw", "registry": REGISTRY}
    variables = {
        "__zot_pull_secret_before": before,
        **_trusted(task.get("vars", {})),
        **{f"zot_pull_secret_{name}": value for name, value in credentials.items()},
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    # Like the assertion, stop at the first condition that is not met.
    valid = all(templar.template(template.trust_as_template(f"{{{{ {each} }}}}")) for each in arguments["that"])
    assert valid is (message is None)
    text = templar.template(template.trust_as_template(arguments["fail_msg"]))
    assert message is None or text.endswith(message)
    assert "12345" not in text


def _tasks(tasks: t.Iterable[Object]) -> t.Iterator[Object]:
    for task in tasks:
        yield task
        for section in ("block", "rescue", "always"):
            yield from _tasks(task.get(section) or [])


def test_secrets_are_used_in_tasks_without_a_log_alone() -> None:
    """What is secret is what the cluster returned, and all that is made of it."""
    variables = CHECK["vars"]
    hidden = {"__zot_pull_secret_read", "zot_pull_secret_password"}
    for _round in variables:
        hidden |= {name for name, value in variables.items() if hidden & set(re.findall(r"\w+", str(value)))}
    assert {"__zot_pull_secret_current", "__zot_pull_secret_wanted"} <= hidden
    silent = 0
    for task in _tasks([CHECK, REPAIR]):
        if "block" in task:
            continue
        uses = hidden & set(re.findall(r"\w+", str({**task, "register": None})))
        silent += bool(task.get("no_log"))
        if task.get("no_log"):
            continue
        # The module has no_log for its option, and an assertion shows no value.
        action = next(name for name in task if "." in name)
        assert not uses or uses == {"zot_pull_secret_password"}, task["name"]
        assert not uses or action in ("killinit.zot.zot_pull_secret_info", "ansible.builtin.assert"), task["name"]
    assert silent == 5
    # Other tasks of the play can read what is registered.
    assert REPAIR["always"][-1]["ansible.builtin.set_fact"] == {"__zot_pull_secret_read": {}}
    for task in _tasks([CHECK, REPAIR]):
        arguments = task.get("kubernetes.core.k8s", {})
        is_secret = arguments.get("kind") == "Secret" or "__zot_pull_secret_wanted" in str(arguments)
        if task.get("register") and is_secret:
            assert "data" in arguments["hidden_fields"], task["name"]


# What kubernetes.core 6.2 makes of an answer of the API: the body as Python prints bytes.
FORBIDDEN = {
    "kind": "Status",
    "message": 'secrets is forbidden: User "system:serviceaccount:x:least" cannot create resource "secrets"',
    "reason": "Forbidden",
    "code": 403,
}


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            {"msg": f"Failed to create object: {json.dumps(FORBIDDEN, separators=(',', ':')).encode()!r}"},
            f"Write: {FORBIDDEN['message']}",
        ),
        ({"msg": "Failed to create object: timed out"}, "Write: Failed to create object: timed out"),
        (
            {"msg": "One or more items failed", "results": [{"msg": "ok"}, {"failed": True, "msg": "no right"}]},
            "Write: no right",
        ),
    ],
    ids=["an answer of the API", "no answer", "an item of a loop"],
)
def test_reason_of_a_failure_without_a_log(result: Object, reason: str) -> None:
    variables = {
        **_trusted(CHECK["vars"]),
        "ansible_failed_task": {"name": "Write"},
        "ansible_failed_result": {"failed": True, **result},
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(template.trust_as_template("{{ __zot_pull_secret_failure }}")) == reason


def test_the_play_decides() -> None:
    """Nothing in the role overrides module_defaults of the play, or is read on the controller."""
    for path in sorted(ROLE.glob("*/*.yml")):
        text = path.read_text(encoding="utf-8")
        assert "module_defaults:" not in text, path
        assert "lookup(" not in text, path
        assert "killinit.cc" not in text, path
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    namespace = options["argument_specs"]["main"]["options"]["zot_namespace"]
    assert (namespace["type"], namespace["required"], "default" in namespace) == ("str", True, False)
    for task in _tasks([CHECK]):
        for name, arguments in task.items():
            if name.startswith("kubernetes.core."):
                # As options they remove the defaults of the play even if they are omitted.
                assert not {"kubeconfig", "context"} & arguments.keys(), task["name"]
