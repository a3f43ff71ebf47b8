# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of a page that need a cluster, one after the other, with the files that the pages show.

What these playbooks do has tests of its own. Zot with its scanner is real, and the clusters have no kubelet.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from cluster.support import pull_secret, workload
from integration.blocks import ROOT, blocks
from integration.patchable_cluster import PatchableCluster
from integration.support import Bare, Module
from integration.test_release_clusters import DOCUMENTED
from unit.api_server import kubeconfig, running

from environment.images import Images
from environment.registry import Registry

# All but rotate, which writes Secrets: tests/cluster/test_examples.py runs it.
PLAYBOOKS = ("release", "rollback", "prune", "verify", "restart", "event", "diagnose", "report")
STARTS = tuple(f"ansible-playbook killinit.zot.{name} " for name in PLAYBOOKS)
RST = "docs/docsite/rst"
GUIDES = {
    f"{RST}/playbook_{name}.rst": f"{RST}/{page['guide']}.rst"
    for name, page in yaml.safe_load((ROOT / "docs/pages.yml").read_text(encoding="utf-8")).items()
}
CLUSTER_TESTS = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("tests/cluster/*.py")))


def _commands() -> dict[str, list[str]]:
    """The commands of each page, without those that another test runs, and those that the guide of the page has."""
    found: dict[str, list[str]] = {}
    for block in blocks():
        for command in block.commands if block.language == "console" else ():
            # Only this registry has a scanner.
            here = command.startswith(STARTS) or "zot_publish_max_severity" in command
            known = [*found.get(block.page, ()), *found.get(GUIDES.get(block.page, ""), ()), *DOCUMENTED]
            if here and command not in CLUSTER_TESTS and command not in known:
                found.setdefault(block.page, []).append(command)
    return found


COMMANDS = _commands()
HOSTS = ("oci.killinit.cc", "oci.example.com")
OLD = {"amd64": "buildah-amd64", "arm64": "buildah-arm64"}
NEW = {"amd64": "changed-layer", "arm64": "buildah-arm64"}


@pytest.fixture(scope="session")
def registry(scanner: Registry) -> Registry:
    """Zot with a scanner."""
    return scanner


@pytest.fixture
def clusters(
    registry: Registry,
    repository: str,
    images: Images,
    module: Module,
    bare: Bare,
    environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[dict[str, PatchableCluster]]:
    """The clusters of the inventory of the guides. They run the tag latest, which is not the revision of the guides."""
    (tmp_path / "dist").mkdir()
    for revision, content in (("3f2c1ab", NEW), ("0a1b2c3", OLD)):
        archives = {architecture: str(images[name]) for architecture, name in content.items()}
        given = [{"repository": f"{repository}/{name}", "archives": archives} for name in ("openclaw", "workspace")]
        assert module("zot_publish", revision=revision, images=given)["changed"]
    for architecture, name in NEW.items():
        shutil.copyfile(images[name], tmp_path / f"dist/openclaw-{architecture}.tar")
    shutil.copyfile(images["skopeo-amd64"], tmp_path / "dist/workspace.tar")

    def resolve(image: str) -> str:
        return image.partition("@")[2] or bare("crane", "digest", image).stdout.strip()

    found, production = {}, kubeconfig("")
    production["contexts"], production["clusters"] = [], []
    with ExitStack() as stack:
        for name in ("canary", "eu", "us"):
            own = workload(f"{registry.host}/{repository}/openclaw:latest")
            found[name] = PatchableCluster("openclaw", resolve, own, pull_secret(registry, registry.reader))
            server = stack.enter_context(running(found[name]))
            if name == "canary":
                server.kubeconfig(tmp_path / "canary.kubeconfig")
            else:
                production["clusters"].append({"name": name, "cluster": {"server": server.address}})
                production["contexts"].append({"name": name, "context": {"cluster": name, "user": "test"}})
        (tmp_path / "production.kubeconfig").write_text(json.dumps(production))
        environment["K8S_AUTH_KUBECONFIG"] = str(tmp_path / "canary.kubeconfig")
        yield found


@pytest.mark.parametrize("page", COMMANDS)
def test_commands(
    page: str,
    clusters: dict[str, PatchableCluster],
    registry: Registry,
    repository: str,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """Each one succeeds."""

    def here(text: str) -> str:
        for host in HOSTS:
            text = text.replace(host, registry.host)
        return text.replace("openclaw/", f"{repository}/").replace("/etc/zot/", f"{tmp_path}/")

    # The guide to rollbacks shows the inventory, and the page of a playbook refers to its guide.
    shown = blocks(f"{RST}/guide_rollback.rst", GUIDES.get(page, page), page)
    for name, text in {block.file: block.text for block in shown if block.file}.items():
        (tmp_path / name).write_text(here(text))
    for command in COMMANDS[page]:
        run = subprocess.run(
            here(command).split(), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
    assert all(cluster.digests("openclaw") for cluster in clusters.values())
