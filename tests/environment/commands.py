# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of `./dev quick`, and what runs them and the sessions of `./dev test`."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from environment.collection_path import CACHE

# The default of --dist gives each process many tests at once: for thousands of short tests that is slower, and with a
# few long ones a process has nothing to do at the end.
IN_PARALLEL = ("--numprocesses=2", "--dist=worksteal")
# The sessions that are one run of pytest, and nothing else.
REPEATABLE = ("integration", "reliability", "cluster", "package")
FEW = 3


@dataclass(frozen=True)
class Result:
    """What one command did."""

    name: str
    passed: bool
    seconds: float
    output: str
    # The tests that failed at first.
    flaky: tuple[str, ...] = ()

    def __str__(self) -> str:
        word = ("FLAKY " if self.flaky else "passed") if self.passed else "FAILED"
        return f"{self.seconds:6.1f} s  {word}  {self.name}"


def quick() -> dict[str, list[str]]:
    """What `./dev quick` runs, the long ones first."""
    listing = ["git", "grep", "--untracked", "-lE", "^#!.*sh$", "--", ":!*.py", ":!*.rst"]
    scripts = subprocess.run(listing, check=True, stdout=subprocess.PIPE, text=True).stdout
    documentation = "lint-collection-docs . --plugin-docs --skip-rstcheck --validate-collection-refs=all"
    workflows = " ".join(map(str, sorted(Path(".github/workflows").glob("*.yml"))))
    examples = "docs/examples/ci"
    # More than cores, because many unit tests wait for a limit of time.
    processes = "--numprocesses=4 --dist=worksteal"
    checks = {
        "unit tests": f"python -m pytest {processes} --hypothesis-profile=quick --quiet tests/unit",
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


def pytest_cache(session: str) -> Path:
    """The directory in which pytest lists the failed tests of a session."""
    return CACHE / "pytest" / session


def repeat(result: Result) -> Result:
    """Run the failed tests of a session again, if they are few. The session has passed if each of them passes now."""
    # With another exit status than 1, pytest has not run all tests.
    ended = re.search(r"^nox > Command python -m pytest .* failed with exit code 1$", result.output, re.MULTILINE)
    listing = pytest_cache(result.name) / "v" / "cache" / "lastfailed"
    if result.passed or result.name not in REPEATABLE or not ended or not listing.exists():
        return result
    failed = tuple(json.loads(listing.read_text(encoding="utf-8")))
    # A name without `::` is a file that pytest could not read.
    if not 1 <= len(failed) <= FEW or not all("::" in name for name in failed):
        return result
    print(f"\nRepeating the failed tests of the session {result.name}: {' '.join(failed)}", flush=True)
    again = _run(result.name, ["nox", "--session", result.name, "--", "--numprocesses=0", *failed], capture=True)
    # A test that is skipped now has not passed.
    if again.passed and re.search(rf"^=+ {len(failed)} passed(?:, \d+ warnings?)? in ", again.output, re.MULTILINE):
        return replace(result, passed=True, flaky=failed)
    print(again.output)
    return result
