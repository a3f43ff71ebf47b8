# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fixtures of the tests on a registry: one registry, one set of images, and ways to run the collection."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration import vulnerabilities
from integration.support import PAIRS, Bare, Module

from ansible_collections.killinit.zot.tests.unit.module_arguments import module_arguments
from environment import images as image_fixtures
from environment import registry as registries
from environment import zot_program
from environment.images import Images
from environment.registry import Registry, Request

ROOT = Path(__file__).resolve().parents[2]
WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})


def writes(requests: Iterable[Request]) -> list[Request]:
    """The requests that write."""
    return [each for each in requests if each.method in WRITES]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `tools` with every version that this machine has."""
    if "tools" in metafunc.fixturenames:
        ids = [str(pair) for pair in PAIRS]
        metafunc.parametrize("tools", PAIRS, ids=ids)


@pytest.fixture(scope="session")
def images() -> Images:
    """The archives; made once, and kept for the next run."""
    return image_fixtures.build(ROOT / ".cache" / "images")


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """The registry that the tests share; each uses repositories of its own."""
    with registries.running() as running:
        yield running


@pytest.fixture(scope="session")
def zot(registry: Registry) -> Registry:
    """The registry, if it is Zot: the stand-in has neither the search extension nor the referrers API."""
    if registry.kind != "zot":
        pytest.skip(zot_program.NEEDED)
    return registry


@pytest.fixture(scope="session")
def scanner() -> Iterator[Registry]:
    """A Zot with a scanner and the database of the tests, which it serves itself."""
    with registries.running(scanner=vulnerabilities.REPOSITORY) as running:
        if running.kind != "zot":
            pytest.skip(zot_program.NEEDED)
        vulnerabilities.push_database(running, *vulnerabilities.DATABASE)
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository that no other test uses."""
    return f"test/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def module(registry: Registry, tmp_path: Path) -> Module:
    """Run a module in this process: module("zot_push", archive=…, check=True). Returns its result, with `failed`.

    The registry and the writer's account are set unless the test says otherwise; None leaves an option out.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(name: str, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {
            "registry": registry.host,
            "username": registry.writer.username,
            "password": registry.writer.password,
            "ca_path": str(registry.ca),
            "retries": 0,
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_tmpdir": str(temporary),
        }
        main = importlib.import_module(f"ansible_collections.killinit.zot.plugins.modules.{name}").main
        output = io.StringIO()
        given = {option: value for option, value in arguments.items() if value is not None}
        with module_arguments(given), contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main()
        left = list(temporary.iterdir())
        assert not left, f"the module left {left}"
        return {"failed": False, **json.loads(output.getvalue())}

    return run


@pytest.fixture
def reads_only(registry: Registry) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which the registry must see no write, by its own log."""

    @contextlib.contextmanager
    def watch() -> Iterator[None]:
        before = len(registry.requests())
        yield
        answered = registry.requests()[before:]
        assert answered, "the registry got no request"
        # The registry logs an upload whose client was killed when it notices that, maybe in the next test: Zot with the
        # status 500, the stand-in with 400.
        assert not [each for each in writes(answered) if each.status not in (400, 500)]

    return watch


@pytest.fixture
def environment(registry: Registry, tmp_path: Path) -> dict[str, str]:
    """The environment of an engineer: the registry and the account, a HOME of their own."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        **os.environ,
        "HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_REMOTE_TMP": str(home / "tmp"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ZOT_REGISTRY": registry.host,
        "ZOT_USERNAME": registry.writer.username,
        "ZOT_PASSWORD": registry.writer.password,
        "ZOT_CA_PATH": str(registry.ca),
    }


@pytest.fixture
def playbook(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `ansible-playbook NAME --extra-vars VARIABLES OPTIONS`, by path or by name in the collection."""

    def run(name: str | Path, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        extra = tmp_path / "variables.json"
        extra.write_text(json.dumps(variables))
        command = ["ansible-playbook", str(name), "--extra-vars", f"@{extra}", *options]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def bare(registry: Registry, tmp_path: Path) -> Bare:
    """Run skopeo or crane as somebody else would, as the writer: bare("crane", "tag", …)."""
    authfile = tmp_path / "docker" / "config.json"
    authfile.parent.mkdir()
    authfile.write_text(json.dumps(registry.auths(registry.writer)))
    variables = {
        **os.environ,
        "DOCKER_CONFIG": str(authfile.parent),
        "REGISTRY_AUTH_FILE": str(authfile),
        "SSL_CERT_FILE": str(registry.ca),
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    return run
