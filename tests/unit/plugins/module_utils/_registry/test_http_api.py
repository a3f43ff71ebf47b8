# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import sys
import sysconfig
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry import runner as runner_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_library
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request, WebServer, running

pytest.importorskip("requests")

BASIC = "Basic " + base64.b64encode(b"ci:s3cret").decode()
DIGEST = f"sha256:{'a' * 64}"
PATH = "/v2/demo/app/tags/list"
# The body of Zot's errors, as Zot 2.1.20 sends it.
DENIED = b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":{}}]}'
NAME_UNKNOWN = b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{}}]}'
QUOTA = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests","detail":{"limit":"1"}}]}'
MANIFEST_INVALID = b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":{"reference":"1"}}]}'
UNAUTHORIZED = b'{"code":"UNAUTHORIZED","message":"authentication required","detail":{"description":"no"}}'


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch, tools: Path) -> None:
    assert tools.is_dir()
    monkeypatch.setattr(runner_file, "_FIRST_WAIT", 0.0)


@contextlib.contextmanager
def session(host: str, directory: Path, **options: t.Any) -> t.Iterator[Session]:
    given = {"username": "ci", "password": "s3cret", "timeout": 5, "retries": 0, **options}
    with open_task(str(directory)) as task:
        yield task.session(Options(host, **given))


@contextlib.contextmanager
def served(
    respond: t.Callable[[Request], Reply] | Reply, directory: Path, **options: t.Any
) -> t.Iterator[tuple[Http, WebServer]]:
    answer = (lambda _request: respond) if isinstance(respond, Reply) else respond
    with running(answer) as server, session(server.host, directory, **options) as opened:
        yield Http(opened), server


def bearer(request: Request) -> Reply:
    """A registry that wants a token, and its realm; the token names the scope."""
    parts = urlsplit(request.path)
    if parts.path == "/token":
        scope = parse_qs(parts.query)["scope"][0]
        return Reply(json.dumps({"token": f"for-{scope}", "expires_in": 300}).encode())
    if request.authorization != f"Bearer for-repository:{parts.path.split('/tags')[0][4:]}:pull":
        realm = f'Basic realm="other, realm", Bearer realm="http://{HOST[0]}/token",service="the registry, ours"'
        return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": realm})
    return Reply()


HOST: list[str] = []


def test_connections_are_kept_alive(tmp_path: Path) -> None:
    with served(Reply(), tmp_path) as (http, server):
        for _time in range(5):
            assert http.document("demo/app", PATH) == {}
    assert len({each.connection for each in server.requests}) == 1
    assert server.credentials == [BASIC] * 5


def test_netrc_does_not_replace_the_account(tmp_path: Path) -> None:
    """Nor is it used where the task has no account."""
    netrc = Path.home() / ".netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n", encoding="utf-8")
    netrc.chmod(0o600)
    with served(Reply(), tmp_path) as (http, server):
        http.document("demo/app", PATH)
    assert server.credentials == [BASIC]
    with served(Reply(), tmp_path, username=None, password=None) as (http, server):
        http.document("demo/app", PATH)
    assert server.credentials == [None]


@pytest.mark.parametrize("key", ["{host}", "{host}/demo", "http://{host}/v2/"])
def test_the_entry_of_an_authfile(key: str, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    with running(lambda _request: Reply()) as server:
        entry = {"auth": base64.b64encode(b"ci:s3cret").decode()}
        authfile.write_text(json.dumps({"auths": {key.format(host=server.host): entry}}), encoding="utf-8")
        options = {"username": None, "password": None, "authfile": str(authfile)}
        with session(server.host, tmp_path, **options) as opened:
            Http(opened).document("demo/app", PATH)
    assert server.credentials == [BASIC]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"Username": "ci", "Secret": "s3cret"}', BASIC),
        ("credentials not found in native keychain", None),
        ('{"Username": "ci"}', "does not return the credentials"),
    ],
)
def test_a_credential_helper(output: str, expected: str | None, tools: Path, tmp_path: Path) -> None:
    helper = tools / "docker-credential-test"
    status = 0 if output.startswith("{") else 1
    helper.write_text(f"#!/bin/sh\nread host\necho '{output}'\nexit {status}\n", encoding="utf-8")
    helper.chmod(0o755)
    authfile = tmp_path / "auth.json"
    authfile.write_text('{"credsStore": "test"}', encoding="utf-8")
    with served(Reply(), tmp_path, username=None, password=None, authfile=str(authfile)) as (http, server):
        if expected and expected != BASIC:
            with pytest.raises(ZotError, match=expected):
                http.document("demo/app", PATH)
        else:
            http.document("demo/app", PATH)
            assert server.credentials == [expected]


