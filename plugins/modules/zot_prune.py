#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_prune
short_description: Remove tags that nobody needs from a Zot registry
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Removes the tags of old revisions. A revision is the tag of a build, as C(3f2c1ab), and the tags of its single
    architectures, as C(3f2c1ab-amd64). It stays or goes as a whole.
  - Keeping always wins. A revision goes only if no rule keeps it, if nothing in O(in_use) needs it, and if its age is
    known. A tag that is no revision, as C(latest) or C(latest-previous), always stays.
  - Removes tags and never digests. Zot removes an image with its next garbage collection, when no tag and no index
    holds it any more. Until then RV(undo) takes the tags back.
  - Each tag is read right before it is removed. A tag that has moved since the plan stays.
  - A signature or another attachment with a tag of its own, as C(sha256-….sig), goes with its image and never without.
  - All repositories are planned before the first tag is removed. If one of them cannot be read, or does not exist,
    nothing is removed.
requirements:
  - requests (Python)
  - The search extension of Zot, which knows when a tag was pushed. Without it the age of every tag is unknown, and only
    O(untag_members) removes tags.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Returns the tags that would be removed, and fails where the removal would fail because the user may not remove
        them. For that it needs the search extension of Zot.
  diff_mode:
    support: full
    description: Shows the tags of each repository before and after.
