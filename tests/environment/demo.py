# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: the life of a release on a real registry, as an engineer would type it. `./dev demo` runs it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from environment import cluster
from environment.images import build, write_archive
from environment.registry import Registry, running

ROOT = Path(__file__).resolve().parents[2]
# ./dev test runs both at the same time.
OUTPUT = Path(".cache/demo-cluster" if "--cluster" in sys.argv else ".cache/demo")
REPOSITORY = "openclaw/openclaw"
# Of the output of a playbook: the tables, the errors, and the line that counts the changes.
SHOWN = (
    r'^ *"?((?:REPOSITORY|openclaw/\S+ |deployment/|\S+:latest: )[^"\n]*|[^"\n]* is published as [^"\n]*'
    r"|localhost +: ok=.*?changed=\d+)"
)
Archives = dict[str, Path]


class DemoError(Exception):
    """A step did not do what it is to show."""


class Demo:
    """Runs the commands, prints what matters of their output, and keeps the whole output in a file."""

    def __init__(self, registry: Registry) -> None:
        self._environment = {
            **os.environ,
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ZOT_REGISTRY": registry.host,
            "ZOT_USERNAME": registry.writer.username,
            "ZOT_PASSWORD": registry.writer.password,
            "ZOT_CA_PATH": str(registry.ca),
        }

    def use(self, kubernetes: Any) -> None:
        """Use a cluster in all further commands."""
        path = f"{kubernetes.kubectl.parent}:{self._environment['PATH']}"
        kubeconfig = str(kubernetes.kubeconfig)
        self._environment |= {"K8S_AUTH_KUBECONFIG": kubeconfig, "KUBECONFIG": kubeconfig, "PATH": path}

    def run(self, *command: str, shown: str = r"^(.+)$", expected: str = "") -> None:
        """Run a command. Raise DemoError if its output does not have what is *expected*."""
        print(f"$ {shlex.join(command)}", flush=True)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        with (ROOT / OUTPUT / "output.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(command)}\n{done.stdout}\n")
        if not re.search(expected, done.stdout):
            raise DemoError(f"the output was to have {expected!r}:\n{done.stdout}")
        print("\n".join(f"    {line}" for line in re.findall(shown, done.stdout, re.MULTILINE)), flush=True)

    def play(self, name: str, *variables: str, expected: str, options: tuple[str, ...] = ()) -> None:
        """Run a playbook of the collection."""
        extra = [part for each in variables for part in ("--extra-vars", each)]
        self.run("ansible-playbook", f"killinit.zot.{name}", *extra, *options, shown=SHOWN, expected=expected)


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


def small_archives() -> Archives:
    """Archives that hold a text and no program: for publishing that is enough, and no builder is needed."""
    contents = {"amd64": ("amd64", b"one\n"), "arm64": ("arm64", b"one\n"), "new-amd64": ("amd64", b"another\n")}
    for name, (architecture, text) in contents.items():
        write_archive(ROOT / OUTPUT / f"{name}.tar", architecture, {"text": text})
    return {name: OUTPUT / f"{name}.tar" for name in contents}


def archives_that_run() -> Archives:
    """The same with a program that a pod can run, made by buildah."""
    images = build(ROOT / ".cache" / "images")
    names = {"amd64": "buildah-amd64", "arm64": "buildah-arm64", "new-amd64": "changed-layer"}
    return {name: images[image] for name, image in names.items()}


def release(revision: str, archives: Archives, amd64: str, **more: str) -> str:
    """Write the variables of a release of two architectures; return the argument that names their file."""
    path = OUTPUT / f"release-{revision}-{amd64}.json"
    files = {"amd64": str(archives[amd64]), "arm64": str(archives["arm64"])}
    images = [{"repository": REPOSITORY, "archives": files}]
    variables = {"zot_publish_revision": revision, "zot_publish_images": images, **more}
    (ROOT / path).write_text(json.dumps(variables, indent=2))
    return f"@{path}"


