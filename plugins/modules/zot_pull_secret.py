#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_pull_secret
short_description: Create, update or remove the entry of a registry in a pull secret
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Writes the entry of O(registry), and one for each of O(registry_aliases), into a pull secret of a namespace. All
    other entries stay as they are, byte by byte. Entries that kubelet cannot read are removed, because kubelet ignores
    a pull secret with such an entry.
  - Adds the pull secret to service accounts.
  - A secret that is immutable, or that has the type C(Opaque) or C(kubernetes.io/dockercfg), cannot be changed. The
    module keeps a copy as C(NAME-before-repair), replaces the secret, and then deletes the copy. If the run ends in
    between, the next run finishes it with the entries of the secret and of the copy, so that no entry is lost. Labels,
    annotations, owner references and other data are kept, but not the annotation in which kubectl keeps the old data.
  - A secret of any other type is an error, because something else uses it.
  - Changes of something else at the same time are not overwritten. The secret is then read again.
  - The password is not in the result, the diff or the log. The registry is not used, see
    M(killinit.zot.zot_pull_secret_info). Every request has a time limit.
extends_documentation_fragment:
  - killinit.zot._cluster
  - killinit.zot._cluster.namespace
  - killinit.zot._attributes.cluster
attributes:
  check_mode:
    description: Reads everything, and writes nothing.
  diff_mode:
    support: full
    description: Shows the type of the secret, and which entries and service accounts change.
  idempotent:
    description: A second run writes nothing.
options:
  name:
    description: The name of the pull secret. A value that is not text is an error.
    type: raw
    default: zot-pull-secret
  pull_username:
    description:
      - The user name for the pods. The right to read is enough. O(registry_username) is never written.
      - Without O(pull_username) and O(pull_password), the entry of the registry must exist, and only
        O(service_accounts) change.
    type: raw
  pull_password:
    description:
      - The password, or an API key of Zot (C(zak_)...). A value that is not text is an error, because YAML reads an
        unquoted C(0012345) as another number.
    type: raw
  service_accounts:
    description:
      - The service accounts that must name the pull secret. A pod gets their pull secrets if it names none itself.
      - With O(state=absent), the name of a secret that no longer exists is removed from them.
    type: list
    elements: str
    default: []
  force:
    description:
      - Whether to change a secret that something else manages. These are a secret with an owner, and one of External
        Secrets, Sealed Secrets, Helm, Argo CD or Flux. They may undo the change.
    type: bool
    default: false
  state:
    description:
      - V(present), the secret has the entry.
      - V(absent), the secret does not have the entry. If the secret has no other entry and no other data, it is
        deleted.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: killinit.zot.zot_pull_secret_info
  - name: The role zot_pull_secret
    description: Checks whether the pods can pull, and repairs the pull secret only if they cannot.
    link: https://github.com/killinit/zot/blob/main/roles/zot_pull_secret/README.md
"""

EXAMPLES = r"""
- name: Let the pods of a namespace pull
  killinit.zot.zot_pull_secret:
    namespace: openclaw
    registry: oci.example.com
    pull_username: puller
    pull_password: "{{ vault_puller_password }}"
    service_accounts:
      - default

- name: Remove the entry of a registry that is not used any more
  killinit.zot.zot_pull_secret:
    namespace: openclaw
    registry: old.example.com
    state: absent
"""

RETURN = r"""
namespace:
  description: The namespace of the secret.
  returned: success
  type: str
  sample: openclaw
name:
  description: The name of the secret.
  returned: success
  type: str
  sample: zot-pull-secret
registry:
  description: The registry.
  returned: success
  type: str
  sample: oci.example.com
cluster:
  description: The address of the API server.
  returned: success
  type: str
  sample: https://cluster.example.com:6443
action:
  description:
    - What was done with the secret, or would be done in check mode.
    - V(none), V(create), V(merge) (the secret was changed), V(replace) (the secret was deleted and created again), or
      V(delete).
  returned: success
  type: str
  sample: merge
changes:
  description: The change of each entry of the secret.
  returned: success
  type: list
  elements: str
  sample: ["entry oci.example.com: credentials updated"]
service_accounts:
  description: The service accounts that were changed.
  returned: success
  type: list
  elements: str
  sample: [default]
error_class:
  description:
    - The class of the error, as M(killinit.zot.zot_image_info) returns it. V(denied) also means that something else
      manages the secret.
  type: str
  returned: failure
  sample: denied
retryable:
  description: Whether the same task can succeed later without a change.
  type: bool
  returned: failure
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: failure
  sample: Change the credentials there, or set force (zot_pull_secret_force) to true.
cmd:
  description: Always empty, because the module starts no tool.
  type: list
  elements: str
  returned: if an option is invalid
  sample: []
rc:
  description: Always V(null), because the module starts no tool.
  type: int
  returned: if an option is invalid
"""

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import cluster_module, connect
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.request import Request
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.run import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import CLUSTER_MODULE_OPTIONS, open_registries


def main() -> None:
    """Run the module."""
    module = cluster_module(
        {
            **CLUSTER_MODULE_OPTIONS,
            "namespace": {"type": "raw", "required": True},
            "name": {"type": "raw", "default": "zot-pull-secret"},
            "pull_username": {"type": "raw"},
            "pull_password": {"type": "raw", "no_log": True},
            "service_accounts": {"type": "list", "elements": "str", "default": []},
            "force": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_together=[("pull_username", "pull_password")],
    )
    try:
        with open_registries(module._module):
            request = Request.of(module.params)
            hide = module._module.no_log_values.update
            result = run(connect(module), request, hide, check_mode=module.check_mode)
    except (ZotError, ClusterError, InvalidNameError) as error:
        module.fail_json(**error.for_ansible())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
