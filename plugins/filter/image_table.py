# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: image_table
short_description: Format images as a table
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Returns a heading and one line for each image, in aligned columns.
  - A digest is shortened to its first twelve digits. Instead of a digest, the table has C(absent) for a tag that does
    not exist, C(not whole) for an index that has lost a member, C(new) for a tag that check mode would write, and
    C(unknown) for a tag with an error.
options:
  _input:
    description: The result C(images) of M(killinit.zot.zot_image_info), or C(tags) of M(killinit.zot.zot_push).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Read the image
  killinit.zot.zot_image_info:
    registry: oci.killinit.cc
    images:
      - openclaw/openclaw:latest
  register: current

- name: Show the image
  ansible.builtin.debug:
    msg: "{{ current.images | killinit.zot.image_table }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

import typing as t


def image_table(images: list[dict[str, t.Any]]) -> list[str]:
    """Return the heading and the lines."""
    # Imported late: Ansible loads every filter of the collection for each task.
    from ansible_collections.killinit.zot.plugins.plugin_utils._tables import table_of_images

    return table_of_images(images)


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file, by name."""
        return {"image_table": image_table}
