# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases in clusters in which other controllers and other people are at work, and to which the connection breaks."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import kubernetes
import pytest
from cluster.support import Kubectl, Site, cronjob, pods, pull_secret, ready, report, restricted, stats, workload
from cluster.test_rollback import RECORD, A, B, C, Shop
from integration.support import recap
from reliability.support import wait_until

LONG = "n" + "ame" * 80


@pytest.fixture
def shop(site: Site) -> Shop:
    return Shop(site)


@contextlib.contextmanager
def pinning(kubectl: Kubectl, image: str) -> Iterator[None]:
    """A policy of the cluster that sets the image of each pod with the label `pinned`, as image policies do."""
    policy = f"pin-{kubectl.namespace}"
    group, metadata = "admissionregistration.k8s.io/v1", {"name": policy}
    change = f"Object{{spec: Object.spec{{containers: [Object.spec.containers{{name: 'app', image: '{image}'}}]}}}}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    selectors = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}},
        "objectSelector": {"matchLabels": {"pinned": "yes"}},
    }
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [rule], **selectors},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": change}}],
    }
    kubectl.apply(
        {"apiVersion": group, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": policy},
        },
    )
    probe = workload("probe:1", name="probe", labels={"pinned": "yes"})["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **probe, "metadata": {**probe["metadata"], "name": "probe"}}

    def is_in_force() -> bool:
        made = json.loads(kubectl("create", "--dry-run=server", "--output=json", "--filename=-", given=pod))
        return bool(made["spec"]["containers"][0]["image"] == image)

    try:
        wait_until(is_in_force, "the policy is in force", 60)
        yield
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            kubectl("delete", kind, policy)
        # The API server applies the deleted policy for some more seconds.
        wait_until(lambda: not is_in_force(), "the policy has ended", 60)


def test_a_policy_that_pins_the_pods(shop: Shop) -> None:
    """It is restarted twice. Then the problem says that template and pods differ. Without the policy it is green."""
    kubectl = shop.kubectl
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest")
    names = ("deployment/web", "deployment/free")
    kubectl.apply(
        workload(f"{shop.web}:latest", name="web", labels={"pinned": "yes"}),
        workload(f"{shop.web}:latest", name="free"),
    )
    ready(kubectl, *names)
    changed = []
    with pinning(kubectl, f"{shop.web}@{shop.digests[A]}"):
        for _number in range(3):
            failed = shop.release(B)
            assert failed.returncode == 2, failed.stdout
            assert stats(failed)["verified"] == ["deployment/free"]
            assert shop.runs("web", "free") == {"web": {A}, "free": {B}}
            changed.append(stats(failed)["restarted"])
    assert changed == [["deployment/free", "deployment/web"], ["deployment/web"], []]
    (problem,) = stats(failed)["problems"]
    assert "2 restarts did not change that, so the pods differ from their template" in problem
    kubectl("rollout", "restart", "deployment/web")
    ready(kubectl, "deployment/web")
    assert report(shop.release(B))["ok"]


def test_only_workloads_without_replicas(shop: Shop) -> None:
    """They are judged by their templates, for which set_image suffices, and by nothing that they ran before."""
    kubectl = shop.kubectl
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest")
    latest, old = f"{shop.web}:latest", f"{shop.web}:{A}"
    kubectl.apply(
        workload(latest, name="latest", replicas=0),
        workload(latest, name="cached", replicas=0, policy="IfNotPresent"),
        workload(latest, name="never", replicas=0, policy="Never"),
        workload(old, name="revision", replicas=0, kind="StatefulSet"),
        cronjob("nightly", workload(old)["spec"]["template"]["spec"]),
    )
    done = report(shop.release(B, zot_release_set_image=True))
    assert (done["ok"], len(done["unverified"])) == (True, 5)
    digest = shop.digests[B]
    assert [shop.image("deployment", name) for name in ("latest", "cached", "never")] == [
        latest,
        f"{latest}@{digest}",
        f"{latest}@{digest}",
    ]
    assert (shop.image("statefulset", "revision"), shop.image("cronjob", "nightly")) == (f"{shop.web}:{B}",) * 2
    assert recap(shop.release(B, zot_release_set_image=True))["changed"] == 0
    kubectl("scale", "deployment/cached", "--replicas=1")
    ready(kubectl, "deployment/cached")
    assert shop.runs("cached") == {"cached": {B}}
    assert report(shop.rollback(), "zot_rollback_report")["ok"]
    ready(kubectl, "deployment/cached")
    assert shop.runs("cached") == {"cached": {A}}
    assert (shop.image("statefulset", "revision"), shop.image("cronjob", "nightly")) == (old, old)


def end_pod(kubectl: Kubectl, name: str) -> None:
    """Let a pod end as kubelet ends it when its node lacks memory."""
    with kubernetes.config.new_client_from_config(str(kubectl.cluster.kubeconfig)) as client:
        body = {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}}
        kubernetes.client.CoreV1Api(client).patch_namespaced_pod_status(name, kubectl.namespace, body)


