# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects for the tests of workloads: as the API and zot_image_info return them, and what was captured of both."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import owner_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    INDEX_TYPES,
    Entry,
    Image,
    Manifest,
    Platform,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference

CLUSTER = json.loads((Path(__file__).parent / "captured_cluster.json").read_text(encoding="utf-8"))
Dict = dict[str, t.Any]

REGISTRY = "oci.killinit.cc"
APP = f"{REGISTRY}/openclaw/openclaw"
DATA = f"{REGISTRY}/openclaw/workspace"
STAMP = "2026-11-24T12:00:00Z"
NAMESPACE = "openclaw"
OLD_INDEX = "sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605"
NEW_INDEX = "sha256:4c553b9ea325a14b0e5ee5afaabf53ae2b4f3b186155d197ae400809bb5c8dfd"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


# The index that a tag means, the manifests that it lists, and their configurations.
INDEX, AMD, ARM, AMD_CONFIG, ARM_CONFIG = (digest(number) for number in range(0xA0, 0xA5))
OTHER, GONE = digest(0xB0), digest(0xB1)


def image(reference: str = f"{APP}:latest", index: str = INDEX, **configs: str | None) -> Dict:
    """An index in the registry, as zot_image_info has it; *configs* are those of amd64 and arm64, None is lost."""
    configs = configs or {"amd64": AMD_CONFIG, "arm64": ARM_CONFIG}
    children = {"amd64": AMD, "arm64": ARM} if index == INDEX else {}
    return {
        "reference": reference,
        "exists": True,
        "digest": index,
        "platforms": [f"linux/{architecture}" for architecture in configs],
        "manifest": {"manifests": []},
        "manifests": [
            {
                "platform": f"linux/{architecture}",
                "digest": children.get(architecture, digest(0xC0 + number)),
                "manifest": {"config": {"digest": config}} if config else None,
            }
            for number, (architecture, config) in enumerate(configs.items())
        ],
    }


def single(reference: str, own: str, config: str, platforms: t.Sequence[str] = ("linux/amd64",)) -> Dict:
    """A manifest in the registry that no index lists."""
    manifest = {"config": {"digest": config}}
    return {
        "reference": reference,
        "exists": True,
        "digest": own,
        "platforms": list(platforms),
        "manifest": manifest,
        "manifests": [],
    }


def gone(reference: str) -> Dict:
    return {
        "reference": reference,
        "exists": False,
        "digest": None,
        "platforms": [],
        "manifest": None,
        "manifests": [],
    }


def image_of(reference: Reference, found: Dict | None) -> Image:
    """A result of zot_image_info as a Registry has it; None for an image that does not exist."""
    if not found or not found["exists"]:
        return Image(reference)
    listed, document = found["manifests"], found["manifest"]
    if "config" in document:
        platform = dict(zip(("os", "architecture"), found["platforms"][0].split("/"))) if found["platforms"] else {}
        return Image(reference, _manifest(found["digest"], document), platform)
    platforms = [Platform(*each["platform"].split("/")) if each["platform"] else None for each in listed]
    entries = tuple(Entry(each["digest"], platform) for each, platform in zip(listed, platforms))
    children = tuple(_manifest(each["digest"], each["manifest"]) for each in listed if each["manifest"])
    missing = tuple(each["digest"] for each in listed if not each["manifest"])
    manifest = Manifest(found["digest"], min(INDEX_TYPES), document, entries=entries)
    return Image(reference, manifest, children=children, missing=missing)


def _manifest(own: str, document: Dict) -> Manifest:
    return Manifest(own, "", document, config_digest=document.get("config", {}).get("digest", ""))


def container(image: str = f"{APP}:latest", policy: str = "Always", name: str = "app") -> Dict:
    return {"name": name, "image": image, "imagePullPolicy": policy}


def volume(image: str = f"{DATA}:latest", policy: str = "Always", name: str = "workspace") -> Dict:
    return {"name": name, "image": {"reference": image, "pullPolicy": policy}}


def workload(*containers: Dict, kind: str = "Deployment", name: str = "app", **changes: t.Any) -> Dict:
    """A workload that is rolled out; *changes*: init, volumes, metadata, and what else is in its specification."""
    template: Dict = {"containers": list(containers) or [container()]}
    for key, section in (("init", "initContainers"), ("volumes", "volumes")):
        if key in changes:
            template[section] = changes.pop(key)
    metadata = {"name": name, "namespace": NAMESPACE, "generation": 2, **changes.pop("metadata", {})}
    replicas = changes.pop("replicas", 1)
    return {
        "kind": kind,
        "metadata": metadata,
        "spec": {
            **({} if kind == "DaemonSet" else {"replicas": replicas}),
            "template": {"spec": template},
            **changes,
        },
        "status": rolled_out(kind, replicas),
    }


def cronjob(*containers: Dict, name: str = "app", **changes: t.Any) -> Dict:
    """A CronJob; its containers as those of workload()."""
    own = workload(*containers, kind="CronJob", name=name, **changes)
    own["spec"] = {"jobTemplate": {"spec": {"template": own["spec"]["template"]}}}
    return own


def rolled_out(kind: str, expected: int, **changes: int | None) -> Dict:
    """The status after a rollout, with *changes* to observed, updated, whole or ready; None omits the field."""
    names = {"updated": "updatedReplicas", "whole": "replicas", "ready": "availableReplicas"}
    if kind == "DaemonSet":
        names = {
            "updated": "updatedNumberScheduled",
            "whole": "currentNumberScheduled",
            "ready": "numberAvailable",
        }
    names["observed"] = "observedGeneration"
    values = {"observed": 2, "updated": expected, "whole": expected, "ready": expected, **changes}
    status = {names[key]: value for key, value in values.items() if value is not None}
    return {**status, "desiredNumberScheduled": expected} if kind == "DaemonSet" else status


def pod(*running: str, of: str = "app", kind: str = "ReplicaSet", name: str = "p", **changes: t.Any) -> Dict:
    """A pod whose containers app, app1, … report *running*; *changes*: init, mounts, annotations, phase, ending.

    Its specification is that of the template of its owner: see with_templates().
    """
    name_of_owner = f"{of}-77" if kind == "ReplicaSet" else of
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name_of_owner, "controller": True}
    metadata: Dict = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {"pod-template-hash": "77"},
        "ownerReferences": [owner],
    }
    metadata["annotations"] = changes.get("annotations")
    if changes.get("ending"):
        metadata["deletionTimestamp"] = STAMP
    status: Dict = {"phase": changes.get("phase", "Running")}
    status["containerStatuses"] = [
        {"name": f"app{number or ''}", "imageID": text, "volumeMounts": changes.get("mounts")}
        for number, text in enumerate(running)
    ]
    status["initContainerStatuses"] = [{"name": key, "imageID": text} for key, text in changes.get("init", {}).items()]
    return {"kind": "Pod", "metadata": metadata, "status": status}


def with_templates(workloads: t.Iterable[Dict], pods: t.Iterable[Dict]) -> list[Dict]:
    """The pods, each with the specification of its owner's template if it has none: captured pods came without."""
    found = []
    for each in pods:
        owner = owner_of(each)
        template: Dict = {"containers": []}
        for own in workloads:
            if owner == (own["kind"], own["metadata"]["name"]):
                template = own["spec"]["template"]["spec"]
        found.append({"spec": template, **each})
    return found
