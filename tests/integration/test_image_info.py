# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_image_info on the real registry."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from integration.support import Bare, Module, ReadsOnly, Tools, attach

from ansible_collections.killinit.zot.plugins.module_utils._registry import search
from environment.images import Images
from environment.registry import Registry

KEYS = {
    *("reference", "registry", "repository", "tag", "digest", "pinned", "media_type", "platforms", "size", "created"),
    *("labels", "exists"),
}


@pytest.fixture
def released(images: Images, repository: str, module: Module) -> str:
    """A repository with two architectures and their index under r1."""
    for name in ("amd64", "arm64"):
        module("zot_push", archive=str(images[f"buildah-{name}"]), repository=repository, tags=[f"r1-{name}"])
    assert module("zot_index", repository=repository, manifests=["r1-amd64", "r1-arm64"], tags=["r1"])["changed"]
    return repository


def test_what_is_there(
    tools: Tools, released: str, registry: Registry, module: Module, bare: Bare, reads_only: ReadsOnly
) -> None:
    """A tag, a digest, an index, a missing tag, a missing repository: as crane shows them, and no error."""
    name = f"{registry.host}/{released}"
    image = bare("crane", "manifest", f"{name}:r1-amd64").stdout
    index = bare("crane", "manifest", f"{name}:r1").stdout
    digest = f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
    references = [f"{name}:r1-amd64", f"{released}@{digest}", f"{released}:r1", f"{released}:none", "no/where:1"]
    with reads_only():
        result = module("zot_image_info", images=references, repositories=[released, "no/where"], **tools.options())
    tag, pinned, both, absent, nowhere = result["images"]

    assert result["changed"] is False
    assert all(described.keys() >= KEYS for described in result["images"])
    assert tag["digest"] == pinned["digest"] == digest
    assert tag["pinned"] == f"{name}@{digest}"
    assert (tag["tag"], pinned["tag"], pinned["reference"]) == ("r1-amd64", None, f"{name}@{digest}")
    assert tag["manifest"] == json.loads(image)
    assert tag["config"] == json.loads(bare("crane", "config", f"{name}:r1-amd64").stdout)
    assert tag["labels"] == tag["config"]["config"]["Labels"] != {}
    assert tag["created"] == tag["config"]["created"]
    assert tag["size"] == sum(blob["size"] for blob in (tag["manifest"]["config"], *tag["manifest"]["layers"]))
    assert both["manifest"] == json.loads(index)
    assert both["config"] is None
    assert both["platforms"] == [entry["platform"] for entry in both["manifests"]] == ["linux/amd64", "linux/arm64"]
    assert both["manifests"][0]["manifest"] == tag["manifest"]
    for missing in (absent, nowhere):
        assert (missing["exists"], missing["digest"], missing["manifest"], missing["config"]) == (False, *[None] * 3)
    assert result["repositories"][0]["exists"] is True
    assert sorted(result["repositories"][0]["tags"]) == ["r1", "r1-amd64", "r1-arm64"]
    assert result["repositories"][1]["exists"] is False
    assert result["repositories"][1]["tags"] == []


def _details(module: Module, repository: str) -> dict[str, Any]:
    result = module("zot_image_info", repositories=[repository], details=True)
    assert not result["failed"], result
    found: dict[str, Any] = result["repositories"][0]
    return found


def _names(repository: str, tags: list[str]) -> list[str]:
    return [f"{repository}:{tag}" for tag in tags]


@pytest.mark.usefixtures("zot")
def test_search_and_registry_have_the_same_details(
    released: str, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except for the times and the signature, which only the extension knows."""
    searched = _details(module, released)
    monkeypatch.setattr(search, "search", lambda *_arguments: None)
    read = _details(module, released)
    assert (searched.pop("source"), read.pop("source")) == ("search", "registry")
    for image in searched["images"]:
        assert re.fullmatch(r"[0-9T:.-]+Z", image.pop("pushed_at"))
        assert image.pop("signed") is False
        image.pop("last_pulled_at")
    for image in read["images"]:
        assert (image.pop("pushed_at"), image.pop("signed"), image.pop("last_pulled_at")) == (None, None, None)
    assert searched == read


@pytest.mark.usefixtures("zot")
def test_reading_is_not_a_pull(released: str, module: Module) -> None:
    """Zot's retention deletes what is not pulled: details, tags and the catalog must not count."""
    # The task that wrote the index has read its members.
    before = _details(module, released)["images"]
    module("zot_image_info", repositories=[released], catalog=True)
    assert _details(module, released)["images"] == before
    module("zot_image_info", images=[f"{released}:r1"])
    after = _details(module, released)["images"]
    assert after[0]["last_pulled_at"] != before[0]["last_pulled_at"]  # a GET does count


def test_a_repository_that_the_account_may_not_read(
    images: Images, registry: Registry, module: Module, request: pytest.FixtureRequest
) -> None:
    """The search extension answers as if it had no tags."""
    hidden = f"private/{abs(hash(request.node.nodeid)):x}"
    assert not module("zot_push", archive=str(images["buildah-amd64"]), repository=hidden, tags=["1"])["failed"]
    assert _details(module, hidden)["tags"] == ["1"]
    account = {"username": registry.reader.username, "password": registry.reader.password}
    result = module("zot_image_info", repositories=[hidden], details=True, **account)
    assert (result["failed"], result["error_class"]) == (True, "denied")
    absent = module("zot_image_info", repositories=[f"{hidden}/none"], details=True)["repositories"][0]
    assert (absent["exists"], absent["images"], absent["source"]) == (False, [], None)


def test_referrers(released: str, zot: Registry, module: Module) -> None:
    """What is attached to a member; an artifact that names its subject, as oras and cosign write it."""
    described = module("zot_image_info", images=[f"{released}:r1"])["images"][0]
    member = described["manifests"][0]
    sbom = attach(zot, released, member["digest"], len(json.dumps(member["manifest"])))
    (image,) = module("zot_image_info", images=[f"{released}:r1"], referrers=True)["images"]
    (found,) = image["referrers"]
    assert (found["subject"], found["digest"], found["artifact_type"]) == (
        member["digest"],
        sbom,
        "application/spdx+json",
    )
    assert found["annotations"] == {"org.example.of": "sbom"}


def test_a_directory_of_certificates(
    tools: Tools, released: str, registry: Registry, module: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What SSL_CERT_DIR names is trusted, as the tools themselves would do."""
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "ours.pem").write_bytes(registry.ca.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certificates"))
    result = module("zot_image_info", images=[f"{released}:r1"], ca_path=None, **tools.options())
    assert not result["failed"], result
    assert result["images"][0]["exists"]
