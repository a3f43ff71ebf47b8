# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup digest, which runs in the process of Ansible itself."""

from __future__ import annotations

import base64
import json
import resource
import signal
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.killinit.zot.plugins.module_utils._registry import runner as runner_file
from ansible_collections.killinit.zot.tests.unit.conftest import FakeRegistry
from ansible_collections.killinit.zot.tests.unit.web_registry import WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import REQUEST_THREAD, Reply, Request, WebServer, running

pytest.importorskip("requests")
constants = pytest.importorskip("ansible.constants", reason="Python without a controller")
errors = pytest.importorskip("ansible.errors")
dataloader = pytest.importorskip("ansible.parsing.dataloader")
template = pytest.importorskip("ansible.template")
plugin_file = pytest.importorskip("ansible_collections.killinit.zot.plugins.lookup.digest")

ACCOUNT = {"username": "ci", "password": "s3cret"}
BASIC = f"Basic {base64.b64encode(b'ci:s3cret').decode()}"


@pytest.fixture
def web(fake: FakeRegistry) -> WebRegistry:
    fake.put("demo/app", "r1")
    fake.put("demo/app", "latest", salt="latest")
    fake.put("demo/other", "latest", salt="other")
    return WebRegistry(fake)


@pytest.fixture
def server(web: WebRegistry) -> t.Iterator[WebServer]:
    with running(web.respond) as server:
        yield server


