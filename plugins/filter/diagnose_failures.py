# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose_failures
short_description: Find the images that pods cannot pull
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Reads from pods and their events which images fail to be pulled, or have not been pulled for long, and what kubelet
    says of it.
options:
  _input:
    description: Pods, as C(kubernetes.core.k8s_info) returns them.
    type: list
    elements: dict
    required: true
  events:
    description: The events of the namespace.
    type: list
    elements: dict
    required: true
  now:
    description: The time, in seconds since 1970.
    type: float
    required: true
  wait:
    description: How many seconds a first pull may take.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Name the pods that cannot pull
  ansible.builtin.debug:
    msg: >-
      {{ pods.resources
         | killinit.zot.diagnose_failures(events.resources, now(utc=true).timestamp())
         | map(attribute='pod') | unique }}
"""

RETURN = r"""
_value:
  description: One for each image of each pod that fails.
  type: list
  elements: dict
  contains:
    pod:
      description: The pod.
      type: str
    subject:
      description: What is to be changed to change it, as in C(deployment/openclaw).
      type: str
    node:
      description: Its node.
      type: str
    use:
      description: V(container), V(init container), V(ephemeral container) or V(image volume).
      type: str
    name:
      description: The container or the volume.
      type: str
    image:
      description: The image, as the pod names it.
      type: str
    pull_policy:
      description: The pull policy.
      type: str
    state:
      description: >-
        V(failed) if a pull has failed, V(waiting) if none has ended yet, V(crashed) if the container was started and
        ended, so that its architecture is to be looked at.
      type: str
    said:
      description: Kubelet's words for it, on one line, without its frames around the cause.
      type: str
    secrets:
      description: The pull secrets that the pod names.
      type: list
      elements: str
    service_account:
      description: Its service account.
      type: str
    next_try:
      description: In about how many seconds kubelet tries again; null if that is not known.
      type: int
"""

import typing as t


def diagnose_failures(
    pods: t.Iterable[t.Mapping[str, t.Any]], events: t.Iterable[t.Mapping[str, t.Any]], now: float, wait: float = 60
) -> list[dict[str, t.Any]]:
    """Return what fails to be pulled."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import failures

    return failures(pods, events, now=float(now), wait=float(wait))


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_failures": diagnose_failures}
