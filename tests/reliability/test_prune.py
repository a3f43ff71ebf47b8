# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_prune is killed, runs twice at once, runs beside a publish, or loses its registry. No needed tag is removed.

ZOT_TEST_PRUNES=N repeats each test N times; the default is 2.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from integration.support import Module
from reliability.support import Start, archive, tags_in, wait_until_held

from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_upload
from environment import registry as registries
from environment.faults import Fault, Proxy
from environment.registry import Registry

TIMES = int(os.environ.get("ZOT_TEST_PRUNES", "2"))
OLD, ARCHITECTURES = 8, ("amd64", "arm64")
USED, KEPT, NEWEST, PUBLISHED = "cafe001", "cafe002", "fff0001", "fff0002"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

pytestmark = pytest.mark.usefixtures("zot")


class Scene:
    """A repository with old revisions, one in use, one that an expression keeps, and the newest."""

    def __init__(self, registry: Registry, repository: str, module: Module, folder: Path) -> None:
        self.registry, self.repository, self._module = registry, repository, module
        names = [USED, KEPT, *(f"aaa{number:04x}" for number in range(OLD)), NEWEST]
        for name in ("amd64", "arm64"):
            path = archive(folder / f"{name}.tar", architecture=name)
            assert not module("zot_push", archive=str(path), repository=repository, tags=[f"base-{name}"])["failed"]
        with self.registry.session(self.registry.writer) as session:
            for name in names:
                self._write(session, name)
            for name in ARCHITECTURES:
                session.delete(self._url(f"base-{name}")).raise_for_status()
        self.before = tags_in(registry, repository)
        self.options: dict[str, Any] = {
            "repositories": [repository],
            "keep_last": 1,
            "keep": [f"{KEPT}.*"],
            "in_use": [self.before[f"{USED}-arm64"], self.before[USED]],
            "parallel": 3,
        }
        self.needed = {tag: digest for tag, digest in self.before.items() if not tag.startswith("aaa")}

    def _url(self, reference: str) -> str:
        return f"https://{self.registry.host}/v2/{self.repository}/manifests/{reference}"

    def _write(self, session: requests.Session, name: str) -> None:
        """A revision whose manifests differ from those of the others in an annotation."""
        entries = []
        for architecture in ARCHITECTURES:
            base = session.get(self._url(f"base-{architecture}")).json()
            text = json.dumps({**base, "annotations": {"org.example.revision": name}})
            put = session.put(self._url(f"{name}-{architecture}"), data=text, headers={"Content-Type": MANIFEST})
            put.raise_for_status()
            platform = {"os": "linux", "architecture": architecture}
            digest = put.headers["Docker-Content-Digest"]
            entries.append({"mediaType": MANIFEST, "digest": digest, "size": len(text), "platform": platform})
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        session.put(self._url(name), data=text, headers={"Content-Type": INDEX}).raise_for_status()

    def restore(self) -> None:
        """Restore all tags. A restored tag counts as new, so the newest revision is restored last."""
        now = tags_in(self.registry, self.repository)
        missing = [tag for tag, digest in self.before.items() if now.get(tag) != digest and not tag.startswith(NEWEST)]
        newest = [tag for tag in self.before if tag.startswith(NEWEST)]
        with self.registry.session(self.registry.writer) as session:
            content = {tag: session.get(self._url(self.before[tag])) for tag in (*missing, *newest)}
            for tag in set(newest) & now.keys():
                session.delete(self._url(tag)).raise_for_status()
            for tag, response in content.items():
                kind = {"Content-Type": response.headers["Content-Type"]}
                session.put(self._url(tag), data=response.content, headers=kind).raise_for_status()

    def require_needed(self) -> dict[str, str]:
        """Assert that no needed tag is missing or has moved. Return all tags."""
        now = tags_in(self.registry, self.repository)
        assert {tag: now.get(tag) for tag in self.needed} == self.needed
        return now

    def finish(self) -> None:
        """The next run removes the rest."""
        left = set(self.require_needed()) - set(self.needed)
        done = self._module("zot_prune", registry=self.registry.host, ca_path=str(self.registry.ca), **self.options)
        assert (done["failed"], done["changed"]) == (False, bool(left)), done
        assert {each["tag"] for each in done["deleted"]} == left
        assert self.require_needed() == self.needed


@pytest.fixture
def own_scene(own_registry: tuple[Registry, Proxy], module: Module, tmp_path: Path) -> tuple[Scene, Proxy]:
    """A scene in a registry that only this test uses and may kill, and a proxy in front of the registry."""
    registry, proxy = own_registry
    account = {"username": registry.writer.username, "password": registry.writer.password}
    own = partial(module, **account, registry=registry.host, ca_path=str(registry.ca))
    return Scene(registry, "demo/app", own, tmp_path), proxy


