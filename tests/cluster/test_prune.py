# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook prune on a real cluster: what a kubelet reports keeps its revision. tests/integration has the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster.support import Site, pull_secret, ready, restricted, stats, workload

OLD, MIDDLE, NEW = "aaa0001", "aaa0002", "aaa0003"


@pytest.mark.usefixtures("zot")
def test_what_runs_and_what_ran_before_stay(site: Site, tmp_path: Path) -> None:
    """With the least rights in the cluster and in the registry."""
    registry, repository, images, module = site.registry, site.repository, site.images, site.module
    cluster, kubectl, playbook, environment = site.cluster, site.kubectl, site.playbook, site.environment
    archives = {OLD: "buildah-amd64", MIDDLE: "changed-env", NEW: "changed-layer"}
    for tag, name in archives.items():
        assert not module("zot_push", archive=str(images[name]), repository=repository, tags=[tag])["failed"]
    kubectl.apply(pull_secret(registry, registry.reader))
    app = f"{registry.host}/{repository}"
    kubectl.apply(workload(f"{app}:{OLD}", name="app"), workload(f"{app}:{NEW}", name="other"))
    ready(kubectl, "deployment/app", "deployment/other")
    kubectl("set", "image", "deployment/app", f"app={app}:{MIDDLE}")
    ready(kubectl, "deployment/app")
    environment["K8S_AUTH_KUBECONFIG"] = str(restricted(kubectl, cluster, "zot_prune", tmp_path))
    environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"] = registry.janitor.username, registry.janitor.password

    def prune() -> dict[str, Any]:
        run = playbook("killinit.zot.prune", zot_prune_repositories=[repository], zot_prune_keep_last=1)
        assert run.returncode == 0, run.stdout + run.stderr
        report: dict[str, Any] = stats(run, "zot_prune_report")
        return report

    # The old revision is in a ReplicaSet without pods, which a rollback starts.
    found = prune()
    assert (found["ok"], found["deleted"]) == (True, [])
    assert {each["tag"]: each["reason"] for each in found["kept"]} == dict.fromkeys(archives, "in_use")
    kubectl("delete", "deployment/app", "--wait=true", "--cascade=foreground")
    found = prune()
    assert sorted(each["tag"] for each in found["deleted"]) == [OLD, MIDDLE]
