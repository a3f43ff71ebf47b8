# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module from main() down: the registry in memory, and a cluster in memory."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.workload_objects import (
    Dict,
    container,
    cronjob,
    pod,
    with_templates,
    workload,
)

pytest.importorskip("kubernetes")
module = pytest.importorskip("ansible_collections.killinit.zot.plugins.modules.zot_workload_info")

HOST = "127.0.0.1:5000"
APP = f"{HOST}/openclaw/openclaw"
NAMESPACE: Dict = {"kind": "Namespace", "metadata": {"name": "openclaw"}}

Info = t.Callable[..., Dict]


@pytest.fixture
def info(run_module: t.Any, monkeypatch: pytest.MonkeyPatch) -> Info:
    """Runs main() with objects in the cluster and options."""

    def run(*objects: Dict, refused: t.Collection[str] = (), check: bool = False, **options: t.Any) -> Dict:
        cluster = FakeCluster(NAMESPACE, *objects, refused=refused)
        monkeypatch.setattr(module, "connect", lambda _module: cluster)
        account = {"username": None, "password": None, "registry_username": "ci", "registry_password": "s3cret"}
        given = {"namespace": "openclaw", "retries": None, **account, **options}
        found: Dict = run_module(module.main, check=check, **given)
        return found

    return run


def scene(own: Dict, *pods: Dict) -> list[Dict]:
    return [own, *with_templates([own], pods)]


@pytest.mark.parametrize("check", [False, True])
def test_a_tag_that_moved(info: Info, fake: t.Any, docker_config: t.Any, check: bool) -> None:
    """Stale, with a patch in both modes, and current once the pods run the image; each reference is read once."""
    old = fake.put("openclaw/openclaw", "r1")
    new = fake.put("openclaw/openclaw", "latest", docker_config(created="2026-11-25T10:00:00Z"))
    own = workload(container(f"{APP}:latest"))
    stale = info(*scene(own, pod(f"{APP}@{old}"), pod(f"{APP}@{old}", name="q")), check=check)
    assert (stale["ok"], stale["changed"], stale["workloads"][0]["status"]) == (False, False, "stale")
    annotations = stale["workloads"][0]["patch"]["spec"]["template"]["metadata"]["annotations"]
    assert json.loads(annotations["zot.killinit.cc/containers"]) == {"app": new}
    manifests = [command[-1] for command in fake.commands if "manifest" in command]
    assert sorted(manifests) == sorted([f"{APP}:latest", f"{APP}@{old}"])

    current = info(*scene(own, pod(f"{APP}@{new}")), check=check)
    assert (current["ok"], current["problems"], current["unreadable"]) == (True, [], [])
    assert {key: current["workloads"][0][key] for key in ("name", "status", "patch", "undo", "pods")} == {
        "name": "deployment/app",
        "status": "current",
        "patch": None,
        "undo": None,
        "pods": 1,
    }
    assert (current["namespace"], current["registry"], current["cluster"]) == ("openclaw", HOST, FakeCluster.server)


@pytest.mark.parametrize("value", [True, "true", "yes"])
def test_set_image_is_a_text_or_a_boolean(info: Info, fake: t.Any, value: t.Any) -> None:
    """YAML makes a boolean of a bare true, and Ansible finds the choice that it stands for."""
    digest = fake.put("openclaw/openclaw", "3f2c1ab")
    own = workload(container(f"{APP}:01d7f00"))
    images = ["openclaw/openclaw:3f2c1ab"]
    found = info(*scene(own, pod(f"{APP}@sha256:{'0' * 64}")), images=images, set_image=value)
    if value == "yes":
        assert "set_image" in found["msg"]
    else:
        (entry,) = found["workloads"]
        assert entry["patch"]["spec"]["template"]["spec"]["containers"] == [{"name": "app", "image": f"{APP}:3f2c1ab"}]
        assert entry["images"][0]["expected"] == digest


def test_a_cronjob_is_listed_as_unverified(info: Info, fake: t.Any) -> None:
    fake.put("openclaw/openclaw", "latest")
    found = info(cronjob(container(f"{APP}:latest")))
    assert (found["ok"], len(found["unverified"])) == (True, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workloads": ["deployment/typo"]}, "cannot find deployment/typo in namespace openclaw: it does not exist"),
        ({"label_selectors": ["app=typo"]}, "cannot find workloads in namespace openclaw: the namespace has none with"),
        ({"namespace": "typo"}, "cannot find workloads in namespace typo: the namespace does not exist"),
        ({"workloads": ["app"]}, "'app' does not name a kind: write it as deployment/app"),
        ({"assume_pushed": ["ghcr.io/a/b:1"]}, f"ghcr.io/a/b:1 is not an image of {HOST}"),
        ({"registry": None, "registry_username": None, "registry_password": None}, "ZOT_REGISTRY"),
    ],
)
def test_what_proves_nothing_is_an_error(info: Info, options: Dict, message: str) -> None:
    found = info(workload(container(f"{APP}:latest")), **options)
    assert found["failed"] is True
    assert message in found["msg"]
    assert found["retryable"] is False


def test_what_may_not_be_read_is_named(info: Info) -> None:
    found = info(workload(container(f"{APP}:latest")), refused=["pods"])
    assert found["ok"] is False
    assert [each["resource"] for each in found["unreadable"]] == ["pods"]
    assert found["workloads"][0]["status"] == "unknown"


def test_a_registry_that_refuses_is_an_error(info: Info, fake: t.Any) -> None:
    fake.put("openclaw/openclaw", "latest")
    fake.fail("manifest", "latest", "bad-password")
    found = info(*scene(workload(container(f"{APP}:latest"))))
    assert (found["failed"], found["error_class"]) == (True, "unauthorized")


def test_returns_what_is_documented(info: Info, fake: t.Any) -> None:
    """And nothing else: every key of RETURN, and of its dictionaries."""
    yaml = pytest.importorskip("yaml")
    documented = yaml.safe_load(module.RETURN)
    old = fake.put("openclaw/openclaw", "latest")
    found = info(*scene(workload(container(f"{APP}:latest")), pod(f"{APP}@{old}")), refused=["cronjobs"])
    always = {name for name, entry in documented.items() if entry["returned"] == "success"}
    assert found.keys() - {"changed"} == always
    entry = found["workloads"][0]
    assert entry.keys() == documented["workloads"]["contains"].keys()
    assert entry["images"][0].keys() == documented["workloads"]["contains"]["images"]["contains"].keys()
    assert found["unreadable"][0].keys() == documented["unreadable"]["contains"].keys()
