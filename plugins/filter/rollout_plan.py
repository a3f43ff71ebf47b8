# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_plan
short_description: Say which workloads are stale, and what cures them
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - A workload is stale if one of its pods runs an image that is not what its tag means in the registry now.
  - It is not stale if a pod reports the digest of the index, that of a platform's manifest, or that of a
    configuration.
  - A digest that the registry has lost cannot be compared. It counts as stale, once. A pod that was restarted for what
    its tag still means, and reports such a digest again, runs the image by another name; that is unknown, not stale.
options:
  _input:
    description: Deployments, StatefulSets and DaemonSets, as M(kubernetes.core.k8s_info) returns them.
    type: list
    elements: dict
    required: true
  pods:
    description: The pods of the same namespace, as M(kubernetes.core.k8s_info) returns them.
    type: list
    elements: dict
    required: true
  images:
    description: What the images mean now, as M(killinit.zot.zot_image_info) returns it.
    type: list
    elements: dict
    required: true
  stamp:
    description: The time of a restart, for the annotation C(kubectl.kubernetes.io/restartedAt).
    type: str
    required: true
  pin:
    description: Set the digest where a restart would not help, and let a tag with a digest behind it follow the tag.
    type: bool
    default: false
  moving:
    description: References that would mean another image if this were no dry run, so that what uses them is stale.
    type: list
    elements: str
    default: []
  only:
    description: The workloads that count, as C(deployment/openclaw). If it is empty, all do.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: See which workloads are stale
  ansible.builtin.debug:
    msg: "{{ deployments.resources | killinit.zot.rollout_plan(pods.resources, there.images, '2026-11-23T12:00:00Z') }}"
"""

RETURN = r"""
_value:
  description: One entry for each workload that uses one of the images.
  type: list
  elements: dict
  contains:
    workload:
      description: Kind and name, as C(deployment/openclaw).
      type: str
    namespace:
      description: Its namespace.
      type: str
    pods:
      description: The number of its pods, without those that are ending.
      type: int
    images:
      description:
        - For each image C(kind), C(name), C(image), C(pull_policy), C(wanted) (a digest, or V(null) if O(moving) says
          that it is not known yet), C(running) and C(old) (lists of what the pods report, and what of that is not
          known to be wanted), C(verdict) and C(why).
        - The verdict is one of V(fresh), V(stale), V(unknown), V(pinned), V(absent), V(not running).
      type: list
      elements: dict
    action:
      description: One of V(none), V(restart), V(pin) and V(blocked); the last is stale, and must be mended by hand.
      type: str
    why:
      description: A sentence.
      type: str
    patch:
      description:
        - What M(kubernetes.core.k8s) has to apply with O(kubernetes.core.k8s#module:state=patched); else V(null).
      type: dict
"""

import typing as t


def rollout_plan(
    workloads: list[dict[str, t.Any]],
    pods: list[dict[str, t.Any]],
    images: list[dict[str, t.Any]],
    stamp: str,
    pin: bool = False,
    only: t.Sequence[str] = (),
    moving: t.Sequence[str] = (),
) -> list[dict[str, t.Any]]:
    """Return the verdict on each workload."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._rollout import judge

    return judge(workloads, pods, images, only=only, moving=moving, pin=pin, stamp=stamp)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"rollout_plan": rollout_plan}