def test_a_token_is_got_once_for_each_repository(tmp_path: Path) -> None:
    with served(bearer, tmp_path) as (http, server):
        HOST[:] = [server.host]
        for _time in range(3):
            assert http.document("demo/app", PATH) == {}
        assert http.document("demo/web", PATH.replace("app", "web")) == {}
    tokens = [each for each in server.requests if each.path.startswith("/token")]
    assert [parse_qs(urlsplit(each.path).query) for each in tokens] == [
        {"service": ["the registry, ours"], "scope": [f"repository:demo/{name}:pull"]} for name in ("app", "web")
    ]
    # The credentials are sent in the first request of each repository, and to the realm.
    assert [each.authorization for each in tokens] == [BASIC, BASIC]
    assert server.credentials.count(BASIC) == 4


def test_threads_share_a_token(tmp_path: Path) -> None:
    with served(bearer, tmp_path) as (http, server):
        HOST[:] = [server.host]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _n: http.document("demo/app", PATH), range(8))) == [{}] * 8
    assert sum(each.path.startswith("/token") for each in server.requests) == 1


def test_a_token_that_is_not_accepted_any_more(tmp_path: Path) -> None:
    valid = ["one"]

    def respond(request: Request) -> Reply:
        if request.path.startswith("/token"):
            return Reply(json.dumps({"access_token": valid[0]}).encode())
        if request.authorization == f"Bearer {valid[0]}":
            return Reply()
        return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": f'Bearer realm="http://{HOST[0]}/token"'})

    with served(respond, tmp_path) as (http, server):
        HOST[:] = [server.host]
        assert http.document("demo/app", PATH) == {}
        valid[0] = "two"
        assert http.document("demo/app", PATH) == {}
        valid[0] = ""
        with pytest.raises(ZotError, match="it has no token"):
            http.document("demo/app", PATH)


def test_an_identity_token(tmp_path: Path) -> None:
    """As docker login writes it for a registry that has OAuth."""
    authfile = tmp_path / "auth.json"

    def respond(request: Request) -> Reply:
        if request.path == "/token":
            form = parse_qs(request.body.decode())
            assert (request.method, form["grant_type"], form["refresh_token"]) == (
                "POST",
                ["refresh_token"],
                ["secret"],
            )
            return Reply(b'{"access_token": "a-token"}')
        if request.authorization == "Bearer a-token":
            return Reply()
        return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": f'Bearer realm="http://{server.host}/token"'})

    with running(respond) as server:
        auths = {"auths": {server.host: {"identitytoken": "secret"}}}
        authfile.write_text(json.dumps(auths), encoding="utf-8")
        with session(server.host, tmp_path, username=None, password=None, authfile=str(authfile)) as opened:
            assert Http(opened).document("demo/app", PATH) == {}


@pytest.mark.parametrize(
    ("realm", "message"),
    [
        ("file:///etc/passwd", "is not an address with https"),
        ("https://[/token", "it names the address"),
        ("", "does not accept"),
    ],
)
def test_a_realm_that_must_not_get_the_account(realm: str, message: str, tmp_path: Path) -> None:
    reply = Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": f'Bearer realm="{realm}"' if realm else "Bearer"})
    with served(reply, tmp_path) as (http, _server), pytest.raises(ZotError) as raised:
        http.document("demo/app", PATH)
    assert message in f"{raised.value.message} {raised.value.hint}"


