# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_copy between two real registries. What is attached to the images is written by oras and cosign themselves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from integration.fixtures import WRITES, writes
from integration.secret_leaks import forms
from integration.support import Module
from unit import web_server
from unit.web_server import Reply

from environment import registry as registries
from environment import zot_program
from environment.images import Images
from environment.registry import Registry, Request

GC_DELAY = 2  # seconds
IMAGES = [f"team/app-{number}" for number in range(20)]
SOURCE_REPOSITORY = IMAGES[0]
SIGN = ("--key=cosign.key", "--use-signing-config=false", "--tlog-upload=false")


@dataclass
class Ends:
    """A source and a destination. run() runs a tool with the accounts of both."""

    source: Registry
    destination: Registry
    directory: Path
    both: Path
    request_counts: dict[str, int] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        variables = {
            **os.environ,
            "DOCKER_CONFIG": str(self.directory),
            "SSL_CERT_DIR": str(self.directory / "certificates"),
            "COSIGN_PASSWORD": "",
            "COSIGN_YES": "true",
        }
        done = subprocess.run(command, env=variables, cwd=self.directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def tree(self, registry: Registry, repository: str, name: str) -> Any:
        """What oras discovers at an image, without the name of the registry."""
        host = f"{registry.host}/{repository}"
        output = self.run("oras", "discover", "--format=json", f"{host}{'@' if ':' in name else ':'}{name}")
        return _sorted(json.loads(output.replace(host, "REPOSITORY")))

    def new_requests(self, registry: Registry) -> list[Request]:
        """The requests since the last call."""
        requests = registry.requests()
        begin, self.request_counts[registry.host] = self.request_counts.get(registry.host, 0), len(requests)
        return requests[begin:]

    def options(self, *, ca: str = "own") -> dict[str, Any]:
        """The options of a task: the source by an account that may only read."""
        return {
            "source_registry": self.source.host,
            "source_username": self.source.reader.username,
            "source_password": self.source.reader.password,
            "source_ca_path": str(self.source.ca if ca == "own" else self.both),
            "registry": self.destination.host,
            "username": self.destination.writer.username,
            "password": self.destination.writer.password,
            "ca_path": str(self.destination.ca if ca == "own" else self.both),
        }


def _sorted(node: dict[str, Any]) -> dict[str, Any]:
    referrers = sorted((_sorted(each) for each in node.get("referrers", ())), key=lambda each: str(each["digest"]))
    return {**node, "referrers": referrers}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory, images: Images) -> Iterator[Ends]:
    """Twenty images with two platforms, each with an SBOM, a signature, and an attestation of one platform."""
    directory = tmp_path_factory.mktemp("ends")
    with registries.running() as source, registries.running(gc_delay=GC_DELAY) as destination:
        if source.kind != "zot":
            pytest.skip(zot_program.NEEDED)
        auths = {each.host: {"auth": each.writer.basic} for each in (source, destination)}
        (directory / "config.json").write_text(json.dumps({"auths": auths}))
        (directory / "certificates").mkdir()
        both = directory / "certificates" / "both.pem"
        both.write_text(source.ca.read_text() + destination.ca.read_text())
        ends = Ends(source, destination, directory, both)
        repository = f"{source.host}/{SOURCE_REPOSITORY}"
        policy = (
            "skopeo",
            "--insecure-policy",
            "copy",
            "--quiet",
            "--format=oci",
            f"--authfile={directory}/config.json",
        )
        members = []
        for name in ("amd64", "arm64"):
            ends.run(*policy, f"docker-archive:{images[f'buildah-{name}']}", f"docker://{repository}:{name}")
            members += ["--manifest", f"{repository}:{name}"]
        ends.run("crane", "index", "append", *members, "--tag", f"{repository}:r1")
        (directory / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
        attach = ("oras", "attach", "--format=json", "--artifact-type")
        ends.run(*attach, "application/spdx+json", f"{repository}:r1", "sbom.json")
        ends.run(*attach, "application/vnd.cncf.notary.signature", f"{repository}:r1", "sbom.json")
        ends.run(*attach, "application/vnd.in-toto+json", f"{repository}:arm64", "sbom.json")

        def copy(name: str) -> None:
            ends.run("oras", "copy", "--recursive", f"{repository}:r1", f"{source.host}/{name}:r1")

        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(copy, IMAGES[1:]))
        yield ends


def _names(requests: list[Request]) -> list[str]:
    return [f"{each.method} {each.path}" for each in requests]


