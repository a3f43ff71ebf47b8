# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose_probes
short_description: What to ask the registry with the accounts of pull secrets
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - For each image of the registry that cannot be pulled, the accounts that kubelet would use, in its order, and none at
    all where it finds none.
  - The result holds passwords; use it with C(no_log).
extends_documentation_fragment:
  - killinit.zot._diagnose
"""

EXAMPLES = r"""
- name: Ask as kubelet does
  killinit.zot.zot_image_info:
    images: "{{ item.images }}"
    repositories: "{{ [item.repository] }}"
    username: "{{ item.username }}"
    password: "{{ item.password }}"
    authfile: ""
  loop: "{{ view | killinit.zot.diagnose_probes }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: One for each account and repository.
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
    secret:
      description: The pull secret, empty for no account at all.
      type: str
    username:
      description: The account.
      type: str
    password:
      description: Its password.
      type: str
"""

import typing as t


def diagnose_probes(view: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return what to ask with which account."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._evidence import View

    return View.read(view).probes()


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_probes": diagnose_probes}