@pytest.fixture
def scene(registry: Registry, repository: str, module: Module, tmp_path: Path) -> Scene:
    return Scene(registry, repository, module, tmp_path)


def removals(registry: Registry, since: int) -> int:
    return sum(request.method == "DELETE" for request in registry.requests()[since:])


def test_killed_at_any_moment(scene: Scene, start: Start) -> None:
    """With SIGKILL, after a random number of removals, from none to all."""
    removable, partly = 3 * OLD, 0
    for attempt in range(TIMES):
        since, until = len(scene.registry.requests()), 1 + attempt if attempt < 2 else random.randrange(removable + 1)
        running = start("zot_prune", scene.registry, **scene.options)
        deadline = time.monotonic() + 30
        while running.process.poll() is None and removals(scene.registry, since) < until:
            assert time.monotonic() < deadline
        running.process.kill()
        running.process.communicate(timeout=30)
        left = len(scene.require_needed()) - len(scene.needed)
        partly += 0 < left < removable
        scene.finish()
        scene.restore()
    assert partly > 0


def test_two_at_once(scene: Scene, start: Start) -> None:
    """Each tag is removed by one of them, and none of them fails."""
    for _attempt in range(TIMES):
        both = [start("zot_prune", scene.registry, **scene.options) for _number in range(2)]
        results = [each.result() for each in both]
        assert [result["failed"] for result in results] == [False, False]
        assert scene.require_needed() == scene.needed
        removed = [each["tag"] for result in results for each in result["deleted"]]
        assert sorted(removed) == sorted(set(scene.before) - set(scene.needed))
        scene.restore()


def test_beside_a_publish(scene: Scene, start: Start, module: Module, tmp_path: Path) -> None:
    """A publish to the same repository, while the tags of single architectures are also removed."""
    options = {**scene.options, "untag_members": True, "in_use": [*scene.options["in_use"], scene.before[NEWEST]]}
    for attempt in range(TIMES):
        archives = {name: str(archive(tmp_path / f"new-{name}.tar", architecture=name)) for name in ARCHITECTURES}
        images = [{"repository": scene.repository, "archives": archives}]
        publisher = start("zot_publish", scene.registry, revision=PUBLISHED, images=images, keep_previous="")
        time.sleep(random.uniform(0, 0.5) if attempt else 0)
        running = start("zot_prune", scene.registry, **options)
        written, done = publisher.result(), running.result()
        assert (written["failed"], done["failed"]) == (False, False), (written, done)
        members = [tag["digest"] for tag in written["tags"] if tag["tag"].startswith(f"{PUBLISHED}-")]
        assert len(members) == len(ARCHITECTURES)
        now = tags_in(scene.registry, scene.repository)
        assert now["latest"] == now[PUBLISHED] == written["images"][0]["digest"]
        found = module("zot_image_info", images=[f"{scene.repository}@{digest}" for digest in members])["images"]
        assert all(image["exists"] for image in found)
        kept = [tag for tag in scene.needed if not re.search(r"-a\w+64$", tag) or tag.startswith((KEPT, f"{USED}-arm"))]
        assert {tag: now.get(tag) for tag in kept} == {tag: scene.needed[tag] for tag in kept}
        tags = [PUBLISHED, "latest", *(f"{PUBLISHED}-{name}" for name in ARCHITECTURES), *filter(is_upload, now)]
        assert not module("zot_tag", repository=scene.repository, tags=tags, state="absent")["failed"]
        scene.restore()


def test_the_registry_is_killed(own_scene: tuple[Scene, Proxy], start: Start) -> None:
    """With SIGKILL, before a removal. The result says what was removed, and the next run removes the rest.

    Not during one: Zot 2.1.20 then empties index.json before it writes it, so a kill between both loses all tags.
    https://github.com/project-zot/zot/blob/v2.1.20/pkg/storage/imagestore/imagestore.go (deleteImageManifest)
    """
    scene, proxy = own_scene
    for attempt in range(TIMES):
        tag = f"aaa{random.randrange(OLD) if attempt else OLD // 2:04x}"
        fault = Fault("hold", f"DELETE .*/manifests/{tag}$")
        proxy.set(fault)
        running = start("zot_prune", proxy, **{**scene.options, "parallel": 1})
        wait_until_held(proxy, fault)
        registries.crash(scene.registry)
        proxy.release()
        done = running.result()
        proxy.set()
        registries.revive(scene.registry)
        assert (done["failed"], done["error_class"]) == (True, "unavailable"), done
        now = scene.require_needed()
        listed = {tag for each in done["undo"] for tag in each["tags"]}
        assert {each["tag"] for each in done["deleted"]} <= set(scene.before) - set(now) <= listed
        scene.finish()
        scene.restore()
