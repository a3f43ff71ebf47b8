#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_index
short_description: Create multi-arch image indexes in a Zot registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Writes an OCI image index that lists several manifests of a repository to one or more tags, with C(crane index
    append) and C(crane tag).
  - A tag that already refers to the index is not written. Two indexes are equal if they list the same digest for each
    platform. The order of the entries, and fields that another version of crane adds, are ignored.
  - An index is written only if all its manifests exist and have different platforms.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Check mode does not detect that the user has no permission to write.
      - If a manifest does not exist, the module assumes that an earlier task would push it. It then reports the index
        as changed, and a warning names the manifest.
  diff_mode:
    support: full
options:
  repository:
    description:
      - The repository, without the registry. Requires O(tags) and O(manifests).
      - Quote a name that YAML reads as another value.
    type: raw
  tags:
    description:
      - The tags of the index, as a list or as a comma-separated text.
      - Quote a tag that YAML reads as another value, for example V('0012345') or V('1.10'). A number is an error.
    type: raw
    aliases:
      - tag
  manifests:
    description:
      - The manifests that the index lists, by tag or digest, as a list or as a comma-separated text.
      - If a manifest is itself an index, its entries are added. Entries without a platform (attestations) are kept and
        do not count as a platform.
      - A manifest by digest must have another tag than those that the task moves, because Zot deletes an image when its
        last tag is overwritten. Give it by that tag, or set O(keep_previous). Otherwise the task fails.
    type: raw
  platforms:
    description:
      - The platforms that the index must have, and no others, in the form C(os/architecture[/variant]), as a list or as
        a comma-separated text.
    type: raw
  overwrite:
    description:
      - Whether tags that refer to another image may be moved, or a list of such tags. The default is V(true).
      - If a tag may not be moved, the task fails, names both images and the platforms that the tag would lose, and
        writes nothing.
    type: raw
  keep_previous:
    description:
      - A tag that keeps the previous image of each tag that moves, for example V({tag}-previous). V({tag}) is replaced
        by the tag that moves. It costs two requests for each tag that moves. A value that is not text is an error.
      - Zot deletes an image when its last tag is overwritten. It keeps the members of an index that has a tag, unless
        their own last tag is overwritten.
    type: raw
  images:
    description:
      - Several indexes, instead of O(repository).
      - All members and tags are read before the first write. If a read fails, the task stops. If a write fails, the
        other writes continue. The task then fails, and its result lists the tags that were written.
    type: list
    elements: dict
    suboptions:
      repository:
        description: See O(repository).
        type: raw
        required: true
      tags:
        description: See O(tags).
        type: raw
        required: true
        aliases:
          - tag
      manifests:
        description: See O(manifests).
        type: raw
        required: true
      platforms:
        description: See O(platforms).
        type: raw
      overwrite:
        description: See O(overwrite).
        type: raw
      keep_previous:
        description: See O(keep_previous).
        type: raw
  parallel:
    description: The maximum number of O(images) to write at the same time.
    type: int
    default: 4
seealso:
  - module: killinit.zot.zot_push
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Create an index of two architectures and move the tag latest
  killinit.zot.zot_index:
    registry: oci.killinit.cc
    repository: openclaw/openclaw
    manifests:
      - "3f2c1ab-amd64"
      - "3f2c1ab-arm64"
    platforms:
      - linux/amd64
      - linux/arm64
    tags:
      - "3f2c1ab"
      - latest

- name: Move the tag latest, and keep its previous index
  killinit.zot.zot_index:
    registry: oci.killinit.cc
    repository: openclaw/openclaw
    manifests: ["3f2c1ab-amd64", "3f2c1ab-arm64"]
    tags: [latest]
    keep_previous: "{tag}-previous"

- name: Create the indexes of a release
  killinit.zot.zot_index:
    registry: oci.killinit.cc
    images:
      - repository: openclaw/openclaw
        manifests: ["3f2c1ab-amd64", "3f2c1ab-arm64"]
        tags: ["3f2c1ab", latest]
      - repository: openclaw/workspace
        manifests: ["3f2c1ab-amd64", "3f2c1ab-arm64"]
        tags: ["3f2c1ab", latest]
"""

RETURN = r"""
image:
  description: The index of the first tag.
  type: dict
  returned: when O(repository) is given, also in a failure after the options were checked
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
        - The number of bytes of the configuration and the layers as stored in the registry. For an index, the sum of
          all platforms.
        - V(null) if it does not exist.
      type: int
      returned: always
      sample: 1287304
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
  description: The index of the first tag of each of O(images), in their order.
  type: list
  elements: dict
  returned: when O(images) is given, also in a failure after the options were checked
  contains: *image
manifests:
  description: The entries of the index with a platform, sorted by platform. In check mode without missing manifests.
  type: list
  elements: dict
  returned: when O(repository) is given, in success
  contains:
    platform:
      description: The platform of the entry.
      type: str
      returned: always
      sample: linux/amd64
    digest:
      description: The digest of the manifest.
      type: str
      returned: always
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
tags:
  description: The result for each tag, in the order of the options.
  type: list
  elements: dict
  returned: success, and a failure after the options were checked
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
      description: The digest of the tag; V(null) if the tag does not exist, and in check mode if it would be written.
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
      description: The number of bytes; V(null) if the tag does not exist, or if the size is not known before the write.
      type: int
      returned: always
      sample: 1287304
    changed:
      description: Whether the tag was written.
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

from ansible_collections.killinit.zot.plugins.module_utils._index import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module

# Without defaults, so that mutually_exclusive can detect the options.
_IMAGE: dict[str, dict[str, object]] = {
    "repository": {"type": "raw"},
    "tags": {"type": "raw", "aliases": ["tag"]},
    **{name: {"type": "raw"} for name in ("manifests", "platforms", "overwrite", "keep_previous")},
}
_REQUIRED = {name: {**_IMAGE[name], "required": True} for name in ("repository", "tags", "manifests")}
SPEC = Spec(
    {
        **_IMAGE,
        "images": {"type": "list", "elements": "dict", "options": {**_IMAGE, **_REQUIRED}},
        "parallel": {"type": "int", "default": 4},
    },
    {
        "required_one_of": [("repository", "images")],
        "mutually_exclusive": [(option, "images") for option in _IMAGE],
        "required_by": {"repository": ("tags", "manifests")},
    },
)


def main() -> None:
    """Run the module."""
    run_registry_module(
        SPEC, lambda module, session: run(Registry(session), module.params, dry_run=module.check_mode, warn=module.warn)
    )


if __name__ == "__main__":
    main()
