# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide to releases, from nothing to pods, and the guide to accounts: their playbooks, files and commands."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster.support import Kubectl, Site, pods, pull_secret, report
from integration.blocks import blocks
from integration.support import recap

from environment.cluster import Cluster
from environment.registry import Registry

PROVISION = "ansible-playbook provision.yml --extra-vars zot_publish_revision=3f2c1ab --extra-vars @pull-account.yml"
INCLUDE = "ansible-playbook site.yml"
RELEASE = (
    "ansible-playbook killinit.zot.release --extra-vars @release.yml --check --diff",
    "ansible-playbook killinit.zot.release --extra-vars @release.yml --diff",
)
PAGE = "docs/docsite/rst/guide_release.rst"
CLUSTERS = "docs/docsite/rst/guide_rollback.rst"
ACCOUNTS = "docs/docsite/rst/guide_accounts.rst"


@pytest.fixture
def empty_namespace(cluster: Cluster, tmp_path: Path) -> Iterator[Kubectl]:
    """kubectl for a namespace that is not there yet."""
    run = Kubectl(cluster, f"test-{abs(hash(tmp_path)):x}")
    yield run
    run("delete", "namespace", run.namespace, "--wait=false", "--ignore-not-found")


def test_guide_to_releases(site: Site, empty_namespace: Kubectl, tmp_path: Path) -> None:
    """Provision, provision again without a change, release out of another playbook, and once more."""
    images, registry, environment, module = site.images, site.registry, site.environment, site.module
    (tmp_path / "dist").mkdir()
    for architecture in ("amd64", "arm64"):
        shutil.copyfile(images[f"buildah-{architecture}"], tmp_path / f"dist/openclaw-{architecture}.tar")
    account = {"pull_username": registry.reader.username, "pull_password": registry.reader.password}
    (tmp_path / "pull-account.yml").write_text(json.dumps(account))
    documented = {block.file: block.text for block in blocks(PAGE) if block.file}
    # The pods of this cluster have no network of their own.
    provision = documented["provision.yml"].replace(
        "imagePullSecrets:", "hostNetwork: true\n                imagePullSecrets:"
    )
    for name, text in (("provision.yml", provision), ("site.yml", documented["site.yml"])):
        (tmp_path / name).write_text(text.replace("oci.killinit.cc", registry.host))
    variables = documented["release.yml"].replace(
        "zot_namespace: openclaw", f"zot_namespace: {empty_namespace.namespace}"
    )
    (tmp_path / "release.yml").write_text(variables)
    commands = [command for block in blocks(PAGE) for command in block.commands if block.language == "console"]

    def run(command: str, *options: str) -> subprocess.CompletedProcess[str]:
        assert command in commands
        whole = [*shlex.split(command), *options]
        done = subprocess.run(whole, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    here = f"--extra-vars=zot_namespace={empty_namespace.namespace}"
    first, again = run(PROVISION, here), run(PROVISION, here)
    assert recap(first)["changed"] > 3
    assert recap(again)["changed"] == 0
    index = module("zot_image_info", images=["openclaw/openclaw:3f2c1ab"])["images"][0]
    (deployment,) = empty_namespace.get("deployments")["items"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == index["pinned"]
    assert deployment["status"]["availableReplicas"] == 1
    (running,) = pods(empty_namespace, label="app.kubernetes.io/name").values()
    assert running in (index["digest"], *(entry["digest"] for entry in index["manifests"]))

    released = run(INCLUDE, here)
    assert report(released, "zot_publish_report")["written"]
    assert report(released, "zot_rollout_report")["ok"] is True
    assert f'"msg": "{report(released, "zot_publish_report")["images"][0]["pinned"]}"' in released.stdout
    for command in RELEASE:
        done = run(command)
        assert recap(done)["changed"] == 0
        assert report(done, "zot_publish_report")["revision"] == "3f2c1ab"
        assert report(done)["namespace"] == empty_namespace.namespace


def test_guide_to_accounts(site: Site, zot: Registry, empty_namespace: Kubectl, tmp_path: Path) -> None:
    """Each command writes new keys, but a repeated one does not."""
    namespaces = [site.kubectl.namespace, empty_namespace.namespace]
    site.kubectl("create", "namespace", empty_namespace.namespace)
    for namespace in namespaces:
        Kubectl(site.cluster, namespace).apply(pull_secret(zot, zot.reader))
    shown = {block.file: block.content for block in blocks(ACCOUNTS, CLUSTERS) if block.file}
    shown["rotate.yml"] |= {"zot_registry": zot.host, "zot_rotate_namespaces": namespaces}
    shown["rotate.yml"]["zot_pull_secret_username"] = zot.reader.username
    shown["rotate.yml"]["vault_cluster_password"] = zot.reader.password
    group = shown["clusters.yml"]["all"]["children"]["clusters"]
    group["hosts"] = {"canary": {"zot_kubeconfig": str(site.cluster.kubeconfig)}}
    for name in ("rotate.yml", "clusters.yml"):
        (tmp_path / name).write_text(yaml.safe_dump(shown[name]))
    # Also that of the page of the playbook.
    found = [line for block in blocks() for line in block.commands if "killinit.zot.rotate" in line]
    planned, rotate, force = sorted(set(found), key=found.index)

    def changed(command: str) -> int:
        run = subprocess.run(
            shlex.split(command), env=site.environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return sum(map(int, re.findall(r"changed=(\d+)", run.stdout)))

    assert [changed(each) > 0 for each in (planned, rotate, rotate, force)] == [True, True, False, True]
