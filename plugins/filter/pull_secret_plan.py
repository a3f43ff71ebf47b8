# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pull_secret_plan
short_description: Say what to write so that a pull secret is good
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Turns the failed checks of P(killinit.zot.pull_secret_checks#filter) into objects for C(kubernetes.core.k8s). What
    is good stays as it is, and so do the entries for other registries.
  - The result holds passwords. Use it with C(no_log).
extends_documentation_fragment:
  - killinit.zot._pull_secret
options:
  checks:
    description: What P(killinit.zot.pull_secret_checks#filter) says of it.
    type: list
    elements: dict
    required: true
  username:
    description: The account for the registry.
    type: str
  password:
    description: Its password.
    type: str
  authfile:
    description:
      - The content of a file as C(docker login) writes it, to take the account from if O(username) is not given.
    type: str
"""

EXAMPLES = r"""
- name: See what would change
  ansible.builtin.debug:
    msg: "{{ (view | killinit.zot.pull_secret_plan('oci.killinit.cc', checks, 'cluster', password)).lines }}"
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
  description: The plan.
  type: dict
  contains:
    secret:
      description: The Secret to write, empty if it is to stay as it is.
      type: dict
    recreate:
      description: Whether it has to be deleted first, because its type cannot be changed or because it is immutable.
      type: bool
    service_accounts:
      description: The service accounts to write.
      type: list
      elements: dict
    lines:
      description: What changes, without any secret.
      type: list
      elements: str
    problem:
      description: Why the secret cannot be repaired, empty if it can.
      type: str
    view:
      description: The input as it will be.
      type: dict
"""

import typing as t


def pull_secret_plan(
    view: t.Mapping[str, t.Any],
    registry: str,
    checks: t.Sequence[t.Mapping[str, t.Any]],
    username: str | None = None,
    password: str | None = None,
    authfile: str | None = None,
) -> dict[str, t.Any]:
    """Return what to write, as objects and in words."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._pull_secret_plan import repairs

    return repairs(view, registry, checks, username, password, authfile)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"pull_secret_plan": pull_secret_plan}
