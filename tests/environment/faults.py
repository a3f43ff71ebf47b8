# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy in front of a registry, in its own process, that causes faults in selected requests.

    with faults.between(registry) as proxy:
        proxy.set(Fault("status", "PUT .*/manifests/", status=503, times=2))
        ...  # the tools talk to proxy.host

It uses aiohttp, which is in the requirements already. mitmproxy conflicts with the pinned packages, and forwards whole
bodies only, but the tests need connections that break in the middle of a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import multiprocessing
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import trustme
from aiohttp import ClientError, ClientSession, TCPConnector, web
from yarl import URL

from environment.registry import Registry, write_private

# For cookies, credentials and certificates another host, but on this machine.
ELSEWHERE = "127.0.0.2"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})
_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_HUGE = 100 * 1024**2
_FOREVER = 3600


@dataclass(frozen=True)
class Fault:
    """One fault, from the request numbered *after* on, *times* times; None is every time.

    | what | what happens |
    |---|---|
    | status | an answer of *status*, with *headers* and *body*; the registry sees nothing |
    | stall | no answer |
    | hold | *size* bytes of the request's body go through, the rest only after release() |
    | break-request, break-answer | *size* bytes of the body go through, then the connection is reset |
    | half | an answer whose body ends at half of the announced length |
    | slow | an answer in ten pieces, half a second slower |
    | corrupt | an answer whose body has one wrong digest |
    | digest | an answer whose header has a wrong digest |
    | lost | the registry handles the request, and the connection is reset before its answer |
    | silent | the registry handles the request, and there is no answer |
    | redirect | an answer that points to another host, which allows everybody to read and requires credentials for
      writes; 307, or another *status* |
    | huge | 100 MB of valid JSON |
    | count | none; *size* of the recorded request is the number of bytes in its body |
    | certificate | the connection shows the certificate *body*: expired or foreign; *where* does not count |
    """

    what: str
    where: str = ""  # a regular expression for "METHOD /path"
    after: int = 0
    times: int | None = None
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    size: int = 0


@dataclass(frozen=True)
class RecordedRequest:
    """A request that a fault was applied to or that reached the other host; *credentials*: whether it had any."""

    request: str
    what: str
    credentials: bool
    size: int = 0


class Proxy:
    """The proxy, as the tests use it."""

    def __init__(self, registry: Registry, host: str, ca: Path, connection: Connection) -> None:
        self.registry = registry
        self.host = host
        self.ca = ca
        self._connection = connection

    def set(self, *faults: Fault) -> None:
        """Replace the faults, clear the recorded requests, and release the held requests."""
        self._call("set", *faults)

    def release(self) -> None:
        """Release the requests that a fault holds."""
        self._call("release")

    def recorded_requests(self) -> list[RecordedRequest]:
        """The requests since set() that a fault was applied to or that reached the other host, in order."""
        return self._call("requests")

    def _call(self, *message: Any) -> Any:
        self._connection.send(message)
        return self._connection.recv()


@contextlib.contextmanager
def between(registry: Registry) -> Iterator[Proxy]:
    """A proxy in front of this registry for the time of a `with` block."""
    ca = trustme.CA(organization_name="killinit.zot tests, the proxy")
    expired = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    names = ("127.0.0.1", ELSEWHERE, "localhost")
    certificates = {
        "good": ca.issue_cert(*names),
        "expired": ca.issue_cert(*names, not_after=expired),
        "foreign": trustme.CA().issue_cert(*names),
    }
    for name, certificate in certificates.items():
        write_private(registry.directory / f"proxy-{name}.pem", certificate.private_key_and_cert_chain_pem.bytes())
    authority = registry.directory / "proxy-ca.pem"
    write_private(authority, ca.cert_pem.bytes())

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, registry), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Proxy(registry, f"127.0.0.1:{ours.recv()}", authority, ours)
    finally:
        process.terminate()
        process.join()


# --- the process of the proxy -----------------------------------------------------------------------------------------


def _main(connection: Connection, registry: Registry) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # it is for the tests, which then end this process
        asyncio.run(_Server(connection, registry).run())


