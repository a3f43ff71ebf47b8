# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace with 1,000 pods in 100 workloads needs a few requests to the cluster, and one for each image."""

from __future__ import annotations

import re

from cluster.support import Kubectl, Site, create_workloads, report
from integration.support import recap

WORKLOADS, PODS, IMAGES = 100, 10, 20


def _lists(kubectl: Kubectl) -> int:
    """How many lists of one namespace the API server has answered; its own controllers watch all namespaces."""
    lines = kubectl("get", "--raw=/metrics").splitlines()
    resources = "deployments|statefulsets|daemonsets|cronjobs|pods"
    pattern = rf'apiserver_request_total\{{.*resource="({resources})".*scope="namespace".*verb="LIST".*\}} (\d+)'
    return sum(int(found.group(2)) for found in (re.match(pattern, line) for line in lines) if found)


def test_thousand_pods(site: Site) -> None:
    """Five lists of the cluster; each image once; the one stale workload is found."""
    images, registry, repository, kubectl = site.images, site.registry, site.repository, site.kubectl
    playbook, module = site.playbook, site.module
    tags = [f"tag-{number}" for number in range(IMAGES)]
    pushed = module("zot_push", archive=str(images["buildah-amd64"]), repository=repository, tags=tags)
    assert not pushed["failed"], pushed
    digests = {tag["reference"]: tag["digest"] for tag in pushed["tags"]}
    create_workloads(kubectl, digests, workloads=WORKLOADS, pods=PODS, stale="app-42")

    lists, before = _lists(kubectl), len(registry.requests())
    run = playbook("killinit.zot.restart", "--check", zot_namespace=kubectl.namespace)
    reads = [request.path for request in registry.requests()[before:] if "/manifests/" in request.path]

    found = report(run)
    assert recap(run)["changed"] == 1
    assert len(found["workloads"]) == WORKLOADS
    assert sum(entry["pods"] for entry in found["workloads"]) == WORKLOADS * PODS
    assert found["restarted"] == ["deployment/app-42"]
    # The pods come in two pages.
    assert _lists(kubectl) - lists <= 6
    # The digest of each tag, and for the one stale workload the manifests of its tag and of what it runs. Without the
    # search extension of Zot, the manifest of an image in use is read by its digest, too.
    assert len(set(reads)) == IMAGES + (1 if registry.kind == "zot" else 2)
    assert len(reads) <= IMAGES + 4
