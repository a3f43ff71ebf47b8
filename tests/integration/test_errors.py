# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every class of error that a registry or a file can cause, caused for real: class, hint, and nothing written."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.fixtures import writes
from integration.support import Module, ReadsOnly, Tools

from environment import registry as registries
from environment.images import Images
from environment.registry import Registry

READ_IMAGE = {"images": ["openclaw/openclaw:1"]}


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def _push(images: Images, repository: str, tools: Tools) -> dict[str, object]:
    return {
        "archive": str(images["buildah-amd64"]),
        "repository": repository,
        "tags": ["1"],
        **tools.options(),
    }


def test_wrong_password(tools: Tools, images: Images, repository: str, module: Module, reads_only: ReadsOnly) -> None:
    """Also where Zot answers 401 with a body that is not wrapped. It never means absent."""
    for name, options in (
        ("zot_push", _push(images, repository, tools)),
        ("zot_index", {"repository": repository, "tags": ["1"], "manifests": ["a"], **tools.options()}),
        ("zot_tag", {"repository": repository, "source": "a", "tags": ["1"], **tools.options()}),
        ("zot_image_info", {**READ_IMAGE, **tools.options()}),
        ("zot_rollback_info", {"images": [{"repository": repository}], **tools.options()}),
    ):
        with reads_only():
            result = module(name, password="not-the-password", **options)
        assert (result["failed"], result["error_class"], result["retryable"]) == (True, "unauthorized", False)
        assert "user 'writer' from zot_username (variable) or username (option)" in result["hint"]
        assert result["rc"] == 1
        assert result["cmd"]