def test_a_remote_registry_cannot_name_a_realm_without_tls(tmp_path: Path) -> None:
    """Not even one on this machine."""
    with session("registry.example", tmp_path) as opened:
        for realm in ("http://realm.example/token", "http://127.0.0.1/token"):
            with pytest.raises(ZotError, match="is not an address with https"):
                Http(opened)._token({"realm": realm}, "repository:demo/app:pull", BASIC, "")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_another_host_does_not_get_the_account(status: int, tmp_path: Path) -> None:
    """A registry may keep blobs elsewhere, https://github.com/project-zot/zot/pull/4092."""
    with (
        running(lambda _request: Reply(b'{"elsewhere": true}'), "127.0.0.2") as other,
        served(lambda request: Reply(b"", status, {"Location": f"http://{other.host}{request.path}"}), tmp_path) as (
            http,
            server,
        ),
    ):
        assert http.document("demo/app", PATH) == {"elsewhere": True}
    assert (server.credentials, other.credentials) == ([BASIC], [None])


def test_another_host_cannot_ask_for_the_account(tmp_path: Path) -> None:
    def challenge(request: Request) -> Reply:
        return Reply(b"", 401, {"WWW-Authenticate": f'Bearer realm="http://{other.host}{request.path}/token"'})

    with (
        running(challenge, "127.0.0.2") as other,
        served(lambda _request: Reply(b"", 307, {"Location": f"http://{other.host}/"}), tmp_path) as (http, _server),
        pytest.raises(ZotError) as raised,
    ):
        http.document("demo/app", PATH)
    assert raised.value.error_class == "unauthorized"
    assert other.credentials == [None]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/v2/again", "redirects more than 3 times"),
        ("file:///etc/passwd", "not an address with https"),
        ("ftp://127.0.0.1/x", "not an address with https"),
        ("http://[::1", "it names the address"),
        ("http://127.0.0.1:99999999/", "it names the address"),
    ],
)
def test_a_redirect_that_is_refused(location: str, message: str, tmp_path: Path) -> None:
    reply = Reply(b"", 302, {"Location": location})
    with served(reply, tmp_path) as (http, _server), pytest.raises(ZotError, match=message) as raised:
        http.document("demo/app", PATH)
    assert raised.value.error_class == "tool_failed"


@pytest.mark.parametrize(
    ("reply", "error_class", "message", "times"),
    [
        (Reply(UNAUTHORIZED, 401), "unauthorized", "HTTP status 401", 1),
        (Reply(DENIED, 403), "denied", "HTTP status 403, DENIED", 1),
        (Reply(b"Too Many Requests", 429), "rate_limited", "HTTP status 429", 3),
        (Reply(QUOTA, 429), "quota_exceeded", "TOOMANYREQUESTS", 1),
        (Reply(b"", 500), "unavailable", "HTTP status 500", 3),
        (Reply(b"<html>Bad gateway</html>", 502, {"Content-Type": "text/html"}), "unavailable", "502", 3),
        (Reply(b"", 204), "tool_failed", "HTTP status 204", 1),
        (Reply(b"<html>Log in</html>", 200, {"Content-Type": "text/html"}), "tool_failed", "text/html", 1),
        (Reply(b"[" * 100_000), "tool_failed", "not valid JSON", 1),
        (Reply(b'{"a":' * 100 + b"1" + b"}" * 100), "tool_failed", "more than 64 levels", 1),
        (Reply(b"[]"), "tool_failed", "not a JSON object", 1),
        (Reply(b'"text"'), "tool_failed", "not a JSON object", 1),
        (Reply(b'{"a": NaN}'), "tool_failed", "not valid JSON", 1),
        (Reply(b"\xff\xfe"), "tool_failed", "not valid JSON", 1),
        (Reply(b""), "tool_failed", "not valid JSON", 1),
        (Reply(b"[" * 100_000, 400), "tool_failed", "HTTP status 400", 1),
        (Reply(b'{"errors": 1}', 400), "tool_failed", "HTTP status 400", 1),
        (Reply(b'{"errors": [1, {"code": {}}, {"code": "\\u001b[2J"}]}', 400), "tool_failed", "HTTP status 400", 1),
    ],
)
def test_an_answer_that_is_an_error(reply: Reply, error_class: str, message: str, times: int, tmp_path: Path) -> None:
    """The request is repeated only where that can help."""
    with served(reply, tmp_path, retries=2) as (http, server), pytest.raises(ZotError) as raised:
        http.document("demo/app", PATH)
    assert (raised.value.error_class, len(server.requests)) == (error_class, times)
    assert message in raised.value.message
    assert "\x1b" not in raised.value.message