@pytest.fixture
def lookup() -> t.Callable[..., list[str]]:
    """The lookup with its terms, and options or variables."""

    # The loader of Ansible does this with the file of a plugin.
    options_of = yaml.safe_load(plugin_file.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", "killinit.zot.digest", options_of)

    def run(*terms: t.Any, variables: t.Any = None, **options: t.Any) -> list[str]:
        templar = template.Templar(dataloader.DataLoader(), variables=variables or {})
        plugin = plugin_file.LookupModule(templar=templar)
        plugin._load_name = "killinit.zot.digest"
        found: list[str] = plugin.run(list(terms), variables or {}, **{"retries": 0, **options})
        return found

    return run


def test_many_references(server: WebServer, web: WebRegistry, lookup: t.Any) -> None:
    """In their order; each is requested once, and none is pulled."""
    terms = ["demo/app:latest", f"{server.host}/demo/app:r1", ["demo/other", "demo/app:latest"]]
    found = lookup(*terms, registry=server.host, **ACCOUNT)
    tags = web.fake.tags
    expected = [
        ("demo/app", tags["demo/app"]["latest"]),
        ("demo/app", tags["demo/app"]["r1"]),
        ("demo/other", tags["demo/other"]["latest"]),
        ("demo/app", tags["demo/app"]["latest"]),
    ]
    assert found == [f"{server.host}/{name}@{digest}" for name, digest in expected]
    assert sorted(each.method for each in server.requests) == ["HEAD"] * 3
    assert set(server.credentials) == {BASIC}


def test_a_digest_is_verified(server: WebServer, web: WebRegistry, lookup: t.Any) -> None:
    there = f"{server.host}/demo/app@{web.fake.tags['demo/app']['r1']}"
    assert lookup(there) == [there]
    with pytest.raises(errors.AnsibleError, match="does not exist"):
        lookup(f"{server.host}/demo/app@sha256:{'0' * 64}")


def test_nothing_is_left(server: WebServer, lookup: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No thread, no handler of a signal, no limit of the process, and no file, also after an error."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    threads = _threads()
    lookup("demo/app:r1", "demo/app:latest", registry=server.host, **ACCOUNT)
    with pytest.raises(errors.AnsibleError):
        lookup("demo/app:none", registry=server.host, **ACCOUNT)
    assert not _threads() - threads
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert resource.getrlimit(resource.RLIMIT_CORE) == limit
    assert list(tmp_path.iterdir()) == []


def _threads() -> set[threading.Thread]:
    """The threads, without those that answer the requests."""
    return {each for each in threading.enumerate() if each.name != REQUEST_THREAD}


def test_no_file_holds_the_password(
    web: WebRegistry, lookup: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even during the request."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found: list[bytes] = []

    def respond(request: Request) -> Reply:
        found.extend(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        return web.respond(request)

    with running(respond) as server:
        lookup("demo/app:r1", registry=server.host, **ACCOUNT)
    assert found
    assert not [each for each in found if b"s3cret" in each or BASIC[6:].encode() in each]


def test_the_environment_and_variables(server: WebServer, lookup: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options win over variables, and these over the environment. An empty variable is not set."""
    monkeypatch.setenv("ZOT_REGISTRY", server.host)
    monkeypatch.setenv("ZOT_USERNAME", "ci")
    monkeypatch.setenv("ZOT_PASSWORD", "s3cret")
    assert len(lookup("demo/app:r1", variables={"zot_validate_certs": "", "zot_ca_path": "", "zot_registry": ""})) == 1
    assert set(server.credentials) == {BASIC}
    server.requests.clear()
    lookup("demo/app:r1", variables={"zot_username": "other", "zot_password": "s3cret-too"})
    assert set(server.credentials) == {f"Basic {base64.b64encode(b'other:s3cret-too').decode()}"}


def test_variables_that_name_other_variables(server: WebServer, lookup: t.Any) -> None:
    """As in zot_password: "{{ vault_zot_password }}"."""
    # Before ansible-core 2.19 every text is a template.
    trusted = getattr(template, "trust_as_template", str)
    lookup(
        "demo/app:r1",
        registry=server.host,
        variables={"vault": "s3cret", "zot_username": "ci", "zot_password": trusted("{{ vault }}")},
    )
    assert set(server.credentials) == {BASIC}


def test_the_credentials_of_the_call(server: WebServer, lookup: t.Any, tmp_path: Path) -> None:
    """They replace all credentials in variables."""
    authfile = tmp_path / "auth.json"
    authfile.write_text(json.dumps({"auths": {server.host: {"auth": BASIC[6:]}}}), encoding="utf-8")
    others = {"zot_username": "other", "zot_password": "other"}
    assert lookup("demo/app:r1", registry=server.host, authfile=str(authfile), variables=others)
    assert lookup("demo/app:r1", registry=server.host, variables={"zot_authfile": "/none"}, **ACCOUNT)
    assert set(server.credentials) == {BASIC}


def test_the_auth_file_of_another_registry(
    server: WebServer, lookup: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account in the environment does not hide it."""
    authfile = tmp_path / "auth.json"
    authfile.write_text(json.dumps({"auths": {server.host: {"auth": BASIC[6:]}}}), encoding="utf-8")
    monkeypatch.setenv("ZOT_USERNAME", "other")
    monkeypatch.setenv("ZOT_PASSWORD", "other")
    assert lookup(f"{server.host}/demo/app:r1", registry="127.0.0.2:5000", authfile=str(authfile))
    assert set(server.credentials) == {BASIC}


def test_another_registry_does_not_get_the_account(server: WebServer, lookup: t.Any) -> None:
    lookup(f"{server.host}/demo/app:r1", registry="127.0.0.2:5000", **ACCOUNT)
    assert set(server.credentials) == {None}


@pytest.mark.parametrize(
    ("term", "options", "words"),
    [
        ("demo/app:r2", {}, "demo/app has 2 tags. The most similar are r1"),
        ("demo/none:r1", {}, "has no tags"),
        ("demo/app:r1", {"registry": None}, "no registry is given"),
        ("Demo", {}, "is not a valid repository"),
        (12, {}, "quote it"),
        ("demo/app:r1", {"validate_certs": "maybe"}, "validate_certs"),
        ("demo/app:r1", {"timeout": 0}, "at least 1"),
        ("demo/app:r1", {"authfile": "/none", "username": "other"}, "mutually exclusive"),
    ],
)
def test_errors(server: WebServer, lookup: t.Any, term: t.Any, options: t.Any, words: str) -> None:
    with pytest.raises(errors.AnsibleError) as raised:
        lookup(term, **{"registry": server.host, **ACCOUNT, **options})
    assert words in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_registry_that_hangs(lookup: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_file, "_FIRST_WAIT", 0.0)
    with running(lambda _request: Reply((b"{" for _number in range(50)), pause=0.2)) as server:
        server.respond = lambda _request: (server.ended.wait(3), Reply())[1]
        with pytest.raises(errors.AnsibleError, match="no complete answer within 1 seconds"):
            lookup("demo/app:r1", registry=server.host, timeout=1)
