# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry, the module, or Ansible is killed in the middle of a push. The next run finishes it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from reliability.support import (
    Site,
    Start,
    archive,
    require_correct_result,
    tags_in,
    tools_of,
    wait_until,
    wait_until_held,
)

from environment import registry as registries
from environment.faults import Fault, Proxy
from environment.registry import Registry

BLOB = Fault("hold", "PATCH .*/blobs/", size=300_000, times=1)


@pytest.fixture
def work(repository: str, tmp_path: Path) -> dict[str, Any]:
    """A push of an image that nobody has."""
    path = archive(tmp_path / "amd64.tar", size=2_000_000)
    return {"archive": str(path), "repository": repository, "tags": ["1", "latest"], "retries": 1}


@pytest.mark.parametrize(
    ("who", "fault"),
    [
        pytest.param("zot_push", BLOB, id="in a blob"),
        pytest.param("zot_push", Fault("hold", "PUT .*/manifests/1$"), id="before the manifest"),
        pytest.param("zot_push", Fault("hold", "PUT .*/manifests/latest$"), id="between two tags"),
        pytest.param("zot_index", Fault("hold", "PUT .*/manifests/1$"), id="before the index"),
        pytest.param("zot_index", Fault("hold", "PUT .*/manifests/latest$"), id="between two tags of an index"),
    ],
)
def test_registry_is_killed(
    who: str,
    fault: Fault,
    own_registry: tuple[Registry, Proxy],
    work: dict[str, Any],
    start: Start,
    repository: str,
    tmp_path: Path,
) -> None:
    """With SIGKILL. The stored images exist after the restart."""
    registry, proxy = own_registry
    if who == "zot_index":
        for name in ("amd64", "arm64"):
            path = archive(tmp_path / f"{name}.tar", architecture=name)
            member = {"archive": str(path), "repository": repository, "tags": [name]}
            assert start("zot_push", registry, **member).result()["changed"]
        work = {"repository": repository, "manifests": ["amd64", "arm64"], "tags": ["1", "latest"], "retries": 1}
    before = tags_in(registry, repository)
    proxy.set(fault)
    running = start(who, proxy, **work)
    wait_until_held(proxy, fault)
    registries.crash(registry)
    proxy.release()
    result = running.result()
    proxy.set()
    registries.revive(registry)

    assert (result["failed"], result["error_class"]) == (True, "unavailable")
    between = tags_in(registry, repository)
    require_correct_result(result, before, between)
    assert not tools_of(proxy.host)
    again = start(who, proxy, **work).result()
    assert (again["failed"], again["changed"]) == (False, True)
    require_correct_result(again, between, tags_in(registry, repository))
    assert [tag["changed"] for tag in again["tags"]] == [tag not in between for tag in ("1", "latest")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_module_is_killed(site: Site, number: signal.Signals, work: dict[str, Any]) -> None:
    """In the middle of a blob. It says so, unless that was SIGKILL, and cleans up, at the latest in the next run."""
    proxy, registry, start, repository = site.proxy, site.registry, site.start, site.repository
    proxy.set(BLOB)
    running = start("zot_push", proxy, **work)
    wait_until_held(proxy, BLOB)
    running.process.send_signal(number)
    if number == signal.SIGKILL:
        running.process.wait()
        left = list(running.temporary.glob("ansible-*/zot-*"))
        assert [path.stat().st_mode & 0o777 for path in left] == [0o700]
        login = registry.writer.basic.encode()
        secret = [path for each in left for path in each.rglob("*") if path.is_file() and login in path.read_bytes()]
        assert [(path.name, path.stat().st_mode & 0o777) for path in secret] == [("config.json", 0o600)]
    else:
        result = running.result()
        assert (result["failed"], result["error_class"]) == (True, "tool_failed")
        assert f"signal {number.value}" in result["msg"]
        assert "Run it again" in result["hint"]
        assert not tools_of(proxy.host)
    proxy.set()
    wait_until(lambda: not tools_of(proxy.host), "what the killed module has started ends")
    # The processes that SIGKILL leaves end by themselves.
    assert tags_in(registry, repository).keys() <= ({"1"} if number == signal.SIGKILL else set())
    again = start("zot_push", proxy, **work).result()
    assert (again["failed"], again["changed"]) == (False, True)
    assert sorted(tags_in(registry, repository)) == ["1", "latest"]
    assert not list(running.temporary.glob("ansible-*/zot-*"))


PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - killinit.zot.zot_push: {archive: "{{ archive }}", repository: "{{ repository }}", tags: ["1", latest]}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ansible_is_killed(site: Site, number: signal.Signals, work: dict[str, Any], tmp_path: Path) -> None:
    """In the middle of a blob. The module ends with Ansible; after SIGKILL it finishes, and then cleans up."""
    proxy, registry, repository, environment = site.proxy, site.registry, site.repository, site.environment
    environment |= {"ZOT_REGISTRY": proxy.host, "ZOT_CA_PATH": str(proxy.ca)}
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    command = ["ansible-playbook", str(play), "-e", f"archive={work['archive']} repository={repository}"]

    def run() -> subprocess.Popen[str]:
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=environment, start_new_session=True, **piped)

    def left() -> list[str]:
        directories = [str(path) for path in Path(environment["HOME"]).glob("tmp/ansible-*/zot-*")]
        return [*tools_of(proxy.host), *directories]

    proxy.set(BLOB)
    killed = run()
    wait_until_held(proxy, BLOB)
    killed.send_signal(number)
    if number != signal.SIGKILL:
        wait_until(lambda: not left(), "everything ends, though the registry does not answer")
    proxy.set()
    output, _none = killed.communicate(timeout=60)
    assert killed.returncode != 0
    assert "Traceback" not in output
    wait_until(lambda: not left(), "everything ends")
    assert sorted(tags_in(registry, repository)) == (["1", "latest"] if number == signal.SIGKILL else [])
    # Ansible leaves its own files, with the options in them: the credentials are none.
    files = [path for path in Path(environment["HOME"]).rglob("*") if path.is_file()]
    assert not [path for path in files if environment["ZOT_PASSWORD"].encode() in path.read_bytes()]

    again = run()
    output, _none = again.communicate(timeout=60)
    assert again.returncode == 0, output
    assert sorted(tags_in(registry, repository)) == ["1", "latest"]
