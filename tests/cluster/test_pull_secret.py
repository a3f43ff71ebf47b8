# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_pull_secret on a real cluster and a real registry, with the least rights: what only they can prove."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import Kubectl, Site, auth, restricted, role_of, secret, stats, workload
from integration.support import recap

NAME = "zot-pull-secret"
CHECK, REPAIR = "zot-pull-secret-check", "zot-pull-secret-repair"
OTHER = {"username": "somebody", "password": "other-s3cret", "auth": auth("somebody", "other-s3cret")}
WRONG = "wr0ng-s3cret"
# The role alone, with its report, which it sets also if it fails.
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


class Scene:
    """A namespace with nothing in it, an image in the registry, and what is done with them."""

    def __init__(self, site: Site) -> None:
        self.site, self.kubectl, self.registry = site, site.kubectl, site.registry
        # The account that pushes stays in the environment: the role must not use it.
        assert site.environment["ZOT_USERNAME"] == site.registry.writer.username
        pushed = site.module(
            "zot_push", archive=str(site.images["buildah-amd64"]), repository="openclaw/openclaw", tags=["1"]
        )
        assert not pushed["failed"], pushed
        self.image = str(pushed["image"]["reference"])
        self.role = site.directory / "role.yml"
        self.role.write_text(PLAYBOOK, encoding="utf-8")

    def account(self, name: str, **more: Any) -> None:
        """Choose the rights of the runs to come: account(CHECK)."""
        site = self.site
        path = restricted(site.kubectl, site.cluster, "zot_pull_secret", site.directory, name=name, **more)
        site.environment["K8S_AUTH_KUBECONFIG"] = str(path)

    def run(self, *options: str, name: str | Path = "", **variables: Any) -> CompletedProcess[str]:
        """Run the role, or a playbook, in the namespace of the test."""
        return self.site.playbook(name or self.role, *options, zot_namespace=self.kubectl.namespace, **variables)

    def verify(self, *options: str, **variables: Any) -> CompletedProcess[str]:
        """Run killinit.zot.verify with the least rights."""
        self.account(CHECK)
        return self.run(*options, name="killinit.zot.verify", **variables)

    def repair(self, *options: str, **variables: Any) -> CompletedProcess[str]:
        """Run the role to repair, with the least rights."""
        self.account(REPAIR)
        return self.run(*options, zot_pull_secret_repair=True, **variables)

    def deploy(self, name: str = "openclaw", image: str = "", replicas: int = 0, **pod: Any) -> None:
        """A Deployment; further fields go into the pod's specification."""
        deployment = workload(
            image or self.image, name=name, replicas=replicas, policy="IfNotPresent", secret=None, pod=pod
        )
        self.kubectl.apply(deployment)

    def add_to_service_account(self) -> None:
        """Add the pull secret to the service account `default`."""
        patch = json.dumps({"imagePullSecrets": [{"name": NAME}]})
        self.kubectl("patch", "serviceaccount", "default", "--patch", patch)

    def entry(self, password: str | None = None) -> dict[str, str]:
        """An entry for the reader."""
        reader = self.registry.reader
        password = password or reader.password
        return {"username": reader.username, "password": password, "auth": auth(reader.username, password)}

    def credentials(self) -> dict[str, str]:
        """The account that a repair writes."""
        reader = self.registry.reader
        return {"zot_pull_secret_username": reader.username, "zot_pull_secret_password": reader.password}

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
def scene(site: Site) -> Scene:
    return Scene(site)


def _report(run: CompletedProcess[str]) -> dict[str, Any]:
    return stats(run, "zot_pull_secret_report")


def _checks(run: CompletedProcess[str]) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in _report(run)["checks"]}


def _reason(run: CompletedProcess[str], name: str) -> str:
    """The reason of a check."""
    return "; ".join(check["reason"] for check in _report(run)["checks"] if check["check"] == name)


