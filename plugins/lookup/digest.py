# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: digest
short_description: Pin images to their digests
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Returns the reference by digest of the image that a tag currently refers to, for manifests, Helm values and
    kustomizations.
  - Runs on the controller and sends one HEAD request for each image. Zot does not count a HEAD request as a pull.
    skopeo and crane are not needed.
  - An image that does not exist is an error. As with every lookup, O(ignore:errors) can be V(warn) or V(ignore).
options:
  _terms:
    description:
      - The references, for example V(openclaw/openclaw:latest). The default registry is O(registry), and the default
        tag is V(latest). If a reference has a digest, the lookup verifies that it exists.
    type: list
    elements: str
    required: true
  registry:
    description: The registry of references that do not name one, in the form C(host[:port]). It has no default.
    type: str
    env: [{name: ZOT_REGISTRY}]
    vars: [{name: zot_registry}]
  username:
    description:
      - The user name at O(registry). It is not sent to any other registry.
      - Without O(username) and O(authfile), the entry of the registry in the default auth files of skopeo and Docker is
        used.
    type: str
    env: [{name: ZOT_USERNAME}]
    vars: [{name: zot_username}]
  password:
    description: The password, or an API key of Zot.
    type: str
    env: [{name: ZOT_PASSWORD}]
    vars: [{name: zot_password}]
  authfile:
    description: An auth file that C(docker login) or C(skopeo login) wrote.
    type: str
    env: [{name: ZOT_AUTHFILE}]
    vars: [{name: zot_authfile}]
  ca_path:
    description: A PEM file with CA certificates that are trusted in addition to those of the system.
    type: str
    env: [{name: ZOT_CA_PATH}]
    vars: [{name: zot_ca_path}]
  validate_certs:
    description:
      - Whether to verify the certificate of the registry. The default is V(true).
      - Plain HTTP requires V(false), except for a registry on a loopback address.
    type: raw
    env: [{name: ZOT_VALIDATE_CERTS}]
    vars: [{name: zot_validate_certs}]
  timeout:
    description: The number of seconds after which a request fails.
    type: int
    default: 30
    env: [{name: ZOT_TIMEOUT}]
    vars: [{name: zot_timeout}]
  retries:
    description: The number of retries after a temporary error.
    type: int
    default: 3
    env: [{name: ZOT_RETRIES}]
    vars: [{name: zot_retries}]
notes:
  - Environment variables and files are read on the controller. The keyword C(environment) of a task has no effect.
  - In a loop or in a variable, the lookup reads the registry each time that Ansible evaluates it. Pass all references
    in one call, or store the result with C(ansible.builtin.set_fact).
  - The account is that of the first level that names one - options, variables, environment - and is never sent to
    another registry. An empty variable counts as not set.
requirements:
  - Python library requests, on the controller
seealso:
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Pin an image
  ansible.builtin.debug:
    msg: "{{ lookup('killinit.zot.digest', 'openclaw/openclaw:latest', registry='oci.killinit.cc') }}"

- name: Pin several images in one call
  ansible.builtin.set_fact:
    pinned: "{{ query('killinit.zot.digest', 'openclaw/openclaw:latest', 'openclaw/workspace:latest') }}"

- name: Apply a manifest with a pinned image
  kubernetes.core.k8s:
    definition:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: openclaw, namespace: openclaw}
      spec:
        selector: {matchLabels: {app: openclaw}}
        template:
          metadata: {labels: {app: openclaw}}
          spec:
            containers:
              - name: app
                image: "{{ lookup('killinit.zot.digest', 'openclaw/openclaw:latest') }}"

- name: Install a chart that takes the digest as a value
  kubernetes.core.helm:
    name: openclaw
    chart_ref: ./charts/openclaw
    release_namespace: openclaw
    release_values:
      image:
        repository: "{{ pinned.split('@') | first }}"
        digest: "{{ pinned.split('@') | last }}"
  vars:
    pinned: "{{ lookup('killinit.zot.digest', 'openclaw/openclaw:latest') }}"

- name: Write a kustomization that sets the digest
  ansible.builtin.copy:
    dest: overlays/production/kustomization.yaml
    mode: "0644"
    content: "{{ kustomization | to_nice_yaml }}"
  vars:
    pinned: "{{ lookup('killinit.zot.digest', 'openclaw/openclaw:latest') }}"
    kustomization:
      resources: [../../base]
      images:
        - name: "{{ pinned.split('@') | first }}"
          digest: "{{ pinned.split('@') | last }}"
"""

RETURN = r"""
_raw:
  description: The references by digest, in the order of the terms.
  type: list
  elements: str
  sample:
    - oci.killinit.cc/openclaw/openclaw@sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.killinit.zot.plugins.plugin_utils._digest import pinned
from ansible_collections.killinit.zot.plugins.plugin_utils._settings import Variables, is_absent

_SETTINGS = ("registry", "ca_path", "validate_certs", "timeout", "retries")


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Pins images to their digests."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        """Return the references by digest."""
        # Ansible does not evaluate the templates in the variables that a lookup receives.
        found = Variables(self._templar, variables or {})
        direct = {name: value for name, value in kwargs.items() if not is_absent(value, variables or {})}
        self.set_options(var_options=found.given(name for name in _SETTINGS if name not in direct), direct=direct)
        options = {name: self.get_option(name) for name in _SETTINGS}
        return pinned(self._flatten(terms), options, direct, found)
