# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the images that pods run, from their status and from the annotations of a restart.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Object
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import STATUS_OF, ImageUse

# The digests of the image volumes of a pod when it was started. The status of a pod has them only with the feature gate
# ImageVolumeWithDigest: https://github.com/kubernetes/enhancements/issues/5365
VOLUMES = "zot.killinit.cc/image-volumes"
# The digests of the tags of its containers at that time, for a pod that reports a digest that the registry has lost.
CONTAINERS = "zot.killinit.cc/containers"

# The waiting reasons of a container that cannot pull: pkg/kubelet/images/types.go and k8s.io/cri-api/pkg/errors.
CANNOT_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
# The reasons with which kubelet stops or delays its pulls. After the other reasons, the second try often succeeds.
GIVEN_UP_REASONS = CANNOT_PULL_REASONS - {"ErrImagePull", "RegistryUnavailable"}

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_unreadable_secret(reason: str) -> bool:
    """Whether kubelet cannot read a pull secret of a pod: the reason then contains the whole error message."""
    return " " in reason


def digest_of(reported: str) -> str:
    """The digest in an image that a pod reports."""
    return str(_DIGEST.findall(reported)[-1])


def reported_by(pod: Object, use: ImageUse) -> str | None:
    """The image in the status of the pod: C(repository@digest), or a bare digest."""
    name, statuses = use.name, pod.get("status") or {}
    if use.kind == "image volume":
        mounts = (
            (mount["name"], ((mount.get("volumeStatus") or {}).get("image") or {}).get("imageRef") or "")
            for section in STATUS_OF.values()
            for status in statuses.get(section) or []
            for mount in status.get("volumeMounts") or []
        )
        return next((str(image) for volume, image in mounts if volume == name and _DIGEST.search(image)), None)
    for status in statuses.get(STATUS_OF[use.path[0]]) or []:
        image = status.get("imageID") or ""
        if status["name"] == name and _DIGEST.search(image):
            return str(image).replace("docker-pullable://", "")
    return None


def recorded_for(pod: Object, use: ImageUse) -> str | None:
    """The digest that a restart recorded in the annotation of the pod."""
    try:
        digests = json.loads((pod["metadata"].get("annotations") or {}).get(_annotation(use), "{}"))
    except (ValueError, RecursionError):
        return None
    digest = digests.get(use.name) if isinstance(digests, dict) else None
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def started_with(pod: Object, use: ImageUse) -> str | None:
    """The digest that a restart recorded for the pod, if its node had to pull that digest and no other."""
    reference, recorded = use.reference(), recorded_for(pod, use)
    pinned = reference.digest if reference else None
    certain = pinned == recorded if pinned else use.pull_policy == "Always"
    return recorded if certain else None


def record(expected: t.Iterable[tuple[ImageUse, str | None]]) -> dict[str, str]:
    """The annotations by which the pods of a restart record the digest of each image."""
    found: dict[str, dict[str, str]] = {}
    for use, digest in expected:
        # In a dry run the digest may not be known.
        if digest:
            found.setdefault(_annotation(use), {})[use.name] = digest
    return {annotation: json.dumps(digests, sort_keys=True) for annotation, digests in found.items()}


def _annotation(use: ImageUse) -> str:
    return VOLUMES if use.kind == "image volume" else CONTAINERS