def _is_pull(request: Request) -> bool:
    return request.method == "GET" and "/manifests/" in request.path


def test_a_release_of_twenty_images(ends: Ends, module: Module) -> None:
    """With sixty referrers: a dry run, the copy, and a second run, through the garbage collection."""
    items = [
        {"repository": name.replace("team/", "prod/"), "source_repository": name, "tags": ["r1"]} for name in IMAGES
    ]
    options = {**ends.options(ca="both"), "images": items, "require": ["sbom"]}
    ends.new_requests(ends.source), ends.new_requests(ends.destination)
    planned = module("zot_copy", check=True, diff=True, **options)
    assert not [
        each for end in (ends.source, ends.destination) for each in ends.new_requests(end) if each.method in WRITES
    ]
    done = module("zot_copy", diff=True, **options)
    assert done["failed"] is False, done["msg"]
    assert {**planned, "invocation": None} == {**done, "invocation": None}
    assert sum(len(image["referrers"]) for image in done["images"]) == 60
    assert all(each["copied"] for image in done["images"] for each in (image, *image["referrers"]))
    assert not writes(ends.new_requests(ends.source))
    ends.new_requests(ends.destination)

    def unchanged() -> None:
        again = module("zot_copy", diff=True, **options)
        assert (again["failed"], again["changed"], again["diff"], again["moved"]) == (False, False, [], [])
        for image, before in zip(again["images"], done["images"]):
            assert image["digest"] == before["digest"]
            assert {each["digest"] for each in image["referrers"]} == {each["digest"] for each in before["referrers"]}
        requests = [each for end in (ends.source, ends.destination) for each in ends.new_requests(end)]
        assert not [each for each in requests if each.method in WRITES or _is_pull(each)]
        # Each end is searched, and each of the two members is read at the destination.
        assert len(requests) <= 5 * len(IMAGES), _names(requests)

    unchanged()
    copied = [item["repository"] for item in items]
    assert registries.sweep(ends.destination, copied[0], copied[1], copied[-1], gc_delay=GC_DELAY)
    unchanged()
    for name in (IMAGES[0], IMAGES[-1]):
        for which in ("r1", done["images"][0]["digest"]):
            expected = ends.tree(ends.source, name, which)
            assert expected["referrers"]
            assert ends.tree(ends.destination, name.replace("team/", "prod/"), which) == expected
    members = json.loads(ends.run("crane", "manifest", f"{ends.destination.host}/{copied[1]}:r1"))["manifests"]
    assert len(members) == 2
    for each in members:
        expected = ends.tree(ends.source, IMAGES[1], each["digest"])
        assert ends.tree(ends.destination, copied[1], each["digest"]) == expected
    logs = [(ends.destination, ends.source.reader), (ends.source, ends.destination.writer)]
    for registry, account in logs:
        text = (registry.directory / registries.ZOT_LOG).read_text()
        assert not [each for each in forms(account.username, account.password) if each in text]


def test_ends_that_differ(ends: Ends, module: Module) -> None:
    """Each has its own CA certificate, and one run of crane would trust both at both ends."""
    options = {**ends.options(), "source_repository": SOURCE_REPOSITORY, "repository": "differ/app", "tags": ["r1"]}
    done = module("zot_copy", **options)
    assert (done["failed"], done["changed"]) == (False, True)
    assert ends.tree(ends.destination, "differ/app", "r1") == ends.tree(ends.source, SOURCE_REPOSITORY, "r1")
    assert module("zot_copy", **options)["changed"] is False
    swapped = {**options, "source_ca_path": options["ca_path"], "repository": "differ/other"}
    assert module("zot_copy", **swapped)["error_class"] == "tls"


def test_what_is_attached_to_an_attachment(ends: Ends, module: Module) -> None:
    """It is copied with the image."""
    repository = f"{ends.source.host}/nested/app"
    ends.run("crane", "copy", f"{ends.source.host}/{SOURCE_REPOSITORY}:r1", f"{repository}:r1")
    attach = ("oras", "attach", "--format=json", "--artifact-type")
    sbom = json.loads(ends.run(*attach, "application/spdx+json", f"{repository}:r1", "sbom.json"))["digest"]
    ends.run(*attach, "application/vnd.cncf.notary.signature", f"{repository}@{sbom}", "sbom.json")
    options = {**ends.options(ca="both"), "repository": "nested/app", "tags": ["r1"]}
    assert len(module("zot_copy", **options)["images"][0]["referrers"]) == 2
    assert ends.tree(ends.destination, "nested/app", "r1") == ends.tree(ends.source, "nested/app", "r1")
    assert module("zot_copy", **options)["changed"] is False


