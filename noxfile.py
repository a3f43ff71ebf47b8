# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `./dev NAME` runs; all sessions share the one environment that `dev` has set up."""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zipfile import ZipFile

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
COLLECTIONS = CACHE / "collections"
# pytest-ansible ends in December 2026, and puts an importer of its own in the way: the tests are plain pytest.
PYTEST = ("pytest", "-p", "no:pytest-ansible")

nox.options.default_venv_backend = "none"
nox.options.envdir = CACHE / "nox"
nox.options.error_on_external_run = False

os.environ.update(
    ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS),
    ANSIBLE_HOME=str(CACHE / "ansible"),
    HYPOTHESIS_STORAGE_DIRECTORY=str(CACHE / "hypothesis"),
)


@nox.session
def test(session: nox.Session) -> None:
    """Run lint, units, sanity, integration, cluster, molecule and demo-cluster; arguments go to pytest"""
    for name in ("lint", "units", "sanity", "integration", "cluster", "molecule", "demo-cluster"):
        session.notify(name, session.posargs if name in ("units", "integration", "cluster") else [])


@nox.session
def lint(session: nox.Session) -> None:
    """Look at style, types, YAML, tasks, documentation, changelog and licences"""
    provide_collections(session)
    failed = []
    for command in (
        "ruff check .",
        "ruff format --check .",
        "yamllint --strict .",
        "reuse lint --lines",
        "mypy noxfile.py",
        "mypy --package ansible_collections.killinit.zot.plugins",
        "antsibull-changelog lint",
        "antsibull-docs lint-collection-docs . --plugin-docs --skip-rstcheck --validate-collection-refs=all",
        "ansible-lint",
    ):
        try:
            session.run(*command.split(), env={"MYPYPATH": str(COLLECTIONS)})
        except CommandFailed:
            failed.append(command)
    if failed:
        session.error("failed: " + ", ".join(failed))


