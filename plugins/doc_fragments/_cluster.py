# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """The registry options of modules that also read a cluster: CLUSTER_MODULE_OPTIONS of _registry/spec.py."""

    DOCUMENTATION = r"""
options:
  registry:
    description:
      - The registry, in the form C(host[:port]).
      - If not set, the variable C(zot_registry) or the environment variable E(ZOT_REGISTRY) is used.
    type: str
  registry_username:
    description:
      - The user name at O(registry). It is not sent to any other registry.
      - If not set, the variable C(zot_username) or the environment variable E(ZOT_USERNAME) is used.
      - The account is that of the first level that names one - options, variables, environment. E(ZOT_USERNAME) and
        E(ZOT_PASSWORD) are ignored if E(ZOT_REGISTRY) names another registry than O(registry).
    type: str
  registry_password:
    description:
      - The password, or an API key of Zot (C(zak_)...).
      - If not set, the variable C(zot_password) or the environment variable E(ZOT_PASSWORD) is used.
    type: str
  registry_authfile:
    description:
      - An auth file that C(docker login) or C(skopeo login) wrote. Mutually exclusive with O(registry_username).
      - If not set, the variable C(zot_authfile) or the environment variable E(ZOT_AUTHFILE) is used.
    type: path
  registry_ca_path:
    description:
      - A PEM file with CA certificates that are trusted in addition to those of the system.
      - If not set, the variable C(zot_ca_path) or the environment variable E(ZOT_CA_PATH) is used.
    type: path
  registry_validate_certs:
    description:
      - Whether the certificate of the registry is verified.
      - If not set, the variable C(zot_validate_certs) or the environment variable E(ZOT_VALIDATE_CERTS) is used.
    type: bool
    default: true
  registry_timeout:
    description:
      - The number of seconds after which a request to the registry fails.
      - If not set, the variable C(zot_timeout) or the environment variable E(ZOT_TIMEOUT) is used.
    type: int
    default: 30
  registry_aliases:
    description:
      - Other names under which the cluster knows O(registry), for example V(zot.zot.svc:5000). No request is sent to
        these names.
      - If an image has another name, and O(registry) has it in the same repository, M(killinit.zot.zot_workload_info)
        and M(killinit.zot.zot_cluster_image_info) warn.
      - If not set, the variable C(zot_registry_aliases) or the environment variable E(ZOT_REGISTRY_ALIASES) is used.
    type: list
    elements: str
    default: []
  crane_path:
    description:
      - The path of crane.
      - If not set, the variable C(zot_crane_path) or the environment variable E(ZOT_CRANE_PATH) is used. Without them,
        crane is searched for in E(PATH).
    type: path
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
notes:
  - If C(kubeconfig) or C(context) is not set, and C(host) is not set either, the variables C(zot_kubeconfig) and
    C(zot_context) are used.
  - The program crane runs where the module runs. Environment variables and files are read there.
  - Every request has a time limit.
requirements:
  - crane 0.20 or later
  - Python library kubernetes 24.2.0 or later
"""

    NAMESPACE = r"""
options:
  namespace:
    description:
      - The namespace of the workloads and pods.
      - Quote a name that consists of digits. A value that is not text is an error.
    type: raw
    required: true
"""