def deployment(registry: Registry, name: str, repository: str) -> dict[str, Any]:
    """A deployment of latest."""
    labels = {"app.kubernetes.io/name": name}
    pod = {
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 1,
        "imagePullSecrets": [{"name": "zot-pull-secret"}],
        "containers": [{"name": name, "image": f"{registry.host}/{repository}:latest"}],
    }
    specification = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels, "namespace": "openclaw"},
        "spec": {"replicas": 2, **specification},
    }


def objects(registry: Registry) -> list[dict[str, Any]]:
    """A namespace, the pull secret of the account that may only read, and a deployment of latest."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "openclaw"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "zot-pull-secret", "namespace": "openclaw"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(registry.auths(registry.reader))},
        },
        deployment(registry, "openclaw", REPOSITORY),
    ]


def deploy(demo: Demo, registry: Registry) -> None:
    """Deploy latest, and wait until its pods run."""
    say("A Kubernetes of one node pulls latest: a namespace, its pull secret, and a deployment")
    manifest = OUTPUT / "openclaw.json"
    (ROOT / manifest).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(registry)}))
    try:
        demo.run("kubectl", "apply", "--filename", str(manifest))
    finally:
        (ROOT / manifest).unlink()  # it has the password
    demo.run("kubectl", "rollout", "status", "--namespace=openclaw", "deployment/openclaw", expected="successfully")


def tell(demo: Demo, registry: Registry, archives: Archives, *, with_cluster: bool) -> None:
    """The story: every step builds on the one before."""
    first = release("3f2c1ab", archives, "amd64")
    say("Publish two architectures: push both archives, create the index, move the tag latest last")
    demo.play("publish", first, expected="failed=0")
    say("Publish them again: nothing changes")
    demo.play("publish", first, expected="changed=0 ")
    if with_cluster:
        deploy(demo, registry)
        second = release("9d0e4f7", archives, "new-amd64", zot_namespace="openclaw")
        say("Release with one command: publish, check the pull secret, restart what is stale, verify what runs")
        demo.play("release", second, expected=r"failed=0")
    else:
        second = release("9d0e4f7", archives, "new-amd64")
        say("Publish a new revision in which one architecture is different: latest moves")
        demo.play("publish", second, expected="failed=0")
    say("Other content for a published revision is refused, and nothing is written")
    demo.play("publish", release("3f2c1ab", archives, "new-amd64"), expected="changed=0 .*failed=1")
    say("Roll back: latest is the first revision again")
    alone = () if with_cluster else ("zot_rollback_rollout=false",)
    demo.play("rollback", second, *alone, expected="failed=0")
    say("What would prune remove if it kept only the newest revision?")
    alone = () if with_cluster else ("zot_prune_without_clusters=true",)
    rules = f"{{zot_prune_repositories: [{REPOSITORY}], zot_prune_keep_last: 1}}"
    demo.play("prune", rules, *alone, expected="failed=0", options=("--check",))
    say("A page of all images")
    alone = () if with_cluster else ("zot_report_registry_only=true",)
    demo.play("report", f"zot_report_file={OUTPUT}/report.html", *alone, expected="failed=0")


def main(*, with_cluster: bool) -> None:
    """Run it from beginning to end."""
    shutil.rmtree(ROOT / OUTPUT, ignore_errors=True)
    (ROOT / OUTPUT).mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(running())
        kind = "Zot" if registry.kind == "zot" else "The stand-in for Zot (CNCF Distribution)"
        say(f"{kind} listens on https://{registry.host}; the credentials are in the environment")
        demo = Demo(registry)
        if with_cluster:
            demo.use(stack.enter_context(cluster.running(registry)))
        tell(demo, registry, archives_that_run() if with_cluster else small_archives(), with_cluster=with_cluster)
    say(f"Done. Open the page {OUTPUT}/report.html; the whole output is in {OUTPUT}/output.log.")
    print("Your own registry: export ZOT_REGISTRY, ZOT_USERNAME and ZOT_PASSWORD, and follow the quick start:")
    print("docs/docsite/rst/guide_start.rst")
    if not with_cluster:
        print("The same with workloads of a real Kubernetes, as root: ./dev demo-cluster")


if __name__ == "__main__":
    main(with_cluster=sys.argv[1:] == ["--cluster"])
