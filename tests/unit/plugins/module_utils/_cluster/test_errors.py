# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of the time of a call."""

from __future__ import annotations

import subprocess
import time
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import time_limit


def start_slowly() -> None:
    process: t.Any = subprocess.Popen.__new__(subprocess.Popen)
    process.pid = None
    time.sleep(5)


def test_the_time_ends_while_a_process_is_being_started() -> None:
    """On a slow machine. The process has no number yet, so it cannot be killed."""
    with pytest.raises(TimeoutError, match=r"no complete answer within 0\.05 seconds"), time_limit(0.05):
        start_slowly()
