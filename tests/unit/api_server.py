# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP server on the loopback address that answers a Kubernetes client: for tests of the client's side alone."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import typing as t
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import Client

Dict = dict[str, t.Any]
SELECTORS = ("labelSelector", "fieldSelector")
VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}


@dataclass(frozen=True)
class Request:
    """A request that the server received."""

    verb: str
    path: str
    query: dict[str, str]
    headers: Message
    body: Dict


@dataclass(frozen=True)
class Unfinished:
    """A body whose last character never comes. *pause* are the seconds before each character."""

    text: str
    pause: float = 0.0


@dataclass
class ApiServer:
    """Answers each request with what *respond* returns: a status and a body, which is JSON unless it is text.

    With the status 0 the connection ends without an answer, and with Unfinished in the middle of the body.

    *headers* are added to these answers. The discovery of resources, which the modules of kubernetes.core need, is
    answered without *respond*, and only *discoveries* has its paths.
    """

    respond: t.Callable[[Request], tuple[int, t.Any]]
    address: str = ""
    requests: list[Request] = field(default_factory=list)
    discoveries: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def kubeconfig(self, path: Path) -> Path:
        """A file with an account for this server."""
        path.write_text(json.dumps(kubeconfig(self.address)), encoding="utf-8")
        return path


def kubeconfig(address: str) -> Dict:
    """A kubeconfig as a dictionary."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": address}}],
        "users": [{"name": "test", "user": {"token": "a-token"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


def status(code: int, reason: str, message: str) -> tuple[int, Dict]:
    """An error as the API server answers it."""
    return code, {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def holding(cluster: Client) -> t.Callable[[Request], tuple[int, t.Any]]:
    """The answers of an API server that holds the objects of *cluster*, and lets nobody change them."""

    def respond(request: Request) -> tuple[int, t.Any]:
        parts = request.path.strip("/").split("/")
        # /api/v1/…, /apis/GROUP/VERSION/…
        parts = parts[2 if parts[0] == "api" else 3 :]
        namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 else None
        resource, *names = parts[2 if namespace else 0 :]
        labels, fields = ([request.query[name]] if name in request.query else [] for name in SELECTORS)
        try:
            if request.verb != "GET":
                return status(405, "MethodNotAllowed", f"{request.verb} is not allowed")
            if not names:
                return 200, {"items": cluster.list(resource, namespace, labels=labels, fields=fields)}
            document = cluster.get(resource, namespace or "", names[0])
        except ClusterError as error:
            return status(error.status or 500, "Forbidden", error.message)
        if document is None:
            return status(404, "NotFound", f'{resource} "{names[0]}" not found')
        return 200, document

    return respond


def _discovery(path: str) -> Dict | None:
    resource = {"namespaced": True, "singularName": "", "verbs": ["get", "list", "patch"]}
    return {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": {
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [{**resource, "name": "pods", "kind": "Pod"}],
        },
        "/apis": {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": "apps",
                    "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
                    "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
                }
            ],
        },
        "/apis/apps/v1": {
            "kind": "APIResourceList",
            "groupVersion": "apps/v1",
            "resources": [{**resource, "name": "deployments", "kind": "Deployment"}],
        },
    }.get(path)


@contextlib.contextmanager
def running(respond: t.Callable[[Request], tuple[int, t.Any]]) -> t.Iterator[ApiServer]:
    """A server until the end of the block."""
    server = ApiServer(respond)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise each body waits 40 ms for the ACK of its headers

        def log_message(self, *_arguments: t.Any) -> None:
            """Print nothing."""

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            code, answer, headers = 200, _discovery(parts.path), {}
            if answer:
                server.discoveries.append(parts.path)
            else:
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                request = Request(self.command, parts.path, query, self.headers, body)
                server.requests.append(request)
                code, answer = server.respond(request)
                headers = server.headers
            if not code:
                self.close_connection = True
                return
            is_text = isinstance(answer, str)
            unfinished = answer if isinstance(answer, Unfinished) else None
            data = (unfinished.text if unfinished else answer if is_text else json.dumps(answer)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/html" if is_text else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            # A test may let the client give up.
            with contextlib.suppress(OSError):
                self.end_headers()
                if not unfinished:
                    self.wfile.write(data)
                    return
                self.close_connection = True
                for number in range(len(data) - 1):
                    self.wfile.write(data[number : number + 1])
                    time.sleep(unfinished.pause)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
