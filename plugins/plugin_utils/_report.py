# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of the page about images, repositories and clusters, for each format.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.time import parse_time
from ansible_collections.killinit.zot.plugins.plugin_utils._exposure import Exposure, exposures_of

Dict = t.Mapping[str, t.Any]
UNKNOWN = "\N{EN DASH}"
_STEPS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))
# The risks, the worst first. Only the worst risk of an image is shown.
_RISKS = ("missing", "incomplete", "untagged", "shared_tag")


@dataclass
class ImageRow:
    """One image of a repository, with all tags that refer to it, and the tags of its single architectures."""

    digest: str
    tags: list[str]
    member_tags: list[str]
    platforms: list[str]
    manifests: Dict
    pushed_at: str | None
    last_pulled_at: str | None
    signed: bool | None
    used_by: list[str] = field(default_factory=list)
    risk: str | None = None

    @property
    def size(self) -> int:
        """The bytes of its manifests."""
        return sum(self.manifests.values())


@dataclass
class Repository:
    """One repository. *size* counts each manifest once, *used_size* those of images that a cluster uses."""

    name: str
    source: str | None
    images: list[ImageRow]
    tags: int

    @property
    def size(self) -> int:
        """The bytes of all its images."""
        return _size(self.images)

    @property
    def used_size(self) -> int:
        """The bytes of the images that a cluster uses."""
        return _size(each for each in self.images if each.used_by)

    @property
    def used(self) -> int:
        """The number of images that a cluster uses."""
        return sum(bool(each.used_by) for each in self.images)

    @property
    def signed(self) -> int | None:
        """The number of signed images; None if it is not known for any image."""
        known = [each.signed for each in self.images if each.signed is not None]
        return sum(known) if known else None

    @property
    def pushed_at(self) -> str | None:
        """When the newest image was pushed."""
        return max((each.pushed_at for each in self.images if each.pushed_at), default=None)


@dataclass
class Workload:
    """One workload of a cluster, with the images that it runs or may start."""

    namespace: str
    name: str
    status: str = ""
    reason: str = ""
    images: list[Dict] = field(default_factory=list)


@dataclass
class Cluster:
    """One cluster. *kept* are images that only the history of a workload uses."""

    name: str
    server: str
    namespaces: t.Sequence[str]
    problems: t.Sequence[str]
    workloads: list[Workload]
    at_risk: t.Sequence[Dict]
    kept: t.Sequence[Dict]

    @property
    def stale(self) -> int:
        """The number of stale workloads."""
        return sum(each.status == "stale" for each in self.workloads)


@dataclass
class Page:
    """The content of a page. *created* is the time at which the registry and the clusters were read."""

    registry: str
    created: str
    problems: t.Sequence[str]
    clusters: list[Cluster]
    repositories: list[Repository]
    # The images in use with what the scanner of the registry knows, and where one vulnerability runs.
    exposures: t.Sequence[Exposure] = ()
    cve: Dict | None = None

    def __post_init__(self) -> None:
        self.size = sum(each.size for each in self.repositories)
        self.used_size = sum(each.used_size for each in self.repositories)
        self.largest = max((each.size for each in self.repositories), default=0) or 1
        self.image_count = sum(len(each.images) for each in self.repositories)
        self.tag_count = sum(each.tags for each in self.repositories)
        self.workload_count = sum(len(each.workloads) for each in self.clusters)
        self.stale_count = sum(each.stale for each in self.clusters)
        self.at_risk_count = sum(len(each.at_risk) for each in self.clusters)
        # Without a scanner, nothing is known about any image, for one reason.
        reasons = {each.reason for each in self.exposures}
        self.unscanned = (
            next(iter(reasons)) if len(reasons) == 1 and not any(e.findings for e in self.exposures) else None
        )
        self.scans = {} if self.unscanned else {each.digest: each for each in self.exposures}
        self.from_registry = [each.name for each in self.repositories if each.source == "registry"]

    def age(self, text: str | None) -> str:
        """The age of a time of the registry, in words."""
        return _age(text, seconds(self.created) or 0)


def page_of(report: Dict) -> Page:
    """The page of a report of the playbook report."""
    uses = _uses(report["clusters"])
    repositories = [_repository(each, uses) for each in report["repositories"]]
    repositories.sort(key=lambda each: (-each.size, each.name))
    clusters = [_cluster(each, report["registry"]) for each in report["clusters"]]
    return Page(
        report["registry"],
        report["created"],
        report["problems"],
        clusters,
        repositories,
        exposures_of(report["clusters"], report.get("vulnerabilities") or (), report["registry"]),
        report.get("cve"),
    )


