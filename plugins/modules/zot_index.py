#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_index
short_description: Join images of several platforms into an OCI index in a Zot registry
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Writes one OCI image index that lists several manifests of a repository, under one or more tags, with C(crane
    index append) and
    C(crane tag).
  - A tag that holds such an index already is not written. Two indexes are the same when they list the same digest for
    each
    platform; the order, and fields that another version of crane adds, do not count.
  - Nothing is written unless every manifest is there and is for a platform of its own.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Whether the account may write is known to the registry alone, and only when it is tried.
  diff_mode:
    support: full
options:
  repository:
    description: The repository, without the registry.
    type: str
    required: true
  tags:
    description: The tags that are to hold the index.
    type: list
    elements: str
    required: true
    aliases:
      - tag
  manifests:
    description:
      - The manifests, each by tag or digest.
      - Of one that is an index itself its entries are taken; those without a platform (attestations) are kept, and
        not counted.
    type: list
    elements: str
    required: true
  platforms:
    description: Refuse to write unless the index is for exactly these platforms, each C(os/architecture[/variant]).
    type: list
    elements: str
seealso:
  - module: killinit.zot.zot_push
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Join two architectures, and move latest
  killinit.zot.zot_index:
    registry: oci.killinit.cc
    repository: openclaw/openclaw
    manifests:
      - 3f2c1ab-amd64
      - 3f2c1ab-arm64
    platforms:
      - linux/amd64
      - linux/arm64
    tags:
      - 3f2c1ab
      - latest
"""

RETURN = r"""
image:
  description: The index under the first tag.
  type: dict
  returned: success, and a failure in which the tags were looked at
  contains:
    reference:
      description: The reference that was asked for.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest
    registry:
      description: Its registry.
      type: str
      returned: always
      sample: oci.killinit.cc
    repository:
      description: Its repository.
      type: str
      returned: always
      sample: openclaw/openclaw
    tag:
      description: Its tag; V(null) for a reference by digest.
      type: str
      returned: always
      sample: latest
    digest:
      description: The digest of the manifest or index; V(null) where there is none yet.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    pinned:
      description: The reference by digest, which a moving tag cannot change; V(null) where there is none yet.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw@sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    media_type:
      description: The media type of the manifest or index; V(null) where there is none yet.
      type: str
      returned: always
      sample: application/vnd.oci.image.index.v1+json
    platforms:
      description: The platforms, each C(os/architecture[/variant]).
      type: list
      elements: str
      returned: always
      sample:
        - linux/amd64
        - linux/arm64
    size:
      description:
        - The bytes of configuration and layers, as they are transferred; of an index, of all its platforms.
        - V(null) where there is none yet.
      type: int
      returned: always
      sample: 1287304
    created:
      description: When the image was built, as its configuration says; V(null) for an index.
      type: str
      returned: always
    labels:
      description: The labels of the configuration; empty for an index.
      type: dict
      returned: always
      sample: {}
    exists:
      description: Whether the registry has it.
      type: bool
      returned: always
      sample: true
manifests:
  description: What the index lists, sorted by platform.
  type: list
  elements: dict
  returned: success
  contains:
    platform:
      description: The platform.
      type: str
      returned: always
      sample: linux/amd64
    digest:
      description: The digest of its manifest.
      type: str
      returned: always
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
tags:
  description: What became of each tag, in the order of the options.
  type: list
  elements: dict
  returned: success, and a failure in which the tags were looked at
  contains:
    reference:
      description: The reference.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest
    repository:
      description: The repository.
      type: str
      returned: always
      sample: openclaw/openclaw
    tag:
      description: The tag.
      type: str
      returned: always
      sample: latest
    digest:
      description: What it means now; V(null) in check mode where it would be written, and where it is absent.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    platforms:
      description: The platforms of that, or those that it would have.
      type: list
      elements: str
      returned: always
      sample: [linux/amd64, linux/arm64]
    size:
      description: Its bytes; V(null) where it is absent, or not known before it is written.
      type: int
      returned: always
      sample: 1287304
    changed:
      description: Whether it was written.
      type: bool
      returned: always
      sample: true
    kept:
      description:
        - The reference under which the image that it meant before stays reachable.
        - V(null) if there was nothing to keep.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest-previous
    error:
      description: Why it could not be judged or written, with the keys of a failed task; V(null) if there was no error.
      type: dict
      returned: always
error_class:
  description:
    - What went wrong. One of V(unauthorized), V(denied), V(not_found), V(manifest_invalid), V(rate_limited),
      V(quota_exceeded),
      V(unavailable), V(tls), V(archive_invalid), V(platform_mismatch), V(tool_missing), V(tool_failed),
      V(invalid_option).
  type: str
  returned: failure
  sample: unauthorized
retryable:
  description: Whether the same task can succeed later, without anybody changing anything.
  type: bool
  returned: failure
  sample: false
hint:
  description: What to do now.
  type: str
  returned: failure
  sample: "The registry does not accept the credentials: user 'ci' from ZOT_USERNAME."
cmd:
  description: The command that failed; it holds no secret. Empty if the failure was not that of a command.
  type: list
  elements: str
  returned: failure
  sample: []
rc:
  description: Its exit code; V(null) if the failure was not that of a command.
  type: int
  returned: failure
  sample: 1
stderr:
  description: What it wrote to standard error.
  type: str
  returned: failure
  sample: ""
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.killinit.zot.plugins.module_utils._index import write_index
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.module import Spec, open_session
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer

SPEC = Spec(
    {
        "repository": {"type": "str", "required": True},
        "tags": {"type": "list", "elements": "str", "required": True, "aliases": ["tag"]},
        "manifests": {"type": "list", "elements": "str", "required": True},
        "platforms": {"type": "list", "elements": "str"},
    }
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    try:
        with open_session(module) as session:
            result = write_index(Writer(session), module.params, dry_run=module.check_mode)
    except ZotError as error:
        module.fail_json(**error.for_ansible())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
