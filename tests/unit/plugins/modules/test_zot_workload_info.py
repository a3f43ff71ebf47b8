# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module from main() down: the registry in memory, and a cluster in memory."""

from __future__ import annotations

import json
import time
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys
from ansible_collections.killinit.zot.tests.unit.workload_objects import (
    Dict,
    container,
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
    """Runs main() with objects in the cluster and options. crane is the only way to the registry."""

    def no_library(_registry: Registry) -> t.NoReturn:
        raise ZotError("tool_missing", "without requests")

    monkeypatch.setattr(Registry, "http", no_library)

    def run(
        *objects: Dict,
        refused: t.Collection[str] = (),
        check: bool = False,
        cluster: FakeCluster | None = None,
        **options: t.Any,
    ) -> Dict:
        cluster = cluster or FakeCluster(NAMESPACE, *objects, refused=refused)
        monkeypatch.setattr(module, "connect", lambda _module: cluster)
        account = {"username": None, "password": None, "registry_username": "ci", "registry_password": "s3cret"}
        given = {"namespace": "openclaw", "retries": None, **account, **options}
        found: Dict = run_module(module.main, check=check, **given)
        assert wrong_keys(module.RETURN, found) == []
        return found

    return run


def scene(own: Dict, *pods: Dict) -> list[Dict]:
    return [own, *with_templates([own], pods)]


@pytest.mark.parametrize("check", [False, True])
def test_a_tag_that_moved(info: Info, fake: t.Any, docker_config: t.Any, check: bool) -> None:
    """Stale, with a patch in both modes, and current once the pods run the image."""
    old = fake.put("openclaw/openclaw", "r1")
    new = fake.put("openclaw/openclaw", "latest", docker_config(created="2026-11-25T10:00:00Z"))
    own = workload(container(f"{APP}:latest"))
    stale = info(*scene(own, pod(f"{APP}@{old}"), pod(f"{APP}@{old}", name="q")), check=check)
    assert (stale["ok"], stale["changed"], stale["workloads"][0]["status"]) == (False, False, "stale")
    annotations = stale["workloads"][0]["patch"]["spec"]["template"]["metadata"]["annotations"]
    assert json.loads(annotations["zot.killinit.cc/containers"]) == {"app": new}

    current = info(*scene(own, pod(f"{APP}@{new}")), check=check)
    assert (current["ok"], current["problems"], current["unreadable"]) == (True, [], [])
    assert {key: current["workloads"][0][key] for key in ("name", "status", "patch", "record", "pods")} == {
        "name": "deployment/app",
        "status": "current",
        "patch": None,
        "record": None,
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workloads": ["deployment/typo"]}, "cannot find deployment/typo in namespace openclaw: it does not exist"),
        ({"assume_pushed": ["ghcr.io/a/b:1"]}, f"ghcr.io/a/b:1 is not an image of {HOST}"),
        ({"registry": None, "registry_username": None, "registry_password": None}, "ZOT_REGISTRY"),
    ],
)
def test_what_proves_nothing_is_an_error(info: Info, options: Dict, message: str) -> None:
    found = info(workload(container(f"{APP}:latest")), **options)
    assert found["failed"] is True
    assert message in found["msg"]
    assert found["retryable"] is False


def test_a_registry_that_refuses_is_an_error(info: Info, fake: t.Any) -> None:
    fake.put("openclaw/openclaw", "latest")
    fake.fail("digest", "latest", "bad-password")
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wait": True, "wait_sleep": 0}, "wait_sleep is 0, but must be at least 1"),
        ({"wait": True, "wait_sleep": -5}, "wait_sleep is -5, but must be at least 1"),
        ({"wait": True, "wait_timeout": -1}, "wait_timeout is -1, but must be at least 0"),
        ({"registry_timeout": 0}, "registry_timeout is 0, but must be at least 1"),
        ({"namespace": "Open/Claw"}, "'Open/Claw' is not a valid name of a namespace"),
        ({"workloads": ["pod/x"]}, "'pod' in 'pod/x' is not one of the kinds"),
        *(
            ({"repositories": [name]}, "repositor")
            for name in ("openclaw/OpenClaw", "openclaw:latest", "; rm -rf /", "{{ 7 * 7 }}", 7)
        ),
    ],
)
def test_an_invalid_option_is_an_error_before_a_connection(info: Info, options: Dict, message: str) -> None:
    requests = FakeCluster()
    found = info(workload(container(f"{APP}:latest")), cluster=requests, **options)
    assert message in found["msg"]
    assert (found["error_class"], found["retryable"]) == ("invalid_option", False)
    assert requests.requests == []


@pytest.mark.parametrize("typed", ["deployment/app,DEPLOYMENT/second", "Deploy/app deployments.apps/second"])
def test_names_as_one_text_and_kinds_in_any_case(info: Info, fake: t.Any, typed: str) -> None:
    fake.put("openclaw/openclaw", "latest")
    names = [workload(container(f"{APP}:latest"), name=name) for name in ("app", "second", "third")]
    found = info(*names, workloads=typed, label_selectors=["", " "])
    assert [each["name"] for each in found["workloads"]] == ["deployment/app", "deployment/second"]


