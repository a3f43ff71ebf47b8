# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions of `./dev NAME`. All run in the one environment that `dev` makes.

The comment `# needs:` lists what `dev` installs for a session, in addition to Python and git.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import antsibull_nox
import nox

sys.path.insert(0, str(Path(__file__).resolve().parent / "tests"))

from environment import cluster_parts, commands, docs_links, docs_site, pythons, sanity, zot_program
from environment.collection_path import AWX_PYTHON, CACHE, COLLECTIONS, ROOT, fetch_collection, link_collection
from environment.other_tools import other_tools

ACTIONLINT = "v1.7.12"

nox.options.default_venv_backend = "none"
nox.options.envdir = CACHE / "nox"
nox.options.error_on_external_run = False

os.environ.update(
    ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS),
    ANSIBLE_HOME=str(CACHE / "ansible"),
    HYPOTHESIS_STORAGE_DIRECTORY=str(CACHE / "hypothesis"),
    MYPYPATH=f"{COLLECTIONS}:{ROOT / 'tests'}",
    PYTHONPATH=str(COLLECTIONS),
)
# The sessions yamllint, extra-checks and antsibull-nox-config: see antsibull-nox.toml.
antsibull_nox.load_antsibull_nox_toml()


@nox.session
def quick(session: nox.Session) -> None:
    """Check format, style, types, documentation and licences, and run the unit tests: under a minute"""
    provide_collections(awx=True)
    _require_passed(session, commands.run(commands.quick(), workers=2))


@nox.session
def test(session: nox.Session) -> None:  # needs: skopeo crane oras go buildah zstd registry etcd runc java curl strace
    """Run all tests, or the sessions that the arguments name, and print the time of each session"""
    name_registry(session)
    provide_collections(awx=True)
    results = []
    if not session.posargs:
        checks = commands.quick()
        del checks["unit tests"]  # the session units runs them, with their coverage
        results += commands.run(checks, workers=2)
    # Two sessions at a time, because they wait for Kubernetes and for timeouts. More load would change the results of
    # the tests of faults. The longest begin, so that both workers end at about the same time.
    names = "cluster integration versions package reliability molecule sanity units demo-cluster docs demo workflows"
    results += commands.run(_sessions(*(session.posargs or names.split())), workers=2)
    results = [commands.repeat(result) for result in results]
    session.log("\n".join(["The time of each session:", *map(str, results)]))
    for result in results:
        for flaky in result.flaky:
            session.warn(f"FLAKY {flaky}: failed in the session {result.name}, then passed alone")
    skipped = {result.name: zot_program.count_skipped(result.output) for result in results}
    numbers = [f"{number} of {name}" for name, number in skipped.items() if number]
    if numbers:
        session.warn(f"SKIPPED without Zot: {', '.join(numbers)}. {zot_program.SOURCE}")
    _require_passed(session, results)


