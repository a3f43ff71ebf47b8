# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the options of zot_diagnose reach its module. No cluster is needed: an option is checked before any request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Playbook = Callable[..., CompletedProcess[str]]


@pytest.fixture
def problem(playbook: Playbook, environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Run the role in a play with these keywords; returns the one problem of its report."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    for name in [name for name in environment if name.startswith(("K8S_AUTH_", "KUBE"))]:
        del environment[name]

    def run(play: dict[str, Any] | None = None, **variables: Any) -> str:
        stats = {"data": {"report": "{{ zot_diagnose_report }}"}, "per_host": False}
        roles = [{"ansible.builtin.import_role": {"name": "killinit.zot.zot_diagnose"}}]
        tasks = [{"block": roles, "always": [{"ansible.builtin.set_stats": stats}]}]
        path = tmp_path / "play.yml"
        path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks, **(play or {})}]))
        done = playbook(path, zot_namespace="shop", **variables)
        assert done.returncode == 2, done.stdout + done.stderr
        found = re.search(r"RUN: (\{.*\})", done.stdout)
        assert found, done.stdout + done.stderr
        report = json.loads(found[1])["report"]
        assert (report["ok"], report["changed"], report["namespace"]) == (False, False, "shop")
        (text,) = report["problems"]
        return str(text)

    return run


def test_module_defaults_of_the_play(problem: Callable[..., str]) -> None:
    """The role overrides nothing that the play says."""
    defaults = {"module_defaults": {"group/killinit.zot.cluster": {"registry": "registry of the play"}}}
    assert "registry of the play" in problem(defaults)


def test_a_variable(problem: Callable[..., str]) -> None:
    """It beats the environment, and module_defaults beat it."""
    defaults = {"module_defaults": {"group/killinit.zot.cluster": {"registry": "registry of the play"}}}
    assert "registry of a variable" in problem(zot_registry="registry of a variable")
    assert "registry of the play" in problem(defaults, zot_registry="registry of a variable")


def test_the_environment_is_that_of_the_host_on_which_the_module_runs(problem: Callable[..., str]) -> None:
    """Not that of the controller."""
    assert "registry of the host" in problem({"environment": {"ZOT_REGISTRY": "registry of the host"}})


@pytest.mark.parametrize("value", [None, ""])
def test_no_registry(problem: Callable[..., str], environment: dict[str, str], value: str | None) -> None:
    """There is no default. An empty answer in AWX is no value."""
    del environment["ZOT_REGISTRY"]
    text = problem(zot_registry=value, zot_diagnose_label_selectors=value)
    assert all(name in text for name in ("registry (option)", "zot_registry", "ZOT_REGISTRY"))


def test_no_kubeconfig(problem: Callable[..., str]) -> None:
    """The error says what to set."""
    text = problem()
    assert all(name in text for name in ("zot_kubeconfig", "K8S_AUTH_KUBECONFIG"))


def test_a_kubeconfig_that_does_not_exist(problem: Callable[..., str]) -> None:
    text = problem(zot_kubeconfig="/nonexistent/config")
    assert all(each in text for each in ("kubeconfig '/nonexistent/config'", "zot_kubeconfig"))


def test_options_without_a_value_are_not_given(problem: Callable[..., str]) -> None:
    """An empty answer in AWX is null."""
    empty = dict.fromkeys(("zot_diagnose_label_selectors", "zot_diagnose_pull_secret"))
    text = problem(zot_registry="registry of a variable", **empty)
    assert "registry of a variable" in text
