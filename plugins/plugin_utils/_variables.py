# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that roles and playbooks of this collection know, and which of them are text.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem
from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import GATE_OPTIONS

_ROLES = Path(__file__).resolve().parents[2] / "roles"

# What the playbooks read, beside the variables of the roles. The key is the common beginning of the names.
_OF_PLAYBOOKS = {
    "zot_awx": (
        *("organization", "credentials", "credential_types", "execution_environment", "execution_environment_image"),
        *("project", "project_timeout", "inventory", "inventory_variables", "images", "questions", "job_templates"),
        *("workflows", "label", "registry_type", "source_type", "pull_type"),
    ),
    "zot_promote": (
        *("images", "revision", "tags", "overwrite", "keep_previous", "referrers", "require", "verify_key"),
        *GATE_OPTIONS,
        *(f"source_{name}" for name in ("registry", "username", "password", "authfile", "ca_path", "validate_certs")),
    ),
    "zot_publish": ("host",),
    "zot_release": ("serial", "on_failure", "set_image"),
    "zot_report": (
        *("file", "repositories", "namespaces", "revisions", "newest", "registry_only", "vulnerabilities", "cve"),
    ),
    "zot_rollback": ("rollout",),
    "zot_verify": ("at_risk", "revisions", *GATE_OPTIONS),
}


# The variables that are text, or a list of texts, after the name of their role or playbook.
_TEXT = ("revision", "tags", "keep_previous", "name", "username", "password", "source_username", "source_password")


def variable_problems(given: t.Mapping[str, t.Any], prefixes: t.Iterable[str]) -> dict[str, str]:
    """A sentence for each variable that begins with one of *prefixes* and cannot be right, by the name of the variable.

    No role and no playbook reads or sets it, or its value is no text although it must be. A prefix is the name of a
    role or of a playbook, for example C(zot_prune). It may be misspelt, too. No template is evaluated.
    """
    known = tuple(f"{each}_" for each in (*_OF_PLAYBOOKS, *(path.name for path in _ROLES.iterdir())))
    others = [name for name in given if name.startswith("zot") and not name.startswith(known)]
    found: dict[str, str] = {}
    for prefix in prefixes:
        found.update(_misspelt_prefixes(others, prefix))
        read, ours = _read(prefix), f"{prefix}_"
        for name in sorted(given):
            if not name.startswith(ours):
                continue
            if name not in (*read, *_set(prefix)):
                nearest = difflib.get_close_matches(name[len(ours) :], [each[len(ours) :] for each in read], 1, 0.5)
                hint = f"did you mean {ours}{nearest[0]}?" if nearest else f"its variables are {', '.join(read)}."
                found[name] = f"{name} is not a variable of {prefix}: {hint}"
            # Before ansible-core 2.19 a template turns a number into text, so no module can refuse it.
            elif name[len(ours) :] in _TEXT and isinstance(given[name], (int, float, datetime.date)):
                found[name] = text_problem(name, given[name]) or ""
    return found


def _misspelt_prefixes(others: t.Iterable[str], prefix: str) -> t.Iterator[tuple[str, str]]:
    """A sentence for each of *others*, variables of no role or playbook, that is almost a variable of *prefix*."""
    for name in others:
        nearest = difflib.get_close_matches(name, _read(prefix), 1, 0.9)
        if nearest:
            yield name, f"{name} is not a variable of {prefix}: did you mean {nearest[0]}?"


def missing_variables(given: t.Mapping[str, t.Any], role: str) -> list[str]:
    """A sentence for each variable that a role needs and that is not set. The message of Ansible has a page of data."""
    return [
        f"Set {name}: {_first_sentence(option['description'])}"
        for name, option in _options(role).items()
        if option.get("required") and given.get(name) in (None, "")
    ]


def _first_sentence(description: str | list[str]) -> str:
    text = description if isinstance(description, str) else description[0]
    return text[0].lower() + text[1:].partition(". ")[0].strip().rstrip(".") + "."


@functools.cache
def _read(prefix: str) -> tuple[str, ...]:
    found = {f"{prefix}_{name}" for name in _OF_PLAYBOOKS.get(prefix, ())}
    return tuple(sorted(found | {name for name in _options(prefix) if name.startswith(f"{prefix}_")}))


@functools.cache
def _options(role: str) -> dict[str, t.Any]:
    """The variables of a role, with what its argument specification says of each; empty for a playbook."""
    path = _ROLES / role / "meta" / "argument_specs.yml"
    if not path.exists():
        return {}
    entries = yaml_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
    return {name: option for entry in entries for name, option in entry["options"].items()}


def _set(prefix: str) -> tuple[str, ...]:
    """The variables that a role or a playbook sets for others. AWX passes them to later jobs."""
    return (f"{prefix}_report", "zot_prune_cluster")
