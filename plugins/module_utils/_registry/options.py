# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the values of options have to be, beyond their type.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError


def at_once(parallel: int) -> ThreadPoolExecutor:
    """The threads for the option parallel; raises ZotError if it is less than one."""
    if parallel < 1:
        raise ZotError("invalid_option", f"parallel is {parallel}, but at least one has to be done at a time")
    return ThreadPoolExecutor(max_workers=parallel)


@contextlib.contextmanager
def invalid_options() -> t.Iterator[None]:
    """Turn what the values refuse into the error of an option."""
    try:
        yield
    except InvalidReferenceError as error:
        raise ZotError("invalid_option", str(error)) from error


def platform_option(text: str) -> Platform:
    """The platform that an option names; raises ZotError if it is none."""
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise ZotError("invalid_option", str(error)) from error
