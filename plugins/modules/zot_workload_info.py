#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_workload_info
short_description: Compare the images that workloads run with a registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Compares the digests that the pods of Deployments, StatefulSets and DaemonSets report, including image volumes, with
    the current digests of the tags in the registry. Returns for each workload whether it is current, the reason, and
    the patch that makes it current.
  - With O(wait), the module waits for rollouts that are in progress, and ends early if one of them fails.
  - Changes nothing. The role P(killinit.zot.zot_rollout#role) applies the patches.
  - A pod may report the digest of the index, of the manifest of its platform, or of the configuration, with any
    repository that has the same image. All of these count as the same image.
  - A CronJob is assessed by its template, because its pods start later. Pods of other owners, for example of a Job, are
    assessed, too, but no patch is returned for them.
extends_documentation_fragment:
  - killinit.zot._cluster
  - killinit.zot._cluster.namespace
  - killinit.zot._attributes.cluster
options:
  workloads:
    description:
      - The names of the workloads, for example C(deployment/openclaw). If empty, all workloads of O(namespace) that use
        an image of O(registry) are assessed.
      - A workload that does not exist is an error.
    type: list
    elements: str
    default: []
  label_selectors:
    description: Label selectors that the workloads must match, for example C(app.kubernetes.io/name=openclaw).
    type: list
    elements: str
    default: []
  repositories:
    description: Repositories of O(registry). If set, only workloads that use an image of one of them are assessed.
    type: list
    elements: raw
    default: []
  images:
    description:
      - References that a release published, its revision and its shared tags. Every container that follows the release
        must run it, and each repository must have such a container.
      - A container follows the release if it names a repository of this list by a tag of this list, by such a tag with
        a digest, by another revision, or by a digest alone. It does not follow if it names another shared tag.
      - A container names another revision if this list has a reference of the same repository whose tag is different
        but has the same form. All tags of 7 to 40 hexadecimal digits, for example C(3f2c1ab), have the same form. Other
        tags have the same form if only their numbers differ, for example C(1.4.1) and C(1.4.2). A tag without digits,
        for example C(stable), is never a revision. If this list has C(1.4.2), C(1.4) is not a revision.
      - A workload with zero replicas and a CronJob are assessed by their template.
    type: list
    elements: raw
    default: []
  set_image:
    description:
      - Whether the patch sets the released image in a container that follows the release and that a restart would not
        update. A container that names another revision gets the revision of O(images). A container whose
        C(imagePullPolicy) is not C(Always) gets the digest behind its tag.
      - A digest that such a patch has added belongs to this collection. The next release replaces it also without this
        option, and removes it where the pull policy is C(Always).
      - V(force) also changes workloads that Argo CD, Flux or Helm manages. These tools may set the image back.
    type: str
    choices: ['false', 'true', force]
    default: 'false'
  pin:
    description:
      - Whether the patch adds the digest to the tag (C(tag@digest)) where a restart would start the same image again
        because of C(imagePullPolicy). Such a digest is updated when the tag moves.
      - In workloads that Argo CD, Flux or Helm manages, this needs O(set_image=force), too.
    type: bool
    default: false
  rollback:
    description:
      - The report of the role P(killinit.zot.zot_rollback#role). The patches then restore the workloads that the rolled
        back release has changed, and no others. O(images) must be empty.
      - A workload whose record (RV(workloads[].record)) says that a release started an image that is rolled back gets
        the image that it had before, or the image of the revision if the user has named one. The record counts only
        while the template has the image that the release wrote. Otherwise RV(theirs) names the workload.
      - A workload without such a record that runs such an image because its tag had moved is restarted, or gets the
        digest behind its tag where a restart would not pull.
    type: dict
  assume_pushed:
    description:
      - References that a dry run would have moved, for example RV(ignore:zot_publish_report.written) in check mode.
        Workloads that use them count as stale.
    type: list
    elements: str
    default: []
  allow_empty:
    description:
      - Whether the selection may contain no workload, or no workload that uses an image of O(registry). In this case
        the images of O(images) must exist in the registry, and RV(unverified) lists them.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until no rollout is in progress, or until one has failed.
      - During the wait, temporary errors of the cluster and the registry are retried.
    type: bool
    default: false
  wait_timeout:
    description: The number of seconds after which the wait ends.
    type: int
    default: 120
  wait_sleep:
    description: The number of seconds between two reads of the cluster.
    type: int
    default: 5
seealso:
  - module: kubernetes.core.k8s
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Compare all workloads of a namespace with the registry
  killinit.zot.zot_workload_info:
    registry: oci.killinit.cc
    namespace: openclaw
  register: compared

- name: Restart the workloads that run an old image
  kubernetes.core.k8s:
    state: patched
    definition: "{{ item.patch }}"
    hidden_fields: [spec.template.spec, status]
  loop: "{{ compared.workloads | selectattr('patch') }}"

- name: Wait for the rollouts and verify the running digests
  killinit.zot.zot_workload_info:
    registry: oci.killinit.cc
    namespace: openclaw
    wait: true
    wait_timeout: 300
  register: verified
  failed_when: verified is failed or not verified.ok

- name: Verify that a revision runs
  killinit.zot.zot_workload_info:
    registry: oci.killinit.cc
    namespace: openclaw
    images: [openclaw/openclaw:3f2c1ab, openclaw/openclaw:latest]
"""

RETURN = r"""
ok:
  description: Whether there are no RV(problems).
  type: bool
  returned: success
problems:
  description: >-
    A sentence for each workload that is not current, for each image of O(images) that does not run, and for each
    resource that could not be read.
  type: list
  elements: str
  returned: success
  sample:
    - "deployment/app: container app runs sha256:88d37ded802a, but oci.killinit.cc/app:1 means sha256:4c553b9ea325 now"
unverified:
  description: >-
    A sentence for each image that cannot be verified by its digest, for example of an image volume, of a CronJob, or of
    a workload without pods. These are not RV(problems).
  type: list
  elements: str
  returned: success
  sample:
    - "cronjob/report: container report: its pods start later, and pull oci.killinit.cc/openclaw/tool:latest then"
unreadable:
  description: The resources that the user may not read. Each of them is also one of the RV(problems).
  type: list
  elements: dict
  returned: success
  contains:
    verb:
      description: The verb of the request.
      type: str
      returned: always
    resource:
      description: The resource.
      type: str
      returned: always
    namespace:
      description: The namespace.
      type: str
      returned: always
    message:
      description: The error message of the API server.
      type: str
      returned: always
theirs:
  description: >-
    A sentence for each workload that a rollback leaves as it is, because somebody has changed the image that a release
    had set. These are not RV(problems).
  type: list
  elements: str
  returned: success
workloads:
  description: >-
    The selected workloads that use an image of the registry, or with O(rollback) of its repositories, and all workloads
    that O(workloads) names.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: The name, in the form that kubectl accepts.
      type: str
      returned: always
    kind:
      description: The kind.
      type: str
      returned: always
    status:
      description:
        - V(current) means that all pods run the current images of the tags.
        - V(stale) means that pods run another image, or that the template names another revision. If no patch can make
          the workload current, RV(workloads[].patch) is null, and RV(workloads[].reason) contains the remedy.
        - V(progressing) means that a rollout is in progress.
        - V(failed) means that the rollout cannot finish, or that the registry lacks an image or a member of its index.
        - V(unknown) means that the digests do not show which image runs.
        - V(untouched) means that O(rollback) does not change the workload.
      type: str
      returned: always
    reason:
      description: The reason for the status.
      type: str
      returned: always
      sample: "container app runs sha256:88d37ded802a, but oci.killinit.cc/app:latest means sha256:4c553b9ea325 now"
    problem:
      description: The sentence of this workload in RV(problems); null if it has no problem.
      type: str
      returned: always
    pods:
      description: The number of pods that have not ended.
      type: int
      returned: always
    images:
      description: The images of the registry that the template names.
      type: list
      elements: dict
      returned: always
      contains:
        kind:
          description: V(container), V(init container) or V(image volume).
          type: str
          returned: always
        name:
          description: The name of the container or volume.
          type: str
          returned: always
        image:
          description: The image in the template.
          type: str
          returned: always
        pull_policy:
          description: The pull policy.
          type: str
          returned: always
        expected:
          description: The digest that the pods should run; null if it is not known.
          type: str
          returned: always
        running:
          description: The images that the pods report. While a rollout is in progress, only its new pods count.
          type: list
          elements: str
          returned: always
        verdict:
          description: V(current), V(mismatched), V(missing) (or a member of it), V(pinned), V(not_running), V(unknown).
          type: str
          returned: always
        reason:
          description: The reason for the verdict.
          type: str
          returned: always
    patch:
      description: >-
        A strategic merge patch that makes the workload current, as a definition for M(kubernetes.core.k8s) with
        O(kubernetes.core.k8s#module:state=patched); null if no change is needed or possible.
      type: dict
      returned: always
      sample:
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: openclaw, namespace: openclaw, annotations: {killinit.zot/release: '{"revision": "3f2c1ab"}'}}
        spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "2026-11-25T12:00:00Z"}}}}
    changes:
      description: The images that RV(workloads[].patch) sets, one sentence each.
      type: list
      elements: str
      returned: always
      sample:
        - "container openclaw: oci.killinit.cc/openclaw/openclaw:9a8b7c6 -> oci.killinit.cc/openclaw/openclaw:3f2c1ab"
    by_hand:
      description: What the user must do after RV(workloads[].patch) was applied; null if nothing.
      type: str
      returned: always
    record:
      description: >-
        The annotation C(killinit.zot/release) of the workload, which each patch of this module writes; null if there is
        none. C(holds) is whether the template still has the images in C(after). C(ran) and C(runs) are the digests of
        the pods before and after the patch.
      type: dict
      returned: always
      sample:
        revision: "3f2c1ab"
        time: "2026-11-25T12:00:00Z"
        rollback: false
        holds: true
        images:
          - container: container openclaw
            before: oci.killinit.cc/openclaw/openclaw:latest
            ran: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
            after: oci.killinit.cc/openclaw/openclaw:latest
            runs: sha256:4c553b9ea325a14b0e5ee5afaabf53ae2b4f3b186155d197ae400809bb5c8dfd
