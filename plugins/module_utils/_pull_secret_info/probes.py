# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe the images of a registry with the credentials in a pull secret, like kubelet.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import Entry, PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Task

# The timeout of a probe, and the time after which no probe starts, in seconds. All probes end within the sum of both.
LONGEST_PROBE = 15
LAST_START = 15.0
_PARALLEL = 16
# After these errors kubelet tries the next entry.
REFUSALS = ("unauthorized", "denied")


@dataclass(frozen=True)
class Probe:
    """The result for one image. *entries* are the entries whose credentials were tried.

    Without an *error*, the registry accepted the last of them, and *exists* is whether the image exists.
    """

    image: Reference
    entries: tuple[Entry, ...]
    exists: bool = False
    error: ZotError | None = None


def probe(
    task: Task, options: Options, secret: PullSecret, needed: t.Mapping[str, t.Sequence[Reference]]
) -> dict[str, list[Probe]]:
    """Probe every image for which the secret has credentials, by repository."""
    entries = {name: [each for each in secret.for_image(name) if each.is_complete] for name in needed}
    short = replace(options, timeout=min(options.timeout, LONGEST_PROBE), retries=0, authfile=None, ambient=False)
    readers: dict[Entry, Registry] = {}
    for entry in dict.fromkeys(entry for tried in entries.values() for entry in tried):
        readers[entry] = Registry(task.session(replace(short, username=entry.username, password=entry.password)))
    end = time.monotonic() + LAST_START
    # Start with one image of each repository. It tests the credentials, even if the time is too short for all images.
    turns = sorted(
        ((turn, name, image) for name in needed for turn, image in enumerate(needed[name]) if entries[name]),
        key=lambda each: each[0],
    )
    with thread_pool(_PARALLEL) as pool:
        probes = list(pool.map(lambda each: _probe(each[2], entries[each[1]], readers, end), turns))
    found: dict[str, list[Probe]] = {name: [] for name in needed}
    for each in probes:
        found[each.image.name].append(each)
    return found


def _probe(image: Reference, entries: t.Sequence[Entry], readers: t.Mapping[Entry, Registry], end: float) -> Probe:
    error: ZotError | None = None
    for count, entry in enumerate(entries, start=1):
        tried = tuple(entries[:count])
        if time.monotonic() >= end:
            message = f"{image} was not probed: the other probes took {LAST_START:.0f} seconds"
            return Probe(image, tried, error=ZotError("unavailable", message))
        try:
            # Use a HEAD request: a GET of the manifest counts as a pull, which the retention of Zot takes into account.
            return Probe(image, tried, exists=readers[entry].digest(image) is not None)
        except ZotError as refused:
            if refused.error_class not in REFUSALS:
                return Probe(image, tried, error=refused)
            # Report a user who lacks the permission rather than credentials that the registry rejects.
            if error is None or refused.error_class == "denied":
                error = refused
    return Probe(image, tuple(entries), error=error)
