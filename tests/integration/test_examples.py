# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every example of the documentation works. What needs a cluster is run by tests/cluster, the rest here."""

from __future__ import annotations

import configparser
import gzip
import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from integration.blocks import ROOT, Block, blocks, comparable, pattern
from integration.support import Bare, Module, recap
from integration.test_guides import CLUSTER_TESTS, GUIDES, PLAYBOOKS
from integration.test_guides import COMMANDS as WITH_CLUSTERS
from integration.test_release_clusters import DOCUMENTED

from ansible_collections.killinit.zot.plugins.module_utils._registry import settings
from ansible_collections.killinit.zot.plugins.modules import zot_copy
from ansible_collections.killinit.zot.plugins.plugin_utils import _variables
from environment import playbook_pages
from environment.images import Images
from environment.registry import Registry
from environment.zot_program import find_zot

Shell = Callable[..., subprocess.CompletedProcess[str]]

BLOCKS = blocks()
COMMANDS = dict.fromkeys(
    (block.page, command) for block in BLOCKS if block.language in ("sh", "console") for command in block.commands
)
SETTINGS = {"ZOT_REGISTRY", "ZOT_USERNAME", "ZOT_PASSWORD", "K8S_AUTH_KUBECONFIG"}
SETTINGS |= {"CONTROLLER_HOST", "CONTROLLER_OAUTH_TOKEN"}
# The first words of commands, and which test runs them, or why none can.
ELSEWHERE = {
    "umask 077": "test_zot_configuration.py",
    "openssl req ": "test_zot_configuration.py",
    "for user in ": "test_zot_configuration.py",
    "release=https://": "tests/packaging/test_install.py, with a release on this machine",
    "curl --fail --location --remote-name ": "tests/packaging/test_install.py",
    "sha256sum --check ": "tests/packaging/test_install.py",
    "ansible-galaxy collection build": "tests/packaging/conftest.py",
    "ansible-galaxy collection install ": "tests/packaging: the tarball, because it is not on Galaxy yet",
    "ansible-builder build ": "needs an engine for containers. tests/packaging creates what the engine builds",
    "ansible-playbook killinit.zot.awx ": "tests/packaging/test_awx.py",
    "ansible-playbook killinit.zot.promote --extra-vars @gate.yml": "test_vulnerability_gates.py, which has a scanner",
    "ansible-playbook killinit.zot.rotate ": "tests/cluster/test_examples.py, which can write Secrets",
    "ansible-rulebook --rulebook killinit.zot.restart_on_push ": "test_events.py",
    "ansible-rulebook --rulebook killinit.zot.verify_on_scan ": "test_vulnerability_gates.py",
    "curl --header ": "test_events.py",
}
# The plugins and playbooks that need no cluster.
WITHOUT_CLUSTER = {
    "publish",
    "zot_publish",
    "zot_push",
    "zot_index",
    "zot_tag",
    "zot_copy",
    "zot_image_info",
    "zot_rollback_info",
    "image_table",
    "promote",
}
WITH_A_CLUSTER = [f"killinit.zot.{name}" for name in (*PLAYBOOKS, "rotate")]
# test_quick_start.py follows it line by line.
QUICK_START = "docs/docsite/rst/guide_start.rst"
COMMAND_TABLE = "docs/docsite/rst/guide_commands.rst"
PROMOTE = ("docs/docsite/rst/guide_promote.rst", "docs/docsite/rst/playbook_promote.rst")


def _needs_no_cluster(text: str) -> bool:
    names = set(re.findall(r"killinit\.zot\.(\w+)", text))
    return bool(names) and names <= WITHOUT_CLUSTER and "kubernetes.core" not in text


def _kind(block: Block) -> str:
    """What a block is; a test below is for each kind."""
    if block.language in ("sh", "console"):
        return "commands"
    if block.language == "json":
        return "configuration of Zot" if "storage" in block.text else "event"
    if block.language == "ini":
        return "unit of systemd"
    if block.language == "text":
        return "table of zot_prune" if "ACTION" in block.text else "output"
    assert block.language == "yaml", f"no test knows what {block} is"
    content = block.content
    if isinstance(content, list):
        return "playbook"
    if "distSpecVersion" in content:
        return "start of Zot"  # test_zot_configuration.py runs it
    if content.get("kind") in ("Role", "ClusterRole"):
        return "rights"
    if content.keys() == {"all"}:
        return "inventory"
    if "jobs" in content or "stages" in content:
        return "pipeline"
    if block.file:
        return "variables"
    if all(name.startswith("zot_") for name in content):
        return "options of a role"
    raise AssertionError(f"no test knows what {block} is")


