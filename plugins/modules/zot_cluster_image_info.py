#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_cluster_image_info
short_description: List the images of a registry that a cluster uses, and those that can be lost
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Lists the images of O(registry) that a cluster runs, or may start without a push, with the workloads that use them.
  - These are the digests that pods report; the images in the templates of Deployments, StatefulSets, DaemonSets,
    ReplicaSets, ReplicationControllers, PodTemplates, Jobs and CronJobs, also of those that are suspended or have no
    replicas; the images in every custom resource whose schema contains a pod template, for example a ScaledJob; the
    templates in the history of a workload, which C(kubectl rollout undo) starts; pods without a controller; init
    containers, sidecars, ephemeral containers and image volumes; and the digests in the annotations that the role
    P(killinit.zot.zot_rollout#role) writes. Pods that have ended do not count.
  - Also returns which of these images the registry has lost or can lose. Zot deletes an image immediately when its last
    tag moves, and in the next garbage collection when its last tag is removed.
  - Fails if any resource cannot be read, because with an incomplete list images in use could be deleted.
  - Changes nothing. If the registry has the search extension of Zot, the reads do not count as pulls.
extends_documentation_fragment:
  - killinit.zot._cluster
  - killinit.zot._attributes.cluster
options:
  namespaces:
    description: The namespaces to read. If empty, all namespaces are read, which requires a ClusterRole.
    type: list
    elements: str
    default: []
  revisions:
    description:
      - A regular expression that matches the whole tag of a revision, which never moves to another image. The tags of
        its single architectures, for example C(3f2c1ab-amd64), belong to the revision.
      - If it is not set, revisions are tags of 7 to 40 hexadecimal digits and versions of three numbers, for example
        C(1.4.2), as the L(guide to pruning,
        https://github.com/killinit/zot/blob/main/docs/docsite/rst/guide_prune.rst) lists.
      - Every other tag is a shared tag, for example C(latest) or C(1.4).
    type: str
  ignore_kinds:
    description:
      - Kinds or resources to leave out, for example V(ScaledJob) or V(scaledjobs.keda.sh). Their images do not count as
        used.
      - V(CustomResourceDefinition) leaves out all custom resources.
      - If O(namespaces) is set, and the user may not list CustomResourceDefinitions, all custom resources are left out.
    type: list
    elements: str
    default: []
  allow_empty:
    description: Whether the cluster may use no image of O(registry). Otherwise that is an error.
    type: bool
    default: false
seealso:
  - module: killinit.zot.zot_image_info
  - module: killinit.zot.zot_workload_info
"""

EXAMPLES = r"""
- name: List the images that the cluster uses
  killinit.zot.zot_cluster_image_info:
    registry: oci.killinit.cc
  register: used

- name: Fail if an image in use can be lost
  ansible.builtin.assert:
    that: not used.at_risk
    fail_msg: "{{ used.at_risk | join('\n') }}"

- name: List the images that one application uses
  killinit.zot.zot_cluster_image_info:
    registry: oci.killinit.cc
    namespaces:
      - openclaw
"""

RETURN = r"""
images:
  description: >-
    The images of O(registry) in use. If a tag has moved, the list contains two images, the one that pods still run and
    the current one.
  type: list
  elements: dict
  returned: success
  contains:
    reference:
      description: The image in the specification of the pod. If that is not in O(registry), the image that it reports.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest
    digest:
      description: The digest; V(null) if only the tag is known, and the registry does not have it.
      type: str
      returned: always
      sample: sha256:4c553b9ea325a14b0e5ee5afaabf53ae2b4f3b186155d197ae400809bb5c8dfd
    tags:
      description: The tags of revisions with this digest. If there is none, the shared tags with this digest.
      type: list
      elements: str
      returned: always
      sample: ["3f2c1ab"]
    risk:
      description:
        - V(missing) means that the registry does not have the image.
        - V(incomplete) means that the registry has the index, but not the image of one of its platforms.
        - V(untagged) means that no tag refers to the image.
        - V(shared_tag) means that only shared tags refer to the image.
        - V(null) means that there is no risk.
      type: str
      returned: always
      sample: shared_tag
    reason:
      description: What the risk means; V(null) if there is none.
      type: str
      returned: always
      sample: "only shared tags (latest) refer to it: it is lost when they move"
    used_by:
      description: The workloads that use the image.
      type: list
      elements: dict
      returned: always
      contains:
        namespace:
          description: The namespace.
          type: str
          returned: always
          sample: openclaw
        name:
          description: The workload, in the form that kubectl accepts, or the pod if it has no controller.
          type: str
          returned: always
          sample: deployment/openclaw
        use:
          description:
            - V(running) means that a pod reports the image, V(template) that a template names it, V(history) that only
              an earlier template names it, V(annotation) that a restart recorded it in an annotation.
          type: str
          returned: always
          sample: running
at_risk:
  description: A sentence for each image that has a risk.
  type: list
  elements: str
  returned: success
  sample:
    - "oci.killinit.cc/openclaw/openclaw:latest (sha256:4c553b9ea325), used by openclaw/deployment/openclaw: only
      shared tags (latest) refer to it: it is lost when they move"
digests:
  description: >-
    Every digest in use, with any registry and repository. It may be the digest of an index, of a member or of a
    configuration. If an index is in use, its members are in use, too.
  type: list
  elements: str
  returned: success
  sample:
    - sha256:4c553b9ea325a14b0e5ee5afaabf53ae2b4f3b186155d197ae400809bb5c8dfd
records:
  description:
    - What workloads run since which release or rollback, from the annotation C(killinit.zot/release).
  type: list
  elements: dict
  returned: success
  contains:
    namespace:
      description: The namespace.
      type: str
      returned: always
      sample: openclaw
    name:
      description: The workload, in the form that kubectl accepts.
      type: str
      returned: always
      sample: deployment/openclaw
    revision:
      description: The revision of the release or of the rollback; V(null) if the change was a restart.
      type: str
      returned: always
      sample: "3f2c1ab"
    time:
      description: The time of the change.
      type: str
      returned: always
      sample: "2026-11-25T12:00:00Z"
    rollback:
      description: Whether the change was a rollback.
      type: bool
      returned: always
    holds:
      description: Whether the template still has the images of the record.
      type: bool
      returned: always
    images:
      description: >-
        The images before and after the change, as in C(record) of a workload of M(killinit.zot.zot_workload_info).
      type: list
      elements: dict
      returned: always
unreadable:
  description: The resources that the user may not read.
  type: list
  elements: dict
  returned: if the user may not read a resource
  contains:
    verb:
      description: The verb of the request.
      type: str
      returned: always
      sample: list
    resource:
      description: The resource.
      type: str
      returned: always
      sample: cronjobs
    namespace:
      description: The namespace; null for all namespaces.
      type: str
      returned: always
      sample: null
    message:
      description: The error message of the API server.
      type: str
      returned: always
      sample: 'cronjobs.batch is forbidden: User "ops" cannot list resource "cronjobs" at the cluster scope'
namespaces:
  description: The namespaces that were read; empty for all namespaces.
  type: list
  elements: str
  returned: success
  sample: []
registry:
  description: The registry.
  type: str
  returned: success
  sample: oci.killinit.cc
cluster:
  description: The address of the API server.
  type: str
  returned: success
  sample: https://10.0.0.1:6443
error_class:
  description: The class of the error, as M(killinit.zot.zot_image_info) returns it.
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
  sample: Correct the registry or the namespaces.
cmd:
  description: The command of the tool that failed, without secrets.
  type: list
  elements: str
  returned: if the registry failed
  sample: [crane, manifest, "oci.example.com/openclaw/openclaw:latest"]
rc:
  description: The exit status of the tool; V(null) if the tool was killed, or if no tool failed.
  type: int
  returned: if the registry failed
  sample: 1
"""

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import cluster_module, connect, exit_module
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._cluster_image_info import ClusterImageQuery, run
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    CLUSTER_MODULE_OPTIONS,
    open_registries,
    options_beside_a_cluster,
)

OPTIONS = {
    **CLUSTER_MODULE_OPTIONS,
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "revisions": {"type": "str"},
    "ignore_kinds": {"type": "list", "elements": "str", "default": []},
    "allow_empty": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = cluster_module(OPTIONS)
    try:
        with open_registries(module._module) as task:
            query = ClusterImageQuery.of(module.params)
            registry = Registry(task.session(options_beside_a_cluster(module.params)))
            result = run(connect(module), registry, query)
    except (ZotError, ClusterError, InvalidNameError) as error:
        module.fail_json(**error.for_ansible())
    exit_module(module, result)


if __name__ == "__main__":
    main()
