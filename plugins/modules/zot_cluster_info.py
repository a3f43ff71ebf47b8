#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_cluster_info
short_description: Read objects of several kinds from a cluster by one connection
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Reads what the roles of this collection look at. It finds what M(kubernetes.core.k8s_info) finds in a loop, about a
    second faster for each kind.
  - The options of the connection are those of M(kubernetes.core.k8s_info). What C(module_defaults) say of them for
    that module, or for the group C(kubernetes.core.k8s), counts here, too.
requirements:
  - kubernetes >= 24.2.0 (Python)
  - PyYAML >= 3.11 (Python)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: N/A
    description: Shows what changes.
options:
  objects:
    description: What to read.
    type: list
    elements: dict
    required: true
    suboptions:
      api_version:
        description: The version of the API.
        type: str
        default: v1
      kind:
        description: The kind of the objects.
        type: str
        required: true
      name:
        description: The name of one object; without it all are read.
        type: str
      namespace:
        description: The namespace of the objects; without it those of all namespaces are read.
        type: str
      label_selectors:
        description: Labels that the objects must have, each as C(name=value) or another selector of Kubernetes.
        type: list
        elements: str
        default: []
      field_selectors:
        description: Fields that the objects must have, each as C(name=value).
        type: list
        elements: str
        default: []
seealso:
  - module: kubernetes.core.k8s_info
"""

EXAMPLES = r"""
- name: Read the pods of a namespace, and who they are
  killinit.zot.zot_cluster_info:
    objects:
      - kind: Pod
        namespace: openclaw
        label_selectors: [app.kubernetes.io/name=openclaw]
      - kind: ServiceAccount
        namespace: openclaw
  register: read

- name: Show how they are
  ansible.builtin.debug:
    msg: "{{ read.found[0].resources | map(attribute='status.phase') }}"
"""

RETURN = r"""
found:
  description: >-
    What was found, in the order of O(objects). Something that cannot be read does not keep the rest from being read;
    the task fails at its end.
  returned: always, unless there is no way to the cluster at all
  type: list
  elements: dict
  contains:
    resources:
      description: The objects, without C(metadata.managedFields). None if there are none.
      returned: if they could be read
      type: list
      elements: dict
      sample:
        - apiVersion: v1
          kind: ServiceAccount
          metadata: {name: default, namespace: openclaw}
    msg:
      description: Why they could not be read.
      returned: if they could not be read
      type: str
"""

import copy

from ansible_collections.killinit.zot.plugins.module_utils._objects import QUERY, failure, read
from ansible_collections.kubernetes.core.plugins.module_utils.ansiblemodule import AnsibleModule
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.service import K8sService


def main() -> None:
    """Run the module."""
    objects = {"type": "list", "elements": "dict", "required": True, "options": QUERY}
    module = AnsibleK8SModule(
        module_class=AnsibleModule,
        argument_spec={**copy.deepcopy(AUTH_ARG_SPEC), "objects": objects},
        supports_check_mode=True,
    )
    try:
        found = read(K8sService(get_api_client(module), module), module.params["objects"])
    except CoreException as error:
        module.fail_json(msg=str(error))
    # Not as C(results), which Ansible takes for those of a loop, and shows in spite of no_log.
    message = failure(found)
    if message:
        module.fail_json(msg=message, found=found)
    module.exit_json(changed=False, found=found)


if __name__ == "__main__":
    main()