@pytest.mark.skipif(shutil.which("cosign") is None, reason="needs cosign in PATH")
@pytest.mark.parametrize("bundle", [True, False], ids=["referrers", "tags"])
def test_signatures_of_cosign(ends: Ends, module: Module, bundle: bool) -> None:
    """Of both formats: they are required and verified at the source, and verify at the destination."""
    name = f"signed/{'new' if bundle else 'old'}"
    source, destination = (f"{each.host}/{name}" for each in (ends.source, ends.destination))
    ends.run("crane", "copy", f"{ends.source.host}/{SOURCE_REPOSITORY}:r1", f"{source}:r1")
    digest = ends.run("crane", "digest", f"{source}:r1")
    if not (ends.directory / "cosign.key").exists():
        ends.run("cosign", "generate-key-pair")
        ends.run("cosign", "generate-key-pair", "--output-key-prefix=other")
    options = {**ends.options(ca="both"), "repository": name, "tags": ["r1"], "require": ["signature", "sbom"]}
    assert module("zot_copy", **options)["error_class"] == "denied"
    form = () if bundle else ("--new-bundle-format=false",)
    ends.run("cosign", "sign", *SIGN, *form, f"{source}@{digest}")
    if bundle:
        ends.run("cosign", "attest", *SIGN, "--type=spdxjson", "--predicate=sbom.json", f"{source}@{digest}")
    else:
        ends.run("crane", "copy", f"{source}:r1", f"{source}:{digest.replace(':', '-')}.sbom")
    wrong = module("zot_copy", verify_key=str(ends.directory / "other.pub"), **options)
    assert (wrong["error_class"], wrong["moved"]) == ("denied", [])
    assert "(cosign: no matching " in wrong["msg"]
    done = module("zot_copy", verify_key=str(ends.directory / "cosign.pub"), **options)
    assert done["failed"] is False, done["msg"]
    verify = ("cosign", "verify", "--key=cosign.pub", "--insecure-ignore-tlog=true")
    ends.run(*verify, f"{destination}@{digest}")
    assert module("zot_copy", **options)["changed"] is False


class Recorder:
    """A registry with one image that shows which credentials it gets."""

    def __init__(self) -> None:
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
        media_type = "application/vnd.oci.image.{}.v1+json"
        blob = {"mediaType": media_type.format("config"), "digest": _digest(config), "size": len(config)}
        document = {"schemaVersion": 2, "mediaType": media_type.format("manifest"), "config": blob, "layers": []}
        manifest = json.dumps(document)
        self.files = {_digest(config): config, _digest(manifest): manifest, "r1": manifest}

    def respond(self, request: web_server.Request) -> Reply:
        path = urlsplit(request.path).path
        if not request.authorization:
            return Reply(b"{}", 401, {"WWW-Authenticate": 'Basic realm="recorder"'})
        found = self.files.get(path.rpartition("/")[2], "").encode()
        if path == "/v2/" or path.endswith("/tags/list") or "/referrers/" in path:
            found = b'{"tags": ["r1"], "manifests": []}'
        if not found or request.method == "POST":
            return Reply(b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', 404)
        kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"} if "/manifests/" in path else {}
        return Reply(found, 200, {**kind, "Docker-Content-Digest": _digest(found.decode())})


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize("end", ["source", "destination"])
def test_no_end_gets_the_account_of_the_other(ends: Ends, module: Module, end: str) -> None:
    """Both by a run of crane with both accounts, and by the requests of the module."""
    with web_server.running(Recorder().respond) as recorder:
        if end == "source":
            # The recorder has no TLS; the destination is on loopback as well, so that one run of crane has both ends.
            given = {"source_registry": recorder.host, "repository": "account/app"}
            own = ends.source.reader
        else:
            given = {"registry": recorder.host, "source_repository": SOURCE_REPOSITORY, "repository": "account/app"}
            own = ends.destination.writer
        result = module("zot_copy", tags=["r1"], **{**ends.options(ca="both"), **given})
    received = {each for each in recorder.credentials if each}
    assert received == {f"Basic {own.basic}"}
    assert any(each.path == "/v2/" for each in recorder.requests), "crane did not run"
    assert result["failed"] is (end == "destination"), result.get("msg")
    other = ends.destination.writer if end == "source" else ends.source.reader
    assert other.password not in json.dumps({**result, "invocation": None})
