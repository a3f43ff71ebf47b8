# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registries that answer what they like: used as data where that does no harm, or refused with a message."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from integration.support import Module

from environment.images import Images

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ESCAPES = "\x1b[2J\x1b[31m\x9b31m\u202e\nok: [localhost]\n"
CLASSES = (
    "tool_failed",
    "denied",
    "unauthorized",
    "not_found",
    "rate_limited",
    "platform_mismatch",
    "unavailable",
    "tls",
)


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


# What is answered to a path, by somebody with this Authorization.
Answers = Callable[[str, str], Answer]
ABSENT = Answer(b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', 404)


@contextlib.contextmanager
def _serving(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers(self.path.partition("?")[0], self.headers.get("Authorization", ""))
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815 - the names of the library

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _config(**changes: Any) -> bytes:
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": []}, **changes}).encode()


def _manifest(config: bytes, **changes: Any) -> bytes:
    entry = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _digest(config), "size": len(config)}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": entry, "layers": [], **changes}).encode()


def _index(*entries: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def _image(
    manifest: bytes | None = None,
    config: bytes | None = None,
    tags: Any = ("1",),
    media_type: str = MANIFEST,
    repository: str = "a",
) -> Answers:
    """A registry with the repository a, whose every tag means one image."""
    config = _config() if config is None else config
    manifest = _manifest(config) if manifest is None else manifest
    listed = tags if isinstance(tags, bytes) else json.dumps({"name": "a", "tags": list(tags)}).encode()

    def answer(path: str, _authorization: str) -> Answer:
        if "/manifests/" in path:
            return Answer(manifest, 200, {"Content-Type": media_type, "Docker-Content-Digest": _digest(manifest)})
        if path.endswith(_digest(config)):
            return Answer(config)
        catalog = json.dumps({"repositories": [repository]}).encode()
        found = {"/v2/": b"{}", "/v2/a/tags/list": listed, "/v2/_catalog": catalog}
        return Answer(found[path]) if path in found else ABSENT

    return answer


def _refusal(status: int, message: str, **headers: str) -> Answers:
    body = json.dumps({"errors": [{"code": "DENIED", "message": message, "detail": message}]}).encode()
    return lambda path, _authorization: Answer(b"{}") if path == "/v2/" else Answer(body, status, headers)


def _labelled(**labels: Any) -> Answers:
    return _image(config=_config(config={"Labels": labels}))


def _entry(**changes: Any) -> dict[str, Any]:
    return {"mediaType": MANIFEST, "size": 1, "digest": f"sha256:{'0' * 64}", **changes}


DEEP = b'{"a":' * 65 + b"0" + b"}" * 65
# By name: the registry, and the error class of a read, or None if a read succeeds.
REGISTRIES: dict[str, tuple[Answers, str | None]] = {
    "label with escapes": (_labelled(**{ESCAPES: ESCAPES}), None),
    "label like a secret": (_labelled(password="hunter2", token=f"Basic {base64.b64encode(b'a:b').decode()}"), None),
    "label like a template": (_labelled(a="{{ lookup('pipe', 'id') }}", b="{% raw %}", c="$(id)"), None),
    "label of half a pair": (_labelled(**{"\ud800": "\udfff"}), None),
    "label of 1 MiB": (_labelled(a="a" * (1 << 20)), None),
    "time that is an object": (_image(config=_config(created={"a": ESCAPES})), None),
    "config that is deep": (_image(config=b'{"a":' * 100_000), "tool_failed"),
    "config too deep to be printed": (_image(config=DEEP), "tool_failed"),
    "manifest that is HTML": (_image(manifest=b"<html>\x1b[2J"), "tool_failed"),
    "manifest that is deep": (_image(manifest=b'{"a":' * 100_000), "tool_failed"),
    "media type with escapes": (_image(manifest=_manifest(_config(), mediaType=ESCAPES)), None),
    "media type in the header with escapes": (_image(media_type="\x1b[2J"), "tool_failed"),
    "media type of nobody": (_image(media_type="text/plain"), None),
    "size of 5000 digits": (
        _image(manifest=_manifest(_config()).replace(b'"size": 68', b'"size": ' + b"9" * 5000)),
        "tool_failed",
    ),
    "entry with a path": (_image(manifest=_index(_entry(digest="../../etc/passwd")), media_type=INDEX), "tool_failed"),
    "entry that is a number": (_image(manifest=_index(1), media_type=INDEX), "tool_failed"),
    "entries that are an object": (_image(manifest=b'{"manifests": {"a": 1}}', media_type=INDEX), "tool_failed"),
    "platform with escapes": (_image(config=_config(os=ESCAPES, architecture="--help", variant="../..")), None),
    "tag with escapes": (_image(tags=[ESCAPES]), "tool_failed"),
    "tag with a path": (_image(tags=["../../etc/passwd"]), "tool_failed"),
    "tags that are numbers": (_image(tags=[1]), "tool_failed"),
    "tags without end": (_image(tags=[f"tag-{number}" for number in range(50_000)]), None),
    "repository with escapes": (_image(repository=ESCAPES), "tool_failed"),
    "repository with a path": (_image(repository="../../etc/passwd"), "tool_failed"),
    "error with escapes": (_refusal(403, ESCAPES), "denied"),
    "error of 50 KiB": (_refusal(403, "TOOMANYREQUESTS: " * 1500), "rate_limited"),
    "error of 1 MiB": (_refusal(403, "TOOMANYREQUESTS: " * 60_000), "tool_failed"),
    "error in a success": (_refusal(200, ESCAPES), "tool_failed"),
    "challenge with escapes": (_refusal(401, "no", **{"WWW-Authenticate": 'Basic realm="\x1b[2J"'}), "tool_failed"),
    "challenge to a file": (
        lambda _path, _authorization: Answer(
            b"{}", 401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd",service="a"'}
        ),
        "tool_failed",
    ),
    "redirect to a file": (lambda _path, _authorization: Answer(b"", 302, {"Location": "file:///etc/passwd"}), "tls"),
}


@pytest.mark.parametrize("name", REGISTRIES)
def test_registry(name: str, images: Images, module: Module) -> None:
    """Looked at, compared with an archive and joined: a result or an error, each of them printable, in bounded time."""
    answers, error_class = REGISTRIES[name]
    given = {"username": None, "password": None, "ca_path": None, "validate_certs": False, "timeout": 60}
    archive = {"archive": str(images["buildah-amd64"]), "repository": "a", "keep_previous": "{tag}-old"}
    joined = {"repository": "a", "manifests": ["1"], "tags": ["i"]}
    with _serving(answers) as host:
        started = time.monotonic()
        results = [
            module("zot_image_info", registry=host, images=["a:1"], repositories=["a"], catalog=True, **given),
            module("zot_push", registry=host, tags=["1"], check=True, diff=True, **archive, **given),
            module("zot_index", registry=host, check=True, diff=True, **joined, **given),
            module("zot_tag", registry=host, repository="a", source="1", tags=["i"], check=True, diff=True, **given),
            module("zot_rollback_info", registry=host, images=[{"repository": "a", "tags": ["1"]}], **given),
        ]
        assert time.monotonic() - started < 60
    for result in results:
        json.dumps(result, ensure_ascii=False).encode()
        if result["failed"]:
            assert result["error_class"] in CLASSES
            assert result["msg"].isprintable()
            assert "root:" not in result["msg"]
            assert len(result["msg"]) < 50_000
    assert results[0].get("error_class") == error_class, results[0]


def test_nothing_of_it_reaches_the_terminal(
    playbook: Callable[..., CompletedProcess[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    """As Ansible shows it: no escape, no line that Ansible did not write, no exception."""
    names = ["label with escapes", "label of half a pair", "label like a template", "config too deep to be printed"]
    names += ["tag with escapes", "error with escapes", "error of 50 KiB", "platform with escapes"]
    for name in ("ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_CA_PATH"):
        del environment[name]
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(_serving(REGISTRIES[name][0])) for name in names]
        tasks = [
            {
                "name": name,
                "killinit.zot.zot_image_info": {"registry": host, "images": ["a:1"], "repositories": ["a"]},
                "ignore_errors": True,
            }
            for name, host in zip(names, hosts)
        ]
        play = tmp_path / "play.json"
        play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        run = playbook(play, "-v")
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    assert "\x1b" not in output
    assert "ok: [localhost]" not in [line.strip() for line in output.splitlines()]
    assert "Traceback" not in output
    assert output.count("FAILED! => ") == output.count('"error_class"') == 4
