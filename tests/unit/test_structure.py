# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What design.md says of the house, read from the sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OURS = "ansible_collections.killinit.zot.plugins.module_utils"
FILES = sorted(PLUGINS.rglob("*.py"))
UTILS = sorted(PLUGINS.glob("module_utils/*.py"))
TASKS = sorted((PLUGINS.parent / "roles").glob("*/tasks/*.yml"))

VALUES = {"_reference", "_image", "_archive"}
TOOLS = {"_skopeo", "_crane", "_runner", "_credentials", "_registry"}
# From the top of the house down: a file imports only what stands in a line below its own.
FLOORS = (
    {"_push", "_index", "_info"},
    {"_outcome", "_registry"},
    {"_skopeo", "_crane", "_credentials", "_runner", "_argspec", "_options"},
    {"_errors"},
    {"_archive"},
    {"_image"},
    {"_reference"},
)


def imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs: not those for type checking alone."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "t.TYPE_CHECKING":
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == OURS else {module}
        pending += ast.iter_child_nodes(node)
    return found


def utils_of(path: Path) -> set[str]:
    """The files of module_utils that a file imports."""
    return {name[len(OURS) + 1 :] for name in imports(path) if name.startswith(f"{OURS}.")}


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(PLUGINS)) for path in paths]


def test_there_is_something_to_look_at() -> None:
    assert {"_reference", "_registry", "_push"} <= {path.stem for path in UTILS}
    assert "_runner" in utils_of(PLUGINS / "module_utils/_registry.py")


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", UTILS, ids=ids(UTILS))
def test_utils_are_private(path: Path) -> None:
    assert path.name.startswith("_")


def test_references_import_nothing_of_ours() -> None:
    assert utils_of(PLUGINS / "module_utils/_reference.py") == set()


@pytest.mark.parametrize("name", sorted(VALUES))
def test_values_import_no_tool(name: str) -> None:
    assert not utils_of(PLUGINS / f"module_utils/{name}.py") & TOOLS


@pytest.mark.parametrize("name", ["_skopeo", "_crane"])
def test_tools_are_pure(name: str) -> None:
    assert imports(PLUGINS / f"module_utils/{name}.py") <= {"__future__", "re", "typing"}


@pytest.mark.parametrize("floor", range(len(FLOORS)), ids=lambda floor: "+".join(sorted(FLOORS[floor])))
def test_dependencies_point_one_way(floor: int) -> None:
    below = set().union(*FLOORS[floor + 1 :])
    known = set().union(*FLOORS)
    for name in FLOORS[floor]:
        # What another part of the house brings is not known here.
        assert utils_of(PLUGINS / f"module_utils/{name}.py") & known <= below, name


def test_imports_are_no_circle() -> None:
    graph = {path.stem: utils_of(path) for path in UTILS}
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert free, f"a circle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


@pytest.mark.parametrize("path", UTILS, ids=ids(UTILS))
def test_only_the_edge_knows_ansible(path: Path) -> None:
    knows = {name for name in imports(path) if name.split(".")[0] == "ansible"}
    assert not knows or path.stem in ("_runner", "_argspec")


SPECS = sorted((PLUGINS.parent / "roles").glob("*/meta/argument_specs.yml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parts[-3])
def test_roles_convert_their_variables(path: Path) -> None:
    """On the command line and in AWX they are texts, and `false` is a text that is true. Modules convert them."""
    options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    tasks = "".join(each.read_text(encoding="utf-8") for each in sorted(path.parents[1].glob("tasks/*.yml")))
    for name, option in options.items():
        if option["type"] in ("bool", "int") and name != "zot_validate_certs":
            uses = re.findall(rf"\b{name}\b(?: \| (\w+))?", tasks)
            assert uses
            assert set(uses) == {option["type"]}, name


MODULES = sorted(PLUGINS.glob("modules/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=ids(MODULES))
def test_a_module_is_documentation_spec_and_main(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert functions == ["main"]


@pytest.mark.parametrize("path", TASKS, ids=lambda path: "/".join(path.parts[-3:]))
def test_nested_imports_name_the_role(path: Path) -> None:
    """A bare name is looked for in ./tasks of the current directory first, unless it stands in main.yml."""
    if path.name != "main.yml":
        for line in path.read_text().splitlines():
            if "import_tasks:" in line:
                assert "role_path" in line


@pytest.mark.parametrize("role", ["zot_pull_secret", "zot_diagnose"])
def test_what_is_secret_is_forgotten(role: str) -> None:
    """What a task without a log has registered would stay for the rest of the play."""
    folder = PLUGINS.parent / "roles" / role / "tasks"
    tasks = re.split(r"^ *- name: ", "".join(path.read_text() for path in folder.glob("*.yml")), flags=re.MULTILINE)
    silent = {name for task in tasks if "no_log: true" in task for name in re.findall(r"register: (\w+)", task)}
    forgotten = (folder / "main.yml").read_text().partition("Forget what is secret")[2]
    assert silent
    assert silent <= set(re.findall(r"^ +(\w+): {}$", forgotten, re.MULTILINE))
