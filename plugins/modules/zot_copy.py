#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_copy
short_description: Copy images with their signatures and SBOMs to another repository or registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Copies an image, or an index with all its members, with C(crane copy). All digests stay the same.
  - Also copies the attachments of the image and of its members, and the attachments of attachments - signatures, SBOMs,
    attestations and other referrers, and the tags C(sha256-….sig), C(sha256-….att) and C(sha256-….sbom) of older tools.
    C(crane copy) and C(skopeo copy) alone do not copy them.
  - No tag is written before the contents of all images are at the destination, so a tag never refers to an incomplete
    image, even if the task is killed. The next run continues, and does not send blobs again that the destination has.
  - An image is compared by its digest, and then by the set of its attachments. A member that the destination has lost
    is copied again. If the source has lost it, too, the task fails before it writes.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._registry.source
  - killinit.zot._gate
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Check mode does not detect that the user has no permission to write.
  diff_mode:
    support: full
    description: Shows the digest, the attachments and the tags before and after.
options:
  registry:
    description:
      - The destination, in the form C(host[:port]). The options O(username), O(password), O(authfile), O(ca_path) and
        O(validate_certs) belong to it.
      - If not set, the variable C(zot_registry) or the environment variable E(ZOT_REGISTRY) is used.
  repository:
    description: The repository at the destination, without the registry.
    type: raw
  source_repository:
    description: The repository at the source. The default is O(repository).
    type: raw
  tags:
    description:
      - The tags to copy, as a list or as a comma-separated text. They have the same names at the destination.
      - Quote a tag that YAML reads as another value, for example V('0012345') or V('1.10'). A number is an error.
    type: raw
  digests:
    description:
      - The digests to copy, as a list or as a comma-separated text.
      - Without O(shared_tags) the image has no tag at the destination, and the garbage collection of Zot deletes it
        after its C(gcDelay).
    type: raw
  shared_tags:
    description:
      - Additional tags of the image at the destination, for example V(latest). They move last, after the contents and
        O(tags) of all images are written.
      - Requires exactly one tag or digest.
    type: raw
  overwrite:
    description:
      - Whether O(tags), and the tags of attachments, may move to another image at the destination. V(true) (the
        default), V(false), or the list of tags that may move. O(shared_tags) may always move.
    type: raw
  keep_previous:
    description:
      - A tag that keeps the previous image of each destination tag that moves, for example V({tag}-previous). V({tag})
        is replaced by the tag that moves.
      - Zot deletes an image when its last tag is overwritten, even if an index lists it.
    type: raw
  images:
    description:
      - Several images, instead of O(repository).
      - If an image fails, the contents of the other images are still copied, but no tag is written.
    type: list
    elements: dict
    suboptions:
      repository:
        description: See O(repository).
        type: raw
        required: true
      source_repository:
        description: See O(source_repository).
        type: raw
      tags:
        description: See O(tags).
        type: raw
      digests:
        description: See O(digests).
        type: raw
      shared_tags:
        description: See O(shared_tags).
        type: raw
      overwrite:
        description: See O(overwrite).
        type: raw
      keep_previous:
        description: See O(keep_previous).
        type: raw
  referrers:
    description: Whether to copy the attachments of the images.
    type: bool
    default: true
  require:
    description:
      - The kinds of attachments that each image, or each of its members, must have at the source. If one is missing,
        the task fails and writes nothing.
      - Only the types of the attachments are checked. Use O(verify_key) to verify a signature.
    type: list
    elements: str
    choices: [signature, sbom, attestation]
    default: []
  verify_key:
    description:
      - A file with a public key. Each image at the source must have a signature that cosign verifies with this key,
        otherwise the task fails and writes nothing.
      - The transparency log is not used.
    type: path
  cosign_path:
    description: The path of cosign. If not set, cosign is searched for in E(PATH).
    type: path
  parallel:
    description: The maximum number of images to copy at the same time.
    type: int
    default: 4
requirements:
  - Python library requests
  - cosign 2.0 or later, for O(verify_key)
notes:
  - If both registries are Zot with the search extension, a second run with O(tags) reads many images with one request
    to each, and the signatures of each signed image with another one. Zot does not count these requests as pulls.
seealso:
  - module: killinit.zot.zot_tag
  - module: killinit.zot.zot_image_info
  - plugin: killinit.zot.digest
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Promote a revision that is signed and has an SBOM
  killinit.zot.zot_copy:
    source_registry: staging.killinit.cc
    source_username: promote-read
    source_password: "{{ staging_password }}"
    registry: oci.killinit.cc
    repository: openclaw/openclaw
    tags: ["3f2c1ab"]
    shared_tags: [latest]
    overwrite: false
    keep_previous: "{tag}-previous"
    require: [signature, sbom]
    verify_key: /etc/keys/release.pub
    max_severity: high

- name: Promote two images between repositories of one registry
  killinit.zot.zot_copy:
    registry: oci.killinit.cc
    images:
      - source_repository: build/openclaw
        repository: openclaw/openclaw
        tags: ["3f2c1ab"]
      - source_repository: build/workspace
        repository: openclaw/workspace
        tags: ["3f2c1ab"]
