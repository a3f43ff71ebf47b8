# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What annotations say of an object: the record that a release leaves on a workload, and the tool that manages it.

Private to killinit.zot: it may change at any time.

The record is on the workload and not on its pods: it does not start a rollout, and every machine can read it.

What the tools write: https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/,
https://fluxcd.io/flux/components/kustomize/kustomizations/, https://helm.sh/docs/chart_best_practices/labels/,
https://external-secrets.io/latest/api/externalsecret/ and https://github.com/bitnami-labs/sealed-secrets.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse, Object, reference_to
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    Reference,
    is_digest,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable, require_text

RECORD = "killinit.zot/release"


@dataclass(frozen=True)
class RecordedImage:
    """What a release did to one container or volume.

    *before* and *after* are the image in the template, *ran* is the digest that the pods reported before, and *runs* is
    the digest that they were to run after. *our_pin* is true if a release has added the digest in *after*.
    """

    before: str
    ran: str | None
    after: str
    runs: str | None
    our_pin: bool = False

    @property
    def name(self) -> str:
        """The registry and the repository of the image."""
        return known_reference(self.after).name

    def for_ansible(self, container: str) -> dict[str, t.Any]:
        """One of C(images) of a record in a result."""
        return {
            "container": printable(container),
            "before": printable(self.before),
            "ran": self.ran,
            "after": printable(self.after),
            "runs": self.runs,
        }

    def for_annotation(self) -> dict[str, t.Any]:
        """One of C(images) of the annotation."""
        found = {
            "before": {"image": self.before, "digest": self.ran},
            "after": {"image": self.after, "digest": self.runs},
        }
        return {**found, "pin": True} if self.our_pin else found


@dataclass(frozen=True)
class ReleaseRecord:
    """The last change that this collection made to a workload.

    *images* are by the kind and the name of the container or volume. *restarts* is the number of patches that wrote the
    same *after*. *is_rollback* is true if a rollback to *revision* wrote the record.
    """

    time: str
    images: t.Mapping[str, RecordedImage]
    revision: str | None = None
    is_rollback: bool = False
    restarts: int = 1

    @classmethod
    def of(cls, workload: Object) -> ReleaseRecord | None:
        """The record of a workload; None if it has none that this collection could have written."""
        text = (workload["metadata"].get("annotations") or {}).get(RECORD)
        try:
            found = json.loads(text or "null")
            return cls(
                require_text(found["time"]),
                {require_text(name): _image(each) for name, each in found["images"].items()},
                None if found.get("revision") is None else require_text(found["revision"]),
                found.get("rollback") is True,
                int(found.get("restarts", 1)),
            )
        # Every user who may change a workload can write the annotation.
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def image(self, use: ImageUse) -> RecordedImage | None:
        """What the record says about a container or volume, as long as the template still holds what was written."""
        found = self.images.get(key_of(use))
        return found if found and found.after == use.image else None

    def annotation(self) -> str:
        """The value of the annotation."""
        found = {"revision": self.revision, "time": self.time, "restarts": self.restarts}
        images = {name: each.for_annotation() for name, each in self.images.items()}
        return json.dumps({**found, **({"rollback": True} if self.is_rollback else {}), "images": images})

    def for_ansible(self, uses: t.Iterable[ImageUse]) -> dict[str, t.Any]:
        """The record in a result. *uses* are the images in the template."""
        own = {key_of(use): use.image for use in uses}
        return {
            "revision": None if self.revision is None else printable(self.revision),
            "time": printable(self.time),
            "rollback": self.is_rollback,
            "holds": all(own.get(name) == each.after for name, each in self.images.items()),
            "images": [each.for_ansible(name) for name, each in self.images.items()],
        }


def known_reference(image: str) -> Reference:
    """An image of a record, with the name that the registry has in the task. Raises InvalidReferenceError."""
    found = reference_to(image)
    if found is None:
        raise InvalidReferenceError("not an image of a registry")
    return found


def key_of(use: ImageUse) -> str:
    """The name of a container or volume in a record. An init container and a container may have the same name."""
    return f"{use.kind} {use.name}"


def recorded_images(document: Object) -> list[tuple[str, str | None]]:
    """The images that the record of an object names, with their digests: a rollback may start all of them again."""
    record = ReleaseRecord.of(document)
    images = record.images.values() if record else ()
    return list(dict.fromkeys(pair for each in images for pair in ((each.before, each.ran), (each.after, each.runs))))


def _image(found: t.Any) -> RecordedImage:
    before, after = found["before"], found["after"]
    image = RecordedImage(
        require_text(before["image"]),
        _digest(before),
        require_text(after["image"]),
        _digest(after),
        found.get("pin") is True,
    )
    # A rollback writes the image into the template. A release changes the tag or the digest, but no repository.
    if known_reference(image.before).name != image.name:
        raise InvalidReferenceError("another repository")
    return image


def _digest(found: t.Mapping[str, t.Any]) -> str | None:
    digest = found.get("digest")
    if digest is not None and not (isinstance(digest, str) and is_digest(digest)):
        raise ValueError(digest)
    return digest


# The prefixes of labels and annotations that a tool writes on the objects that it manages.
_PREFIXES: t.Mapping[str, str] = {
    "argocd.argoproj.io/": "Argo CD",
    "kustomize.toolkit.fluxcd.io/": "Flux",
    "helm.toolkit.fluxcd.io/": "Flux",
    "meta.helm.sh/release-": "Helm",
    "reconcile.external-secrets.io/": "External Secrets",
    "sealedsecrets.bitnami.com/": "Sealed Secrets",
}
# The labels and annotations whose value names the application, the release and so on.
_NAMES: t.Mapping[str, str] = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}
# Argo CD tracks by this label if it does not track by an annotation. Charts and people use the same label, so it counts
# only if Argo CD has written the object.
_INSTANCE = "app.kubernetes.io/instance"


def managing_tool(document: Object) -> str | None:
    """The tool that manages an object, or its owner, for example C(Argo CD); None if there is none."""
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    names = (*labels, *(metadata.get("annotations") or {}))
    for prefix, tool in _PREFIXES.items():
        if any(name.startswith(prefix) for name in names):
            return tool
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    writers = (str(each.get("manager")) for each in metadata.get("managedFields") or ())
    return "Argo CD" if _INSTANCE in labels and any(name.startswith("argocd") for name in writers) else None


def owner_text(document: Object) -> str | None:
    """The owner or the manager of an object with its name, as a part of a sentence; None if there is none."""
    metadata = document["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        return printable(f"the {owner['kind']} {owner['name']}")
    tool = managing_tool(document)
    if tool is None:
        return None
    values = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    names = [name for name, of in {**_NAMES, _INSTANCE: "Argo CD"}.items() if of == tool and name in values]
    # The tracking annotation is APPLICATION:GROUP/KIND:NAMESPACE/NAME.
    return printable(f"{tool} ({str(values[names[0]]).partition(':')[0]})" if names else tool)
