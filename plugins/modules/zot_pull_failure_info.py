#!/usr/bin/python

# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_pull_failure_info
short_description: Explain why pods cannot pull their images
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Finds the pods of a namespace that cannot pull an image, and returns every cause for each image, with the remedy and
    its commands.
  - kubelet has the same message for several causes. Therefore the module also reads the pull secrets of these pods, and
    requests the images from the registry with the credentials of the pods and with those of O(registry_username).
  - It covers containers, init containers, ephemeral containers and image volumes, pods whose first pull takes longer
    than O(pull_timeout), and containers that end immediately because their image is for another architecture.
  - If no pod fails, the module only lists the pods and the events, and sends no request to the registry.
  - Only images in O(registry) are requested, and credentials are not sent to any other registry. The requests are sent
    from the host where the module runs, not from the nodes.
options:
  namespace:
    description: The namespace of the pods.
  label_selectors:
    description: The labels that the pods must have. If empty, all pods of the namespace are checked.
    type: list
    elements: str
    default: []
  pull_timeout:
    description: The number of seconds after which a pull that has not ended counts as a failure.
    type: int
    default: 60
  pull_secret:
    description:
      - The pull secret that pods should name. Commands create or repair a secret of this name.
      - A value that is not text is an error.
    type: raw
    default: zot-pull-secret
  allow_empty:
    description:
      - Whether the namespace may have no pods, or no pods with these labels. Otherwise that is an error, because the
        module would find no failure in a namespace whose name is mistyped.
    type: bool
    default: false
extends_documentation_fragment:
  - killinit.zot._cluster
  - killinit.zot._cluster.namespace
  - killinit.zot._attributes.cluster
seealso:
  - module: killinit.zot.zot_pull_secret_info
  - name: The role zot_diagnose
    description: Fails with the findings.
    link: https://github.com/killinit/zot/blob/main/roles/zot_diagnose/README.md
"""

EXAMPLES = r"""
- name: Explain why pods cannot pull
  killinit.zot.zot_pull_failure_info:
    namespace: openclaw
    registry: oci.example.com
  register: pulls

- name: Show the causes and the commands
  ansible.builtin.debug:
    msg: "{{ pulls.summary }}"

- name: Stop if a tag is missing
  ansible.builtin.assert:
    that: pulls.findings | selectattr('cause', 'equalto', 'tag_missing') | length == 0
"""

RETURN = r"""
namespace:
  description: The namespace of the pods.
  returned: success
  type: str
  sample: openclaw
registry:
  description: The registry.
  returned: success
  type: str
  sample: oci.example.com
cluster:
  description: The address of the API server.
  returned: success
  type: str
  sample: https://203.0.113.10:6443
ok:
  description: Whether no pod fails to pull. V(false) also if the events could not be read.
  returned: success
  type: bool
  sample: false
pods:
  description: The number of pods that were checked.
  returned: success
  type: int
  sample: 3
findings:
  description:
    - One entry for each cause. Several causes of the same image are listed in the order in which they have to be fixed.
      Pods of the same resource that fail for the same causes are one finding.
    - Temporary causes, which need no change, are last.
  returned: success
  type: list
  elements: dict
  contains:
    cause:
      description:
        - One of V(reference_malformed), V(pull_policy_never), V(host_unknown), V(connection_refused), V(timed_out),
          V(plain_http), V(certificate_not_trusted), V(rate_limited), V(quota_exceeded), V(registry_failing),
          V(disk_full), V(secret_missing), V(secret_type), V(secret_unreadable), V(secret_without_entry),
          V(secret_not_named), V(credentials_refused), V(key_expired), V(key_revoked), V(read_denied),
          V(repository_missing), V(tag_missing), V(digest_missing), V(platform_missing), V(architecture_wrong),
          V(pulling), V(works_now), V(unknown).
        - V(key_expired) and V(key_revoked) are known only of an API key that M(killinit.zot.zot_pull_secret_key) has
          written. The registry rejects it like a wrong password.
      type: str
      sample: tag_missing
    message:
      description: The cause, in one sentence.
      type: str
      sample: "openclaw/openclaw has no tag 3; the nearest are: 2, 1"
    remedy:
      description: The remedy, in one sentence.
      type: str
      sample: "Publish the image (killinit.zot.publish), or use an image that exists:"
    commands:
      description:
        - Shell commands that fix the cause, in the order to run them, or that show the events of a pod if the cause is
          not known. Empty if no command can fix the cause.
        - They name the kubeconfig and the context of the task, if these are set.
        - They contain only names that are valid in Kubernetes. If a command is omitted for this reason, the remedy says
          so.
      type: list
      elements: str
      sample: [kubectl --namespace=openclaw set image deployment/openclaw app=oci.example.com/openclaw/openclaw:2]
    containers:
      description: The containers and image volumes with this image, each with its kind.
      type: list
      elements: str
      sample: [container app]
    evidence:
      description: The evidence for the cause, usually the message of kubelet.
      type: str
      sample: "failed to resolve image: oci.example.com/openclaw/openclaw:3: not found"
    image:
      description: The image, as in the specification of the pods.
      type: str
      sample: oci.example.com/openclaw/openclaw:3
    resource:
      description: The object to change in order to change the pods.
      type: str
      sample: deployment/openclaw
    pod_names:
      description: The names of the pods.
      type: list
      elements: str
      sample: [openclaw-7d4b9c6f5-x2x4q]
    nodes:
      description: The nodes of the pods.
      type: list
      elements: str
      sample: [node-1]
summary:
  description: The findings as lines of text. Control characters from the cluster or the registry are escaped.
  returned: success
  type: list
  elements: str
problems:
  description: One sentence for each image that cannot be pulled, and one if the events could not be read.
  returned: success
  type: list
  elements: str
  sample: ["oci.example.com/openclaw/openclaw:3 of deployment/openclaw: openclaw/openclaw has no tag 3"]
unreadable:
  description: The resources of the cluster and the registry that could not be read. The diagnosis does not use them.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The verb of the request.
      type: str
      sample: list
    resource:
      description: The Kubernetes resource, or the repository.
      type: str
      sample: nodes
    namespace:
      description: The namespace; null if the resource has none.
      type: str
      sample: openclaw
    message:
      description: The error message of the API server or the registry.
      type: str
      sample: 'nodes is forbidden: User "ops" cannot list resource "nodes"'
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

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import cluster_module, connect
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.run import PodScope, run
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
            "label_selectors": {"type": "list", "elements": "str", "default": []},
            "pull_timeout": {"type": "int", "default": 60},
            "pull_secret": {"type": "raw", "default": "zot-pull-secret", "no_log": False},  # a name
            "allow_empty": {"type": "bool", "default": False},
        }
    )
    try:
        with open_registries(module._module) as task:
            scope = PodScope.of(module.params)
            options = options_beside_a_cluster(module.params)
            result = run(connect(module), task, options, scope)
    except (ZotError, ClusterError, InvalidNameError) as error:
        module.fail_json(**error.for_ansible())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
