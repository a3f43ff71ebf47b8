# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_tag, and keep_previous of all modules, on the real registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from integration.support import Bare, Module, ReadsOnly

from environment import registry as registries
from environment.images import Images
from environment.registry import Registry

GC_DELAY = 2  # seconds
ABSENT = f"sha256:{'0' * 64}"
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


def test_the_second_of_three_images_is_denied(images: Images, repository: str, module: Module, holds: Holds) -> None:
    """The result lists the tags that moved, and the undo puts them back."""
    names = [f"{repository}/a", f"immutable/{repository}/b", f"{repository}/c"]
    for name in names:
        _push(module, name, r1=images["buildah-amd64"], latest=images["buildah-amd64"], r2=images["changed-env"])
    before = {name: holds(name) for name in names}
    result = module("zot_tag", images=[{"repository": name, "source": "r2", "tags": ["latest"]} for name in names])
    assert (result["failed"], result["error_class"]) == (True, "denied")
    assert "2 of 3 tags are in place, 1 failed" in result["msg"]
    assert [each["repository"] for each in result["moved"]] == [names[0], names[2]]
    assert {name: holds(name)["latest"] == before[name]["r2"] for name in names} == dict(
        zip(names, (True, False, True))
    )
    _undo(module, result["moved"])
    assert {name: holds(name) for name in names} == before


@pytest.mark.parametrize("source", ["r2", "latest-previous", ABSENT])
def test_a_source_that_is_absent(
    images: Images, repository: str, module: Module, reads_only: ReadsOnly, source: str
) -> None:
    """Nothing is written, also for the other image of the list."""
    _push(module, repository, r1=images["buildah-amd64"])
    given = [("r1", "added"), (source, "latest")]
    items = [{"repository": repository, "source": name, "tags": [tag]} for name, tag in given]
    with reads_only():
        result = module("zot_tag", images=items)
    assert (result["error_class"], result["moved"]) == ("not_found", [])
    assert f"{repository} has 1 tags" in result["hint"]


def test_a_repository_that_is_absent(repository: str, module: Module, reads_only: ReadsOnly) -> None:
    with reads_only():
        tagged = module("zot_tag", repository=repository, source="r1", tags=["latest"])
        removed = module("zot_tag", repository=repository, tags=["latest"], state="absent")
    assert (tagged["error_class"], tagged["moved"]) == ("not_found", [])
    assert f"{repository} has no tags" in tagged["msg"]
    assert (removed["failed"], removed["changed"]) == (False, False)


def test_removing_what_vanished_meanwhile(
    repository: str, images: Images, registry: Registry, bare: Bare, module: Module
) -> None:
    """The registry answers 404 for an absent tag, and 400 for an absent repository."""
    _push(module, repository, r1=images["buildah-amd64"])
    before = len(registry.requests())
    for name in (repository, f"{repository}/none"):
        error = bare("crane", "delete", f"{registry.host}/{name}:absent").stderr
        assert "_UNKNOWN: " in error
    statuses = [request.status for request in registry.requests()[before:] if request.method == "DELETE"]
    assert statuses == [404, 400]


def test_requests_of_keep_previous(images: Images, registry: Registry, repository: str, module: Module) -> None:
    """Two for each tag that moves, with any number of tags in the repository."""
    archives = {"a": str(images["buildah-amd64"]), "b": str(images["changed-env"])}
    _push(module, repository, **archives)

    def count(name: str, source: str, **options: Any) -> int:
        given = {"archive": archives[source]} if name == "zot_push" else {"manifests": [source]}
        before = len(registry.requests())
        result = module(name, repository=repository, tags=["m1", "m2"], **given, **options)
        assert [tag["changed"] for tag in result["tags"]] == [True, True], result
        # crane begins with a request for /v2/ that shows it how to log in.
        return len([request for request in registry.requests()[before:] if request.path != "/v2/"])

    for tags in (10, 500):
        registries.add_tags(registry, repository, "a", [f"r{number}" for number in range(tags)])
        for name in ("zot_push", "zot_index"):
            count(name, "a")
            plain = count(name, "b")
            kept = count(name, "a", keep_previous="{tag}-previous")
            assert kept - plain == 2 * 2, (name, tags)


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
