# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role zot_publish, as an engineer runs it: `ansible-playbook killinit.zot.publish`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from integration.support import Bare, Module, ReadsOnly, recap

from environment.images import Images
from environment.registry import Registry

Playbook = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def release(images: Images, repository: str) -> dict[str, Any]:
    """The variables of a release: one image for two architectures, and one without an index."""
    return {
        "zot_publish_revision": "r1",
        "zot_publish_images": [
            {
                "repository": f"{repository}/openclaw",
                "archives": {"amd64": str(images["buildah-amd64"]), "arm64": str(images["buildah-arm64"])},
            },
            {"repository": f"{repository}/workspace", "archive": str(images["skopeo-amd64"])},
        ],
    }


def _report(run: CompletedProcess[str]) -> dict[str, Any]:
    """What set_stats passed on, from the end of the output."""
    return json.loads(re.search(r"RUN: (\{.*\})", run.stdout).group(1))["zot_publish_report"]


def _published_tags(module: Module, repository: str) -> list[str]:
    """The tags of a repository without the upload tags."""
    tags = module("zot_image_info", repositories=[repository])["repositories"][0]["tags"]
    return sorted(tag for tag in tags if not tag.startswith("upload-"))


def _table(run: CompletedProcess[str]) -> list[str]:
    """The lines that show the published images."""
    return json.loads(re.search(r"Show the published images\] \*+\nok: .*=> (\{[^}]*\})", run.stdout).group(1))["msg"]


