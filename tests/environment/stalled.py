# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network file system that stalls: a FUSE server of one file that never answers one kind of request.

A process that waits for the answer cannot be killed before the server answers or ends:
https://github.com/torvalds/linux/blob/master/fs/fuse/dev.c, request_wait_answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

# https://github.com/torvalds/linux/blob/master/include/uapi/linux/fuse.h
LOOKUP, FORGET, GETATTR, OPEN, READ, INIT, INTERRUPT = 1, 2, 3, 14, 15, 26, 36
_HEADER = struct.Struct("=IIQQIIIHH")
_DETACH = 2  # of umount2(2)
_SYS_ADMIN = 21  # of capabilities(7)


def usable() -> bool:
    """Whether this process may mount a FUSE file system: in a container, root may not."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    return bool(capabilities >> _SYS_ADMIN & 1) and os.access("/dev/fuse", os.R_OK | os.W_OK)


@contextlib.contextmanager
def mounted(directory: Path, content: bytes, request: int) -> Iterator[threading.Event]:
    """Mount the file system. It has the file `app.tar`. The event is set when a *request* waits."""
    stalled = threading.Event()
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    try:
        if libc.mount(b"stalled", str(directory).encode(), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "cannot mount a FUSE file system")
        pending: list[int] = []
        server = threading.Thread(target=_serve, args=(descriptor, content, request, stalled, pending), daemon=True)
        server.start()
        try:
            yield stalled
        finally:
            for unique in pending:
                _answer(descriptor, unique, None)
            libc.umount2(str(directory).encode(), _DETACH)
            server.join(10)  # the kernel ends the connection with the last process that uses it
    finally:
        os.close(descriptor)


def _serve(descriptor: int, content: bytes, stalled_request: int, stalled: threading.Event, pending: list[int]) -> None:
    directory, file = _attributes(1, 0, 0o40755), _attributes(2, len(content), 0o100644)
    while True:
        try:
            raw = os.read(descriptor, 1 << 17)
        except OSError:
            return
        _size, request, unique, node, *_caller = _HEADER.unpack_from(raw)
        body = raw[_HEADER.size :]
        # Of the reads, only those in the middle: the beginning and the end of a tar have its headers.
        middle = request != READ or len(content) // 4 < struct.unpack_from("=QQ", body)[1] < len(content) * 3 // 4
        if request == stalled_request and node == (1 if request == LOOKUP else 2) and middle:
            pending.append(unique)
            stalled.set()
            continue
        if request in (FORGET, INTERRUPT):
            continue
        answer: bytes | None = None
        if request == INIT:
            answer = struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 1 << 16, 1, 1, 0, 0)
        elif request == LOOKUP:
            answer = struct.pack("=QQQQII", 2, 0, 0, 0, 0, 0) + file
        elif request == GETATTR:
            answer = struct.pack("=QII", 0, 0, 0) + (directory if node == 1 else file)
        elif request == OPEN:
            answer = struct.pack("=QIi", 0, 0, 0)
        elif request == READ:
            _handle, offset, size = struct.unpack_from("=QQI", body)
            answer = content[offset : offset + size]
        _answer(descriptor, unique, answer)


def _answer(descriptor: int, unique: int, answer: bytes | None) -> None:
    """Send the answer, or without one an error."""
    with contextlib.suppress(OSError):  # the process that waited has ended
        error = 0 if answer is not None else -errno.ENOSYS
        os.write(descriptor, struct.pack("=IiQ", 16 + len(answer or b""), error, unique) + (answer or b""))


def _attributes(number: int, size: int, mode: int) -> bytes:
    return struct.pack("=QQQQQQIIIIIIIIII", number, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)
