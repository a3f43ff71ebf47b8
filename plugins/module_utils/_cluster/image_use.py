# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the images that a Kubernetes object uses, or may start without a push. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import recorded_images
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    RESOURCES,
    STATUS_OF,
    Object,
    controller_of,
    digest_of,
    image_uses,
    name_of,
    recorded_for,
    reported_by,
    template_of,
)

# Every resource with a pod, a pod template, or the history of one.
RESOURCES_WITH_IMAGES = (
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "controllerrevisions",
    "replicationcontrollers",
    "podtemplates",
    "jobs",
    "cronjobs",
)
_KINDS = frozenset(RESOURCES[resource][1] for resource in RESOURCES_WITH_IMAGES)
# The kinds that keep the templates of another workload, so that a rollback can start them.
_HISTORY = ("ReplicaSet", "ControllerRevision")
# The fields whose content may be a pod template although the schema does not describe it.
_POD_FIELD = re.compile(r"(?i)(^spec|template|pod_?spec|containers?)$")
_OPEN = "x-kubernetes-preserve-unknown-fields"
_INNER = ("items", "additionalProperties")
_OURS = "zot.killinit.cc/"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageInUse:
    """One use of an image.

    *image* is the text in the specification, and *reported* the image in the status of the pod. *digest* is None if
    only a tag is known. *how* is C(running), C(template), C(history) or C(annotation).
    """

    namespace: str
    owner: str
    how: str
    image: str
    digest: str | None = None
    reported: str | None = None


def images_in_use(document: Object) -> t.Iterator[ImageInUse]:
    """Every use of an image by an object of RESOURCES_WITH_IMAGES, or of a custom resource."""
    owner = "/".join(controller_of(document))
    if document["kind"] not in _KINDS:
        namespace = document["metadata"].get("namespace") or ""
        for image in _image_fields({**document, "metadata": None}):
            found = _DIGEST.search(image)
            yield ImageInUse(namespace, owner, "template", image, found[0] if found else None)
        return
    if document["kind"] == "Pod":
        # A pod that has ended does not start its containers again.
        if (document.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            yield from _pod_uses(document, owner)
        return
    template = _template(document)
    if template is None:
        return
    is_history = document["kind"] in _HISTORY and owner != name_of(document)
    yield from _template_uses(document, template, owner, "history" if is_history else "template")
    yield from _recorded(document, template, owner)
    # What a release has replaced, which a rollback starts again.
    for image, digest in recorded_images(document):
        yield ImageInUse(document["metadata"].get("namespace") or "", owner, "annotation", image, digest)


def _pod_uses(pod: Object, owner: str) -> t.Iterator[ImageInUse]:
    namespace = pod["metadata"].get("namespace") or ""
    for use in image_uses(pod["spec"]):
        reported = reported_by(pod, use)
        if reported:
            yield ImageInUse(namespace, owner, "running", use.image, digest_of(reported), reported)
    # A pod without a controller is its own template. A pod that waits for its image does not report it yet.
    yield from _template_uses(pod, pod, owner, "template" if owner == name_of(pod) else "running", only_new=True)
    yield from _recorded(pod, pod, owner)


def _template_uses(
    document: Object, template: Object, owner: str, how: str, *, only_new: bool = False
) -> t.Iterator[ImageInUse]:
    namespace = document["metadata"].get("namespace") or ""
    for use in image_uses(template["spec"]):
        reference = use.reference()
        digest = reference.digest if reference else None
        if digest or not only_new or how == "template" or not reported_by(document, use):
            yield ImageInUse(namespace, owner, how, use.image, digest)


def _recorded(document: Object, template: Object, owner: str) -> t.Iterator[ImageInUse]:
    """The digests in the annotations that a restart writes."""
    metadata = template.get("metadata") or {}
    notes = {name: text for name, text in (metadata.get("annotations") or {}).items() if name.startswith(_OURS)}
    left = {digest for text in notes.values() for digest in _DIGEST.findall(str(text))}
    namespace = document["metadata"].get("namespace") or ""
    for use in image_uses(template["spec"]) if notes else ():
        digest = recorded_for({"metadata": metadata}, use)
        if digest:
            left.discard(digest)
            yield ImageInUse(namespace, owner, "annotation", use.image, digest)
    for digest in sorted(left):
        yield ImageInUse(namespace, owner, "annotation", "", digest)


def _template(document: Object) -> Object | None:
    if document["kind"] == "PodTemplate":
        return t.cast("Object", document["template"])
    if document["kind"] != "ControllerRevision":
        return template_of(document)
    # The field contains a patch of the workload. Controllers of other projects may store other data in it.
    # https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/
    found: t.Any = document.get("data")
    for name in ("spec", "template"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("spec"), dict) else None


def has_pod_template(schema: t.Mapping[str, t.Any]) -> bool:
    """Whether a schema of OpenAPI contains the specification of a pod, or may contain one in an object without schema.

    Some projects leave out the schema of a pod template, because it is long.
    """
    properties = schema.get("properties") or {}
    if not properties and schema.get(_OPEN):
        return True
    for name, each in properties.items():
        if each.get(_OPEN) and not each.get("properties") and not _POD_FIELD.search(name):
            continue
        is_section = name in STATUS_OF and "image" in (each.get("items") or {}).get("properties", ())
        if is_section or has_pod_template(each):
            return True
    return any(has_pod_template(schema[name]) for name in _INNER if isinstance(schema.get(name), dict))


def _image_fields(value: t.Any) -> t.Iterator[str]:
    """The image of every container and volume in an object of unknown structure."""
    if isinstance(value, list):
        for each in value:
            yield from _image_fields(each)
    elif isinstance(value, dict):
        image = value.get("image")
        image = image.get("reference") if isinstance(image, dict) else image
        if isinstance(image, str):
            yield image
        for each in value.values():
            yield from _image_fields(each)
