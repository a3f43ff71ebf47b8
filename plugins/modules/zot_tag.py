#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_tag
short_description: Tag existing images in a Zot registry, and remove tags
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Adds tags to an existing image or index of a repository, with C(crane tag), or removes tags, with
    C(crane delete REPOSITORY:TAG).
  - A tag that already refers to the image is not written, so the module also works with immutable tags.
  - All sources are read before a tag is written. If one of them does not exist, or is an index of which the registry
    has lost a member, nothing is written.
  - Each tag is read again right before it moves. A tag that another client has moved meanwhile is an error.
  - Removing a tag keeps the other tags of the same image, unlike C(skopeo delete).
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Check mode does not detect that the user has no permission to write or delete.
  diff_mode:
    support: full
options:
  state:
    description:
      - With V(present), O(tags) refer to the image of O(source).
      - With V(absent), O(tags) do not exist. The garbage collection of Zot deletes an image without a tag.
    type: str
    choices: [present, absent]
    default: present
  repository:
    description: The repository, without the registry. Requires O(tags). Quote a name that YAML reads as another value.
    type: raw
  source:
    description: The image, by a tag or a digest of the same repository. Required with O(state=present).
    type: raw
  tags:
    description:
      - The tags to write or remove, as a list or as a comma-separated text. A digest is an error.
      - Quote a tag that YAML reads as another value, for example V('0012345') or V('1.10'). A number is an error.
    type: raw
    aliases:
      - tag
  keep_previous:
    description:
      - A tag that keeps the previous image of each tag that moves, for example V({tag}-previous). V({tag}) is replaced
        by the tag that moves. A value that is not text is an error.
      - Zot deletes an image when its last tag is overwritten, even if an index lists it.
      - Only with O(state=present).
    type: raw
  images:
    description:
      - Several images, instead of O(repository).
      - If an image fails, the other images are still processed. The task then fails, and RV(moved) lists the tags that
        moved.
    type: list
    elements: dict
    suboptions:
      repository:
        description: See O(repository).
        type: raw
        required: true
      source:
        description: See O(source).
        type: raw
      tags:
        description: See O(tags).
        type: raw
        required: true
        aliases:
          - tag
      keep_previous:
        description: See O(keep_previous).
        type: raw
  parallel:
    description: The maximum number of O(images) to write at the same time.
    type: int
    default: 4
seealso:
  - module: killinit.zot.zot_push
  - module: killinit.zot.zot_index
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Move the tag latest to a revision, and keep its previous image
  killinit.zot.zot_tag:
    registry: oci.killinit.cc
    repository: openclaw/openclaw
    source: "3f2c1ab"
    tags:
      - latest
    keep_previous: "{tag}-previous"

- name: Remove a tag
  killinit.zot.zot_tag:
    registry: oci.killinit.cc
    repository: openclaw/openclaw
    tags:
      - stable
    state: absent

- name: Move the tags of two images, and move them back if one of them fails
  block:
    - name: Move the tags
      killinit.zot.zot_tag:
        registry: oci.killinit.cc
        images:
          - repository: openclaw/openclaw
            source: "3f2c1ab"
            tags: [latest, stable]
          - repository: openclaw/workspace
            source: "3f2c1ab"
            tags: [latest]
      register: result
  rescue:
    - name: Move the tags back
      killinit.zot.zot_tag:
        registry: oci.killinit.cc
        repository: "{{ item.repository }}"
        source: "{{ item.from }}"
        tags: "{{ [item.tag] }}"
        state: "{{ 'present' if item.from else 'absent' }}"
      loop: "{{ result.moved }}"
      loop_control:
        label: "{{ item.reference }}: {{ item.to }} -> {{ item.from }}"
