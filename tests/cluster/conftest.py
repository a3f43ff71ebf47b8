# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster tests share: a registry, a cluster that pulls from it, and a namespace for each test."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster.support import Kubectl
from integration.support import Module

from environment import cluster as clusters
from environment.cluster import Cluster
from environment.images import Images, relabelled
from environment.registry import Registry

# The registry, and ways to run the collection against it, are those of the integration tests.
pytest_plugins = ("integration.fixtures",)


@pytest.fixture(scope="session")
def cluster(registry: Registry) -> Iterator[Cluster]:
    """The cluster that the tests share; each uses a namespace of its own."""
    with clusters.running(registry) as running:
        yield running


@pytest.fixture
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace that no other test uses, with its service account `default`."""
    run = Kubectl(cluster, f"test-{secrets.token_hex(4)}")
    run("create", "namespace", run.namespace)
    deadline = time.monotonic() + 30
    while not run("get", "serviceaccount", "default", "--ignore-not-found", "--output=name"):
        assert time.monotonic() < deadline, "the namespace gets no service account"
        time.sleep(0.1)
    yield run
    run("delete", "namespace", run.namespace, "--wait=false")


@pytest.fixture
def push(images: Images, repository: str, module: Module, tmp_path: Path) -> Callable[..., str]:
    """Push an archive to a repository of this test, tag latest; returns the reference.

    With *own* it is an image that this node has under no other name: one of that name in this test is the same.
    """

    def run(archive: str, name: str = "app", *, own: bool = False) -> str:
        path = tmp_path / f"{archive}.tar" if own else images[archive]
        if own and not path.exists():
            relabelled(images[archive], path)
        result = module("zot_push", archive=str(path), repository=f"{repository}/{name}", tags=["latest"])
        assert not result["failed"], result
        return str(result["image"]["reference"])

    return run
