# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_images
short_description: List the images of a registry that workloads use
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Lists each reference that has to be looked up to know which of the workloads are stale, once,
    for M(killinit.zot.zot_image_info).
  - Counts containers, init containers and image volumes.
options:
  _input:
    description: Deployments, StatefulSets and DaemonSets, as M(kubernetes.core.k8s_info) returns them.
    type: list
    elements: dict
    required: true
  registry:
    description: The registry, as C(host[:port]).
    type: str
    required: true
  only:
    description: The workloads that count, as C(deployment/openclaw). If it is empty, all do.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look up what the workloads use
  killinit.zot.zot_image_info:
    images: "{{ deployments.resources | killinit.zot.rollout_images('oci.killinit.cc') }}"
"""

RETURN = r"""
_value:
  description: References. One with a tag comes without the digest that may stand behind it.
  type: list
  elements: str
"""

import typing as t


def rollout_images(workloads: list[dict[str, t.Any]], registry: str, only: t.Sequence[str] = ()) -> list[str]:
    """Return the references."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._rollout import asked

    return asked(workloads, registry, only)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"rollout_images": rollout_images}