@nox.session(name="format")
def format_(session: nox.Session) -> None:
    """Lay out the Python files and sort their imports"""
    session.run("ruff", "check", "--select=I", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session
def units(session: nox.Session) -> None:
    """Test every function alone, with the coverage of plugins/; arguments go to pytest"""
    provide_collections(session)
    # A selection of tests covers little.
    threshold = [] if session.posargs else ["--cov-fail-under=95"]
    session.run(
        *(*PYTEST, "--override-ini=testpaths=tests/unit"),
        *("--cov=plugins", "--cov-report=term", *threshold),
        *session.posargs,
        env={"PYTHONPATH": str(COLLECTIONS)},
    )


@nox.session
def sanity(session: nox.Session) -> None:
    """Ask ansible-test sanity what every collection must fulfil (the first time about a minute)"""
    provide_collections(session)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    with real_copy(session) as copy, session.chdir(copy):
        env = {"HOME": str(home_of_ansible_test(session))}
        files = str(session.run("ansible-test", "env", "--list-files", env=env, silent=True)).splitlines()
        if not any(name.startswith("plugins/modules/") for name in files):
            session.error("ansible-test sees no module: it would pass without having looked at anything")
        session.run("ansible-test", "sanity", "--python", python, *session.posargs, env=env)


@nox.session
def integration(session: nox.Session) -> None:
    """Test modules, roles and playbooks against a real registry; arguments go to pytest"""
    provide_collections(session)
    env = {"PYTHONPATH": str(COLLECTIONS), "ZOT_TEST_CRANE": os.pathsep.join(older_cranes(session))}
    command = (*PYTEST, "--override-ini=testpaths=tests/integration", "--numprocesses=2")
    session.run(*command, *session.posargs, env=env)


@nox.session
def cluster(session: nox.Session) -> None:
    """Test the roles on a real Kubernetes, which is built the first time (15 minutes); arguments go to pytest"""
    provide_collections(session)
    build_cluster(session)
    command = (*PYTEST, "--override-ini=testpaths=tests/cluster")
    session.run(*command, *session.posargs, env={"PYTHONPATH": str(COLLECTIONS)})


@nox.session(name="demo-cluster")
def demo_cluster(session: nox.Session) -> None:
    """Show the demo with a real Kubernetes, which is built the first time: deploy, publish anew, restart, prove"""
    provide_collections(session)
    build_cluster(session)
    session.run("python", "tests/environment/demo.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def molecule(session: nox.Session) -> None:
    """Take each role through check, converge, idempotence and verify; arguments go to molecule"""
    provide_collections(session)
    build_cluster(session)
    with tempfile.TemporaryDirectory(prefix="molecule-", dir=CACHE) as state:
        try:
            command = ("molecule", "-c", "extensions/molecule/config.yml", "test", *(session.posargs or ["--all"]))
            session.run(*command, env={"MOLECULE_EPHEMERAL_DIRECTORY": state})
        finally:  # broken off, molecule leaves running what it has started
            session.run("python", "tests/environment", "stop", f"--directory={state}/environment", silent=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Show the main job: two architectures published, published again, and a new revision"""
    provide_collections(session)
    session.run("python", "tests/environment/demo.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the collection beside the bare commands (an hour); arguments: names of yardsticks, --runs N, --help"""
    provide_collections(session)
    session.run("python", "-m", "benchmarks", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def environment(session: nox.Session) -> None:
    """Start the registry of the tests to try things by hand, or stop it: environment start, environment stop"""
    provide_collections(session)
    session.run("python", "tests/environment", *session.posargs)


@nox.session
def requirements(session: nox.Session) -> None:
    """Pin the newest versions of requirements/*.in in requirements/*.txt"""
    common = "--quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-header --python-version=3.11"
    for name, *more in (("dev",), ("go", "--no-deps"), ("collections", "--no-deps")):
        files = (f"requirements/{name}.in", f"--output-file=requirements/{name}.txt")
        session.run("uv", "pip", "compile", *common.split(), *more, *files)


def provide_collections(session: nox.Session) -> None:
    """Let Ansible find this collection, as it is at any moment, and kubernetes.core."""
    home = COLLECTIONS / "ansible_collections"
    (home / "killinit").mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (home / "killinit" / "zot").symlink_to("../../../..")

    # Galaxy cannot be reached everywhere; the package `ansible` holds the same collection.
    pins = ROOT / "requirements" / "collections.txt"
    stamp = home / "kubernetes" / "stamp"
    wanted = f"{sys.version}\n{pins.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    session.log("Fetching kubernetes.core: 52 MB, about 5 s")
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        download = "python -m pip download --quiet --no-deps --only-binary=:all:"
        session.run(*download.split(), f"--dest={folder}", f"--requirement={pins}")
        (wheel,) = folder.glob("*.whl")
        with ZipFile(wheel) as archive:
            core = [each for each in archive.namelist() if each.startswith("ansible_collections/kubernetes/core/")]
            archive.extractall(folder, core)
        unpacked = folder / "ansible_collections" / "kubernetes"
        (unpacked / "stamp").write_text(wanted)
        shutil.rmtree(home / "kubernetes", ignore_errors=True)
        unpacked.rename(home / "kubernetes")


def older_cranes(session: nox.Session) -> list[str]:
    """The paths of the cranes that are supported besides the one `dev` brings, each the last of its minor version."""
    paths = []
    for version in ("v0.20.8", "v0.21.9"):
        folder = CACHE / "crane" / version
        if not (folder / "crane").exists():
            session.log(f"Building crane {version}: about 20 s")
            package = f"github.com/google/go-containerregistry/cmd/crane@{version}"
            session.run("go", "install", package, env={"GOBIN": str(folder), "GOFLAGS": "-modcacherw"})
        paths.append(str(folder / "crane"))
    return paths


def build_cluster(session: nox.Session) -> None:
    """Build what the cluster of the tests runs, as far as it is not there."""
    program = "from environment import cluster; cluster.build(lambda text: print(text, flush=True))"
    session.run("python", "-c", program, env={"PYTHONPATH": "tests"})


@contextmanager
def real_copy(session: nox.Session) -> Iterator[Path]:
    """The files that git knows or would add, where ansible-test can work: no symlink leads there, no git ignores it."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = str(session.run(*command, silent=True)).split("\0")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "ansible_collections"
        copy = home / "killinit" / "zot"
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        (home / "kubernetes").symlink_to(COLLECTIONS / "ansible_collections" / "kubernetes")
        yield copy


def home_of_ansible_test(session: nox.Session) -> Path:
    """A HOME in which ansible-test finds what it would download, and pip the settings that it would not pass on."""
    home = CACHE / "home"
    tests = home / ".ansible" / "test" / "cache"
    tests.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):
        (tests / f"get_pip_{version}.py").write_text(GET_PIP)

    # Lines such as  :env:.cert='/etc/ssl/ca.pem'  and then  global.timeout='60'
    settings: dict[str, str] = {}
    for line in sorted(str(session.run("python", "-m", "pip", "config", "list", silent=True)).splitlines()):
        name, value = line.split("=", 1)
        section, option = name.rsplit(".", 1)
        if section in ("global", ":env:") and option != "config-file":
            settings.setdefault(option, str(ast.literal_eval(value)).replace("\n", "\n    "))
    config = home / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch(mode=0o600)
    config.write_text("[global]\n" + "".join(f"{option} = {value}\n" for option, value in settings.items()))
    return home


GET_PIP = """\
import runpy, subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
sys.argv[1:] = ["install"] + [each for each in sys.argv[1:] if each not in ("--no-setuptools", "--no-wheel")]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
