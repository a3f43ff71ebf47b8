# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A push starts a rollout: real Zot sends events, real ansible-rulebook receives them, and the pods run the image."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cluster.support import Site, pods, pull_secret, ready, report, workload
from integration import receiver as receivers
from integration.receiver import Receiver
from integration.support import recap
from reliability.support import wait_until

from environment import registry as registries
from environment.images import relabelled
from environment.registry import ZOT_LOG, Registry
from environment.zot_program import NEEDED, find_zot

IMAGES = ("app", "tool")


def put_time(registry: Registry, repository: str) -> float:
    """When Zot answered the last push of the tag latest, in seconds since 1970."""
    records = map(json.loads, (registry.directory / ZOT_LOG).read_text(encoding="utf-8").splitlines())
    path = f"/v2/{repository}/manifests/latest"
    times = [each["time"] for each in records if (each.get("method"), each.get("path")) == ("PUT", path)]
    return datetime.fromisoformat(times[-1].replace("Z", "+00:00")).timestamp()


def test_pushes_reach_the_pods(site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A publish of two images is one run, of 20 pushes none is lost, and a scheduled restart follows lost events."""
    images, cluster, kubectl, module = site.images, site.cluster, site.kubectl, site.module
    environment, playbook = site.environment, site.playbook
    if find_zot() is None:
        pytest.skip(NEEDED)
    if cluster.directory is None:
        pytest.skip("needs a node that can be made to trust another registry")
    program = receivers.program()
    variables = {"zot_kubeconfig": str(cluster.kubeconfig), "zot_namespace": kubectl.namespace}
    receiver = Receiver(program, tmp_path / "receiver", environment, variables)

    with registries.running(events=receivers.configuration(receiver)) as zot:
        cluster.trust(zot.host, zot.ca)
        account = {"username": zot.writer.username, "password": zot.writer.password}
        environment |= {f"ZOT_{name.upper()}": text for name, text in account.items()}
        environment |= {"ZOT_REGISTRY": zot.host, "ZOT_CA_PATH": str(zot.ca), "ANSIBLE_SHOW_CUSTOM_STATS": "true"}

        def archive(name: str) -> str:
            return str(relabelled(images["buildah-amd64"], tmp_path / f"{name}.tar"))

        def publish(revision: str, *names: str) -> None:
            entries = [{"repository": name, "archives": {"amd64": archive(f"{revision}-{name}")}} for name in names]
            run = playbook("killinit.zot.publish", zot_publish_revision=revision, zot_publish_images=entries)
            assert recap(run)["failed"] == 0, run.stdout

        def push(name: str, number: int) -> str:
            options: dict[str, Any] = {"registry": zot.host, "ca_path": str(zot.ca), **account}
            result = module(
                "zot_push", archive=archive(f"{name}-{number}"), repository=name, tags=["latest"], **options
            )
            assert not result["failed"], result
            return str(result["image"]["digest"])

        def generations() -> list[int]:
            return [kubectl.get("deployment", name)["metadata"]["generation"] for name in (*IMAGES, "unused")]

        publish("r1", *IMAGES, "unused")
        kubectl.apply(pull_secret(zot, zot.reader))
        kubectl.apply(*(workload(f"{zot.host}/{name}:latest", name=name) for name in (*IMAGES, "unused")))
        ready(kubectl, *(f"deployment/{name}" for name in (*IMAGES, "unused")))
        before = [set(pods(kubectl, name).values()) for name in IMAGES]

        with receiver.running():
            # One publish, and nothing else.
            publish("r2", *IMAGES)
            wait_until(receiver.reports, "the playbook ends", 120)
            (done,) = receiver.reports()
            assert done["verified"] == ["deployment/app", "deployment/tool"], receiver.log
            assert generations() == [2, 2, 1]
            for old, name in zip(before, IMAGES):
                assert not old & set(pods(kubectl, name).values())
            patched = kubectl.get("deployment", "app", "--show-managed-fields")["metadata"]["managedFields"]
            times = [each["time"] for each in patched if each.get("subresource") != "status"]
            seconds = max(datetime.fromisoformat(each.replace("Z", "+00:00")).timestamp() for each in times)
            # A process of xdist shares standard error with the terminal, but not standard output.
            with capsys.disabled():
                text = f"{seconds - put_time(zot, 'app'):.1f} s from the PUT of the tag to the patch of the Deployment"
                print(f"\n{text}", file=sys.stderr)

            digests = [push("app", number) for number in range(20)]
            wait_until(lambda: all(f"app:latest@{each}" in receiver.log for each in digests), "all events arrive", 120)
            last = {digests[-1]}
            wait_until(lambda: set(pods(kubectl, "app").values()) == last, "the pods run the last image", 60)
            wait_until(lambda: receiver.runs() == len(receiver.reports()), "the playbook ends", 60)
            assert receiver.reports()[-1]["ok"], receiver.log

        # The receiver is down: the event is lost, also when it is up again. The next scheduled run follows.
        lost = push("tool", 20)
        with receiver.running():
            restart_report = report(playbook("killinit.zot.restart", **variables))
            assert set(pods(kubectl, "tool").values()) == {lost}
            assert lost not in receiver.log.rpartition("Waiting for events")[2]
        assert "deployment/tool" in restart_report["restarted"]