def _assert_silent(run: CompletedProcess[str], scene: Scene) -> None:
    """No password in the output, neither plain nor in base64, nor the data of a Secret."""
    output = run.stdout + run.stderr
    hidden = []
    for entry in (scene.entry(), scene.entry(WRONG), OTHER):
        hidden += [entry["password"], entry["auth"]]
        # Base64 of the JSON around it: its characters depend on its position in a group of three bytes.
        hidden += [base64.b64encode(b"x" * shift + entry["auth"].encode())[4:20].decode() for shift in range(3)]
    assert not [each for each in hidden if each in output]


def _missing(_scene: Scene) -> None:
    """The namespace has no secret."""


def _opaque(scene: Scene) -> None:
    content = {"auths": {"other.example": OTHER, scene.registry.host: scene.entry()}}
    scene.kubectl.apply({**secret(NAME, content, kind="Opaque"), "immutable": True})


def _wrong_password(scene: Scene) -> None:
    content = {"other.example": OTHER, f"https://{scene.registry.host}/v2/": scene.entry(WRONG)}
    scene.kubectl.apply(secret(NAME, {"auths": content}))


# The fault, the check that fails, and how the secret is repaired: once each way. The unit tests have all contents of a
# secret.
BROKEN: dict[str, tuple[Callable[[Scene], None], str, str]] = {
    "missing": (_missing, "exists", "create"),
    "wrong type, immutable": (_opaque, "type", "replace"),
    "wrong password": (_wrong_password, "read", "merge"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_has_its_verdict_and_is_repaired(name: str, scene: Scene) -> None:
    """verify fails; check mode predicts the repair and writes nothing; the repair is made, and made once."""
    breaks, check, action = BROKEN[name]
    breaks(scene)
    scene.deploy()
    scene.add_to_service_account()
    before = scene.state()

    checked = scene.verify("-vvv", "--diff")
    assert checked.returncode == 2, checked.stdout + checked.stderr
    assert _checks(checked)[check] == "failed"
    assert _report(checked)["ok"] is False
    assert _report(checked)["repair"]["action"] == action
    planned = scene.repair("-vvv", "--check", "--diff", **scene.credentials())
    assert scene.state() == before
    done = scene.repair("-vvv", "--diff", **scene.credentials())
    again = scene.repair(**scene.credentials())

    for each in (planned, done, again):
        assert each.returncode == 0, each.stdout + each.stderr
        assert set(_checks(each).values()) == {"ok"}
        assert _report(each)["account"] == scene.registry.reader.username
    runs = (checked, planned, done, again)
    assert [recap(each)["changed"] for each in runs] == [0, 1, 1, 0]
    assert [_report(each)["changed"] for each in runs] == [False, True, True, False]
    for each in runs:
        _assert_silent(each, scene)
    assert scene.auths()[scene.registry.host] == scene.entry()
    if breaks is not _missing:
        assert scene.auths()["other.example"] == OTHER


@pytest.mark.parametrize("left", ["copy", "both"])
def test_an_interrupted_replacement_is_finished(left: str, scene: Scene) -> None:
    """A run was killed after it deleted the old secret, or after it created the new one."""
    copy = secret(f"{NAME}-before-repair", {"auths": {"other.example": OTHER}}, kind="Opaque")
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default"}
    owner["uid"] = scene.kubectl.get("serviceaccount", "default")["metadata"]["uid"]
    kept = {"immutable": True, "metadata": {"labels": {"team": "a"}, "ownerReferences": [owner]}}
    copy["metadata"]["annotations"] = {"killinit.zot/before-repair": json.dumps(kept)}
    scene.kubectl.apply(copy)
    if left == "both":
        scene.kubectl.apply(secret(NAME, {"auths": {"late.example": OTHER}}))
    scene.deploy()
    scene.add_to_service_account()
    done = scene.repair(**scene.credentials())
    assert done.returncode == 0, done.stdout + done.stderr
    late = ["late.example"] if left == "both" else []
    assert sorted(scene.auths()) == sorted([scene.registry.host, "other.example", *late])
    assert [each["metadata"]["name"] for each in scene.kubectl.get("secrets")["items"]] == [NAME]
    if left == "copy":
        found = scene.kubectl.get("secret", NAME)
        assert (found["immutable"], found["metadata"]["labels"]) == (True, {"team": "a"})
        assert found["metadata"]["ownerReferences"] == [owner]


def test_a_managed_secret_and_a_finalizer(scene: Scene) -> None:
    """A manager is named; a finalizer ends the run with its name, and the entries are in the copy."""
    content = {"auths": {"other.example": OTHER, scene.registry.host: scene.entry(WRONG)}}
    held = {**secret(NAME, content), "immutable": True}
    held["metadata"] |= {"labels": {"reconcile.external-secrets.io/managed": "true"}, "finalizers": ["zot.test/hold"]}
    scene.kubectl.apply(held)
    scene.deploy()
    scene.add_to_service_account()
    before = scene.state()
    refused = scene.repair(**scene.credentials())
    assert refused.returncode == 2
    assert "managed by External Secrets" in _report(refused)["problems"][0]
    assert scene.state() == before

    waited = scene.repair(**scene.credentials(), zot_pull_secret_force=True)
    assert waited.returncode == 2
    assert "zot.test/hold" in _report(waited)["problems"][0]
    scene.kubectl("patch", "secret", NAME, "--type=merge", '--patch={"metadata": {"finalizers": null}}')
    done = scene.repair(**scene.credentials(), zot_pull_secret_force=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert scene.auths() == {"other.example": OTHER, scene.registry.host: scene.entry()}


def test_service_accounts_get_the_secret(scene: Scene) -> None:
    """Where neither the workload nor its service account names it; the service account keeps its other secrets."""
    scene.kubectl.apply(secret(NAME, {"auths": {scene.registry.host: scene.entry()}}))
    name, others = "own", [{"name": "other"}]
    own = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}, "imagePullSecrets": others}
    scene.kubectl.apply(own)
    scene.deploy(serviceAccountName=name)
    checked = scene.verify()
    assert checked.returncode == 2
    assert _checks(checked)["named"] == "failed"

    before = scene.state()
    planned = scene.repair("--check", "--diff")
    assert scene.state() == before
    done = scene.repair("--diff")
    again = scene.repair()
    assert [each.returncode for each in (planned, done, again)] == [0, 0, 0], done.stdout
    assert [recap(each)["changed"] for each in (planned, done, again)] == [1, 1, 0]
    assert scene.kubectl.get("serviceaccount", name)["imagePullSecrets"] == [*others, {"name": NAME}]


def test_pod_templates_are_not_changed(scene: Scene) -> None:
    """A workload that names other secrets does not get those of its service account, and belongs to its owner."""
    scene.kubectl.apply(secret(NAME, {"auths": {scene.registry.host: scene.entry()}}))
    scene.deploy("itself", imagePullSecrets=[{"name": NAME}])
    scene.deploy("others", imagePullSecrets=[{"name": "other"}])
    scene.add_to_service_account()
    refused = scene.repair()
    assert refused.returncode == 2
    assert recap(refused)["changed"] == 0
    assert "deployment/others" in _reason(refused, "named")
    # As a command line or a survey passes it.
    only = scene.verify(zot_pull_secret_workloads="Deployment/itself")
    assert only.returncode == 0, only.stdout + only.stderr


def test_secret_in_another_namespace(scene: Scene) -> None:
    """With the right to list secrets in all namespaces the check names the namespace."""
    name = f"pull-{scene.kubectl.namespace}"
    elsewhere = Kubectl(scene.kubectl.cluster, "default")
    elsewhere.apply(secret(name, {"auths": {}}))
    scene.deploy()
    scene.site.environment["K8S_AUTH_KUBECONFIG"] = str(scene.kubectl.cluster.kubeconfig)
    checked = scene.run(zot_pull_secret_name=name)
    elsewhere("delete", "secret", name)
    assert checked.returncode == 2
    assert "exists in default" in _reason(checked, "exists")


def test_kubelet_agrees(scene: Scene) -> None:
    """A pod whose secret has a glob for a key pulls, and so does one whose secret was repaired."""
    port = scene.registry.host.partition(":")[2]
    scene.kubectl.apply(secret(NAME, {"auths": {f"127.0.*.1:{port}": scene.entry()}}))
    scene.add_to_service_account()
    scene.deploy(replicas=1)
    good = scene.verify()
    assert good.returncode == 0, good.stdout + good.stderr
    scene.kubectl("rollout", "status", "deployment/openclaw", "--timeout=60s")

    scene.kubectl("delete", "deployment", "openclaw")
    scene.kubectl.apply(secret(NAME, {"auths": {"other.example": OTHER}}))
    done = scene.repair(**scene.credentials(), zot_pull_secret_images=[scene.image])
    assert done.returncode == 0, done.stdout + done.stderr
    scene.deploy("again", replicas=1)
    scene.kubectl("rollout", "status", "deployment/again", "--timeout=60s")


def test_only_the_account_for_pods_is_written(scene: Scene) -> None:
    """The account that pushes is in the environment and in the play, and is no substitute."""
    scene.deploy()
    before = scene.state()
    writer = scene.registry.writer
    refused = scene.repair(zot_username=writer.username, zot_password=writer.password)
    assert refused.returncode == 2
    assert "zot_pull_secret_username" in refused.stdout
    assert _report(refused)["ok"] is False
    assert scene.state() == before


def test_values_that_are_null_are_not_given(scene: Scene) -> None:
    """AWX makes null of an empty answer."""
    scene.kubectl.apply(secret(NAME, {"auths": {scene.registry.host: scene.entry()}}))
    scene.deploy(imagePullSecrets=[{"name": NAME}])
    names = ("name", "workloads", "label_selectors", "images", "username", "password")
    nothing = {f"zot_pull_secret_{name}": None for name in names}
    checked = scene.verify(**nothing, zot_validate_certs=None, zot_timeout=None, zot_kubeconfig=None, zot_context=None)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rights_to_check(scene: Scene) -> None:
    """Without any right each that the README lists is reported: the list is neither too long nor too short."""
    scene.deploy()
    rules = {
        (verb, resource)
        for rule in role_of("zot_pull_secret", CHECK)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    scene.account(CHECK, without=rules)
    refused = scene.run()
    assert refused.returncode == 2
    assert len(_report(refused)["problems"]) == 1
    unreadable = _report(refused)["unreadable"]
    assert {(each["verb"], each["resource"].partition("/")[0]) for each in unreadable} == rules
    assert {each["namespace"] for each in unreadable} == {scene.kubectl.namespace}


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
def test_rights_to_repair(breaks: Callable[[Scene], None], verb: str, resource: str, scene: Scene) -> None:
    """A missing right is named, although the tasks that write a secret have no log."""
    breaks(scene)
    scene.deploy()
    scene.account(REPAIR, without=[(verb, resource)])
    refused = scene.run("-vvv", "--diff", zot_pull_secret_repair=True, **scene.credentials())
    assert refused.returncode == 2
    reason = _report(refused)["problems"][0]
    assert f'cannot {verb} resource "{resource}"' in reason
    assert f'in the namespace "{scene.kubectl.namespace}"' in reason
    _assert_silent(refused, scene)


def test_verify_never_writes(scene: Scene) -> None:
    """Although a variable asks for a repair."""
    scene.account(REPAIR)
    refused = scene.run(name="killinit.zot.verify", zot_pull_secret_repair="true", **scene.credentials())
    assert refused.returncode == 2
    assert "zot_pull_secret_repair" in refused.stdout + refused.stderr
    assert scene.kubectl.get("secrets")["items"] == []
