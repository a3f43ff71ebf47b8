# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_tag, and keep_previous of all modules, on the real registry."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from integration.support import Module, ReadsOnly
from reliability.support import wait_until

from environment import registry as registries
from environment.images import Images
from environment.registry import Registry, free_port
from environment.zot_program import find_zot

GC_DELAY = 2  # seconds
Holds = Callable[[str], dict[str, str]]


@pytest.fixture
def holds(module: Module) -> Holds:
    """The digest of each tag of a repository."""

    def read(repository: str) -> dict[str, str]:
        tags = module("zot_image_info", repositories=[repository])["repositories"][0]["tags"]
        images = module("zot_image_info", images=[f"{repository}:{tag}" for tag in tags])["images"]
        return {image["tag"]: image["digest"] for image in images}

    return read


def _push(module: Module, repository: str, **tags: Any) -> None:
    """Push an archive to a tag each."""
    images = [{"archive": str(path), "repository": repository, "tags": [tag]} for tag, path in tags.items()]
    pushed = module("zot_push", images=images)
    assert not pushed["failed"], pushed


def _undo(module: Module, moved: list[dict[str, Any]]) -> None:
    """As the example of the module does."""
    for each in moved:
        options = {"repository": each["repository"], "source": each["from"], "tags": [each["tag"]]}
        result = module("zot_tag", state="present" if each["from"] else "absent", **options)
        assert not result["failed"], result


def test_tags_move_and_are_removed(
    images: Images, repository: str, module: Module, holds: Holds, reads_only: ReadsOnly
) -> None:
    """A dry run, the move, a second run that writes nothing, and the undo."""
    _push(module, repository, old=images["buildah-amd64"], new=images["changed-env"])
    _undo(module, [{"repository": repository, "tag": "latest", "from": holds(repository)["old"]}])
    before = holds(repository)
    options = {"repository": repository, "source": "new", "tags": ["latest", "added"], "keep_previous": "{tag}-old"}
    with reads_only():
        planned = module("zot_tag", check=True, diff=True, **options)
    done = module("zot_tag", diff=True, **options)
    assert {**planned, "invocation": None} == {**done, "invocation": None}
    new, old = before["new"], before["old"]
    assert holds(repository) == {**before, "latest": new, "added": new, "latest-old": old}
    with reads_only():
        again = module("zot_tag", **options)
    assert (again["changed"], again["moved"]) == (False, [])

    removal = {"repository": repository, "tags": ["new", "added"], "state": "absent"}
    with reads_only():
        assert module("zot_tag", check=True, **removal)["changed"] is True
    removed = module("zot_tag", **removal)
    # The other tags of the same image stay.
    assert holds(repository) == {"old": old, "latest": new, "latest-old": old}
    with reads_only():
        assert module("zot_tag", **removal)["changed"] is False
    _undo(module, [*removed["moved"], *done["moved"]])
    assert holds(repository) == before


def test_an_immutable_repository(
    images: Images, repository: str, module: Module, holds: Holds, reads_only: ReadsOnly
) -> None:
    """New tags can be added. An equal tag is not written, and another one is denied."""
    repository = f"immutable/{repository}"
    _push(module, repository, r1=images["buildah-amd64"], r2=images["changed-env"])
    add = {"repository": repository, "source": "r1", "tags": ["latest", "latest-old"]}
    assert module("zot_tag", **add)["changed"] is True
    before = holds(repository)
    with reads_only():
        assert module("zot_tag", **add)["changed"] is False
    move = {"repository": repository, "source": "r2", "tags": ["latest"]}
    for options in (move, {**move, "keep_previous": "{tag}-old"}, {**add, "source": None, "state": "absent"}):
        denied = module("zot_tag", **options)
        assert (denied["error_class"], denied["moved"], denied["changed"]) == ("denied", [], False)
    archive = {"archive": str(images["changed-env"]), "repository": repository, "tags": ["latest"]}
    assert module("zot_push", keep_previous="{tag}-old", **archive)["error_class"] == "denied"
    assert holds(repository) == before


@pytest.fixture
def sweeping(module: Module) -> Iterator[tuple[Registry, Module]]:
    """A registry whose garbage collection removes what nothing holds after two seconds, and a way to run modules."""
    with registries.running(gc_delay=GC_DELAY) as registry:
        account = {"username": registry.writer.username, "password": registry.writer.password}
        yield registry, partial(module, registry=registry.host, ca_path=str(registry.ca), **account)


