# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The remedies of failed pulls: shell commands, and sentences for what only the message of kubelet shows.

Private to killinit.zot: it may change at any time.

People paste the commands into a shell, and every user who may create a pod chooses the names in it. Therefore each
name is checked against its grammar, and there is no command for an invalid name. Ansible shows commands as JSON, so
they contain no double quotes.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import is_label, is_name
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference

_TEMPLATES = ("deployment", "statefulset", "daemonset")
_SECTIONS = {"container": "containers", "init container": "initContainers", "image volume": "volumes"}
_FEW = 5
# Names that YAML reads as a number, a boolean or null.
_NOT_TEXT = re.compile(r"[0-9].*|y|n|yes|no|on|off|true|false|null")
_ARCHITECTURE = re.compile(r"[a-z0-9]+")


class Commands:
    """Commands for one resource, for example C(deployment/openclaw), whose *failures* are alike.

    *connection* is the result of connection_options(): without it a command could act on another cluster. *invalid* are
    the names that are not valid in Kubernetes. Commands with these names are omitted.
    """

    def __init__(self, namespace: str, failures: t.Sequence[PullFailure], connection: t.Mapping[str, str]) -> None:
        self._namespace = namespace
        self._connection = connection
        options = {**connection, "namespace": namespace}
        self._kubectl = " ".join(["kubectl", *(shlex.quote(f"--{name}={value}") for name, value in options.items())])
        owner = failures[0]
        # An ephemeral container cannot be changed, and a new pod would not have it.
        lasting = [each for each in failures if each.use.kind != "ephemeral container"]
        self._kind = owner.owner_kind if lasting else "pod"
        self._resource = owner.resource
        self._kinds = {each.use.name: each.use.kind for each in lasting}
        self._pods = sorted({each.pod for each in lasting})
        invalid = [] if is_label(owner.owner_kind) and is_name(owner.owner_name) else [self._resource]
        if invalid:
            self._kind = ""
        if not all(map(is_name, self._pods)):
            invalid += [pod for pod in self._pods if not is_name(pod)]
            self._pods = []
        if not all(map(is_label, self._kinds)):
            invalid += [name for name in self._kinds if not is_label(name)]
            self._kinds = {}
        self.invalid = tuple(invalid)

    def set_image(self, image: Reference) -> list[str]:
        """Change the image of the pods; no commands if a pod cannot be changed."""
        containers = [name for name, kind in self._kinds.items() if kind != "image volume"]
        volumes = [name for name, kind in self._kinds.items() if kind == "image volume"]
        commands = []
        if containers and self._kind in (*_TEMPLATES, "pod"):
            pairs = " ".join(shlex.quote(f"{name}={image}") for name in containers)
            commands.append(f"{self._kubectl} set image {shlex.quote(self._resource)} {pairs}")
        if volumes and self._kind in _TEMPLATES:
            changed = ", ".join(f"{{name: {_scalar(name)}, image: {{reference: {image}}}}}" for name in volumes)
            commands.append(self._patch(f"volumes: [{changed}]"))
        return self._with_new_pods(commands)

    def always_pull(self) -> list[str]:
        """Set the pull policy Always."""
        if self._kind not in _TEMPLATES or not self._kinds:
            return []
        changed: dict[str, list[str]] = {}
        for name, kind in self._kinds.items():
            policy = "image: {pullPolicy: Always}" if kind == "image volume" else "imagePullPolicy: Always"
            changed.setdefault(_SECTIONS[kind], []).append(f"{{name: {_scalar(name)}, {policy}}}")
        patch = self._patch(", ".join(f"{section}: [{', '.join(items)}]" for section, items in changed.items()))
        return self._with_new_pods([patch])

    def only_on(self, architecture: str) -> list[str]:
        """Run the pods only on nodes of one architecture."""
        if self._kind not in _TEMPLATES or not _ARCHITECTURE.fullmatch(architecture):
            return []
        selector = f"nodeSelector: {{kubernetes.io/arch: {_scalar(architecture)}}}"
        return self._with_new_pods([self._patch(selector)])

    def pull_with(self, secret: str) -> list[str]:
        """Add a pull secret to the pods."""
        if self._kind not in _TEMPLATES or not is_name(secret):
            return []
        return self._with_new_pods([self._patch(f"imagePullSecrets: [{{name: {_scalar(secret)}}}]")])

    def name_secret(self, service_account: str, secret: str) -> list[str]:
        """Add a pull secret to a service account."""
        if not is_name(service_account) or not is_name(secret):
            return []
        patch = shlex.quote(f"imagePullSecrets: [{{name: {_scalar(secret)}}}]")
        return [f"{self._kubectl} patch serviceaccount {shlex.quote(service_account)} --patch {patch}"]

    def repair_secret(self, registry: str, secret: str, named: str) -> list[str]:
        """Create or repair a pull secret with the credentials in the file pull-secret.yml.

        *named* is the name of the registry in the image.
        """
        if not is_name(secret):
            return []
        variables = {
            "zot_pull_secret_repair": "true",
            # Report only problems of the pull secret that affect these pods.
            "zot_pull_secret_fail": "false",
            "zot_registry": registry,
            **({} if named == registry else {"zot_registry_aliases": named}),
            "zot_namespace": self._namespace,
            "zot_pull_secret_name": secret,
            # Ansible splits the variables like a shell.
            **{f"zot_{name}": shlex.quote(value) for name, value in self._connection.items()},
        }
        extra = shlex.quote(" ".join(f"{name}={value}" for name, value in variables.items()))
        role = "--module-name=ansible.builtin.include_role --args=name=killinit.zot.zot_pull_secret"
        # The password must not be part of the command, because the process list shows it.
        return [f"ansible localhost {role} --extra-vars={extra} --extra-vars=@pull-secret.yml"]

    def recreates_pods(self, commands: t.Sequence[str]) -> bool:
        """Whether one of these commands replaces the pods."""
        resource = shlex.quote(self._resource)
        return any(f" {resource} " in f"{command} " or command in self.recreate_pods() for command in commands)

    def recreate_pods(self, *, changed: bool = False) -> list[str]:
        """Recreate the pods, so that kubelet pulls at once; no commands if no controller would create new pods.

        *changed* means that an earlier command has already replaced the pods, so their names are no longer known.
        """
        if self._kind == "pod":
            return []
        if (changed or len(self._pods) > _FEW) and self._kind in ("deployment", "daemonset"):
            return [f"{self._kubectl} rollout restart {shlex.quote(self._resource)}"]
        return [f"{self._kubectl} delete pod {' '.join(map(shlex.quote, self._pods))}"] if self._pods else []

    def describe_pod(self) -> list[str]:
        """Show the events of one of the pods."""
        return [f"{self._kubectl} describe pod {shlex.quote(self._pods[0])}"] if self._pods else []

    def _with_new_pods(self, commands: list[str]) -> list[str]:
        # A StatefulSet waits for the old pod, which never starts, before it creates one of the new template:
        # https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
        return [*commands, *self.recreate_pods()] if commands and self._kind == "statefulset" else commands

    def _patch(self, specification: str) -> str:
        # kubectl would parse a patch that begins with a brace as JSON.
        patch = shlex.quote(f"spec: {{template: {{spec: {{{specification}}}}}}}")
        return f"{self._kubectl} patch {shlex.quote(self._resource)} --patch {patch}"


