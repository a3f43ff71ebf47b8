# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `./dev NAME` runs; all sessions share the one environment that `dev` has set up."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
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
# `ansible` 13 is not for an older one; awx.awx itself is content with any.
AWX_PYTHON = "3.12"
# Modules run from Python 3.9 on; up to 3.10 there is no ansible-core that is supported.
CORES = {"3.9": "2.15", "3.10": "2.17", "3.11": "2.19", "3.12": "2.20", "3.13": "2.21"}
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
# Those that play playbooks of the collection. With the core of OWN, tests/integration does it.
PLAYING = ("2.19", "2.20", "2.21")
PLAYBOOKS = ("test_publish.py", "test_progress.py")
# Those of Debian 12 and 13.
SKOPEOS = {"bookworm": "1.9.3", "trixie": "1.18.0"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

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
    """Run everything that tests, from lint to demo-cluster; arguments go to pytest"""
    with_pytest = ("units", "versions", "package", "integration", "reliability", "cluster")
    for name in ("lint", "docs", "units", "versions", "sanity", *with_pytest[2:], "molecule", "demo-cluster"):
        session.notify(name, session.posargs if name in with_pytest else [])


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


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages of the collection, and refuse a reference that leads nowhere: .cache/docs/build/html"""
    provide_collections(session)
    site = CACHE / "docs"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir()
    names = ("--project=killinit.zot", "--copyright=killinit.zot contributors")
    command = "antsibull-docs sphinx-init --use-current --squash-hierarchy --fail-on-error"
    session.run(*command.split(), f"--dest-dir={site}", *names, "killinit.zot")
    # The guides include files from there.
    (site / "examples").symlink_to(ROOT / "docs" / "examples")
    write_inventory(site / "ansible.inv")
    mapping = {"ansible": ("https://docs.ansible.com/projects/ansible/latest/", "../ansible.inv")}
    with (site / "conf.py").open("a") as settings:
        settings.write(f"\nintersphinx_mapping = {mapping}\n")
        # Ansible itself reads none for modules: it would say that there are none, where a guide has them.
        settings.write('exclude_patterns = ["environment_variables.rst"]\n')
    session.run("bash", f"{site}/build.sh", silent=True)
    session.log(f"The pages begin with {site}/build/html/index.html")


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
def mutants(session: nox.Session) -> None:
    """Change the pure files in small ways, and count what no test sees (half an hour); arguments are names of files"""
    session.run("python", "tests/mutants.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def versions(session: nox.Session) -> None:
    """Run the units, and playbooks, on each Python of this machine with another ansible-core; arguments go to pytest"""
    provide_collections(session)
    told = []
    for version, core in CORES.items():
        python = find_python(version)
        if python is None:
            told.append(f"NOT on Python {version}, which is not on this machine")
            continue
        packages = (f"ansible-core~={core}.0", "pytest", "pytest-xdist", "hypothesis", "jmespath", "zstandard")
        command = ("uv", "run", "--quiet", "--no-project", "--isolated", f"--python={python}")
        pytest = (*(f"--with={each}" for each in packages), "python", "-m", "pytest", "--numprocesses=2", "--quiet")
        env = {"PYTHONPATH": str(COLLECTIONS)}
        session.run(*command, *pytest, "--override-ini=testpaths=tests/unit", *session.posargs, env=env)
        told.append(f"on Python {version} with ansible-core {core}")
        if core in PLAYING and version != OWN and not session.posargs:
            registry = ("--with=bcrypt", "--with=trustme")
            session.run(*command, *registry, *pytest, *(f"tests/integration/{each}" for each in PLAYBOOKS), env=env)
            told[-1] += " (playbooks, too)"
    session.log("The units have run " + ", ".join(told))


@nox.session
def sanity(session: nox.Session) -> None:
    """Ask ansible-test sanity what every collection must fulfil (the first time about a minute)"""
    provide_collections(session)
    with real_copy(session) as copy, session.chdir(copy):
        env = {"HOME": str(home_of_ansible_test(session))}
        files = str(session.run("ansible-test", "env", "--list-files", env=env, silent=True)).splitlines()
        if not any(name.startswith("plugins/modules/") for name in files):
            session.error("ansible-test sees no module: it would pass without having looked at anything")
        session.run("ansible-test", "sanity", "--python", OWN, *session.posargs, env=env)


@nox.session
def package(session: nox.Session) -> None:
    """Test what users get: the tarball installed, in an execution environment and in AWX; arguments go to pytest"""
    provide_collections(session)
    env = {"PYTHONPATH": str(COLLECTIONS), "ZOT_TEST_IMPORTER": str(importer(session))}
    command = (*PYTEST, "--override-ini=testpaths=tests/packaging", "--numprocesses=2", "--dist=loadfile")
    session.run(*command, *session.posargs, env=env)


@nox.session
def integration(session: nox.Session) -> None:
    """Test modules, roles and playbooks against a real registry; arguments go to pytest"""
    provide_collections(session)
    env = {
        "PYTHONPATH": str(COLLECTIONS),
        "ZOT_TEST_CRANE": os.pathsep.join(older_cranes(session)),
        "ZOT_TEST_SKOPEO": os.pathsep.join(other_skopeos(session)),
    }
    command = (*PYTEST, "--override-ini=testpaths=tests/integration", "--numprocesses=2")
    session.run(*command, *session.posargs, env=env)


@nox.session
def reliability(session: nox.Session) -> None:
    """Test what faults, load and a second operator do to a release (10 minutes); arguments go to pytest"""
    provide_collections(session)
    env = {"PYTHONPATH": str(COLLECTIONS), "ZOT_TEST_CRANE": os.pathsep.join(older_cranes(session))}
    # Most of the time they wait for one another's time-outs.
    command = (*PYTEST, "--override-ini=testpaths=tests/reliability", "--numprocesses=4")
    session.run(*command, *session.posargs, env=env)


@nox.session
def cluster(session: nox.Session) -> None:
    """Test the roles on a real Kubernetes, which is built the first time (15 minutes); arguments go to pytest"""
    provide_collections(session)
    build_cluster(session)
    command = (*PYTEST, "--override-ini=testpaths=tests/cluster")
    env = {"PYTHONPATH": str(COLLECTIONS), "ZOT_TEST_SURROUNDINGS": json.dumps(other_surroundings(session))}
    session.run(*command, *session.posargs, env=env)


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
def release(session: nox.Session) -> None:
    """Release a version: ./dev release 1.2.3 sets it, writes the changelog, commits, tags, and builds the tarball"""
    version = session.posargs[0] if len(session.posargs) == 1 else ""
    galaxy = ROOT / "galaxy.yml"
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        session.error("give one version, as in ./dev release 1.2.3")
    if session.run("git", "status", "--porcelain", silent=True):
        session.error("commit what is changed, or stash it: git status")
    if session.run("git", "tag", "--list", version, silent=True):
        session.error(f"{version} is released already")
    if not list(ROOT.glob("changelogs/fragments/*.yml")):
        session.error("changelogs/fragments says of nothing that it has changed")

    provide_collections(session)
    galaxy.write_text(re.sub(r"^version: .*$", f"version: {version}", galaxy.read_text(), flags=re.MULTILINE))
    session.run("antsibull-changelog", "release")
    session.run("git", "add", "galaxy.yml", "changelogs", "CHANGELOG.md")
    session.run("git", "commit", "--quiet", f"--message=Release {version}")
    session.run("git", "tag", "--annotate", f"--message=killinit.zot {version}", version)
    # Of what is committed, and nothing that merely lies about.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        session.run("git", "clone", "--quiet", f"--branch={version}", str(ROOT), folder, silent=True)
        session.run("ansible-galaxy", "collection", "build", folder, f"--output-path={ROOT}")
    session.log(f"Have a look at it, then: git push --follow-tags, and publish killinit-zot-{version}.tar.gz")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the collection beside the bare commands (an hour); arguments: names of yardsticks, --runs N, --help"""
    provide_collections(session)
    env = {"PYTHONPATH": "tests"}
    try:
        session.run("python", "-m", "benchmarks", *session.posargs, env=env)
    finally:
        if "--runs" not in session.posargs:
            isolated = ("--no-project", "--isolated", f"--with-requirements={ROOT / 'requirements' / 'plots.txt'}")
            session.run("uv", "run", "--quiet", *isolated, "python", "-m", "benchmarks.report", env=env)


@nox.session
def environment(session: nox.Session) -> None:
    """Start the registry of the tests to try things by hand, or stop it: environment start, environment stop"""
    provide_collections(session)
    session.run("python", "tests/environment", *session.posargs)


@nox.session
def requirements(session: nox.Session) -> None:
    """Pin the newest versions of requirements/*.in in requirements/*.txt"""
    common = "--quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-header"
    for name, python, *more in (
        ("dev", "3.11"),
        ("importer", "3.11"),
        ("go", "3.11", "--no-deps"),
        ("collections", "3.11", "--no-deps"),
        ("plots", "3.11"),
        ("awx", AWX_PYTHON, "--no-deps"),
        ("oldest", "3.11", "--no-deps"),
    ):
        files = (f"requirements/{name}.in", f"--output-file=requirements/{name}.txt")
        session.run("uv", "pip", "compile", *common.split(), f"--python-version={python}", *more, *files)


def provide_collections(session: nox.Session) -> None:
    """Let Ansible find this collection, as it is at any moment, kubernetes.core and awx.awx."""
    link_collection(COLLECTIONS)
    # Galaxy cannot be reached everywhere; the package `ansible` holds the same collections.
    fetch_collection(session, COLLECTIONS, "kubernetes", "core", pins="collections", python=OWN)
    fetch_collection(session, COLLECTIONS, "awx", "awx", pins="awx", python=AWX_PYTHON)


def link_collection(path: Path) -> None:
    """Make this collection one of those in a path of collections."""
    namespace = path / "ansible_collections" / "killinit"
    namespace.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (namespace / "zot").symlink_to(os.path.relpath(ROOT, namespace))


def fetch_collection(session: nox.Session, path: Path, namespace: str, name: str, *, pins: str, python: str) -> None:
    """Unpack one collection out of the package `ansible` that requirements/PINS.txt has for that Python."""
    home = path / "ansible_collections"
    requirements = ROOT / "requirements" / f"{pins}.txt"
    stamp = home / namespace / "stamp"
    wanted = f"{python}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    session.log(f"Fetching {namespace}.{name}: 50 MB, about 5 s")
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        folder = Path(directory)
        download = f"python -m pip download --quiet --no-deps --only-binary=:all: --python-version={python}"
        session.run(*download.split(), f"--dest={folder}", f"--requirement={requirements}")
        (wheel,) = folder.glob("*.whl")
        with ZipFile(wheel) as archive:
            inside = f"ansible_collections/{namespace}/{name}/"
            archive.extractall(folder, [each for each in archive.namelist() if each.startswith(inside)])
        unpacked = folder / "ansible_collections" / namespace
        (unpacked / "stamp").write_text(wanted)
        shutil.rmtree(home / namespace, ignore_errors=True)
        unpacked.rename(home / namespace)


def find_python(version: str) -> str | None:
    """A Python of that version, also one that pyenv has. Its shim may stand in PATH for one that it does not have."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


def importer(session: nox.Session) -> Path:
    """Where the programs of galaxy-importer are. It cannot live with nox, which wants a newer attrs."""
    home = CACHE / "importer"
    pins = ROOT / "requirements" / "importer.txt"
    wanted = f"{sys.version}\n{pins.read_text()}"
    if not (home / "stamp").exists() or (home / "stamp").read_text() != wanted:
        session.log("Installing galaxy-importer: about 10 s")
        session.run("python", "-m", "venv", "--clear", str(home))
        try:  # as `dev` does it
            session.run("uv", "pip", "install", "--quiet", f"--python={home}", f"--requirement={pins}")
        except CommandFailed:
            session.run(f"{home}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", f"--requirement={pins}")
        (home / "stamp").write_text(wanted)
    return home / "bin"


def write_inventory(path: Path) -> None:
    """What ours points at in the pages of Ansible, in Sphinx's format: their own list cannot be fetched everywhere."""
    core = "ansible_collections.kubernetes.core"
    pages = {
        "action_plugins": "plugins/action",
        "ansible_configuration_settings": "reference_appendices/config",
        "common_return_values": "reference_appendices/common_return_values",
        "ansible_collections.community.okd.k8s_auth_module": "collections/community/okd/k8s_auth_module",
        f"{core}.k8s_info_module": "collections/kubernetes/core/k8s_info_module",
        f"{core}.k8s_module": "collections/kubernetes/core/k8s_module",
        f"{core}.k8s_module__parameter-state": "collections/kubernetes/core/k8s_module",
    }
    lines = [
        f"{label} std:label -1 {page}.html#{re.sub('[^a-z0-9]+', '-', label)} {label}\n"
        for label, page in pages.items()
    ]
    header = "# Sphinx inventory version 2\n# Project: Ansible\n# Version:\n# zlib\n"
    path.write_bytes(header.encode() + zlib.compress("".join(lines).encode()))


def other_surroundings(session: nox.Session) -> dict[str, dict[str, str]]:
    """The ends of what is supported: the oldest kubernetes.core, and the oldest or newest ansible-core, if not ours.

    For each the variables with which Ansible has it.
    """
    home = CACHE / "surroundings"
    link_collection(home / "oldest")
    fetch_collection(session, home / "oldest", "kubernetes", "core", pins="oldest", python=OWN)
    found = {"kubernetes.core 5.3.0": {"ANSIBLE_COLLECTIONS_PATH": str(home / "oldest")}}
    version = "3.13" if CORES[OWN] == PLAYING[0] else "3.11"
    name, python = f"ansible [core {CORES[version]}", find_python(version)
    if python is None:
        session.log(f"NOT with ansible-core {CORES[version]}, since Python {version} is not on this machine")
        return found
    environment = home / version
    if not (environment / "bin" / "ansible-playbook").exists():
        packages = (f"ansible-core~={CORES[version]}.0", "jmespath", "kubernetes", "zstandard")
        session.run("uv", "venv", "--quiet", "--clear", f"--python={python}", str(environment))
        session.run("uv", "pip", "install", "--quiet", f"--python={environment}", *packages)
    link_collection(environment)
    fetch_collection(session, environment, "kubernetes", "core", pins="collections", python=version)
    path = f"{environment}/bin{os.pathsep}{os.environ['PATH']}"
    return {**found, name: {"ANSIBLE_COLLECTIONS_PATH": str(environment), "PATH": path}}


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


def other_skopeos(session: nox.Session) -> list[str]:
    """The paths of the skopeos of Debian that this machine does not have itself."""
    own = str(session.run("skopeo", "--version", silent=True)).split()[-1]
    paths = []
    for release, version in SKOPEOS.items():
        folder = CACHE / "skopeo" / version
        if version == own:
            continue
        if not (folder / "skopeo").exists():
            # REPO_URI is where this machine gets its own packages from.
            command = ("apt-get", "indextargets", "--format=$(REPO_URI)", "Created-By: Packages", "Component: main")
            found = str(session.run(*command, silent=True)).split() if shutil.which("apt-get") else []
            mirror = next((address for address in found if address.endswith("/debian/")), None)
            if mirror is None:
                session.log(f"NOT with skopeo {version}, which is a package of Debian {release}")
                continue
            session.log(f"Fetching skopeo {version}: 40 MB, about 20 s")
            unpack_skopeo(session, f"deb [signed-by={KEYRING}] {mirror} {release} main", folder)
        paths.append(str(folder / "skopeo"))
    return paths


def unpack_skopeo(session: nox.Session, source: str, folder: Path) -> None:
    """Let apt-get fetch skopeo from a source into a folder, with the libraries of its release, and install nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    for each in ("state/lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True)
    (folder / "state" / "status").touch()
    (folder / "sources.list").write_text(f"{source}\n")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "state" / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    apt = ("apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in settings.items()))
    session.run(*apt, "update", silent=True)
    session.run(*apt, "install", "--download-only", "--yes", "skopeo", silent=True)
    for package in sorted(folder.glob("cache/archives/*.deb")):
        session.run("dpkg", "--extract", str(package), f"{folder}/root", silent=True, log=False)
    loader = next(path for path in folder.glob("root/**/ld-linux-*.so.*") if not path.is_symlink())
    libraries = {str(path.parent) for path in folder.glob("root/**/lib*.so.*")}
    program = folder / "program"
    program.write_text(
        f'#!/bin/sh\nexec {loader} --library-path {":".join(sorted(libraries))} {folder}/root/usr/bin/skopeo "$@"\n'
    )
    program.chmod(0o755)
    program.rename(folder / "skopeo")
    for each in ("state", "cache"):
        shutil.rmtree(folder / each)


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
