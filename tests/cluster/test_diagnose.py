# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_diagnose on a real cluster and a real registry: all is broken for real, and mended by its words."""

from __future__ import annotations

import contextlib
import json
import re
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
from cluster.support import Kubectl, auth, pull_secret, ready, restricted, secret, workload
from integration.support import Module
from reliability.support import archive

from environment.cluster import Cluster
from environment.images import Images
from environment.registry import Account, Registry

Diagnose = Callable[..., tuple[CompletedProcess[str], dict[str, Any]]]
LABELS = {"app.kubernetes.io/name": "openclaw"}
GONE = f"sha256:{'0' * 64}"
WRONG = "wr0ng-s3cret"


@pytest.fixture
def diagnose(
    playbook: Callable[..., CompletedProcess[str]],
    environment: dict[str, str],
    cluster: Cluster,
    kubectl: Kubectl,
    tmp_path: Path,
) -> Diagnose:
    """Run killinit.zot.diagnose in the namespace of the test, with the least rights; returns the run and its report."""
    environment["K8S_AUTH_KUBECONFIG"] = str(restricted(kubectl, cluster, "zot_diagnose", tmp_path))
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    # Whoever runs it is logged in, which is of no use to a pod.
    login = Path(environment["HOME"]) / ".docker/config.json"
    login.parent.mkdir()
    entry = {"auth": auth(environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"])}
    login.write_text(json.dumps({"auths": {environment["ZOT_REGISTRY"]: entry}}))

    def run(*options: str, **variables: Any) -> tuple[CompletedProcess[str], dict[str, Any]]:
        done = playbook("killinit.zot.diagnose", *options, zot_namespace=kubectl.namespace, **variables)
        stats = re.search(r"RUN: (\{.*\})", done.stdout)
        assert stats, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(stats[1])["zot_diagnose_report"]
        # Its word is the exit code, and it changes nothing.
        assert done.returncode == (0 if found["ok"] else 2)
        assert "changed=0" in done.stdout
        return done, found

    return run


@pytest.fixture
def deploy(kubectl: Kubectl) -> Callable[..., None]:
    """Create a Deployment that the playbook looks at."""

    def run(name: str, image: str, **changes: Any) -> None:
        kubectl.apply(workload(image, name=name, labels=LABELS, **changes))

    return run


@pytest.fixture
def released(images: Images, repository: str, module: Module, registry: Registry) -> str:
    """A repository: the tag 1; arm64, not for the node; the index `foreign` of that; `new`, which nobody pulls."""
    for tag, name in (("1", "buildah-amd64"), ("arm64", "buildah-arm64"), ("new", "changed-env")):
        pushed = module("zot_push", archive=str(images[name]), repository=f"{repository}/app", tags=[tag])
        assert not pushed["failed"], pushed
    joined = module("zot_index", repository=f"{repository}/app", manifests=["arm64"], tags=["foreign"])
    assert not joined["failed"], joined
    return f"{registry.host}/{repository}/app"


def until_they_fail(kubectl: Kubectl, count: int) -> None:
    """Wait until no pod is at its first try any more."""
    deadline = time.monotonic() + 120
    while True:
        pods = kubectl.get("pods")["items"]
        statuses = [(pod["status"].get("containerStatuses") or [{}])[0] for pod in pods]
        waiting = [((status.get("state") or {}).get("waiting") or {}).get("reason") for status in statuses]
        crashed = [bool(status.get("restartCount")) for status in statuses]
        settled = [crash or reason not in (None, "ContainerCreating") for crash, reason in zip(crashed, waiting)]
        if len(pods) == count and all(settled):
            return
        assert time.monotonic() < deadline, dict(zip([pod["metadata"]["name"] for pod in pods], waiting))
        time.sleep(0.5)


class Answer(BaseHTTPRequestHandler):
    """A registry that answers every question with the same status and the same body."""

    status, body = 429, b""

    def do_GET(self) -> None:
        """Refuse."""
        self.send_response(200 if self.path == "/v2/" else self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else self.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """A server that always answers so; yields its address."""
    handler = type("Handler", (Answer,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_cause(
    released: str,
    deploy: Callable[..., None],
    diagnose: Diagnose,
    kubectl: Kubectl,
    cluster: Cluster,
    registry: Registry,
    module: Module,
    images: Images,
) -> None:
    """What one node can produce, all at once; each gets exactly its verdict."""
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
    # The Role of the README names the one secret that pods usually have.
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
            "tag": (f"{released}:3", {}, ["tag_missing"]),
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
            # Kubelet gives up the good one, too.
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
            "first": (
                tag,
                {"pod": {"initContainers": [{"name": "first", "image": f"{released}:3"}]}},
                ["tag_missing"],
            ),
            "never": (f"{released}:new", {"policy": "Never"}, ["pull_policy_never"]),
            # Two at once: first the one without which the other is not even seen.
            "both": (f"{released}:3", {"secret": "wrong"}, ["credentials_refused", "tag_missing"]),
            "three": (
                f"{released}:3",
                {"secret": "nowhere", "policy": "Never"},
                ["pull_policy_never", "secret_missing", "tag_missing"],
            ),
        }
        for each, (image, changes, _causes) in broken.items():
            deploy(each, image, **changes)
        until_they_fail(kubectl, len(broken))
        deploy("good", tag)
        ready(kubectl, "deployment/good")
        run, report = diagnose("-vvv")

    verdicts = {each["subject"]: [cause["cause"] for cause in each["causes"]] for each in report["findings"]}
    assert verdicts == {f"deployment/{each}": causes for each, (_image, _changes, causes) in broken.items()}
    uses = {each["subject"].partition("/")[2]: each["uses"] for each in report["findings"]}
    assert uses["volume"] == uses["mount"] == ["image volume workspace"]
    assert uses["first"] == ["init container first"]
    assert {each["pods"] for each in report["findings"]} == {1}
    assert report["unseen"] == []
    by_name = {each["subject"].partition("/")[2]: each["causes"][0] for each in report["findings"]}
    assert "app has no tag 3; nearest to it: " in by_name["tag"]["message"]
    taken = by_name["tag"]["commands"][0].rpartition("=")[2]
    assert taken in (tag, f"{released}:new"), "one that is for the node"
    assert by_name["repository"]["message"].startswith(f"there is no repository {name}2; nearest to it: {name}")
    assert "(sha256:" in by_name["digest"]["message"]
    assert "linux/arm64" in by_name["index"]["message"]
    assert report["findings"][-1]["subject"] == "deployment/limited", "what passes by itself comes last"
    for hidden in (reader.password, registry.writer.password, WRONG, auth(reader.username, reader.password)):
        assert hidden not in run.stdout + run.stderr


def typed(run: CompletedProcess[str]) -> list[str]:
    """The commands that a run shows, as somebody copies them from the terminal."""
    return re.findall(r"^ {6}(\S.*)$", run.stdout + run.stderr, re.MULTILINE)


MENDED = {
    "nothing is there": ["secret_missing", "secret_not_named"],
    "wrong password, wrong tag": ["credentials_refused", "tag_missing"],
    "volume": ["tag_missing"],
    "never pulled": ["pull_policy_never"],
    "misnamed": ["host_unknown"],
    "misspelt secret": ["secret_missing"],
    "of a StatefulSet": ["tag_missing"],
    "never pulled, and no secret": ["pull_policy_never", "secret_missing", "secret_not_named"],
}


@pytest.mark.parametrize("case", MENDED)
def test_the_remedy_mends(
    case: str,
    released: str,
    deploy: Callable[..., None],
    diagnose: Diagnose,
    kubectl: Kubectl,
    cluster: Cluster,
    registry: Registry,
    environment: dict[str, str],
) -> None:
    """Whoever copies what the terminal shows, line by line and nothing else, has a pod that runs."""
    tag = f"{released}:1"
    if case == "wrong password, wrong tag":
        kubectl.apply(pull_secret(registry, Account(registry.reader.username, WRONG)))
    elif "secret_not_named" not in MENDED[case]:
        kubectl.apply(pull_secret(registry, registry.reader))
    image, changes = {
        "nothing is there": (tag, {"secret": None}),
        "wrong password, wrong tag": (f"{released}:3", {}),
        "volume": (tag, {"volume": f"{released}:3"}),
        "never pulled": (f"{released}:new", {"policy": "Never"}),
        "misnamed": (tag.replace(registry.host, "nowhere.invalid"), {}),
        "misspelt secret": (tag, {"secret": "zot pull secret"}),
        "of a StatefulSet": (f"{released}:3", {"kind": "StatefulSet", "replicas": 2}),
        "never pulled, and no secret": (f"{released}:new", {"policy": "Never", "secret": None}),
    }[case]
    deploy("openclaw", image, **changes)
    until_they_fail(kubectl, 1)
    run, report = diagnose()
    (finding,) = report["findings"]
    assert [cause["cause"] for cause in finding["causes"]] == MENDED[case]
    commands = typed(run)
    assert commands == [command for cause in finding["causes"] for command in cause["commands"]]

    engineer = {
        **environment,
        "KUBECONFIG": str(cluster.kubeconfig),
        "K8S_AUTH_KUBECONFIG": str(cluster.kubeconfig),
        "PATH": f"{cluster.kubectl.parent}:{environment['PATH']}",
        "ZOT_USERNAME": registry.reader.username,
        "ZOT_PASSWORD": registry.reader.password,
    }
    for command in commands:
        done = subprocess.run(["sh", "-c", command], env=engineer, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    ready(kubectl, finding["subject"])
    deadline = time.monotonic() + 30
    while len(kubectl.get("pods")["items"]) > changes.get("replicas", 1):
        assert time.monotonic() < deadline, "the broken pod does not go"
        time.sleep(0.5)
    assert diagnose()[1]["ok"]


def test_fifty_pods_are_one_finding(
    released: str, deploy: Callable[..., None], diagnose: Diagnose, kubectl: Kubectl, registry: Registry
) -> None:
    """Though kubelet has other words for each: it pulls only so many at a time."""
    kubectl.apply(pull_secret(registry, registry.reader))
    deploy("openclaw", f"{released}:3", replicas=50)
    until_they_fail(kubectl, 50)
    _run, report = diagnose()
    (finding,) = report["findings"]
    assert (finding["pods"], len(finding["pod_names"]), report["pods"]) == (50, 50, 50)
    assert [cause["cause"] for cause in finding["causes"]] == ["tag_missing"]
    # Whether something would be changed does not matter to one that changes nothing.
    assert diagnose("--check")[1] == report


def test_only_waiting_for_the_next_try(
    released: str,
    deploy: Callable[..., None],
    diagnose: Diagnose,
    kubectl: Kubectl,
    registry: Registry,
    module: Module,
    images: Images,
) -> None:
    """What was wrong is mended: it says so, and how long kubelet waits."""
    kubectl.apply(pull_secret(registry, registry.reader))
    deploy("openclaw", f"{released}:3")
    until_they_fail(kubectl, 1)
    time.sleep(20)  # the first two tries are over, so that the next one is not at hand
    pushed = module("zot_push", archive=str(images["buildah-amd64"]), repository=released.partition("/")[2], tags=["3"])
    assert not pushed["failed"], pushed
    _run, report = diagnose()
    (finding,) = report["findings"]
    (cause,) = finding["causes"]
    assert cause["cause"] == "works_now"
    assert re.search(r"tries again in about \d+ s", cause["remedy"])


def test_a_quota(deploy: Callable[..., None], diagnose: Diagnose, kubectl: Kubectl, cluster: Cluster) -> None:
    """In the words of Zot (pkg/api/quota.go), of which kubelet hears no more than the number."""
    error = {"code": "TOOMANYREQUESTS", "message": "too many requests", "detail": {"limit": "3"}}
    with answering(429, json.dumps({"errors": [error]}).encode()) as host:
        cluster.trust(host, None, f"http://{host}")
        deploy("openclaw", f"{host}/openclaw/app:1", secret=None)
        until_they_fail(kubectl, 1)
        _run, report = diagnose(zot_registry=host)
    assert report["findings"][0]["causes"][0]["cause"] == "quota_exceeded"


def test_a_full_disk(
    released: str,
    deploy: Callable[..., None],
    diagnose: Diagnose,
    kubectl: Kubectl,
    cluster: Cluster,
    registry: Registry,
    module: Module,
    tmp_path: Path,
) -> None:
    """The pod is there, and only then the image, for which the node has no room."""
    kubectl.apply(pull_secret(registry, registry.reader))
    deploy("openclaw", f"{released}:3")
    until_they_fail(kubectl, 1)
    large = str(archive(tmp_path / "large.tar", size=500_000))
    with cluster.without_room():
        pushed = module("zot_push", archive=large, repository=released.partition("/")[2], tags=["3"])
        assert not pushed["failed"], pushed
        deadline = time.monotonic() + 120
        while "no space left" not in kubectl("get", "pods", "--output=json"):
            assert time.monotonic() < deadline, kubectl("get", "pods", "--output=json")
            time.sleep(0.5)
        _run, report = diagnose()
    (finding,) = report["findings"]
    assert [cause["cause"] for cause in finding["causes"]] == ["disk_full"]
    assert finding["causes"][0]["evidence"].endswith("no space left on device")


def test_a_registry_that_does_not_answer(
    deploy: Callable[..., None], diagnose: Diagnose, kubectl: Kubectl, cluster: Cluster
) -> None:
    """Neither the node, whose first pull goes on for ever, nor us, who do not wait as long."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        cluster.trust(host, None, f"http://{host}")
        deploy("openclaw", f"{host}/openclaw/app:1", secret=None)
        deadline = time.monotonic() + 60
        while "Pulling image" not in kubectl("get", "events", "--output=json"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        began = time.monotonic()
        _run, report = diagnose(zot_registry=host, zot_diagnose_wait=1)
    assert time.monotonic() - began < 120
    assert [cause["cause"] for cause in report["findings"][0]["causes"]] == ["pulling"]
    assert any("did not end within" in each for each in report["unseen"]), report["unseen"]


def test_what_was_added_to_a_pod_that_runs(
    released: str, deploy: Callable[..., None], diagnose: Diagnose, kubectl: Kubectl, registry: Registry
) -> None:
    """It is found, and nothing is proposed that ends the pod."""
    kubectl.apply(pull_secret(registry, registry.reader))
    deploy("openclaw", f"{released}:1")
    ready(kubectl, "deployment/openclaw")
    (pod,) = kubectl.get("pods")["items"]
    kubectl("debug", pod["metadata"]["name"], f"--image={released}:3", "--container=debugger", "--attach=false")
    deadline = time.monotonic() + 60
    while "PullBackOff" not in kubectl("get", "pods", "--output=json"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    _run, report = diagnose()
    (finding,) = report["findings"]
    assert finding["uses"] == ["ephemeral container debugger"]
    assert [(cause["cause"], cause["commands"]) for cause in finding["causes"]] == [("tag_missing", [])]


def test_nothing_fails(
    released: str, deploy: Callable[..., None], diagnose: Diagnose, kubectl: Kubectl, registry: Registry
) -> None:
    """It says how many pods it has looked at; those with other labels are not among them."""
    kubectl.apply(pull_secret(registry, registry.reader))
    deploy("openclaw", f"{released}:1")
    kubectl.apply(workload(f"{released}:3", name="other"))
    ready(kubectl, "deployment/openclaw")
    until = time.monotonic() + 30
    while len(kubectl.get("pods")["items"]) < 2:
        assert time.monotonic() < until
    run, report = diagnose()
    assert (report["ok"], report["pods"], report["findings"]) == (True, 1, [])
    assert f"no pod in namespace {kubectl.namespace} fails to pull; looked at: 1" in run.stdout
    _run, others = diagnose(zot_diagnose_selectors=["app=other"], zot_diagnose_wait=0)
    assert [each["subject"] for each in others["findings"]] == ["deployment/other"]


@pytest.mark.parametrize("resource", ["secrets", "events", "serviceaccounts", "nodes"])
def test_missing_right_is_told(
    resource: str,
    released: str,
    deploy: Callable[..., None],
    diagnose: Diagnose,
    kubectl: Kubectl,
    cluster: Cluster,
    registry: Registry,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """By verb and resource; the rest is found without it."""
    kubectl.apply(pull_secret(registry, Account(registry.reader.username, WRONG)))
    deploy("openclaw", f"{released}:3")
    until_they_fail(kubectl, 1)
    verb = "get" if resource == "secrets" else "list"
    path = restricted(kubectl, cluster, "zot_diagnose", tmp_path, without=[(verb, resource)])
    environment["K8S_AUTH_KUBECONFIG"] = str(path)
    _run, report = diagnose()
    assert [f"may not {verb} {resource} in " in each for each in report["unseen"]] == [True]
    causes = [cause["cause"] for cause in report["findings"][0]["causes"]]
    assert causes == ["unknown" if resource == "secrets" else "credentials_refused", "tag_missing"]


def test_pods_may_not_be_read(
    kubectl: Kubectl,
    cluster: Cluster,
    environment: dict[str, str],
    playbook: Callable[..., CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    """Then there is nothing to say but that."""
    path = restricted(kubectl, cluster, "zot_diagnose", tmp_path, without=[("list", "pods")])
    environment["K8S_AUTH_KUBECONFIG"] = str(path)
    refused = playbook("killinit.zot.diagnose", zot_namespace=kubectl.namespace)
    assert refused.returncode == 2
    assert f"may not list pods in namespace {kubectl.namespace}" in refused.stdout + refused.stderr
