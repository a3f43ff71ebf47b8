# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_pull_secret on a real cluster and a real registry, with the least rights."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import Kubectl, auth, restricted, role_of, secret
from integration.support import Module, recap

from environment.cluster import Cluster
from environment.images import Images
from environment.registry import Registry

Run = Callable[..., CompletedProcess[str]]
Account = Callable[..., None]

NAME = "zot-pull-secret"
VERIFY, PRESENT = "zot-pull-secret-verify", "zot-pull-secret-present"
OTHER = {"username": "somebody", "password": "other-s3cret", "auth": auth("somebody", "other-s3cret")}
WRONG = "wr0ng-s3cret"
# The role alone, with its report also if it fails.
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.import_role:
            name: killinit.zot.zot_pull_secret
      always:
        - ansible.builtin.set_stats:
            data:
              zot_pull_secret_report: "{{ zot_pull_secret_report }}"
            per_host: false
          when: zot_pull_secret_report is defined
"""


@dataclass
class Scene:
    """A namespace, an image in the registry, and what is done with them."""

    kubectl: Kubectl
    registry: Registry
    image: str

    def deploy(self, name: str = "openclaw", image: str = "", replicas: int = 0, **pod: Any) -> None:
        """A Deployment; further fields go into the pod's specification."""
        labels = {"app": name}
        pod = {"hostNetwork": True, "terminationGracePeriodSeconds": 0, **pod}
        pod["containers"] = [{"name": "app", "image": image or self.image}]
        template = {"metadata": {"labels": labels}, "spec": pod}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self.kubectl.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})

    def name_it(self) -> None:
        """Have the service account `default` name the secret."""
        patch = json.dumps({"imagePullSecrets": [{"name": NAME}]})
        self.kubectl("patch", "serviceaccount", "default", "--patch", patch)

    def entry(self, password: str | None = None) -> dict[str, str]:
        """An entry for the reader."""
        reader = self.registry.reader
        password = password or reader.password
        return {"username": reader.username, "password": password, "auth": auth(reader.username, password)}

    def credentials(self) -> dict[str, str]:
        """What `present` repairs with."""
        return {"zot_username": self.registry.reader.username, "zot_password": self.registry.reader.password}

    def auths(self) -> dict[str, Any]:
        """The entries that the secret has now."""
        data = self.kubectl.get("secret", NAME)["data"]
        content = {key: json.loads(base64.b64decode(value)) for key, value in data.items()}
        return content[".dockercfg"] if ".dockercfg" in content else content[".dockerconfigjson"]["auths"]

    def state(self) -> list[tuple[str, str]]:
        """Everything that the role might touch, each with its version."""
        items = [item["metadata"] for item in self.kubectl.get("secrets,serviceaccounts")["items"]]
        return sorted((item["uid"], item["resourceVersion"]) for item in items if item["name"] != "least")


@pytest.fixture
def scene(kubectl: Kubectl, registry: Registry, module: Module, images: Images) -> Scene:
    """A namespace with nothing in it, and an image in the registry."""
    pushed = module("zot_push", archive=str(images["buildah-amd64"]), repository="openclaw/openclaw", tags=["1"])
    assert not pushed["failed"], pushed
    return Scene(kubectl, registry, str(pushed["image"]["reference"]))


@pytest.fixture
def account(environment: dict[str, str], kubectl: Kubectl, cluster: Cluster, tmp_path: Path) -> Account:
    """Choose the rights of the runs to come: account(VERIFY)."""

    def choose(name: str, **more: Any) -> None:
        path = restricted(kubectl, cluster, "zot_pull_secret", tmp_path, name=name, **more)
        environment["K8S_AUTH_KUBECONFIG"] = str(path)

    return choose


