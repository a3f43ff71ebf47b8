# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read archives in separate processes, and compare them with a registry.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker, Workers


class ArchiveReader(Registry):
    """Reads a registry and archives. Every method raises ZotError."""

    def __init__(self, session: Session) -> None:
        """The registry of *session* is the default registry of references."""
        super().__init__(session)
        self._ahead: set[Reference] = set()

    @contextlib.contextmanager
    def reading_archives(self, count: int) -> t.Iterator[ArchiveReader]:
        """Start the processes that read *count* archives at the same time. Call it before any thread is started."""
        with self._workers.started(count, _load):
            yield self

    def read_ahead(self, references: t.Iterable[Reference]) -> None:
        """Start to read tags, each in a process of its own. image() of a tag then waits for its process."""
        for reference in references:
            self._ahead.add(reference)
            self._session.start(self._manifest_command(reference), reference)

    def current_image(self, reference: Reference, wanted: t.Callable[[Image], bool]) -> Image:
        """The image of a tag. If the tag was read ahead and does not have the image *wanted*, it is read again.

        Reading an archive can take minutes, and another client may have moved the tag since.
        """
        image = self.image(reference)
        return image if reference not in self._ahead or wanted(image) else self.image(reference)

    @contextlib.contextmanager
    def open_archive(self, path: str) -> t.Iterator[Worker]:
        """A worker whose methods are those of OpenArchive. The first call opens the archive."""
        with self._workers.one(f"cannot read {path}") as worker:
            worker.open(path)
            yield worker

    @property
    def _workers(self) -> Workers:
        if self._session.workers is None:
            self._session.workers = Workers(self._session.timeout)
        return self._session.workers

    def require_skopeo(self) -> None:
        """Raise ZotError if skopeo is not installed. Called before the first write, and in check mode."""
        self._session.find_skopeo()


def _load() -> t.Callable[[str], t.Any]:
    # Only the processes that read archives need this import, which takes longer than reading an archive.
    from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive

    return OpenArchive