def _of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if _kind(block) == kind]


@pytest.fixture
def shell(
    registry: Registry, images: Images, environment: dict[str, str], tmp_path: Path, module: Module, bare: Bare
) -> Shell:
    """Run a command of a page, beside the archives and the files that the page shows."""
    directory = tmp_path / "project"
    dist = directory / "dist"
    dist.mkdir(parents=True)
    for name, archive in (
        ("openclaw-amd64", "buildah-amd64"),
        ("openclaw-arm64", "buildah-arm64"),
        ("openclaw-armv7", "buildah-arm-v7"),
        ("workspace", "skopeo-amd64"),
    ):
        shutil.copyfile(images[archive], dist / f"{name}.tar")
    shutil.copyfile(images["skopeo-amd64"], directory / "zot-ee.tar")
    (dist / "openclaw-arm64.tar.gz").write_bytes(gzip.compress((dist / "openclaw-arm64.tar").read_bytes()))

    def here(text: str) -> str:
        # The pages promote between repositories of different names, so that one registry is enough.
        return text.replace("oci.killinit.cc", registry.host).replace("staging.killinit.cc", registry.host)

    staged: list[str] = []

    def run(command: str, page: str = "", files: dict[str, str] | None = None, **more: str) -> Any:
        documented = {block.file: block.text for block in blocks(page) if block.file} if page else {}
        if page in PROMOTE and not staged:
            staged.append(_stage(registry, module, images, bare))
        for name, text in {**documented, **(files or {})}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(here(text), encoding="utf-8")
        given = {**{name: here(value) for name, value in more.items()}, **environment}
        return subprocess.run(
            ["sh", "-euc", here(command)], env=given, cwd=directory, capture_output=True, text=True, check=False
        )

    return run


def _stage(registry: Registry, module: Module, images: Images, bare: Bare) -> str:
    """Publish what the guide to promotion promotes, with an SBOM; return its reference."""
    repository = "build/openclaw"
    members = [{"archive": str(images[f"buildah-{name}"]), "tags": [name]} for name in ("amd64", "arm64")]
    assert not module("zot_push", images=[{**each, "repository": repository} for each in members])["failed"]
    assert not module("zot_index", repository=repository, manifests=["amd64", "arm64"], tags=["3f2c1ab"])["failed"]
    reference = f"{registry.host}/{repository}:3f2c1ab"
    attached = bare("oras", "attach", "--artifact-type=application/spdx+json", "--annotation=a=b", reference)
    assert attached.returncode == 0, attached.stderr
    return reference


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_command(page: str, command: str, shell: Shell) -> None:
    """It is run here, or its syntax is checked below, or another test runs it."""
    name, *rest = command.split()
    # test_guides.py and test_release_clusters.py run them.
    with_clusters = [*WITH_CLUSTERS.get(page, ()), *WITH_CLUSTERS.get(GUIDES.get(page, ""), ()), *DOCUMENTED]
    if name == "export":
        assert {setting.partition("=")[0] for setting in rest} <= SETTINGS
    elif name == "./dev":
        assert f"\ndef {rest[0].replace('-', '_')}(" in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    elif page == QUICK_START or command in CLUSTER_TESTS or command in with_clusters:
        pass
    elif not command.startswith(tuple(ELSEWHERE)):
        assert _needs_no_cluster(command), f"no test runs {command}"
        run = shell(command, page)
        assert run.returncode == 0, run.stdout + run.stderr
        documented = [output for block in blocks(page) for each, output in block.outputs if each == command]
        assert all(re.search(pattern(output), comparable(run.stdout)) for output in documented), run.stdout


def test_the_page_of_each_playbook() -> None:
    """It is up to date, and has every variable of the playbook."""
    found = playbook_pages.pages()
    assert {path.stem for path in found} == {f"playbook_{path.stem}" for path in ROOT.glob("playbooks/*.yml")}
    for path, text in found.items():
        assert path.read_text(encoding="utf-8") == text, "run python tests/environment/playbook_pages.py"
    for name, described in playbook_pages.own_variables().items():
        read = {f"zot_{name}_{each}" for each in _variables._OF_PLAYBOOKS.get(f"zot_{name}", ())}
        # guide_playbooks.rst describes the host, which several playbooks share.
        assert described == read - {"zot_publish_host"}