def test_release(
    release: dict[str, Any],
    repository: str,
    registry: Registry,
    environment: dict[str, str],
    playbook: Playbook,
    module: Module,
    reads_only: ReadsOnly,
    tmp_path: Path,
) -> None:
    """A dry run, the release, and a second release that writes nothing; each writes its report for the next job."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    environment["GITHUB_OUTPUT"] = str(tmp_path / "output")
    environment["GITHUB_STEP_SUMMARY"] = str(tmp_path / "summary")
    with reads_only():
        planned = playbook(
            "killinit.zot.publish", "--check", "--diff", **release, zot_report_file=str(tmp_path / "planned.md")
        )
    # Nothing is pushed yet that another job could use.
    assert (tmp_path / "output").read_text() == "revision=r1\n"
    release["zot_report_file"] = str(tmp_path / "report.json")
    done = playbook("killinit.zot.publish", "--diff", **release)
    assert json.loads((tmp_path / "report.json").read_text()) == {"zot_publish_report": _report(done)}
    pinned = [image["pinned"] for image in _report(done)["images"]]
    written = f"image={pinned[0]}\nimages={json.dumps(pinned, separators=(',', ':'))}\nrevision=r1\n"
    assert (tmp_path / "output").read_text() == f"revision=r1\n{written}"
    summary = (tmp_path / "summary").read_text()
    assert summary.startswith((tmp_path / "planned.md").read_text())
    assert summary.count("## Publish: ok\n") == 2
    assert pinned[0].partition("@")[2] in summary
    with reads_only():
        again = playbook("killinit.zot.publish", **release)
        planned_again = playbook("killinit.zot.publish", "--check", **release)

    for run in (planned, done, again, planned_again):
        assert run.returncode == 0, run.stdout + run.stderr
    assert [recap(run)["changed"] for run in (planned, done, again, planned_again)] == [1, 1, 0, 0]
    assert sorted(_report(planned)["written"]) == sorted(_report(done)["written"])
    tags = (
        "openclaw:r1-amd64",
        "openclaw:r1-arm64",
        "openclaw:r1",
        "openclaw:latest",
        "workspace:r1",
        "workspace:latest",
    )
    references = [f"{registry.host}/{repository}/{name}" for name in tags]
    assert sorted(_report(done)["written"]) == sorted(references)
    assert _report(again)["written"] == []
    assert _report(done)["changed"] is True
    assert _report(again)["changed"] is False
    assert _report(again)["images"] == _report(done)["images"]

    there = module("zot_image_info", images=references)["images"]
    amd64, arm64, index, latest, workspace, workspace_latest = there
    assert [entry["digest"] for entry in index["manifests"]] == [amd64["digest"], arm64["digest"]]
    assert latest["digest"] == index["digest"]
    assert workspace_latest["digest"] == workspace["digest"]
    assert [image["pinned"] for image in _report(done)["images"]] == [index["pinned"], workspace["pinned"]]
    for image in there:
        assert re.search(rf"{image['tag']} +{image['digest'][7:19]} +{', '.join(image['platforms'])} ", done.stdout)
    assert _table(again) == _table(planned_again) == _table(done)
    assert [line.split()[:2] for line in _table(planned)] == [line.split()[:2] for line in _table(done)]
    assert {line.split()[2] for line in _table(planned)[1:]} == {"new"}
    # In check mode nobody has to be warned of members that the same play would push.
    assert "WARNING" not in planned.stdout + planned.stderr
    for run in (planned, done, again, planned_again):
        report = _report(run)
        assert (report["ok"], report["registry"], report["revision"], report["problems"]) == (
            True,
            registry.host,
            "r1",
            [],
        )


def _publish(module: Module, release: dict[str, Any]) -> None:
    """Publish by the module alone, which takes less time than a playbook."""
    done = module("zot_publish", revision=release["zot_publish_revision"], images=release["zot_publish_images"])
    assert not done["failed"], done


def test_new_revision_moves_latest(
    release: dict[str, Any], images: Images, repository: str, playbook: Playbook, module: Module
) -> None:
    """And the diff shows from what to what; the old revision stays, and latest-previous holds it."""
    _publish(module, release)
    release["zot_publish_revision"] = "r2"
    release["zot_publish_images"][0]["archives"]["amd64"] = str(images["changed-layer"])
    moved = playbook("killinit.zot.publish", "--diff", **release)
    assert moved.returncode == 0, moved.stdout
    # The first line is the tag, the rest what it meant before and means now.
    change = re.search(
        r"--- before: \S+openclaw:latest\n(?:.*\n){3}"
        r'-    "digest": "(sha256:.{64})",\n'
        r'\+    "digest": "(sha256:.{64})",',
        moved.stdout,
    )
    assert change, moved.stdout
    assert change.group(1) != change.group(2)
    names = [f"{repository}/openclaw:{tag}" for tag in ("r1", "latest-previous", "r2", "latest")]
    names += [f"{repository}/workspace:{tag}" for tag in ("latest", "latest-previous")]
    found = module("zot_image_info", images=names)["images"]
    old, new = change.group(1), change.group(2)
    # The workspace is the same image in both revisions: its tag has not moved, and has no previous image.
    assert [image["digest"] for image in found[:4]] == [old, old, new, new]
    assert [image["exists"] for image in found[4:]] == [True, False]


def test_no_shared_tag_moves_before_every_architecture_is_in(
    release: dict[str, Any], images: Images, playbook: Playbook, repository: str, module: Module
) -> None:
    """Nothing is pushed before all archives were read: one is for another platform, and one does not exist."""
    release["zot_publish_images"][0]["archives"]["arm64"] = str(images["buildah-amd64"])
    release["zot_publish_images"][1]["archive"] = "missing.tar"
    run = playbook("killinit.zot.publish", **release)
    assert run.returncode == 2
    output = run.stdout + run.stderr
    assert "is for linux/amd64, not for linux/arm64; " in output
    assert "missing.tar cannot be read: No such file or directory; nothing was written" in output
    for name in ("openclaw", "workspace"):
        found = module("zot_image_info", repositories=[f"{repository}/{name}"])["repositories"]
        assert found[0]["exists"] is False


def test_a_published_revision_is_not_replaced(
    release: dict[str, Any],
    images: Images,
    repository: str,
    environment: dict[str, str],
    playbook: Playbook,
    module: Module,
    bare: Bare,
    registry: Registry,
) -> None:
    """Until it is published, a build can be repeated; then other content, or a platform less, is an error."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    app, workspace = release["zot_publish_images"]
    built = str(images["changed-layer"])
    options = {"repository": app["repository"], "tags": "r1-amd64"}
    assert module("zot_push", archive=built, **options)["changed"]
    _publish(module, release)
    names = [f"{repository}/openclaw:r1", f"{repository}/openclaw:r1-amd64", f"{repository}/workspace:r1"]
    before = [image["digest"] for image in module("zot_image_info", images=names)["images"]]

    changed = [{**app, "archives": {**app["archives"], "amd64": built}}, {**workspace, "archive": built}]
    other = {**release, "zot_publish_images": changed}
    fewer = {**release, "zot_publish_images": [{**app, "archives": {"amd64": app["archives"]["amd64"]}}, workspace]}
    of_other = [
        f"openclaw:r1 is published as {before[0]}, which has {before[1]} (created ",
        f"workspace:r1 holds another image, {before[2]}",
    ]
    for run, errors in (
        (playbook("killinit.zot.publish", "--check", **other), of_other),
        (playbook("killinit.zot.publish", **fewer), ["also has linux/arm64: its new index would lose that"]),
    ):
        assert run.returncode == 2
        (problem,) = _report(run)["problems"]
        assert all(error in problem for error in errors)
        assert problem.count("zot_publish_overwrite") == 1
        assert (_report(run)["ok"], _report(run)["written"]) == (False, [])
    assert [image["digest"] for image in module("zot_image_info", images=names)["images"]] == before

    # zot_prune removes the tags of single architectures. The index lists their images, so nothing is written.
    assert bare("crane", "delete", f"{registry.host}/{names[1]}").returncode == 0
    again = playbook("killinit.zot.publish", **release)
    assert (again.returncode, _report(again)["written"]) == (0, [])
    digests = [image["digest"] for image in module("zot_image_info", images=names)["images"]]
    assert digests == [before[0], None, before[2]]
    assert playbook("killinit.zot.publish", zot_publish_overwrite=True, **other).returncode == 0
    assert module("zot_image_info", images=names)["images"][0]["digest"] != before[0]


