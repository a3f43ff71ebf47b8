# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: image_table
short_description: Show images as a table
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Makes one line of text for each image, in columns that fit a terminal, with a heading.
  - What is long is not cut, but a digest is shown by its first twelve digits.
options:
  _input:
    description: Images, as M(killinit.zot.zot_image_info) returns them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Look
  killinit.zot.zot_image_info:
    registry: oci.killinit.cc
    images:
      - openclaw/openclaw:latest
  register: there

- name: Show
  ansible.builtin.debug:
    msg: "{{ there.images | killinit.zot.image_table }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

_HEADING = ("REPOSITORY", "TAG", "DIGEST", "PLATFORMS", "SIZE")


def image_table(images: list[dict[str, t.Any]]) -> list[str]:
    """Return the lines, heading first."""
    rows = [_HEADING, *map(_row, images)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _row(image: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    digest = image["digest"]
    return (
        image["repository"],
        image["tag"] or "-",
        digest.partition(":")[2][:12] if digest else "not there",
        ", ".join(image["platforms"]) or "-",
        "-" if image["size"] is None else _size(image["size"]),
    )


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"image_table": image_table}
