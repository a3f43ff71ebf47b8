# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known about the vulnerabilities of the images that clusters use, and where one of them runs.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import SEVERITIES

Fields = t.Mapping[str, t.Any]
_SEVERITIES = SEVERITIES[::-1]


@dataclass
class Exposure:
    """An image that clusters use. *users* have the form C(cluster: namespace/workload)."""

    reference: str
    digest: str | None
    status: str
    reason: str | None
    counts: t.Mapping[str, int]
    findings: t.Sequence[Fields]
    users: list[str] = field(default_factory=list)

    @property
    def severities(self) -> list[tuple[str, int]]:
        """The number of vulnerabilities of each severity that it has, the worst first."""
        return [(name, self.counts[name]) for name in _SEVERITIES if self.counts.get(name)]

    @property
    def text(self) -> str:
        """What is known, in one line."""
        counts = ", ".join(f"{count} {name if name != 'unknown' else 'not rated'}" for name, count in self.severities)
        unknown = f"not known: {self.reason}" if self.reason else ""
        return "; ".join(filter(None, (counts, unknown))) or "none found"


def repository_in(reference: str, registry: str) -> str:
    """The repository that a reference names, without the tag and the digest.

    A cluster may know the registry by another name.
    """
    name = reference.partition("@")[0]
    ours = f"{registry}/"
    name = name[len(ours) :] if name.startswith(ours) else name.partition("/")[2] or name
    path, _colon, tag = name.rpartition(":")
    return path if path and "/" not in tag else name


def used_images(*, result: Fields) -> list[str]:
    """The images in use that zot_cluster_image_info returns, by digest. One that the registry lacks has no digest."""
    used = [each for each in result["images"] if any(one["use"] != "history" for one in each["used_by"])]
    names = [each["reference"].partition("@")[0] + (f"@{each['digest']}" if each["digest"] else "") for each in used]
    return list(dict.fromkeys(names))


def exposures_of(clusters: t.Iterable[Fields], scans: t.Iterable[Fields], registry: str) -> list[Exposure]:
    """The images in use with what is known about them, the worst first, and then those that are not known."""
    # Two repositories can have an image with the same digest.
    found: dict[tuple[str, str | None], Exposure] = {}
    for scan in scans:
        found.setdefault(
            (repository_in(scan["reference"], registry), scan["digest"]),
            Exposure(
                scan["reference"].partition("@")[0].removeprefix(f"{registry}/"),
                scan["digest"],
                scan["status"],
                scan["reason"],
                scan["summary"],
                scan["vulnerabilities"],
            ),
        )
    for cluster in clusters:
        for image in cluster["images"]:
            key = (repository_in(image["reference"], registry), image["digest"])
            for user in image["used_by"] if key in found else ():
                text = f"{cluster['name']}: {user['namespace']}/{user['name']}"
                users = found[key].users
                if user["use"] != "history" and text not in users:
                    users.append(text)
    used = [each for each in found.values() if each.users]
    return sorted(
        used, key=lambda each: ([-each.counts.get(name, 0) for name in _SEVERITIES], not each.reason, each.reference)
    )


def where_it_runs(*, report: Fields, cve: str) -> dict[str, t.Any]:
    """Where a vulnerability runs: the workloads that use an image with it, and the images that are not scanned."""
    wanted = cve.strip().upper()
    exposures = exposures_of(report["clusters"], report["vulnerabilities"], report["registry"])
    return {
        "id": wanted,
        "used_by": [
            {
                "workload": user,
                "image": each.reference,
                "digest": each.digest,
                "severity": finding["severity"],
                "package": finding["package"],
                "installed": finding["installed"],
                "fixed": finding["fixed"],
            }
            for each in exposures
            for finding in each.findings
            if finding["id"].upper() == wanted
            for user in each.users
        ],
        "not_known": [
            {"workload": user, "image": each.reference, "digest": each.digest, "reason": each.reason}
            for each in exposures
            if each.reason
            for user in each.users
        ],
    }
