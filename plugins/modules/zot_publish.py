#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_publish
short_description: Publish the images of a build to a Zot registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Publishes a revision as one transaction. First every image is pushed with C(skopeo copy docker-archive:FILE) to an
    upload tag. Then the tags move by digest. These are the tags of the architectures (C(REVISION-ARCHITECTURE)), the
    tag of the revision, and last the shared tags, for example C(latest).
  - A shared tag moves only if all images of the revision are published.
  - What the registry already has is not pushed again, and an equal tag is not written. A task that was killed is
    continued by the next one, image by image. An index that has lost an image is repaired by publishing the same
    archives.
  - Each tag is read again right before it moves. If another job published the revision with other content meanwhile,
    the task fails. At the end all tags are read once more, and the task fails if another job has moved one of them.
  - The module removes nothing. M(killinit.zot.zot_prune) removes upload tags. What two jobs can do to each other is in
    R(the guide to publishing,ansible_collections.killinit.zot.docsite.guide_publish_two_jobs).
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._gate
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Check mode does not detect that the user has no permission to write, or that a layer is damaged.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  revision:
    description:
      - The tag of the build, usually the commit SHA. The name of an upload tag or of an attachment is an error, because
        M(killinit.zot.zot_prune) removes such tags. The same applies to the shared tags and to O(keep_previous).
      - Quote a revision that YAML reads as another value, for example V('0012345') or V('1.10'). A number is an error.
    type: raw
    required: true
  images:
    description: The images to publish. Each repository can be listed once.
    type: list
    elements: dict
    required: true
    suboptions:
      repository:
        description: The repository, without the registry. Quote a name that YAML reads as another value.
        type: raw
        required: true
      archives:
        description:
          - The archives of an image with an index, by architecture, for example C(amd64), C(arm64) or C(arm/v7). An
            archive for another architecture is an error.
          - C(x86_64) and C(linux/amd64) mean the same as C(amd64), and C(aarch64) the same as C(arm64).
          - Several architectures can have the same file if it contains an image for each of them.
          - Mutually exclusive with O(images[].archive).
        type: dict
      archive:
        description:
          - The archive of an image, in a format that M(killinit.zot.zot_push) reads.
          - An archive with one platform is published without an index. Each platform of an archive with several
            platforms gets the tag C(REVISION-ARCHITECTURE), and the index of all platforms gets the tag of the
            revision.
          - Mutually exclusive with O(images[].archives).
        type: raw
      tags:
        description: The shared tags of this image, instead of O(tags).
        type: raw
  tags:
    description:
      - The shared tags of the images, as a list or as a comma-separated text. The default is V(latest). With an empty
        list or an empty text no shared tag moves.
      - A tag of one architecture, C(REVISION-ARCHITECTURE), or a tag that keeps a previous image is an error.
    type: raw
  overwrite:
    description:
      - Whether other images may replace the images of a revision that is already published. If not, the task fails
        before it writes anything, also if the revision would lose an architecture.
      - Until the tag of the revision exists, a repeated build may replace the tags of the architectures.
    type: bool
    default: false
  keep_previous:
    description:
      - A tag that keeps the image that a tag holds when it moves. It must contain V({tag}), which is replaced by the
        tag that moves. The default is V({tag}-previous). With an empty text no previous image is kept.
      - Zot deletes an image immediately when its last tag is overwritten, even if an index lists it.
    type: raw
  directory:
    description: The directory of relative paths of archives. By default the module resolves them.
    type: path
  parallel:
    description: The maximum number of archives to push, and of images to read or tag, at the same time.
    type: int
    default: 4
notes:
  - A repository gets one upload tag for each image and one for its index, for example
    C(upload-5f1c0e9d2b7a-3f2c1ab-amd64). They are not in the results except RV(uploaded).
  - The user needs the permissions C(read) and C(create), and C(update) to move tags that exist, but not C(delete).
  - During a push, a progress line every five seconds shows the image and the number of bytes, as of
    M(killinit.zot.zot_push).
requirements:
  - skopeo 1.9 or later
  - crane 0.20 or later
  - Python library zstandard, for archives that are compressed with zstd
seealso:
  - module: killinit.zot.zot_push
  - module: killinit.zot.zot_index
  - module: killinit.zot.zot_prune
  - ref: ansible_collections.killinit.zot.docsite.guide_publish
    description: Publishing from CI.
"""

EXAMPLES = r"""
- name: Publish a revision
  killinit.zot.zot_publish:
    registry: oci.killinit.cc
    revision: "9d0e4f7"
    images:
      - repository: openclaw/openclaw
        archives:
          amd64: dist/openclaw-amd64.tar
          arm64: dist/openclaw-arm64.tar
      - repository: openclaw/workspace
        archive: dist/workspace.tar
        tags: [latest, stable]

- name: Publish a revision without moving a shared tag
  killinit.zot.zot_publish:
    registry: oci.killinit.cc
    revision: "9d0e4f7"
    images:
      - repository: openclaw/workspace
        archive: dist/workspace.tar
    tags: []

