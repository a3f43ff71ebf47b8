# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the same for the tasks of every role."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
# Variables of the tools and the registry, which every role can tune.
TUNING = {"zot_registry", "zot_ca_path", "zot_validate_certs", "zot_timeout", "zot_crane_path"}
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")])


def _all(tasks: list[dict[str, t.Any]]) -> t.Iterator[dict[str, t.Any]]:
    """The tasks, also those in blocks."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from _all(task.get(part, []))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_task_has_the_tag_of_the_role(role: Path) -> None:
    """A play can skip a role, and run it alone: a task without the tag would be left."""
    tasks = yaml.safe_load((role / "tasks" / "main.yml").read_text(encoding="utf-8"))
    tag = [role.name[len("zot_") :]]
    assert [task["name"] for task in tasks if task.get("tags") != tag] == []
    # The tasks of an included file inherit no tags.
    included = [
        task["ansible.builtin.include_tasks"] for task in _all(tasks) if "ansible.builtin.include_tasks" in task
    ]
    assert [each["file"] for each in included if each["apply"] != {"tags": tag}] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_reaches_a_task(role: Path) -> None:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    tasks = "".join(path.read_text(encoding="utf-8") for path in sorted(role.glob("tasks/*.yml")))
    assert [name for name in options if not re.search(rf"\b{name}\b", tasks)] == []
    assert options.keys() >= TUNING


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_environment_is_read_where_the_modules_run(path: Path) -> None:
    """Read on the controller, the registry and the credentials could be those of two hosts."""
    # The source of a promotion has no variable that the modules read. AWX runs its jobs on the controller.
    assert not re.search(r"\benv['\"], *['\"]ZOT_(?!SOURCE_)", path.read_text(encoding="utf-8"))
