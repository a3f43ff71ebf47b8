# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads that signals can interrupt.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor, wait

from ansible_collections.killinit.zot.plugins.module_utils._registry.options import at_least

# The longest wait of the main thread, in seconds.
_INTERVAL = 0.2

T = t.TypeVar("T")


def thread_pool(parallel: int) -> ThreadPool:
    """The threads for the option parallel. Raises ZotError if it is less than one."""
    at_least(1, parallel=parallel)
    return ThreadPool(max_workers=parallel)


class ThreadPool(ThreadPoolExecutor):
    """A pool whose map() waits in short intervals.

    Python runs signal handlers only in the main thread, and only while it executes Python code. If two signals arrive
    together, as ansible-playbook sends them, Linux can deliver both to another thread while the main thread sleeps.
    See https://docs.python.org/3/library/signal.html#signals-and-threads
    """

    def map(
        self, fn: t.Callable[..., T], *iterables: t.Iterable[t.Any], timeout: float | None = None, chunksize: int = 1
    ) -> t.Iterator[T]:
        """The results in the order of the arguments, like ThreadPoolExecutor.map(), but after all have finished."""
        del timeout, chunksize
        running = [self.submit(fn, *arguments) for arguments in zip(*iterables)]
        while wait(running, timeout=_INTERVAL).not_done:
            pass
        return iter([each.result() for each in running])
