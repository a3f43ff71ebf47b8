# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of the guide to Zot: each account can do what its row says, and nothing else."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.blocks import blocks
from integration.support import Module

from environment.images import Images
from environment.registry import Registry, free_port
from environment.zot_program import find_zot

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/docsite/rst/guide_zot.rst").read_text(encoding="utf-8")
UPLOAD_SECONDS = 3
ACTIONS = ("Read", "New tag", "Move tag", "Delete tag")


@dataclass(frozen=True)
class GuideZot:
    """Zot with the configuration and the certificates of the guide, on loopback."""

    host: str
    passwords: dict[str, str]
    ca: Path

    def options(self, account: str) -> dict[str, Any]:
        shared = {"registry": self.host, "validate_certs": True, "ca_path": str(self.ca), "retries": 0}
        return {**shared, "username": account, "password": self.passwords[account]}


def rights() -> dict[str, dict[str, bool]]:
    """The table of the guide."""
    table = GUIDE[GUIDE.index("   * - Account\n") : GUIDE.index("Nobody can read")]
    heading, *rows = [re.findall(r"^ +(?:\* )?- (.*)$", row, re.MULTILINE) for row in table.split("   * - ")[1:] if row]
    assert tuple(heading[-4:]) == ACTIONS
    names = re.findall(r"^   \* - (.*)$", table, re.MULTILINE)[1:]
    return {
        account: dict(zip(ACTIONS, (cell == "yes" for cell in row[-4:])))
        for name, row in zip(names, rows)
        for account in re.findall(r"``(\w+)``", name)
    }


@pytest.fixture(scope="module")
def guide_zot(zot: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideZot]:
    assert zot.kind == "zot"
    directory = tmp_path_factory.mktemp("zot")
    config = json.loads((ROOT / "docs/examples/zot/config.json").read_text(encoding="utf-8"))
    _run(directory, "umask ", "for user in ")
    passwords = {account: (directory / f"{account}.password").read_text().strip() for account in rights()}
    port = free_port()
    config["storage"] |= {"rootDirectory": str(directory / "storage"), "gcInterval": "1s", "gcMaxSchedulerDelay": "1s"}
    (uploads, _others) = config["storage"]["retention"]["policies"][0]["keepTags"]
    assert uploads["pushedWithin"] == "24h"
    uploads["pushedWithin"] = f"{UPLOAD_SECONDS}s"
    _run(directory, "openssl req ")
    config["http"]["tls"] = {name: str(directory / Path(path).name) for name, path in config["http"]["tls"].items()}
    config["http"] |= {"address": "127.0.0.1", "port": str(port)}
    config["http"]["auth"]["htpasswd"]["path"] = str(directory / "htpasswd")
    config["extensions"]["events"]["sinks"][0]["address"] = f"http://127.0.0.1:{free_port()}/zot"
    (directory / "config.json").write_text(json.dumps(config))
    program = find_zot()
    assert program
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve", str(directory / "config.json")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while "429" not in _status(port, directory) and "401" not in _status(port, directory):
            assert server.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield GuideZot(f"localhost:{port}", passwords, directory / "ca.pem")
    finally:
        server.terminate()
        server.wait(timeout=20)


def _run(directory: Path, *starts: str) -> None:
    """Run commands of the guide, for localhost."""
    lines = [line for block in blocks("docs/docsite/rst/guide_zot.rst") for line in block.commands]
    commands = [line for line in lines if line.startswith(starts)]
    assert len(commands) == 2
    script = "\n".join(commands).replace("oci.killinit.cc", "localhost")
    subprocess.run(["sh", "-euc", script], cwd=directory, check=True, capture_output=True)


def _status(port: int, directory: Path) -> str:
    """The status of a request without credentials; empty without an answer."""
    try:
        context = ssl.create_default_context(cafile=directory / "ca.pem")
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(*handlers)
        with opener.open(f"https://localhost:{port}/v2/_catalog", timeout=5) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return ""


def test_nobody_reads_without_an_account(guide_zot: GuideZot) -> None:
    assert _status(int(guide_zot.host.rpartition(":")[2]), guide_zot.ca.parent) == "401"


@pytest.mark.parametrize("account", rights())
def test_account(account: str, guide_zot: GuideZot, images: Images, module: Module, repository: str) -> None:
    admin, options = guide_zot.options("admin"), guide_zot.options(account)
    first, second = str(images["buildah-amd64"]), str(images["changed-layer"])
    for archive, tag in ((first, "r1"), (second, "r2"), (first, "latest")):
        assert not module("zot_push", **admin, archive=archive, repository=repository, tag=tag)["failed"]

    done = {
        "Read": module("zot_image_info", **options, images=[f"{repository}:r1"]),
        "New tag": module("zot_tag", **options, repository=repository, source="r1", tags=["new"]),
        "Move tag": module("zot_tag", **options, repository=repository, source="r2", tags=["latest"]),
        "Delete tag": module("zot_tag", **options, repository=repository, tags=["r1"], state="absent"),
    }
    assert {name: not result["failed"] for name, result in done.items()} == rights()[account]
    assert {result["error_class"] for result in done.values() if result["failed"]} <= {"denied"}
    # The registry, and not only the answer.
    there = module("zot_image_info", **admin, images=[f"{repository}:{tag}" for tag in ("r1", "r2", "latest", "new")])
    r1, r2, latest, new = there["images"]
    assert r1["exists"] is not rights()[account]["Delete tag"]
    assert (latest["digest"] == r2["digest"]) is rights()[account]["Move tag"]
    assert new["exists"] is rights()[account]["New tag"]


def test_upload_tags_are_removed(guide_zot: GuideZot, images: Images, module: Module, repository: str) -> None:
    """Only they are, after the time in the configuration."""
    options = guide_zot.options("ci")
    upload, others = f"{repository}:upload-0123456789ab-r1", [f"{repository}:r1", f"{repository}:latest"]
    for reference in (upload, *others):
        archive = {"archive": str(images["buildah-amd64"]), "repository": repository}
        assert not module("zot_push", **options, **archive, tag=reference.rpartition(":")[2])["failed"]
    deadline = time.monotonic() + 60
    while module("zot_image_info", **options, images=[upload])["images"][0]["exists"]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert [each["exists"] for each in module("zot_image_info", **options, images=others)["images"]] == [True, True]


def test_a_push_by_the_account_of_the_pipeline(
    guide_zot: GuideZot, images: Images, module: Module, repository: str
) -> None:
    """A new image, with its blobs; and everybody who may read finds it with the search extension."""
    pushed = module(
        "zot_push", **guide_zot.options("ci"), archive=str(images["skopeo-amd64"]), repository=repository, tag="r1"
    )
    assert pushed["changed"]
    found = module("zot_image_info", **guide_zot.options("alice"), repositories=[repository], details=True)[
        "repositories"
    ]
    assert (found[0]["source"], [each["tag"] for each in found[0]["images"]]) == ("search", ["r1"])
    refused = module(
        "zot_push", **guide_zot.options("cluster"), archive=str(images["skopeo-amd64"]), repository=repository, tag="r2"
    )
    assert refused["failed"] is True
    assert refused["error_class"] == "denied"
