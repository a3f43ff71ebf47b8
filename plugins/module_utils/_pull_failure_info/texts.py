# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts of causes that depend only on the error of kubelet.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

FROM_REGISTRY = "the registry's answer to the host that runs this module"
FROM_CLUSTER = "the pod, its service account and its pull secrets"
REPAIR = (
    "Write zot_pull_secret_username and zot_pull_secret_password of a user who may read the repository into the file"
    " pull-secret.yml, and repair the pull secret"
)
PUBLISH = "Publish the image (killinit.zot.publish)"

# By the class of kubelet's error: cause, message, remedy.
NODE_CAUSES: t.Mapping[str, tuple[str, str, str]] = {
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
    "quota": (
        "quota_exceeded",
        "a quota of {host} is used up",
        "Free space in the registry, or raise the quota",
    ),
    "broken": (
        "registry_failing",
        "{host} answers with a server error",
        "Check the registry's log",
    ),
    "disk": (
        "disk_full",
        "the disk of the node is full",
        "Free space on the node (crictl rmi --prune removes unused images), or move the pod to another node",
    ),
}
# Causes that a wrong registry in the name of the image can have.
MISNAMED = ("host_unknown", "connection_refused", "timed_out", "plain_http", "certificate_not_trusted")
# Causes whose remedy already describes what happens to the pods.
COMPLETE = (
    "reference_malformed",
    "pull_policy_never",
    "architecture_wrong",
    "rate_limited",
    "pulling",
    "works_now",
    "unknown",
)
# Temporary causes, which need no change.
PASSING = ("rate_limited", "pulling", "works_now")


@dataclass(frozen=True)
class Cause:
    """One cause, with a sentence about it, the remedy, its commands, and the evidence."""

    cause: str
    message: str
    remedy: str
    commands: t.Sequence[str] = ()
    evidence: str = ""
