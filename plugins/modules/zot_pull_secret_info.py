#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_pull_secret_info
short_description: Check whether pods can pull with their pull secret
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Reads a pull secret like kubelet, requests every image that the workloads of the namespace need from the registry
    with the credentials in the secret, and checks that the workloads or their service accounts name the secret.
  - Workloads are Deployments, StatefulSets, DaemonSets and CronJobs, with the images of their containers, init
    containers and image volumes. Only those that use O(registry), or one of O(registry_aliases), count. Kubelet finds
    the entry of an image by the name that the image has for the registry, so that each name needs an entry.
  - Each request to the registry ends after O(registry_timeout) or 15 seconds, whichever is shorter, and all requests
    end within 30 seconds. If the registry does not answer, the verdict is V(unknown).
  - The requests are sent from the host where the module runs, not from the nodes. O(registry_username),
    O(registry_password) and O(registry_authfile) are not used.
  - The result contains no password and no data of a Secret.
  - If no workload uses the registry and O(images) is empty, the module fails.
extends_documentation_fragment:
  - killinit.zot._cluster
  - killinit.zot._cluster.namespace
  - killinit.zot._attributes.cluster
options:
  name:
    description: The name of the pull secret. A value that is not text is an error.
    type: raw
    default: zot-pull-secret
  workloads:
    description: The workloads to check, for example C(deployment/openclaw). If empty, all workloads of the namespace.
    type: list
    elements: str
    default: []
  label_selectors:
    description: Label selectors that the workloads must match, for example C(app=openclaw).
    type: list
    elements: str
    default: []
  images:
    description:
      - Additional images that the pods must be able to pull, in the form C(registry/repository:tag) or
        C(repository:tag). Set them if no workload names the images yet.
    type: list
    elements: raw
    default: []
  expires_within:
    description:
      - Warn if the API key in the secret expires within this time, for example V(14d). The units are V(m), V(h), V(d)
        and V(w). The module only knows when a key expires that M(killinit.zot.zot_pull_secret_key) has written.
    type: raw
  repair_username:
    description:
      - The user that a repair would write to the secret. If it is set, RV(repair.action) is V(none) if the secret
        already has exactly these credentials.
    type: str
  repair_password:
    description: The password of O(repair_username).
    type: str
  assume_repaired:
    description:
      - Whether to return the verdict that the secret and the service accounts would have after the repair. A role uses
        this in check mode to predict its result. Nothing is written.
      - Requires O(repair_username) and O(repair_password) if the secret itself needs a repair.
    type: bool
    default: false
seealso:
  - module: killinit.zot.zot_pull_secret
  - name: The role zot_pull_secret
    description: Makes the changes that this module returns as RV(repair).
    link: https://github.com/killinit/zot/blob/main/roles/zot_pull_secret/README.md
"""

EXAMPLES = r"""
- name: Check the pull secret of a namespace
  killinit.zot.zot_pull_secret_info:
    namespace: openclaw
    registry: oci.example.com
  register: pull_secret

- name: Fail if the pods cannot pull
  ansible.builtin.assert:
    that: pull_secret.ok
    fail_msg: "{{ pull_secret.problems | join('\n') }}"

- name: Check that an image can be pulled before the first workload exists
  killinit.zot.zot_pull_secret_info:
    namespace: openclaw
    registry: oci.example.com
    images:
      - openclaw/openclaw:latest
"""

RETURN = r"""
namespace:
  description: The namespace of the secret and the workloads.
  returned: success
  type: str
  sample: openclaw
name:
  description: The name of the pull secret.
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
account:
  description: The user in the secret that kubelet tries first at the registry. Null if the secret has none.
  returned: success
  type: str
  sample: puller
key:
  description:
    - The API key in the entry of the registry. It is known only if M(killinit.zot.zot_pull_secret_key) has written the
      entry, and it was not changed since.
  returned: success
  type: dict
  contains:
    uuid:
      description: The UUID of the key.
      type: str
      sample: e0547e3e-1b18-4f72-b8a6-d01f2109438a
    label:
      description: The label of the key.
      type: str
      sample: openclaw/zot-pull-secret at cluster.example.com:6443 (1c2d3e4f)
    expires_at:
      description: When the key expires, in UTC; V(null) if never.
      type: str
      sample: "2027-02-28T10:00:00Z"
key_label:
  description:
    - The label that M(killinit.zot.zot_pull_secret_key) gives the keys of this secret. V(null) if the service accounts
      cannot be read.
  returned: success
  type: str
  sample: openclaw/zot-pull-secret at cluster.example.com:6443 (1c2d3e4f)
