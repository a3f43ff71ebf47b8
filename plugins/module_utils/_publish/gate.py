# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a published image must satisfy before the shared tags may move to it.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image


def gate(image: Image) -> None:
    """Raise ZotError if no shared tag may move to *image*, which the revision holds. There are no rules yet."""
    del image