"""

RETURN = r"""
images:
  description: One entry for each of the tags and digests of the options, in their order.
  type: list
  elements: dict
  returned: success, and a failure after the first write
  contains:
    source:
      description: The reference at the source.
      type: str
      returned: always
      sample: staging.killinit.cc/openclaw/openclaw:3f2c1ab
    reference:
      description: The reference at the destination.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:3f2c1ab
    repository:
      description: The repository of the destination.
      type: str
      returned: always
      sample: openclaw/openclaw
    tag:
      description: The tag; V(null) for an image of O(digests).
      type: str
      returned: always
      sample: "3f2c1ab"
    digest:
      description: The digest, which is the same in both registries.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    pinned:
      description: The reference by digest.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw@sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    platforms:
      description: The platforms, in the form C(os/architecture[/variant]).
      type: list
      elements: str
      returned: always
      sample: [linux/amd64, linux/arm64]
    changed:
      description: Whether a part of the image or a tag was written. In check mode whether it would be written.
      type: bool
      returned: always
      sample: true
    copied:
      description: Whether the image was copied, because the destination did not have it.
      type: bool
      returned: always
      sample: true
    referrers:
      description: The attachments of the image and its members at the source, and when they are copied, also their own.
      type: list
      elements: dict
      returned: always
      contains:
        subject:
          description: The digest of the manifest that it is attached to.
          type: str
          returned: always
        digest: {description: The digest., type: str, returned: always}
        artifact_type:
          description: The artifact type; V(null) if it is attached by a tag.
          type: str
          returned: always
          sample: application/spdx+json
        tag:
          description: The tag that attaches it; V(null) if its manifest names the subject.
          type: str
          returned: always
        copied:
          description: Whether it was copied, because the destination did not have it.
          type: bool
          returned: always
    tags:
      description: The tags at the destination, the shared ones last.
      type: list
      elements: dict
      returned: always
      contains:
        reference:
          description: The reference.
          type: str
          returned: always
          sample: oci.killinit.cc/openclaw/openclaw:latest
        tag: {description: The tag., type: str, returned: always}
        changed: {description: Whether the tag was written., type: bool, returned: always}
        previous_tag:
          description: The reference that keeps the previous image of the tag; V(null) if it was not kept.
          type: str
          returned: always
          sample: oci.killinit.cc/openclaw/openclaw:latest-previous
    error:
      description: The error of the image, with C(error_class), C(retryable) and C(msg); V(null) without an error.
      type: dict
      returned: always
moved:
  description:
    - The tags of the destination that moved, and after them the tags of O(keep_previous) that moved.
    - M(killinit.zot.zot_tag) describes under C(moved) how to undo the moves. The copied contents are kept.
  type: list
  elements: dict
  returned: always
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
    from:
      description: The digest before; V(null) if the tag did not exist.
      type: str
      returned: always
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    to:
      description: The digest after.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
scan:
  description:
    - The verdict of O(max_severity) about the images at the source, with the keys C(ok), C(problems), C(images),
      C(summary) and C(table) of M(killinit.zot.zot_vulnerability_info).
  type: dict
  returned: when O(max_severity) is set and the images are scanned
registry:
  description: The destination that the task used; V(null) if none is set.
  type: str
  returned: always
  sample: oci.killinit.cc
error_class:
  description:
    - The class of the error. One of V(unauthorized), V(denied), V(not_found), V(manifest_invalid), V(rate_limited),
      V(quota_exceeded), V(unavailable), V(tls), V(tool_missing), V(tool_failed), V(invalid_option).
    - V(denied) also for an image that O(require), O(verify_key), O(max_severity) or O(overwrite) refuses.
  type: str
  returned: failure
  sample: unauthorized
retryable:
  description: Whether the same task can succeed later without any change.
  type: bool
  returned: failure
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: failure
  sample: "The registry does not accept the credentials: user 'ci' from the option username."
cmd:
  description: The command that failed, without secrets. Empty if no command failed.
  type: list
  elements: str
  returned: failure
rc:
  description: The exit status of the command; V(null) if no command failed.
  type: int
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.killinit.zot.plugins.module_utils._copy.run import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import KINDS
from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import GATE_OPTIONS
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    SOURCE_OPTIONS,
    Spec,
    open_registries,
    options_of,
    source_options_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Move, moved_entries

_IMAGE = {
    name: {"type": "raw"}
    for name in ("source_repository", "tags", "digests", "shared_tags", "overwrite", "keep_previous")
}
_REQUIRED = {"type": "raw", "required": True}
SPEC = Spec(
    {
        **SOURCE_OPTIONS,
        **_IMAGE,
        "repository": {"type": "raw"},
        "images": {"type": "list", "elements": "dict", "options": {**_IMAGE, "repository": _REQUIRED}},
        "referrers": {"type": "bool", "default": True},
        "require": {"type": "list", "elements": "str", "choices": list(KINDS), "default": []},
        "verify_key": {"type": "path", "no_log": False},
        "cosign_path": {"type": "path"},
        "parallel": {"type": "int", "default": 4},
        **GATE_OPTIONS,
    },
    {
        "required_one_of": [("repository", "images")],
        "mutually_exclusive": [(option, "images") for option in ("repository", *_IMAGE)],
    },
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    moves: list[Move] = []
    try:
        with open_registries(module, lambda: {"moved": moved_entries(moves)}) as task:
            ends = (task.session(source_options_of(module.params)), task.session(options_of(module.params)))
            result = run(*ends, module.params, moves, dry_run=module.check_mode)
    except ZotError as error:
        result = {"moved": moved_entries(moves), **error.for_ansible()}
        module.fail_json(registry=module.params["registry"], **result)
    module.exit_json(registry=module.params["registry"], **result)


if __name__ == "__main__":
    main()
