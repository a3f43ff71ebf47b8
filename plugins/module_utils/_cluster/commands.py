# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command lines that mend what keeps an image from being pulled.

Private to killinit.zot: it may change at any time.

They are typed into a shell and read in Ansible's output, which is JSON: no double quote is in them.
"""

from __future__ import annotations

import shlex
import typing as t

Failure = t.Mapping[str, t.Any]

_TEMPLATES = ("deployment", "statefulset", "daemonset")
_FEW = 5


class Commands:
    """Commands for one subject: C(deployment/openclaw), with the failures of its pods that are alike."""

    def __init__(self, namespace: str, failures: t.Sequence[Failure]) -> None:
        self._kubectl = f"kubectl --namespace={shlex.quote(namespace)}"
        self._namespace = namespace
        self._subject = str(failures[0]["subject"])
        # What was added to a pod that runs cannot be changed, and is not worth a new pod, which would not have it.
        lasting = [each for each in failures if each["use"] != "ephemeral container"]
        self._kind = self._subject.partition("/")[0] if lasting else "pod"
        self._names = {each["name"]: each["use"] for each in lasting}
        self._pods = sorted({each["pod"] for each in lasting})

    def set_image(self, image: str) -> list[str]:
        """Let the pods use another image; nothing where a pod cannot be changed."""
        containers = [name for name, use in self._names.items() if use != "image volume"]
        volumes = [name for name, use in self._names.items() if use == "image volume"]
        commands = []
        if containers and self._kind in (*_TEMPLATES, "pod"):
            commands.append(f"{self._kubectl} set image {self._subject} {' '.join(f'{c}={image}' for c in containers)}")
        if volumes and self._kind in _TEMPLATES:
            changed = ", ".join(f"{{name: {name}, image: {{reference: {image}}}}}" for name in volumes)
            commands.append(self._patch(f"volumes: [{changed}]"))
        return self._rolled_out(commands)

    def always_pull(self) -> list[str]:
        """Let kubelet pull the image."""
        if self._kind not in _TEMPLATES:
            return []
        parts = {"container": "containers", "init container": "initContainers", "image volume": "volumes"}
        changed: dict[str, list[str]] = {}
        for name, use in self._names.items():
            policy = "image: {pullPolicy: Always}" if use == "image volume" else "imagePullPolicy: Always"
            changed.setdefault(parts[use], []).append(f"{{name: {name}, {policy}}}")
        patch = self._patch(", ".join(f"{part}: [{', '.join(items)}]" for part, items in changed.items()))
        return self._rolled_out([patch])

    def only_on(self, architecture: str) -> list[str]:
        """Let the pods run on nodes of an architecture only."""
        if self._kind not in _TEMPLATES:
            return []
        return self._rolled_out([self._patch(f"nodeSelector: {{kubernetes.io/arch: {architecture}}}")])

    def pull_with(self, secret: str) -> list[str]:
        """Let the pods name another pull secret, too."""
        if self._kind not in _TEMPLATES:
            return []
        return self._rolled_out([self._patch(f"imagePullSecrets: [{{name: {secret}}}]")])

    def name_secret(self, account: str, secret: str) -> list[str]:
        """Give a service account a pull secret."""
        patch = shlex.quote(f"imagePullSecrets: [{{name: {secret}}}]")
        return [f"{self._kubectl} patch serviceaccount {shlex.quote(account)} --patch {patch}"]

    def make_pods(self, commands: t.Sequence[str]) -> bool:
        """Whether these commands make the pods anew."""
        return any(f" {self._subject} " in f"{command} " or command in self.again() for command in commands)

    def again(self, *, changed: bool = False) -> list[str]:
        """Make the pods anew, which pull at once; nothing where nobody would make them.

        *changed* says that a command before has already put others into their place, whose names nobody knows.
        """
        if self._kind == "pod":
            return []
        if (changed or len(self._pods) > _FEW) and self._kind in ("deployment", "daemonset"):
            return [f"{self._kubectl} rollout restart {self._subject}"]
        return [f"{self._kubectl} delete pod {' '.join(self._pods)}"]

    def repair_secret(self, registry: str, secret: str) -> list[str]:
        """Create or repair a pull secret, from the account that the environment names."""
        variables = {
            "zot_pull_secret_state": "present",
            # What else is wrong is not its business here.
            "zot_pull_secret_fail": "false",
            "zot_registry": registry,
            "zot_namespace": self._namespace,
            "zot_pull_secret_name": secret,
        }
        extra = shlex.quote(" ".join(f"{name}={value}" for name, value in variables.items()))
        role = "--module-name=ansible.builtin.include_role --args=name=killinit.zot.zot_pull_secret"
        return [f"ansible localhost {role} --extra-vars={extra}"]

    def _rolled_out(self, commands: list[str]) -> list[str]:
        # Before a StatefulSet makes a pod of the new template it waits for the old one, which never starts; the new one
        # has its name: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
        return [*commands, *self.again()] if commands and self._kind == "statefulset" else commands

    def _patch(self, specification: str) -> str:
        # What begins with a brace kubectl takes for JSON.
        patch = shlex.quote(f"spec: {{template: {{spec: {{{specification}}}}}}}")
        return f"{self._kubectl} patch {self._subject} --patch {patch}"
