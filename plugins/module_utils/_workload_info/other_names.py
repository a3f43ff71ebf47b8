# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find hosts that are probably other names of the registry, so that their workloads are not ignored in silence.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    digest_of,
    image_uses,
    name_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import RegistryImages, running_images
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import Workloads


def other_names(
    cluster: Workloads, registry: RegistryImages, repositories: t.Collection[str] | None = None
) -> list[str]:
    """A sentence for each host whose image the registry has in the same repository with the same digest.

    Only the *repositories* are read, all that the workloads name if it is None. Raises ZotError.
    """
    candidates: list[tuple[str, str, str, Reference]] = []
    for workload in cluster.workloads:
        for use in image_uses(template_of(workload)["spec"]):
            reference = use.reference()
            if reference is None or reference.registry == registry.name:
                continue
            if repositories is None or reference.repository in repositories:
                own = reference.known_as(str(registry.name), [reference.registry])
                digests = {digest_of(text) for text in running_images(use, cluster.pods_of(workload))}
                digests |= {reference.digest} if reference.digest else set()
                candidates += [(reference.registry, name_of(workload), use.image, own.pinned(each)) for each in digests]
    registry.read(own for _host, _name, _image, own in candidates)
    found: dict[str, str] = {}
    for host, name, image, own in candidates:
        if registry.exists(own):
            text = f"{name} names {image}, and {registry.name} has the same image in the same repository: if {host} is"
            found.setdefault(host, printable(f"{text} another name of it, add this name to zot_registry_aliases"))
    return list(found.values())
