#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_api_key
short_description: Create, renew and revoke API keys of a Zot registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - An API key is a password that expires. It belongs to one user, and is used with the name of this user. It can do
    what the user may do.
  - This module manages the keys of the user that the task uses (O(username) or O(authfile)). Zot does not show the keys
    of another user, not even to an administrator.
  - A key is only created if no key with this label is valid for longer than O(renew_before). The result contains the
    key only in the run that creates it, because Zot shows a key once.
  - With O(state=present) the task must have C(no_log=true), also in check mode. Otherwise it fails, and sends no
    request.
  - If the response of Zot to the creation is lost, the key that nobody knows is revoked, and a new one is created.
requirements:
  - Python library requests
  - Zot 2.0 or later with C(http.auth.apikey) in its configuration
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Returns the keys that would be revoked, and whether a key would be created.
  diff_mode:
    support: full
    description: Shows the UUID and the expiry of each key before and after, and no key.
  idempotent:
    description: A second run creates and revokes nothing, until O(renew_before) before the key expires.
options:
  label:
    description:
      - The label of the keys. Only keys with exactly this label are counted, renewed and revoked.
      - Choose one label for each place that holds a key. Quote a label that is a number. A value that is not text is an
        error.
    type: raw
    required: true
  state:
    description:
      - V(present) creates a key if no key with this label is young enough.
      - V(absent) revokes all keys with this label, or those that O(in_use) or O(uuid) select.
    type: str
    choices: [present, absent]
    default: present
  expires_in:
    description:
      - The time after which a new key expires, for example V(90d). The units are V(m), V(h), V(d) and V(w).
      - A key that lives longer than this, or that never expires, gets a successor.
    type: raw
    default: 90d
  renew_before:
    description: A new key is created if the key expires within this time. It must be less than O(expires_in).
    type: raw
    default: 14d
  keep:
    description:
      - The maximum number of keys with this label, the new one included. The oldest are revoked. Expired keys are
        revoked, too.
      - V(2) leaves the previous key valid until the place that holds it has the new one.
      - If not set, no key is revoked.
    type: int
  in_use:
    description:
      - The UUID of the key that is in use. Then another key with this label does not count as young enough, because
        nobody has it, for example after a run that was interrupted.
      - O(keep) does not revoke it, unless it is V(1).
      - With O(state=absent), the other keys with this label are revoked, except those that another task has created
        after it, less than ten minutes ago. It is an error if no key with this label has this UUID.
    type: str
  uuid:
    description: With O(state=absent), revoke only the key with this label and this UUID.
    type: str
  force:
    description: Whether to create a key even if one is young enough.
    type: bool
    default: false
  unused_for:
    description: A valid key that was not used for this time is listed in RV(unused).
    type: raw
    default: 30d
notes:
  - The user must have a password. A key can list and revoke keys, but this module creates none with it, because its
    successors would outlive it.
  - Zot does not enforce the scopes of a key, so this module sets none. Limit the permissions of the user.
  - A key stays valid if its user is removed from the file of passwords. Revoke the keys of a user before you remove it.
seealso:
  - module: killinit.zot.zot_pull_secret_info
  - name: Accounts
    description: Which accounts to create, and how keys are rotated.
    link: https://github.com/killinit/zot/blob/main/docs/docsite/rst/guide_accounts.rst
"""

EXAMPLES = r"""
- name: Have an API key that is valid for at least two weeks
  killinit.zot.zot_api_key:
    registry: oci.killinit.cc
    username: puller
    password: "{{ vault_puller_password }}"
    label: build-server
    expires_in: 90d
    renew_before: 14d
    keep: 2
  no_log: true
  register: api_key

- name: Write the new key to the place that uses it
  ansible.builtin.copy:
    content: "{{ api_key.key }}"
    dest: /etc/build/zot-key
    mode: "0600"
  no_log: true
  when: api_key.key is defined

- name: Revoke all keys of the label
  killinit.zot.zot_api_key:
    registry: oci.killinit.cc
    username: puller
    password: "{{ vault_puller_password }}"
    label: build-server
    state: absent
"""

RETURN = r"""
key:
  description: The new key. It is the password of RV(account).
  type: str
  returned: when a key was created
  sample: zak_0123456789abcdef0123456789abcdef
created:
  description: Whether a key was created, or would be created in check mode.
  type: bool
  returned: success
  sample: true
account:
  description: The user to whom the keys belong.
  type: str
  returned: success
  sample: puller
label:
  description: The label.
  type: str
  returned: success
  sample: build-server
uuid:
  description:
    - The UUID of the key that is created or young enough; with O(state=absent) that of O(in_use).
    - V(null) if there is none, or if check mode would create it.
  type: str
  returned: success
  sample: e0547e3e-1b18-4f72-b8a6-d01f2109438a
expires_at:
  description: When this key expires, in UTC; in check mode also that of the key that would be created.
  type: str
  returned: success
  sample: "2027-02-28T10:00:00Z"
api_keys:
  description:
    - The keys with this label that remain, the oldest first. In check mode without the key that would be created.
  type: list
  elements: dict
  returned: success
  contains: &key
    uuid:
      description: The UUID. It is not secret.
      type: str
      returned: always
      sample: e0547e3e-1b18-4f72-b8a6-d01f2109438a
    label:
      description: The label.
      type: str
      returned: always
      sample: build-server
    created_at:
      description: When the key was created, in UTC.
      type: str
      returned: always
      sample: "2026-11-30T10:00:00Z"
    expires_at:
      description: When the key expires, in UTC; V(null) if never.
      type: str
      returned: always
      sample: "2027-02-28T10:00:00Z"
    last_used_at:
      description: When the key was last used, in UTC; V(null) if never.
      type: str
      returned: always
      sample: "2026-12-01T03:12:44Z"
    expired:
      description: Whether the key has expired, by the clock of the registry.
      type: bool
      returned: always
      sample: false
revoked:
  description: The keys that were revoked. In check mode those that would be revoked.
  type: list
  elements: dict
  returned: success, and if a revocation failed
  contains: *key
unused:
  description: The valid keys of the user, with any label, that were not used for O(unused_for).
  type: list
  elements: dict
  returned: success
  contains: *key
registry:
  description: The registry that the task used; V(null) if none is set.
  type: str
  returned: always
  sample: oci.killinit.cc
error_class:
  description:
    - The class of the error, as M(killinit.zot.zot_tag) returns it. V(not_found) if the registry has no API keys.
  type: str
  returned: failure
  sample: not_found
retryable:
  description: Whether the same task can succeed later without any change.
  type: bool
  returned: failure
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: failure
  sample: In the configuration of Zot set http.auth.apikey to true, and start Zot again.
cmd:
  description: Always empty, because no command runs.
  type: list
  elements: str
  returned: failure
  sample: []
rc:
  description: Always V(null), because no command runs.
  type: int
  returned: failure
  sample: null
"""

from ansible_collections.killinit.zot.plugins.module_utils._api_key import ApiKeys, run
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module

SPEC = Spec(
    {
        "label": {"type": "raw", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "expires_in": {"type": "raw", "default": "90d"},
        "renew_before": {"type": "raw", "default": "14d"},
        "keep": {"type": "int"},
        "in_use": {"type": "str"},
        "uuid": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "unused_for": {"type": "raw", "default": "30d"},
    },
    {"mutually_exclusive": [("in_use", "uuid")]},
)


def main() -> None:
    """Run the module."""
    run_registry_module(SPEC, lambda module, session: run(ApiKeys(session), module.params, dry_run=module.check_mode))


if __name__ == "__main__":
    main()