- name: Publish a revision, and move the shared tags only if it has no critical vulnerability
  killinit.zot.zot_publish:
    registry: oci.killinit.cc
    revision: "9d0e4f7"
    images:
      - repository: openclaw/workspace
        archive: dist/workspace.tar
    max_severity: high
    max_severity_unscanned: allow
"""

RETURN = r"""
images:
  description: The image of the revision for each of O(images), in their order.
  type: list
  elements: dict
  returned: success, and a failure after the options were checked
  contains:
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
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    pinned:
      description: The reference by digest; V(null) if it does not exist.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw@sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    media_type:
      description: The media type of the manifest or index; V(null) if it does not exist.
      type: str
      returned: always
      sample: application/vnd.oci.image.manifest.v1+json
    platforms:
      description: The platforms, in the form C(os/architecture[/variant]).
      type: list
      elements: str
      returned: always
      sample:
        - linux/amd64
    size:
      description:
        - The number of bytes of the configuration and the layers as stored in the registry. For an index, the sum of
          all platforms.
        - V(null) if it does not exist.
      type: int
      returned: always
      sample: 672547
    created:
      description: The build time from the configuration; V(null) for an index.
      type: str
      returned: always
      sample: "2023-11-14T22:13:20Z"
    labels:
      description: The labels from the configuration; empty for an index.
      type: dict
      returned: always
      sample:
        io.buildah.version: 1.28.2
    exists:
      description: Whether it exists in the registry.
      type: bool
      returned: always
      sample: true
tags:
  description: The result for each tag, those of the architectures first, then the revision, and the shared tags.
  type: list
  elements: dict
  returned: success, and a failure after the options were checked
  contains:
    reference:
      description: The reference.
      type: str
      returned: always
    repository:
      description: The repository.
      type: str
      returned: always
    tag:
      description: The tag.
      type: str
      returned: always
    digest:
      description:
        - The digest of the tag; V(null) if the tag does not exist, and in check mode if it is not known before the
          write.
        - For a tag of an architecture that M(killinit.zot.zot_prune) has removed, the digest that the index lists.
      type: str
      returned: always
    platforms:
      description: The platforms of the tag (in check mode its future platforms).
      type: list
      elements: str
      returned: always
    size:
      description: The number of bytes; V(null) if the tag does not exist, or if the size is not known before the write.
      type: int
      returned: always
    changed:
      description: Whether the tag was written.
      type: bool
      returned: always
    previous_tag:
      description:
        - The reference that keeps the previous image of the tag, also if the tag itself could not be written.
        - V(null) if the previous image was not kept.
      type: str
      returned: always
    error:
      description:
        - The error of the tag, with C(error_class), C(retryable) and C(msg); V(null) without an error.
        - If the task fails with the same remedy, only C(msg) of the task contains it.
      type: dict
      returned: always
moved:
  description:
    - The tags that moved, also those that keep a previous image, and in check mode the tags that would move. It is also
      in the result if a signal ended the task.
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
      description: The digest before the move; V(null) if the tag did not exist.
      type: str
      returned: always
    to:
      description: The digest after the move; V(null) in check mode if it is not known before the write.
      type: str
      returned: always
uploaded:
  description: The upload tags that the task wrote.
  type: list
  elements: str
  returned: success, and a failure after the first upload
  sample:
    - oci.killinit.cc/openclaw/openclaw:upload-5f1c0e9d2b7a-3f2c1ab-amd64
scan:
  description:
    - The verdict of O(max_severity), with the keys C(ok), C(problems), C(images), C(summary) and C(table) of
      M(killinit.zot.zot_vulnerability_info). In check mode it is about the images that the registry has already.
  type: dict
  returned: when O(max_severity) is set and the images are scanned
registry:
  description: The registry that the task used; V(null) if none is set.
  type: str
  returned: always
error_class:
  description:
    - The class of the error. One of V(unauthorized), V(denied), V(not_found), V(manifest_invalid), V(rate_limited),
      V(quota_exceeded), V(unavailable), V(tls), V(archive_invalid), V(platform_mismatch), V(tool_missing),
      V(tool_failed), V(invalid_option).
  type: str
  returned: failure
retryable:
  description: Whether the same task can succeed later without any change.
  type: bool
  returned: failure
hint:
  description: How to correct the error.
  type: str
  returned: failure
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

from ansible_collections.killinit.zot.plugins.module_utils._publish.run import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import GATE_OPTIONS
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Move, moved_entries

SPEC = Spec(
    {
        "revision": {"type": "raw", "required": True},
        "images": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "repository": {"type": "raw", "required": True},
                "archives": {"type": "dict"},
                "archive": {"type": "raw"},
                "tags": {"type": "raw"},
            },
        },
        "tags": {"type": "raw"},
        "overwrite": {"type": "bool", "default": False},
        "keep_previous": {"type": "raw"},
        "directory": {"type": "path"},
        "parallel": {"type": "int", "default": 4},
        **GATE_OPTIONS,
    }
)


def main() -> None:
    """Run the module."""
    moves: list[Move] = []
    run_registry_module(
        SPEC,
        lambda module, session: run(session, module.params, moves, dry_run=module.check_mode),
        lambda: {"moved": moved_entries(moves)},
    )


if __name__ == "__main__":
    main()
