# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_progress
short_description: Say how far the restarts of a plan are
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Looks at generations, replicas, pauses, the progress deadline, and at whether the new pods can pull their images.
options:
  _input:
    description: What P(killinit.zot.rollout_plan#filter) returned.
    type: list
    elements: dict
    required: true
  workloads:
    description: The workloads as they are now.
    type: list
    elements: dict
    required: true
  pods:
    description: The pods as they are now.
    type: list
    elements: dict
    required: true
  stamp:
    description: The time of the restart, by which new pods are known.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See how far it is
  ansible.builtin.debug:
    msg: "{{ plan | killinit.zot.rollout_progress(deployments.resources, pods.resources, '2026-11-23T12:00:00Z') }}"
"""

RETURN = r"""
_value:
  description: For each workload that the plan restarts or pins, C(workload), C(state) and C(why).
  type: list
  elements: dict
  contains:
    workload:
      description: Kind and name.
      type: str
    state:
      description: One of V(done), V(waiting) and V(failed).
      type: str
    why:
      description: A sentence.
      type: str
"""

import typing as t


def rollout_progress(
    plan: list[dict[str, t.Any]], workloads: list[dict[str, t.Any]], pods: list[dict[str, t.Any]], stamp: str
) -> list[dict[str, str]]:
    """Return the states."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._rollout import progress

    return progress(plan, workloads, pods, stamp=stamp)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"rollout_progress": rollout_progress}
