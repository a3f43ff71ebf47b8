# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The structure of the plugins, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OURS = "ansible_collections.killinit.zot.plugins.module_utils"
FILES = sorted(PLUGINS.rglob("*.py"))
HOME = PLUGINS / "module_utils"
UTILS = sorted(HOME.rglob("*.py"))

# What each folder may import of ours, beside itself.
BELOW: dict[str, set[str]] = {
    "_oci": set(),
    "_registry": {"_oci"},
    "_cluster": {"_oci"},
    "_tag": {"_oci", "_registry"},
}
# The files that know Ansible: one in each folder, and the one that knows its signals.
KNOW_ANSIBLE = {"_registry/spec.py"}


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
    """The files of module_utils that a file imports, as C(_oci.image) or C(_push)."""
    return {name[len(OURS) + 1 :] for name in imports(path) if name.startswith(f"{OURS}.")}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(HOME).with_suffix("").parts)


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(PLUGINS)) for path in paths]


def test_the_files_are_found() -> None:
    assert {"_oci.reference", "_registry.session", "_push.run"} <= {name_of(path) for path in UTILS}
    assert "_registry.runner" in utils_of(HOME / "_registry/session.py")


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", UTILS, ids=ids(UTILS))
def test_utils_are_private(path: Path) -> None:
    assert path.relative_to(HOME).parts[0].startswith("_")


@pytest.mark.parametrize("path", UTILS, ids=ids(UTILS))
def test_dependencies_point_one_way(path: Path) -> None:
    folder = path.relative_to(HOME).parts[0]
    if folder in BELOW:
        assert {name.partition(".")[0] for name in utils_of(path)} <= {folder} | BELOW[folder]


CONTROLLER = sorted(path for folder in ("action", "filter", "lookup") for path in PLUGINS.glob(f"{folder}/*.py"))


@pytest.mark.parametrize("path", CONTROLLER, ids=ids(CONTROLLER))
def test_plugins_of_the_controller_use_plugin_utils_only(path: Path) -> None:
    assert utils_of(path) == set()


def test_the_controller_needs_no_room_of_a_module() -> None:
    used = {name.partition(".")[0] for path in PLUGINS.glob("plugin_utils/*.py") for name in utils_of(path)}
    assert used == {"_oci", "_registry"}


def test_imports_have_no_cycle() -> None:
    graph = {name_of(path): utils_of(path) for path in UTILS}
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert free, f"a cycle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


def test_a_name_has_one_meaning() -> None:
    """Except for run, by which each room is entered."""
    places: dict[str, list[str]] = {}
    for path in (*UTILS, *PLUGINS.glob("plugin_utils/*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(PLUGINS)))
    del places["run"]
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("path", UTILS, ids=ids(UTILS))
def test_only_the_edge_knows_ansible(path: Path) -> None:
    knows = {name for name in imports(path) if name.split(".")[0] == "ansible"}
    assert not knows or str(path.relative_to(HOME)) in KNOW_ANSIBLE


MODULES = sorted(PLUGINS.glob("modules/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=ids(MODULES))
def test_a_module_is_documentation_spec_and_main(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    # Of a module that an action plugin replaces, only the documentation is used.
    assert functions == ([] if path.stem in ("zot_job_report", "zot_report") else ["main"])


@pytest.mark.parametrize(
    ("module", "late"),
    [
        ("zot_push", "_push.pusher _registry.authfile _registry.http_api"),
        ("zot_publish", "_publish.write _push.pusher _registry.authfile _registry.http_api"),
        ("zot_index", "_registry.authfile _registry.http_api"),
        ("zot_workload_info", "_registry.search _registry.http_api _cluster.pull_events"),
    ],
)
def test_what_most_tasks_do_not_need_is_imported_late(module: str, late: str) -> None:
    """Ansible compiles in each task all that a module imports, since it sends no compiled files."""
    code = f"import sys, {OURS.rpartition('.')[0]}.modules.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"{OURS}._registry.runner" in loaded
    assert {f"{OURS}.{name}" for name in late.split()} & set(loaded) == set()


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_one_file_knows_kubernetes_core(path: Path) -> None:
    """And one action plugin, which runs on the controller."""
    knows = {name for name in imports(path) if "kubernetes" in name and not name.startswith(OURS)}
    where = str(path.relative_to(PLUGINS))
    assert not knows or where in ("module_utils/_cluster/api.py", "plugin_utils/_settings.py")
