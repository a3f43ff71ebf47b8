# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of `./dev quick`, and what runs them and the sessions of `./dev test`."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

# For thousands of short tests, the default of --dist is slower.
IN_PARALLEL = ("--numprocesses=2", "--dist=worksteal")


@dataclass(frozen=True)
class Result:
    """What one command did."""

    name: str
    passed: bool
    seconds: float
    output: str

    def __str__(self) -> str:
        return f"{self.seconds:6.1f} s  {'passed' if self.passed else 'FAILED'}  {self.name}"


def quick() -> dict[str, list[str]]:
    """What `./dev quick` runs, the long ones first."""
    listing = ["git", "grep", "--untracked", "-lE", "^#!.*sh$", "--", ":!*.py", ":!*.rst"]
    scripts = subprocess.run(listing, check=True, stdout=subprocess.PIPE, text=True).stdout
    documentation = "lint-collection-docs . --plugin-docs --skip-rstcheck --validate-collection-refs=all"
    workflows = " ".join(map(str, sorted(Path(".github/workflows").glob("*.yml"))))
    examples = "docs/examples/ci"
    checks = {
        "unit tests": f"python -m pytest {' '.join(IN_PARALLEL)} --hypothesis-profile=quick --quiet tests/unit",
        # The session molecule checks its scenarios and the examples: ansible-lint starts Ansible for each playbook.
        "Ansible": "ansible-lint -q playbooks roles meta galaxy.yml",
        "documentation": f"antsibull-docs {documentation}",
        "YAML, plugins": "nox --session yamllint extra-checks antsibull-nox-config",
        "licences": "reuse lint --lines",
        "types of plugins": "mypy --package ansible_collections.killinit.zot.plugins",
        "types of noxfile.py": "mypy --cache-dir=.cache/mypy-noxfile noxfile.py",
        "changelog": "antsibull-changelog lint",
        "shell": f"shellcheck {scripts}",
        "workflows": f"zizmor --offline --quiet .github {examples}",
        "schema of workflows": (
            f"check-jsonschema --builtin-schema vendor.github-workflows {workflows} {examples}/github-actions.yml"
        ),
        "schema of pipelines": f"check-jsonschema --builtin-schema vendor.gitlab-ci {examples}/gitlab-ci.yml",
        "schema of dependabot": "check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml",
        "format": "ruff format --check .",
        "style": "ruff check .",
    }
    return {name: command.split() for name, command in checks.items()}


def run(commands: Mapping[str, Sequence[str]], *, workers: int) -> list[Result]:
    """Run the commands in their order. What one of several workers prints is shown only if its command failed."""
    results = []
    with ThreadPoolExecutor(workers) as pool:
        for running in as_completed(pool.submit(_run, *each, capture=workers > 1) for each in commands.items()):
            result = running.result()
            results.append(result)
            if result.output and not result.passed:
                print(f"\n--- {result.name}\n{result.output.strip()}\n")
            print(result, flush=True)
    return results


def _run(name: str, command: Sequence[str], *, capture: bool) -> Result:
    start = time.monotonic()
    output, errors = (subprocess.PIPE, subprocess.STDOUT) if capture else (None, None)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, text=True, check=False)
    return Result(name, done.returncode == 0, time.monotonic() - start, done.stdout or "")
