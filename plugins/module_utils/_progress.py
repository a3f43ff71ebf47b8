# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far skopeo is with the archives that it pushes, seen from outside.

Private to killinit.zot: it may change at any time.

skopeo says so to a terminal only. But it opens the archive anew for each layer, and reads no faster than it can send
(https://github.com/containers/image/blob/main/docker/internal/tarfile/reader.go); Linux shows how far each open file is
read (https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html). So nothing has to be told, and nothing is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import InvalidArchiveError, layers

# As _skopeo writes it.
_COMMAND = re.compile(r"\0docker-archive:([^\0]*?)(?::@([0-9]+))?\0docker://([^\0]+)\0\Z")


class Copy:
    """One image on its way to one tag. *done* never gets less."""

    def __init__(self, reference: str, places: t.Sequence[tuple[int, int]]) -> None:
        """*places* are where the layers begin and end in the archive, in their order."""
        self.reference = reference
        self.size = sum(end - start for start, end in places)
        self.done = 0
        self.begun = 0
        self._places = places

    def look(self, positions: t.Iterable[int]) -> None:
        """Take note of how far each open file is.

        Layers are begun in their order, several at once
        (https://github.com/containers/image/blob/main/copy/single.go, copyLayers). So one that is before another that
        was being read at the last look, and is not being read itself, has been read, or was in the registry already.
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
    """The copies that the descendants of a process make."""

    def __init__(self, root: int) -> None:
        """*root* is the id of that process."""
        self._root = root
        self._known: dict[int, Copy] = {}

    def look(self) -> list[Copy]:
        """Those that have begun, as they are now; none where there is no /proc, or no right to look into it."""
        running: dict[int, Copy] = {}
        for process in _descendants(self._root):
            with contextlib.suppress(OSError, InvalidArchiveError):
                command = _COMMAND.search(_read(process, "cmdline"))
                if command:
                    path = os.path.join(f"/proc/{process}/cwd", command[1])
                    copy = self._known.get(process) or Copy(command[3], layers(path, int(command[2] or 0)))
                    copy.look(_positions(process, path))
                    running[process] = copy
        self._known = running
        return [copy for copy in running.values() if copy.begun]


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdecimal():
            with contextlib.suppress(OSError):
                # The name of the program, in parentheses, can hold anything.
                parent = _read(int(name), "stat").rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(name))
    found, pending = [], [root]
    while pending:
        some = children.get(pending.pop(), [])
        found += some
        pending += some
    return found


def _positions(process: int, path: str) -> list[int]:
    """How far a process is in each file by which it has *path* open; nothing before it has a connection.

    Where layers are compressed it first reads them all, to know their sizes.
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
