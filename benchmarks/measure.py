# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs two or more ways to do one work, in turn, and says what each costs."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import checks
from environment.registry import Registry, Request, running

LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))
# Those of the collection, and the wish that Python does not keep what it compiles, as an installed Ansible has it.
FOREIGN = re.compile(r"ZOT_|PYTHONDONTWRITEBYTECODE$")
# Beside a further certificate the tools read what they read without it, https://go.dev/src/crypto/x509/root_linux.go
GO_CERTIFICATES = "/etc/ssl/certs:/etc/pki/tls/certs"

Scene = Callable[[], AbstractContextManager[Registry]]


@dataclass(frozen=True)
class Run:
    """What one run did, for the checks."""

    side: str
    registry: Registry
    output: str
    requests: Sequence[Request]
    directory: Path


@dataclass(frozen=True)
class Side:
    """One way to do the work: *ours* gets the variables of the collection, others those of the tools.

    *check* raises DifferentWork if a run has not done it.
    """

    name: str
    command: Sequence[str]
    check: Callable[[Run], None]
    ours: bool = True
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """Medians: seconds, seconds of CPU, bytes of the largest process, and counts."""

    seconds: float
    cpu: float
    memory: int
    requests: int
    children: int


def measure(sides: Sequence[Side], runs: int, scene: Scene, directory: Path) -> dict[str, Cost]:
    """The cost of each side, by its name. *scene* gives the registry of a run."""
    # Counting slows a run down, so it is a run of its own. It also warms up what the first run would pay for.
    children = {side.name: _count_children(side, scene, directory) for side in sides}
    costs: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
    for number in range(runs):
        for side in sides if number % 2 == 0 else reversed(sides):
            costs[side.name].append(_measure_once(side, scene, directory))
    return {name: _medians(some, children[name]) for name, some in costs.items()}


@contextmanager
def fresh() -> Iterator[Registry]:
    """A registry for one run: it has no layer yet, and skopeo's cache of where layers are knows nothing of it."""
    with running() as registry:
        yield registry


def variables(registry: Registry, directory: Path, *, ours: bool) -> dict[str, str]:
    """The environment of a side. Both have the account, and trust the registry beside what the system trusts."""
    certificates = directory / "certificates"
    certificates.mkdir(exist_ok=True)
    shutil.copyfile(registry.ca, certificates / "ca.pem")
    common = {
        **{name: value for name, value in os.environ.items() if not FOREIGN.match(name)},
        "HOME": str(directory),
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_REMOTE_TMP": str(directory / "tmp"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ZOT_REGISTRY": registry.host,
    }
    account = registry.writer
    if ours:
        own = {"ZOT_USERNAME": account.username, "ZOT_PASSWORD": account.password, "ZOT_CA_PATH": str(registry.ca)}
        return common | own
    config = directory / "config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(registry.auths(account)))
    return common | {
        "DOCKER_CONFIG": str(directory),
        "REGISTRY_AUTH_FILE": str(config),
        "SSL_CERT_DIR": f"{certificates}:{GO_CERTIFICATES}",
    }


def _measure_once(side: Side, scene: Scene, directory: Path) -> dict[str, float]:
    result = directory / "cost.json"
    requests = _checked(side, [*LAUNCHER, str(result), *side.command], scene, directory)
    return {**json.loads(result.read_text()), "requests": len(requests)}


def _count_children(side: Side, scene: Scene, directory: Path) -> int:
    log = directory / "strace.log"
    # Without the program itself, and without threads.
    calls = "trace=?fork,?vfork,clone,clone3"
    _checked(
        side, ["strace", "-f", "-qq", "--seccomp-bpf", "-e", calls, "-o", str(log), *side.command], scene, directory
    )
    started = re.compile(r"\b(v?fork|clone3?)\((?!.*CLONE_THREAD)")
    return sum(bool(started.search(line)) for line in log.read_text(errors="replace").splitlines())


def _checked(side: Side, command: Sequence[str], scene: Scene, directory: Path) -> list[Request]:
    with scene() as registry:
        before = len(registry.requests())
        environment = variables(registry, directory, ours=side.ours) | side.variables
        # Not a pipe: under strace, Ansible loses what does not fit into it while nobody reads.
        output = directory / "output.txt"
        with output.open("wb") as target:
            done = subprocess.run(
                command, env=environment, cwd=directory, stdout=target, stderr=subprocess.STDOUT, check=False
            )
        requests = registry.requests()[before:]
        text = output.read_text(encoding="utf-8", errors="replace")
        checks.succeeded(side.name, done.returncode, text)
        side.check(Run(side.name, registry, text, requests, directory))
        return requests


def _medians(some: Sequence[dict[str, float]], children: int) -> Cost:
    median = {name: statistics.median(each[name] for each in some) for name in some[0]}
    memory, requests = round(median["memory"]), round(median["requests"])
    return Cost(median["seconds"], median["cpu"], memory, requests, children)
