# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose_questions
short_description: What to ask the registry about images that cannot be pulled
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Puts together the images of the registry that cannot be pulled, by repository.
extends_documentation_fragment:
  - killinit.zot._diagnose
"""

EXAMPLES = r"""
- name: Ask the registry
  killinit.zot.zot_image_info:
    images: "{{ item.images }}"
    repositories: "{{ [item.repository] }}"
  loop: "{{ view | killinit.zot.diagnose_questions }}"
"""

RETURN = r"""
_value:
  description: One for each repository.
  type: list
  elements: dict
  contains:
    repository:
      description: The repository.
      type: str
    images:
      description: The images in it.
      type: list
      elements: str
"""

import typing as t


def diagnose_questions(view: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return what to ask."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._evidence import View

    return View.read(view).questions()


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_questions": diagnose_questions}
