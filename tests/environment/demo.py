# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: a release to a real registry, as an engineer would type it. `./dev demo` runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from environment import cluster
from environment.images import build, write_archive
from environment.registry import Registry, running

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "openclaw/openclaw"
Archives = dict[str, Path]


class DemoError(Exception):
    """A step did not do what it is to show."""


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


def show(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Print a command as one would type it, run it, and print what it says."""
    print(f"$ {' '.join(command)}", flush=True)
    run = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    print(re.sub(r"\n{2,}", "\n", run.stdout).strip(), flush=True)
    return run


def publish(release: dict[str, Any], directory: Path, environment: dict[str, str], *, changed: int) -> None:
    """Run the playbook with the variables of a release; raise DemoError unless *changed* tasks changed something."""
    path = directory / f"release-{release['zot_publish_revision']}.json"
    path.write_text(json.dumps(release, indent=2))
    run = show(["ansible-playbook", "killinit.zot.publish", "--diff", "--extra-vars", f"@{path}"], environment)
    if run.returncode or f"changed={changed} " not in run.stdout:
        raise DemoError(f"that was to end with changed={changed}")


def small_archives(directory: Path) -> Archives:
    """Archives that hold a text and no program: for publishing that is enough, and no builder is needed."""
    contents = {"amd64": ("amd64", b"one\n"), "arm64": ("arm64", b"one\n"), "new-amd64": ("amd64", b"another\n")}
    for name, (architecture, text) in contents.items():
        write_archive(directory / f"{name}.tar", architecture, {"text": text})
    return {name: directory / f"{name}.tar" for name in contents}


def archives_that_run() -> Archives:
    """The same with a program that a pod can run, made by buildah."""
    images = build(ROOT / ".cache" / "images")
    names = {"amd64": "buildah-amd64", "arm64": "buildah-arm64", "new-amd64": "changed-layer", "third": "changed-env"}
    return {name: images[image] for name, image in names.items()}


def release(revision: str, archives: Archives, amd64: str) -> dict[str, Any]:
    """The variables of a release of two architectures."""
    return {
        "zot_publish_revision": revision,
        "zot_publish_images": [
            {"repository": REPOSITORY, "archives": {"amd64": str(archives[amd64]), "arm64": str(archives["arm64"])}}
        ],
    }


def refuse(registry: Registry, archives: Archives, directory: Path, environment: dict[str, str]) -> None:
    """Show what the registry answers to `crane push` of the same file; raise DemoError if it takes it."""
    (directory / "config.json").write_text(json.dumps(registry.auths(registry.writer)))
    run = show(
        ["crane", "push", str(archives["amd64"]), f"{registry.host}/{REPOSITORY}:by-crane"],
        {**environment, "DOCKER_CONFIG": str(directory), "SSL_CERT_FILE": str(registry.ca)},
    )
    if run.returncode == 0 or "MANIFEST_INVALID" not in run.stdout:
        raise DemoError("the registry did not refuse the image with MANIFEST_INVALID")
    print("Zot accepts only OCI manifests. zot_push uses skopeo, which converts the image.")


def roll_out(registry: Registry, archives: Archives, directory: Path, environment: dict[str, str]) -> None:
    """Deploy latest to a real Kubernetes, release a new revision, and show that its pods run it."""
    say("A Kubernetes of one node pulls from it: a namespace, its pull secret, and a deployment of latest")
    with cluster.running(registry) as kubernetes:
        environment |= {"K8S_AUTH_KUBECONFIG": str(kubernetes.kubeconfig), "KUBECONFIG": str(kubernetes.kubeconfig)}
        environment["PATH"] = f"{kubernetes.kubectl.parent}:{environment['PATH']}"
        manifest = directory / "openclaw.json"
        manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(registry)}))
        show(["kubectl", "apply", "--filename", str(manifest)], environment)
        show(["kubectl", "rollout", "status", "--namespace=openclaw", "deployment/openclaw"], environment)
        say("Release with one command: publish, verify the pull secret, restart stale workloads, verify the digests")
        variables = directory / "release-77aa01c.json"
        third = release("77aa01c", archives, "third") | {"zot_namespace": "openclaw"}
        variables.write_text(json.dumps(third, indent=2))
        command = ["ansible-playbook", "killinit.zot.release", "--extra-vars", f"@{variables}"]
        for changed in (3, 0):
            run = show(command, environment)
            if run.returncode or f"changed={changed} " not in run.stdout:
                raise DemoError(f"that was to end with changed={changed}")
        show(["kubectl", "get", "pods", "--namespace=openclaw", "--output=wide"], environment)


def objects(registry: Registry) -> list[dict[str, Any]]:
    """A namespace, the pull secret of the account that may only read, and a deployment of latest."""
    auths = registry.auths(registry.reader)
    labels = {"app.kubernetes.io/name": "openclaw"}
    pod = {
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 1,
        "imagePullSecrets": [{"name": "zot-pull-secret"}],
        "containers": [{"name": "openclaw", "image": f"{registry.host}/{REPOSITORY}:latest"}],
    }
    specification = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    here = {"namespace": "openclaw"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "openclaw"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "zot-pull-secret", **here},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(auths)},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "openclaw", "labels": labels, **here},
            "spec": {"replicas": 2, **specification},
        },
    ]


def main(*, with_cluster: bool) -> None:
    """Run it from beginning to end."""
    with tempfile.TemporaryDirectory(prefix="zot-demo-") as temporary, running() as registry:
        directory = Path(temporary)
        archives = archives_that_run() if with_cluster else small_archives(directory)
        say(f"A {registry.kind} listens on https://{registry.host}; the credentials are in the environment")
        environment = {
            **os.environ,
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ZOT_REGISTRY": registry.host,
            "ZOT_USERNAME": registry.writer.username,
            "ZOT_PASSWORD": registry.writer.password,
            "ZOT_CA_PATH": str(registry.ca),
        }
        say("Publish two architectures: push both archives, create the index, move the tag latest")
        first = release("3f2c1ab", archives, "amd64")
        publish(first, directory, environment, changed=2)
        say("Publish them again: nothing changes")
        publish(first, directory, environment, changed=0)
        say("Publish a new revision in which one architecture is different: latest moves")
        publish(release("9d0e4f7", archives, "new-amd64"), directory, environment, changed=2)
        say("Push the same archive with crane push")
        refuse(registry, archives, directory, environment)
        if with_cluster:
            roll_out(registry, archives, directory, environment)
        else:
            say("For a release to a real Kubernetes run as root: ./dev demo-cluster")


if __name__ == "__main__":
    main(with_cluster=sys.argv[1:] == ["--cluster"])