def test_by_path_and_with_variables_of_the_roles(
    release: dict[str, Any], registry: Registry, environment: dict[str, str], playbook: Playbook
) -> None:
    """As AWX starts it; the account in the variables that the roles share."""
    for name in ("ZOT_REGISTRY", "ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_CA_PATH"):
        del environment[name]
    account = {"zot_username": registry.writer.username, "zot_password": registry.writer.password}
    shared = {"zot_registry": registry.host, "zot_ca_path": str(registry.ca), **account}
    run = playbook(ROOT / "playbooks" / "publish.yml", **release, **shared)
    assert run.returncode == 0, run.stdout + run.stderr
    assert recap(run)["changed"] == 1


def test_none_counts_as_not_given(release: dict[str, Any], playbook: Playbook, repository: str, module: Module) -> None:
    """AWX turns an empty answer of a survey into None: the environment and the defaults count then."""
    names: tuple[str, ...] = ("registry", "username", "password", "authfile", "ca_path")
    names += ("validate_certs", "timeout", "retries")
    tuning = ("tags", "parallel")
    names += ("skopeo_path", "crane_path")
    empty = {f"zot_{name}": None for name in names} | {f"zot_publish_{name}": None for name in tuning}
    run = playbook("killinit.zot.publish", **release, **empty)
    assert run.returncode == 0, run.stdout + run.stderr
    assert _published_tags(module, f"{repository}/workspace") == ["latest", "r1"]


def test_no_registry(release: dict[str, Any], environment: dict[str, str], playbook: Playbook) -> None:
    """There is no default registry. The error names all three ways to set one."""
    del environment["ZOT_REGISTRY"]
    run = playbook("killinit.zot.publish", **release)
    assert run.returncode == 2
    assert all(name in run.stdout for name in ("registry (option)", "zot_registry", "ZOT_REGISTRY")), run.stdout


def test_defaults_of_the_play_reach_the_modules(
    release: dict[str, Any], environment: dict[str, str], registry: Registry, playbook: Playbook, tmp_path: Path
) -> None:
    """What module_defaults say of the registry is not replaced by anything else, and the report names that registry."""
    for name in ("ZOT_REGISTRY", "ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_CA_PATH"):
        del environment[name]
    defaults = {
        "registry": registry.host,
        "username": registry.writer.username,
        "password": registry.writer.password,
        "ca_path": str(registry.ca),
    }
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/killinit.zot.registry": defaults},
        "roles": ["killinit.zot.zot_publish"],
        "tasks": [{"ansible.builtin.debug": {"msg": "to {{ zot_publish_report.registry }}"}}],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]))
    run = playbook(path, **release)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"to {registry.host}" in run.stdout


def test_dry_run_of_a_revision_that_changes(
    release: dict[str, Any], images: Images, playbook: Playbook, module: Module
) -> None:
    """All tags exist. The index follows the member that would move, in check mode as well."""
    _publish(module, release)
    release["zot_publish_images"][0]["archives"]["amd64"] = str(images["changed-layer"])
    planned = playbook("killinit.zot.publish", "--check", zot_publish_overwrite=True, **release)
    done = playbook("killinit.zot.publish", zot_publish_overwrite=True, **release)
    assert [recap(run)["changed"] for run in (planned, done)] == [1, 1]


