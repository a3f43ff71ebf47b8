# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pods run: as they report it, as a restart remembered it, and whether it is what a tag means.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import STATUS_OF, ImageUse, Object

# What the image volumes of a pod held when it was started. Kubernetes itself says so only behind the feature gate
# ImageVolumeWithDigest: https://github.com/kubernetes/enhancements/issues/5365
VOLUMES = "zot.killinit.cc/image-volumes"
# What the tags of its containers meant then: for the day when the registry has lost the digest that a runtime reports.
CONTAINERS = "zot.killinit.cc/containers"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Known:
    """What the registry says of images, by tag and by digest."""

    def __init__(self, images: t.Iterable[Object], moving: t.Collection[str]) -> None:
        self.moving = moving
        self._references = {image["reference"]: image for image in images}
        self._digests = {image["digest"]: image for image in self._references.values() if image["exists"]}

    def by_reference(self, reference: str | None) -> list[Object]:
        """The image of that reference, or nothing."""
        return [self._references[reference]] if reference in self._references else []

    def same(self, running: str, image: Object) -> bool:
        """Whether what a pod reports as *running* is *image*.

        A runtime may name it by the digest of the index, of a platform's manifest, or of a configuration; and, since
        it keeps images by their configuration, by any other name that it pulled the same one under.
        """
        digest, wanted = digest_of(running), _configurations(image)
        if digest in (image["digest"], *(entry["digest"] for entry in image["manifests"]), *wanted.values()):
            return True
        other = self._configurations(digest)
        # Which platform the node has is not known here: what both are for must be the same.
        shared = wanted.keys() & other.keys()
        return bool(shared) and all(wanted[platform] == other[platform] for platform in shared)

    def knows(self, running: str) -> bool:
        """Whether the registry can tell what it is that a pod reports as *running*."""
        return bool(self._configurations(digest_of(running)))

    def _configurations(self, digest: str) -> dict[str, str]:
        return _configurations(self._digests[digest]) if digest in self._digests else {}


def _configurations(image: Object) -> dict[str, str]:
    """The digest of the configuration for each platform."""
    documents = [(entry["platform"], entry["manifest"] or {}) for entry in image["manifests"]]
    documents += [(platform, image["manifest"]) for platform in image["platforms"] if not image["manifests"]]
    return {
        platform: document["config"]["digest"]
        for platform, document in documents
        if platform and document and "config" in document
    }


def digest_of(reported: str) -> str:
    """The digest in what a pod reports."""
    return str(_DIGEST.findall(reported)[-1])


def reported_by(pod: Object, use: ImageUse) -> str | None:
    """What the pod says it runs, or mounts: C(repository@digest), or a bare digest."""
    if use.kind == "image volume":
        return _mounted(pod, use)
    for status in pod["status"].get(STATUS_OF[use.path[0]]) or []:
        image = status.get("imageID") or ""
        if status["name"] == use.name and _DIGEST.search(image):
            return str(image).replace("docker-pullable://", "")
    return None


def _mounted(pod: Object, use: ImageUse) -> str | None:
    for statuses in STATUS_OF.values():
        for status in pod["status"].get(statuses) or []:
            for mount in status.get("volumeMounts") or []:
                source = ((mount.get("volumeStatus") or {}).get("image") or {}).get("imageRef") or ""
                if mount["name"] == use.name and _DIGEST.search(source):
                    return str(source)
    return _remembered(pod, use)


def started_with(pod: Object, use: ImageUse) -> str | None:
    """The digest that a restart wanted for the pod, if its node had to take that and no other."""
    reference, remembered = use.reference(), _remembered(pod, use)
    pinned = reference.digest if reference else None
    certain = pinned == remembered if pinned else use.pull_policy == "Always"
    return remembered if certain else None


def memory(wanted: t.Iterable[tuple[ImageUse, str | None]]) -> dict[str, str]:
    """The annotations by which the pods of a restart remember what was wanted for each image."""
    found: dict[str, dict[str, str]] = {}
    for use, digest in wanted:
        # In a dry run it may not be known.
        if digest:
            found.setdefault(_annotation(use), {})[use.name] = digest
    return {annotation: json.dumps(digests, sort_keys=True) for annotation, digests in found.items()}


def _remembered(pod: Object, use: ImageUse) -> str | None:
    try:
        remembered = json.loads((pod["metadata"].get("annotations") or {}).get(_annotation(use), "{}"))
    except ValueError:
        return None
    digest = remembered.get(use.name) if isinstance(remembered, dict) else None
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _annotation(use: ImageUse) -> str:
    return VOLUMES if use.kind == "image volume" else CONTAINERS