def _scalar(name: str) -> str:
    """A valid name as text in YAML."""
    return f"!!str {name}" if _NOT_TEXT.fullmatch(name) else name


# By the class of kubelet's error: cause, message, remedy.
_CAUSES: t.Mapping[str, tuple[str, str, str]] = {
    "host": (
        "host_unknown",
        "the node cannot resolve the host name {host}",
        "Correct the registry in the image, or the DNS of the node",
    ),
    "refused": (
        "connection_refused",
        "the node's connection to {host} is refused",
        "Check that the registry runs, that the image has the right port, and that no firewall blocks the node",
    ),
    "timeout": (
        "timed_out",
        "the node's request to {host} timed out",
        "Check that the registry runs, and that no firewall or proxy blocks the node",
    ),
    "plain_http": (
        "plain_http",
        "{host} does not use TLS, but the node expects it",
        "Set up TLS in the registry, or allow plain HTTP in the nodes' container runtime (containerd: hosts.toml)",
    ),
    "tls": (
        "certificate_not_trusted",
        "the node does not trust the certificate of {host}, or the certificate is for another host name",
        (
            "Add the registry's CA certificate to the nodes' container runtime (containerd: ca in"
            " certs.d/{host}/hosts.toml), or issue a certificate for this host name"
        ),
    ),
    "rate": (
        "rate_limited",
        "{host} limits the rate of requests",
        "Wait: kubelet tries again. Or start fewer pods at once, or raise the registry's limit",
    ),
    "quota": ("quota_exceeded", "a quota of {host} is used up", "Free space in the registry, or raise the quota"),
    "broken": ("registry_failing", "{host} answers with a server error", "Check the registry's log"),
    "disk": (
        "disk_full",
        "the disk of the node is full",
        "Free space on the node (crictl rmi --prune removes unused images), or move the pod to another node",
    ),
}
# Causes that a wrong registry in the name of the image can have.
MISNAMED = ("host_unknown", "connection_refused", "timed_out", "plain_http", "certificate_not_trusted")


def node_cause(error: str, host: str) -> tuple[str, str, str] | None:
    """Cause, message and remedy for a class of kubelet's errors; None if it is not about the node."""
    if error not in _CAUSES:
        return None
    cause, message, remedy = (text.replace("{host}", host) for text in _CAUSES[error])
    return cause, message, remedy
