# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook rotate on real Zot and a real cluster: the pods can pull at every moment, also if a run is killed."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import kubernetes
import pytest
import yaml
from cluster.support import Site, auth, delete_namespaces, pull_secret, ready, restricted, secret, stats, workload
from integration.secret_leaks import Watched, assert_no_leak, forms, verbose_settings
from integration.support import recap

from environment import faults
from environment.faults import Fault, Proxy
from environment.registry import Account, Registry, free_port

NAME, ROTATE = "zot-pull-secret", "killinit.zot.rotate"
API_KEYS = "killinit.zot/api-keys"
KEY_PATH = "/zot/auth/apikey"
SOON = {"days": 5}


@pytest.fixture(scope="module")
def proxy(zot: Registry) -> Iterator[Proxy]:
    """The registry with faults; its images have another name."""
    with faults.between(zot) as running:
        yield running


class Scene:
    """A namespace with a workload, and the keys of the reader."""

    def __init__(self, site: Site, host: str, ca: Path) -> None:
        self.site, self.kubectl, self.zot, self.host = site, site.kubectl, site.registry, host
        site.environment.update(ZOT_REGISTRY=host, ZOT_CA_PATH=str(ca))
        assert site.environment["ZOT_USERNAME"] == site.registry.writer.username
        self.image = site.push("buildah-amd64").replace(site.registry.host, host)
        self.kubectl.apply(workload(self.image, replicas=0))
        self.ca = ca
        client = kubernetes.config.new_client_from_config(str(site.cluster.kubeconfig))
        self.api = kubernetes.client.CoreV1Api(client)

    def hold(self, account: Account) -> None:
        """Write the pull secret by hand."""
        self.kubectl.apply(pull_secret(dataclasses.replace(self.zot, host=self.host), account))

    def variables(self, **more: Any) -> dict[str, Any]:
        reader = self.zot.reader
        account = {"zot_pull_secret_username": reader.username, "zot_pull_secret_password": reader.password}
        given = {"zot_namespace": self.kubectl.namespace, **account, **more}
        return {name: value for name, value in given.items() if value is not None}

    def rotate(self, *options: str, **more: Any) -> CompletedProcess[str]:
        return self.site.playbook(ROTATE, *options, **self.variables(**more))

    def start(self, name: str = "run", **more: Any) -> subprocess.Popen[str]:
        """A run that can be killed, or that has another run beside it."""
        extra = self.site.directory / f"{name}.json"
        extra.write_text(json.dumps(self.variables(**more)))
        command = ["ansible-playbook", ROTATE, "--extra-vars", f"@{extra}"]
        log = (self.site.directory / f"{name}.log").open("w")
        return subprocess.Popen(
            command, env=self.site.environment, stdout=log, stderr=log, text=True, start_new_session=True
        )

    def ask(self, method: str = "GET", **more: Any) -> Any:
        with self.zot.session(self.zot.reader) as session:
            return session.request(method, f"https://{self.zot.host}{KEY_PATH}", **more)

    def listed(self) -> list[dict[str, Any]]:
        """The keys of the pull secret, as Zot lists them."""
        return [
            key for key in self.ask().json()["apiKeys"] if key["label"].startswith(f"{self.kubectl.namespace}/{NAME} ")
        ]

    def held(self) -> Account:
        """What the pull secret holds."""
        # By a request: a process of kubectl for each pull of Pods would take a core.
        found = self.api.read_namespaced_secret(NAME, self.kubectl.namespace)
        entry = json.loads(base64.b64decode(found.data[".dockerconfigjson"]))["auths"][self.host]
        username, _colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return Account(username, password)

    def may_pull(self, account: Account) -> bool:
        with self.zot.session(account) as session:
            address = f"https://{self.zot.host}/v2/{self.image.partition('/')[2].rpartition(':')[0]}/manifests/latest"
            return bool(session.get(address).status_code == 200)

    def the_only_key(self) -> dict[str, Any]:
        """The key of the pull secret: the only one that Zot has, and the one that the secret holds."""
        held = self.held()
        assert held.password.startswith("zak_")
        assert self.may_pull(held)
        (key,) = self.listed()
        # Only the secret holds it, so that a use of the secret is a use of this key.
        assert not key["lastUsed"].startswith("0001-")
        return key

    def age(self) -> str:
        """Replace the key of the secret by one that expires soon, as the role would have written it."""
        done = self.rotate(zot_rotate_expires_in="5d", zot_rotate_renew_before="1d")
        assert done.returncode == 0, done.stdout
        return str(self.the_only_key()["uuid"])


