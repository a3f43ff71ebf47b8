# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The grammar of Kubernetes names, and the parser of workload names.

Private to killinit.zot: it may change at any time.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"

# The kinds of workloads, by what kubectl accepts in front of the slash.
_KINDS: t.Mapping[str, str] = {
    alias: kind
    for kind, aliases in (
        ("Deployment", ("deployment", "deployments", "deploy", "deployment.apps", "deployments.apps")),
        ("StatefulSet", ("statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps")),
        ("DaemonSet", ("daemonset", "daemonsets", "ds", "daemonset.apps", "daemonsets.apps")),
        ("CronJob", ("cronjob", "cronjobs", "cj", "cronjob.batch", "cronjobs.batch")),
    )
    for alias in aliases
}


class InvalidNameError(ValueError):
    """The value of an option is not a valid name in Kubernetes. The message quotes it and contains the reason."""

    def for_ansible(self) -> dict[str, t.Any]:
        """The arguments of C(fail_json)."""
        hint = "Correct the option and run the task again."
        return {"msg": f"{self}. {hint}", "error_class": "invalid_option", "retryable": False, "hint": hint}


def is_name(text: object) -> bool:
    """Whether an object can have this name (an RFC 1123 subdomain)."""
    return isinstance(text, str) and re.fullmatch(_SUBDOMAIN, text) is not None


def is_label(text: object) -> bool:
    """Whether a namespace, a container or a volume can have this name (an RFC 1123 label)."""
    return isinstance(text, str) and re.fullmatch(_LABEL, text) is not None


def namespace_name(value: object) -> str:
    """The name of a namespace. Raises InvalidNameError."""
    text = _text("the namespace", value)
    if not is_label(text):
        raise InvalidNameError(f"{text!r} is not a valid name of a namespace")
    return text


def object_name(value: object) -> str:
    """The name of an object. Raises InvalidNameError."""
    text = _text("the name", value)
    if not is_name(text):
        raise InvalidNameError(f"{text!r} is not a valid name of a Kubernetes object")
    return text


def _text(name: str, value: object) -> str:
    problem = text_problem(name, value)
    if problem:
        raise InvalidNameError(problem)
    return str(value)


@dataclass(frozen=True)
class WorkloadName:
    """Kind and name of a workload. The text form is that of kubectl: C(deployment/openclaw)."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> WorkloadName:
        """Read C(deployment/openclaw), C(Deployment/openclaw) or C(deploy/openclaw). Raises InvalidNameError."""
        kind, slash, name = text.partition("/")
        if not slash:
            raise InvalidNameError(f"{text!r} does not name a kind: write it as deployment/{text}")
        if kind.lower() not in _KINDS:
            kinds = ", ".join(sorted(set(_KINDS.values())))
            raise InvalidNameError(f"{kind!r} in {text!r} is not one of the kinds {kinds}")
        return cls(_KINDS[kind.lower()], object_name(name))

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"