def test_an_index_keeps_its_members(images: Images, sweeping: tuple[Registry, Module]) -> None:
    """Held by its keeper alone, rolled back, and under a revision that was replaced, through garbage collection."""
    registry, run = sweeping
    keep = {"keep_previous": "{tag}-previous"}

    def publish(repository: str, revision: str, amd64: str) -> dict[str, Any]:
        """As the role does."""
        members = {f"{revision}-amd64": images[amd64], f"{revision}-arm64": images["buildah-arm64"]}
        pushes = [{"archive": str(path), "repository": repository, "tags": [tag]} for tag, path in members.items()]
        assert not run("zot_push", images=[{**push, **keep} for push in pushes])["failed"]
        result = run("zot_index", repository=repository, manifests=list(members), tags=[revision, "latest"], **keep)
        assert not result["failed"], result
        return result

    for repository in ("kept", "back", "replaced"):
        first = publish(repository, "r1", "buildah-amd64")
    for repository in ("kept", "back"):
        publish(repository, "r2", "changed-env")
        # Now latest-previous alone holds the index, and the index alone one of its members.
        assert run("zot_tag", repository=repository, tags=["r1", "r1-amd64"], state="absent")["changed"] is True
    rolled_back = run("zot_tag", repository="back", source="latest-previous", tags=["latest"])
    run("zot_tag", repository="back", tags=["latest-previous"], state="absent")
    assert rolled_back["image"]["digest"] == first["image"]["digest"]
    publish("replaced", "r1", "changed-env")

    swept = registries.sweep(registry, "kept", "back", "replaced", gc_delay=GC_DELAY)
    assert swept is (registry.kind == "zot")
    members = [entry["digest"] for entry in first["manifests"]]
    for repository, tag in (("kept", "latest-previous"), ("back", "latest"), ("replaced", "latest-previous")):
        references = [f"{repository}:{tag}", *(f"{repository}@{digest}" for digest in members)]
        found = run("zot_image_info", images=references)["images"]
        assert [image["digest"] for image in found] == [first["image"]["digest"], *members]


@pytest.fixture
def mirror(zot: Registry, tmp_path: Path) -> Iterator[str]:
    """A Zot that copies a tag from the registry of the tests as soon as somebody reads it."""
    port, account = free_port(), {"username": zot.reader.username, "password": zot.reader.password}
    (tmp_path / "accounts.json").write_text(json.dumps({zot.host: account}))
    source = {"urls": [f"https://{zot.host}"], "onDemand": True, "tlsVerify": False, "content": [{"prefix": "**"}]}
    config = {
        "storage": {"rootDirectory": str(tmp_path / "mirror")},
        "http": {"address": "127.0.0.1", "port": str(port)},
        "extensions": {"sync": {"credentialsFile": str(tmp_path / "accounts.json"), "registries": [source]}},
    }
    (tmp_path / "mirror.json").write_text(json.dumps(config))
    program = find_zot()
    assert program
    with (tmp_path / "mirror.log").open("wb") as log:
        server = subprocess.Popen([program, "serve", str(tmp_path / "mirror.json")], stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), "the mirror answers")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_mirror_brings_a_tag_back(mirror: str, images: Images, repository: str, module: Module) -> None:
    """Each run would remove it again, and would be changed."""
    _push(module, repository, r1=images["buildah-amd64"])
    options = {"registry": mirror, "validate_certs": False, "ca_path": None, "username": None, "password": None}
    assert module("zot_image_info", images=[f"{repository}:r1"], **options)["images"][0]["exists"]
    found = module("zot_tag", repository=repository, tags=["r1"], state="absent", **options)
    assert (found["failed"], found["error_class"], found["changed"]) == (True, "tool_failed", False)
    assert "remove the tag there first" in found["hint"]
    assert module("zot_tag", repository=repository, tags=["r1"], state="absent")["changed"]
    assert module("zot_tag", repository=repository, tags=["r1"], state="absent", **options)["changed"]
    assert module("zot_tag", repository=repository, tags=["r1"], state="absent", **options)["changed"] is False
