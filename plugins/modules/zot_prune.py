#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_prune
short_description: Remove the tags of old revisions from a Zot registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Removes the tags of old revisions. A revision is the tag of a build, for example C(3f2c1ab), and the tags of its
    single architectures, for example C(3f2c1ab-amd64). Without O(untag_members), all tags of a revision are removed, or
    none.
  - A revision is removed only if no rule keeps it, if no entry of O(in_use) needs it, and if its age is known. A tag
    that does not belong to a revision, for example C(latest), C(1.4) or C(latest-previous), is always kept.
  - Removes tags, not digests. The next garbage collection of Zot deletes the images that no tag and no index refers to.
    Until then the tags can be restored with RV(undo).
  - Each tag is read right before it is removed. A tag that has moved since the plan was made is kept.
  - A signature or another attachment that has its own tag, for example C(sha256-….sig), is removed together with its
    image, and only then.
  - A revision whose index is not whole, because the registry has lost one of its images, is broken. O(keep_last) does
    not count it, so that it displaces no other revision, and it is kept until O(keep_last) newer revisions exist. The
    task warns of it and returns it in RV(broken). Until it is repaired or removed, the garbage collection of Zot fails
    for the repository.
  - Upload tags, for example C(upload-3f2c1ab03f2c-3f2c1ab-amd64), hold images until M(killinit.zot.zot_publish) has
    moved their tags. They are removed a day after their creation, and together with their revision, but not as long as
    O(in_use) has an image that no other tag keeps. If the age of an upload tag is not known, it is kept.
  - If Zot 2.1.20 is stopped while it removes a tag, the repository can lose all its tags. Do not restart Zot during the
    task. The L(guide to pruning, https://github.com/killinit/zot/blob/main/docs/docsite/rst/guide_prune.rst) says how
    to see and repair that.
  - All repositories are planned before the first tag is removed. If a repository cannot be read or does not exist,
    nothing is removed.
requirements:
  - Python library requests
  - The search extension of Zot, which returns the time of each push. Without it the age of every tag is unknown, and
    only O(untag_members) removes tags.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Returns the tags that would be removed. With the search extension of Zot, check mode also fails if the user has
        no permission to remove them.
  diff_mode:
    support: full
    description: Shows the tags of each repository before and after.
options:
  repositories:
    description: The repositories, without the registry, as a list or as a comma-separated text.
    type: raw
    required: true
  keep_last:
    description:
      - The number of newest revisions to keep in each repository. Revisions are counted, not tags. Revisions that were
        pushed at the same time as the oldest of these are kept, too.
      - If only O(keep_newer_than) is set, the newest revision is kept.
    type: int
  keep_newer_than:
    description:
      - Revisions younger than this age are kept, for example V(30d). The units are V(m), V(h), V(d) and V(w).
      - The age of a revision is the age of its newest tag. The age of a tag counts from the first push of its image or
        from the creation of the tag, whichever is later. The two differ if two builds produce the same image. If the
        clocks of the host and of the registry differ, the age until the earlier time counts.
    type: raw
  keep:
    description: >-
      Regular expressions. A tag whose whole name matches one of them is kept, with all tags of its revision. A text
      is a single expression, not a comma-separated list.
    type: raw
  revisions:
    description:
      - A regular expression that matches the whole tag of a revision. The tags of its single architectures, for example
        C(3f2c1ab-amd64), belong to the revision. Every other tag is a shared tag and is kept. An expression that
        matches C(latest) is an error.
      - If it is not set, revisions are the tags that the L(guide to pruning,
        https://github.com/killinit/zot/blob/main/docs/docsite/rst/guide_prune.rst) lists, and only commits (tags of 7
        to 40 hexadecimal digits) are removed. A version, for example C(1.4.2), is kept, and O(keep_last) does not count
        it.
      - For example V([0-9a-f]{7,40}|v?[0-9]+[.][0-9]+[.][0-9]+) also removes versions. An expression that matches
        C(1.4) removes a tag that moves with C(1.4.2).
    type: str
  untag_members:
    description:
      - Whether to remove the tags of single architectures, for example C(3f2c1ab-amd64), of a revision that is kept.
        Their images are kept, because the index C(3f2c1ab) lists them.
      - Such a tag is kept if the index does not list its image, if O(keep) matches it, or if O(in_use) has it or its
        digest.
      - Publishing the same revision again with the role P(killinit.zot.zot_publish#role) writes nothing.
    type: bool
    default: false
  in_use:
    description:
      - Digests and references that are in use, usually C(digests) and the references in C(images) that
        M(killinit.zot.zot_cluster_image_info) returns for all clusters.
      - The digest of an index, of one of its members or of a configuration keeps every revision that contains it. A
        reference by tag keeps the revision of this tag, whatever its digest.
      - An empty list is an error. If the option is not set, no image counts as in use.
    type: raw
  only:
    description:
      - The tags that may be removed, usually RV(deleted) of a dry run that somebody has approved. Of each entry,
        C(reference) and C(digest) count.
      - A tag is removed only if it is listed, has the same digest, and may still be removed by all other rules. A
        revision with a tag that is not listed, or that has moved, is kept with all its tags.
      - With an empty list nothing is removed. If the option is not set, it excludes no tag.
    type: list
    elements: dict
  max_deletes:
    description: The maximum number of tags to remove. If there are more, the task fails and removes nothing.
    type: int
  parallel:
    description: The maximum number of tags to remove at the same time.
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

- name: List the tags that would be removed
  killinit.zot.zot_prune:
    registry: oci.killinit.cc
    repositories:
      - openclaw/openclaw
    keep_last: 10
  check_mode: true
  register: listed

- name: Remove those of them that may still be removed, and nothing that is new since
  killinit.zot.zot_prune:
    registry: oci.killinit.cc
    repositories:
      - openclaw/openclaw
    keep_last: 10
    only: "{{ listed.deleted }}"

- name: Restore the tags before the garbage collection of Zot runs
  killinit.zot.zot_tag:
    registry: oci.killinit.cc
    images: "{{ pruned.undo }}"
  when: pruned.undo | length > 0

- name: Remove the tags of single architectures and keep all images
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
      description: The digest of the tag; V(null) for an attachment that is kept.
      type: str
      returned: always
      sample: sha256:88d37ded802a7bd8341bb13305f193c921d5a4d677e15609ca98cf83f041e605
    revision:
      description: The revision that the tag belongs to; V(null) if it belongs to none.
      type: str
      returned: always
      sample: "3f2c1ab"
    pushed_at:
      description: The time from which the age of the tag counts, in UTC; V(null) if it is not known.
      type: str
      returned: always
      sample: "2026-10-02T08:15:00Z"
    age:
      description: The number of seconds since RV(deleted[].pushed_at); V(null) if it is not known.
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
        - Why the tag is removed. V(old) means that no rule keeps its revision, V(member) that the index of its revision
          lists the image (see O(untag_members)), V(upload) that it is an upload tag that no publish needs any more,
          V(attachment) that it is attached to an image that is removed or does not exist.
        - Why the tag is kept. V(name) means that O(keep) matches it or a tag of its revision, V(in_use) that it or a
          tag of its revision is in O(in_use), V(shared_tag) that it does not belong to a revision, V(not_commit) that
          its revision is not a commit and O(revisions) is not set, V(no_rule) that neither O(keep_last) nor
          O(keep_newer_than) is set, V(unknown_age) that the age of a tag of its revision is not known, V(keep_last)
          that O(keep_last) keeps its revision, V(newer) that O(keep_newer_than) keeps it, V(broken) that its revision
          is broken and fewer than O(keep_last) other revisions are newer, V(upload) that it is an upload tag that a
          publish may still need, V(attachment) that it is attached to an image that is kept or still exists.
        - V(not_listed) means that O(only) does not list it with its digest, or not all tags of its revision.
        - Why the tag is kept although the plan was to remove it. V(moved) means that another client has moved it or the
          index that lists its image, V(denied) that the user has no permission to remove tags, V(max_deletes) that
          the task would remove more tags than O(max_deletes), V(failed) that the removal failed, V(not_tried) that
          another removal had failed before.
      type: str
      returned: always
      sample: old
    missing:
      description: The digests of the images of an index that the registry has lost.
      type: list
      elements: str
      returned: always
      sample: []
kept:
  description: The tags that are kept. A tag that another client has removed is in neither list.
  type: list
  elements: dict
  returned: always
  contains: *tag
undo:
  description:
    - The value of the option C(images) of M(killinit.zot.zot_tag) that restores the removed tags.
    - A tag is also listed if its removal failed and may nevertheless have happened.
    - If an image does not exist any more, M(killinit.zot.zot_tag) fails and restores no tag. Remove its entry.
    - Zot treats a restored tag as new, so O(keep_last) counts its revision among the newest.
    - The garbage collection of Zot deletes an image without a tag. The age of the image counts from its push and not
      from the removal of its tag, so the next garbage collection deletes an old image.
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
      description: The digest of the removed tags.
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
    The maximum number of bytes that the garbage collection can free, which is the size of all images that lose their
    last tag. It frees less if they share layers with images that are kept.
  type: int
  returned: always
  sample: 2574608
broken:
  description: The kept tags whose index is not whole. To repair a revision, publish the same archives again.
  type: list
  elements: str
  returned: always
  sample: []
registry:
  description: The registry that the task used; V(null) if none is set.
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

from ansible_collections.killinit.zot.plugins.module_utils._prune.run import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module

SPEC = Spec(
    {
        "repositories": {"type": "raw", "required": True},
        "keep_last": {"type": "int"},
        "keep_newer_than": {"type": "raw"},
        "keep": {"type": "raw"},
        "revisions": {"type": "str"},
        "untag_members": {"type": "bool", "default": False},
        "in_use": {"type": "raw"},
        "only": {"type": "list", "elements": "dict"},
        "max_deletes": {"type": "int"},
        "parallel": {"type": "int", "default": 4},
    }
)


def main() -> None:
    """Run the module."""
    run_registry_module(
        SPEC,
        lambda module, session: run(Registry(session), module.params, dry_run=module.check_mode, warn=module.warn),
        lambda: {"deleted": [], "kept": [], "undo": [], "freeable": 0, "broken": []},
    )


if __name__ == "__main__":
    main()
