# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of the modules that read a cluster, in real runs of ansible-playbook."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.tests.unit import api_server
from ansible_collections.killinit.zot.tests.unit.api_server import Request, running

pytest.importorskip("kubernetes")
PLAYBOOK = shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
COLLECTIONS = Path(api_server.__file__ or "").parents[5]

Dict = dict[str, t.Any]


def answer(request: Request) -> tuple[int, Dict]:
    """A cluster with the namespace and nothing in it."""
    if request.path.startswith("/api/v1/namespaces/") and request.path.count("/") == 4:
        return 200, {"kind": "Namespace", "metadata": {"name": "test"}}
    return 200, {"items": []}


def run(folder: Path, *tasks: Dict, verbose: str = "-v", **play: t.Any) -> tuple[list[Dict], str]:
    """Run tasks with zot_workload_info; returns their results, and all that was printed."""
    program = folder / "crane"
    program.write_text("#!/bin/false\n", encoding="utf-8")
    program.chmod(0o755)
    common = {"namespace": "test", "registry": "h.example", "crane_path": str(program), "allow_empty": True}
    steps = [{"killinit.zot.zot_workload_info": {**common, **task}, "ignore_errors": True} for task in tasks]
    playbook = folder / "play.yml"
    hosts = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    playbook.write_text(json.dumps([{**hosts, **play, "tasks": steps}]), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("K8S_", "ZOT_", "KUBE"))}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "HOME": str(folder),
    }
    assert PLAYBOOK
    done = subprocess.run(
        [PLAYBOOK, str(playbook), verbose], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    printed = done.stdout + done.stderr
    results = re.findall(r"^(?:ok|fatal): \[localhost\](?:: FAILED!)? => (\{.*\})$", done.stdout, re.MULTILINE)
    return [json.loads(result) for result in results], printed


def test_the_connection_is_that_of_the_play(tmp_path: Path) -> None:
    """Of module_defaults; an argument of the task wins; a relative kubeconfig is found in files/."""
    (tmp_path / "files").mkdir()
    with running(answer) as one, running(answer) as two:
        two.kubeconfig(tmp_path / "files" / "two.kubeconfig")
        defaults = {
            "group/kubernetes.core.k8s": {"kubeconfig": str(one.kubeconfig(tmp_path / "one")), "wait_timeout": 7},
            "group/killinit.zot.cluster": {"registry_username": "reader", "registry_password": "s3cret-0815"},
        }
        results, _printed = run(
            tmp_path, {}, {"kubeconfig": "two.kubeconfig"}, {"host": two.address}, module_defaults=defaults
        )
        assert [result.get("cluster") for result in results] == [one.address, two.address, two.address], results
    assert all(result["ok"] for result in results)


def test_only_the_objects_that_the_verdict_needs_are_requested(tmp_path: Path) -> None:
    """Not the version and the groups of the API, which the modules of kubernetes.core read."""
    with running(answer) as server:
        kubeconfig = str(server.kubeconfig(tmp_path / "config"))
        results, printed = run(tmp_path, {"kubeconfig": kubeconfig})
    assert results[0]["ok"], printed
    path = "/apis/apps/v1/namespaces/test"
    assert [request.path for request in server.requests] == [
        *(f"{path}/{resource}" for resource in ("deployments", "statefulsets", "daemonsets")),
        "/apis/batch/v1/namespaces/test/cronjobs",
        "/api/v1/namespaces/test",
        "/api/v1/namespaces/test/pods",
    ]
    assert server.discoveries == []


@pytest.mark.parametrize("verbose", ["-v", "-vvv"])
def test_a_module_that_dies_shows_no_password(tmp_path: Path, verbose: str) -> None:
    """Without an answer of the module the inherited action would show the arguments as they are."""
    secret = "s3cret-0815"
    variables = {"ansible_python_interpreter": "/bin/false"}
    _results, printed = run(
        tmp_path, {"registry_username": "ci", "registry_password": secret}, vars=variables, verbose=verbose
    )
    assert "MODULE FAILURE" in printed or "failed" in printed
    assert secret not in printed
