# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of images and tags, as lines of text.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import size_text, table

_IMAGE_HEADING = ("REPOSITORY", "TAG", "DIGEST", "PLATFORMS", "SIZE")
_PRUNE_HEADING = ("REPOSITORY", "TAG", "AGE", "SIZE", "ACTION", "WHY")
_WHY = {
    "old": "no rule keeps it",
    "member": "its index lists the image",
    "name": "zot_prune_keep",
    "in_use": "in use",
    "shared_tag": "a shared tag",
    "not_commit": "zot_prune_revisions is not set",
    "no_rule": "no rule removes revisions",
    "unknown_age": "its age is not known",
    "keep_last": "zot_prune_keep_last",
    "newer": "zot_prune_keep_newer_than",
    "broken": "zot_prune_keep_last has too few newer revisions",
    "not_listed": "zot_prune_only does not list it",
    "moved": "another client has moved it",
    "denied": "the user may not remove it",
    "max_deletes": "more tags than zot_prune_max_deletes",
    "failed": "its removal failed",
    "not_tried": "not tried after an earlier error",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def table_of_images(images: list[dict[str, t.Any]]) -> list[str]:
    """The heading, and one line for each image."""

    def row(image: t.Mapping[str, t.Any]) -> tuple[str, ...]:
        digest = image["digest"]
        absent = "new" if image.get("changed") else "unknown" if image.get("error") else "absent"
        return (
            image["repository"],
            image["tag"] or "-",
            "not whole" if image.get("missing") else digest.partition(":")[2][:12] if digest else absent,
            ", ".join(image["platforms"]) or "-",
            "-" if image["size"] is None else size_text(image["size"]),
        )

    return table([_IMAGE_HEADING, *map(row, images)])


def table_of_tags(result: t.Mapping[str, t.Any]) -> list[str]:
    """The tags of a result of zot_prune as a table, and a last line with the totals."""

    def row(tag: t.Mapping[str, t.Any], action: str) -> tuple[str, ...]:
        if tag["reason"] == "attachment":
            why = f"attached to an image that is {'removed' if action == 'remove' else 'kept'}"
        elif tag["reason"] == "upload":
            why = "a publish needs it no more" if action == "remove" else "a publish may need it"
        else:
            why = _WHY[tag["reason"]]
        if tag["missing"]:
            why = f"{why}; not whole: it has lost {len(tag['missing'])} of its images"
        size = "-" if tag["size"] is None else size_text(tag["size"])
        return tag["repository"], tag["tag"], _age(tag["age"]), size, action, why

    rows = [*(row(each, "remove") for each in result["deleted"]), *(row(each, "keep") for each in result["kept"])]
    rows.sort(key=lambda each: each[0])
    count, freed = len(result["deleted"]), size_text(result["freeable"])
    return [
        *table([_PRUNE_HEADING, *rows]),
        f"Remove {count} of {len(rows)} tags. The garbage collection frees at most {freed}.",
    ]


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    length, unit = next((each for each in _UNITS if seconds >= each[0]), (1, "s"))
    return f"{seconds // length}{unit}"
