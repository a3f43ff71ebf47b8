# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of each role and playbook that are misspelt, missing, or a number instead of text."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.plugin_utils import _variables
from ansible_collections.killinit.zot.plugins.plugin_utils._variables import missing_variables, variable_problems

ROOT = Path(_variables.__file__ or "").parents[2]


@pytest.mark.parametrize(
    ("prefix", "name", "nearest"),
    [
        ("zot_prune", "zot_prune_keep_newer", "zot_prune_keep_newer_than"),
        ("zot_publish", "zot_publish_tag", "zot_publish_tags"),
        ("zot_publish", "zot_publish_hosts", "zot_publish_host"),
        ("zot_rollout", "zot_rollout_wait_timout", "zot_rollout_wait_timeout"),
        ("zot_rollback", "zot_rollback_image", "zot_rollback_images"),
        ("zot_pull_secret", "zot_pull_secret_user", "zot_pull_secret_username"),
        ("zot_diagnose", "zot_diagnose_selectors", "zot_diagnose_label_selectors"),
        ("zot_release", "zot_release_set_images", "zot_release_set_image"),
        ("zot_promote", "zot_promote_source_user", "zot_promote_source_username"),
        ("zot_report", "zot_report_files", "zot_report_file"),
        ("zot_verify", "zot_verify_risk", "zot_verify_at_risk"),
        ("zot_rotate", "zot_rotate_expires", "zot_rotate_expires_in"),
        ("zot_promote", "zot_promote_max_severty", "zot_promote_max_severity"),
        ("zot_awx", "zot_awx_organisation", "zot_awx_organization"),
    ],
)
def test_the_nearest_name(prefix: str, name: str, nearest: str) -> None:
    problem = f"{name} is not a variable of {prefix}: did you mean {nearest}?"
    given = dict.fromkeys([name, nearest, f"{prefix}_report", "zot_registry"])
    assert variable_problems(given, [prefix]) == {name: problem}


@pytest.mark.parametrize(
    ("prefix", "name", "nearest"),
    [
        ("zot_prune", "zot_prun_keep_newer_than", "zot_prune_keep_newer_than"),
        ("zot_prune", "zot_prunekeep_last", "zot_prune_keep_last"),
        ("zot_prune", "zot-prune_keep_last", "zot_prune_keep_last"),
        ("zot_publish", "zot_pubish_tags", "zot_publish_tags"),
        ("zot_report", "zot_repor_file", "zot_report_file"),
    ],
)
def test_a_misspelt_prefix(prefix: str, name: str, nearest: str) -> None:
    """It was ignored: a rule that keeps tags was lost, or latest moved."""
    problem = f"{name} is not a variable of {prefix}: did you mean {nearest}?"
    assert variable_problems(dict.fromkeys([name, nearest]), [prefix]) == {name: problem}


def test_a_name_that_is_near_to_none() -> None:
    problem = variable_problems({"zot_release_xyz": 1}, ["zot_release"])["zot_release_xyz"]
    assert problem.endswith(": its variables are zot_release_on_failure, zot_release_serial, zot_release_set_image.")


def test_variables_of_something_else_are_not_checked() -> None:
    names = [
        "zot_pruned",
        "zot_rollout_x",
        "prune",
        "zot_registries",
        "zot_namespaces",
        "zot_rollback_images",
        "zot_tags",
    ]
    assert variable_problems(dict.fromkeys(names), ["zot_prune", "zot_publish", "zot_report"]) == {}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("zot_publish_revision", 5349, "number 5349"),
        ("zot_rollback_revision", 12.5, "number 12.5"),
        ("zot_promote_revision", datetime.date(2026, 3, 1), "date 2026-03-01"),
        ("zot_promote_tags", True, "boolean True"),
        ("zot_pull_secret_password", 83, "number 83"),
    ],
)
def test_a_value_that_must_be_text(name: str, value: object, kind: str) -> None:
    prefix = name.rpartition("_")[0]
    problem = variable_problems({name: value}, [prefix])[name]
    assert problem.startswith(f"{name} is the {kind}, not text: quote it")
    for good in (str(value), "{{ sha }}", None, ["r1"]):
        assert variable_problems({name: good}, [prefix]) == {}


def test_the_names_of_the_playbooks_are_complete() -> None:
    """Every name that a playbook reads or asks for, and every variable of the file for AWX, is known."""
    files = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml"), *ROOT.glob("playbooks/vars/*.yml")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = set(re.findall(r"(?<![\w.])zot_[a-z_]+", text))
    prefixes = [path.name for path in ROOT.glob("roles/*")]
    prefixes += ["zot_awx", "zot_promote", "zot_release", "zot_report", "zot_verify"]
    assert len(names) > 60
    assert variable_problems(dict.fromkeys(names), prefixes) == {}


def test_the_missing_variables_of_a_role() -> None:
    """Each with what it is. An empty answer in AWX is null or an empty text."""
    given = {"zot_publish_images": None, "zot_namespace": ""}
    expected = ["Set zot_publish_revision: the tag of the build", "Set zot_publish_images: the images to publish"]
    found = missing_variables(given, "zot_publish")
    assert [each[: len(start)] for each, start in zip(found, expected)] == expected
    namespace = "Set zot_namespace: the namespace of the workloads and their pods."
    assert missing_variables(given, "zot_rollout") == [namespace]
    assert missing_variables({"zot_namespace": "{{ namespace }}"}, "zot_rollout") == []
