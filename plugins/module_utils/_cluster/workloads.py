# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse Deployments, StatefulSets, DaemonSets, CronJobs and their pods in the form of the Kubernetes API.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import Object
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference

# For each section of a pod template, the field of the pod status that describes its containers.
STATUS_OF = {
    "containers": "containerStatuses",
    "initContainers": "initContainerStatuses",
    "ephemeralContainers": "ephemeralContainerStatuses",
}


@dataclass(frozen=True)
class ImageUse:
    """One image that a pod template names.

    *kind* is C(container), C(init container), C(ephemeral container) or C(image volume). *name* is the name of the
    container or volume. *path* is the location in the pod specification: C(containers), C(initContainers),
    C(ephemeralContainers) or C(volumes), and the index.
    """

    kind: str
    name: str
    image: str
    pull_policy: str
    path: tuple[str, int]

    def reference(self) -> Reference | None:
        """The image as a reference; None if it is malformed, or if it names no registry (Docker Hub)."""
        try:
            return Reference.parse(self.image)
        except InvalidReferenceError:
            return None


def name_of(workload: Object) -> str:
    """Kind and name in the form of kubectl: C(deployment/openclaw)."""
    return f"{workload['kind'].lower()}/{workload['metadata']['name']}"


def template_of(workload: Object) -> Object:
    """The pod template; for a CronJob, the template of its Jobs."""
    specification = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    return t.cast("Object", specification["template"])


def image_uses(specification: Object) -> list[ImageUse]:
    """Every image that a pod specification names, with its pull policy or the default of Kubernetes.

    https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
    """
    uses = []
    for section, kind in (
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ):
        for index, container in enumerate(specification.get(section) or []):
            uses.append(_use(kind, container["name"], container, "image", "imagePullPolicy", (section, index)))
    for index, volume in enumerate(specification.get("volumes") or []):
        if volume.get("image"):
            uses.append(
                _use("image volume", volume["name"], volume["image"], "reference", "pullPolicy", ("volumes", index))
            )
    return uses


def _use(kind: str, name: str, fields: Object, image: str, policy: str, path: tuple[str, int]) -> ImageUse:
    text = fields.get(image) or ""
    bare, digest = text.partition("@")[::2]
    last = bare.rpartition("/")[2]
    latest = last.endswith(":latest") or (":" not in last and not digest)
    return ImageUse(kind, name, text, fields.get(policy) or ("Always" if latest else "IfNotPresent"), path)


def owner_of(pod: Object) -> tuple[str, str] | None:
    """Kind and name of the Deployment, StatefulSet or DaemonSet that a pod belongs to; None if there is none.

    The owner of a Deployment's pod is a ReplicaSet with the name C(DEPLOYMENT-HASH). The hash is a label of the pod.
    """
    for owner in pod["metadata"].get("ownerReferences") or []:
        # Other projects also have a kind StatefulSet or DaemonSet, for example OpenKruise.
        if not owner.get("controller") or not str(owner.get("apiVersion")).startswith("apps/"):
            continue
        if owner["kind"] in ("StatefulSet", "DaemonSet"):
            return owner["kind"], owner["name"]
        code = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
        if owner["kind"] == "ReplicaSet" and code and owner["name"].endswith(f"-{code}"):
            return "Deployment", owner["name"][: -len(code) - 1]
    return None
