# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_report
short_description: Sum up what became of the workloads of a plan
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Says whether everything runs what its tags mean, and if not, what is wrong and in which state it was left.
options:
  _input:
    description: What P(killinit.zot.rollout_plan#filter) returned before.
    type: list
    elements: dict
    required: true
  progress:
    description: What P(killinit.zot.rollout_progress#filter) returned last.
    type: list
    elements: dict
    default: []
  after:
    description: What P(killinit.zot.rollout_plan#filter) returns now.
    type: list
    elements: dict
    default: []
  verify:
    description: Whether nothing was to be restarted, so that what is stale is a problem.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See what is stale
  ansible.builtin.debug:
    msg: "{{ (plan | killinit.zot.rollout_report(verify=true)).problems }}"
"""

RETURN = r"""
_value:
  description: The summary.
  type: dict
  contains:
    ok:
      description: Whether there is no problem.
      type: bool
    problems:
      description: What is wrong, a sentence each.
      type: list
      elements: str
    unproved:
      description: What runs by a name that the registry does not know, so that no digest proves it, a sentence each.
      type: list
      elements: str
    workloads:
      description: The entries of the plan, with C(state) (V(done), V(waiting), V(failed) or V(null)) and C(after).
      type: list
      elements: dict
"""

import typing as t


def rollout_report(
    plan: list[dict[str, t.Any]],
    progress: t.Sequence[dict[str, t.Any]] = (),
    after: t.Sequence[dict[str, t.Any]] = (),
    verify: bool = False,
) -> dict[str, t.Any]:
    """Return the summary."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._rollout import report

    return report(plan, progress, after, verify=verify)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"rollout_report": rollout_report}
