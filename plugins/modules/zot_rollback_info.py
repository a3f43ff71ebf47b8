#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_rollback_info
short_description: Find the images that shared tags can be rolled back to
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Finds the image that each shared tag would have after a rollback to O(revision), or to the previous release,
    and checks that all images exist, are whole and have all platforms. An index is not whole if the registry has lost
    one of its members. Such a revision is not offered, and O(revision) must not name it.
  - Changes nothing. The role P(killinit.zot.zot_rollback#role) moves the tags.
  - Without O(revision), the module finds the previous release with the tags of O(keep_previous). A release that does
    not change an image does not move its tags, so its O(keep_previous) tag is older than those of the other images.
    Therefore the module searches for a revision whose images are all the current or the previous ones. If it finds
    none, or several with different images, it reports a problem.
  - A tag of 7 to 40 hexadecimal digits and a version of three numbers, for example C(1.4.2), are preferred as the
    revision, and then any tag with digits, because another tag, for example C(stable), may be a shared tag.
  - Without O(revision) the digests of all tags of one repository are read, with C(HEAD) requests, which Zot does not
    count as pulls.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  diff_mode:
    support: N/A
    description: Changes nothing.
options:
  images:
    description:
      - The images. Each has the key C(repository), and optionally C(tags), which replaces O(tags). Other keys are
        ignored, so the images of the role P(killinit.zot.zot_publish#role) can be used.
    type: list
    elements: dict
    required: true
  tags:
    description: The shared tags of the images, as a list or as a comma-separated text.
    type: raw
    default:
      - latest
  revision:
    description: The tag of the build to roll back to. It must be text; quote a tag that consists of digits.
    type: raw
  keep_previous:
    description: The tag that keeps the previous image of a shared tag. V({tag}) is replaced by the shared tag.
    type: str
    default: "{tag}-previous"
  require_platforms:
    description: Whether it is a problem if the image to roll back to lacks a platform of the current image.
    type: bool
    default: true
  parallel:
    description: The maximum number of references to read at the same time.
    type: int
    default: 8
seealso:
  - module: killinit.zot.zot_image_info
  - module: killinit.zot.zot_workload_info
  - name: The role zot_rollback
    description: Moves the shared tags to the images that this module found.
    link: https://github.com/killinit/zot/blob/main/roles/zot_rollback/README.md
"""

EXAMPLES = r"""
- name: Find the previous release
  killinit.zot.zot_rollback_info:
    registry: oci.killinit.cc
    images:
      - repository: openclaw/openclaw
      - repository: openclaw/workspace
        tags: [latest, stable]
  register: found

- name: Check that all images of a revision exist, for all platforms
  killinit.zot.zot_rollback_info:
    registry: oci.killinit.cc
    revision: "3f2c1ab"
    images:
      - repository: openclaw/openclaw
"""

RETURN = r"""
ok:
  description: Whether there are no RV(problems).
  type: bool
  returned: success
  sample: true
problems:
  description: A sentence for each reason why the tags cannot be rolled back.
  type: list
  elements: str
  returned: success
  sample: []
revision:
  description: The revision; V(null) if no tag of a revision refers to the images.
  type: str
  returned: success
  sample: "3f2c1ab"
images:
  description: The shared tags.
  type: list
  elements: dict
  returned: success
  contains:
    reference:
      description: The shared tag.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest
    from:
      description: The current digest of the tag; V(null) if the tag does not exist.
      type: str
      returned: always
      sample: sha256:4c553b9ea325a14b0e5ee5afaabf53ae2b4f3b186155d197ae400809bb5c8dfd
    to:
      description: The digest to roll back to; V(null) if none was found.
      type: str
      returned: always
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    from_revision:
      description: The revision of the current image; V(null) if no tag of a revision refers to it.
      type: str
      returned: always
      sample: "9d0e4f7"
    to_revision:
      description: The revision of the image to roll back to; V(null) if no tag of a revision refers to it.
      type: str
      returned: always
      sample: "3f2c1ab"
references:
  description: The image of RV(revision) in each repository; the first shared tag if RV(revision) is null.
  type: list
  elements: str
  returned: success
  sample:
    - oci.killinit.cc/openclaw/openclaw:3f2c1ab
moves:
  description: >-
    The tags to move, as the option C(images) of M(killinit.zot.zot_tag) accepts them. Empty if there are RV(problems).
  type: list
  elements: dict
  returned: success
  contains:
    repository:
      description: The repository.
      type: str
      returned: always
      sample: openclaw/openclaw
    source:
      description: The digest to roll back to.
      type: str
      returned: always
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    tags:
      description: The shared tags.
      type: list
      elements: str
      returned: always
      sample: [latest]
registry:
  description: The registry that the task used.
  type: str
  returned: always
  sample: oci.killinit.cc
error_class:
  description: The class of the error, as M(killinit.zot.zot_image_info) returns it.
  type: str
  returned: failure
  sample: invalid_option
retryable:
  description: Whether the same task can succeed later without any change.
  type: bool
  returned: failure
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: failure
  sample: ""
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
from ansible_collections.killinit.zot.plugins.module_utils._rollback_info import run

SPEC = Spec(
    {
        "images": {"type": "list", "elements": "dict", "required": True},
        "tags": {"type": "raw", "default": ["latest"]},
        "revision": {"type": "raw"},
        "keep_previous": {"type": "str", "default": "{tag}-previous"},
        "require_platforms": {"type": "bool", "default": True},
        "parallel": {"type": "int", "default": 8},
    }
)


def main() -> None:
    """Run the module."""
    run_registry_module(SPEC, lambda module, session: run(Registry(session), module.params))


if __name__ == "__main__":
    main()
