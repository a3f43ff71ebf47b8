# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pull_secret_probes
short_description: Say which images to read with which account of a pull secret
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Lists what M(killinit.zot.zot_image_info) has to read to prove that a pull secret is good for what the workloads of
    its namespace need, once for each repository and each account that kubelet would try for it.
  - The result holds passwords. Use it with C(no_log).
extends_documentation_fragment:
  - killinit.zot._pull_secret
"""

EXAMPLES = r"""
- name: Read the images with the accounts of the secret
  killinit.zot.zot_image_info:
    images: "{{ item.images }}"
    username: "{{ item.username }}"
    password: "{{ item.password }}"
  loop: "{{ view | killinit.zot.pull_secret_probes('oci.killinit.cc') }}"
  register: probed
  failed_when: false
  no_log: true
  vars:
    view:
      name: zot-pull-secret
      namespace: openclaw
      only: []
      refused: []
      secret: "{{ secret.resources }}"
      elsewhere: null
      workloads: "{{ deployments.resources }}"
      service_accounts: "{{ accounts.resources }}"
"""

RETURN = r"""
_value:
  description: The images to read.
  type: list
  elements: dict
  contains:
    repository:
      description: As C(registry/repository).
      type: str
    images:
      description: The references that the workloads have in it.
      type: list
      elements: str
    entry:
      description: The key of the entry, as kubelet understands it.
      type: str
    username:
      description: Its account.
      type: str
    password:
      description: Its password.
      type: str
"""

import typing as t


def pull_secret_probes(view: t.Mapping[str, t.Any], registry: str) -> list[dict[str, t.Any]]:
    """Return what to read with which account."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullSecret, needed

    return [
        {
            "repository": repository,
            "images": images,
            "entry": entry.key,
            "username": entry.username,
            "password": entry.password,
        }
        for secret in view["secret"] or ()
        for repository, images in needed(view, registry).items()
        for entry in PullSecret.read(secret).for_image(repository)
        if entry.is_complete
    ]


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"pull_secret_probes": pull_secret_probes}
