# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of the page about images, repositories and clusters, for each format.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import parse_time
from ansible_collections.killinit.zot.plugins.plugin_utils._exposure import (
    Exposure,
    exposures_of,
    repository_in,
    used_images,
)
from ansible_collections.killinit.zot.plugins.plugin_utils._release_reports import released_since

Dict = t.Mapping[str, t.Any]
# The users of each image, by its repository and digest, each with the risk of the image in the cluster of the user.
Uses = t.Mapping[t.Tuple[str, str], t.Sequence[t.Tuple[str, t.Optional[str]]]]  # noqa: UP006 - Python 3.9 evaluates it
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
    """One repository: the images that a page shows, and what is known about all of them.

    *size* counts a manifest once that several images share. *used_size* is that of the images that a cluster uses.
    """

    name: str
    source: str | None
    images: list[ImageRow]
    count: int
    tags: int
    used: int
    signed: int | None
    pushed_at: str | None
    size: int
    used_size: int
    # The images that a page does not show, and the bytes of their manifests that no shown image has.
    rest: int
    rest_size: int


@dataclass
class Workload:
    """One workload of a cluster, with the images that it runs or may start. *since* is from its record."""

    namespace: str
    name: str
    status: str = ""
    reason: str = ""
    since: str = ""
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
        self.image_count = sum(each.count for each in self.repositories)
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


def page_of(report: Dict, repositories: t.Iterable[Repository]) -> Page:
    """The page of a report, whose repositories are already reduced to what a page shows."""
    return Page(
        report["registry"],
        report["created"],
        report["problems"],
        [_cluster(each, report["registry"]) for each in report["clusters"]],
        sorted(repositories, key=lambda each: (-each.size, each.name)),
        exposures_of(report["clusters"], report.get("vulnerabilities") or (), report["registry"]),
        report.get("cve"),
    )


def repository_of(found: Dict, uses: Uses, newest: int) -> Repository:
    """Reduce a repository to its images that a cluster uses and its *newest* images.

    *found* is one of C(repositories) of zot_image_info, with the details.
    """
    rows = _rows(found, uses)
    # The newest first; an unknown age is last.
    rows.sort(key=lambda each: each.tags)
    rows.sort(key=lambda each: seconds(each.pushed_at) or 0, reverse=True)
    known = [each.signed for each in rows if each.signed is not None]
    used = [each for each in rows if each.used_by]
    shown_rows = [each for number, each in enumerate(rows) if number < newest or each.used_by]
    size = _size(rows)
    return Repository(
        name=found["repository"],
        source=found["source"],
        images=shown_rows,
        count=len(rows),
        tags=len(found["images"]),
        used=len(used),
        signed=sum(known) if known else None,
        pushed_at=max((each.pushed_at for each in rows if each.pushed_at), default=None),
        size=size,
        used_size=_size(used),
        rest=len(rows) - len(shown_rows),
        rest_size=size - _size(shown_rows),
    )


def _rows(found: Dict, uses: Uses) -> list[ImageRow]:
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
        digests = (row.digest, *row.manifests, *configurations)
        found_uses = [use for digest in digests for use in uses.get((found["repository"], digest), ())]
        row.used_by = list(dict.fromkeys(user for user, _risk in found_uses))
        row.risk = _worst(*(risk for _user, risk in found_uses))
    return list(rows.values())


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


def uses_of(clusters: t.Iterable[Dict], registry: str) -> Uses:
    """The users of each image, with the name of their cluster.

    An image counts as used in the repository that the workload names, and not in another one with the same digest.
    """
    found: dict[tuple[str, str], list[tuple[str, str | None]]] = {}
    for cluster in clusters:
        for image in cluster["images"]:
            key = (repository_in(image["reference"], registry), image["digest"])
            for user in image["used_by"] if image["digest"] else ():
                text = f"{cluster['name']}: {user['namespace']}/{user['name']}"
                found.setdefault(key, []).append((text, image["risk"]))
    return found


def used_references(clusters: t.Iterable[Dict]) -> list[str]:
    """The images that pods run or may start, by digest. What only a history uses is not scanned."""
    images = [image for cluster in clusters for image in cluster["images"]]
    return [each for each in used_images(result={"images": images}) if "@" in each]


def _cluster(found: Dict, registry: str) -> Cluster:
    workloads = {
        (namespace, each["name"]): Workload(
            namespace,
            each["name"],
            each["status"],
            "" if each["status"] == "current" else each["reason"],
            # Somebody who has changed the images since has replaced the release.
            released_since(each["record"]) if (each.get("record") or {}).get("holds") else "",
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


def bar_text(part: int, whole: int) -> str:
    """A bar of 20 characters. A size above zero has at least one character."""
    count = max(round(20 * part / whole), 1) if part else 0
    return "█" * count + "░" * (20 - count)


def shown(value: object) -> str:
    """The text of a value, also of one that is not known."""
    return UNKNOWN if value is None or value == "" else str(value)
