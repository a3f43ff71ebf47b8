# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes on the node that kubelet's message alone shows: it cannot reach the registry, or cannot store the image.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

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


def node_cause(error: str, host: str) -> tuple[str, str, str] | None:
    """Cause, message and remedy for a class of kubelet's errors; None if it is not about the node."""
    if error not in _CAUSES:
        return None
    cause, message, remedy = (text.replace("{host}", host) for text in _CAUSES[error])
    return cause, message, remedy
