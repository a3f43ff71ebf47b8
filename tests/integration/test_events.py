# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events that are hostile, forged, doubled or late: real ansible-rulebook, and an API server for a cluster.

What an event of Zot does to pods is in tests/cluster.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from cluster.support import stats, workload
from integration import receiver as receivers
from integration.blocks import ROOT, blocks
from integration.patchable_cluster import PatchableCluster
from integration.receiver import Receiver
from integration.support import Module, recap
from reliability.support import tags_in, wait_until
from unit.api_server import running

from environment.images import Images
from environment.registry import Registry

CAPTURED = json.loads((ROOT / "tests/unit/captured_events.json").read_text(encoding="utf-8"))
OTHER = f"sha256:{'0' * 64}"


def event(**fields: Any) -> dict[str, Any]:
    """The body of a push as Zot sends it, with other fields."""
    body = next(each["payload"] for each in CAPTURED if each["payload"].get("reference") == "latest")
    return {**copy.deepcopy(body), **fields}


def send_as_the_guide(receiver: Receiver) -> str:
    """Send the event of the guide, which has the fields of a real one, with its command; returns what it pushes."""
    (body,) = (block.text for block in blocks(receivers.PAGE) if block.language == "json" and "sinks" not in block.text)
    documented, real = json.loads(body), event()
    assert documented.keys() == real.keys()
    assert [documented[name].keys() for name in ("actor", "request")] == [
        real[name].keys() for name in ("actor", "request")
    ]
    (receiver.directory / "push.json").write_text(body)
    (command,) = (line for block in blocks(receivers.PAGE) for line in block.commands if line.startswith("curl "))
    command = command.replace("127.0.0.1:5000", f"127.0.0.1:{receiver.port}").replace("curl ", "curl --fail --silent ")
    environment = {**receiver.environment, "TOKEN": receiver.token}
    subprocess.run(["sh", "-euc", command], cwd=receiver.directory, env=environment, check=True)
    return f"{documented['name']}:{documented['reference']}@{documented['digest']}"


@pytest.fixture
def push(images: Images, module: Module, repository: str) -> Callable[[str], str]:
    """Push an archive as the tag latest; returns the digest."""

    def run(archive: str) -> str:
        result = module("zot_push", archive=str(images[archive]), repository=repository, tags=["latest"])
        assert not result["failed"], result
        return str(result["image"]["digest"])

    return run


@pytest.fixture
def app(registry: Registry, repository: str) -> PatchableCluster:
    """A cluster whose Deployment runs the tag latest; it starts when a test asks for it."""

    def resolve(image: str) -> str:
        return image.partition("@")[2] or tags_in(registry, repository)["latest"]

    held_by = workload(f"{registry.host}/{repository}:latest", name="app")
    return PatchableCluster("apps", resolve, held_by)


def test_hostile_and_useless_events(
    push: Callable[[str], str],
    repository: str,
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """What is hostile starts nothing, and the log says why. What is forged, doubled or late restarts nothing."""
    program = receivers.program()
    late, now = push("buildah-amd64"), push("changed-layer")
    cluster: PatchableCluster = request.getfixturevalue("app")
    owned = tmp_path / "owned"
    expression = f"{{{{ lookup('ansible.builtin.pipe', 'touch {owned}') }}}}"

    with running(cluster) as server:
        variables = {"zot_kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig")), "zot_namespace": "apps"}
        receiver = Receiver(program, tmp_path / "receiver", environment, variables)
        with receiver.running():
            statuses = [
                receiver.post(event(name=repository), token=None),
                receiver.post(event(name=repository), token="another-token"),
                receiver.post(b"x" * 1_000_000),
                receiver.post(b"x" * 2_000_000),
            ]
            assert statuses == [401, 401, 400, 413]
            if sys.version_info < (3, 12):  # the guide says what happens on Python 3.13
                assert receiver.post(b"[" * 100_000) == 500
            refused = {
                "evil.example.com/openclaw/openclaw": "begins with the name of a registry",
                "evil.example.com:5000/openclaw": "is not a repository",
                "; rm -rf /": "is not a repository",
                "a" * 1_000_000: "is not a repository",
                expression: "is not a repository",
            }
            assert {receiver.post(event(name=name)) for name in refused} == {200}
            for name in ("reference", "digest"):
                assert receiver.post(event(**{"name": repository, name: expression})) == 200
            assert receiver.post(["latest"]) == receiver.post(event(name={expression: expression})) == 200

            # Valid, and hostile in everything else.
            everything = dict.fromkeys((*event(), expression, "meta", "payload"), expression)
            valid = {"name": repository, "reference": "latest", "digest": now}
            headers = dict.fromkeys(("Ce-Id", "Ce-Source", "User-Agent", "X-Hosts"), expression)
            assert receiver.post({**everything, **valid}, headers=headers) == 200
            assert receiver.post({**everything, **valid}, headers={"Ce-Type": expression}) == 200
            # Doubled, late and forged.
            assert receiver.post(event(**valid)) == receiver.post(event(**{**valid, "digest": late})) == 200
            assert receiver.post(event(name=repository, reference="stable", digest=OTHER)) == 200
            assert receiver.post(event(name="no/such", reference="latest", digest=OTHER)) == 200
            documented_event = send_as_the_guide(receiver)

            wait_until(receiver.reports, "the playbook ends", 60)
            log, (report,) = receiver.log, receiver.reports()

    assert not owned.exists()
    assert receiver.runs() == 1
    documented = json.loads(re.search(r"\"msg\": (\[.*?\])", log, re.DOTALL)[1])  # type: ignore[index]
    expected = [f"{repository}:latest@{now}", f"{repository}:latest@{late}", f"{repository}:stable@{OTHER}"]
    # Before the tags: the registry, and the namespace and the cluster.
    assert documented[2:] == sorted([*expected, f"no/such:latest@{OTHER}", documented_event])
    assert (report["ok"], report["changed"], report["verified"]) == (True, False, ["deployment/app"])
    assert cluster.patched == []

    assert log.count('"POST /zot HTTP/1.1" 401') == 2
    assert '"POST /zot HTTP/1.1" 413' in log
    assert "Wrong body request: failed to decode JSON payload" in log
    lines = [line for line in log.splitlines() if "Refused an event" in line]
    assert len(lines) == len(refused) + 4
    for name, reason in refused.items():
        assert any(ascii(name)[:90] in line and line.endswith(reason) for line in lines), name
    assert "Ignored an event of the type" in log


