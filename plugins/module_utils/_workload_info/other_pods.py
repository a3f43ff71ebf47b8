# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Assess pods that no Deployment, StatefulSet or DaemonSet owns. The collection cannot restart them.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object, image_uses, is_name
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import compare, differing
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.registry_state import RegistryState

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")


def assess_other_pods(pods: t.Sequence[Object], state: RegistryState, reader: Registry) -> tuple[list[str], list[str]]:
    """The problems and the unverified images, one sentence for each owner with stale pods. Raises ZotError.

    Stale pods of a Job are not a problem, because they end by themselves.
    """
    images = [(pod, use) for pod in pods for use in image_uses(pod["spec"]) if state.holds(use)]
    first = [(pod, compare(use, state, [pod], pin=False)) for pod, use in images if use.kind != "ephemeral container"]
    state.read_whole(reader, differing((verdict for _pod, verdict in first), state))
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for pod, verdict in first:
        now = compare(verdict.use, state, [pod], pin=False)
        if now.verdict == "mismatched":
            kind, owner = _owner_of(pod)
            certain = bool(now.old) and kind != "Job"
            found.setdefault(owner, []).append((str(pod["metadata"]["name"]), now.reason, certain))
    problems: list[str] = []
    unverified: list[str] = []
    for owner, pods_of_owner in sorted(found.items()):
        name, reason, _certain = pods_of_owner[0]
        count = len({each for each, _reason, _certain in pods_of_owner})
        more = f" and {count - 1} more" if count > 1 else ""
        text = f"pod {name}{more} of {owner}: {reason}; this collection does not restart them"
        (problems if any(certain for _name, _reason, certain in pods_of_owner) else unverified).append(text)
    return problems, unverified


def _owner_of(pod: Object) -> tuple[str, str]:
    for owner in pod["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            kind, name = str(owner.get("kind")), str(owner.get("name"))
            # Every user who may create a pod can write its owner.
            if _KIND.fullmatch(kind) and is_name(name):
                return kind, f"{kind}/{name}"
            return "", f"the owner {kind!r} {name!r}"
    return "", "no owner"
