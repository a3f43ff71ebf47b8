# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The structure of the plugins, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OURS = "ansible_collections.killinit.zot.plugins.module_utils"
FILES = sorted(PLUGINS.rglob("*.py"))
HOME = PLUGINS / "module_utils"
UTILS = sorted(HOME.rglob("*.py"))
TASKS = sorted((PLUGINS.parent / "roles").glob("*/tasks/*.yml"))

# What each folder may import of ours, beside itself.
BELOW: dict[str, set[str]] = {"_oci": set(), "_registry": {"_oci"}, "_cluster": {"_oci"}}
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


def test_imports_have_no_cycle() -> None:
    graph = {name_of(path): utils_of(path) for path in UTILS}
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert free, f"a cycle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


@pytest.mark.parametrize("path", UTILS, ids=ids(UTILS))
def test_only_the_edge_knows_ansible(path: Path) -> None:
    knows = {name for name in imports(path) if name.split(".")[0] == "ansible"}
    assert not knows or str(path.relative_to(HOME)) in KNOW_ANSIBLE


SPECS = sorted((PLUGINS.parent / "roles").glob("*/meta/argument_specs.yml"))


# Variables that tasks only pass to modules, which convert them.
PASSED_ON = {
    "zot_validate_certs",
    "zot_timeout",
    "zot_retries",
    "zot_publish_parallel",
    "zot_rollback_require_platforms",
    "zot_rollout_pin",
    "zot_rollout_allow_empty",
    "zot_rollout_wait_timeout",
    "zot_rollout_wait_sleep",
    "zot_diagnose_pull_timeout",
}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parts[-3])
def test_roles_convert_their_variables(path: Path) -> None:
    """Modules convert their options. A task must convert texts, since `false` is a text that is true, and must take
    None, which is an empty answer of AWX, for the default.
    """
    options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((path.parents[1] / "defaults" / "main.yml").read_text(encoding="utf-8"))
    tasks = "".join(each.read_text(encoding="utf-8") for each in sorted(path.parents[1].glob("tasks/*.yml")))
    for name, option in options.items():
        if option["type"] in ("bool", "int") and name not in PASSED_ON:
            uses = re.findall(rf"\b{name}\b(?: (\| \w+|is (?:not )?none))?", tasks)
            converted = f"| {option['type']}"
            assert set(uses) - {"is not none" if defaults[name] is False else "is none"} == {converted}, name
            assert len(uses) == 2 * uses.count(converted), name


ROLES = sorted(path for path in (PLUGINS.parent / "roles").glob("*") if path.is_dir())


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_the_play_decides(role: Path) -> None:
    """A role overrides no module_defaults, reads nothing on the controller, and has no default of a site."""
    files = sorted(path for folder in ("defaults", "tasks", "vars") for path in role.glob(f"{folder}/**/*.yml"))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"module_defaults:|\b(?:lookup|query|q)\(|killinit\.cc|openclaw", text), path
        # As options these remove the defaults of the play even if they are omitted.
        assert not re.findall(r"^ +(?:kubeconfig|context):", text, re.MULTILINE), path
    specification = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specification["argument_specs"]["main"]["options"]
    assert "default" not in options["zot_registry"]
    # What is in use in any namespace is in use.
    if "zot_kubeconfig" in options and role.name != "zot_prune":
        assert options["zot_namespace"]["required"] is True


def test_the_inclusion_checklist_names_files_that_exist() -> None:
    """Each requirement of the Ansible community package has a file that satisfies it."""
    root = PLUGINS.parent
    rows = re.findall(r"^\| .* \| (.*) \|$", (root / ".github/inclusion-checklist.md").read_text(), re.MULTILINE)
    found = [re.findall(r"`([\w./-]*(?:/|\.\w+|LICENSE)[\w./-]*)`", row) for row in rows if row != "satisfied by"]
    assert len(found) > 25
    for names in found:
        assert names
        assert all((root / name).exists() for name in names), names


# GitHub ignores a label that the repository does not have. A new repository has these.
LABELS = {
    "bug",
    "documentation",
    "duplicate",
    "enhancement",
    "good first issue",
    "help wanted",
    "invalid",
    "question",
    "wontfix",
}


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_form_works_in_a_new_repository(name: str) -> None:
    path = PLUGINS.parent / f".github/ISSUE_TEMPLATE/{name}.yml"
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    names = [each["id"] for each in fields]
    labels = [each["attributes"]["label"] for each in fields]
    assert set(form["labels"]) <= LABELS
    assert (len(set(names)), len(set(labels))) == (len(fields), len(fields))


MODULES = sorted(PLUGINS.glob("modules/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=ids(MODULES))
def test_a_module_is_documentation_spec_and_main(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    # Of a module that an action plugin replaces, only the documentation is used.
    assert functions == ([] if path.stem == "zot_job_report" else ["main"])


@pytest.mark.parametrize(
    ("module", "late"),
    [
        ("zot_push", "_push.pusher _push.published _registry.authfile _registry.http"),
        ("zot_index", "_registry.authfile _registry.http"),
        ("zot_workload_info", "_registry.inventory _registry.http _cluster.pull_events"),
    ],
)
def test_what_most_tasks_do_not_need_is_imported_late(module: str, late: str) -> None:
    """Ansible compiles in each task all that a module imports, since it sends no compiled files."""
    code = f"import sys, {OURS.rpartition('.')[0]}.modules.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"{OURS}._registry.runner" in loaded
    assert {f"{OURS}.{name}" for name in late.split()} & set(loaded) == set()


@pytest.mark.parametrize("path", TASKS, ids=lambda path: "/".join(path.parts[-3:]))
def test_nested_imports_name_the_role(path: Path) -> None:
    """Ansible searches a bare name in ./tasks of the current directory first, unless it is in main.yml."""
    if path.name != "main.yml":
        for line in path.read_text().splitlines():
            if "import_tasks:" in line:
                assert "role_path" in line


@pytest.mark.parametrize("path", FILES, ids=ids(FILES))
def test_one_file_knows_kubernetes_core(path: Path) -> None:
    """And one action plugin, which runs on the controller."""
    knows = {name for name in imports(path) if "kubernetes" in name and not name.startswith(OURS)}
    where = str(path.relative_to(PLUGINS))
    assert not knows or where in ("module_utils/_cluster/connection.py", "action/zot_workload_info.py")
