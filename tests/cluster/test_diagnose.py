# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_diagnose on a real cluster and a real registry: real failures, fixed by the commands that it prints."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cluster.support import Kubectl, Site, auth, pull_secret, ready, restricted, secret, stats, workload
from integration.support import Module
from reliability.support import archive, wait_until

from environment.images import Images
from environment.registry import Account, Registry

Diagnose = Callable[..., tuple[CompletedProcess[str], dict[str, Any]]]
GONE = f"sha256:{'0' * 64}"
WRONG = "wr0ng-s3cret"


@pytest.fixture
def diagnose(site: Site, tmp_path: Path) -> Diagnose:
    """Run killinit.zot.diagnose in the namespace of the test, with the least rights; returns the run and the report."""
    playbook, environment, cluster, kubectl = site.playbook, site.environment, site.cluster, site.kubectl
    environment["K8S_AUTH_KUBECONFIG"] = str(restricted(kubectl, cluster, "zot_diagnose", tmp_path))
    # A login of the person who runs the playbook is of no use to a pod.
    login = Path(environment["HOME"]) / ".docker/config.json"
    login.parent.mkdir()
    entry = {"auth": auth(environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"])}
    login.write_text(json.dumps({"auths": {environment["ZOT_REGISTRY"]: entry}}))

    def run(*options: str, **variables: Any) -> tuple[CompletedProcess[str], dict[str, Any]]:
        done = playbook("killinit.zot.diagnose", *options, zot_namespace=kubectl.namespace, **variables)
        found = stats(done, "zot_diagnose_report")
        assert done.returncode == (0 if found["ok"] else 2)
        assert "changed=0" in done.stdout
        return done, found

    return run


@pytest.fixture
def released(images: Images, repository: str, module: Module, registry: Registry) -> str:
    """A repository with the tags 1, arm64 (not for the node), foreign (an index of arm64) and new (never pulled)."""
    for tag, name in (("1", "buildah-amd64"), ("arm64", "buildah-arm64"), ("new", "changed-env")):
        pushed = module("zot_push", archive=str(images[name]), repository=f"{repository}/app", tags=[tag])
        assert not pushed["failed"], pushed
    joined = module("zot_index", repository=f"{repository}/app", manifests=["arm64"], tags=["foreign"])
    assert not joined["failed"], joined
    return f"{registry.host}/{repository}/app"


def until_they_fail(kubectl: Kubectl, count: int) -> None:
    """Wait until kubelet has tried to pull every image."""

    def settled(pod: dict[str, Any]) -> bool:
        status = (pod["status"].get("containerStatuses") or [{}])[0]
        reason = status.get("state", {}).get("waiting", {}).get("reason")
        return bool(status.get("restartCount")) or reason not in (None, "ContainerCreating")

    wait_until(lambda: [*map(settled, kubectl.get("pods")["items"])] == [True] * count, "every pull fails", 120)


class Answer(BaseHTTPRequestHandler):
    """A registry that answers every request with the same status and the same body."""

    status, body = 429, b""

    def do_GET(self) -> None:
        """Refuse."""
        self.send_response(200 if self.path == "/v2/" else self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else self.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """A server that always answers so; yields its address."""
    handler = type("Handler", (Answer,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_cause(site: Site, released: str, diagnose: Diagnose) -> None:
    """Everything that one node can produce, at once; each pod gets exactly its causes."""
    kubectl, cluster, registry, module, images = site.kubectl, site.cluster, site.registry, site.module, site.images
    reader, host, name = registry.reader, registry.host, released.partition("/")[2]
    private = module("zot_push", archive=str(images["buildah-amd64"]), repository=f"private/{name}", tags=["1"])
    assert not private["failed"], private
    credentials = auth(reader.username, reader.password)
    kubectl.apply(
        pull_secret(registry, reader),
        pull_secret(registry, Account(reader.username, WRONG), "wrong"),
        secret("elsewhere", {"auths": {"other.example": {"auth": credentials}}}),
        secret("opaque", {"auths": {host: {"auth": credentials}}}, kind="Opaque"),
        secret("unreadable", {"auths": {host: {"auth": "%"}}}),
    )
    # The Role in the README allows only the usual secret.
    kubectl("create", "role", "secrets", "--verb=get", "--resource=secrets")
    kubectl("create", "rolebinding", "secrets", "--role=secrets", f"--serviceaccount={kubectl.namespace}:least")
    tag = f"{released}:1"
    with answering(429) as limiting, answering(503) as failing, socket.create_server(("127.0.0.1", 0)) as silent:
        cluster.trust("plain.test:5000", None, f"https://{limiting}")
        cluster.trust("limiting.test:5000", None, f"http://{limiting}")
        cluster.trust("failing.test:5000", None, f"http://{failing}")
        cluster.trust("silent.test:5000", None, f"https://127.0.0.1:{silent.getsockname()[1]}")
        cluster.trust("untrusted.test:5000", None, f"https://{host}")
        broken: dict[str, tuple[str, dict[str, Any], list[str]]] = {
            "tag": (f"{released}:newer", {}, ["tag_missing"]),
            "repository": (f"{released}2:1", {}, ["repository_missing"]),
            "digest": (f"{released}@{GONE}", {}, ["digest_missing"]),
            "pinned": (f"{tag}@{GONE}", {}, ["digest_missing"]),
            "volume": (tag, {"volume": f"{released}:3"}, ["tag_missing"]),
            "unnamed": (tag, {"secret": None}, ["secret_not_named"]),
            "missing": (tag, {"secret": "nowhere"}, ["secret_missing"]),
            "misspelt": (tag, {"secret": "zot pull secret"}, ["secret_missing"]),
            "elsewhere": (tag, {"secret": "elsewhere"}, ["secret_without_entry"]),
            "opaque": (tag, {"secret": "opaque"}, ["secret_type"]),
            "unreadable": (tag, {"secret": "unreadable"}, ["secret_unreadable"]),
            # kubelet then ignores the good secret, too.
            "spoiled": (
                tag,
                {"pod": {"imagePullSecrets": [{"name": "zot-pull-secret"}, {"name": "unreadable"}]}},
                ["secret_unreadable"],
            ),
            "wrong": (tag, {"secret": "wrong"}, ["credentials_refused"]),
            "denied": (f"{host}/private/{name}:1", {}, ["read_denied"]),
            "index": (f"{released}:foreign", {}, ["platform_missing"]),
            "single": (f"{released}:arm64", {}, ["architecture_wrong"]),
            "untrusted": (f"untrusted.test:5000/{name}:1", {}, ["certificate_not_trusted"]),
            "plain": (f"plain.test:5000/{name}:1", {}, ["plain_http"]),
            "limited": (f"limiting.test:5000/{name}:1", {}, ["rate_limited"]),
            "failing": (f"failing.test:5000/{name}:1", {}, ["registry_failing"]),
            "silent": (f"silent.test:5000/{name}:1", {}, ["timed_out"]),
            "refused": (f"127.0.0.1:1/{name}:1", {}, ["connection_refused"]),
            "unknown": (f"nowhere.invalid/{name}:1", {}, ["host_unknown"]),
            "malformed": (f"{host}/{name.replace('app', 'App')}:1", {}, ["reference_malformed"]),
            "mount": (tag, {"volume": f"{host}/{name.replace('app', 'App')}:1"}, ["reference_malformed"]),
            "first": (tag, {"pod": {"initContainers": [{"name": "first", "image": f"{released}:3"}]}}, ["tag_missing"]),
            "never": (f"{released}:new", {"policy": "Never"}, ["pull_policy_never"]),
            # Two causes: the first hides the second from kubelet.
            "both": (f"{released}:3", {"secret": "wrong"}, ["credentials_refused", "tag_missing"]),
            "three": (
                f"{released}:3",
                {"secret": "nowhere", "policy": "Never"},
                ["pull_policy_never", "secret_missing", "tag_missing"],
            ),
        }
        kubectl.apply(*(workload(image, name=each, **changes) for each, (image, changes, _causes) in broken.items()))
        until_they_fail(kubectl, len(broken))
        site.deploy("good", tag)
        ready(kubectl, "deployment/good")
        run, report = diagnose("-vvv")

    assert causes_of(report) == {f"deployment/{each}": causes for each, (_image, _changes, causes) in broken.items()}
    first = {each["resource"].partition("/")[2]: each for each in reversed(report["findings"])}
    assert first["volume"]["containers"] == first["mount"]["containers"] == ["image volume workspace"]
    assert first["first"]["containers"] == ["init container first"]
    assert {len(each["pod_names"]) for each in report["findings"]} == {1}
    assert report["unreadable"] == []
    taken = first["tag"]["commands"][0].rpartition("=")[2]
    assert taken == f"{released}:new"
    assert name in first["repository"]["message"].partition(f"{name}2")[2]
    assert "(sha256:" in first["digest"]["message"]
    assert "linux/arm64" in first["index"]["message"]
    assert report["findings"][-1]["resource"] == "deployment/limited", "what passes without a change is not last"
    for hidden in (reader.password, registry.writer.password, WRONG, auth(reader.username, reader.password)):
        assert hidden not in run.stdout + run.stderr


def causes_of(report: dict[str, Any]) -> dict[str, list[str]]:
    """The causes by resource, in their order."""
    found: dict[str, list[str]] = {}
    for each in report["findings"]:
        found.setdefault(each["resource"], []).append(each["cause"])
    return found


def typed(run: CompletedProcess[str]) -> list[str]:
    """The commands that a run prints, as they are copied from the terminal."""
    return re.findall(r"^ {6}(\S.*)$", run.stdout + run.stderr, re.MULTILINE)


# By scene: the workloads that fail, and their causes.
FIXED: dict[str, dict[str, list[str]]] = {
    "no secret": {"openclaw": ["secret_missing", "secret_not_named"]},
    "never pulled, and no secret": {"openclaw": ["pull_policy_never", "secret_missing", "secret_not_named"]},
    "wrong password, wrong tag": {"openclaw": ["credentials_refused", "tag_missing"]},
    "good secret": {
        "volume": ["tag_missing"],
        "never": ["pull_policy_never"],
        "misnamed": ["host_unknown"],
        "misspelt": ["secret_missing"],
        "stateful": ["tag_missing"],
    },
}


@pytest.mark.parametrize("scene", FIXED)
def test_the_commands_fix_it(site: Site, scene: str, released: str, diagnose: Diagnose, tmp_path: Path) -> None:
    """After the commands that the terminal shows, one by one and nothing else, the pods run."""
    kubectl, cluster, registry, environment = site.kubectl, site.cluster, site.registry, site.environment
    tag = f"{released}:1"
    if scene == "wrong password, wrong tag":
        kubectl.apply(pull_secret(registry, Account(registry.reader.username, WRONG)))
    elif scene == "good secret":
        kubectl.apply(pull_secret(registry, registry.reader))
    workloads: dict[str, tuple[str, dict[str, Any]]] = {
        "no secret": {"openclaw": (tag, {"secret": None})},
        "never pulled, and no secret": {"openclaw": (f"{released}:new", {"policy": "Never", "secret": None})},
        "wrong password, wrong tag": {"openclaw": (f"{released}:newer", {})},
        "good secret": {
            "volume": (tag, {"volume": f"{released}:newer"}),
            "never": (f"{released}:new", {"policy": "Never"}),
            "misnamed": (tag.replace(registry.host, "nowhere.invalid"), {}),
            "misspelt": (tag, {"secret": "zot pull secret"}),
            "stateful": (f"{released}:newer", {"kind": "StatefulSet", "replicas": 2}),
        },
    }[scene]
    kubectl.apply(*(workload(image, name=name, **changes) for name, (image, changes) in workloads.items()))
    until_they_fail(kubectl, len(workloads))
    run, report = diagnose()
    assert {name.partition("/")[2]: causes for name, causes in causes_of(report).items()} == FIXED[scene]
    commands = typed(run)
    assert commands == [command for finding in report["findings"] for command in finding["commands"]]

    # The commands name the kubeconfig of the diagnosis, whose user may only read.
    shutil.copyfile(cluster.kubeconfig, environment["K8S_AUTH_KUBECONFIG"])
    engineer = {**environment, "PATH": f"{cluster.kubectl.parent}:{environment['PATH']}"}
    reader = registry.reader
    account = {"zot_pull_secret_username": reader.username, "zot_pull_secret_password": reader.password}
    (tmp_path / "pull-secret.yml").write_text(json.dumps(account))
    for command in commands:
        shell = ["sh", "-c", command]
        done = subprocess.run(shell, env=engineer, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    ready(kubectl, *causes_of(report))
    wanted = sum(changes.get("replicas", 1) for _image, changes in workloads.values())
    wait_until(lambda: len(kubectl.get("pods")["items"]) == wanted, "the broken pods end")
    assert diagnose()[1]["ok"]


def test_a_full_disk(site: Site, released: str, diagnose: Diagnose, tmp_path: Path) -> None:
    """The image is larger than the free space of the node."""
    kubectl, cluster, registry, module = site.kubectl, site.cluster, site.registry, site.module
    kubectl.apply(pull_secret(registry, registry.reader))
    site.deploy("openclaw", f"{released}:3")
    until_they_fail(kubectl, 1)
    large = str(archive(tmp_path / "large.tar", size=500_000))
    with cluster.without_room():
        pushed = module("zot_push", archive=large, repository=released.partition("/")[2], tags=["3"])
        assert not pushed["failed"], pushed
        wait_until(lambda: "no space left" in kubectl("get", "pods", "--output=json"), "the disk is full", 120)
        _run, report = diagnose()
    (finding,) = report["findings"]
    assert finding["cause"] == "disk_full"
    assert finding["evidence"].endswith("no space left on device")


def until_it_pulls(kubectl: Kubectl) -> None:
    """Wait until kubelet pulls for the only pod."""

    def pulls() -> bool:
        names = {pod["metadata"]["name"] for pod in kubectl.get("pods")["items"]}
        events = kubectl.get("events", "--field-selector=reason=Pulling")["items"]
        return bool(names) and names <= {event["involvedObject"]["name"] for event in events}

    wait_until(pulls, "kubelet pulls", 60)


def test_a_registry_that_does_not_answer(site: Site, diagnose: Diagnose) -> None:
    """The node's first pull does not end; the diagnosis does, whatever the time zone of the host."""
    kubectl, cluster, environment = site.kubectl, site.cluster, site.environment
    environment["TZ"] = "Europe/Berlin"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        cluster.trust(host, None, f"http://{host}")
        site.deploy("openclaw", f"{host}/openclaw/app:1", secret=None)
        until_it_pulls(kubectl)
        began = time.monotonic()
        _run, report = diagnose(zot_registry=host, zot_diagnose_pull_timeout=1)
        took = time.monotonic() - began
        # Containerd gives up a pull after a while: the next diagnosis is of a new one.
        kubectl("delete", "pods", "--all", "--force", "--grace-period=0")
        until_it_pulls(kubectl)
        environment["TZ"] = "America/New_York"
        _run, young = diagnose(zot_registry=host, zot_diagnose_pull_timeout=600)
    assert young["ok"], young["findings"]
    assert took < 40
    assert causes_of(report) == {"deployment/openclaw": ["pulling"]}
    assert [each["resource"] for each in report["unreadable"]] == [f"{host}/openclaw/app"]