options:
  repositories:
    description: The repositories, without the registry, as a list or as one text with commas.
    type: raw
    required: true
  keep_last:
    description:
      - The number of revisions of each repository that stay because they are the newest. Revisions are counted, not
        tags. Revisions that were pushed at the same time as the last of them stay, too.
      - If only O(keep_newer_than) is set, the newest revision stays.
    type: int
  keep_newer_than:
    description:
      - The age below which a revision stays, as V(30d). The units are V(m), V(h), V(d) and V(w).
      - The age is that of the newest tag of the revision. A tag is as old as its image in the registry, or as the tag
        itself if that is newer, as it is where two builds give the same image.
    type: raw
  keep:
    description: >-
      Regular expressions. A tag that one of them matches as a whole stays, and with it its revision. A text is one
      expression.
    type: raw
  revisions:
    description:
      - A regular expression for the whole tag of a revision. The tags of its single architectures belong to it, as
        C(3f2c1ab-amd64).
      - Every other tag is a shared tag and stays.
    type: str
    default: '[0-9a-f]{7,40}'
  untag_members:
    description:
      - Whether to remove the tag of a single architecture, as C(3f2c1ab-amd64), of a revision that stays. The image
        stays, because the index C(3f2c1ab) lists it.
      - A tag stays if the index does not list its image, if O(keep) names it, or if O(in_use) names it or its digest.
      - Publishing the same revision again with the role P(killinit.zot.zot_publish#role) writes nothing.
    type: bool
    default: false
  in_use:
    description:
      - Digests and references that are in use, usually RV(killinit.zot.zot_cluster_image_info#module:digests) and the
        references in RV(killinit.zot.zot_cluster_image_info#module:images) of all clusters.
      - A digest of an index, of one of its members or of a configuration keeps the revision that has it. A reference by
        tag keeps the revision of this tag, whatever it holds.
      - An empty list is an error. If the option is not set, nothing is known to be in use.
    type: raw
  max_deletes:
    description: The task fails, and removes nothing, if it would remove more tags than this.
    type: int
  parallel:
    description: The number of tags that are removed at the same time.
    type: int
    default: 4
seealso:
  - module: killinit.zot.zot_cluster_image_info
  - module: killinit.zot.zot_tag
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: List what the cluster uses
  killinit.zot.zot_cluster_image_info:
    registry: oci.killinit.cc
  register: used

- name: Remove old revisions that the cluster does not use
  killinit.zot.zot_prune:
    registry: oci.killinit.cc
    repositories:
      - openclaw/openclaw
      - openclaw/workspace
    keep_last: 10
    keep_newer_than: 30d
    in_use: "{{ used.digests + used.images | map(attribute='reference') }}"
    max_deletes: 100
  register: pruned

- name: Take the tags back, until the garbage collection of Zot has run
  killinit.zot.zot_tag:
    registry: oci.killinit.cc
    images: "{{ pruned.undo }}"
  when: pruned.undo | length > 0

- name: Remove the tags of single architectures, and no image
  killinit.zot.zot_prune:
    registry: oci.killinit.cc
    repositories:
      - openclaw/openclaw
    untag_members: true
"""

RETURN = r"""
deleted:
  description: The tags that were removed. In check mode those that would be removed.
  type: list
  elements: dict
  returned: always
  contains: &tag
    reference:
      description: The reference.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:3f2c1ab
    repository:
      description: The repository.
      type: str
      returned: always
      sample: openclaw/openclaw
    tag:
      description: The tag.
      type: str
      returned: always
      sample: "3f2c1ab"
    digest:
      description: The digest that the tag held; V(null) for an attachment that stays.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    revision:
      description: The revision that the tag belongs to; V(null) if it belongs to none.
      type: str
      returned: always
      sample: "3f2c1ab"
    pushed_at:
      description: When the tag got its image, in UTC; V(null) if it is not known.
      type: str
      returned: always
      sample: "2026-10-02T08:15:00Z"
    age:
      description: The number of seconds since then; V(null) if it is not known.
      type: int
      returned: always
      sample: 4665600
    size:
      description: The number of bytes of the image with all its platforms; V(null) for an attachment.
      type: int
      returned: always
      sample: 2574608
    reason:
      description:
        - Why the tag goes. V(old) means that no rule keeps its revision, V(member) that the index of its revision lists
          the image (see O(untag_members)), V(attachment) that it is attached to an image that goes or does not exist.
        - Why the tag stays. V(name) means that O(keep) matches it or a tag of its revision, V(in_use) that it or a tag
          of its revision is in O(in_use), V(shared_tag) that it belongs to no revision, V(no_rule) that neither
          O(keep_last) nor O(keep_newer_than) is set, V(unknown_age) that the age of a tag of its revision is not known,
          V(keep_last) and V(newer) that this option keeps its revision, V(attachment) that it is attached to an image
          that stays or still exists.
        - Why the tag stays although it was planned to go. V(moved) means that another client has moved it, or the index
          that lists it, V(denied) that the user may not remove tags, V(max_deletes) that there are more than
          O(max_deletes), V(failed) that its removal failed, V(not_tried) that another removal failed before.
      type: str
      returned: always
      sample: old
kept:
  description: The tags that stay, with the reason of each. A tag that another client has removed is in neither list.
  type: list
  elements: dict
  returned: always
  contains: *tag
undo:
  description:
    - What takes the removed tags back, as the option O(killinit.zot.zot_tag#module:images).
    - If the result of a failed removal is not known, the tag is listed.
    - To Zot a tag that was taken back is new, and O(keep_last) counts its revision among the newest.
    - An image without a tag is deleted by the garbage collection of Zot. Its age counts from its push and not from the
      removal of its tag, so the next garbage collection deletes an old image.
  type: list
  elements: dict
  returned: always
  contains:
    repository:
      description: The repository.
      type: str
      returned: always
      sample: openclaw/openclaw
    source:
      description: The digest that the tags held.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    tags:
      description: The tags.
      type: list
      elements: str
      returned: always
      sample: ["3f2c1ab"]
freeable:
  description: >-
    The number of bytes that the garbage collection frees at most: of the images that no tag holds any more. It frees
    less where they share layers with images that stay.
  type: int
  returned: always
  sample: 2574608
registry:
  description: The registry that the task used, from O(registry) or E(ZOT_REGISTRY); V(null) if neither is set.
  type: str
  returned: always
  sample: oci.killinit.cc
error_class:
  description: The class of the error, as M(killinit.zot.zot_tag) returns it.
  type: str
  returned: failure
  sample: denied
retryable:
  description: Whether the same task can succeed later without any change.
  type: bool
  returned: failure
  sample: false
hint:
  description: How to correct the error.
  type: str
  returned: failure
  sample: "Request the permission to remove tags of the repository. In Zot this is the action delete."
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.killinit.zot.plugins.module_utils._prune.prune import prune
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.module import Spec, open_session
from ansible_collections.killinit.zot.plugins.module_utils._registry.reader import Reader

SPEC = Spec(
    {
        "repositories": {"type": "raw", "required": True},
        "keep_last": {"type": "int"},
        "keep_newer_than": {"type": "raw"},
        "keep": {"type": "raw"},
        "revisions": {"type": "str", "default": "[0-9a-f]{7,40}"},
        "untag_members": {"type": "bool", "default": False},
        "in_use": {"type": "raw"},
        "max_deletes": {"type": "int"},
        "parallel": {"type": "int", "default": 4},
    }
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    nothing = {"deleted": [], "kept": [], "undo": [], "freeable": 0, "registry": module.params["registry"]}
    try:
        with open_session(module) as session:
            result = prune(Reader(session), module.params, dry_run=module.check_mode, warn=module.warn)
    except ZotError as error:
        module.fail_json(**{**nothing, **error.for_ansible()})
    module.exit_json(**{**nothing, **result})


if __name__ == "__main__":
    main()
