# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes objects in the form of the API: their names, their images, and the images that their pods run.

Private to killinit.zot: it may change at any time.

The grammar of names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import object_in, printable, text_problem

Object = t.Mapping[str, t.Any]

# The resources that the modules read, each with its API and its kind.
RESOURCES: t.Mapping[str, tuple[str, str]] = {
    "pods": ("v1", "Pod"),
    "secrets": ("v1", "Secret"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "namespaces": ("v1", "Namespace"),
    "nodes": ("v1", "Node"),
    "events": ("v1", "Event"),
    "deployments": ("apps/v1", "Deployment"),
    "statefulsets": ("apps/v1", "StatefulSet"),
    "daemonsets": ("apps/v1", "DaemonSet"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "controllerrevisions": ("apps/v1", "ControllerRevision"),
    "replicationcontrollers": ("v1", "ReplicationController"),
    "podtemplates": ("v1", "PodTemplate"),
    "customresourcedefinitions": ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    "cronjobs": ("batch/v1", "CronJob"),
    "jobs": ("batch/v1", "Job"),
}
# The resources whose pods run the images of a release.
WORKLOADS = ("deployments", "statefulsets", "daemonsets", "cronjobs")
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
# Unlike DNS, Kubernetes does not limit the parts of a subdomain.
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"(?=.{{1,253}}\Z){_PART}(?:\.{_PART})*"

# The kinds of workloads, by what kubectl accepts in front of the slash.
_KINDS: t.Mapping[str, str] = {
    alias: kind
    for kind, aliases in (
        ("Deployment", ("deployment", "deployments", "deploy", "deployment.apps", "deployments.apps")),
        ("StatefulSet", ("statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps")),
        ("DaemonSet", ("daemonset", "daemonsets", "ds", "daemonset.apps", "daemonsets.apps")),
        ("CronJob", ("cronjob", "cronjobs", "cj", "cronjob.batch", "cronjobs.batch")),
    )
    for alias in aliases
}
# For each section of a pod template, the field of the pod status that describes its containers.
STATUS_OF = {
    "containers": "containerStatuses",
    "initContainers": "initContainerStatuses",
    "ephemeralContainers": "ephemeralContainerStatuses",
}
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


def api_of(resource: str) -> tuple[str, str, str | None]:
    """The API, the name in a path and the kind of a resource.

    A resource that is not in RESOURCES has the form of kubectl, C(scaledjobs.v1alpha1.keda.sh). Its objects name their
    kind.
    """
    if resource in RESOURCES:
        version, kind = RESOURCES[resource]
        return version, resource, kind
    plural, version, group = resource.split(".", 2)
    return f"{group}/{version}", plural, None


def is_name(text: object) -> bool:
    """Whether an object can have this name (an RFC 1123 subdomain)."""
    return isinstance(text, str) and re.fullmatch(_SUBDOMAIN, text) is not None


def is_label(text: object) -> bool:
    """Whether a namespace, a container or a volume can have this name (an RFC 1123 label)."""
    return isinstance(text, str) and re.fullmatch(_LABEL, text) is not None


def namespace_name(value: object) -> str:
    """The name of a namespace. Raises InvalidNameError."""
    if value is None or value == "":
        raise InvalidNameError("the namespace is empty: set zot_namespace (variable) or namespace (option)")
    text = _text("the namespace", value)
    if not is_label(text):
        raise InvalidNameError(f"{text!r} is not a valid name of a namespace")
    return text


def object_name(value: object) -> str:
    """The name of an object. Raises InvalidNameError."""
    text = _text("the name", value)
    if not is_name(text):
        raise InvalidNameError(f"{text!r} is not a valid name of a Kubernetes object")
    return text


def _text(name: str, value: object) -> str:
    problem = text_problem(name, value)
    if problem:
        raise InvalidNameError(problem)
    return str(value)


@dataclass(frozen=True)
class WorkloadName:
    """Kind and name of a workload. The text form is that of kubectl: C(deployment/openclaw)."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> WorkloadName:
        """Read C(deployment/openclaw), C(Deployment/openclaw) or C(deploy/openclaw). Raises InvalidNameError."""
        kind, slash, name = text.partition("/")
        if not slash:
            raise InvalidNameError(f"{text!r} does not name a kind: write it as deployment/{text}")
        if kind.lower() not in _KINDS:
            kinds = ", ".join(sorted(set(_KINDS.values())))
            raise InvalidNameError(f"{kind!r} in {text!r} is not one of the kinds {kinds}")
        return cls(_KINDS[kind.lower()], object_name(name))

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


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
        """The image as a reference; see reference_to()."""
        return reference_to(self.image)

    def as_written(self, image: str) -> str:
        """*image* with the name that this image has for the registry: the nodes may know no other name."""
        written, known = _parsed(self.image), self.reference()
        if not written or not known or not image.startswith(f"{known.registry}/"):
            return image
        return written.registry + image[len(known.registry) :]

    def followed(self) -> Reference | None:
        """What the pods should run: the tag of the image if it has one, also before a digest, or else its digest."""
        reference = self.reference()
        return reference.tagged(reference.tag) if reference and reference.tag else reference

    def pinned(self) -> Reference | None:
        """The image by its digest, which is what a runtime pulls; None for an image without a digest."""
        reference = self.reference()
        return reference.pinned(reference.digest) if reference and reference.digest else None


# The name of the registry in the task, and its other names.
_names: list[tuple[str, t.Sequence[str]]] = []


@contextlib.contextmanager
def registry_names(registry: str, aliases: t.Sequence[str]) -> t.Iterator[None]:
    """In the block, the references of images have the name *registry*, also if the cluster uses one of the others."""
    _names.append((registry, aliases))
    try:
        yield
    finally:
        _names.pop()


def another_name(user: str, image: str, registry: str, held: str, host: str) -> str:
    """A sentence about a *host* that may be another name of the *registry*, which has *held* in the same repository."""
    return printable(
        f"{user} names {image}, and {registry} has {held} in the same repository: if {host} is another name of it, add"
        " this name to zot_registry_aliases"
    )


def reference_to(image: str) -> Reference | None:
    """An image as a reference; None if it is malformed, or if it names no registry (Docker Hub).

    Within registry_names() the registry has the name that it has in the task.
    """
    reference = _parsed(image)
    return reference.known_as(*_names[-1]) if reference and _names else reference


@functools.lru_cache(maxsize=1024)
def _parsed(image: str) -> Reference | None:
    try:
        return Reference.parse(image)
    except InvalidReferenceError:
        return None


def name_of(workload: Object) -> str:
    """Kind and name in the form of kubectl: C(deployment/openclaw)."""
    return f"{workload['kind'].lower()}/{workload['metadata']['name']}"


def template_of(workload: Object) -> Object:
    """The pod template; for a CronJob, the template of its Jobs."""
    specification = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    return t.cast("Object", specification["template"])


def secret_names(owner: Object) -> list[str]:
    """The pull secrets that the specification of a pod, or a service account, names."""
    return [each["name"] for each in owner.get("imagePullSecrets") or () if each.get("name")]


def service_account_of(specification: Object) -> str:
    """The service account of a pod."""
    return str(specification.get("serviceAccountName") or specification.get("serviceAccount") or "default")


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


def controller_of(document: Object) -> tuple[str, str]:
    """Kind, in lower case, and name of the workload that controls an object, or of the object itself."""
    owners = [each for each in document["metadata"].get("ownerReferences") or [] if each.get("controller")]
    itself = (document.get("kind", "Pod"), document["metadata"]["name"])
    kind, name = owner_of(document) or ((owners[0]["kind"], owners[0]["name"]) if owners else itself)
    return kind.lower(), name


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
    digest = object_in((pod["metadata"].get("annotations") or {}).get(_annotation(use))).get(use.name)
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
