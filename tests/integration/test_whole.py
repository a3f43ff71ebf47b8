# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An index that has lost a member, and upload tags, on the real registry."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster.support import workload
from integration.patchable_cluster import PatchableCluster
from integration.support import Module, ReadsOnly
from reliability.support import archive, tags_in
from unit.api_server import running

from environment import registry as registries
from environment.registry import Registry

OLD, NEW = "cafe123", "3f2c1ab"
ARCHITECTURES = ("amd64", "arm64")
GC_DELAY = 2  # seconds


def publish(module: Module, repository: str, folder: Path, revision: str, *tags: str) -> dict[str, str]:
    """Push two architectures under their upload tags and their own tags, then the index. Returns their digests."""
    names = {each: f"{revision}-{each}" for each in ARCHITECTURES}
    pushes = [
        {
            "archive": str(archive(folder / f"{name}.tar", architecture=each)),
            "repository": repository,
            "tags": [f"upload-0123456789ab-{name}", name],
        }
        for each, name in names.items()
    ]
    assert not module("zot_push", images=pushes)["failed"]
    index = {"repository": repository, "manifests": list(names.values()), "tags": [revision, *tags]}
    index["keep_previous"] = "{tag}-previous"
    found = module("zot_index", **index)
    assert not found["failed"], found
    return {each["platform"].rpartition("/")[2]: each["digest"] for each in found["manifests"]}


def compare(module: Module, registry: Registry, folder: Path, image: str, digest: str) -> dict[str, Any]:
    """The result of zot_workload_info for a Deployment whose pod runs the image."""
    account = {"registry_username": registry.reader.username, "registry_password": registry.reader.password}
    account |= {"registry_ca_path": str(registry.ca)}
    with running(PatchableCluster("shop", lambda _image: digest, workload(image, name="app"))) as server:
        none = dict.fromkeys(("username", "password", "ca_path", "retries"))
        file = str(server.kubeconfig(folder / "kubeconfig"))
        return module("zot_workload_info", kubeconfig=file, namespace="shop", **none, **account)


def lose(module: Module, repository: str, folder: Path, revision: str) -> None:
    """Push another image for arm64 and overwrite the last tag of the member: Zot deletes the member at once."""
    upload = f"upload-0123456789ab-{revision}-arm64"
    assert module("zot_tag", repository=repository, tags=[upload], state="absent")["changed"]
    other = str(archive(folder / "other.tar", architecture="arm64"))
    assert module("zot_push", archive=other, repository=repository, tags=[f"{revision}-arm64"])["changed"]


@pytest.mark.usefixtures("zot")  # another registry keeps an image that has lost its last tag
@pytest.mark.parametrize("lost", [OLD, NEW])
def test_an_index_that_lost_a_member(
    lost: str, repository: str, module: Module, tmp_path: Path, reads_only: ReadsOnly, registry: Registry
) -> None:
    """Every module finds it, and the same archives repair it."""
    members = {each: publish(module, repository, tmp_path, each, "latest") for each in (OLD, NEW)}
    before = tags_in(registry, repository)
    lose(module, repository, tmp_path, lost)
    gone = members[lost]["arm64"]
    images = [f"{registry.host}/{repository}:{lost}", f"{registry.host}/{repository}@{before[lost]}"]
    with reads_only():
        compared = [compare(module, registry, tmp_path, each, before[lost]) for each in images]
        info = module("zot_image_info", images=[f"{repository}:{each}" for each in (lost, NEW if lost == OLD else OLD)])
        tagged = module("zot_tag", repository=repository, source=lost, tags=["stable"])
        back = module("zot_rollback_info", images=[{"repository": repository}])
        named = module("zot_rollback_info", images=[{"repository": repository}], revision=lost)
        index = module("zot_index", repository=repository, manifests=[before[lost]], tags=["again"])
        pruned = module("zot_prune", repositories=[repository], keep_last=1, check=True)
    broken, whole = info["images"]
    assert (broken["exists"], broken["whole"], broken["missing"]) == (False, False, [gone])
    assert broken["digest"] == before[lost]
    assert (whole["exists"], whole["whole"], whole["missing"]) == (True, True, [])
    for found in compared:
        assert (found["ok"], found["workloads"][0]["status"]) == (False, "failed")
        assert f"linux/arm64 {gone}: publish the same archives again" in found["problems"][0]
    for failed in (tagged, index):
        assert failed["error_class"] == "not_found"
        assert gone in failed["msg"]
    assert f"linux/arm64 {gone}" in tagged["msg"]
    assert "Publish the same archives again" in tagged["hint"]
    (problem,) = named["problems"]
    assert f"{lost} is not whole" in problem
    assert gone in problem
    if lost == OLD:
        assert back["ok"] is False
        assert gone in str(back["problems"])
    else:
        assert (back["ok"], back["revision"]) == (True, OLD)
    if registry.kind == "zot":
        # The push of the other image makes the broken revision the newest one.
        reasons = {each["tag"]: (each["reason"], each["missing"]) for each in pruned["kept"]}
        assert reasons[lost] == ("broken", [gone])
        assert reasons[NEW if lost == OLD else OLD] == ("keep_last", [])
        assert f"{lost} is not whole" in str(pruned["warnings"])

    again = str(tmp_path / f"{lost}-arm64.tar")
    assert module("zot_push", archive=again, repository=repository, tags=[f"{lost}-arm64"])["changed"]
    assert module("zot_image_info", images=[f"{repository}:{lost}"])["images"][0]["whole"] is True
    assert all(compare(module, registry, tmp_path, each, before[lost])["ok"] for each in images)
    assert module("zot_tag", repository=repository, source=lost, tags=["stable"])["changed"]


