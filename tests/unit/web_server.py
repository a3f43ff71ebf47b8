# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP server on a loopback address. A test chooses its answers, and can read the requests."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The name of each thread that answers a request. Before Python 3.10, http.server gives them no name of their own.
REQUEST_THREAD = "request of web_server.py"


@dataclass(frozen=True)
class Request:
    """A request that the server has received. *connection* is a number that differs for each connection."""

    method: str
    path: str
    authorization: str | None
    connection: int
    body: bytes = b""
    cookie: str | None = None


@dataclass(frozen=True)
class Reply:
    """An answer. Pieces of *body* are sent one after the other, *pause* seconds apart."""

    body: bytes | t.Iterable[bytes] = b"{}"
    status: int = 200
    headers: t.Mapping[str, str] = field(default_factory=dict)
    pause: float = 0


@dataclass
class WebServer:
    """Answers each request with what *respond* returns."""

    respond: t.Callable[[Request], Reply]
    host: str = ""
    requests: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def credentials(self) -> list[str | None]:
        """The Authorization header of each request."""
        return [each.authorization for each in self.requests]


@contextlib.contextmanager
def running(respond: t.Callable[[Request], Reply], address: str = "127.0.0.1") -> t.Iterator[WebServer]:
    """A server until the end of the block."""
    server = WebServer(respond)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise each body waits 40 ms for the ACK of its headers

        def log_message(self, *_arguments: t.Any) -> None:
            """Print nothing."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            credentials = self.headers.get("Authorization")
            cookie = self.headers.get("Cookie")
            request = Request(self.command, self.path, credentials, self.client_address[1], body, cookie)
            server.requests.append(request)
            reply = server.respond(request)
            pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
            # A test may let the client give up.
            with contextlib.suppress(OSError):
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                if isinstance(reply.body, bytes):
                    self.send_header("Content-Length", str(len(reply.body)))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
                for piece in pieces if self.command != "HEAD" else ():
                    self.wfile.write(piece)
                    self.wfile.flush()
                    if reply.pause and server.ended.wait(reply.pause):
                        return

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - names of http.server

    class QuietServer(ThreadingHTTPServer):
        def process_request(self, *request: t.Any) -> None:
            target = self.process_request_thread
            threading.Thread(target=target, args=request, name=REQUEST_THREAD, daemon=True).start()

        def handle_error(self, *_arguments: t.Any) -> None:
            """Print nothing: a client that first tries TLS is not an error."""

    http = QuietServer((address, 0), Handler)
    server.host = f"{address}:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        http.shutdown()
        http.server_close()
        thread.join()