@pytest.mark.parametrize(("body", "status"), [(NAME_UNKNOWN, 404), (NAME_UNKNOWN, 400), (b"", 404)])
def test_what_does_not_exist(body: bytes, status: int, tmp_path: Path) -> None:
    with served(Reply(body, status), tmp_path) as (http, _server):
        assert http.document("demo/app", PATH) is None
        assert list(http.pages("demo/app", PATH)) == []


def test_retry_after_is_respected(tmp_path: Path) -> None:
    replies = [Reply(b"Too Many Requests", 429, {"Retry-After": "1"}), Reply()]
    with served(lambda _request: replies.pop(0), tmp_path, retries=1) as (http, _server):
        start = time.monotonic()
        assert http.document("demo/app", PATH) == {}
        assert time.monotonic() - start >= 0.9


def test_two_hundred_megabytes(tmp_path: Path) -> None:
    """The answer is not read to its end."""
    # Much more than the buffers of the kernel hold in addition to what is read.
    size = 200
    sent = [0]

    def body() -> t.Iterator[bytes]:
        yield b'{"padding": "'
        for _number in range(size):
            sent[0] += 1
            yield b"a" * 1024 * 1024
        yield b'"}'

    with served(Reply(body()), tmp_path) as (http, _server), pytest.raises(ZotError, match="longer than 32 MiB"):
        http.document("demo/app", PATH)
    assert sent[0] < size


@pytest.mark.parametrize("pause", [30, 0.3])
def test_an_answer_that_does_not_end(pause: float, tmp_path: Path) -> None:
    """Neither one that never begins, nor one that sends a byte again and again."""
    reply = Reply(iter([b" "] * 100), pause=pause)
    with served(reply, tmp_path, timeout=1) as (http, _server):
        start = time.monotonic()
        with pytest.raises(ZotError, match="no complete answer within 1 seconds") as raised:
            http.document("demo/app", PATH)
        assert time.monotonic() - start < 15
    assert raised.value.retryable


def test_the_end_of_the_task_ends_a_request(tmp_path: Path) -> None:
    reply = Reply(iter([b" "] * 100), pause=30)
    with running(lambda _request: reply) as server, session(server.host, tmp_path, timeout=60) as opened:
        http = Http(opened)
        threading.Timer(0.3, opened.runner.end).start()
        start = time.monotonic()
        with pytest.raises(ZotError, match="the task was ended"):
            http.document("demo/app", PATH)
        assert time.monotonic() - start < 15


def test_a_connection_that_breaks(tmp_path: Path) -> None:
    """An answer that is shorter than announced is no answer."""
    reply = Reply(b"{}", 200, {"Content-Length": "100", "Connection": "close"})
    with served(reply, tmp_path) as (http, _server), pytest.raises(ZotError) as raised:
        http.document("demo/app", PATH)
    assert raised.value.error_class == "unavailable"


def test_the_registry_does_not_run(tmp_path: Path) -> None:
    with session("127.0.0.1:1", tmp_path) as opened, pytest.raises(ZotError) as raised:
        Http(opened).document("demo/app", PATH)
    assert raised.value.error_class == "unavailable"
    assert raised.value.message == "cannot read 127.0.0.1:1/v2/demo/app/tags/list: [Errno 111] Connection refused"


