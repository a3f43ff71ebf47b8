# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that a release exists, and that workloads follow it. Each container that follows has its own verdict.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import (
    ImageVerdict,
    RegistryImages,
    short,
    where,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.release import Release
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.verdicts import WorkloadVerdict


def release_problems(release: Release, registry: RegistryImages, workloads: t.Sequence[WorkloadVerdict]) -> list[str]:
    """A sentence for each image of the release that the registry lacks, has lost to another release, or nobody runs.

    Without any workload, for example before the first one is created, the images must only exist in the registry.
    """
    problems = [
        f"{reference} was released, but it is not in the registry: publish it first"
        for reference in release.references
        if not registry.is_published(reference)
    ]
    for name in dict.fromkeys(each.name for each in release.references):
        references = [each for each in release.references if each.name == name and registry.is_published(each)]
        released = release.named(name)
        if released is None or released not in references:
            continue
        digest = registry.digest(released)
        for other in references:
            now = registry.digest(other)
            if digest and now and not registry.matches(now, released):
                problems.append(
                    f"{released} and {other} were released together, but they are {short(digest)} and {short(now)} now:"
                    " another job has moved a tag. Run the release again, or release the other revision"
                )
        verdicts = [(each, found) for each in workloads for found in each.images]
        if workloads and not any(_concerns(found, name, references, registry) for _each, found in verdicts):
            others = [
                f"{each.name}: {where(found.use)} names {found.use.image}"
                for each, found in verdicts
                if (found.use.reference() or released).name == name
            ]
            problems.append("; ".join([f"{released} was released, but no selected workload runs it", *others]))
    return problems


def unused_images(release: Release, registry: RegistryImages) -> list[str]:
    """A sentence for each repository of a release, if the selection contains no workload."""
    names = dict.fromkeys(each.name for each in release.references)
    return [
        f"{reference} was released, but no selected workload uses an image of {registry.name}, so no pod runs it"
        for reference in map(release.named, names)
        if reference and registry.is_published(reference)
    ]


def _concerns(verdict: ImageVerdict, name: str, references: t.Sequence[Reference], registry: RegistryImages) -> bool:
    """Whether a container follows the release, or runs one of its images by another tag, now or after its restart."""
    if verdict.follows:
        return verdict.follows.name == name
    own = verdict.use.reference()
    if own is None or own.name != name:
        return False
    images = [*verdict.running, *([verdict.expected] if verdict.expected else [])]
    return verdict.use.followed() in registry.assumed or any(
        registry.matches(each, reference) for each in images for reference in references
    )
