# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a registry and its clusters as Markdown.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import size_text
from ansible_collections.killinit.zot.plugins.plugin_utils._markdown import Bold, escaped, heading, markdown_table
from ansible_collections.killinit.zot.plugins.plugin_utils._report import UNKNOWN, Cluster, Dict, Page, bar_text, shown

# How many vulnerabilities of an image the table names.
_WORST = 3


def markdown(page: Page) -> str:
    """The text of the page."""
    return "\n".join(_lines(page))


def _lines(page: Page) -> t.Iterator[str]:
    """The lines of the page."""
    yield from heading(1, f"Images of {_cell(page.registry)}")
    yield from (f"Read at {_cell(page.created)}. Ages count from then.", "")
    if page.problems:
        yield from heading(2, "This report is not complete")
        yield from (*(f"- {_cell(text)}" for text in page.problems), "")
    totals = {
        "Repositories": len(page.repositories),
        "Images": page.image_count,
        "Tags": page.tag_count,
        "Size": size_text(page.size),
        "Used by clusters": size_text(page.used_size),
        "Workloads": page.workload_count,
        "Stale": page.stale_count,
        "At risk": page.at_risk_count,
    }
    yield from markdown_table([*totals], [[*totals.values()]], right=totals)
    yield from _vulnerabilities(page)
    for cluster in page.clusters:
        yield from _cluster(cluster, page)
    if not page.repositories:
        return
    yield from heading(2, "Repositories")
    yield from markdown_table(
        ("Repository", "Images", "Tags", "In use", "Signed", "Newest push", "Space", "Size"),
        [
            (
                shown(each.name),
                each.count,
                each.tags,
                each.used,
                shown(each.signed),
                page.age(each.pushed_at),
                bar_text(each.size, page.largest),
                size_text(each.size),
            )
            for each in page.repositories
        ],
        right=("Images", "Tags", "In use", "Signed", "Size"),
    )
    yield from ("A layer that several images share is stored once, but counts for each of them.", "")
    if page.from_registry:
        names = _cell(", ".join(page.from_registry))
        unknown = "when an image was pushed or pulled, and some signatures, are not known"
        yield from (f"The registry has no search extension for {names}: {unknown}.", "")
    for repository in page.repositories:
        if repository.images:
            yield from heading(3, _cell(repository.name))
            yield from markdown_table(
                ("Tags", "Digest", "Platforms", "Size", "Pushed", "Last pull", "Signed", "Used by"),
                [
                    (
                        shown(", ".join(image.tags + image.member_tags)),
                        shown(image.digest[7:19]),
                        shown(", ".join(image.platforms)),
                        size_text(image.size),
                        page.age(image.pushed_at),
                        page.age(image.last_pulled_at),
                        UNKNOWN if image.signed is None else image.signed,
                        [shown(", ".join(image.used_by)), *([Bold("at risk")] if image.risk else [])],
                    )
                    for image in repository.images
                ],
                right=("Size",),
            )
        if repository.rest:
            images = f"{repository.rest} image{'' if repository.rest == 1 else 's'} more"
            size = size_text(repository.rest_size)
            yield from (f"{images}, which no cluster uses: {size}. The JSON report lists them.", "")


def _vulnerabilities(page: Page) -> t.Iterator[str]:
    if page.cve:
        yield from heading(2, f"Where does {_cell(page.cve['id'])} run?")
        yield from markdown_table(
            ("Workload", "Image", "Severity", "Package", "Installed", "Fixed"),
            [
                (
                    shown(row["workload"]),
                    f"{row['image']} {_digest(row)}",
                    shown(row["severity"]),
                    shown(row["package"]),
                    shown(row["installed"]),
                    row["fixed"] or "no fix",
                )
                for row in page.cve["used_by"]
            ],
        )
        if not page.cve["used_by"]:
            where = f"The scanner of {_cell(page.registry)} found it in no image"
            yield from (f"{where} that a workload of these clusters uses.", "")
        if page.cve["not_known"]:
            rows = [
                f"- {_cell(row['workload'])}: {_cell(row['image'])} {_cell(_digest(row))}: {_cell(row['reason'])}"
                for row in page.cve["not_known"]
            ]
            yield from ("It is not known for these workloads:", "", *rows, "")
    if not page.exposures:
        return
    yield from heading(2, "Vulnerabilities of the images in use")
    if page.unscanned:
        yield from (f"It is not known which vulnerabilities the images have: {_cell(page.unscanned)}.", "")
        return
    yield from (f"Read at {_cell(page.created)}. The registry does not say how old its database is.", "")
    yield from markdown_table(
        ("Image", "Vulnerabilities", "Worst", "Used by"),
        [
            (
                f"{each.reference} {_digest(vars(each))}",
                each.text,
                [
                    f"{one['id']}: {one['package']} {one['installed']} → {one['fixed'] or 'no fix'}: {one['title']}"
                    for one in each.findings[:_WORST]
                ],
                each.users,
            )
            for each in page.exposures
        ],
    )


def _cluster(cluster: Cluster, page: Page) -> t.Iterator[str]:
    registry = page.registry
    yield from heading(2, f"Cluster {_cell(cluster.name)}")
    if cluster.server:
        yield from (_cell(cluster.server), "")
    if cluster.problems:
        yield from ("Unreadable:", "", *(f"- {_cell(text)}" for text in cluster.problems), "")
    yield from markdown_table(
        ("Namespace", "Workload", "Status", "Images", *(["Vulnerabilities"] if page.scans else [])),
        [
            (
                shown(each.namespace),
                shown(each.name),
                [
                    ": ".join(filter(None, (each.status or "not compared", each.reason))),
                    *([f"since the {each.since}"] if each.since else []),
                ],
                [
                    cell
                    for image in each.images
                    for cell in (
                        f"{image['reference']} {_digest(image)} ({', '.join([*image['tags'], *image['uses']])})",
                        *([Bold("at risk")] if image["risk"] else []),
                    )
                ],
                *([[_known(page, image) for image in each.images]] if page.scans else []),
            )
            for each in cluster.workloads
        ],
    )
    if not cluster.workloads and not cluster.problems:
        where = _cell(", ".join(cluster.namespaces)) if cluster.namespaces else "this cluster"
        yield from (f"Nothing in {where} uses an image of {_cell(registry)}.", "")
    if cluster.at_risk:
        yield from heading(3, f"Images of {_cell(cluster.name)} that can be lost")
        yield from markdown_table(
            ("Image", "Digest", "Why", "Used by"),
            [
                (
                    shown(image["reference"]),
                    _digest(image),
                    shown(image["reason"]),
                    [f"{namespace}/{name} ({', '.join(uses)})" for (namespace, name), uses in image["users"].items()],
                )
                for image in cluster.at_risk
            ],
        )


def _known(page: Page, image: Dict) -> str:
    found = page.scans.get(image["digest"])
    return found.text if found else UNKNOWN


def _cell(value: object) -> str:
    return escaped(shown(value))


def _digest(image: Dict) -> str:
    return shown(image["digest"] and image["digest"][7:19])
