# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose_report
short_description: Say why images cannot be pulled
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Holds what kubelet says against what the registry and the pull secrets say, and names for each image every cause,
    with what to do.
  - It is what R(the role zot_diagnose,ansible_collections.killinit.zot.zot_diagnose_role) runs on. Nothing in the
    result is secret.
extends_documentation_fragment:
  - killinit.zot._diagnose
  - killinit.zot._diagnose.answers
"""

EXAMPLES = r"""
- name: Say why
  ansible.builtin.debug:
    msg: "{{ view | killinit.zot.diagnose_report({'asked': asked.results, 'probed': probed.results}) }}"
"""

RETURN = r"""
_value:
  description: The findings, the worst first. All pods of which the same is to be said are one finding.
  type: list
  elements: dict
  contains:
    image:
      description: The image, as the pods name it.
      type: str
    subject:
      description: What is to be changed to change the pods, as in C(deployment/openclaw).
      type: str
    uses:
      description: What uses it, as in C(container app).
      type: list
      elements: str
    pods:
      description: How many pods.
      type: int
    pod_names:
      description: Their names.
      type: list
      elements: str
    nodes:
      description: Their nodes.
      type: list
      elements: str
    causes:
      description: Every cause, in the order in which they are to be mended.
      type: list
      elements: dict
      contains:
        cause:
          description:
            - One of V(reference_malformed), V(pull_policy_never), V(host_unknown), V(connection_refused), V(timed_out),
              V(plain_http), V(certificate_not_trusted), V(rate_limited), V(quota_exceeded), V(registry_failing),
              V(disk_full), V(secret_missing), V(secret_type), V(secret_unreadable), V(secret_without_entry),
              V(secret_not_named), V(credentials_refused), V(read_denied), V(repository_missing), V(tag_missing),
              V(digest_missing), V(platform_missing), V(architecture_wrong), V(pulling), V(works_now), V(unknown).
          type: str
        message:
          description: The cause in a sentence.
          type: str
        remedy:
          description: What to do, in a sentence.
          type: str
        commands:
          description: What to type, a shell command each. Empty where no command can do it.
          type: list
          elements: str
        evidence:
          description: What shows it, mostly in kubelet's words.
          type: str
"""

import typing as t


def diagnose_report(view: t.Mapping[str, t.Any], answers: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the findings."""
    # Late: to find one filter, Ansible loads all of a collection, for each task anew.
    from ansible_collections.killinit.zot.plugins.module_utils._findings import findings

    return findings(view, answers)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_report": diagnose_report}
