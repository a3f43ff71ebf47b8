# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """The options that module_utils/_registry/spec.py defines."""

    DOCUMENTATION = r"""
options:
  registry:
    description:
      - The registry, in the form C(host[:port]). There is no default registry.
      - If not set, the variable C(zot_registry) or the environment variable E(ZOT_REGISTRY) is used.
    type: str
  username:
    description:
      - The user name at O(registry). It is not sent to any other registry.
      - If not set, the variable C(zot_username) or the environment variable E(ZOT_USERNAME) is used.
      - The account is that of the first level that names one - options, variables, environment. E(ZOT_USERNAME) and
        E(ZOT_PASSWORD) are ignored if E(ZOT_REGISTRY) names another registry than O(registry).
      - Without O(username) and O(authfile), the entry of the registry in the default auth files of skopeo and Docker is
        used.
    type: str
  password:
    description:
      - The password, or an API key of Zot (C(zak_)...).
      - If not set, the variable C(zot_password) or the environment variable E(ZOT_PASSWORD) is used.
      - The password is never part of a command line. During the task it is in a file of mode 0600 in a directory of
        mode 0700.
      - A password that is part of the name of a repository or a tag is an error, because Ansible masks it in results.
    type: str
  authfile:
    description:
      - An auth file that C(docker login) or C(skopeo login) wrote. Mutually exclusive with O(username).
      - If not set, the variable C(zot_authfile) or the environment variable E(ZOT_AUTHFILE) is used.
    type: path
  ca_path:
    description:
      - A PEM file with CA certificates that are trusted in addition to those of the system.
      - If not set, the variable C(zot_ca_path) or the environment variable E(ZOT_CA_PATH) is used.
      - Without effect on macOS, where skopeo and crane use only the keychain. Add the CA certificate to the keychain
        there.
    type: path
  validate_certs:
    description:
      - Whether to verify the certificate of the registry.
      - Plain HTTP requires V(false), except for a registry on a loopback address.
      - If not set, the variable C(zot_validate_certs) or the environment variable E(ZOT_VALIDATE_CERTS) is used.
    type: bool
    default: true
  timeout:
    description:
      - The number of seconds after which a run of skopeo or crane is killed, with its child processes.
      - It also limits the time to read one archive, and each HTTP request of the module.
      - If not set, the variable C(zot_timeout) or the environment variable E(ZOT_TIMEOUT) is used.
    type: int
    default: 600
  retries:
    description:
      - The number of retries after a temporary error (RV(ignore:error_class) V(unavailable) or V(rate_limited)).
      - The tag is read before a write is repeated, because the first write may have succeeded.
      - If not set, the variable C(zot_retries) or the environment variable E(ZOT_RETRIES) is used.
    type: int
    default: 3
  skopeo_path:
    description:
      - The path of skopeo.
      - If not set, the variable C(zot_skopeo_path) or the environment variable E(ZOT_SKOPEO_PATH) is used. Without
        them, skopeo is searched for in E(PATH).
    type: path
  crane_path:
    description:
      - The path of crane.
      - If not set, the variable C(zot_crane_path) or the environment variable E(ZOT_CRANE_PATH) is used. Without them,
        crane is searched for in E(PATH).
    type: path
  registry_aliases:
    description:
      - Other names under which clusters know O(registry), for example V(zot.zot.svc:5000). The modules that only use a
        registry accept the option, so that all modules have the same settings, and send no request to these names.
      - If not set, the variable C(zot_registry_aliases) or the environment variable E(ZOT_REGISTRY_ALIASES) is used.
    type: list
    elements: str
    default: []
requirements:
  - crane 0.20 or later
notes:
  - Variables are those of the host in the inventory. skopeo and crane run on the host where the module runs.
    Environment variables and files are read on that host.
"""

    # The options that module_utils/_registry/spec.py names SOURCE_OPTIONS.
    SOURCE = r"""
options:
  source_registry:
    description:
      - The registry to copy from. The default is O(registry).
      - The options C(source_)... are not set by variables or by the environment. If source and destination are the same
        registry, the default credentials, CA certificates and O(source_validate_certs) are those of the destination.
    type: str
  source_username:
    description:
      - The user name at the source. It is not sent to the destination. The user needs only the permission to read.
      - Without O(source_username) and O(source_authfile), the entry of the registry in the default auth files of skopeo
        and Docker is used.
    type: str
  source_password:
    description: The password, or an API key of Zot, of O(source_username).
    type: str
  source_authfile:
    description: An auth file for the source. Mutually exclusive with O(source_username).
    type: path
  source_ca_path:
    description:
      - A PEM file with CA certificates that are trusted at the source, in addition to those of the system.
      - A run of crane uses the same CA certificates and the same O(validate_certs) for both registries. If the options
        of the two differ, each copied image is first stored in the temporary directory of the task. To avoid that, set
        O(ca_path) and O(source_ca_path) to the same file with all CA certificates.
    type: path
  source_validate_certs:
    description: Whether to verify the certificate of the source. The default is V(true).
    type: bool
"""
