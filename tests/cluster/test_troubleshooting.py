# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output in the guide to troubleshooting is real; ZOT_TEST_WRITE_DOCS=1 updates it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cluster.support import Kubectl, Site, pull_secret, ready, workload
from cluster.test_diagnose import WRONG, until_they_fail
from integration.fixtures import Bare

from environment.registry import Account, Registry

PAGE = Path(__file__).resolve().parents[2] / "docs/docsite/rst/guide_troubleshooting.rst"
DIAGNOSE = "ansible-playbook killinit.zot.diagnose --extra-vars zot_namespace=openclaw"
RESTART = "ansible-playbook killinit.zot.restart --extra-vars zot_namespace=openclaw"
LABELS = {"app.kubernetes.io/name": "openclaw"}
AssertDocumented = Callable[[str, str], None]


@pytest.fixture
def assert_documented(registry: Registry, repository: str, kubectl: Kubectl) -> AssertDocumented:
    """Compare the page with the output of a command, after the names that differ in each run are replaced."""

    def compare(command: str, output: str) -> None:
        for pattern, replacement in (
            (re.escape(f"{registry.host}/{repository}"), "oci.killinit.cc/openclaw"),
            (re.escape(registry.host), "oci.killinit.cc"),
            (re.escape(repository), "openclaw"),
            (kubectl.namespace, "openclaw"),
            (r"sha256:[0-9a-f]{12,}", "sha256:…"),
            (r"openclaw-[0-9a-f]{8,10}-[0-9a-z]{5}", "openclaw-7d4b9c6f5-x2x4q"),
            (r"pod on \S+", "pod on node-1"),
            (r"map\[.*\]", "map[…]"),
            (r"^(\d{4}/.*|.*existing blob:.*|.*pushed blob:.*)\n", ""),
            (r"(created: ').*'", r"\1…'"),
            (r"(size: )\d+", r"\g<1>…"),
            (r"(io.buildah.version: ).*", r"\1…"),
        ):
            output = re.sub(pattern, replacement, output, flags=re.MULTILINE)
        lines = "".join(f"    {line.rstrip()}\n" for line in output.strip().splitlines())
        text = PAGE.read_text(encoding="utf-8")
        block = re.search(rf"^    \$ {re.escape(command)}\n((?:    .*\n)*)", text, re.MULTILINE)
        assert block, f"the page does not show {command}"
        if os.environ.get("ZOT_TEST_WRITE_DOCS"):
            PAGE.write_text(text[: block.start(1)] + lines + text[block.end(1) :], encoding="utf-8")
        else:  # where a line is wrapped depends on the names
            assert block[1].split() == lines.split()

    return compare


def _between(run: CompletedProcess[str], start: str, end: str) -> str:
    """What a playbook printed from one text to another, without these."""
    found = re.search(rf"{start}(.*?){end}", run.stdout + run.stderr, re.DOTALL)
    assert found, run.stdout + run.stderr
    return f"…\n{found[1].strip()}"


def test_manifest_invalid(site: Site, assert_documented: AssertDocumented, bare: Bare, tmp_path: Path) -> None:
    """What crane gets, and what the module gets."""
    images, registry, repository, environment = site.images, site.registry, site.repository, site.environment
    shutil.copyfile(images["buildah-amd64"], tmp_path / "openclaw.tar")
    refused = bare("crane", "push", str(tmp_path / "openclaw.tar"), f"{registry.host}/{repository}/openclaw:1")
    assert refused.returncode
    assert_documented("crane push openclaw.tar oci.killinit.cc/openclaw/openclaw:1", refused.stderr)
    arguments = f"archive=openclaw.tar repository={repository}/openclaw tag=1"
    done = subprocess.run(
        ["ansible", "localhost", "-m", "killinit.zot.zot_push", "-a", arguments],
        env={**environment, "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    command = 'ansible localhost -m killinit.zot.zot_push -a "archive=openclaw.tar repository=openclaw/openclaw tag=1"'
    assert_documented(command, done.stdout)


def test_image_pull_back_off(site: Site, assert_documented: AssertDocumented) -> None:
    """Two causes, in the order in which they have to be fixed."""
    push, registry, kubectl, cluster = site.push, site.registry, site.kubectl, site.cluster
    environment, playbook = site.environment, site.playbook
    latest = push("buildah-amd64", "openclaw")
    kubectl.apply(pull_secret(registry, Account(registry.reader.username, WRONG)))
    kubectl.apply(workload(latest.replace(":latest", ":latst")))
    until_they_fail(kubectl, 1)
    # With K8S_AUTH_KUBECONFIG, which kubectl does not read, the commands would name the kubeconfig.
    del environment["K8S_AUTH_KUBECONFIG"]
    environment |= {"KUBECONFIG": str(cluster.kubeconfig), "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}
    run = playbook("killinit.zot.diagnose", zot_namespace=kubectl.namespace)
    assert_documented(DIAGNOSE, _between(run, "Action failed: ", r"\nOrigin: "))


def test_stale_image(site: Site, assert_documented: AssertDocumented) -> None:
    """What was restarted, and why."""
    push, registry, kubectl, environment = site.push, site.registry, site.kubectl, site.environment
    playbook = site.playbook
    latest = push("buildah-amd64", "openclaw")
    kubectl.apply(pull_secret(registry, registry.reader), workload(latest, labels=LABELS))
    ready(kubectl, "deployment/openclaw")
    push("changed-env", "openclaw")
    environment["ANSIBLE_CALLBACK_RESULT_FORMAT"] = "yaml"
    run = playbook("killinit.zot.restart", zot_namespace=kubectl.namespace)
    assert_documented(RESTART, _between(run, r"Patch the workloads that are not current\] \*+\n", r"\n\n"))