@nox.session(name="format")
def format_(session: nox.Session) -> None:
    """Format the Python files and sort their imports"""
    session.run("ruff", "check", "--select=I", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session
def units(session: nox.Session) -> None:
    """Run the unit tests with the coverage of plugins/; arguments go to pytest"""
    # A selection of tests covers only a part of the code.
    threshold = [] if session.posargs else ["--cov-fail-under=95"]
    pytest(session, "tests/unit", *commands.IN_PARALLEL, "--cov=plugins", "--cov-report=term", *threshold)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the HTML pages of the collection in .cache/docs/build/html; a broken reference or link is an error"""
    provide_collections()
    site = docs_site.make_site()
    session.run("bash", f"{site}/build.sh", silent=True)
    broken = docs_links.broken_links(site / "build" / "html")
    if broken:
        session.error("broken links:\n" + "\n".join(broken))
    session.log(f"The pages begin with {site}/build/html/index.html")


@nox.session
def workflows(session: nox.Session) -> None:  # needs: go
    """Check the workflows of GitHub Actions with actionlint, also that of the documentation"""
    program = CACHE / "bin" / f"actionlint-{ACTIONLINT}"
    if not program.exists():
        session.log("Building actionlint (about 20 s)")
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            path = f"github.com/rhysd/actionlint/cmd/actionlint@{ACTIONLINT}"
            session.run("go", "install", path, env={"GOBIN": folder, "GOFLAGS": "-modcacherw"})
            program.parent.mkdir(exist_ok=True)
            (Path(folder) / "actionlint").rename(program)
    files = sorted([*ROOT.glob(".github/workflows/*.yml"), ROOT / "docs/examples/ci/github-actions.yml"])
    session.run(str(program), *map(str, files))


@nox.session
def versions(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry
    """Run the unit tests and playbooks on each Python of this machine with its ansible-core; arguments go to pytest"""
    name_registry(session)
    packages = ("pytest", "pytest-xdist", "hypothesis", "jmespath", "kubernetes", "zstandard", "bcrypt", "trustme")
    done = []
    for number, core in pythons.CORES.items():
        python = pythons.find_python(number)
        if version("ansible-core").startswith(f"{core}."):
            done.append(f"ansible-core {core}: in the sessions units and integration")
        elif python is None:
            done.append(f"ansible-core {core}: NOT RUN, Python {number} is not on this machine")
        else:
            programs = pythons.make_environment(number, f"ansible-core~={core}.0", *packages, python=python)
            path = f"{programs}:{os.environ['PATH']}"
            # Each suite has its own fixtures, so one run cannot contain both.
            suites = pythons.suites(number)
            for suite, options in suites.items():
                pytest(session, suite, *commands.IN_PARALLEL, *options, python=f"{programs}/python", PATH=path)
            done.append(f"ansible-core {core} on Python {number}: {' '.join(suites)}")
    session.log("\n".join(done))


@nox.session(name="sanity")
def sanity_(session: nox.Session) -> None:
    """Run ansible-test sanity (the first time two minutes)"""
    provide_collections()
    env = {"HOME": str(sanity.make_home())}
    with sanity.copy_of_checkout() as copy, session.chdir(copy):
        files = str(session.run("ansible-test", "env", "--list-files", env=env, silent=True)).splitlines()
        if not any(name.startswith("plugins/modules/") for name in files):
            session.error("ansible-test finds no module: it would pass without any check")
        # ruff, yamllint, antsibull-changelog and shellcheck check the same, and more strictly: see commands.py.
        elsewhere = [f"--skip-test={name}" for name in ("changelog", "pep8", "shellcheck", "yamllint")]
        session.run("ansible-test", "sanity", "--python", pythons.OWN, *elsewhere, *session.posargs, env=env)


@nox.session
def package(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry curl
    """Test the tarball: installed, in an execution environment and in AWX; arguments go to pytest"""
    name_registry(session)
    provide_collections(awx=True)
    importer = str(pythons.make_environment("importer", "importer.txt"))
    pytest(session, "tests/packaging", "--numprocesses=2", "--dist=loadfile", ZOT_TEST_IMPORTER=importer)


@nox.session
def integration(session: nox.Session) -> None:  # needs: skopeo crane oras go buildah zstd registry java curl strace
    """Test modules, roles and playbooks on a real registry; arguments go to pytest"""
    name_registry(session)
    pytest(session, "tests/integration", *commands.IN_PARALLEL, ZOT_TEST_RULEBOOK=rulebook(), **other_tools())


@nox.session
def reliability(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry
    """Test releases under faults, load and a second operator; arguments go to pytest"""
    name_registry(session)
    # Most of the time, these tests wait for timeouts.
    pytest(session, "tests/reliability", "--numprocesses=4", ZOT_TEST_CRANE=other_tools()["ZOT_TEST_CRANE"])


@nox.session
def cluster(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry etcd runc java
    """Test the roles on a real Kubernetes, which is built the first time (10 minutes); arguments go to pytest"""
    name_registry(session)
    cluster_parts.build(session.log)
    # The API returns times in UTC. In this time zone, a time that is read as local time is wrong by hours.
    surroundings = json.dumps(pythons.surroundings())
    variables = {"ZOT_TEST_SURROUNDINGS": surroundings, "ZOT_TEST_RULEBOOK": rulebook(), "TZ": "America/New_York"}
    # Each of the two processes has a cluster of its own.
    pytest(session, "tests/cluster", *commands.IN_PARALLEL, **variables)


@nox.session
def molecule(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry etcd runc
    """Run each role in check mode and twice, and verify the result; arguments go to molecule"""
    name_registry(session)
    provide_collections()
    session.run("ansible-lint", "-q", "extensions", "docs/examples")
    cluster_parts.build(session.log)
    with tempfile.TemporaryDirectory(prefix="molecule-", dir=CACHE) as state:
        try:
            command = ("molecule", "-c", "extensions/molecule/config.yml", "test", *(session.posargs or ["--all"]))
            session.run(*command, env={"MOLECULE_EPHEMERAL_DIRECTORY": state})
        finally:  # an interrupted molecule does not stop what it has started
            session.run("python", "tests/environment", "stop", f"--directory={state}/environment", silent=True)


@nox.session
def demo(session: nox.Session) -> None:  # needs: skopeo crane registry
    """Show the life of a release on a registry of this machine: publish, roll back, prune, report"""
    name_registry(session)
    provide_collections()
    session.run("python", "tests/environment/demo.py", env={"PYTHONPATH": "tests"})


@nox.session(name="demo-cluster")
def demo_cluster(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry etcd runc
    """Run the demo with workloads of a real Kubernetes, which is built the first time (10 minutes)"""
    name_registry(session)
    provide_collections()
    cluster_parts.build(session.log)
    session.run("python", "tests/environment/demo.py", "--cluster", env={"PYTHONPATH": "tests"})


@nox.session
def pictures(session: nox.Session) -> None:  # needs: skopeo crane go buildah zstd registry etcd runc chromium
    """Make the picture of the report in docs/images from a run with a real Kubernetes"""
    name_registry(session)
    provide_collections()
    cluster_parts.build(session.log)
    session.run("python", "tests/environment/pictures.py", env={"PYTHONPATH": "tests"})


@nox.session
def bench(session: nox.Session) -> None:  # needs: skopeo crane oras go buildah zstd registry etcd runc strace
    """Compare the collection with the bare commands (an hour); arguments: names of yardsticks, --runs N, --help"""
    name_registry(session)
    provide_collections()
    env = {"PYTHONPATH": f"{COLLECTIONS}:tests"}
    try:
        session.run("python", "-m", "benchmarks", *session.posargs, env=env)
    finally:
        if "--runs" not in session.posargs:
            python = pythons.make_environment("plots", "plots.txt") / "python"
            session.run(str(python), "-m", "benchmarks.report", env=env)


@nox.session
def environment(session: nox.Session) -> None:  # needs: skopeo crane go registry etcd runc
    """Start the registry of the tests, or stop it: environment start [--cluster], environment stop"""
    name_registry(session)
    session.run("python", "tests/environment", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Set a version, write the changelog, commit, tag and build the tarball: release 1.2.3"""
    number = session.posargs[0] if len(session.posargs) == 1 else ""
    galaxy = ROOT / "galaxy.yml"
    if not re.fullmatch(r"\d+\.\d+\.\d+", number):
        session.error("give one version, for example ./dev release 1.2.3")
    if session.run("git", "status", "--porcelain", silent=True):
        session.error("commit or stash the changes: git status")
    if session.run("git", "tag", "--list", number, silent=True):
        session.error(f"{number} is released already")
    if not list(ROOT.glob("changelogs/fragments/*.yml")):
        session.error("changelogs/fragments has no fragment: nothing to release")

    galaxy.write_text(re.sub(r"^version: .*$", f"version: {number}", galaxy.read_text(), flags=re.MULTILINE))
    provide_collections()
    session.run("antsibull-changelog", "release")
    session.run("git", "add", "galaxy.yml", "changelogs", "CHANGELOG.md")
    session.run("git", "commit", "--quiet", f"--message=Release {number}")
    session.run("git", "tag", "--annotate", f"--message=killinit.zot {number}", number)
    # A clone has no files that are not committed.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        session.run("git", "clone", "--quiet", f"--branch={number}", str(ROOT), folder, silent=True)
        session.run("ansible-galaxy", "collection", "build", folder, f"--output-path={ROOT}")
    session.log(f"Check it, then: git push --follow-tags, and publish killinit-zot-{number}.tar.gz")


@nox.session
def requirements(session: nox.Session) -> None:
    """Pin the packages of requirements/*.in in requirements/*.txt; with --upgrade the newest versions"""
    options = "--quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version"
    for path in sorted(ROOT.glob("requirements/*.in")):
        python = AWX_PYTHON if path.stem == "awx" else "3.11"
        # The other packages are used for their files only, without their dependencies.
        more = [] if path.stem in ("dev", "importer", "plots", "rulebook") else ["--no-deps"]
        target = f"--output-file={path.with_suffix('.txt').relative_to(ROOT)}"
        command = ("uv", "pip", "compile", *options.split(), python, *more, *session.posargs)
        session.run(*command, str(path.relative_to(ROOT)), target)


def _require_passed(session: nox.Session, results: list[commands.Result]) -> None:
    failed = [result.name for result in results if not result.passed]
    if failed:
        session.error(f"failed: {', '.join(failed)}")


def _sessions(*names: str) -> dict[str, list[str]]:
    return {name: ["nox", "--session", name] for name in names}


def pytest(session: nox.Session, suites: str, *options: str, python: str = "python", **variables: str) -> None:
    """Run test suites, or the tests that the arguments of the session name, with the collections in the path."""
    provide_collections()
    # Other sessions run at the same time. After a run of all tests, the list of the failed tests has no older ones.
    cache = commands.pytest_cache(session.name)
    if not session.posargs:
        shutil.rmtree(cache, ignore_errors=True)
    if not any(each.startswith("tests/") for each in session.posargs):
        options += tuple(suites.split())
    command = (python, "-m", "pytest", f"--override-ini=cache_dir={cache}", *options)
    config = {"ANSIBLE_CONFIG": str(ROOT / "tests/environment/ansible.cfg")}
    session.run(*command, *session.posargs, env={**config, **variables})


def name_registry(session: nox.Session) -> None:
    """Say in one line which registry the session uses."""
    try:
        session.log(zot_program.describe())
    except zot_program.ZotProgramError as error:
        session.error(str(error))


def rulebook() -> str:
    """The path of ansible-rulebook, in an environment of its own."""
    return str(pythons.make_environment("rulebook", "rulebook.txt") / "ansible-rulebook")


def provide_collections(*, awx: bool = False) -> None:
    """Provide a link to this collection, and kubernetes.core; awx.awx only if it is needed."""
    link_collection(COLLECTIONS)
    fetch_collection(COLLECTIONS, "kubernetes.core", pins="collections", python=pythons.OWN)
    if awx:
        fetch_collection(COLLECTIONS, "awx.awx", pins="awx", python=AWX_PYTHON)
