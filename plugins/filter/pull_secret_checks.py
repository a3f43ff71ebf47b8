# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pull_secret_checks
short_description: Judge a pull secret
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Says whether the pods of a namespace can pull from a registry with a pull secret, and what to do if not.
  - It is what R(the role zot_pull_secret,ansible_collections.killinit.zot.zot_pull_secret_role) runs on. Nothing in
    the result is secret.
extends_documentation_fragment:
  - killinit.zot._pull_secret
options:
  probed:
    description:
      - The C(results) of M(killinit.zot.zot_image_info) in a loop over what
        P(killinit.zot.pull_secret_probes#filter) returns.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Judge the pull secret
  ansible.builtin.debug:
    msg: "{{ view | killinit.zot.pull_secret_checks('oci.killinit.cc', probed.results) }}"
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
  description: The checks, in this order - access, exists, type, json, entry, auth, read, named.
  type: list
  elements: dict
  contains:
    check:
      description: Which check it is.
      type: str
    subject:
      description: What it is about, a secret, a repository or a workload.
      type: str
    verdict:
      description: V(ok), V(failed), or V(unknown) if it could not be told.
      type: str
    message:
      description: What was found.
      type: str
    remedy:
      description: What to do. Empty if nothing is to be done, or nothing before another check is ok.
      type: str
    error_class:
      description: For C(read), the error class of M(killinit.zot.zot_image_info).
      type: str
    entries:
      description: The keys of the entries that it is about, as kubelet understands them.
      type: list
      elements: str
"""

import typing as t


def pull_secret_checks(
    view: t.Mapping[str, t.Any], registry: str, probed: t.Sequence[t.Mapping[str, t.Any]] = ()
) -> list[dict[str, t.Any]]:
    """Return every check with its verdict and its remedy."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_checks import judge

    return judge(view, registry, probed)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"pull_secret_checks": pull_secret_checks}
