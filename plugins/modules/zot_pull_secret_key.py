#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_pull_secret_key
short_description: Give pull secrets API keys that expire, and renew them
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Replaces the password in the pull secret of each namespace by an API key of the same user, and the API key by a new
    one before it expires. If the key is young enough, nothing changes.
  - A new key is created, written into the pull secret as M(killinit.zot.zot_pull_secret) does, and used as the pods use
    it. Only then the other keys of this pull secret are revoked. If the task is interrupted anywhere, the pods can
    pull, and the next run finishes.
  - The new key is tested twice. The images that the workloads need are requested with the pull secret, as
    M(killinit.zot.zot_pull_secret_info) does. The keys of the user are listed with the new key, because an entry for a
    single repository may have another password. If no workload uses the registry, only the second test is possible.
    RV(secrets[].proof) has the result.
  - Each pull secret has keys with its own label. The label names the namespace, the secret and the cluster.
  - A namespace that fails keeps its key, and the other namespaces are still renewed. The task fails at its end. If the
    registry or the cluster does not answer, no further namespace is tried.
  - The key is not in the result, the diff or the log.
extends_documentation_fragment:
  - killinit.zot._cluster
  - killinit.zot._attributes.cluster
attributes:
  check_mode:
    description: Returns whether each key would be renewed, and finds out whether its pull secret can be changed.
  diff_mode:
    support: full
    description: Shows the type of each secret, and which entries and service accounts change.
  idempotent:
    description: A second run changes nothing, until O(renew_before) before a key expires.
options:
  namespaces:
    description: The namespaces of the pull secrets. Quote a name that consists of digits.
    type: raw
    required: true
  name:
    description: The name of the pull secret in each namespace. A value that is not text is an error.
    type: raw
    default: zot-pull-secret
  pull_username:
    description: The user whose keys the pods get. The right to read is enough.
    type: raw
    required: true
  pull_password:
    description: The password of O(pull_username), and not an API key. It is written to no secret.
    type: raw
    required: true
  expires_in:
    description:
      - The time after which a new key expires, for example V(90d). The units are V(m), V(h), V(d) and V(w).
      - A key that lives longer than this is renewed.
    type: raw
    default: 90d
  renew_before:
    description: A key is renewed if it expires within this time. It must be less than O(expires_in).
    type: raw
    default: 14d
  force_renewal:
    description: Whether to renew a key even if it is young enough.
    type: bool
    default: false
  unused_for:
    description: A valid key of the user that was not used for this time is listed in RV(unused).
    type: raw
    default: 30d
  workloads:
    description: The workloads whose images are requested. If empty, all workloads of the namespace.
    type: list
    elements: str
    default: []
  label_selectors:
    description: Label selectors that the workloads must match, for example C(app=openclaw).
    type: list
    elements: str
    default: []
  images:
    description: Additional images that the pods must be able to pull.
    type: list
    elements: raw
    default: []
  force:
    description: >-
      Whether to change a secret that something else manages, as the option C(force) of M(killinit.zot.zot_pull_secret).
    type: bool
    default: false
seealso:
  - module: killinit.zot.zot_api_key
  - name: Accounts
    description: Which accounts to create, and how keys are rotated.
    link: https://github.com/killinit/zot/blob/main/docs/docsite/rst/guide_accounts.rst
"""

EXAMPLES = r"""
- name: Renew the API keys of two pull secrets
  killinit.zot.zot_pull_secret_key:
    registry: oci.example.com
    namespaces: [openclaw, workspace]
    pull_username: puller
    pull_password: "{{ vault_puller_password }}"
"""

RETURN = r"""
ok:
  description: Whether each pull secret holds a key that was used.
  type: bool
  returned: if the registry and the options could be used
  sample: true
registry:
  description: The registry.
  type: str
  returned: if the registry and the options could be used
  sample: oci.example.com
cluster:
  description: The address of the API server.
  type: str
  returned: if the registry and the options could be used
  sample: https://cluster.example.com:6443
