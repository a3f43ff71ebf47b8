# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the progress of running skopeo processes, and of scans that a module waits for, read from /proc.

Private to killinit.zot: it may change at any time.

skopeo reports its progress only to a terminal. It opens the archive once for each layer and reads it no faster than it
sends (https://github.com/containers/image/blob/main/docker/internal/tarfile/reader.go), and Linux shows the position of
each open file (https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import typing as t

from ansible.module_utils.common.text.formatters import bytes_to_human
from ansible.utils.display import Display

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import layers
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import InvalidArchiveError
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import PROGRESS_FILE

# Seconds between two reads of /proc. A layer that is pushed between two reads is counted when a later layer is read.
_READ_INTERVAL = 1.0
_READS_PER_LINE = 5
# The end of the command line that ArchivePusher.push() builds.
_UPLOAD = re.compile(":upload-[0-9a-f]{12}-")
_COMMAND = re.compile(r"\0docker-archive:([^\0]*?)(?::@([0-9]+))?\0docker://([^\0]+)\0\Z")


@contextlib.contextmanager
def progress_lines(host: str | None) -> t.Iterator[None]:
    """Show the progress of this process's descendants, if they run on this machine."""
    ended = threading.Event()
    watcher = threading.Thread(target=_show, args=(ended, host), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _show(ended: threading.Event, host: str | None) -> None:
    # Linux may deliver a signal to any thread, but only the main thread of the worker ends the module.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    # A worker sends the lines to the main process, which prints them in order: to stderr, since a callback plugin may
    # write JSON to stdout.
    display = Display()
    copies = Copies(os.getpid())
    reads = 0
    while not ended.wait(_READ_INTERVAL):
        running = copies.read()
        reads += 1
        if reads % _READS_PER_LINE == 0:
            for copy in running:
                far = f"{bytes_to_human(copy.done)} of {bytes_to_human(copy.size)} of layers"
                display.display(f"pushing: [{host}] => {copy.reference}: {far}", stderr=True)
            for text in scans(os.getpid()):
                display.display(f"scanning: [{host}] => {text}", stderr=True)


class Copy:
    """The push of one image to one tag. *done* never decreases."""

    def __init__(self, reference: str, places: t.Sequence[tuple[int, int]]) -> None:
        """*places* are the start and the end of each layer in the archive, in order."""
        self.reference = reference
        self.size = sum(end - start for start, end in places)
        self.done = 0
        self.begun = 0
        self._places = places

    def update(self, positions: t.Iterable[int]) -> None:
        """Update *done* from the *positions* of the open files.

        Layers start in order, several in parallel (https://github.com/containers/image/blob/main/copy/single.go,
        copyLayers). So a layer that no file reads, and that precedes a layer that was read before, is complete or was
        in the registry already.
        """
        reading = {
            number: position - start
            for position in positions
            for number, (start, end) in enumerate(self._places)
            if start <= position <= end
        }
        passed = [number for number in range(self.begun) if number not in reading]
        done = sum(self._places[number][1] - self._places[number][0] for number in passed) + sum(reading.values())
        self.done = max(self.done, done)
        self.begun = max([self.begun, *(number + 1 for number in reading)])


class Copies:
    """The pushes of the descendants of a process."""

    def __init__(self, root: int) -> None:
        """*root* is the id of the process."""
        self._root = root
        self._known: dict[int, Copy] = {}

    def read(self) -> list[Copy]:
        """The pushes that have started. Empty without /proc, or without the permission to read it."""
        running: dict[int, Copy] = {}
        for process in _descendants(self._root):
            with contextlib.suppress(OSError, InvalidArchiveError):
                command = _COMMAND.search(_read(process, "cmdline"))
                if command:
                    path = os.path.join(f"/proc/{process}/cwd", command[1])
                    copy = self._known.get(process) or Copy(
                        _UPLOAD.sub(":", command[3]), layers(path, int(command[2] or 0))
                    )
                    copy.update(_positions(process, path))
                    running[process] = copy
        self._known = running
        return [copy for copy in running.values() if copy.begun]


def scans(root: int) -> t.Iterator[str]:
    """What the descendants of a process write about the scans that they wait for."""
    for process in _descendants(root):
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{process}/fd"):
                if os.readlink(f"/proc/{process}/fd/{name}").startswith(f"/memfd:{PROGRESS_FILE} "):
                    text = printable(_read(process, f"fd/{name}"))
                    yield from [text] if text else []


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdecimal():
            with contextlib.suppress(OSError):
                # The name of the program, in parentheses, can contain spaces and parentheses.
                parent = _read(int(name), "stat").rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(name))
    found, pending = [], [root]
    while pending:
        some = children.get(pending.pop(), [])
        found += some
        pending += some
    return found


def _positions(process: int, path: str) -> list[int]:
    """The positions in the files by which a process has *path* open. Empty before it has a connection.

    skopeo first reads compressed layers once to find their sizes; that is not progress of the push.
    """
    archive = os.stat(path)
    connected, positions = False, []
    for name in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{process}/fd/{name}").startswith("socket:"):
                connected = True
            elif os.path.samestat(os.stat(f"/proc/{process}/fd/{name}"), archive):
                positions.append(int(_read(process, f"fdinfo/{name}").split()[1]))
    return positions if connected else []


def _read(process: int, name: str) -> str:
    with open(f"/proc/{process}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