def test_a_busy_namespace(shop: Shop) -> None:
    """One release and its rollback beside other controllers.

    An autoscaler, a budget without room, evicted and completed pods, two Deployments with the same selector, an object
    of a server-side apply, a debug container, and the longest name of a Deployment.
    """
    site, kubectl = shop.site, shop.kubectl
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest", "debug")
    latest = f"{shop.web}:latest"
    spec = {"selector": {"matchLabels": {"app": "web"}}}
    kubectl.apply(
        workload(latest, name="web"),
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": {**spec, "maxUnavailable": 0},
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "minReplicas": 3,
                "maxReplicas": 4,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            },
        },
        workload(latest, name=LONG, labels={"app": "long"}),
        # Both select app=shared.
        workload(latest, name="left", labels={"app": "shared"}),
        workload(f"{shop.web}:debug", name="right", labels={"app": "shared"}),
        workload(latest, name="evicted"),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "done"},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"labels": {"app": "done"}},
                    "spec": {**workload(latest)["spec"]["template"]["spec"], "restartPolicy": "Never"},
                },
            },
        },
    )
    applied = workload(latest, name="applied")
    kubectl("apply", "--server-side", "--field-manager=gitops", "--filename=-", given=applied)
    ready(kubectl, *(f"deployment/{name}" for name in ("web", LONG, "left", "right", "evicted", "applied")))
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.availableReplicas}=3", "--timeout=60s")
    (name,) = [each["metadata"]["name"] for each in kubectl.get("pods", "--selector=app=evicted")["items"]]
    end_pod(kubectl, name)
    (ended,) = [each["metadata"]["name"] for each in kubectl.get("pods", "--selector=app=done")["items"]]
    end_pod(kubectl, ended)
    ready(kubectl, "deployment/evicted")
    debugged = kubectl.get("pods", "--selector=app=web")["items"][0]["metadata"]["name"]
    container = {"name": "debugger", "image": f"{shop.web}:debug", "targetContainerName": "app"}
    patch = json.dumps({"spec": {"ephemeralContainers": [container]}})
    kubectl("patch", "pod", debugged, "--subresource=ephemeralcontainers", f"--patch={patch}")

    done = report(shop.release(B))
    released = sorted(f"deployment/{name}" for name in ("web", LONG, "left", "evicted", "applied"))
    assert (done["ok"], sorted(done["restarted"]), done["problems"]) == (True, released, [])
    assert shop.runs("web", "applied", "long") == {"web": {B}, "applied": {B}, "long": {B}}
    assert len(pods(kubectl, "web")) == 3
    assert shop.runs("shared") == {"shared": {A, B}}
    # The manager of the server-side apply keeps our annotations, and starts no other rollout.
    kubectl("apply", "--server-side", "--field-manager=gitops", "--filename=-", given=applied)
    assert RECORD in kubectl.get("deployment", "applied")["metadata"]["annotations"]
    assert recap(shop.release(B))["changed"] == 0
    verify = site.playbook("killinit.zot.verify", zot_namespace=kubectl.namespace, zot_verify_at_risk="fail")
    found = report(verify, "zot_verify_report")
    assert found["at_risk"] == []
    assert sorted(each["name"] for each in found["records"]) == released
    assert f"{kubectl.namespace}/deployment/web: release {B} at " in verify.stdout

    rolled_back = report(shop.rollback(), "zot_rollback_report")
    assert rolled_back["ok"], rolled_back
    assert shop.runs("web", "applied", "long") == {"web": {A}, "applied": {A}, "long": {A}}
    assert report(site.playbook("killinit.zot.diagnose", zot_namespace=kubectl.namespace), "zot_diagnose_report")["ok"]


