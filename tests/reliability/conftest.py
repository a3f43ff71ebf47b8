# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the reliability tests share: a registry behind a proxy that causes faults."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from integration.support import Module
from reliability.support import Publisher, Site, Start, tools_of, wait_until

from environment import faults
from environment import registry as registries
from environment.faults import Proxy
from environment.registry import Registry

# The registry, and ways to run the collection against it, are those of the integration tests.
pytest_plugins = ("integration.fixtures",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that the others are done beside it."""
    items.sort(key=lambda item: "test_soak" not in item.nodeid)


def pytest_report_header() -> str:
    """Say what repeats the soak."""
    return f"ZOT_TEST_SEED={os.environ['ZOT_TEST_SEED']}"


def pytest_configure() -> None:
    """Choose the seed in the process that starts the others, which inherit it."""
    os.environ.setdefault("ZOT_TEST_SEED", secrets.token_hex(4))


@pytest.fixture(scope="session")
def shared_proxy(registry: Registry) -> Iterator[Proxy]:
    """The proxy that the tests share."""
    with faults.between(registry) as running:
        yield running


@pytest.fixture
def proxy(shared_proxy: Proxy) -> Iterator[Proxy]:
    """The proxy, with no fault before the test, and no fault and no tool after it."""
    shared_proxy.set()
    yield shared_proxy
    shared_proxy.set()
    wait_until(lambda: not tools_of(shared_proxy.host), "the tools of this test end")


@pytest.fixture
def through(module: Module, proxy: Proxy) -> Module:
    """Run a module as `module` does, but by way of the proxy."""
    return partial(module, registry=proxy.host, ca_path=str(proxy.ca))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Publisher]]:
    """Start a module in a process of its own: start("zot_push", proxy, archive=…), by a proxy or a registry."""
    started: list[Publisher] = []

    def run(
        name: str, at: Proxy | Registry, *, prefix: Sequence[str] = (), own: str | None = None, **options: Any
    ) -> Publisher:
        # One directory for all, as all tasks on a host have it.
        temporary = tmp_path / "ansible"
        temporary.mkdir(exist_ok=True)
        writer = (at if isinstance(at, Registry) else at.registry).writer
        arguments = {
            "registry": at.host,
            "ca_path": str(at.ca),
            "username": writer.username,
            "password": writer.password,
            "retries": 0,
            **options,
        }
        started.append(Publisher(name, arguments, temporary, prefix, own))
        return started[-1]

    yield run
    for publisher in started:
        publisher.process.kill()
        publisher.process.wait()


@pytest.fixture
def site(
    registry: Registry,
    repository: str,
    proxy: Proxy,
    module: Module,
    through: Module,
    start: Start,
    environment: dict[str, str],
    tmp_path: Path,
) -> Site:
    """What most tests need."""
    return Site(registry, repository, proxy, module, through, start, environment, tmp_path)


@pytest.fixture
def own_registry() -> Iterator[tuple[Registry, Proxy]]:
    """A registry that only this test uses and may kill, and a proxy in front of it."""
    with registries.running() as registry, faults.between(registry) as proxy:
        yield registry, proxy
