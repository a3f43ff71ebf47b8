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
from dataclasses import asdict

from ansible_collections.killinit.zot.plugins.module_utils._causes import Cause, judge
from ansible_collections.killinit.zot.plugins.module_utils._evidence import Answers, Failure, View
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure import word

T = t.TypeVar("T")

# They pass by themselves, and come last.
_PASSING = ("rate_limited", "pulling", "works_now")
_ALIKE = ("image", "subject", "state", "service_account", "pull_policy")


def diagnose_report(view: t.Mapping[str, t.Any], answers: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the findings."""
    evidence, said = View.read(view), Answers.read(answers)
    # Each pod has words of its own for what is the same, and some have none at all.
    failures = sorted(evidence.failures, key=lambda each: not word(each["said"], each["image"]))
    alike = _grouped(failures, lambda each: _alike(evidence, each))
    same = _grouped(alike, lambda each: (each[0]["image"], each[0]["subject"], _told(judge(evidence, said, each))))
    findings = []
    for groups in same:
        together = [failure for group in groups for failure in group]
        causes = judge(evidence, said, together)
        if causes:
            findings.append(_finding(together, causes))
    return sorted(findings, key=lambda each: (each["causes"][0]["cause"] in _PASSING, -each["pods"], each["image"]))


def _grouped(items: t.Iterable[T], key: t.Callable[[T], t.Hashable]) -> list[list[T]]:
    groups: dict[t.Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _alike(view: View, failure: Failure) -> t.Hashable:
    meaning = word(failure["said"], failure["image"]) or failure["said"]
    platform = (view.platforms or {}).get(failure["node"] or "")
    return (meaning, platform, tuple(failure["secrets"]), *(failure[each] for each in _ALIKE))


def _told(causes: t.Iterable[Cause]) -> t.Hashable:
    return tuple((cause.cause, cause.message) for cause in causes)


def _finding(failures: t.Sequence[Failure], causes: t.Iterable[Cause]) -> dict[str, t.Any]:
    pods = sorted({each["pod"] for each in failures})
    return {
        "image": failures[0]["image"],
        "subject": failures[0]["subject"],
        "uses": sorted({f"{each['use']} {each['name']}" for each in failures}),
        "pods": len(pods),
        "pod_names": pods,
        "nodes": sorted({each["node"] for each in failures if each["node"]}),
        "causes": [{**asdict(cause), "commands": list(cause.commands)} for cause in causes],
    }


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"diagnose_report": diagnose_report}