def test_a_node_that_is_not_ready(shop: Shop) -> None:
    """The DaemonSet cannot be verified there. Everything else is released."""
    kubectl = shop.kubectl
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest")
    latest = f"{shop.web}:latest"
    # The scheduler would choose the empty node.
    host = kubectl("get", "nodes", r"--output=jsonpath={.items[0].metadata.labels.kubernetes\.io/hostname}")
    web = workload(latest, name="web", pod={"nodeSelector": {"kubernetes.io/hostname": host}, "hostNetwork": True})
    kubectl.apply(web, workload(latest, name="agent", kind="DaemonSet"))
    ready(kubectl, "deployment/web", "daemonset/agent")
    node = f"ghost-{kubectl.namespace}"
    room = {"cpu": "1", "memory": "1Gi", "pods": "10"}
    status = {"capacity": room, "allocatable": room}
    ghost = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": status}
    try:
        kubectl("create", "--filename=-", given=ghost)
        wait_until(lambda: node in kubectl("get", "pods", "--output=wide"), "its pod is created", 60)
        failed = shop.release(B, zot_rollout_wait_timeout=45)
        assert failed.returncode == 2
        assert stats(failed)["verified"] == ["deployment/web"], failed.stdout
        (problem,) = stats(failed)["problems"]
        assert problem.startswith("daemonset/agent: the rollout did not finish within 45 seconds: 0 of 2 pods")
    finally:
        kubectl("delete", "node", node)
        kubectl("delete", "pods", f"--field-selector=spec.nodeName={node}", "--force", "--grace-period=0")
    assert report(shop.release(B))["ok"]


def test_the_api_server_restarts(shop: Shop) -> None:
    """A release that waits for pods continues. One that patches may fail, and succeeds when it is repeated."""
    if shop.site.cluster.directory is None:
        pytest.skip("the API server of the cluster in ZOT_TEST_KUBECONFIG must not be killed")
    names = ("one", "three", "two")
    shop.digests[A] = shop.push("web", shop.archives[A], A, "latest")
    slow = {"spec": {"minReadySeconds": 4}}
    shop.kubectl.apply(*(workload(f"{shop.web}:latest", name=name, **slow) for name in names))
    ready(shop.kubectl, *(f"deployment/{name}" for name in names))

    process = shop.start_release(B)
    assert process.stdout
    output = ""
    for line in process.stdout:
        output += line
        if "zot_rollout : Wait for the rollouts" in line:
            break
    shop.site.cluster.restart_api_server()
    output += process.communicate()[0]
    assert process.returncode == 0, output

    process = shop.start_release(C)
    wait_until(lambda: shop.has_record(C, names), "the first patch", 120)
    shop.site.cluster.restart_api_server()
    output = process.communicate()[0]
    found = stats(CompletedProcess([], process.returncode, output, ""))
    assert found["ok"] is (process.returncode == 0)
    # What failed, and nothing else, is a problem.
    assert sorted(text.partition(":")[0] for text in found["problems"]) == found["not_verified"], output
    again = shop.release(C)
    assert report(again)["verified"] == [f"deployment/{name}" for name in names], output
    assert shop.runs(*names) == {name: {C} for name in names}


