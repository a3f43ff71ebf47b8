# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of option values beyond their type.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    MissingRegistryError,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry


def thread_pool(parallel: int) -> ThreadPoolExecutor:
    """The threads for the option parallel. Raises ZotError if it is less than one."""
    if parallel < 1:
        raise ZotError("invalid_option", f"parallel is {parallel}, but must be at least 1")
    return ThreadPoolExecutor(max_workers=parallel)


@contextlib.contextmanager
def invalid_options() -> t.Iterator[None]:
    """Convert the errors of reference.py into an error of an option."""
    try:
        yield
    except MissingRegistryError as error:
        raise missing_registry() from error
    except InvalidReferenceError as error:
        raise ZotError("invalid_option", str(error)) from error


def platform_option(text: str) -> Platform:
    """The platform that an option names. Raises ZotError for any other text."""
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise ZotError("invalid_option", str(error)) from error
