# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """The options of module_utils/_registry/module.py."""

    DOCUMENTATION = r"""
options:
  registry:
    description:
      - The registry, as C(host[:port]).
      - If it is not given, E(ZOT_REGISTRY) is used.
    type: str
  username:
    description:
      - The account at O(registry); it is shown to no other registry.
      - If it is not given, E(ZOT_USERNAME) is used.
      - With neither this nor O(authfile), the entry for the registry is taken from where skopeo and crane keep theirs.
    type: str
  password:
    description:
      - The password, or an API key of Zot (C(zak_)...).
      - If it is not given, E(ZOT_PASSWORD) is used.
      - It is never put into an argument list; while the task runs it is in a file of mode 0600 in a directory of mode
        0700.
    type: str
  authfile:
    description:
      - A file as C(docker login) or C(skopeo login) writes it. Not together with O(username).
      - If it is not given, E(ZOT_AUTHFILE) is used. What a task names comes before what the environment names.
    type: path
  ca_path:
    description:
      - A PEM file with the certificates of authorities that are trusted beside the system's.
      - If it is not given, E(ZOT_CA_PATH) is used.
      - On macOS neither skopeo nor crane can be told so; add the authority to the keychain there.
    type: path
  validate_certs:
    description:
      - Whether the registry's certificate is checked.
      - Only V(false) allows plain HTTP, except for a registry on the loopback address.
      - If it is not given, E(ZOT_VALIDATE_CERTS) is used.
    type: bool
    default: true
  timeout:
    description: The number of seconds after which one run of skopeo or crane is ended, with all that it started.
    type: int
    default: 600
  retries:
    description:
      - How many times more to try after an error that can pass (RV(ignore:error_class) V(unavailable) or
        V(rate_limited)).
      - Before a second write the registry is looked at again, since the first may have landed.
    type: int
    default: 3
  skopeo_path:
    description: The program skopeo, version 1.9 or later. If it is not given, the one in E(PATH) is used.
    type: path
  crane_path:
    description: The program crane, version 0.20 or later. If it is not given, the one in E(PATH) is used.
    type: path
notes:
  - The programs skopeo and crane run where the module runs.
"""
