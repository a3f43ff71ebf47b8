# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks release and rollback over several clusters, with a real registry and API servers without a kubelet."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from cluster.support import pull_secret, workload
from integration.blocks import ROOT
from integration.fixtures import WRITES
from integration.patchable_cluster import PatchableCluster
from integration.support import Bare, Module, recap
from unit.api_server import running

from environment.images import Images
from environment.registry import Registry

R1, R2 = "0a1b2c3", "4d5e6f7"
PAGE = ROOT / "docs/docsite/rst/guide_rollback.rst"
INVENTORY = yaml.safe_load((ROOT / "docs/examples/clusters.yml").read_text(encoding="utf-8"))
RELEASE = "ansible-playbook killinit.zot.release --inventory clusters.yml --extra-vars @release.yml"
ROLLBACK = "ansible-playbook killinit.zot.rollback --inventory clusters.yml --extra-vars @release.yml"
RESTORE, PLAN = f"{RELEASE} --extra-vars zot_release_on_failure=rollback", f"{ROLLBACK} --check --diff"
# The commands that this file runs, with the output that the guide shows.
DOCUMENTED = (RELEASE, RESTORE, PLAN, ROLLBACK)


@dataclass
class Fleet:
    """Clusters by the names of their hosts in the inventory."""

    clusters: dict[str, PatchableCluster]
    image: str
    run: Callable[..., CompletedProcess[str]]
    digest: Callable[[str], str]

    def assert_documented(self, command: str, output: str, start: str, end: str) -> None:
        """Assert that the guide contains this output of a command, or write it there with ZOT_TEST_WRITE_DOCS=1."""
        found = re.search(rf"{start}(.*?){end}", output, re.DOTALL)
        assert found, output
        text = found[1].replace(self.image.rpartition("/")[0], "oci.killinit.cc/openclaw")
        for revision in (R1, R2):
            text = re.sub(f"{self.digest(revision)[:19]}[0-9a-f]*", f"sha256:{revision}…", text)
        replacements = {
            r"pod app-\d+-x": "pod openclaw-7d4b9c6f5-x2x4q",
            "/app": "/openclaw",
            "within 1 seconds": "within 300 seconds",  # the default of zot_rollout_wait_timeout
        }
        for pattern, replacement in replacements.items():
            text = re.sub(pattern, replacement, text)
        lines = "".join(f"    {line.rstrip()}\n" for line in ["…", *text.strip().splitlines()] if line.strip())
        page = PAGE.read_text(encoding="utf-8")
        block = re.search(rf"^    \$ {re.escape(command)}\n((?:    [^$].*\n)*)", page, re.MULTILINE)
        assert block, f"the page does not show {command}"
        if os.environ.get("ZOT_TEST_WRITE_DOCS"):
            PAGE.write_text(page[: block.start(1)] + lines + page[block.end(1) :], encoding="utf-8")
        else:
            assert block[1].split() == lines.split()

    def runs(self) -> dict[str, list[str]]:
        """The digests that the pods of each cluster report."""
        return {name: cluster.digests("app") for name, cluster in self.clusters.items()}