"""

RETURN = r"""
image:
  description: The image of the first tag.
  type: dict
  returned: when O(repository) is given, also in a failure after the first write
  contains: &image
    reference:
      description: The requested reference.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest
    registry:
      description: The registry of the reference.
      type: str
      returned: always
      sample: oci.killinit.cc
    repository:
      description: The repository of the reference.
      type: str
      returned: always
      sample: openclaw/openclaw
    tag:
      description: The tag of the reference; V(null) for a reference by digest.
      type: str
      returned: always
      sample: latest
    digest:
      description: The digest of the manifest or index; V(null) if it does not exist.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    pinned:
      description: The reference by digest; V(null) if it does not exist.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw@sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    media_type:
      description: The media type of the manifest or index; V(null) if it does not exist.
      type: str
      returned: always
      sample: application/vnd.oci.image.index.v1+json
    platforms:
      description: The platforms, in the form C(os/architecture[/variant]).
      type: list
      elements: str
      returned: always
      sample:
        - linux/amd64
        - linux/arm64
    size:
      description:
        - The number of bytes of the configuration and the layers as stored in the registry.
        - V(null) for an index, and if it does not exist.
      type: int
      returned: always
    created:
      description: The build time from the configuration; V(null) for an index.
      type: str
      returned: always
    labels:
      description: The labels from the configuration; empty for an index.
      type: dict
      returned: always
      sample: {}
    exists:
      description: Whether it exists in the registry.
      type: bool
      returned: always
      sample: true
images:
  description: The image of the first tag of each of O(images), in their order.
  type: list
  elements: dict
  returned: when O(images) is given, also in a failure after the first write
  contains: *image
tags:
  description: The result for each tag, in the order of the options.
  type: list
  elements: dict
  returned: success, and a failure after the first write
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
      description: The digest of the tag (in check mode its future digest); V(null) if the tag does not exist.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    platforms:
      description: The platforms of the tag (in check mode its future platforms).
      type: list
      elements: str
      returned: always
      sample: [linux/amd64, linux/arm64]
    size:
      description: The number of bytes; V(null) for an index, and if the tag does not exist.
      type: int
      returned: always
    changed:
      description: Whether the tag was written or removed.
      type: bool
      returned: always
      sample: true
    previous_tag:
      description:
        - The reference that keeps the previous image of the tag, also if the tag itself could not be written.
        - V(null) if the previous image was not kept.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest-previous
    error:
      description:
        - The error of the tag, with C(error_class), C(retryable) and C(msg); V(null) without an error.
        - If the task fails with the same remedy, only C(msg) of the task contains it.
      type: dict
      returned: always
moved:
  description:
    - The tags that moved, and after them the tags of O(keep_previous) that moved. In check mode the tags that would
      move. To undo the task, move the tags back to C(from) in this order, as in the examples.
    - A tag is also listed if its write failed and may nevertheless have happened. If it did not move, moving it back
      writes nothing.
    - The digests in C(from) must still exist. The garbage collection of Zot deletes an image without a tag. If the last
      tag of an image is overwritten, Zot deletes the image immediately.
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
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    to:
      description: The digest after; V(null) if the tag was removed.
      type: str
      returned: always
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
registry:
  description: The registry that the task used; V(null) if none is set.
  type: str
  returned: always
  sample: oci.killinit.cc
error_class:
  description:
    - The class of the error. One of V(unauthorized), V(denied), V(not_found), V(manifest_invalid), V(rate_limited),
      V(quota_exceeded), V(unavailable), V(tls), V(archive_invalid), V(platform_mismatch), V(tool_missing),
      V(tool_failed), V(invalid_option).
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
  sample: "The registry does not accept the credentials: user 'ci' from ZOT_USERNAME."
cmd:
  description: The command that failed, without secrets. Empty if no command failed.
  type: list
  elements: str
  returned: failure
  sample: []
rc:
  description: The exit status of the command; V(null) if no command failed.
  type: int
  returned: failure
  sample: 1
"""

from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Move, moved_entries
from ansible_collections.killinit.zot.plugins.module_utils._tag.run import run

_IMAGE: dict[str, dict[str, object]] = {
    "repository": {"type": "raw"},
    "source": {"type": "raw"},
    "tags": {"type": "raw", "aliases": ["tag"]},
    "keep_previous": {"type": "raw"},
}
_REQUIRED = {name: {**_IMAGE[name], "required": True} for name in ("repository", "tags")}
SPEC = Spec(
    {
        **_IMAGE,
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "images": {"type": "list", "elements": "dict", "options": {**_IMAGE, **_REQUIRED}},
        "parallel": {"type": "int", "default": 4},
    },
    {
        "required_one_of": [("repository", "images")],
        "mutually_exclusive": [(option, "images") for option in _IMAGE],
        "required_by": {"repository": ("tags",)},
    },
)


def main() -> None:
    """Run the module."""
    moves: list[Move] = []
    run_registry_module(
        SPEC,
        lambda module, session: run(Registry(session), module.params, moves, dry_run=module.check_mode),
        lambda: {"moved": moved_entries(moves)},
    )


if __name__ == "__main__":
    main()