@pytest.mark.parametrize("where", ["environment", "authfile", "usual place", "nowhere"])
def test_unauthorized_says_which_credentials(
    where: str, registry: Registry, module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where they came from."""
    wrong = tmp_path / "config.json"
    wrong.write_text(json.dumps({"auths": {registry.host: {"auth": "d3JpdGVyOndyb25n"}}}))
    monkeypatch.setenv("HOME", str(tmp_path))
    options: dict[str, object] = {"username": None, "password": None}
    message = "none were given"
    if where == "environment":
        monkeypatch.setenv("ZOT_USERNAME", "writer")
        monkeypatch.setenv("ZOT_PASSWORD", "wrong")
        message = "user 'writer' from ZOT_USERNAME"
    elif where == "authfile":
        options["authfile"] = str(wrong)
        message = f"the entry {registry.host} of {wrong}"
    elif where == "usual place":
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        message = f"the entry {registry.host} of {wrong}"
    result = module("zot_image_info", **READ_IMAGE, **options)
    assert result["error_class"] == "unauthorized"
    assert message in result["hint"]


def test_reader_may_read_and_not_write(
    tools: Tools, images: Images, registry: Registry, repository: str, module: Module
) -> None:
    """403, from skopeo and from crane."""
    module("zot_push", archive=str(images["buildah-amd64"]), repository=repository, tags=["a"])
    reader = {"username": registry.reader.username, "password": registry.reader.password}
    pushed = module("zot_push", **_push(images, repository, tools), **reader)
    indexed = module("zot_index", repository=repository, manifests=["a"], tags=["i"], **reader, **tools.options())
    for result in (pushed, indexed):
        assert (result["error_class"], result["retryable"]) == ("denied", False)
        assert "may not read, create or update" in result["hint"]
    there = module("zot_image_info", images=[f"{repository}:{tag}" for tag in ("a", "1", "i")], **reader)
    assert [image["exists"] for image in there["images"]] == [True, False, False]


@pytest.mark.parametrize("count", [1, 12], ids=["crane", "HTTP"])
def test_a_denied_read_asks_for_the_right_to_read(count: int, tools: Tools, registry: Registry, module: Module) -> None:
    """And does not tell somebody who reads to push."""
    reader = {"username": registry.reader.username, "password": registry.reader.password}
    images = [f"private/app:{number}" for number in range(count)]
    result = module("zot_image_info", images=images, **reader, **tools.options())
    assert (result["failed"], result["error_class"]) == (True, "denied")
    assert "may not read this repository: user 'reader'" in result["hint"]
    assert "push" not in result["hint"]


def test_rate_limit(tools: Tools, module: Module) -> None:
    """429 without a quota: worth a retry."""
    with registries.running(rate=1) as limited:
        writer = {"username": limited.writer.username, "password": limited.writer.password}
        result = module(
            "zot_image_info",
            registry=limited.host,
            ca_path=str(limited.ca),
            repositories=["one/repository"] * 24,
            parallel=24,
            **writer,
            **tools.options(),
        )
    assert (result["failed"], result["error_class"], result["retryable"]) == (True, "rate_limited", True)


def test_quota(tools: Tools, images: Images, repository: str, module: Module) -> None:
    """429 with a limit: not worth a retry, though skopeo shows no difference."""
    with registries.running(quota=1) as full:
        options = {
            "registry": full.host,
            "ca_path": str(full.ca),
            "username": full.writer.username,
            "password": full.writer.password,
            "retries": 3,
        }
        assert module("zot_push", **_push(images, repository, tools), **options)["changed"] is True
        before = len(full.requests())
        result = module("zot_push", **_push(images, f"{repository}/second", tools), **options)
        refused = [request for request in full.requests()[before:] if request.status == 429]
    assert (result["error_class"], result["retryable"]) == ("quota_exceeded", False)
    assert "raise the quota" in result["hint"]
    assert len(refused) == 1


def test_nobody_listens(tools: Tools, images: Images, closed: str, module: Module) -> None:
    """Connection refused, after the one retry that the option sets."""
    for name, options in (
        ("zot_push", _push(images, "a/b", tools)),
        ("zot_image_info", {**READ_IMAGE, **tools.options()}),
    ):
        result = module(name, registry=closed, retries=1, **options)
        assert (result["error_class"], result["retryable"]) == ("unavailable", True)
        assert closed in result["msg"]


def test_no_such_host(tools: Tools, module: Module) -> None:
    """A name that cannot be resolved: .invalid is reserved for that."""
    result = module("zot_image_info", registry="registry.invalid", **READ_IMAGE, **tools.options())
    assert (result["error_class"], result["retryable"]) == ("unavailable", True)


def test_time_limit_ends_the_tool(tools: Tools, silent: str, module: Module) -> None:
    """One that waits for ever is ended, and the error says so."""
    result = module("zot_image_info", registry=silent, timeout=2, **READ_IMAGE, **tools.options())
    assert (result["error_class"], result["retryable"]) == ("unavailable", True)
    assert "did not finish within 2 seconds" in result["msg"]
    arguments = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert silent.encode() not in arguments


def test_certificate_of_an_unknown_authority(tools: Tools, images: Images, repository: str, module: Module) -> None:
    """No ca_path; and with validate_certs false it does not matter."""
    for name, options in (
        ("zot_push", _push(images, repository, tools)),
        ("zot_image_info", READ_IMAGE | tools.options()),
    ):
        result = module(name, ca_path=None, **options)
        assert (result["error_class"], result["retryable"]) == ("tls", False)
        assert "ca_path" in result["hint"]
        assert module(name, ca_path=None, validate_certs=False, **options)["failed"] is False


def test_plain_http_on_loopback(tools: Tools, images: Images, repository: str, module: Module) -> None:
    """Plain HTTP on loopback is allowed without an option, to read and to push."""
    with registries.running(tls=False) as plain:
        options = {
            "registry": plain.host,
            "ca_path": None,
            "username": plain.writer.username,
            "password": plain.writer.password,
        }
        for validate in (True, False):
            wanted = _push(images, f"{repository}/{str(validate).lower()}", tools)
            assert module("zot_push", validate_certs=validate, **wanted, **options)["changed"] is True
            again = module("zot_push", validate_certs=validate, **wanted, **options)
            assert (again["failed"], again["changed"]) == (False, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut-short", "is truncated or damaged after the member"),
        ("no-manifest", "the members manifest.json and index.json are missing"),
        ("no-config", "has no JSON member"),
        ("not-a-tar", "is neither a docker archive nor an OCI archive"),
        ("empty", "is empty"),
        ("directory", "is a directory, but not an OCI layout"),
        ("missing", "cannot be read: No such file or directory"),
        ("two-images", "has 2 images: 0: localhost/demo:amd64, 1: localhost/demo:arm64"),
    ],
)
def test_file_that_is_no_archive(
    name: str, message: str, images: Images, repository: str, registry: Registry, module: Module
) -> None:
    """Found before the first write."""
    before = len(registry.requests())
    path = "/no/such/file.tar" if name == "missing" else str(images[name])
    for check in (True, False):
        result = module("zot_push", archive=path, repository=repository, tags=["1"], check=check)
        assert (result["failed"], result["error_class"]) == (True, "archive_invalid")
        assert path in result["msg"]
        assert message in result["msg"]
    assert not writes(registry.requests()[before:])


@pytest.mark.parametrize("choice", ["2", "localhost/demo:s390x", "-1", ""])
def test_choice_that_selects_nothing(choice: str, images: Images, repository: str, module: Module) -> None:
    """It says what there is."""
    options = {"archive": str(images["two-images"]), "archive_image": choice}
    result = module("zot_push", repository=repository, tags=["1"], **options)
    assert result["error_class"] == "archive_invalid"
    assert "0: localhost/demo:amd64, 1: localhost/demo:arm64" in result["msg"]


@pytest.mark.parametrize(("tool", "name"), [("crane", "zot_image_info"), ("skopeo", "zot_push")])
def test_tool_that_is_not_there(tool: str, name: str, images: Images, repository: str, module: Module) -> None:
    """Also in check mode, which would otherwise promise what cannot be done."""
    push = {"archive": str(images["buildah-amd64"]), "repository": repository, "tags": ["1"]}
    options = push if name == "zot_push" else READ_IMAGE
    for check in (True, False):
        result = module(name, check=check, **{f"{tool}_path": "/no/such/program"}, **options)
        assert (result["error_class"], result["retryable"]) == ("tool_missing", False)
        assert f"zot_{tool}_path" in result["msg"]
        assert "/no/such/program" in result["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repository": "Upper/case"}, "not a valid repository"),
        ({"repository": "--help"}, "not a valid repository"),
        ({"repository": "a/b:1"}, "not a valid repository"),
        ({"tags": ["-1"]}, "not a valid tag"),
        ({"tags": ["a\nb"]}, "not a valid tag"),
        ({"tags": []}, "tags is empty"),
        ({"registry": "https://oci.killinit.cc"}, "not a valid registry"),
        ({"registry": None}, "no registry is given"),
        ({"platform": "amd64"}, "is not a platform"),
        ({"keep_previous": "1"}, "is also a tag to write"),
        ({"password": None}, "has no password"),
        ({"ca_path": "/no/such/file"}, "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(next(iter(value.items()))),
)
def test_option_that_cannot_be_used(
    options: dict[str, object], message: str, images: Images, registry: Registry, module: Module
) -> None:
    """Found before a request to the registry."""
    before = len(registry.requests())
    wanted = {"archive": str(images["buildah-amd64"]), "repository": "a/b", "tags": ["1"], **options}
    if "registry" in options and options["registry"] is None:
        wanted |= {"username": None, "password": None}
    result = module("zot_push", **wanted)
    assert (result["failed"], result["error_class"]) == (True, "invalid_option")
    assert message in result["msg"]
    assert not registry.requests()[before:]