@pytest.mark.usefixtures("zot")
def test_a_copy(repository: str, module: Module, tmp_path: Path, reads_only: ReadsOnly) -> None:
    """A member that the destination lost is copied again; if the source lost it, too, nothing is written."""
    members = publish(module, f"{repository}/source", tmp_path, NEW)
    options = {"source_repository": f"{repository}/source", "repository": repository, "tags": [NEW]}
    assert module("zot_copy", **options)["changed"]
    arm64 = {"repository": repository, "tags": ["arm64"]}
    assert module("zot_tag", source=members["arm64"], **arm64)["changed"]
    other = str(archive(tmp_path / "another.tar", architecture="arm64"))
    assert module("zot_push", archive=other, **arm64)["changed"]
    image = [f"{repository}:{NEW}"]
    assert module("zot_image_info", images=image)["images"][0]["missing"] == [members["arm64"]]
    assert module("zot_copy", **options)["changed"]
    assert module("zot_image_info", images=image)["images"][0]["whole"] is True
    with reads_only():
        assert module("zot_copy", **options)["changed"] is False

    lose(module, f"{repository}/source", tmp_path, NEW)
    with reads_only():
        failed = module("zot_copy", **{**options, "repository": f"{repository}/other"})
    assert (failed["error_class"], f"linux/arm64 {members['arm64']}" in failed["msg"]) == ("not_found", True)


@pytest.fixture
def sweeping(module: Module) -> Iterator[tuple[Registry, Module]]:
    """A registry whose garbage collection removes what nothing holds after two seconds, and a way to run modules."""
    with registries.running(gc_delay=GC_DELAY) as registry:
        account = {"username": registry.writer.username, "password": registry.writer.password}
        yield registry, partial(module, registry=registry.host, ca_path=str(registry.ca), **account)


@pytest.mark.usefixtures("zot")
def test_upload_tags(sweeping: tuple[Registry, Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept for a day. Then an index alone keeps its members, whose other tags are gone, through garbage collection."""
    registry, run = sweeping
    members = publish(run, "demo/app", tmp_path, NEW, "latest")
    killed = str(archive(tmp_path / "killed.tar"))
    orphan = {"repository": "demo/app", "tags": ["upload-ba9876543210-fff0000-amd64"]}
    assert run("zot_push", archive=killed, **orphan)["changed"]
    options: dict[str, Any] = {"repositories": ["demo/app"], "keep_last": 1, "untag_members": True}
    first = run("zot_prune", **options)
    assert sorted(each["tag"] for each in first["deleted"]) == [f"{NEW}-{each}" for each in ARCHITECTURES]
    assert {each["reason"] for each in first["kept"] if each["tag"].startswith("upload-")} == {"upload"}
    listed = run("zot_image_info", repositories=["demo/app"], details=True)["repositories"][0]
    assert sorted(listed["tags"]) == sorted(each["tag"] for each in listed["images"]) == [NEW, "latest"]

    monkeypatch.setattr("ansible_collections.killinit.zot.plugins.module_utils._prune.request._UPLOAD_SECONDS", -60)
    second = run("zot_prune", **options)
    assert {each["reason"] for each in second["deleted"]} == {"upload"}
    assert set(tags_in(registry, "demo/app")) == {NEW, "latest"}
    assert registries.sweep(registry, "demo/app", gc_delay=GC_DELAY)
    references = [f"demo/app:{NEW}", *(f"demo/app@{digest}" for digest in members.values())]
    assert [each["whole"] for each in run("zot_image_info", images=references)["images"]] == [True] * 3
    (removed,) = [each for each in second["deleted"] if each["tag"] in orphan["tags"]]
    assert run("zot_image_info", images=[f"demo/app@{removed['digest']}"])["images"][0]["exists"] is False