@pytest.fixture
def scene(zot: Registry, site: Site) -> Scene:
    return Scene(site, zot.host, zot.ca)


class Pods:
    """Pulls all the time with what the secret holds, like a pod that starts."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pull)
        self.pulls = 0
        self.refused: list[float] = []

    def _pull(self) -> None:
        while not self._stop.wait(0.1):
            account = self._scene.held()
            # The secret may have changed after it was read: kubelet then reads it again.
            if not (self._scene.may_pull(account) or self._scene.may_pull(self._scene.held())):
                self.refused.append(time.time())
            self.pulls += 1

    def __enter__(self) -> Pods:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_password_becomes_a_key(scene: Scene) -> None:
    """Check mode says so; the second run changes nothing; a pod pulls with the key; an old key gets a successor."""
    scene.hold(scene.zot.reader)
    before = scene.kubectl.get("secret", NAME)
    planned = scene.rotate("--check", "--diff")
    assert planned.returncode == 0, planned.stdout
    assert "would be renewed" in planned.stdout
    assert scene.kubectl.get("secret", NAME) == before
    assert scene.listed() == []
    with Pods(scene) as pods:
        done = scene.rotate("--diff")
        assert done.returncode == 0, done.stdout
        report = stats(done, "zot_rotate_report")
        key = scene.the_only_key()
        (row,) = report["keys"]
        assert (row["uuid"], row["label"], row["result"]) == (key["uuid"], key["label"], "renewed")
        assert row["expires_at"] == key["expirationDate"]
        # AWX passes the report of an earlier job as an extra variable.
        again = scene.rotate(zot_rotate_report={"ok": False, "keys": [], "problems": ["an earlier job has failed"]})
        assert (again.returncode, recap(again)["changed"]) == (0, 0), again.stdout
        assert stats(again, "zot_rotate_report")["keys"][0]["result"] == "kept"
        assert scene.the_only_key()["uuid"] == key["uuid"]
        # The key lives longer than these rules allow.
        short = {"zot_rotate_expires_in": "20d"}
        assert scene.rotate(**short).returncode == 0
        younger = scene.the_only_key()
        assert younger["uuid"] != key["uuid"]
        assert scene.rotate(**short, zot_rotate_force=True).returncode == 0
        assert scene.the_only_key()["uuid"] != younger["uuid"]
    assert pods.pulls > 10
    assert pods.refused == []
    scene.kubectl("scale", "deployment/openclaw", "--replicas=1")
    ready(scene.kubectl, "deployment/openclaw")


def test_a_namespace_without_a_workload(scene: Scene) -> None:
    """The secret is created. A request to the registry itself proves its key, and the report says so.

    Other selections find nothing.
    """
    scene.kubectl("delete", "deployment/openclaw")
    done = scene.rotate()
    assert done.returncode == 0, done.stdout
    assert scene.the_only_key()
    report = stats(done, "zot_rotate_report")
    assert [(row["result"], row["proof"]) for row in report["keys"]] == [("renewed", "registry")]
    assert "No workload uses the registry" in report["summary"][0]
    wrong = scene.rotate(zot_pull_secret_workloads="deployment/openclaw", zot_rotate_force=True)
    assert wrong.returncode == 2, wrong.stdout
    assert "deployment/openclaw" in stats(wrong, "zot_rotate_report")["problems"][0]
    assert scene.the_only_key()


def test_the_entry_of_a_repository_is_no_proof(scene: Scene) -> None:
    """Kubelet pulls with that entry first, so its password says nothing of the new key."""
    reader, repository = scene.zot.reader, scene.image.rpartition(":")[0]
    scene.kubectl.apply(secret(NAME, {"auths": {repository: {"auth": auth(reader.username, reader.password)}}}))
    scene.age()
    done = scene.rotate()
    assert done.returncode == 0, done.stdout
    assert scene.the_only_key()["expirationDate"] == stats(done, "zot_rotate_report")["keys"][0]["expires_at"]
    data = scene.kubectl.get("secret", NAME)["data"][".dockerconfigjson"]
    entries = json.loads(base64.b64decode(data))["auths"]
    assert entries[repository] == {"auth": auth(reader.username, reader.password)}


def test_diagnose_tells_a_key_from_a_password(scene: Scene) -> None:
    """Kubelet and Zot say the same of a key that was revoked, of one that has expired, and of a wrong password."""
    assert scene.rotate().returncode == 0
    key = scene.the_only_key()
    scene.ask("DELETE", params={"id": key["uuid"]})
    scene.kubectl("scale", "deployment/openclaw", "--replicas=1")

    def causes() -> list[str]:
        done = scene.site.playbook("killinit.zot.diagnose", zot_namespace=scene.kubectl.namespace)
        return [each["cause"] for each in stats(done, "zot_diagnose_report")["findings"]]

    assert causes() == ["key_revoked"]
    records = json.loads(scene.kubectl.get("secret", NAME)["metadata"]["annotations"][API_KEYS])
    records[scene.host]["expires_at"] = "2020-01-01T00:00:00Z"
    scene.kubectl("annotate", "--overwrite", f"secret/{NAME}", f"{API_KEYS}={json.dumps(records)}")
    assert causes() == ["key_expired"]
    scene.hold(Account(scene.zot.reader.username, "wrong-0815"))
    assert causes() == ["credentials_refused"]


def test_a_key_cannot_rotate(scene: Scene) -> None:
    """Otherwise a person with one key could make new keys, and the access would never end."""
    assert scene.rotate().returncode == 0
    key = scene.the_only_key()
    refused = scene.rotate(zot_pull_secret_password=scene.held().password, zot_rotate_force=True)
    assert refused.returncode == 2, refused.stdout
    assert "a key must not make keys" in stats(refused, "zot_rotate_report")["problems"][0]
    assert scene.the_only_key()["uuid"] == key["uuid"]


def test_fifty_namespaces(scene: Scene) -> None:
    """One run gives all of them a key within a minute. A second run reads them within half a minute."""
    namespaces = [f"{scene.kubectl.namespace}-{number}" for number in range(50)]
    secret_of = pull_secret(scene.zot, scene.zot.reader)
    objects = [
        {**each, "metadata": {**each["metadata"], **place}}
        for name in namespaces
        for each, place in (
            ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, {}),
            (secret_of, {"namespace": name}),
            (workload(scene.image, replicas=0), {"namespace": name}),
        )
    ]
    # Without a namespace of its own, kubectl creates objects in several.
    scene.kubectl("apply", "--namespace=", "--filename=-", given={"apiVersion": "v1", "kind": "List", "items": objects})
    try:
        scene.kubectl(
            "wait", "serviceaccount/default", "--for=create", "--timeout=30s", f"--namespace={namespaces[-1]}"
        )
        for result, changed, limit in (("renewed", 1, 60), ("kept", 0, 30)):
            start = time.monotonic()
            done = scene.rotate(zot_rotate_namespaces=",".join(namespaces))
            seconds = time.monotonic() - start
            assert done.returncode == 0, done.stdout
            assert [row["result"] for row in stats(done, "zot_rotate_report")["keys"]] == [result] * 50
            assert recap(done)["changed"] == changed
            assert seconds < limit, f"the run with the result {result} took {seconds:.0f} s"
        labels = [key["label"].partition("/")[0] for key in scene.ask().json()["apiKeys"]]
        assert sorted(label for label in labels if label in namespaces) == sorted(namespaces)
    finally:
        delete_namespaces(scene.site.cluster, namespaces)


def test_an_entry_that_somebody_has_changed_is_replaced(scene: Scene) -> None:
    """The annotation still names the key, and the key is young: nobody holds it any more."""
    scene.hold(scene.zot.reader)
    assert scene.rotate().returncode == 0
    key = scene.the_only_key()
    data = pull_secret(scene.zot, scene.zot.reader)["data"]
    scene.kubectl("patch", "secret", NAME, "--patch", json.dumps({"data": data}))
    assert scene.held().password == scene.zot.reader.password
    assert scene.rotate().returncode == 0
    assert scene.the_only_key()["uuid"] != key["uuid"]


@pytest.fixture
def broken(proxy: Proxy, site: Site, tmp_path: Path) -> Iterator[tuple[Scene, Proxy, Proxy]]:
    """A scene with a proxy before the registry, and one before the API server."""
    config = yaml.safe_load(site.cluster.kubeconfig.read_text(encoding="utf-8"))
    cluster = config["clusters"][0]["cluster"]
    authority = tmp_path / "api-ca.pem"
    authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    folder = tmp_path / "api"
    folder.mkdir()
    server = dataclasses.replace(
        site.registry, host=cluster["server"].partition("://")[2], ca=authority, directory=folder
    )
    with faults.between(server) as api:
        cluster |= {
            "server": f"https://{api.host}",
            "certificate-authority-data": base64.b64encode(api.ca.read_bytes()).decode(),
        }
        path = tmp_path / "proxied.kubeconfig"
        path.write_text(json.dumps(config))
        site.environment["K8S_AUTH_KUBECONFIG"] = str(path)
        proxy.set()
        yield Scene(site, proxy.host, proxy.ca), proxy, api
        proxy.set()


@pytest.mark.parametrize("fault", ["stall", "silent"])
@pytest.mark.parametrize("request_", [f"POST {KEY_PATH}", "PATCH .*/secrets/", f"DELETE {KEY_PATH}"])
def test_a_killed_run_is_finished_by_the_next(broken: tuple[Scene, Proxy, Proxy], request_: str, fault: str) -> None:
    """Killed before the registry or the cluster has handled a request that writes, and right after that."""
    scene, proxy, api = broken
    scene.hold(scene.zot.reader)
    old = scene.age()
    where = api if request_.startswith("PATCH") else proxy
    with Pods(scene) as pods:
        where.set(Fault(fault, request_))
        run = scene.start()
        _wait_until(lambda: bool(where.recorded_requests()), run)
        time.sleep(0.5)  # until the request is handled
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        where.set()
        assert old in [key["uuid"] for key in scene.listed()] or (request_, fault) == (f"DELETE {KEY_PATH}", "silent")
        assert scene.may_pull(scene.held())
        done = scene.rotate()
        assert done.returncode == 0, done.stdout
        assert scene.the_only_key()["uuid"] != old
    assert pods.pulls > 10
    assert pods.refused == []


def _wait_until(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_runs_at_once(scene: Scene) -> None:
    """The pods can pull at the end, with the key of either run. The next run leaves one key."""
    scene.hold(scene.zot.reader)
    scene.age()
    with Pods(scene) as pods:
        runs = [scene.start(f"run{number}") for number in range(2)]
        codes = [run.wait(timeout=120) for run in runs]
        assert 0 in codes
        assert scene.may_pull(scene.held())
        assert scene.rotate().returncode == 0
        assert scene.the_only_key()
    assert pods.refused == []


def test_a_refused_write_leaves_no_key(scene: Scene) -> None:
    """A secret that something else manages: the old account stays, and no key is left."""
    scene.hold(scene.zot.reader)
    scene.kubectl("annotate", "secret", NAME, "meta.helm.sh/release-name=openclaw")
    for option in (["--check"], []):
        done = scene.rotate(*option)
        assert done.returncode == 2, done.stdout
        assert "Helm" in done.stdout
        assert scene.listed() == []
        assert scene.held().password == scene.zot.reader.password
    forced = scene.rotate(zot_pull_secret_force=True)
    assert forced.returncode == 0, forced.stdout
    assert scene.the_only_key()


def test_one_cluster_is_down(scene: Scene, site: Site, tmp_path: Path) -> None:
    """It keeps its key, the other cluster and the other namespaces get theirs, and the run is red."""
    scene.hold(scene.zot.reader)
    config = yaml.safe_load(site.cluster.kubeconfig.read_text(encoding="utf-8"))
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    down = tmp_path / "down.kubeconfig"
    down.write_text(json.dumps(config))
    python = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = {"down": {"zot_kubeconfig": str(down)}, "eu": {"zot_kubeconfig": str(site.cluster.kubeconfig)}}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(json.dumps({"all": {"children": {"clusters": {"hosts": hosts, "vars": python}}}}))
    namespaces = f"missing,{scene.kubectl.namespace}"
    # Without zot_namespace, which the other tests give.
    given = {"zot_namespace": None, "zot_clusters": "clusters", "zot_rotate_namespaces": namespaces}
    done = scene.rotate(f"--inventory={inventory}", **given)
    assert done.returncode == 2, done.stdout
    report = stats(done, "zot_rotate_report")
    results = {(row["host"], row["namespace"]): row["result"] for row in report["keys"]}
    assert results == {
        ("down", "missing"): "failed",
        ("down", scene.kubectl.namespace): "failed",
        ("eu", "missing"): "failed",
        ("eu", scene.kubectl.namespace): "renewed",
    }
    assert scene.the_only_key()


def test_the_least_rights_suffice(scene: Scene) -> None:
    scene.hold(scene.zot.reader)
    path = restricted(scene.kubectl, scene.site.cluster, "zot_rotate", scene.site.directory)
    scene.site.environment["K8S_AUTH_KUBECONFIG"] = str(path)
    done = scene.rotate()
    assert done.returncode == 0, done.stdout
    assert scene.the_only_key()


def test_a_key_is_nowhere(scene: Scene, tmp_path: Path) -> None:
    """At -vvvv, with logs, callbacks and a diff, in process lists, and in files that are left."""
    scene.hold(scene.zot.reader)
    scene.site.environment.update(verbose_settings(tmp_path))
    with Watched(Path(scene.site.environment["HOME"])) as watched:
        run = scene.rotate("-vvvv", "--diff")
    assert run.returncode == 0, run.stdout
    key, reader = scene.held(), scene.zot.reader
    secrets = [*forms(key.username, key.password), *forms(reader.username, reader.password)]
    ours = {tmp_path / "variables.json"}
    assert_no_leak(secrets, watched, run, [tmp_path], ours=ours, given=["ZOT_PASSWORD"])


def test_a_key_that_nobody_uses_is_listed(scene: Scene, abandoned: dict[str, Any]) -> None:
    """But neither revoked, since somebody may have it, nor a problem."""
    created = datetime.fromisoformat(abandoned["createdAt"][:19]).replace(tzinfo=timezone.utc)
    # The shortest time is a minute.
    time.sleep(max(0.0, 62 - (datetime.now(timezone.utc) - created).total_seconds()))
    done = scene.rotate(zot_rotate_unused_for="1m")
    assert done.returncode == 0, done.stdout
    report = stats(done, "zot_rotate_report")
    assert abandoned["uuid"] in [key["uuid"] for key in report["unused"]]
    assert f"Nobody has used the key {abandoned['uuid']} (abandoned)" in "\n".join(report["summary"])
    assert scene.the_only_key()["uuid"] not in [key["uuid"] for key in report["unused"]]
    assert abandoned["uuid"] in [key["uuid"] for key in scene.ask().json()["apiKeys"]]