usable:
  description: Whether every check except V(named) is V(ok), so that the credentials in the secret were used.
  returned: success
  type: bool
ok:
  description: Whether every check is V(ok) and everything could be read.
  returned: success
  type: bool
problems:
  description: One sentence for each problem, with the remedy.
  returned: success
  type: list
  elements: str
  sample:
    - neither deployment/openclaw nor its service account default names the pull secret zot-pull-secret in namespace
      openclaw. Add zot-pull-secret to imagePullSecrets of the service account.
checks:
  description: The checks, in the order V(exists), V(type), V(json), V(entry), V(auth), V(read), V(named).
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description:
        - V(exists), whether the secret exists in the namespace.
        - V(type), whether kubelet uses secrets of this type.
        - V(json), whether kubelet can read all entries. If it cannot read one, it ignores all pull secrets of the pod.
        - V(entry), whether each required repository matches an entry, by the rules of kubelet.
        - V(auth), for each repository, whether an entry has a user name and a password, and its C(auth) contains the
          same.
        - V(read), for each repository, whether one of the users may read every required image in the registry.
        - V(named), for each workload, whether its pod template or its service account names the secret, and no other
          pull secret that kubelet cannot read. Other pull secrets that do not exist, or that the user may not read, are
          not checked.
      type: str
    resource:
      description: The secret, the repository or the workload.
      type: str
      sample: deployment/openclaw
    verdict:
      description: V(ok), V(failed), or V(unknown) if the check was not possible.
      type: str
    reason:
      description: The reason for the verdict.
      type: str
    remedy:
      description: The remedy. Empty if no change is needed, or if another check must be fixed first.
      type: str
    error_class:
      description: The error class, as M(killinit.zot.zot_image_info) returns it, if the check V(read) is not ok.
      type: str
unreadable:
  description: The resources that the user may not read.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The verb of the request, V(get) or V(list).
      type: str
    resource:
      description: The resource, for example C(cronjobs) or C(secrets/zot-pull-secret).
      type: str
    namespace:
      description: The namespace of the request.
      type: str
    message:
      description: The message of the API.
      type: str
repair:
  description: The changes that the pods need in order to pull.
  returned: success
  type: dict
  contains:
    action:
      description:
        - V(none), the secret does not change.
        - V(create), the secret does not exist and must be created.
        - V(merge), entries of the secret must be changed.
        - V(replace), the secret must be deleted and created again, because it is immutable or has the type C(Opaque) or
          C(kubernetes.io/dockercfg). A secret of any other type is not repaired.
      type: str
    changes:
      description: The change of each entry of the secret.
      type: list
      elements: str
      sample: ["entry oci.example.com: credentials updated"]
    service_accounts:
      description: The service accounts that must name the secret, because workloads without pull secrets use them.
      type: list
      elements: str
      sample: [default]
error_class:
  description: The class of the error, as M(killinit.zot.zot_image_info) returns it.
  type: str
  returned: failure
  sample: not_found
retryable:
  description: Whether the same task can succeed later without a change.
  type: bool
  returned: failure
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: failure
  sample: Correct the name, the namespace or the selector.
cmd:
  description: The command of the tool that failed, without secrets.
  type: list
  elements: str
  returned: if crane failed
  sample: [crane, manifest, "oci.example.com/openclaw/openclaw:latest"]
rc:
  description: The exit status of the tool; V(null) if the tool was killed.
  type: int
  returned: if crane failed
  sample: 1
"""


from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import cluster_module, connect, exit_module
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.info import run
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.state import Scope
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    CLUSTER_MODULE_OPTIONS,
    open_registries,
    options_beside_a_cluster,
)


def main() -> None:
    """Run the module."""
    module = cluster_module(
        {
            **CLUSTER_MODULE_OPTIONS,
            "namespace": {"type": "raw", "required": True},
            "name": {"type": "raw", "default": "zot-pull-secret"},
            "workloads": {"type": "list", "elements": "str", "default": []},
            "label_selectors": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "raw", "default": []},
            "expires_within": {"type": "raw"},
            "repair_username": {"type": "str"},
            "repair_password": {"type": "str", "no_log": True},
            "assume_repaired": {"type": "bool", "default": False},
        },
        required_together=[("repair_username", "repair_password")],
    )
    try:
        with open_registries(module._module) as task:
            scope = Scope.of(module.params)
            result = run(connect(module), task, options_beside_a_cluster(module.params), scope)
    except (ZotError, ClusterError, InvalidNameError) as error:
        module.fail_json(**error.for_ansible())
    exit_module(module, result)


if __name__ == "__main__":
    main()