def test_dry_run_of_a_new_revision_of_the_same_images(
    release: dict[str, Any], environment: dict[str, str], playbook: Playbook, module: Module
) -> None:
    """A commit that changes no image, of a reproducible build: latest already has the images, and does not move."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    _publish(module, release)
    release["zot_publish_revision"] = "r2"
    planned = playbook("killinit.zot.publish", "--check", **release)
    done = playbook("killinit.zot.publish", **release)
    assert sorted(_report(planned)["written"]) == sorted(_report(done)["written"])
    assert [reference for reference in _report(done)["written"] if reference.endswith(":latest")] == []


def test_report_of_a_role_that_fails(
    release: dict[str, Any], images: Images, registry: Registry, playbook: Playbook, tmp_path: Path
) -> None:
    """It says what was written, and it is not that of an earlier run in the same play."""
    broken = {**release, "zot_publish_revision": "r2"}
    first, second = release["zot_publish_images"]
    archives = {**first["archives"], "arm64": str(images["buildah-amd64"])}
    broken["zot_publish_images"] = [{**first, "archives": archives}, second]
    role = {"ansible.builtin.include_role": {"name": "killinit.zot.zot_publish"}}
    block = {"block": [{**role, "vars": broken}], "rescue": [{"ansible.builtin.debug": {"msg": "it failed"}}]}
    copy = {"content": "{{ zot_publish_report | to_json }}", "dest": str(tmp_path / "report.json")}
    tasks = [{**role, "vars": release}, block, {"ansible.builtin.copy": copy}]
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    run = playbook(path)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ok"], report["changed"], report["revision"]) == (False, False, "r2")
    assert (report["written"], report["registry"]) == ([], registry.host)
    assert len(report["problems"]) == 1
    assert "is for linux/amd64, not for linux/arm64" in report["problems"][0]


def test_typed_at_a_command_line(release: dict[str, Any], playbook: Playbook, repository: str, module: Module) -> None:
    """Or into a survey of AWX: a list is one text there."""
    assert playbook("killinit.zot.publish", **release, zot_publish_tags="latest, stable").returncode == 0
    assert _published_tags(module, f"{repository}/workspace") == ["latest", "r1", "stable"]


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no revision": ({"zot_publish_revision": None}, "zot_publish_revision"),
    "empty revision": ({"zot_publish_revision": ""}, "revision is empty: set it to the tag of the build"),
    "no image": ({"zot_publish_images": []}, "images is empty: list at least one image"),
    "no archive": ({"zot_publish_images": [{"repository": "a/b"}]}, "(a/b) has neither archive nor archives"),
    "both": (
        {"zot_publish_images": [{"repository": "a/b", "archive": "a.tar", "archives": {"amd64": "b.tar"}}]},
        "(a/b) has both archive and archives",
    ),
    "twice": (
        {"zot_publish_images": [{"repository": "a/b", "archive": "a.tar"}] * 2},
        "has the repository of another entry",
    ),
    "no repository": ({"zot_publish_images": [{"archive": "a.tar"}]}, "repository"),
    "number": ({"zot_publish_revision": 5349}, "zot_publish_revision is the number 5349, not text: quote it"),
    "boolean": ({"zot_publish_tags": [True]}, "tags[0] is the boolean True, not text: quote it"),
    "architecture": (
        {"zot_publish_tags": "latest,r1-arm64"},
        "tags has r1-arm64, which is the tag of one architecture",
    ),
    "keeper": (
        {"zot_publish_tags": "latest,latest-previous"},
        "latest-previous would keep the previous image of latest",
    ),
    "template": ({"zot_publish_keep_previous": "previous"}, "keep_previous is previous, without {tag}"),
}


def test_variables_that_cannot_be_used(
    release: dict[str, Any], registry: Registry, playbook: Playbook, tmp_path: Path
) -> None:
    """An error that names them, before the first request."""
    role = {"name": "killinit.zot.zot_publish"}
    tasks: list[dict[str, Any]] = []
    for name, (broken, _message) in UNUSABLE.items():
        variables = {key: value for key, value in {**release, **broken}.items() if value is not None}
        note = {"found": f"{{{{ found | default({{}}) | combine({{{name!r}: ansible_failed_result.msg}}) }}}}"}
        block = [{"ansible.builtin.include_role": role, "vars": variables}]
        tasks.append({"block": block, "rescue": [{"ansible.builtin.set_fact": note}]})
    tasks.append({"ansible.builtin.copy": {"content": "{{ found | to_json }}", "dest": str(tmp_path / "found.json")}})
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    before = len(registry.requests())
    run = playbook(path)
    assert (run.returncode, recap(run)["rescued"]) == (0, len(UNUSABLE)), run.stdout + run.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert not {name: found[name] for name, (_broken, message) in UNUSABLE.items() if message not in found[name]}
    assert "filter plugin" not in run.stdout + run.stderr
    assert not registry.requests()[before:]
