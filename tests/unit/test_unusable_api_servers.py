# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module that connects to a cluster, with an API server that does not work: it ends in time with one sentence."""

from __future__ import annotations

import importlib
import re
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import settings

pytest.importorskip("ansible_collections.kubernetes.core", reason="the collection kubernetes.core is not installed")
pytest.importorskip("requests")

from ansible_collections.killinit.zot.plugins.module_utils._cluster import api as cluster_api
from ansible_collections.killinit.zot.plugins.module_utils._workload_info import run as workload_info
from ansible_collections.killinit.zot.tests.unit import web_server
from ansible_collections.killinit.zot.tests.unit.api_keys import PASSWORD, Keys
from ansible_collections.killinit.zot.tests.unit.api_server import (
    Request,
    Unfinished,
    holding,
    running,
    status,
)
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.pull_scene import entry, secret, service_account
from ansible_collections.killinit.zot.tests.unit.workload_objects import container, pod, with_templates, workload

PLUGINS = Path(workload_info.__file__ or "").parents[2]
NAMESPACE = "openclaw"
HANGS = 0.8
PAGE = "<!DOCTYPE html><title>502 Bad Gateway</title>"
OVERLOADED = status(503, "ServiceUnavailable", "the server is currently unable to handle the request")

# Each with a text of the sentence that reports it.
SERVERS: dict[str, tuple[t.Any, str]] = {
    "no answer": (None, r"no answer from http://127"),
    "a slow answer": ((200, Unfinished(" " * 99, pause=0.1)), r"no complete answer within"),
    "half an answer": ((200, Unfinished('{"items": []}')), r"no answer from .*IncompleteRead"),
    "a lost connection": ((0, ""), r"no answer from .*(reset|closed)"),
    "429": (status(429, "TooManyRequests", "slow down"), r": slow down(\.|$)"),
    "429 of a proxy": ((429, "slow down"), r": Too Many Requests(\.|$)"),
    "503": (OVERLOADED, r"the server is currently unable to handle the request(\.|$)"),
    "503 of a proxy": ((503, PAGE), r": Service Unavailable(\.|$)"),
    "a page": ((200, PAGE), r"the answer \(text/html\) is not that of a Kubernetes API\."),
}
WAIT = {"wait": True, "wait_timeout": 1, "wait_sleep": 1}
PODS = {"pull_username": "puller", "pull_password": PASSWORD}
MODULES: dict[str, tuple[str, dict[str, t.Any]]] = {
    "zot_workload_info": ("zot_workload_info", {"namespace": NAMESPACE}),
    "zot_workload_info, wait": ("zot_workload_info", {"namespace": NAMESPACE, **WAIT}),
    "zot_pull_failure_info": ("zot_pull_failure_info", {"namespace": NAMESPACE}),
    "zot_pull_secret_info": ("zot_pull_secret_info", {"namespace": NAMESPACE}),
    "zot_cluster_image_info": ("zot_cluster_image_info", {}),
    "zot_pull_secret": ("zot_pull_secret", {"namespace": NAMESPACE, **PODS}),
    "zot_pull_secret_key": ("zot_pull_secret_key", {"namespaces": [NAMESPACE, "other"], **PODS}),
}


def test_the_list_of_modules_is_complete() -> None:
    paths = PLUGINS.glob("modules/*.py")
    assert {path.stem for path in paths if "cluster_module(" in path.read_text(encoding="utf-8")} == {
        name for name, _options in MODULES.values()
    }


@pytest.fixture
def registry() -> t.Iterator[str]:
    """A registry with the API keys of the pods' account; every module but one reads the cluster before it."""
    with web_server.running(Keys()) as server:
        yield server.host


def objects(registry: str) -> list[dict[str, t.Any]]:
    """A workload with a pod, and the secret and the service account of the pod."""
    image = f"{registry}/openclaw/openclaw:latest"
    own = workload(container(image))
    pods = with_templates([own], [pod(f"{image.rpartition(':')[0]}@sha256:{'0' * 64}")])
    for each in pods:
        each["metadata"]["uid"] = each["metadata"]["name"]
    return [own, *pods, secret("zot-pull-secret", {registry: entry()}), service_account()]


# ./dev quick runs the first half.
GOOD = [0, 1] if settings().max_examples >= 100 else [0]


@pytest.mark.parametrize("good", GOOD)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("module", MODULES)
def test_it_ends_with_one_sentence(
    module: str,
    server: str,
    good: int,
    registry: str,
    run_module: t.Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """From the first request on, or after the first *good* answers."""
    # The other servers answer at once, but a busy machine may need longer for that.
    limit = 0.15 if server in ("no answer", "a slow answer") else 2
    for name, seconds in (("_TIMEOUT", limit), ("_FIRST_TIMEOUT", limit), ("_RETRY_AFTER", 0.02)):
        monkeypatch.setattr(cluster_api, name, seconds)
    monkeypatch.setattr(workload_info, "_RESTART", 0.5)
    name, options = MODULES[module]
    answer, expected = SERVERS[server]
    works = holding(FakeCluster(*objects(registry)))
    served = 0

    def respond(request: Request) -> tuple[int, t.Any]:
        nonlocal served
        served += 1
        if served <= good:
            return works(request)
        if answer is None:
            time.sleep(HANGS)
            return 200, {"items": []}
        code, body = answer
        return code, body

    main = importlib.import_module(f"ansible_collections.killinit.zot.plugins.modules.{name}").main
    account = {"registry_username": "ci", "registry_password": "s3cret"} if name != "zot_pull_secret_key" else {}
    none = dict.fromkeys(("username", "password", "retries"))
    with running(respond) as api:
        api.headers = {"Retry-After": "3600"}
        given = {
            **none,
            **account,
            **options,
            "registry": registry,
            "kubeconfig": str(api.kubeconfig(tmp_path / "config")),
        }
        started = time.monotonic()
        result = run_module(main, **given)
        seconds = time.monotonic() - started
    # Two attempts and the pause between them, and for a wait its own time, on a busy machine.
    assert seconds < (8 if "wait" in options else 5), result
    text = result["msg"] if result.get("failed") else "\n".join(result["problems"])
    sentences = text.splitlines()
    assert sentences, result
    for line in sentences:
        assert re.search(expected, line), line
        assert not re.search(r"Traceback|HTTPConnectionPool|Max retries|object at 0x|<!DOCTYPE", line), line
    assert len(set(sentences)) == len(sentences)
