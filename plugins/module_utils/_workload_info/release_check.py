# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that each image of a release runs in a selected workload.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import form_of
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.images import ImageVerdict, where
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.registry_state import (
    RegistryState,
    reference_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.revisions import Release
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.verdicts import WorkloadVerdict


def missing_images(release: Release, state: RegistryState, workloads: t.Sequence[WorkloadVerdict]) -> list[str]:
    """A sentence for each image of the release that no workload runs, or will run after its patch or its rollout.

    Without any workload, for example before the first one is created, the images must only exist in the registry.
    """
    problems = []
    for reference in release.references:
        if not _is_published(reference, state):
            problems.append(f"{reference} was released, but it is not in the registry: publish it first")
        elif workloads and not any(
            _runs(each, image_verdict, reference, state) for each in workloads for image_verdict in each.images
        ):
            others = [
                f"{each.name}: {where(found.use)} names {found.use.image}{_remedy(release, found, state)}"
                for each in workloads
                for found in each.images
                if (found.use.reference() or reference).name == reference.name
            ]
            problems.append("; ".join([f"{reference} was released, but no selected workload runs it", *others]))
    return problems


def unreplaced_revisions(release: Release, state: RegistryState, workloads: t.Sequence[WorkloadVerdict]) -> list[str]:
    """A sentence for each container that names another revision, if the release has no revision to set in its place."""
    problems = []
    for each in workloads:
        for found in each.images:
            own = found.use.reference()
            released = release.named(own.name) if own and own.tag and form_of(own.tag) else None
            if (
                released
                and not form_of(released.tag or "")
                and not any(_runs(each, found, reference, state) for reference in release.references)
            ):
                problems.append(
                    f"{each.name}: {where(found.use)} names {found.use.image}, another image than {released}, and no"
                    " revision was released that could replace it: set its image"
                )
    return problems


def unused_images(release: Release, state: RegistryState) -> list[str]:
    """A sentence for each published image of a release, if the selection contains no workload."""
    return [
        f"{reference} was released, but no selected workload uses an image of {state.registry}, so no pod runs it"
        for reference in release.references
        if _is_published(reference, state)
    ]


def _is_published(reference: Reference, state: RegistryState) -> bool:
    image = state.image(str(reference))
    return str(reference) in state.assumed or bool(image and image["exists"])


def _runs(workload: WorkloadVerdict, verdict: ImageVerdict, reference: Reference, state: RegistryState) -> bool:
    own = verdict.use.reference()
    if own is None or own.name != reference.name:
        return False
    image = state.image(str(reference)) or {"exists": False}
    text = verdict.set_to.partition("@")[0] if verdict.set_to else reference_of(verdict.use) or ""
    # In a dry run the new digests are not known.
    if text in state.assumed or str(reference) in state.assumed or not image["exists"]:
        return text in state.assumed
    if verdict.verdict in ("current", "pinned", "unknown") and verdict.running:
        return any(state.matches(digest, image) for digest in verdict.running) or verdict.verdict == "unknown"
    # A workload that is not current has its own problem or patch, and the pods of a CronJob start later.
    later = bool(workload.patch or workload.problem or workload.kind == "CronJob")
    return later and bool(verdict.expected) and state.matches(str(verdict.expected), image)


def _remedy(release: Release, verdict: ImageVerdict, state: RegistryState) -> str:
    own = verdict.use.reference()
    tagged = own.tagged(own.tag) if own and own.tag else None
    if own and own.digest and tagged in release.references and own.digest != state.digest(str(tagged)):
        return ", pinned to another digest: set its image, or let zot_rollout_pin set the digest"
    if verdict.set_to or not own or not release.successor(own):
        return "" if verdict.running else ", and has no pod"
    return ", another revision: set its image, or let zot_release_set_image or zot_rollout_set_image set it"