@pytest.fixture(name="localtest")
def _localtest(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[WebServer]:
    """A server without TLS whose name is not that of this machine: plain HTTP is refused."""
    lookup = socket.getaddrinfo
    monkeypatch.setattr("socket.getaddrinfo", lambda _host, *more, **options: lookup("127.0.0.1", *more, **options))
    with running(lambda _request: Reply()) as server:
        server.host = f"localtest:{server.host.rpartition(':')[2]}"
        yield server


def test_plain_http_needs_an_option(localtest: WebServer, tmp_path: Path) -> None:
    """Except on this machine; elsewhere the account is not sent in the clear."""
    with session(localtest.host, tmp_path) as opened, pytest.raises(ZotError) as raised:
        Http(opened).document("demo/app", PATH)
    assert (raised.value.error_class, localtest.requests) == ("tls", [])
    with session(localtest.host, tmp_path, validate_certs=False) as opened:
        assert Http(opened).document("demo/app", PATH) == {}
    assert localtest.credentials == [BASIC]


def test_a_connection_does_not_change_the_tls_context_of_all(
    localtest: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may read it at that time: https://github.com/python/cpython/issues/141012"""
    changed: list[ssl.SSLContext] = []
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda context, _protocols: changed.append(context))
    with session(localtest.host, tmp_path) as opened:
        http = Http(opened)
        for _connection in range(3):
            with pytest.raises(ZotError, match="cannot read"):
                http.document("demo/app", PATH)
    assert len(changed) == 1


def test_pages(tmp_path: Path) -> None:
    """Zot's links are relative."""

    def respond(request: Request) -> Reply:
        more = "last" not in request.path
        link = {"Link": f'<{PATH}?n=1&last=b>; rel="next"'} if more else {}
        return Reply(json.dumps({"tags": ["b" if more else "c"]}).encode(), 200, link)

    with served(respond, tmp_path) as (http, server):
        assert list(http.pages("demo/app", f"{PATH}?n=1")) == [{"tags": ["b"]}, {"tags": ["c"]}]
    assert [each.path for each in server.requests] == [f"{PATH}?n=1", f"{PATH}?n=1&last=b"]


def test_pages_that_never_end(tmp_path: Path) -> None:
    """A page that names itself, one that does not exist, and one on another host: half a list is no list."""
    itself = Reply(b"{}", 200, {"Link": f'<{PATH}>; rel="next"'})
    with served(itself, tmp_path) as (http, _server), pytest.raises(ZotError, match="its pages do not end"):
        list(http.pages("demo/app", PATH))
    replies = [Reply(b"{}", 200, {"Link": f'<{PATH}?last=a>; rel="next"'}), Reply(NAME_UNKNOWN, 404)]
    with (
        served(lambda _request: replies.pop(0), tmp_path) as (http, _server),
        pytest.raises(ZotError, match="its next page does not exist"),
    ):
        list(http.pages("demo/app", PATH))
    elsewhere = Reply(b"{}", 200, {"Link": '<https://other.example/v2/>; rel="next"'})
    with served(elsewhere, tmp_path) as (http, _server), pytest.raises(ZotError, match="is on another host"):
        list(http.pages("demo/app", PATH))


@pytest.mark.parametrize("tags", ["text", {"1": 2}, [1], [None], [["a"]], ["../up"], ["-rf"], ["a\n"], [""], True])
def test_tags_of_wrong_types(tags: t.Any, tmp_path: Path) -> None:
    reply = Reply(json.dumps({"tags": tags}).encode())
    with served(reply, tmp_path) as (http, _server), pytest.raises(ZotError, match="not a list of tags"):
        http.tags("demo/app")


@pytest.mark.parametrize("tags", [None, []])
def test_no_tags(tags: t.Any, tmp_path: Path) -> None:
    """Zot and Distribution write an empty list as null."""
    with served(Reply(json.dumps({"tags": tags}).encode()), tmp_path) as (http, _server):
        assert http.tags("demo/app") == []


def test_digest(tmp_path: Path) -> None:
    with served(Reply(b"", 200, {"Docker-Content-Digest": DIGEST}), tmp_path) as (http, server):
        app = Reference(server.host, "demo/app", "1")
        assert http.digest(app) == http.digest(app.pinned(DIGEST)) == DIGEST
        with pytest.raises(ZotError, match="its digest is"):
            http.digest(app.pinned(f"sha256:{'b' * 64}"))
    assert {each.method for each in server.requests} == {"HEAD"}


@pytest.mark.parametrize("headers", [{}, {"Docker-Content-Digest": "sha512:0"}, {"Docker-Content-Digest": "\x1b"}])
def test_an_answer_without_a_digest(headers: dict[str, str], tmp_path: Path) -> None:
    with served(Reply(b"", 200, headers), tmp_path) as (http, server), pytest.raises(ZotError, match="its digest is"):
        http.digest(Reference(server.host, "demo/app", "1"))


def test_cookies_are_not_kept(tmp_path: Path) -> None:
    with served(Reply(b"{}", 200, {"Set-Cookie": "session=1"}), tmp_path) as (http, server):
        for _number in range(2):
            http.document("demo/app", PATH)
    assert [request.cookie for request in server.requests] == [None, None]


def test_no_proxy_is_used_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with served(Reply(), tmp_path) as (http, server):
        assert http.document("demo/app", PATH) == {}
    assert len(server.requests) == 1


def test_without_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with session("127.0.0.1:5000", tmp_path) as opened, pytest.raises(ZotError, match="library requests") as raised:
        Http(opened)
    assert raised.value.error_class == "tool_missing"
    assert f"{sys.executable} -m pip install requests" in raised.value.hint


def test_a_python_that_pip_does_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of Debian, with which its package of ansible-core runs."""
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    for prefix, command in ((sys.base_prefix, "apt install python3-requests"), ("/venv", "-m pip install requests")):
        monkeypatch.setattr(sys, "prefix", prefix)
        assert command in str(missing_library("requests", "to read the registry").hint)


MANIFEST = ("application/vnd.oci.image.manifest.v1+json", b'{"schemaVersion":2}')


def test_a_write_with_a_token(tmp_path: Path) -> None:
    """The token allows to push, and the request is sent again with it."""

    def respond(request: Request) -> Reply:
        parts = urlsplit(request.path)
        if parts.path == "/token":
            return Reply(json.dumps({"token": parse_qs(parts.query)["scope"][0]}).encode())
        if request.authorization == "Bearer repository:demo/app:pull,push":
            return Reply(b"", 201)
        challenge = f'Bearer realm="http://{HOST[0]}/token",service="registry"'
        return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": challenge})

    with served(respond, tmp_path) as (http, server):
        HOST[:] = [server.host]
        http.put_manifest(Reference(server.host, "demo/app", "1"), *MANIFEST)
    sent = [(each.method, each.path.partition("?")[0], each.body) for each in server.requests]
    put = ("PUT", "/v2/demo/app/manifests/1", MANIFEST[1])
    assert sent == [put, ("GET", "/token", b""), put]


@pytest.mark.parametrize(
    ("reply", "error_class", "message"),
    [
        (Reply(b"", 307, {"Location": "/v2/demo/other/manifests/1"}), "tool_failed", "HTTP status 307"),
        (Reply(DENIED, 403), "denied", "HTTP status 403, DENIED"),
        (Reply(MANIFEST_INVALID, 400), "manifest_invalid", "HTTP status 400, MANIFEST_INVALID"),
        (Reply(b"<h1>413 Request Entity Too Large</h1>", 413), "tool_failed", "HTTP status 413"),
        (Reply(b"", 502), "unavailable", "HTTP status 502"),
    ],
)
def test_a_refused_write(reply: Reply, error_class: str, message: str, tmp_path: Path) -> None:
    """It is sent once: a redirect does not choose what is written, and the caller repeats a write."""
    with (
        served(reply, tmp_path, retries=3) as (http, server),
        pytest.raises(ZotError, match=f"cannot write .*/demo/app:1: {message}") as raised,
    ):
        http.put_manifest(Reference(http.name, "demo/app", "1"), *MANIFEST)
    assert raised.value.error_class == error_class
    assert ("client_max_body_size" in raised.value.hint) is (reply.status == 413)
    assert len(server.requests) == 1