def _repository(found: Dict, uses: t.Mapping[str, list[tuple[str, str | None]]]) -> Repository:
    by_digest: dict[str, list[Dict]] = {}
    for image in found["images"]:
        by_digest.setdefault(image["digest"], []).append(image)
    # The tags of single architectures belong to the index that lists their images.
    parents: dict[str, set[str]] = {}
    for digest, images in by_digest.items():
        for each in images[0]["manifests"]:
            if each["digest"] != digest:
                parents.setdefault(each["digest"], set()).add(digest)
    rows = {
        digest: _row(images) for digest, images in by_digest.items() if not parents.get(digest, set()) - parents.keys()
    }
    for digest, indexes in parents.items():
        for index in indexes & rows.keys():
            rows[index].member_tags += sorted(each["tag"] for each in by_digest.get(digest, ()))
    for row in rows.values():
        # A container runtime reports the digest of the index, of a member, or of a configuration.
        configurations = [each["config_digest"] for each in by_digest[row.digest][0]["manifests"]]
        found_uses = [use for digest in (row.digest, *row.manifests, *configurations) for use in uses.get(digest, ())]
        row.used_by = list(dict.fromkeys(user for user, _risk in found_uses))
        row.risk = _worst(*(risk for _user, risk in found_uses))
    # The newest first; an unknown age is last.
    ordered = sorted(rows.values(), key=lambda each: each.tags)
    ordered.sort(key=lambda each: seconds(each.pushed_at) or 0, reverse=True)
    return Repository(found["repository"], found["source"], ordered, len(found["images"]))


def _row(images: t.Sequence[Dict]) -> ImageRow:
    first = images[0]
    pulled = [each["last_pulled_at"] for each in images if each["last_pulled_at"]]
    return ImageRow(
        digest=first["digest"],
        tags=sorted(each["tag"] for each in images),
        member_tags=[],
        platforms=list(first["platforms"]),
        manifests={each["digest"]: each["size"] for each in first["manifests"]},
        pushed_at=first["pushed_at"],
        last_pulled_at=max(pulled, default=None),
        signed=first["signed"],
    )


def _uses(clusters: t.Iterable[Dict]) -> dict[str, list[tuple[str, str | None]]]:
    """The users of each digest, and its risk in each cluster."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for cluster in clusters:
        for image in cluster["images"]:
            for user in image["used_by"] if image["digest"] else ():
                text = f"{cluster['name']}: {user['namespace']}/{user['name']}"
                found.setdefault(image["digest"], []).append((text, image["risk"]))
    return found


def _cluster(found: Dict, registry: str) -> Cluster:
    workloads = {
        (namespace, each["name"]): Workload(
            namespace, each["name"], each["status"], "" if each["status"] == "current" else each["reason"]
        )
        for namespace, several in found["workloads"].items()
        for each in several
    }
    images = []
    for image in found["images"]:
        users: dict[tuple[str, str], list[str]] = {}
        for user in image["used_by"]:
            users.setdefault((user["namespace"], user["name"]), []).append(user["use"])
        named = {**image, "reference": image["reference"].removeprefix(f"{registry}/"), "users": users}
        images.append(named)
        for (namespace, name), uses in users.items():
            if uses != ["history"]:
                workload = workloads.setdefault((namespace, name), Workload(namespace, name))
                # A running image is also in the template, unless the two differ.
                listed = ["running"] if "running" in uses else [use for use in uses if use != "history"]
                workload.images.append({**named, "uses": listed})
    return Cluster(
        name=found["name"],
        server=found["cluster"],
        namespaces=found["namespaces"],
        problems=found["problems"],
        workloads=sorted(workloads.values(), key=lambda each: (each.namespace, each.name)),
        at_risk=[each for each in images if each["risk"]],
        kept=[each for each in images if all(uses == ["history"] for uses in each["users"].values())],
    )


def _size(images: t.Iterable[ImageRow]) -> int:
    return sum({digest: size for each in images for digest, size in each.manifests.items()}.values())


def _worst(*risks: str | None) -> str | None:
    return next((risk for risk in _RISKS if risk in risks), None)


def seconds(text: str | None) -> int | None:
    found = parse_time(text)
    return found.seconds if found else None


def _age(text: str | None, now: int) -> str:
    then = seconds(text)
    if then is None:
        return UNKNOWN
    for length, unit in _STEPS:
        count = (now - then) // length
        if count > 0:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "now"


def bar_text(part: int, whole: int, width: int = 20) -> str:
    """A bar of characters. A size above zero has at least one character."""
    count = max(round(width * part / whole), 1) if part else 0
    return "█" * count + "░" * (width - count)


def shown(value: object) -> str:
    """The text of a value, also of one that is not known."""
    return UNKNOWN if value is None or value == "" else str(value)
