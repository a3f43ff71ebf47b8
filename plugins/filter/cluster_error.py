# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_error
short_description: Say in one line what a cluster answered to a task of kubernetes.core
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Turns the result of a failed C(kubernetes.core.k8s) or C(kubernetes.core.k8s_info) into one sentence, of which
    nothing is secret. A missing right is named by its verb, its resource and its namespace.
options:
  _input:
    description: The result, or that of a loop.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Look for the workloads
  kubernetes.core.k8s_info:
    api_version: apps/v1
    kind: Deployment
    namespace: openclaw
  register: __deployments
  failed_when: false

- name: Say what is missing
  ansible.builtin.fail:
    msg: "{{ __deployments | killinit.zot.cluster_error }}"
  when: __deployments.resources is not defined
"""

RETURN = r"""
_value:
  description: >-
    The sentence, as in C(system:serviceaccount:ci:verify may not list deployments.apps in namespace openclaw).
  type: str
"""

import re
import typing as t

# "secrets \"a\" is forbidden: User \"u\" cannot get resource \"secrets\" in API group \"\" in the namespace \"n\"";
# how often the quotes are escaped differs with the way the exception was printed.
_Q = r'[\\"]+'
_FORBIDDEN = re.compile(
    rf"User {_Q}(?P<user>.+?){_Q} cannot (?P<verb>\w+) resource {_Q}(?P<resource>.+?){_Q}"
    rf" in API group {_Q}(?P<group>[\w.-]*?){_Q}"
    rf" (?:in the namespace {_Q}(?P<namespace>[\w-]+){_Q}|at the cluster scope)"
)
_MESSAGE = re.compile(r'"message":\s*"((?:[^"\\]|\\.)*)"')
_STATUS = re.compile(r"\((\d{3})\)\s+Reason: ([^\n\\]+)")


def cluster_error(result: t.Mapping[str, t.Any]) -> str:
    """Return what went wrong in a result of kubernetes.core, in one line."""
    results = [each for each in result.get("results") or () if each.get("msg")]
    text = str((results[0] if results else result).get("msg") or "it gives no reason")
    missing = _FORBIDDEN.search(text)
    if missing:
        group = f".{missing['group']}" if missing["group"] else ""
        where = f"in namespace {missing['namespace']}" if missing["namespace"] else "in all namespaces"
        return f"{missing['user']} may not {missing['verb']} {missing['resource']}{group} {where}"
    message, status = _MESSAGE.search(text), _STATUS.search(text)
    if message:
        return message[1].replace('\\\\"', '"').replace('\\"', '"')
    return f"{status[2].strip()} ({status[1]})" if status else text.strip().splitlines()[0].rstrip(".")


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"cluster_error": cluster_error}