def test_the_rollout_of_another_registry_is_not_waited_for(
    info: Info, fake: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workload without a verdict neither prolongs the wait nor ends it."""
    digest = fake.put("openclaw/openclaw", "latest")
    own = workload(container(f"{APP}:latest"))
    other = workload(container("docker.io/library/nginx:1"), name="other")
    other["status"]["updatedReplicas"] = 0
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("it waits"))
    found = info(*scene(own, pod(f"{APP}@{digest}")), other, wait=True, wait_timeout=60, wait_sleep=30)
    assert (found["ok"], [each["name"] for each in found["workloads"]]) == (True, ["deployment/app"])


def test_a_wait_that_a_failure_ends_did_not_time_out(info: Info, fake: t.Any) -> None:
    fake.put("openclaw/openclaw", "latest")
    slow, broken = (workload(container(f"{APP}:latest"), name=name) for name in ("slow", "broken"))
    slow["status"]["updatedReplicas"] = 0
    broken["status"]["conditions"] = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    found = info(slow, broken, wait=True, wait_timeout=300)
    assert {each["name"]: each["status"] for each in found["workloads"]} == {
        "deployment/slow": "progressing",
        "deployment/broken": "failed",
    }
    assert not [text for text in found["problems"] if "300 seconds" in text]


def test_only_what_uses_the_repositories_is_assessed(info: Info, fake: t.Any) -> None:
    """Workloads and pods of other owners. A repository whose name is only the end of another one is not used."""
    fake.put("openclaw/openclaw", "latest")
    fake.put("openclaw/tool", "latest")
    tool, old = f"{HOST}/openclaw/tool", f"sha256:{'0' * 64}"
    app = workload(container(f"{APP}:latest"))
    both = workload(container(f"{APP}:latest"), container(f"{tool}:latest", name="tool"), name="both")
    elsewhere = workload(container("quay.io/openclaw/tool:latest"), name="elsewhere")
    other = pod(f"{tool}@{old}", of="canary", kind="Rollout", name="other")
    other["spec"] = {"containers": [container(f"{tool}:latest")]}
    objects = [app, both, elsewhere, *with_templates([app, both], [pod(f"{APP}@{old}"), other])]

    def names(*repositories: str) -> list[str]:
        found = info(*objects, repositories=list(repositories), allow_empty=True)
        return [each["name"] for each in found["workloads"]]

    assert names() == names("openclaw/openclaw", "openclaw/tool") == ["deployment/app", "deployment/both"]
    assert names("openclaw/tool, other/app") == ["deployment/both"]
    assert names("tool") == names("other/app") == []
    with_pod, without = (info(*objects, repositories=[each]) for each in ("openclaw/tool", "openclaw/openclaw"))
    assert any("pod other" in text for text in with_pod["problems"])
    assert not any("pod other" in text for text in without["problems"])
    nothing = info(*objects, repositories=["other/app"])
    assert f"none uses an image of {HOST}/other/app; allow_empty accepts that" in nothing["msg"]


class TestAliases:
    """Workloads that name the registry in another way."""

    ALIAS = "zot.zot.svc:5000/openclaw/openclaw"
    OPTIONS: t.ClassVar[Dict] = {"registry_aliases": ["localhost:5000", "Zot.zot.svc:5000"]}

    def test_are_compared_with_the_registry(self, info: Info, fake: t.Any, docker_config: t.Any) -> None:
        old = fake.put("openclaw/openclaw", "r1")
        new = fake.put("openclaw/openclaw", "latest", docker_config(created="2026-11-25T10:00:00Z"))
        own = workload(container(f"{self.ALIAS}:latest"))
        stale = info(*scene(own, pod(f"{self.ALIAS}@{old}")), **self.OPTIONS)
        assert [each["status"] for each in stale["workloads"]] == ["stale"]
        assert info(*scene(own, pod(f"{self.ALIAS}@{new}")), **self.OPTIONS)["ok"] is True
        assert info(*scene(own, pod(f"{self.ALIAS}@{old}")))["failed"] is True

    def test_keep_their_name_in_a_patch(self, info: Info, fake: t.Any, docker_config: t.Any) -> None:
        """The nodes may know the registry only by this name."""
        old = fake.put("openclaw/openclaw", "aaaaaa1")
        fake.put("openclaw/openclaw", "aaaaaa2", docker_config(created="2026-11-25T10:00:00Z"))
        own = workload(container(f"{self.ALIAS}:aaaaaa1"))
        options = {**self.OPTIONS, "images": [f"{APP}:aaaaaa2"], "set_image": "true"}
        found = info(*scene(own, pod(f"{self.ALIAS}@{old}")), **options)
        (changed,) = found["workloads"][0]["patch"]["spec"]["template"]["spec"]["containers"]
        assert changed["image"] == f"{self.ALIAS}:aaaaaa2"


@pytest.mark.parametrize("spelling", ["OCI.example.com", "oci.example.com:443"])
def test_another_spelling_of_the_registry(spelling: str, info: Info, fake: t.Any) -> None:
    """Host names have no case, and 443 is the default port."""
    digest = fake.put("openclaw/openclaw", "latest")
    own = workload(container(f"{spelling}/openclaw/openclaw:latest"))
    found = info(*scene(own, pod(f"oci.example.com/openclaw/openclaw@{digest}")), registry="oci.example.com")
    assert [each["status"] for each in found["workloads"]] == ["current"]