def test_the_longest_name_of_a_pull_secret(site: Site) -> None:
    """A secret and a service account with 253 characters are written, verified, and used by kubelet."""
    registry, kubectl = site.registry, site.kubectl
    name = "s" * 253
    image = site.push("buildah-amd64")
    kubectl.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    kubectl.apply(workload(image, secret=None, pod={"serviceAccountName": name, "hostNetwork": True}))
    play = site.directory / "secret.yml"
    play.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": ["killinit.zot.zot_pull_secret"]}])
    )
    done = site.playbook(
        str(play),
        zot_namespace=kubectl.namespace,
        zot_pull_secret_name=name,
        zot_pull_secret_repair=True,
        zot_pull_secret_username=registry.reader.username,
        zot_pull_secret_password=registry.reader.password,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kubectl("delete", "pods", "--selector=app=openclaw", "--wait=false")
    ready(kubectl, "deployment/openclaw")


def test_in_a_pod_with_a_service_account(site: Site) -> None:
    """Without a kubeconfig, Ansible in a pod has the rights of the pod's service account: here those of the README."""
    if site.cluster.directory is None:
        pytest.skip("the pod runs the Python of this machine, which is no node of the cluster in ZOT_TEST_KUBECONFIG")
    kubectl, registry = site.kubectl, site.registry
    kubectl.apply(pull_secret(registry, registry.reader))
    image = site.push("buildah-amd64")
    kubectl.apply(workload(image))
    ready(kubectl, "deployment/openclaw")
    restricted(kubectl, site.cluster, "zot_rollout", site.directory)
    variables = {
        name: text
        for name, text in site.environment.items()
        if name not in ("K8S_AUTH_KUBECONFIG", "KUBECONFIG", "HOME") and name.replace("_", "").isalnum()
    }
    server = kubectl("config", "view", "--output=jsonpath={.clusters[0].cluster.server}").rpartition("/")[2]
    host, _colon, port = server.rpartition(":")
    variables |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "HOME": "/tmp"}
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "killinit.zot.restart",
        "-e",
        f"zot_namespace={kubectl.namespace}",
    ]
    account = "/host/run/secrets/kubernetes.io/serviceaccount"
    sources: list[dict[str, Any]] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    loader = next(Path("/lib64").glob("ld-linux-*")).resolve()
    libraries = ":".join(
        f"/host{path}" for path in sorted({str(each.parent) for each in Path("/usr/lib").rglob("libc.so.6")})
    )
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "ansible"},
            "spec": {
                "serviceAccountName": "least",
                "automountServiceAccountToken": False,
                "hostNetwork": True,
                "restartPolicy": "Never",
                "imagePullSecrets": [{"name": "zot-pull-secret"}],
                "containers": [
                    {
                        "name": "ansible",
                        "image": image,
                        "command": [
                            f"/host{loader}",
                            "--library-path",
                            libraries,
                            "/host/usr/sbin/chroot",
                            "/host",
                            *command,
                        ],
                        "workingDir": "/",
                        "securityContext": {"runAsUser": 0},
                        "env": [{"name": name, "value": text} for name, text in variables.items()],
                        "volumeMounts": [
                            {"name": "host", "mountPath": "/host"},
                            {"name": "account", "mountPath": account},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "host", "hostPath": {"path": "/"}},
                    {"name": "account", "projected": {"sources": sources}},
                ],
            },
        }
    )

    def ended() -> bool:
        return bool(kubectl.get("pod", "ansible")["status"].get("phase") in ("Succeeded", "Failed"))

    wait_until(ended, "the pod has ended", 120)
    output = kubectl("logs", "ansible")
    assert kubectl.get("pod", "ansible")["status"]["phase"] == "Succeeded", output
    assert "deployment/openclaw: current" in output
