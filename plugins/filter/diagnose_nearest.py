# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose_nearest
short_description: Which images may have been meant where one is absent
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - For each image that the registry does not have, the tags that are most like it, or where there is no such
    repository, the same tag in those that are most like it. Asked again with these in C(answers.looked), the manifests
    of those that are indexes, which tell how old they are.
extends_documentation_fragment:
  - killinit.zot._diagnose
  - killinit.zot._diagnose.answers
"""

EXAMPLES = r"""
- name: Look at the tags that may have been meant
  killinit.zot.zot_image_info:
    images: "{{ view | killinit.zot.diagnose_nearest({'asked': asked.results}) }}"
"""

RETURN = r"""
_value:
  description: References.
  type: list
  elements: str
"""

import typing as t


def diagnose_nearest(view: t.Mapping[str, t.Any], answers: t.Mapping[str, t.Any]) -> list[str]:
    """Return what else to look at."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._evidence import Answers, View

    return Answers.read(answers).open_questions(View.read(view))


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_nearest": diagnose_nearest}