class _Server:
    def __init__(self, connection: Connection, registry: Registry) -> None:
        self._connection = connection
        self._registry = registry
        self._faults: list[Fault] = []
        self._counts: list[int] = []  # the number of requests of each fault
        self._recorded: list[RecordedRequest] = []
        self._released = asyncio.Event()
        self._passed: dict[str, str] = {}  # the credentials of what was sent to the other host
        self._elsewhere = ""
        self._contexts = {name: self._context(name) for name in ("good", "expired", "foreign")}
        self._contexts["good"].sni_callback = self._choose_certificate

    async def run(self) -> None:
        trusted = ssl.create_default_context(cafile=str(self._registry.ca))
        connector = TCPConnector(ssl=trusted, limit=0)
        async with ClientSession(connector=connector, auto_decompress=False) as self._session:
            port = await self._listen("127.0.0.1", self._handle)
            self._elsewhere = f"{ELSEWHERE}:{await self._listen(ELSEWHERE, self._handle_elsewhere)}"
            asyncio.get_running_loop().add_reader(self._connection.fileno(), self._handle_command)
            self._connection.send(port)
            await asyncio.sleep(float("inf"))

    async def _listen(self, address: str, handler: Any) -> int:
        runner = web.ServerRunner(web.Server(handler, access_log=None), handle_signals=False)
        await runner.setup()
        listener = socket.create_server((address, 0))
        await web.SockSite(runner, listener, ssl_context=self._contexts["good"]).start()
        return int(listener.getsockname()[1])

    def _context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._registry.directory / f"proxy-{name}.pem")
        return context

    def _handle_command(self) -> None:
        try:
            name, *arguments = self._connection.recv()
        except EOFError:  # the tests have ended
            asyncio.get_running_loop().stop()
            return
        if name in ("set", "release"):
            self._released.set()
        if name == "set":
            self._released = asyncio.Event()
            self._faults, self._counts = arguments, [0] * len(arguments)
            self._recorded = []
        self._connection.send(self._recorded if name == "requests" else None)

    def _fault(self, request: str, *, credentials: bool, connecting: bool = False) -> Fault | None:
        for number, fault in enumerate(self._faults):
            if (fault.what == "certificate") == connecting and (connecting or re.match(fault.where, request)):
                count = self._counts[number]
                self._counts[number] += 1
                if count >= fault.after and (fault.times is None or count < fault.after + fault.times):
                    if fault.what == "count":
                        return fault
                    self._recorded.append(RecordedRequest(request, fault.what, credentials))
                    return fault
        return None

    def _choose_certificate(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        fault = self._fault("", credentials=False, connecting=True)
        if fault:
            connection.context = self._contexts[fault.body]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self._fault(f"{request.method} {request.path}", credentials="Authorization" in request.headers)
        try:
            return await getattr(self, f"_{(fault.what if fault else 'pass').replace('-', '_')}")(request, fault)
        except (ClientError, OSError):  # the registry is not there (any more)
            return _reset(request)

    async def _handle_elsewhere(self, request: web.BaseRequest) -> web.StreamResponse:
        credentials = "Authorization" in request.headers
        self._recorded.append(RecordedRequest(f"{request.method} {request.path}", "elsewhere", credentials))
        if request.method not in ("GET", "HEAD") and not credentials:
            return web.Response(status=401, text="who are you?")
        return await self._pass(request, None, authorization=self._passed.get(request.path_qs, ""))

    # What a fault does is the method of its name.

    async def _pass(
        self, request: web.BaseRequest, _fault: Fault | None, *, authorization: str | None = None
    ) -> web.StreamResponse:
        async with self._ask(request, request.content, authorization=authorization) as answer:
            return await _answer(request, answer.status, answer.headers, await answer.read())

    async def _status(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        await _drain(request)
        return await _answer(request, fault.status, fault.headers, fault.body.encode())

    async def _stall(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        await asyncio.sleep(_FOREVER)
        return _reset(request)

    async def _hold(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        released = self._released  # set() brings another one

        async def body() -> AsyncIterator[bytes]:
            async for piece in _first(request, fault.size):
                yield piece
            await released.wait()
            async for piece in request.content.iter_any():
                yield piece

        if not request.body_exists:
            await released.wait()
            return await self._pass(request, None)
        async with self._ask(request, body()) as answer:
            return await _answer(request, answer.status, answer.headers, await answer.read())

    async def _count(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        body, credentials = await request.content.read(), "Authorization" in request.headers
        self._recorded.append(RecordedRequest(f"{request.method} {request.path}", "count", credentials, len(body)))
        async with self._ask(request, body) as answer:
            return await _answer(request, answer.status, answer.headers, await answer.read())

    async def _break_request(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        async def body() -> AsyncIterator[bytes]:
            async for piece in _first(request, fault.size):
                yield piece
            raise ConnectionResetError

        async with self._ask(request, body()):
            return _reset(request)

    async def _break_answer(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            response = await _begin(request, answer.status, answer.headers)
            await response.write((await answer.read())[: fault.size])
            return _reset(request)

    async def _half(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            body = await answer.read()
            response = await _begin(request, answer.status, answer.headers)
            await response.write(body[: len(body) // 2])
            if request.transport:
                request.transport.close()
            return response

    async def _slow(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            body = await answer.read()
            response = await _begin(request, answer.status, answer.headers)
            for start in range(0, len(body), len(body) // 10 + 1):
                await asyncio.sleep(0.05)
                await response.write(body[start : start + len(body) // 10 + 1])
            await response.write_eof()
            return response

    async def _corrupt(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            body = re.sub(rb"sha256:(.)", lambda found: b"sha256:" + _other(found[1]), await answer.read(), count=1)
            return await _answer(request, answer.status, answer.headers, body)

    async def _digest(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            headers = {**answer.headers, "Docker-Content-Digest": f"sha256:{'0' * 64}"}
            return await _answer(request, answer.status, headers, await answer.read())

    async def _lost(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            await answer.read()
            return _reset(request)

    async def _silent(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        async with self._ask(request, request.content) as answer:
            await answer.read()
        return await self._stall(request, fault)

    async def _redirect(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        await _drain(request)
        self._passed[request.path_qs] = request.headers.get("Authorization", "")
        location = f"https://{self._elsewhere}{request.path_qs}"
        return web.Response(status=fault.status or 307, headers={"Location": location})

    async def _huge(self, request: web.BaseRequest, _fault: Fault) -> web.StreamResponse:
        media_type = "application/vnd.oci.image.manifest.v1+json"
        head, tail = b'{"schemaVersion":2,"mediaType":"%s","padding":"' % media_type.encode(), b'"}'
        headers = {"Content-Type": media_type, "Content-Length": str(len(head) + _HUGE + len(tail))}
        response = await _begin(request, 200, headers)
        if request.method != "HEAD":
            piece = b"a" * 1024**2
            await response.write(head)
            for _number in range(_HUGE // len(piece)):
                await response.write(piece)
            await response.write(tail)
        await response.write_eof()
        return response

    def _ask(self, request: web.BaseRequest, body: Any, *, authorization: str | None = None) -> Any:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        if authorization is not None:
            headers["Authorization"] = authorization
        return self._session.request(
            request.method,
            URL(f"https://{self._registry.host}{request.raw_path}", encoded=True),
            headers=headers,
            data=body if request.body_exists else None,
            allow_redirects=False,
            skip_auto_headers=_AUTOMATIC_HEADERS,
        )


async def _begin(request: web.BaseRequest, status: int, headers: Any) -> web.StreamResponse:
    kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
    response = web.StreamResponse(status=status, headers=kept)
    await response.prepare(request)
    return response


async def _answer(request: web.BaseRequest, status: int, headers: Any, body: bytes) -> web.StreamResponse:
    kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    length = headers.get("Content-Length") if request.method == "HEAD" else str(len(body))
    response = await _begin(request, status, {**kept, **({"Content-Length": length} if length else {})})
    if request.method != "HEAD":
        await response.write(body)
    await response.write_eof()
    return response


async def _drain(request: web.BaseRequest) -> None:
    async for _piece in request.content.iter_any():
        pass


async def _first(request: web.BaseRequest, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        piece = await request.content.read(min(size, 2**16))
        if not piece:
            return
        size -= len(piece)
        yield piece


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """Break the connection as a machine does that lost it: by RST, not by an orderly end."""
    if request.transport:
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        request.transport.abort()
    return web.Response()


def _other(digit: bytes) -> bytes:
    return b"1" if digit == b"0" else b"0"