def test_syntax(shell: Shell) -> None:
    """Of the playbooks that need a cluster, those of the collection and those of the pages."""
    documented = [block.text for block in _of_kind("playbook") if not _needs_no_cluster(block.text)]
    # The tasks of these need a signed image, a cluster, or Helm. What they pin is tested in tests/unit.
    for path in ("modules/zot_copy.py", "lookup/digest.py"):
        tasks = _examples(ROOT / "plugins" / path)
        documented.append(yaml.safe_dump([{"name": path, "hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    files = {f"example-{number}.yml": text for number, text in enumerate(documented)}
    assert len(files) > 2
    run = shell(" ".join(["ansible-playbook", "--syntax-check", *WITH_A_CLUSTER, *files]), files=files)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("playbook: ") == len(files) + len(WITH_A_CLUSTER)


@pytest.mark.parametrize("block", [block for block in _of_kind("playbook") if _needs_no_cluster(block.text)], ids=str)
def test_playbook(block: Block, shell: Shell) -> None:
    """Those that need no cluster are run."""
    run = shell("ansible-playbook example.yml", files={"example.yml": block.text})
    assert run.returncode == 0, run.stdout + run.stderr


# The commands of a pipeline that need a network, a container engine or another machine.
ONLY_IN_A_PIPELINE = (
    "docker ",
    "sudo apt-get ",
    "apt-get ",
    "go install ",
    "pipx ",
    "ansible-galaxy ",
    "export PATH=",
    "mkdir ",
)
ONLY_IN_A_PIPELINE += ('echo "$HOME/go/bin" >> "$GITHUB_PATH"',)


def _steps(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a workflow of GitHub, or the jobs of a pipeline of GitLab, with their commands in C(run)."""
    if "jobs" in content:
        return [step for job in content["jobs"].values() for step in job["steps"] if "run" in step]
    jobs = [job for job in content.values() if isinstance(job, dict)]
    return [{"run": "\n".join(job[key])} for job in jobs for key in ("before_script", "script") if key in job]


@pytest.mark.parametrize("block", _of_kind("pipeline"), ids=str)
def test_pipeline(block: Block, shell: Shell, registry: Registry, tmp_path: Path) -> None:
    """Its commands, with the variables and files of the runner: the last job gets the image that is published."""
    content = block.content
    archive = ROOT / "tests/integration/builders/buildkit-mp-oci.tar"
    shell("true")  # makes the directory
    shutil.copyfile(archive, tmp_path / "project/dist/openclaw.tar")
    runner = {
        "CI_COMMIT_SHA": "9d0e4f700d9f3e1d5a4b8f66d1a3f0a9b7c2e4d1",
        "GITHUB_SHA": "3f2c1ab00d9f3e1d5a4b8f66d1a3f0a9b7c2e4d1",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    changed = []
    for step in _steps(content):
        commands = [line for line in step["run"].splitlines() if not line.startswith(ONLY_IN_A_PIPELINE)]
        if not commands:
            continue
        # The output of the earlier step, as GitHub and GitLab pass it on.
        passed_on = tmp_path / "output" if "jobs" in content else tmp_path / "project/publish.env"
        if "env" in step or (passed_on.suffix == ".env" and "IMAGE" in step["run"]):
            values = dict(line.partition("=")[::2] for line in passed_on.read_text().splitlines())
            runner["IMAGE"] = values.get("image") or values["IMAGE"]
        run = shell("\n".join(commands), block.page, **runner)
        assert run.returncode == 0, run.stdout + run.stderr
        if "ansible-playbook" in step["run"]:
            changed.append(recap(run)["changed"])
    assert changed[0] == changed[1] > 0
    assert re.fullmatch(rf"deploying {registry.host}/openclaw/openclaw@sha256:[0-9a-f]{{64}}\n", run.stdout)
    if "jobs" in content:
        # Each output that a job passes on is set by the step that it names.
        assert content["jobs"]["publish"]["outputs"] == {"image": "${{ steps.publish.outputs.image }}"}
        assert "## Publish: ok" in (tmp_path / "summary").read_text()


@pytest.mark.parametrize("block", _of_kind("inventory"), ids=str)
def test_inventory(block: Block, shell: Shell) -> None:
    """A command of the same page reads it, and each host has what the roles need to find its cluster."""
    assert any(f"--inventory {block.file}" in each.text for each in blocks(block.page))
    run = shell(f"ansible-inventory --inventory {block.file} --list", block.page)
    found = json.loads(run.stdout)
    clusters = [found["_meta"]["hostvars"][name] for name in found["clusters"]["hosts"]]
    assert len(clusters) == 3
    assert all(each["zot_kubeconfig"] and each["zot_namespace"] for each in clusters)


@pytest.mark.parametrize("block", _of_kind("unit of systemd"), ids=str)
def test_unit(block: Block) -> None:
    """It runs a command of its page, starts it again, and ends what the command has started."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    service = unit["Service"]
    assert (block.page, service["ExecStart"]) in COMMANDS
    assert (service["Restart"], service["KillMode"]) == ("always", "control-group")


@pytest.mark.parametrize("block", _of_kind("options of a role"), ids=str)
def test_options_of_a_role(block: Block) -> None:
    """The role of the page accepts them."""
    role = ROOT / Path(block.page).parent
    options = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    specs = {name: {**options[name], "required": False} for name in block.content}
    assert ArgumentSpecValidator(specs).validate(block.content).error_messages == []


@pytest.mark.parametrize("block", _of_kind("configuration of Zot"), ids=str)
def test_configuration(block: Block, zot: Registry, tmp_path: Path) -> None:
    """Zot accepts it."""
    assert zot.kind == "zot"
    path = tmp_path / "config.json"
    path.write_text(block.text, encoding="utf-8")
    program = find_zot()
    assert program
    run = subprocess.run([program, "verify", str(path)], capture_output=True, text=True, check=False)
    assert (run.returncode, "config file is valid" in run.stdout + run.stderr) == (0, True), run.stdout + run.stderr


def test_tasks_of_plugins(shell: Shell) -> None:
    """The examples of the modules, and of the filters that need no cluster."""
    names = ("zot_push", "zot_index", "zot_tag", "zot_image_info", "image_table", "zot_publish")
    tasks = [task for name in names for task in _examples(next(ROOT.glob(f"plugins/*/{name}.py")))]
    # The members of the second index in the examples.
    members = [
        {"archive": f"dist/openclaw-{name}.tar", "repository": "openclaw/workspace", "tag": f"3f2c1ab-{name}"}
        for name in ("amd64", "arm64")
    ]
    tasks.insert(0, {"killinit.zot.zot_push": {"registry": "oci.killinit.cc", "images": members}})
    play = [{"name": "Examples", "hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    run = shell("ansible-playbook example.yml", files={"example.yml": yaml.safe_dump(play)})
    assert run.returncode == 0, run.stdout + run.stderr
    assert recap(run)["ok"] == len(tasks)


def test_options_of_zot_copy() -> None:
    """The module accepts the options of its examples."""
    for task in _examples(ROOT / "plugins/modules/zot_copy.py"):
        validator = ArgumentSpecValidator(zot_copy.SPEC.for_module()["argument_spec"])
        assert validator.validate(task["killinit.zot.zot_copy"]).error_messages == []


def test_tasks_in_tables() -> None:
    """What the guide gives for a command of the runbook is a task, with options that the module has."""
    found = re.findall(r"`(zot_\w+): (\{.*?\})`", (ROOT / COMMAND_TABLE).read_text(encoding="utf-8"))
    assert len(found) > 3
    for name, options in found:
        module = importlib.import_module(f"ansible_collections.killinit.zot.plugins.modules.{name}")
        known = module.SPEC.for_module()["argument_spec"]
        aliases = {alias for option in known.values() for alias in option.get("aliases", ())}
        assert yaml.safe_load(options).keys() <= known.keys() | aliases


def test_environment() -> None:
    """What the modules read there is what the guide has, and what the other pages link to."""
    read = [settings.environment_variable(name) for name in settings.SETTINGS]
    guide = (ROOT / "docs/docsite/rst/guide_settings.rst").read_text(encoding="utf-8")
    assert re.findall(r"^\.\. envvar:: (.*)", guide, re.MULTILINE) == read
    linked = yaml.safe_load((ROOT / "docs/docsite/config.yml").read_text(encoding="utf-8"))
    assert linked == {"envvar_directives": read}


def _examples(plugin: Path) -> list[dict[str, Any]]:
    found = re.search(r'^EXAMPLES = r"""\n(.*?)"""', plugin.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    tasks: list[dict[str, Any]] = yaml.safe_load(found[1])
    return tasks
