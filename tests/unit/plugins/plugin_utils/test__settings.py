# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of a module: what the task gives, and what the variables add."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import pytest
import yaml

errors = pytest.importorskip("ansible.errors", reason="Python without a controller")
dataloader = pytest.importorskip("ansible.parsing.dataloader")
template = pytest.importorskip("ansible.template")
settings = pytest.importorskip("ansible_collections.killinit.zot.plugins.plugin_utils._settings")

RUNTIME = yaml.safe_load((Path(__file__).parents[4] / "meta/runtime.yml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[str]] = RUNTIME["action_groups"]
# Before ansible-core 2.19 every text is a template.
trusted = getattr(template, "trust_as_template", str)

Dict = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it
ACCOUNT = {"zot_username": "ci", "zot_password": "s3cret"}


def arguments(given: Dict, variables: Dict, module: str = "zot_tag") -> Dict:
    """The arguments of a module. A text with braces is a template, as in a file of variables."""
    known = {name: trusted(value) if isinstance(value, str) else value for name, value in variables.items()}
    if trusted is str:
        known["omit"] = "__omit_place_holder__"  # from ansible-core 2.19 on it is no variable
    templar = template.Templar(dataloader.DataLoader(), variables=known)
    found: Dict = settings.with_settings(module, given, templar, known)
    return found


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        ({"tags": ["1"]}, {}, {"tags": ["1"]}),
        ({}, {"zot_registry": "h", "other": "x", "zot_tags": "y"}, {"registry": "h"}),
        ({"registry": "task"}, {"zot_registry": "h"}, {"registry": "task"}),
        ({}, {"zot_registry": "{{ host }}:{{ port }}", "host": "{{ name }}.example", "name": "h", "port": 5},
         {"registry": "h.example:5"}),
        ({}, {"zot_timeout": 300, "zot_retries": 0, "zot_validate_certs": False},
         {"timeout": 300, "retries": 0, "validate_certs": False}),
        ({}, {"zot_registry_aliases": ["a", "b"], "zot_crane_path": "/c", "zot_skopeo_path": "/s", "zot_ca_path": "/p"},
         {"registry_aliases": ["a", "b"], "crane_path": "/c", "skopeo_path": "/s", "ca_path": "/p"}),
        # None, empty and omit are not set, in a task and in a variable.
        ({"registry": None, "ca_path": "", "repository": "", "tags": None, "parallel": 0}, {"zot_registry": "h"},
         {"registry": "h", "parallel": 0}),
        ({}, {"zot_registry": "", "zot_ca_path": None, "zot_timeout": "{{ omit }}"}, {}),
        ({"validate_certs": False}, {"zot_validate_certs": True}, {"validate_certs": False}),
        # The account: all of the task, or what belongs to it.
        ({}, ACCOUNT, {"username": "ci", "password": "s3cret"}),
        ({"username": "me"}, ACCOUNT, {"username": "me"}),
        ({"username": "ci"}, ACCOUNT, {"username": "ci", "password": "s3cret"}),
        ({"username": "me"}, {"zot_password": "s3cret"}, {"username": "me", "password": "s3cret"}),
        ({"authfile": "/f"}, ACCOUNT, {"authfile": "/f"}),
        ({"username": "me", "password": "x"}, {"zot_authfile": "/f"}, {"username": "me", "password": "x"}),
    ],
)  # fmt: skip
def test_the_options_of_a_task(given: Dict, variables: Dict, expected: Dict) -> None:
    assert arguments(given, variables) == expected


def test_images_in_use_are_never_omitted() -> None:
    """Without this option zot_prune also removes what clusters use."""
    assert arguments({"in_use": ""}, {}, "zot_prune") == {"in_use": ""}


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        ({}, {"zot_registry": "h", "zot_crane_path": "/c", "zot_registry_aliases": ["a"]},
         {"registry": "h", "crane_path": "/c", "registry_aliases": ["a"]}),
        ({}, {**ACCOUNT, "zot_ca_path": "/p", "zot_validate_certs": False, "zot_timeout": 7},
         {"registry_username": "ci", "registry_password": "s3cret", "registry_ca_path": "/p",
          "registry_validate_certs": False, "registry_timeout": 7}),
        ({}, {"zot_retries": 1, "zot_skopeo_path": "/s"}, {}),
        # The plain names are the account at the cluster.
        ({"username": "me", "password": "x"}, ACCOUNT,
         {"username": "me", "password": "x", "registry_username": "ci", "registry_password": "s3cret"}),
        ({"registry_username": "me"}, ACCOUNT, {"registry_username": "me"}),
        ({}, {"zot_kubeconfig": "/k", "zot_context": "{{ 'c' }}"}, {"kubeconfig": "/k", "context": "c"}),
        ({"kubeconfig": "/mine", "context": ""}, {"zot_kubeconfig": "/k", "zot_context": "c"},
         {"kubeconfig": "/mine", "context": "c"}),
        # The credentials of a kubeconfig are not for another server.
        ({"host": "https://other"}, {"zot_kubeconfig": "/k", "zot_context": "c"}, {"host": "https://other"}),
    ],
)  # fmt: skip
def test_the_options_of_a_task_that_reads_a_cluster(given: Dict, variables: Dict, expected: Dict) -> None:
    assert arguments(given, variables, "zot_workload_info") == expected


def test_a_variable_that_is_not_needed_may_be_undefined() -> None:
    broken = dict.fromkeys(("zot_registry", "zot_username", "zot_password", "zot_authfile"), "{{ missing }}")
    given = {"registry": "h", "username": "me", "password": "x"}
    assert arguments(given, broken) == given


@pytest.mark.parametrize("name", ["zot_registry", "zot_password", "zot_ca_path"])
@pytest.mark.parametrize("value", ["{{ missing }}", "{{ 1 / 0 }}", "{{ 'x' | no_such_filter }}"])
def test_a_variable_that_cannot_be_evaluated_is_named(name: str, value: str) -> None:
    with pytest.raises(errors.AnsibleError, match=f"the variable {name} cannot be evaluated: .*"):
        arguments({}, {name: value})


def test_unsafe_text_is_no_template() -> None:
    templar = template.Templar(dataloader.DataLoader(), variables={})
    wrap = importlib.import_module("ansible.utils.unsafe_proxy").wrap_var
    found = settings.with_settings("zot_tag", {}, templar, {"zot_username": "u", "zot_password": wrap("{{ x }}")})
    assert found["password"] == "{{ x }}"


@pytest.mark.parametrize("name", sorted({*GROUPS["registry"], *GROUPS["cluster"]}))
def test_every_module_gets_the_settings_that_it_has(name: str) -> None:
    """Its routing, and the names of its options."""
    routed = {f"killinit.zot.{each}": route["action_plugin"] for each, route in
              RUNTIME["plugin_routing"]["modules"].items()}  # fmt: skip
    # zot_report has an action plugin of its own, which gives its settings to the modules that it runs.
    own = f"killinit.zot.{name}"
    assert routed.get(own, own) == ("killinit.zot.zot_push" if name != "zot_report" else own)
    assert (name in settings.CLUSTER_MODULES) is (name in GROUPS["cluster"])
    specs = importlib.import_module("ansible_collections.killinit.zot.plugins.module_utils._registry.spec")
    known = specs.CLUSTER_MODULE_OPTIONS if name in GROUPS["cluster"] else specs.Spec({}).for_module()["argument_spec"]
    assert set(settings.option_names(name).values()) == set(known)
