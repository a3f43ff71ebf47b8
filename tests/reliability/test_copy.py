# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_copy is killed, or its connection breaks, at random points: no tag means a part, and the next run finishes.

ZOT_TEST_POINTS sets how many points each test tries, ZOT_TEST_SEED which.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from integration.support import Module, attach
from reliability.support import Site, Start, archive, tags_in, tools_of, wait_until

from environment.faults import Fault, Proxy
from environment.registry import Registry

POINTS = int(os.environ.get("ZOT_TEST_POINTS", "2"))
FAULTS = (
    Fault("status", status=503),
    Fault("status", status=500),
    Fault("break-request", size=100_000),
    Fault("break-answer", size=10),
    Fault("half"),
    Fault("lost"),
)


class Scene:
    """An index of two platforms, with an SBOM for each and for the index, and destinations that hold another image."""

    def __init__(self, registry: Registry, module: Module, repository: str, directory: Path) -> None:
        self.registry, self.module, self.source = registry, module, f"{repository}/source"
        members = {}
        for name in ("amd64", "arm64"):
            path = archive(directory / f"{name}.tar", architecture=name, size=400_000)
            pushed = module("zot_push", archive=str(path), repository=self.source, tags=[name])
            members[name] = pushed["image"]["digest"]
        index = module("zot_index", repository=self.source, manifests=list(members), tags=["r1"])
        self.digest = index["image"]["digest"]
        subjects = [self.digest, *members.values()]
        self.attached = {attach(registry, self.source, each, 1) for each in subjects}
        other = archive(directory / "other.tar")
        self.other = module("zot_push", archive=str(other), repository=self.source, tags=["other"])["image"]["digest"]

    def destination(self, name: str) -> str:
        """A new repository whose tag latest holds another image."""
        repository = f"{self.source}/{name}"
        options = {"source_repository": self.source, "repository": repository, "digests": [self.other]}
        assert self.module("zot_copy", shared_tags=["latest"], **options)["changed"]
        return repository

    def options(self, repository: str, *, source: Registry | Proxy) -> dict[str, Any]:
        reader = self.registry.reader
        return {
            "source_registry": source.host,
            "source_username": reader.username,
            "source_password": reader.password,
            "source_repository": self.source,
            "repository": repository,
            "tags": ["r1"],
            "shared_tags": ["latest"],
            "parallel": 1,
        }

    def require_whole(self, repository: str, *, finished: bool) -> None:
        """A tag means the old image, or everything of the new one."""
        tags = tags_in(self.registry, repository)
        assert tags["latest"] in (self.other, self.digest)
        assert tags.get("r1", self.digest) == self.digest
        assert not finished or tags == {"latest": self.digest, "r1": self.digest}
        if self.digest in tags.values():
            (image,) = self.module("zot_image_info", images=[f"{repository}:r1"], referrers=True)["images"]
            assert all(member["manifest"] for member in image["manifests"])
            assert {each["digest"] for each in image["referrers"]} == self.attached

    def require_each_blob_once(self, repository: str, *, lost: bool) -> None:
        """By the log of the registry: a blob whose upload was confirmed is not uploaded again."""
        uploads = [
            each
            for each in self.registry.requests()
            if (each.method, each.status) == ("PUT", 201) and each.path.startswith(f"/v2/{repository}/blobs/uploads/")
        ]
        # Of each platform the layer and the configuration; the empty configuration of the SBOMs, which is their blob;
        # and the two blobs of the image that was there before.
        assert len(uploads) - lost <= 2 * 2 + 1 + 2


@pytest.fixture
def scene(zot: Registry, module: Module, repository: str, tmp_path: Path) -> Scene:
    return Scene(zot, module, repository, tmp_path)


@pytest.fixture
def chance() -> random.Random:
    return random.Random(os.environ["ZOT_TEST_SEED"])


def _both(proxy: Proxy, directory: Path) -> str:
    """One file with both CA certificates, so that one run of crane has both ends."""
    path = directory / "both.pem"
    path.write_text(proxy.ca.read_text() + proxy.registry.ca.read_text())
    return str(path)


