#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_push
short_description: Push docker archives and OCI archives to a Zot registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Pushes the image of an archive to one or more tags of a repository, with C(skopeo copy --format oci
    docker-archive:FILE docker://REFERENCE). Zot accepts OCI manifests only, unless C(http.compat) is set.
  - The archive is a docker archive (C(docker save)), an OCI archive, or the directory of an OCI layout. The formats of
    builders are in R(the guide to publishing,ansible_collections.killinit.zot.docsite.guide_publish).
  - A tag that already refers to the image is not written. Images are compared by their layers and their configuration,
    because the digest of an image depends on the tool that pushed it, its version and its cache.
  - The time of this comparison does not depend on the size of the archive, unless the archive is compressed.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Check mode does not detect that the user has no permission to write, or that a layer is damaged.
  diff_mode:
    support: full
  idempotent:
    details:
      - O(force=true) always pushes.
options:
  archive:
    description:
      - The path of a docker archive, of an OCI archive, or of the directory of an OCI layout. A file may be compressed
        with gzip, bzip2, xz or zstd.
      - A compressed archive is expanded into the temporary directory of the task (C(remote_tmp)) before it is pushed.
      - An image that only C(index.json) lists is first converted by skopeo to a docker archive in that directory, one
        image at a time.
      - An archive, or a layer, is rejected if it expands to more than 200 times its size and to more than 256 MiB. For
        layers that are compressed with zstd, this requires the Python library zstandard.
      - Requires O(repository) and O(tags).
    type: path
  archive_image:
    description:
      - The image to push from an archive with several images, by a reference in the archive or by its index, from V(0).
    type: str
  repository:
    description: The repository, without the registry. Quote a name that YAML reads as another value.
    type: raw
  tags:
    description:
      - The tags to push to, as a list or as a comma-separated text.
      - Quote a tag that YAML reads as another value, for example V('0012345') or V('1.10'). A number is an error.
    type: raw
    aliases:
      - tag
  platform:
    description:
      - The platform of the image, as C(os/architecture[/variant]). If the archive has no such image, the task fails.
      - Required for an archive with images for several platforms.
    type: str
  force:
    description: Also push to tags that already refer to the image. The default is V(false).
    type: bool
  keep_previous:
    description:
      - A tag that keeps the previous image of each tag that moves, for example V({tag}-previous). V({tag}) is replaced
        by the tag that moves. It costs two requests for each tag that moves. A value that is not text is an error.
      - Zot deletes an image when its last tag is overwritten, even if an index lists it.
    type: raw
  overwrite:
    description:
      - Whether tags that refer to another image may be moved, or a list of such tags. The default is V(true).
      - If a tag may not be moved, the task fails, names both images, and writes nothing.
      - A tag that may not be moved to another image, or whose image O(keep_previous) keeps, is read again after the
        push. For that, the image is first pushed to an upload tag, for example C(upload-5f1c0e9d2b7a-3f2c1ab).
    type: raw
  images:
    description:
      - Several archives, instead of O(archive).
      - All archives and tags are read before the first push. If a read fails, the task stops. If a push fails, the
        other pushes continue. The task then fails, and its result lists the tags that were written.
    type: list
    elements: dict
    suboptions:
      archive:
        description: See O(archive).
        type: path
        required: true
      archive_image:
        description: See O(archive_image).
        type: str
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
      platform:
        description: See O(platform).
        type: str
      split_platforms:
        description:
          - Push each platform of an archive to C(TAG-ARCHITECTURE), for example V(3f2c1ab-arm-v7), and return an image
            for each. An archive with one platform is pushed to the tags as they are.
        type: bool
        default: false
      force:
        description: See O(force).
        type: bool
        default: false
      keep_previous:
        description: See O(keep_previous).
        type: raw
      overwrite:
        description: See O(overwrite).
        type: raw
  parallel:
    description: The maximum number of O(images) to push, and of tags of one archive to read, at the same time.
    type: int
    default: 4
notes:
  - During a push, a progress line every five seconds shows the image and the number of bytes that skopeo has read from
    its layers, which is a few megabytes more than it has sent. Set the variable C(zot_push_progress) to V(false) to
    disable the lines.
  - Progress requires that the task runs on the controller, on Linux, and that the user of the play may read the
    processes of a C(become) user. It is disabled for tasks with C(async) or C(no_log).
  - The run time without a push is in
    R(the guide to performance,ansible_collections.killinit.zot.docsite.guide_performance).
requirements:
  - skopeo 1.9 or later
  - Python library zstandard, for archives that are compressed with zstd
seealso:
  - module: killinit.zot.zot_publish
  - module: killinit.zot.zot_index
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Push one archive
  killinit.zot.zot_push:
    registry: oci.killinit.cc
    archive: dist/workspace.tar
    repository: openclaw/workspace
    tags: ["3f2c1ab", latest]

- name: Push one archive for each architecture, and check its platform
  killinit.zot.zot_push:
    registry: oci.killinit.cc
    images:
      - archive: dist/openclaw-amd64.tar
        repository: openclaw/openclaw
        tag: "3f2c1ab-amd64"
        platform: linux/amd64
      - archive: dist/openclaw-arm64.tar.gz
        repository: openclaw/openclaw
        tag: "3f2c1ab-arm64"
        platform: linux/arm64

- name: Keep the previous image for pods that are pinned to its digest
  killinit.zot.zot_push:
    registry: oci.killinit.cc
    archive: dist/workspace.tar
    repository: openclaw/workspace
    tag: latest
    keep_previous: "{tag}-previous"
"""

RETURN = r"""
image:
  description: The image of the first tag.
  type: dict
  returned: when O(archive) is given, also in a failure after the options were checked
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
images:
  description: The image of the first tag of each of O(images), in their order.
  type: list
  elements: dict
  returned: when O(images) is given, also in a failure after the options were checked
  contains: *image
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
    repository:
      description: The repository.
      type: str
      returned: always
    tag:
      description: The tag.
      type: str
      returned: always
    digest:
      description: The digest of the tag; V(null) if the tag does not exist, and in check mode if it would be written.
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

from ansible_collections.killinit.zot.plugins.module_utils._push.run import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module

_TARGET = {
    "archive_image": {"type": "str"},
    "platform": {"type": "str"},
    "keep_previous": {"type": "raw"},
    # Without a default, like force, so that mutually_exclusive can detect it.
    "overwrite": {"type": "raw"},
}
SPEC = Spec(
    {
        **_TARGET,
        "archive": {"type": "path"},
        "force": {"type": "bool"},
        "repository": {"type": "raw"},
        "tags": {"type": "raw", "aliases": ["tag"]},
        "images": {
            "type": "list",
            "elements": "dict",
            "options": {
                **_TARGET,
                "archive": {"type": "path", "required": True},
                "force": {"type": "bool", "default": False},
                "split_platforms": {"type": "bool", "default": False},
                "repository": {"type": "raw", "required": True},
                "tags": {"type": "raw", "required": True, "aliases": ["tag"]},
            },
        },
        "parallel": {"type": "int", "default": 4},
    },
    {
        "required_one_of": [("archive", "images")],
        "mutually_exclusive": [(option, "images") for option in ("archive", "repository", "tags", "force", *_TARGET)],
        "required_by": {"archive": ("repository", "tags")},
    },
)


def main() -> None:
    """Run the module."""
    run_registry_module(SPEC, lambda module, session: run(session, module.params, dry_run=module.check_mode))


if __name__ == "__main__":
    main()
