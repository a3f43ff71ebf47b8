# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A slow network or a distant one: a relay on loopback in front of a registry."""

from __future__ import annotations

import contextlib
import queue
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

# The kernel would take some megabytes at once.
BUFFER = 64 * 1024


@contextlib.contextmanager
def slow(host: str, rate: int) -> Iterator[str]:
    """The address under which *host* can be reached; each connection sends it *rate* bytes a second at most."""
    address, port = host.split(":")

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((address, int(port))) as there, contextlib.suppress(OSError):
                back = threading.Thread(target=_pass_on, args=(there, self.request), daemon=True)
                back.start()
                _pass_on(self.request, there, rate)
                back.join()

    with _serving(Relay, BUFFER) as relay:
        yield relay


@contextlib.contextmanager
def delayed(host: str, round_trip: float) -> Iterator[str]:
    """The address under which *host* is a *round_trip* of so many seconds away, whatever the amount of data."""
    address, port = host.split(":")

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # What the handshake of TCP takes.
            time.sleep(round_trip)
            with socket.create_connection((address, int(port))) as there, contextlib.suppress(OSError):
                there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ways = [(there, self.request), (self.request, there)]
                threads = [threading.Thread(target=_delay, args=(*way, round_trip / 2), daemon=True) for way in ways]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

    with _serving(Relay) as relay:
        yield relay


@contextlib.contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler], buffer: int = 0) -> Iterator[str]:
    """The address of a relay, whose kernel takes *buffer* bytes at once."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler, bind_and_activate=False) as server:
        server.daemon_threads = True
        if buffer:
            server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        server.server_bind()
        server.server_activate()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def _delay(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Pass on each piece so many seconds after it has come; the next ones do not wait for it."""
    pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = pieces.get()
                time.sleep(max(due - time.monotonic(), 0))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    data = b"-"
    while data:
        try:
            data = source.recv(BUFFER)
        except OSError:
            data = b""
        pieces.put((time.monotonic() + seconds, data))
    sender.join()


def _pass_on(source: socket.socket, target: socket.socket, rate: int | None = None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(BUFFER):
            target.sendall(data)
            if rate:
                time.sleep(len(data) / rate)
        target.shutdown(socket.SHUT_WR)
