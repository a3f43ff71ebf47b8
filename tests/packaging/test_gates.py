# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every gate shuts: each is given something bad, and has to say so. That the project itself passes is in their runs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Copy = Callable[[Path], Path]
Says = Callable[..., tuple[int, list[str]]]
CACHE = Path(__file__).resolve().parents[2] / ".cache"
HEADER = """# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""

# For each command of ./dev lint a file, what stands at its end then or instead of a text, and what the command says.
BAD_FOR_LINT = {
    "ruff check .": ("tests/bad_style.py", "import os\n", "F401"),
    "ruff format --check .": ("tests/bad_layout.py", "numbers = [1,2]\n", "tests/bad_layout.py"),
    "yamllint --strict .": ("tests/bad.yml", "---\nkey:   value\n", "too many spaces after colon"),
    "reuse lint --lines": ("unlicensed.txt", "Whose is it?\n", "unlicensed.txt"),
    "mypy noxfile.py": ("noxfile.py", 'WRONG: int = ""\n', "noxfile.py:"),
    "mypy --package ansible_collections.killinit.zot.plugins": (
        "plugins/filter/image_table.py",
        'WRONG: int = ""\n',
        "image_table.py:",
    ),
    "antsibull-changelog lint": ("changelogs/fragments/bad.yml", "---\nnews: [some]\n", "fragments/bad.yml"),
    "antsibull-docs lint-collection-docs . --plugin-docs --skip-rstcheck --validate-collection-refs=all": (
        "plugins/modules/zot_index.py",
        ("M(killinit.zot.zot_push)", "M(killinit.zot.zot_nowhere)"),
        "killinit.zot.zot_nowhere",
    ),
    # The rule that the profile leaves out, so that it has to be asked for. Of zot_push, which has an action plugin, it
    # knows nothing.
    "ansible-lint": ("roles/zot_rollout/tasks/look.yml", ("    images:", "    imagez:"), "args[module]"),
}


@pytest.fixture
def bad(copy_checkout: Copy, tmp_path: Path) -> Path:
    """A checkout to spoil, which has fetched already what it fetches."""
    bad = copy_checkout(tmp_path / "bad")
    (bad / ".cache/collections/ansible_collections").mkdir(parents=True)
    (CACHE / "home").mkdir(exist_ok=True)
    for name in ("collections/ansible_collections/kubernetes", "collections/ansible_collections/awx", "home"):
        (bad / ".cache" / name).symlink_to(CACHE / name)
    return bad


def spoil(path: Path, how: str | tuple[str, str]) -> None:
    if isinstance(how, tuple):
        assert how[0] in path.read_text()
        path.write_text(path.read_text().replace(*how))
    elif path.exists():
        path.write_text(path.read_text() + how)
    else:
        path.write_text((HEADER if path.suffix == ".py" else "") + how)


def refused(bad: Path, *session: str) -> str:
    """What a session says that has to fail, without colours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHONPATH"))}
    done = subprocess.run(
        ["nox", "--session", *session],
        cwd=bad,
        env={**environment, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode, done.stdout
    return done.stdout


def test_lint(bad: Path) -> None:
    for name, how, _said in BAD_FOR_LINT.values():
        spoil(bad / name, how)
    output = refused(bad, "lint")
    said = {}
    for part in re.split(r"^nox > (?!Command)", output, flags=re.MULTILINE)[2:-1]:
        command, _newline, answer = part.partition("\n")
        said[command.strip()] = answer
    assert said.keys() == BAD_FOR_LINT.keys()
    for command, (_name, _how, wanted) in BAD_FOR_LINT.items():
        assert wanted in said[command], command
        assert re.search(rf"^nox > Command {re.escape(command)} +failed", said[command], re.MULTILINE)


def test_units_with_little_coverage(bad: Path) -> None:
    for test in (bad / "tests/unit/plugins").rglob("test_*.py"):
        if test.name != "test_image_table.py":
            test.unlink()
    output = refused(bad, "units")
    assert "Required test coverage of 95% not reached" in output
    assert re.search(r"=+ \d+ passed\b", output), output


def test_mutants_that_no_test_sees(bad: Path) -> None:
    spoil(bad / "tests/unit/plugins/module_utils/test__skopeo.py", ("def test_", "def no_test_"))
    spoil(bad / "tests/unit/plugins/module_utils/test__skopeo.py", ("def no_test_copy() ", "def test_copy() "))
    output = refused(bad, "mutants", "--", "_skopeo")
    assert re.search(r"^tests see \d\d\.\d % of the changes, and not 85$", output, re.MULTILINE), output
    assert "_skopeo.x_message__mutmut_1" in output


def test_sanity_ignores_nothing() -> None:
    assert not list(Path(__file__).parents[1].glob("sanity/*"))


def test_sanity_with_an_undocumented_option(bad: Path) -> None:
    module = "plugins/modules/zot_image_info.py"
    spoil(bad / module, ("  parallel:\n", "  abreast:\n"))
    output = refused(bad, "sanity", "--", "--test=validate-modules", module)
    assert "undocumented-parameter: Argument 'parallel'" in output


def test_sanity_that_sees_nothing(bad: Path) -> None:
    """ansible-test alone would pass."""
    subprocess.run(["git", "rm", "--quiet", "--cached", "-r", "plugins/modules"], cwd=bad, check=True)
    spoil(bad / ".gitignore", "/plugins/modules/\n")
    assert "ansible-test sees no module" in refused(bad, "sanity", "--", "--test=shebang")


@pytest.fixture
def galaxy_says(bare_environment: dict[str, str], tmp_path: Path) -> Says:
    """How galaxy-importer ends for a tarball, and what it complains of."""
    programs = Path(os.environ["ZOT_TEST_IMPORTER"])
    dependencies = tmp_path / "dependencies"
    (dependencies / "ansible_collections").mkdir(parents=True)
    for name in ("kubernetes", "awx"):
        found = CACHE / "collections/ansible_collections" / name
        (dependencies / "ansible_collections" / name).symlink_to(found)

    def says(tarball: Path, **variables: str) -> tuple[int, list[str]]:
        environment = {
            **bare_environment,
            "PATH": f"{programs}:{bare_environment['PATH']}",
            # ANSIBLE_COLLECTIONS_PATH it sets itself, to where it unpacks the tarball.
            "PYTHONPATH": str(dependencies),
            **variables,
        }
        done = subprocess.run(
            [programs / "python", "-m", "galaxy_importer.main", tarball.name],
            cwd=tarball.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        complaints = re.findall(r"^(?:WARNING|ERROR|CRITICAL): .*", done.stdout, re.MULTILINE)
        # It wants meta/main.yml, where a role of a collection has its argument specs.
        return done.returncode, [line for line in complaints if "Could not get role description" not in line]

    return says


def test_galaxy_takes_the_tarball(tarball: Path, galaxy_says: Says) -> None:
    assert galaxy_says(tarball) == (0, [])


def test_galaxy_refuses_a_bad_one(bad: Path, run: Callable[..., str], galaxy_says: Says) -> None:
    spoil(bad / "meta/runtime.yml", ("requires_ansible:", "requires_anything:"))
    run("ansible-galaxy", "collection", "build", cwd=bad)
    (tarball,) = bad.glob("*.tar.gz")
    # It would look at all the rest first.
    returncode, complaints = galaxy_says(
        tarball, GALAXY_IMPORTER_RUN_ANSIBLE_LINT="false", GALAXY_IMPORTER_RUN_ANSIBLE_DOC="false"
    )
    assert returncode
    assert "requires_ansible" in "".join(complaints)