namespace:
  description: The namespace.
  type: str
  returned: success
registry:
  description: The registry.
  type: str
  returned: success
cluster:
  description: The address of the API server.
  type: str
  returned: success
error_class:
  description: The class of the error, as M(killinit.zot.zot_image_info) returns it.
  type: str
  returned: failure
retryable:
  description: Whether the same task can succeed later without a change.
  type: bool
  returned: failure
hint:
  description: How to correct the error.
  type: str
  returned: failure
cmd:
  description: The command of the tool that failed, without secrets.
  type: list
  elements: str
  returned: if crane failed
rc:
  description: The exit status of the tool; V(null) if the tool was killed.
  type: int
  returned: if crane failed
"""

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import cluster_module, connect, exit_module
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    CLUSTER_MODULE_OPTIONS,
    open_registries,
    options_beside_a_cluster,
)
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.run import WorkloadQuery, run

OPTIONS = {
    **CLUSTER_MODULE_OPTIONS,
    "namespace": {"type": "raw", "required": True},
    "workloads": {"type": "list", "elements": "str", "default": []},
    "label_selectors": {"type": "list", "elements": "str", "default": []},
    "repositories": {"type": "list", "elements": "raw", "default": []},
    "images": {"type": "list", "elements": "raw", "default": []},
    "set_image": {"type": "str", "choices": ["false", "true", "force"], "default": "false"},
    "pin": {"type": "bool", "default": False},
    "rollback": {"type": "dict"},
    "assume_pushed": {"type": "list", "elements": "str", "default": []},
    "allow_empty": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 120},
    "wait_sleep": {"type": "int", "default": 5},
}


def main() -> None:
    """Run the module."""
    module = cluster_module(OPTIONS)
    try:
        with open_registries(module._module) as task:
            query = WorkloadQuery.of(module.params, check_mode=module.check_mode)
            registry = Registry(task.session(options_beside_a_cluster(module.params)))
            result = run(connect(module), registry, query)
    except (ZotError, ClusterError, InvalidNameError) as error:
        module.fail_json(**error.for_ansible())
    exit_module(module, result)


if __name__ == "__main__":
    main()