@pytest.fixture
def fleet(
    registry: Registry,
    images: Images,
    repository: str,
    bare: Bare,
    module: Module,
    playbook: Callable[..., CompletedProcess[str]],
    environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[Callable[..., Fleet]]:
    """Publishes the first revision, and starts clusters whose Deployment `app` runs it."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    image = f"{registry.host}/{repository}/app"
    archives = {"amd64": str(images["buildah-amd64"]), "arm64": str(images["buildah-arm64"])}
    built = {R1: archives, R2: {**archives, "amd64": str(images["changed-layer"])}}

    def images_of(revision: str) -> list[dict[str, Any]]:
        return [{"repository": f"{repository}/app", "archives": built[revision]}]

    def digest(tag: str) -> str:
        done = bare("crane", "digest", f"{image}:{tag}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def resolve(text: str) -> str:
        return text.partition("@")[2] or digest(text.rpartition(":")[2])

    def run(name: str, *options: str, revision: str = R2, **variables: Any) -> CompletedProcess[str]:
        common = {
            "zot_publish_revision": revision,
            "zot_publish_images": images_of(revision),
            "zot_rollout_wait_timeout": 1,
            "zot_rollout_wait_sleep": 1,
            "zot_clusters": "clusters",
        }
        inventory = f"--inventory={tmp_path / 'inventory.json'}"
        return playbook(f"killinit.zot.{name}", inventory, *options, **{**common, **variables})

    with ExitStack() as stack:

        def start(*names: str, tag: str = "latest") -> Fleet:
            published = module("zot_publish", revision=R1, images=images_of(R1))
            assert not published["failed"], published
            inventory = copy.deepcopy(INVENTORY)
            group = inventory["all"]["children"]["clusters"]
            namespace = group["vars"]["zot_namespace"]
            clusters = {}
            for name in names:
                own = workload(f"{image}:{tag}", name="app")
                clusters[name] = PatchableCluster(namespace, resolve, own, pull_secret(registry, registry.reader))
                server = stack.enter_context(running(clusters[name]))
                # "test" is the only context of that file.
                own_file = str(server.kubeconfig(tmp_path / f"{name}.kubeconfig"))
                group["hosts"].setdefault(name, {}).update(zot_kubeconfig=own_file, zot_context="test")
            group["hosts"] = {name: group["hosts"][name] for name in names}
            (tmp_path / "inventory.json").write_text(json.dumps(inventory))
            return Fleet(clusters, image, run, digest)

        yield start


def report(run: CompletedProcess[str], name: str = "zot_release_report") -> dict[str, Any]:
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    passed_on: dict[str, Any] = json.loads(found[1])[name]
    return passed_on


def results(run: CompletedProcess[str]) -> dict[str, str]:
    return {each["name"]: each["result"] for each in report(run)["clusters"]}


def test_every_cluster_runs_the_release(fleet: Callable[..., Fleet]) -> None:
    """One after the other; the second run changes nothing."""
    two = fleet("canary", "eu")
    r1 = two.digest("latest")
    # The second time in batches that grow.
    done, again = two.run("release"), two.run("release", zot_release_serial=[1, "100%"])
    assert done.returncode == again.returncode == 0, done.stdout + done.stderr
    r2 = two.digest(R2)
    assert two.runs() == {"canary": [r2], "eu": [r2]}
    assert r1 != r2 == two.digest("latest")
    assert results(done) == results(again) == {"canary": "released", "eu": "released"}
    assert [each["rollout"]["runs"] for each in report(done)["clusters"]] == [[f"{two.image}@{r2}"]] * 2
    assert [cluster.patched for cluster in two.clusters.values()] == [["app"], ["app"]]
    assert "changed=0" in again.stdout
    # A boolean of a file, and not a text of the command line.
    tags_alone = two.run("rollback", zot_rollback_rollout=False)
    assert (tags_alone.returncode, report(tags_alone, "zot_rollback_report")["clusters"]) == (0, [])


def test_a_canary_that_fails_stops_the_others(fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    """The message names the command that rolls back, which does it."""
    three = fleet("canary", "eu", "us")
    r1 = three.digest("latest")
    three.clusters["canary"].healthy = r1
    failed = three.run("release", zot_report_file=str(tmp_path / "report.json"))
    written = json.loads((tmp_path / "report.json").read_text())
    assert written == {name: report(failed, name) for name in ("zot_release_report", "zot_publish_report")}
    r2 = three.digest(R2)
    assert failed.returncode == 2
    assert results(failed) == {"canary": "failed", "eu": "not started", "us": "not started"}
    three.assert_documented(RELEASE, failed.stdout + failed.stderr, "Action failed: (?=The revision)", "\\nOrigin: ")
    assert three.runs() == {"canary": [r1, r2], "eu": [r1], "us": [r1]}
    assert three.clusters["eu"].patched == []

    planned = three.run("rollback", "--check", "--diff")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert r1 in planned.stdout
    three.assert_documented(PLAN, planned.stdout, r"Move the shared tags back\] \*+", "TASK")
    assert (three.digest("latest"), three.runs()["canary"]) == (r2, [r1, r2])
    # One after the other, because the guide shows them in this order.
    done = three.run("rollback", "--forks=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert three.runs() == {"canary": [r1], "eu": [r1], "us": [r1]}
    assert (three.digest("latest"), three.digest(R2)) == (r1, r2)
    three.assert_documented(ROLLBACK, done.stdout, r"Show the status of each workload\] \*+", "TASK")
    found = report(done, "zot_rollback_report")
    assert (found["ok"], found["revision"], [each["ok"] for each in found["clusters"]]) == (True, R1, [True] * 3)
    assert len(three.clusters["canary"].patched) == 2
    assert three.clusters["eu"].patched == []


def test_a_failure_in_a_batch_ends_after_the_batch(fleet: Callable[..., Fleet]) -> None:
    """The other cluster of the batch is released, the next batch is not started, and the rollback restores both."""
    three = fleet("canary", "eu", "us")
    r1 = three.digest("latest")
    three.clusters["canary"].healthy = r1
    failed = three.run("release", zot_release_serial=2)
    r2 = three.digest(R2)
    assert failed.returncode == 2
    assert results(failed) == {"canary": "failed", "eu": "released", "us": "not started"}
    assert three.runs() == {"canary": [r1, r2], "eu": [r2], "us": [r1]}
    # Each cluster has one line, in the tasks and in the error. The one that failed also has details.
    first, canary, canary_runs, *others, last = report(failed)["problems"]
    assert (first, others) == (
        f"The revision {R2} is not released to all clusters.",
        ["eu: released.", "us: not started."],
    )
    assert canary.startswith("canary: failed: deployment/app: the rollout did not finish")
    assert (canary_runs[:11], last[:15]) == ("canary runs", "The shared tags")
    tasks = failed.stdout.partition("PLAY [Roll out to the clusters]")[2].partition("PLAY RECAP")[0]
    brief = re.findall(r"ok: \[(\w+)\] => \{\n +\"msg\": \[\n +\"1 workload \(1 current\), 1 restarted\"\n", tasks)
    assert (brief, re.findall(r'"deployment/app: (\w+): ', tasks)) == (["eu"], ["progressing"])
    # Not the checks of the pull secrets.
    assert tasks.count('"msg": [') == 2
    done = three.run("rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert three.runs() == {"canary": [r1], "eu": [r1], "us": [r1]}


def test_force_also_rolls_back_what_argo_cd_manages(fleet: Callable[..., Fleet], bare: Bare) -> None:
    """A workload that names a revision gets the revision, and not the shared tag with the same image."""
    one = fleet("canary", tag=R1)
    (cluster,) = one.clusters.values()
    (deployment,) = (each for each in cluster.objects if each["kind"] == "Deployment")
    deployment["metadata"]["labels"] = {"argocd.argoproj.io/instance": "app"}
    released = one.run("release", zot_release_set_image="force")
    assert (released.returncode, cluster.image("app")) == (0, f"{one.image}:{R2}"), released.stdout
    assert bare("crane", "tag", f"{one.image}:{R1}", "stable").returncode == 0
    refused, forced = one.run("rollback"), one.run("rollback", zot_release_set_image="force")
    assert (refused.returncode, forced.returncode) == (2, 0)
    assert "the image was not set, since Argo CD reverts it" in refused.stdout + refused.stderr
    assert report(forced, "zot_rollback_report")["revision"] == R1
    assert cluster.image("app") == f"{one.image}:{R1}"


def test_the_second_cluster_fails_and_the_first_is_restored(fleet: Callable[..., Fleet]) -> None:
    """Deployments that name the revision get their former image, the failed one, too."""
    three = fleet("canary", "eu", "us", tag=R1)
    r1 = three.digest("latest")
    three.clusters["eu"].healthy = r1
    failed = three.run("release", zot_release_on_failure="rollback", zot_release_set_image="true")
    assert failed.returncode == 2
    assert results(failed) == {"canary": "restored", "eu": "restored", "us": "not started"}, failed.stdout
    assert three.runs() == {"canary": [r1], "eu": [r1], "us": [r1]}
    assert {cluster.image("app") for cluster in three.clusters.values()} == {f"{three.image}:{R1}"}
    assert [len(cluster.patched) for cluster in three.clusters.values()] == [2, 2, 0]
    assert three.digest("latest") == r1
    for each in report(failed)["clusters"][:2]:
        assert each["rollout"]["runs"] == [f"{three.image}@{r1}"]
    assert recap(failed)["failed"] == 1
    three.assert_documented(RESTORE, failed.stdout + failed.stderr, "Action failed: (?=The revision)", "\\nOrigin: ")


@pytest.mark.usefixtures("zot")
def test_a_prune_during_a_release_and_its_rollback(
    fleet: Callable[..., Fleet],
    registry: Registry,
    images: Images,
    repository: str,
    module: Module,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """The rules keep only the newest revision. Nothing that the release or its rollback needs is removed."""
    old = {"archive": str(images["changed-env"]), "repository": f"{repository}/app", "tags": ["0000aaa"]}
    assert not module("zot_push", **old)["failed"]
    one = fleet("canary")
    r1 = one.digest("latest")
    account = {"zot_username": registry.janitor.username, "zot_password": registry.janitor.password}
    rules = {"zot_prune_repositories": [f"{repository}/app"], "zot_prune_keep_last": 1, "zot_clusters": "clusters"}
    path = tmp_path / "prune.json"
    path.write_text(json.dumps({**account, **rules}))
    prune = ["ansible-playbook", "killinit.zot.prune", f"--inventory={tmp_path / 'inventory.json'}"]
    prune.append(f"--extra-vars=@{path}")
    removed = []

    def beside_prunes(name: str) -> CompletedProcess[str]:
        with ThreadPoolExecutor(max_workers=1) as pool:
            running = pool.submit(one.run, name)
            while not running.done():
                pruned = subprocess.run(
                    prune, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
                )
                assert pruned.returncode == 0, pruned.stdout + pruned.stderr
                removed.extend(each["tag"] for each in report(pruned, "zot_prune_report")["deleted"])
            return running.result()

    released = beside_prunes("release")
    assert released.returncode == 0, released.stdout + released.stderr
    assert one.runs() == {"canary": [one.digest(R2)]}
    rolled_back = beside_prunes("rollback")
    assert rolled_back.returncode == 0, rolled_back.stdout + rolled_back.stderr
    assert (one.runs(), one.digest("latest")) == ({"canary": [r1]}, r1)
    assert removed == ["0000aaa"]


def test_mistakes_end_before_anything_is_published(
    fleet: Callable[..., Fleet], registry: Registry, tmp_path: Path
) -> None:
    two = fleet("canary", "eu")
    before = len(registry.requests())
    for variables, message in (
        ({"zot_clusters": []}, "zot_clusters is empty"),
        ({"zot_clusters": "clusters,typo"}, "zot_clusters names typo"),
        ({"zot_kubeconfig": str(tmp_path / "eu.kubeconfig")}, "canary and eu of zot_clusters are the same namespace"),
        ({"zot_context": "typo"}, "typo"),
        ({"zot_release_on_failure": "undo"}, "set none or rollback"),
        # With one cluster nothing is read before the images are published.
        ({"zot_clusters": "canary", "zot_release_set_image": "ture"}, "zot_release_set_image is ture for canary: set"),
        ({"zot_clusters": "canary", "zot_namespace": 5349}, "zot_namespace is 5349 for canary, not text: quote it."),
        # AWX turns an empty answer of a survey into None.
        *(
            ({"zot_clusters": "canary", "zot_namespace": empty}, "zot_namespace is not set for canary")
            for empty in ("", None)
        ),
    ):
        refused = two.run("release", **variables)
        assert refused.returncode == 2, refused.stdout
        assert message in " ".join((refused.stdout + refused.stderr).split())
    refused = two.run("rollback", zot_clusters="canary", zot_namespace="")
    assert "zot_namespace is not set for canary" in refused.stdout + refused.stderr
    assert not [each for each in registry.requests()[before:] if each.method in WRITES]
    assert [cluster.patched for cluster in two.clusters.values()] == [[], []]