@pytest.fixture
def run(playbook: Run, environment: dict[str, str], kubectl: Kubectl, tmp_path: Path) -> Run:
    """Run the role in the namespace of the test."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    # The account of the tests is not the cluster's.
    del environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"]
    path = tmp_path / "role.yml"
    path.write_text(PLAYBOOK, encoding="utf-8")

    def start(*options: str, name: str | Path = path, **variables: Any) -> CompletedProcess[str]:
        return playbook(name, *options, zot_namespace=kubectl.namespace, **variables)

    return start


@pytest.fixture
def verify(run: Run, account: Account) -> Run:
    """Run killinit.zot.verify with the least rights."""

    def start(*options: str, **variables: Any) -> CompletedProcess[str]:
        account(VERIFY)
        return run(*options, name="killinit.zot.verify", **variables)

    return start


@pytest.fixture
def present(run: Run, account: Account) -> Run:
    """Run the role to repair, with the least rights."""

    def start(*options: str, **variables: Any) -> CompletedProcess[str]:
        account(PRESENT)
        return run(*options, zot_pull_secret_state="present", **variables)

    return start


def _report(run: CompletedProcess[str]) -> dict[str, Any]:
    """What set_stats passed on, from the end of the output."""
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    report: dict[str, Any] = json.loads(found.group(1))["zot_pull_secret_report"]
    return report


def _checks(run: CompletedProcess[str]) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in _report(run)["checks"]}


def _message(run: CompletedProcess[str], name: str) -> str:
    """What a check says and advises."""
    found = [check for check in _report(run)["checks"] if check["check"] == name]
    return "\n".join(f"{check['message']}. {check['remedy']}" for check in found)


def _assert_silent(run: CompletedProcess[str], scene: Scene) -> None:
    """No password in the output, neither plain nor in base64, nor the data of a Secret."""
    output = run.stdout + run.stderr
    hidden = []
    for entry in (scene.entry(), scene.entry(WRONG), OTHER):
        hidden += [entry["password"], entry["auth"]]
        # Base64 of the JSON around it: what it looks like depends on where in a group of three bytes it stands.
        hidden += [base64.b64encode(b"x" * shift + entry["auth"].encode())[4:20].decode() for shift in range(3)]
    assert not [each for each in hidden if each in output]


def _missing(_scene: Scene) -> None:
    """Nothing is there."""


def _opaque(scene: Scene) -> None:
    content = {"auths": {"other.example": OTHER, scene.registry.host: scene.entry()}}
    scene.kubectl.apply(secret(NAME, content, kind="Opaque"))


def _not_json(scene: Scene) -> None:
    # The API server takes what is not JSON only in a type that it does not know.
    scene.kubectl.apply(secret(NAME, "auths: none", kind="Opaque"))


def _not_auths(scene: Scene) -> None:
    scene.kubectl.apply(secret(NAME, {"auths": [scene.registry.host]}))


def _broken_entry(scene: Scene) -> None:
    content = {"other.example": OTHER, scene.registry.host: scene.entry(), "broken.example": {"auth": "bm9ib2R5"}}
    scene.kubectl.apply(secret(NAME, {"auths": content}))


def _other_host(scene: Scene) -> None:
    host = scene.registry.host.partition(":")[0]
    scene.kubectl.apply(secret(NAME, {"auths": {"other.example": OTHER, host: scene.entry()}}))


def _wrong_password(scene: Scene) -> None:
    content = {"other.example": OTHER, f"https://{scene.registry.host}/v2/": scene.entry(WRONG)}
    scene.kubectl.apply(secret(NAME, {"auths": content}))


def _contradiction(scene: Scene) -> None:
    entry = {**scene.entry(), "password": WRONG}
    scene.kubectl.apply(secret(NAME, {"auths": {"other.example": OTHER, scene.registry.host: entry}}))


def _older_type(scene: Scene) -> None:
    content = {"other.example": OTHER, scene.registry.host: scene.entry(WRONG)}
    scene.kubectl.apply(secret(NAME, content, kind="kubernetes.io/dockercfg", key=".dockercfg"))


def _immutable(scene: Scene) -> None:
    content = {"other.example": OTHER, scene.registry.host: scene.entry(WRONG)}
    scene.kubectl.apply({**secret(NAME, {"auths": content}), "immutable": True})


# How it is made wrong, the check that fails, and what that says.
BROKEN: dict[str, tuple[Callable[[Scene], None], str, list[str]]] = {
    "missing": (_missing, "exists", [f"there is no secret/{NAME}", "could not be looked at", "Create it"]),
    "wrong type": (_opaque, "type", ["of type Opaque", "a type cannot be changed"]),
    "not JSON": (_not_json, "json", ["is not JSON", "Write it anew"]),
    "auths is a list": (_not_auths, "json", ["auths in its .dockerconfigjson is not an object", "Write it anew"]),
    "a broken entry": (_broken_entry, "json", ["the entry broken.example has an auth that is not base64"]),
    "other host": (_other_host, "entry", ["it has 127.0.0.1, other.example", "Give it an entry with the key 127"]),
    "wrong password": (_wrong_password, "read", ["(401)", "Put in the right password"]),
    "contradiction": (_contradiction, "auth", ["kubelet takes what is in auth", "from one account"]),
    "older type": (_older_type, "read", ["(401)", "Put in the right password"]),
    "immutable": (_immutable, "read", ["(401)", "Put in the right password"]),
}
WITHOUT_OTHERS = (_missing, _not_json, _not_auths)


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_has_its_verdict_and_is_repaired(name: str, scene: Scene, verify: Run, present: Run) -> None:
    """Verify tells, check mode foretells and writes nothing, present repairs, and once more changes nothing."""
    breaks, check, said = BROKEN[name]
    breaks(scene)
    scene.deploy()
    scene.name_it()
    before = scene.state()

    looked = verify("-vvv", "--diff")
    assert looked.returncode == 2, looked.stdout + looked.stderr
    assert _checks(looked)[check] == "failed"
    assert _report(looked)["ok"] is False
    for text in said:
        assert text in _message(looked, check)
    planned = present("-vvv", "--check", "--diff", **scene.credentials())
    assert scene.state() == before
    done = present("-vvv", "--diff", **scene.credentials())
    again = present(**scene.credentials())

    for each in (planned, done, again):
        assert each.returncode == 0, each.stdout + each.stderr
        assert set(_checks(each).values()) == {"ok"}
    assert [recap(each)["changed"] for each in (looked, planned, done, again)] == [0, 1, 1, 0]
    assert [_report(each)["changed"] for each in (looked, planned, done, again)] == [False, True, True, False]
    for each in (looked, planned, done, again):
        _assert_silent(each, scene)
    assert scene.auths()[scene.registry.host] == scene.entry()
    if breaks not in WITHOUT_OTHERS:
        assert scene.auths()["other.example"] == OTHER


@pytest.mark.parametrize("name", ["default", "own"])
def test_not_named(name: str, scene: Scene, verify: Run, present: Run) -> None:
    """Neither by the workload nor by its service account, which then gets it and keeps the others."""
    scene.kubectl.apply(secret(NAME, {"auths": {scene.registry.host: scene.entry()}}))
    others = [] if name == "default" else [{"name": "other"}]
    if others:
        own = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}, "imagePullSecrets": others}
        scene.kubectl.apply(own)
    scene.deploy(serviceAccountName=name)
    looked = verify()
    assert looked.returncode == 2
    assert _checks(looked)["named"] == "failed"
    assert f"neither it nor its service account {name} names {NAME}" in _message(looked, "named")

    before = scene.state()
    planned = present("--check", "--diff")
    assert scene.state() == before
    done = present("--diff")
    again = present()
    assert [each.returncode for each in (planned, done, again)] == [0, 0, 0], done.stdout
    assert [recap(each)["changed"] for each in (planned, done, again)] == [1, 1, 0]
    assert scene.kubectl.get("serviceaccount", name)["imagePullSecrets"] == [*others, {"name": NAME}]


def test_named_by_the_workload(scene: Scene, verify: Run, present: Run) -> None:
    """One that names only others does not get those of its service account, and is left to its owner."""
    scene.kubectl.apply(secret(NAME, {"auths": {scene.registry.host: scene.entry()}}))
    scene.deploy("itself", imagePullSecrets=[{"name": NAME}])
    scene.deploy("elsewhere", "docker.io/library/nginx:1")
    good = verify()
    assert good.returncode == 0, good.stdout + good.stderr

    scene.deploy("others", imagePullSecrets=[{"name": "other"}])
    scene.name_it()
    refused = present()
    assert refused.returncode == 2
    assert recap(refused)["changed"] == 0
    assert f"Add {NAME} to imagePullSecrets in its pod template" in _message(refused, "named")
    only = verify(zot_pull_secret_workloads="deployment/itself")  # as it comes from a command line or a survey
    assert only.returncode == 0, only.stdout + only.stderr
    gone = verify(zot_pull_secret_workloads=["deployment/gone"])
    assert gone.returncode == 2
    assert "there is no deployment/gone" in gone.stdout + gone.stderr


def test_in_another_namespace(scene: Scene, run: Run, environment: dict[str, str]) -> None:
    """Whoever may look there is told where."""
    name = f"pull-{scene.kubectl.namespace}"
    elsewhere = Kubectl(scene.kubectl.cluster, "default")
    elsewhere.apply(secret(name, {"auths": {}}))
    environment["K8S_AUTH_KUBECONFIG"] = str(scene.kubectl.cluster.kubeconfig)
    looked = run(zot_pull_secret_name=name)
    elsewhere("delete", "secret", name)
    assert looked.returncode == 2
    assert "the one in default is of no use there" in _message(looked, "exists")


def test_kubelet_agrees(scene: Scene, verify: Run, present: Run) -> None:
    """A pod whose secret has a glob for a key pulls, and so does one whose secret was repaired."""
    port = scene.registry.host.partition(":")[2]
    scene.kubectl.apply(secret(NAME, {"auths": {f"127.0.*.1:{port}": scene.entry()}}))
    scene.name_it()
    scene.deploy(replicas=1)
    good = verify()
    assert good.returncode == 0, good.stdout + good.stderr
    scene.kubectl("rollout", "status", "deployment/openclaw", "--timeout=60s")

    scene.kubectl("delete", "deployment", "openclaw")
    scene.kubectl.apply(secret(NAME, {"auths": {"other.example": OTHER}}))
    done = present(**scene.credentials())
    assert done.returncode == 0, done.stdout + done.stderr
    scene.deploy("again", replicas=1)
    scene.kubectl("rollout", "status", "deployment/again", "--timeout=60s")


def test_what_the_registry_says_is_told_apart(scene: Scene, verify: Run) -> None:
    """An image that is not there; a registry that does not answer."""
    scene.kubectl.apply(secret(NAME, {"auths": {scene.registry.host: scene.entry(), "127.0.0.1:1": scene.entry()}}))
    scene.name_it()
    image = scene.image.replace(":1", ":gone")
    scene.deploy(image=f"{scene.registry.host}/openclaw/openclaw:gone")
    absent = verify()
    assert absent.returncode == 2
    assert "openclaw/openclaw:gone is not there. Push it" in _message(absent, "read"), image
    assert _checks(absent)["read"] == "failed"

    scene.deploy(image="127.0.0.1:1/openclaw/openclaw:1")
    silent = verify(zot_registry="127.0.0.1:1")
    assert silent.returncode == 2
    (read,) = (check for check in _report(silent)["checks"] if check["check"] == "read")
    assert (read["verdict"], read["error_class"]) == ("unknown", "unavailable")


def test_account_of_an_auth_file(scene: Scene, present: Run, tmp_path: Path) -> None:
    """And without any account the role says what it lacks, and writes nothing."""
    scene.deploy()
    before = scene.state()
    lacking = present()
    assert lacking.returncode == 2
    assert "give zot_username and zot_password" in lacking.stdout + lacking.stderr
    assert scene.state() == before

    authfile = tmp_path / "auth.json"
    authfile.write_text(json.dumps({"auths": {scene.registry.host: {"auth": scene.entry()["auth"]}}}))
    done = present("-vvv", zot_authfile=str(authfile))
    assert done.returncode == 0, done.stdout + done.stderr
    _assert_silent(done, scene)
    assert scene.auths() == {scene.registry.host: scene.entry()}


def test_rights_to_look(scene: Scene, account: Account, run: Run) -> None:
    """Without any right each that the README lists is named as missing: it lists none too many."""
    scene.deploy()
    rules = [
        (verb, resource, ".apps" if rule["apiGroups"] == ["apps"] else "")
        for rule in role_of("zot_pull_secret", VERIFY)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    account(VERIFY, without=[rule[:2] for rule in rules])
    refused = run()
    assert refused.returncode == 2
    named = {check["message"].partition(" ")[2] for check in _report(refused)["checks"] if check["check"] == "access"}
    assert named == {
        f"may not {verb} {resource}{group} in namespace {scene.kubectl.namespace}" for verb, resource, group in rules
    }


@pytest.mark.parametrize(
    ("breaks", "verb", "resource"),
    [
        (_missing, "create", "secrets"),
        (_opaque, "delete", "secrets"),
        (_wrong_password, "patch", "secrets"),
        (_missing, "patch", "serviceaccounts"),
        (_missing, "get", "serviceaccounts"),
    ],
)
def test_rights_to_repair(
    breaks: Callable[[Scene], None], verb: str, resource: str, scene: Scene, account: Account, run: Run
) -> None:
    """Each that is missing is named, and not hidden with the secret."""
    breaks(scene)
    scene.deploy()
    account(PRESENT, without=[(verb, resource)])
    refused = run("-vvv", "--diff", zot_pull_secret_state="present", **scene.credentials())
    assert refused.returncode == 2
    assert f"may not {verb} {resource} in namespace {scene.kubectl.namespace}" in refused.stdout + refused.stderr
    _assert_silent(refused, scene)


def test_verify_never_writes(scene: Scene, run: Run, account: Account) -> None:
    """Also if a variable asks for it."""
    account(PRESENT)
    refused = run(name="killinit.zot.verify", zot_pull_secret_state="present")
    assert refused.returncode == 2
    assert "this playbook only looks" in refused.stdout + refused.stderr
    assert scene.kubectl.get("secrets")["items"] == []
