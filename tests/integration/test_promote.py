# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook promote, alone and between a release to staging and the restart of production."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import requests
from cluster.support import pull_secret, workload
from integration.blocks import ROOT
from integration.patchable_cluster import PatchableCluster
from integration.support import Module, recap
from unit.api_server import running

from environment import registry as registries
from environment.images import Images
from environment.registry import Registry

EXAMPLE = ROOT / "docs/examples/staging_to_production.yml"
REPOSITORY = "openclaw/openclaw"
Playbook = Callable[..., CompletedProcess[str]]


def _digest(registry: Registry, repository: str, name: str) -> str:
    account = (registry.reader.username, registry.reader.password)
    headers = {"Accept": "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"}
    address = f"https://{registry.host}/v2/{repository}/manifests/{name}"
    with requests.Session() as session:
        session.trust_env = False
        answer = session.head(address, auth=account, headers=headers, verify=str(registry.ca), timeout=20)
    return answer.headers.get("Docker-Content-Digest", "")


def _report(run: CompletedProcess[str], name: str = "zot_promote_report") -> dict[str, Any]:
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    report: dict[str, Any] = json.loads(found[1])[name]
    return report


@pytest.fixture
def built(zot: Registry, images: Images, repository: str, module: Module, environment: dict[str, str]) -> str:
    """A repository with two revisions."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    for tag, name in (("r1", "buildah-amd64"), ("r2", "changed-env")):
        assert not module("zot_push", archive=str(images[name]), repository=repository, tags=[tag])["failed"]
    assert zot.kind == "zot"
    return repository


def test_two_revisions(built: str, zot: Registry, playbook: Playbook) -> None:
    """With the answers of a survey in AWX: lists are texts, and empty ones are None or empty texts."""
    digests = {tag: _digest(zot, built, tag) for tag in ("r1", "r2")}
    target = f"{built}/prod"
    images = [{"repository": target, "source_repository": built}]
    nothing = dict.fromkeys(
        ("require", "verify_key", "referrers", "overwrite", "source_registry", "source_username"), ""
    )
    empty = {f"zot_promote_{name}": value for name, value in nothing.items()}
    empty |= {"zot_promote_tags": "", "zot_promote_keep_previous": None, "zot_username": "", "zot_timeout": ""}
    empty |= {"zot_retries": "", "zot_validate_certs": ""}
    first = playbook("killinit.zot.promote", zot_promote_images=json.dumps(images), zot_promote_revision="r1", **empty)
    assert (first.returncode, recap(first)["changed"]) == (0, 1), first.stdout + first.stderr
    options = {"zot_promote_images": images, "zot_promote_revision": "r2"}
    planned = playbook("killinit.zot.promote", "--check", **options)
    done = playbook("killinit.zot.promote", **options)
    again = playbook("killinit.zot.promote", **options)
    assert (_report(planned), _report(planned)["ok"]) == (_report(done), True)
    assert (recap(again)["changed"], _report(again)["changed"], _report(again)["moved"]) == (0, False, [])
    assert _report(done)["references"] == [f"{zot.host}/{target}:{tag}" for tag in ("r2", "latest")]
    # One line for the shared tag, also in check mode.
    line = f"{zot.host}/{target}:latest: {digests['r1'][:19]} → r2"
    assert _report(done)["summary"] == _report(planned)["summary"] == [line]
    assert all(re.search(re.escape(line).replace("→", r"(→|\\u2192)"), run.stdout) for run in (planned, done))
    assert _report(again)["summary"] == [f"{zot.host}/{target}:latest: stays at r2"]
    assert f"{target}:latest: stays at r2" in again.stdout
    digests_after = {tag: _digest(zot, target, tag) for tag in ("r1", "r2", "latest", "latest-previous")}
    assert digests_after == {**digests, "latest": digests["r2"], "latest-previous": digests["r1"]}
    by_digest = [{"repository": target, "source_repository": built, "digest": digests["r1"], "tags": "stable"}]
    assert playbook("killinit.zot.promote", zot_promote_images=by_digest).returncode == 0
    assert _digest(zot, target, "stable") == digests["r1"]
    alone = playbook("killinit.zot.promote", zot_promote_images=[{**by_digest[0], "tags": []}])
    assert _report(alone)["references"] == [f"{zot.host}/{target}@{digests['r1']}"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # Of the variables that cannot be used; tests/unit has the others.
        ({"zot_promote_images": [{"repository": "a"}]}, 'of the type "Zot source registry"'),
        ({"zot_promote_revision": "r9"}, "The most similar are r"),
        ({"zot_promote_require": "signature,sbom"}, "has no signature and no sbom"),
    ],
)
def test_errors(built: str, zot: Registry, playbook: Playbook, options: dict[str, Any], words: str) -> None:
    """Nothing is written, and the report says why."""
    images = [{"repository": f"{built}/prod", "source_repository": built}]
    given = {"zot_promote_images": images, "zot_promote_revision": "r1", **options}
    run = playbook("killinit.zot.promote", **given)
    report = _report(run)
    assert run.returncode != 0
    assert (report["ok"], report["changed"], report["moved"]) == (False, False, [])
    assert words in " ".join(report["problems"])
    assert _digest(zot, f"{built}/prod", "latest") == ""


def test_a_revision_that_holds_another_image(built: str, zot: Registry, module: Module, playbook: Playbook) -> None:
    """It is replaced only if the play says so; the shared tag stays until then."""
    target = f"{built}/prod"
    options = {"zot_promote_images": [{"repository": target, "source_repository": built}], "zot_promote_revision": "r1"}
    assert playbook("killinit.zot.promote", **options).returncode == 0
    assert module("zot_tag", repository=built, source="r2", tags=["r1"], keep_previous="old")["changed"]
    refused = playbook("killinit.zot.promote", **options)
    assert "zot_promote_overwrite" in _report(refused)["problems"][0]
    assert _digest(zot, target, "latest") == _digest(zot, built, "old")
    assert playbook("killinit.zot.promote", zot_promote_overwrite="true", **options).returncode == 0
    assert _digest(zot, target, "latest") == _digest(zot, target, "r1") == _digest(zot, built, "r2")


def test_from_staging_to_production(
    zot: Registry, images: Images, module: Module, playbook: Playbook, environment: dict[str, str], tmp_path: Path
) -> None:
    """The example of the guide: a release to staging, the promotion, and the restart of production."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    for name in ("ZOT_REGISTRY", "ZOT_USERNAME", "ZOT_PASSWORD"):
        del environment[name]
    with registries.running() as staging, ExitStack() as stack:
        both = tmp_path / "both.pem"
        both.write_text(staging.ca.read_text() + zot.ca.read_text())
        environment["ZOT_CA_PATH"] = str(both)
        hosts = {"staging.killinit.cc": staging, "oci.killinit.cc": zot}
        text = EXAMPLE.read_text(encoding="utf-8")
        for name, registry in hosts.items():
            text = text.replace(name, registry.host)
        (tmp_path / "site.yml").write_text(text, encoding="utf-8")
        dist = tmp_path / "dist"
        dist.mkdir()

        def build(amd64: str) -> None:
            for architecture, archive in (("amd64", amd64), ("arm64", "buildah-arm64")):
                shutil.copyfile(images[archive], dist / f"openclaw-{architecture}.tar")

        def run(revision: str, **more: Any) -> CompletedProcess[str]:
            accounts = {
                f"{name}_{field}": getattr(registry.writer, field)
                for name, registry in (("staging", staging), ("production", zot))
                for field in ("username", "password")
            }
            variables = {"revision": revision, "zot_promote_source_ca_path": str(both), "zot_rollout_wait_timeout": 1}
            inventory = f"--inventory={tmp_path / 'inventory.json'}"
            return playbook(tmp_path / "site.yml", inventory, **{**variables, **accounts, **more})

        def resolve(image: str) -> str:
            registry = next(each for each in hosts.values() if image.startswith(f"{each.host}/"))
            name, _at, digest = image.partition("/")[2].partition("@")
            return digest or _digest(registry, *name.rsplit(":", 1))

        clusters, inventory = {}, {}
        for name, registry in (("staging", staging), ("production", zot)):
            account = {"registry": registry.host, "username": "writer", "password": registry.writer.password}
            first = {"archive": str(images["changed-label"]), "repository": REPOSITORY, "tags": ["latest"]}
            assert not module("zot_push", **account, ca_path=str(both), **first)["failed"]
            own = workload(f"{registry.host}/{REPOSITORY}:latest", name="app")
            clusters[name] = PatchableCluster("openclaw", resolve, own, pull_secret(registry, registry.reader))
            server = stack.enter_context(running(clusters[name]))
            kubeconfig = str(server.kubeconfig(tmp_path / f"{name}.kubeconfig"))
            local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
            inventory[name] = {"zot_namespace": "openclaw", "zot_kubeconfig": kubeconfig, **local}
        (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": inventory}}))

        build("buildah-amd64")
        done = run("0a1b2c3")
        assert done.returncode == 0, done.stdout + done.stderr
        digest = _digest(staging, REPOSITORY, "0a1b2c3")
        assert digest == _digest(zot, REPOSITORY, "0a1b2c3") == _digest(zot, REPOSITORY, "latest")
        runs = {name: cluster.digests("app") for name, cluster in clusters.items()}
        assert runs == {"staging": [digest], "production": [digest]}
        assert _report(done)["ok"] is True
        assert _report(done, "zot_rollout_report")["verified"]

        # A revision that staging does not run is not promoted.
        build("changed-env")
        clusters["staging"].healthy = digest
        failed = run("8a9b0c1")
        assert failed.returncode != 0
        assert _digest(staging, REPOSITORY, "8a9b0c1")
        assert _digest(zot, REPOSITORY, "8a9b0c1") == ""
        assert clusters["production"].digests("app") == [digest]
