# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a registry over one HTTP session, with crane until the session is needed.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.http_session import HttpSession


class HttpReader(Reader):
    """Reads a registry, with retries. Once the HTTP session is open, a request is faster than a run of crane."""

    def __init__(self, session: Session) -> None:
        """The registry of *session* is the default registry of references."""
        super().__init__(session)
        self._http: HttpSession | None = None

    def http(self) -> HttpSession:
        """The HTTP session with this registry, which the first call opens."""
        if self._http is None:
            # Imported late: the import takes longer than a request, and most tasks do not need it.
            from ansible_collections.killinit.zot.plugins.module_utils._registry.http_session import HttpSession

            self._http = HttpSession(self._session)
        return self._http

    def _read_manifest(self, reference: Reference) -> bytes | None:
        if self._http and reference.registry == self._http.name:
            return self._http.manifest(reference)
        return super()._read_manifest(reference)

    def _read_blob(self, reference: Reference, digest: str) -> bytes | None:
        if self._http and reference.registry == self._http.name:
            return self._http.blob(reference.pinned(digest))
        return super()._read_blob(reference, digest)