@pytest.mark.parametrize("end", ["source", "destination"])
def test_wire_faults(site: Site, end: str, scene: Scene, chance: random.Random, tmp_path: Path) -> None:
    """Two requests of one end meet a fault, which crane may overcome, or all from that point on."""
    proxy, module = site.proxy, site.module
    both = {"ca_path": _both(proxy, tmp_path), "source_ca_path": _both(proxy, tmp_path)}
    source, at = (proxy, scene.registry) if end == "source" else (scene.registry, proxy)
    failed = 0
    for number in range(POINTS):
        repository = scene.destination(f"{end}-{number}")
        where = scene.source if end == "source" else repository
        options = {**scene.options(repository, source=source), **both, "registry": at.host}
        template = chance.choice(FAULTS)
        after = chance.randrange(35)
        pattern, times = f"[A-Z]+ /v2/{where}/", chance.choice((2, None))
        fault = Fault(template.what, pattern, after, times, status=template.status, size=template.size)
        proxy.set(fault)
        result = module("zot_copy", **options)
        recorded = [each.request for each in proxy.recorded_requests()]
        proxy.set()
        failed += result["failed"]
        scene.require_whole(repository, finished=not result["failed"])
        again = module("zot_copy", **options)
        assert again["failed"] is False, (fault, recorded, again["msg"])
        assert again["changed"] or not result["failed"] or "is not known" in json.dumps(result)
        scene.require_whole(repository, finished=True)
        scene.require_each_blob_once(repository, lost=template.what in ("lost", "break-answer", "half"))
        assert module("zot_copy", **options)["changed"] is False
    assert failed or POINTS < 10


def test_kills(scene: Scene, proxy: Proxy, chance: random.Random, start: Start, module: Module, tmp_path: Path) -> None:
    """With SIGKILL while one request to the destination is held."""
    both = {"ca_path": _both(proxy, tmp_path), "source_ca_path": _both(proxy, tmp_path)}
    for number in range(POINTS):
        repository = scene.destination(f"killed-{number}")
        options = {**scene.options(repository, source=scene.registry), **both}
        proxy.set(Fault("hold", f"[A-Z]+ /v2/{repository}/", chance.randrange(35), 1))
        running = start("zot_copy", proxy, **options)
        wait_until(
            lambda running=running: proxy.recorded_requests() or running.process.poll() is not None, "a held request"
        )
        running.process.kill()
        running.process.wait()
        proxy.release()
        wait_until(lambda: not tools_of(proxy.host), "the end of the tools")
        proxy.set()
        scene.require_whole(repository, finished=False)
        again = module("zot_copy", **{**options, "registry": proxy.host})
        assert again["failed"] is False, again["msg"]
        scene.require_whole(repository, finished=True)
        scene.require_each_blob_once(repository, lost=False)


# What Zot 2.1.20 answers if a blob or a member of the manifest does not exist.
_LOST_PART = '{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":{"reference":"r1"}}]}'


def test_a_member_that_the_garbage_collection_removed(site: Site, scene: Scene) -> None:
    """Zot refuses the tag of an index that has lost a member. The copy is repeated."""
    repository = scene.destination("repeated")
    site.proxy.set(Fault("status", "PUT .*/manifests/r1$", status=400, body=_LOST_PART, times=1))
    done = site.through("zot_copy", **scene.options(repository, source=site.proxy))
    assert not done["failed"], done["msg"]
    scene.require_whole(repository, finished=True)


def test_a_blob_that_the_garbage_collection_removed(site: Site, scene: Scene) -> None:
    """Zot refuses the manifest. The hint names the garbage collection, and not the format of the image first."""
    site.proxy.set(Fault("status", "PUT .*/manifests/", status=400, body=_LOST_PART))
    failed = site.through("zot_copy", **scene.options(f"{scene.source}/new", source=site.proxy))
    assert (failed["failed"], failed["error_class"]) == (True, "manifest_invalid"), failed
    assert "the garbage collection of the registry has removed it during the copy" in failed["hint"]
