#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_push
short_description: Push docker archives to a Zot registry
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Pushes the image of a C(docker save) archive to one or more tags of a repository, with
    C(skopeo copy --format oci docker-archive:FILE docker://REFERENCE), the one way that Zot accepts.
  - A tag that holds the archive's image already is not written. Images are compared by their layers and
    configuration, since their
    digests differ with the tool that wrote them, its version and its cache.
  - Finding out that there is nothing to do takes no longer for a larger archive, unless it is compressed.
extends_documentation_fragment:
  - killinit.zot._registry
  - killinit.zot._attributes
attributes:
  check_mode:
    details:
      - Whether the account may write is known to the registry alone, and only when it is tried.
  diff_mode:
    support: full
  idempotent:
    details:
      - Not with O(force=true).
options:
  archive:
    description:
      - The archive, a C(.tar), or one compressed with gzip, bzip2, xz or zstd.
      - A compressed one is expanded into the temporary directory of the task (C(remote_tmp)) when it has to be pushed.
      - A compressed one is refused when it grows to more than 200 times its size, unless that is less than 256 MiB.
    type: path
  archive_image:
    description:
      - Which image of an archive that holds several; a reference that the archive names, or an index from V(0).
    type: str
  repository:
    description: The repository, without the registry.
    type: str
  tags:
    description: The tags.
    type: list
    elements: str
    aliases:
      - tag
  platform:
    description: Refuse the archive unless it is for this platform, C(os/architecture[/variant]).
    type: str
  force:
    description: Push even where a tag holds the image already. Normally that is not done.
    type: bool
  keep_previous:
    description:
      - A tag that is given to the image that is about to lose its last tag. Zot forgets an image at once with its
        last tag, and pods
        that are pinned to its digest can then not be started any more.
      - V({tag}) in it stands for the tag that is pushed.
      - To know that a tag is the last, every tag of the repository may have to be looked at.
    type: str
  images:
    description:
      - Several archives, instead of O(archive).
      - One that fails does not stop the others. The task then fails at its end, and its result says which landed.
    type: list
    elements: dict
    suboptions:
      archive:
        description: As O(archive).
        type: path
        required: true
      archive_image:
        description: As O(archive_image).
        type: str
      repository:
        description: As O(repository).
        type: str
        required: true
      tags:
        description: As O(tags).
        type: list
        elements: str
        required: true
        aliases:
          - tag
      platform:
        description: As O(platform).
        type: str
      force:
        description: As O(force).
        type: bool
        default: false
      keep_previous:
        description: As O(keep_previous).
        type: str
  parallel:
    description: How many of O(images) are pushed at once.
    type: int
    default: 4
notes:
  - While skopeo copies, a line every five seconds says which image, and how many bytes of its layers are read, which is
    a few megabytes more than are sent. The variable C(zot_push_progress) switches them off where it is V(false).
  - There are such lines where the task runs on the controller itself, under Linux, and not by C(become) as a user whose
    processes cannot be looked into. There are none with C(async), nor with C(no_log).
  - With nothing to push this costs nothing that can be told from chance, see
    R(the guide to performance,ansible_collections.killinit.zot.docsite.guide_performance).
seealso:
  - module: killinit.zot.zot_index
  - module: killinit.zot.zot_image_info
"""

EXAMPLES = r"""
- name: Push one archive
  killinit.zot.zot_push:
    registry: oci.killinit.cc
    archive: dist/workspace.tar
    repository: openclaw/workspace
    tags:
      - 3f2c1ab
      - latest

- name: Push one archive for each architecture, and refuse one that is for another
  killinit.zot.zot_push:
    registry: oci.killinit.cc
    images:
      - archive: dist/openclaw-amd64.tar
        repository: openclaw/openclaw
        tag: 3f2c1ab-amd64
        platform: linux/amd64
      - archive: dist/openclaw-arm64.tar.gz
        repository: openclaw/openclaw
        tag: 3f2c1ab-arm64
        platform: linux/arm64

- name: Keep what pods may still be pinned to
  killinit.zot.zot_push:
    registry: oci.killinit.cc
    archive: dist/workspace.tar
    repository: openclaw/workspace
    tag: latest
    keep_previous: "{tag}-previous"
"""

RETURN = r"""
image:
  description: The image under the first tag.
  type: dict
  returned: when O(archive) is given
  contains: &image
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
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    pinned:
      description: The reference by digest, which a moving tag cannot change; V(null) where there is none yet.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw@sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    media_type:
      description: The media type of the manifest or index; V(null) where there is none yet.
      type: str
      returned: always
      sample: application/vnd.oci.image.manifest.v1+json
    platforms:
      description: The platforms, each C(os/architecture[/variant]).
      type: list
      elements: str
      returned: always
      sample:
        - linux/amd64
    size:
      description:
        - The bytes of configuration and layers, as they are transferred; of an index, of all its platforms.
        - V(null) where there is none yet.
      type: int
      returned: always
      sample: 672547
    created:
      description: When the image was built, as its configuration says; V(null) for an index.
      type: str
      returned: always
      sample: "2023-11-14T22:13:20Z"
    labels:
      description: The labels of the configuration; empty for an index.
      type: dict
      returned: always
      sample:
        io.buildah.version: 1.28.2
    exists:
      description: Whether the registry has it.
      type: bool
      returned: always
      sample: true
images:
  description: The same for each of O(images), in their order.
  type: list
  elements: dict
  returned: when O(images) is given
  contains: *image
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
      sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
    platforms:
      description: The platforms of that, or those that it would have.
      type: list
      elements: str
      returned: always
      sample: [linux/amd64]
    size:
      description: Its bytes; V(null) where it is absent, or not known before it is written.
      type: int
      returned: always
      sample: 672547
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

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.killinit.zot.plugins.module_utils._push import push
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.module import Spec, open_session
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer

_TARGET: dict[str, dict[str, t.Any]] = {
    "archive_image": {"type": "str"},
    "platform": {"type": "str"},
    "keep_previous": {"type": "str"},
}
SPEC = Spec(
    {
        **_TARGET,
        "archive": {"type": "path"},
        # Without a default, so that it can be told from what was not given.
        "force": {"type": "bool"},
        "repository": {"type": "str"},
        "tags": {"type": "list", "elements": "str", "aliases": ["tag"]},
        "images": {
            "type": "list",
            "elements": "dict",
            "options": {
                **_TARGET,
                "archive": {"type": "path", "required": True},
                "force": {"type": "bool", "default": False},
                "repository": {"type": "str", "required": True},
                "tags": {"type": "list", "elements": "str", "required": True, "aliases": ["tag"]},
            },
        },
        "parallel": {"type": "int", "default": 4},
    },
    {
        "required_one_of": [("archive", "images")],
        "mutually_exclusive": [
            (option, "images")
            for option in ("archive", "archive_image", "repository", "tags", "platform", "force", "keep_previous")
        ],
        "required_by": {"archive": ("repository", "tags")},
    },
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    try:
        with open_session(module) as session:
            result = push(Writer(session), module.params, dry_run=module.check_mode)
    except ZotError as error:
        module.fail_json(**error.for_ansible())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