secrets:
  description: The pull secrets, in the order of O(namespaces).
  type: list
  elements: dict
  returned: if the registry and the options could be used
  contains:
    namespace:
      description: The namespace.
      type: str
      sample: openclaw
    name:
      description: The name of the pull secret.
      type: str
      sample: zot-pull-secret
    result:
      description: V(kept), V(renewed) (in check mode, the key would be renewed) or V(failed).
      type: str
      sample: renewed
    changed:
      description: Whether a key was created or revoked.
      type: bool
      sample: true
    account:
      description: The user in the secret that kubelet tries first at the registry.
      type: str
      sample: puller
    label:
      description: The label of the keys of this secret.
      type: str
      sample: openclaw/zot-pull-secret at cluster.example.com:6443 (1c2d3e4f)
    uuid:
      description: The UUID of the key that the secret holds; V(null) if it holds none that this collection has written.
      type: str
      sample: e0547e3e-1b18-4f72-b8a6-d01f2109438a
    expires_at:
      description: When this key expires, in UTC. In check mode the expiry that a new key would have.
      type: str
      sample: "2027-02-28T10:00:00Z"
    last_used_at:
      description: When this key was last used, in UTC; V(null) if that is not known.
      type: str
      sample: "2026-11-30T10:00:03Z"
    proof:
      description:
        - How the key was used before other keys were revoked. V(images) means that every image that the workloads
          need was requested. V(registry) means that no workload uses the registry, so only the registry was requested.
        - V(null) if the task did not need a proof.
      type: str
      sample: images
    revoked:
      description: The keys that were revoked. In check mode those that would be revoked.
      type: list
      elements: dict
      contains: &key
        uuid:
          description: The UUID. It is not secret.
          type: str
          sample: e0547e3e-1b18-4f72-b8a6-d01f2109438a
        label:
          description: The label.
          type: str
          sample: openclaw/zot-pull-secret at cluster.example.com:6443 (1c2d3e4f)
        created_at:
          description: When the key was created, in UTC.
          type: str
          sample: "2026-11-30T10:00:00Z"
        expires_at:
          description: When the key expires, in UTC; V(null) if never.
          type: str
          sample: "2027-02-28T10:00:00Z"
        last_used_at:
          description: When the key was last used, in UTC; V(null) if never.
          type: str
          sample: "2026-12-01T03:12:44Z"
        expired:
          description: Whether the key has expired, by the clock of the registry.
          type: bool
          sample: false
    problems:
      description: One sentence for each problem, with the remedy.
      type: list
      elements: str
      sample: []
unused:
  description: The valid keys of the user, with any label, that were not used for O(unused_for).
  type: list
  elements: dict
  returned: if the registry and the options could be used
  contains: *key
problems:
  description: The problems of all namespaces.
  type: list
  elements: str
  returned: if the registry and the options could be used
  sample: []
error_class:
  description:
    - The class of the first error, as M(killinit.zot.zot_image_info) returns it. V(not_found) if the registry has no
      API keys. V(null) if a key was written, but the pods cannot pull.
  type: str
  returned: failure
  sample: not_found
retryable:
  description: Whether the same task can succeed later without any change.
  type: bool
  returned: if an option or the registry cannot be used
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: if an option or the registry cannot be used
  sample: In the configuration of Zot set http.auth.apikey to true, and start Zot again.
cmd:
  description: Always empty, because no command failed.
  type: list
  elements: str
  returned: if an option or the registry cannot be used
  sample: []
rc:
  description: Always V(null), because no command failed.
  type: int
  returned: if an option or the registry cannot be used
  sample: null
"""

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import cluster_module, connect
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, InvalidNameError
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret.key import run
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
            "namespaces": {"type": "raw", "required": True},
            "name": {"type": "raw", "default": "zot-pull-secret"},
            "pull_username": {"type": "raw", "required": True},
            "pull_password": {"type": "raw", "required": True, "no_log": True},
            "expires_in": {"type": "raw", "default": "90d"},
            "renew_before": {"type": "raw", "default": "14d"},
            "force_renewal": {"type": "bool", "default": False},
            "unused_for": {"type": "raw", "default": "30d"},
            "workloads": {"type": "list", "elements": "str", "default": []},
            "label_selectors": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "raw", "default": []},
            "force": {"type": "bool", "default": False},
        }
    )
    try:
        with open_registries(module._module) as task:
            options = options_beside_a_cluster(module.params)
            hide = module._module.no_log_values.update
            result = run(connect(module), task, options, module.params, hide, dry_run=module.check_mode)
    except (ZotError, ClusterError, InvalidNameError) as error:
        module.fail_json(**error.for_ansible())
    if not result["ok"]:
        module.fail_json(msg="\n".join(result["problems"]), **result)
    del result["error_class"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