def test_a_rule_without_the_filter(environment: dict[str, str], tmp_path: Path) -> None:
    """A copy of a rulebook is safe: its condition matches each field as a whole, as the filter does."""
    program = receivers.program()
    (ruleset,) = yaml.safe_load((ROOT / "extensions/eda/rulebooks/restart_on_push.yml").read_text(encoding="utf-8"))
    del ruleset["sources"][0]["filters"], ruleset["rules"][0]["throttle"]
    ruleset["rules"][0]["action"] = {"debug": {"msg": "matched {{ event.payload.reference }}"}}
    copied = tmp_path / "copied.yml"
    copied.write_text(json.dumps([ruleset]))
    receiver = Receiver(program, tmp_path / "receiver", environment, {}, str(copied))
    with receiver.running():
        for name in ("name", "reference", "digest"):
            good = event()[name]
            lines = (f"{good}\n", f"\n{good}", f"{good} {{{{ 1 }}}}", f"{{{{ 1 }}}}\n{good}\n")
            for value in (*lines, [good], {good: 1}, ""):
                assert receiver.post(event(**{name: value})) == 200
        assert receiver.post(event(reference="valid")) == 200
        wait_until(lambda: "matched" in receiver.log, "the rule matches", 30)
        assert receiver.post(event(reference="end")) == 200
        wait_until(lambda: "matched end" in receiver.log, "the rule matches", 30)
        assert re.findall(r"matched .*", receiver.log) == ["matched valid", "matched end"]


def test_a_stop_ends_the_playbook(
    push: Callable[[str], str],
    repository: str,
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """As systemd stops the unit of the guide: SIGTERM to all processes of the unit, while a playbook runs."""
    program = receivers.program()
    (unit,) = (block.text for block in blocks(receivers.PAGE) if block.language == "ini")
    seconds = int(re.search(r"^KillMode=control-group\nTimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1])  # type: ignore[index]
    push("buildah-amd64")
    cluster: PatchableCluster = request.getfixturevalue("app")
    cluster.healthy, digest = cluster.digests("app")[0], push("changed-layer")
    marker = f"ZOT_TEST_UNIT={tmp_path}"
    with running(cluster) as server:
        variables = {"zot_kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig")), "zot_namespace": "apps"}
        own = dict([marker.split("=")])
        receiver = Receiver(program, tmp_path / "receiver", {**environment, **own}, variables)
        with receiver.running():
            assert receiver.post(event(name=repository, digest=digest)) == 200
            wait_until(lambda: cluster.patched, "the playbook restarts the workload", 60)
            before = receivers.processes(marker)
            assert len(before) > 1
            for number in before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGTERM)
            wait_until(lambda: not receivers.processes(marker), "all processes end", seconds)
    assert receiver.runs() == 1
    assert receiver.reports() == []


def test_a_single_event(
    push: Callable[[str], str],
    repository: str,
    request: pytest.FixtureRequest,
    playbook: Callable[..., CompletedProcess[str]],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """By hand, as the guide does it: a workload that uses the repository is restarted. Without an event: an error."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    push("buildah-amd64")
    cluster: PatchableCluster = request.getfixturevalue("app")
    digest = push("changed-layer")
    with running(cluster) as server:
        variables: dict[str, Any] = {"zot_kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig"))}
        variables |= {"zot_namespace": "apps", "zot_rollout_wait_sleep": 1}

        def play(name: str) -> CompletedProcess[str]:
            payload = {"name": name, "reference": "latest", "digest": digest}
            return playbook("killinit.zot.event", ansible_eda={"event": {"payload": payload}}, **variables)

        other, own = play("no/such"), play(repository)
        nothing = playbook("killinit.zot.event", **variables)
    assert [recap(run)["changed"] for run in (other, own)] == [0, 1]
    assert [stats(run)["restarted"] for run in (other, own)] == [[], ["deployment/app"]]
    assert cluster.digests("app") == [digest]
    assert nothing.returncode == 2
    assert "There is no event in ansible_eda" in nothing.stdout + nothing.stderr
