# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster tests share: a registry, a cluster that pulls from it, and a namespace for each test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster.support import Kubectl, Site
from integration.support import Module, Playbook

from environment import cluster as clusters
from environment.cluster import Cluster
from environment.images import Images
from environment.registry import Registry

# The registry, and ways to run the collection against it, are those of the integration tests.
pytest_plugins = ("integration.fixtures",)


@pytest.fixture(scope="session")
def cluster(registry: Registry) -> Iterator[Cluster]:
    """The cluster that the tests share; each uses a namespace of its own."""
    with clusters.running(registry) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def abandoned(registry: Registry) -> dict[str, Any]:
    """A key of the reader on Zot that nobody uses. Only at the age of a minute it counts as unused: test_rotate.py."""
    if registry.kind != "zot":
        return {}
    with registry.session(registry.reader) as session:
        made = session.post(f"https://{registry.host}/zot/auth/apikey", json={"label": "abandoned"})
    key: dict[str, Any] = made.json()
    return key


@pytest.fixture
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace that no other test uses, with its service account `default`."""
    run = Kubectl(cluster, f"test-{secrets.token_hex(4)}")
    run("create", "namespace", run.namespace)
    run("wait", "serviceaccount/default", "--for=create", "--timeout=30s")
    yield run
    run("delete", "namespace", run.namespace, "--wait=false")


@pytest.fixture
def environment(environment: dict[str, str], cluster: Cluster) -> dict[str, str]:
    """That of an engineer who administers the cluster; runs end with the reports of the roles."""
    return {**environment, "K8S_AUTH_KUBECONFIG": str(cluster.kubeconfig), "ANSIBLE_SHOW_CUSTOM_STATS": "true"}


@pytest.fixture
def playbook(playbook: Playbook) -> Playbook:
    """A rollout takes less time here than the default of the role, five seconds from one look to the next."""
    return partial(playbook, zot_rollout_wait_sleep=1)


@pytest.fixture
def site(
    registry: Registry,
    repository: str,
    images: Images,
    module: Module,
    environment: dict[str, str],
    playbook: Playbook,
    kubectl: Kubectl,
    cluster: Cluster,
    tmp_path: Path,
) -> Site:
    """What most tests need."""
    return Site(registry, repository, images, module, environment, playbook, kubectl, cluster, tmp_path)


@pytest.fixture
def push(site: Site) -> Callable[..., str]:
    """Push an archive to a repository of this test."""
    return site.push
