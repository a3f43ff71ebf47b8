#!/usr/bin/python
# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_image_info
short_description: Read images and repositories of a Zot registry
version_added: 1.0.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Reads manifests, configurations and tags. Changes nothing.
  - A reference or a repository that does not exist is not an error. Every other failed read is an error, so
    RV(images[].exists=false) is reliable.
  - A Zot registry with on-demand sync may pull an image from its upstream registry when it is read.
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
      - References, in the form C([registry/]repository[:tag][@digest]), as a list or as a comma-separated text. The
        default registry is O(registry), the default tag is C(latest).
      - The first part is a registry if it contains a dot or a colon, or if it is C(localhost).
    type: raw
    default: []
  repositories:
    description: Repositories of O(registry) whose tags to list, as a list or as a comma-separated text.
    type: raw
    default: []
  details:
    description:
      - Whether to read the image of every tag of O(repositories), as RV(repositories[].images).
      - A Zot registry with the search extension needs one request for each repository. Otherwise each digest is read
        once, and RV(repositories[].source) is V(registry).
    type: bool
    default: false
  referrers:
    description:
      - Whether to list the attachments of O(images) and of their members, for example signatures and SBOMs, as
        RV(images[].referrers).
      - The images must be in O(registry).
    type: bool
    default: false
  catalog:
    description: Whether to list the repositories of O(registry) that the user may read.
    type: bool
    default: false
  query:
    description:
      - A JMESPath expression that is applied to the result (RV(images), RV(repositories), RV(catalog)). Its value is
        returned as RV(result).
    type: str
  parallel:
    description: The maximum number of references to read at the same time.
    type: int
    default: 8
requirements:
  - Python library jmespath, for O(query)
  - Python library requests, for O(details) and O(referrers). Without it, reading many O(images) takes longer.
seealso:
  - module: killinit.zot.zot_push
  - module: killinit.zot.zot_index
  - name: JMESPath
    description: The query language.
    link: https://jmespath.org/
"""

EXAMPLES = r"""
- name: Read the images of the tag latest, and list the tags of a repository
  killinit.zot.zot_image_info:
    registry: oci.killinit.cc
    images:
      - openclaw/openclaw:latest
      - openclaw/workspace:latest
    repositories:
      - openclaw/openclaw
  register: images

- name: Read the digest of a tag
  killinit.zot.zot_image_info:
    registry: oci.killinit.cc
    images:
      - openclaw/openclaw:latest
    query: images[0].digest
  register: latest

- name: List the tags that were never pulled
  killinit.zot.zot_image_info:
    registry: oci.killinit.cc
    repositories:
      - openclaw/openclaw
    details: true
    query: repositories[].images[?last_pulled_at == `null`].tag[]
  register: never_pulled
"""

RETURN = r"""
images:
  description: The image of each of O(images), in their order.
  type: list
  elements: dict
  returned: success
  contains:
    reference:
      description: The requested reference.
      type: str
      returned: always
      sample: oci.killinit.cc/openclaw/openclaw:latest
    registry: {description: The registry of the reference., type: str, returned: always, sample: oci.killinit.cc}
    repository: {description: The repository of the reference., type: str, returned: always, sample: openclaw/openclaw}
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
      sample: [linux/amd64]
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
      description: >-
        Whether the image exists and is whole. An index that has lost a member has a RV(images[].digest), but does not
        count as existing, because nodes of that platform cannot pull it. Publish the same archives again.
      type: bool
      returned: always
    whole:
      description: Whether the registry has all members of an index; V(null) if the reference does not exist.
      type: bool
      returned: always
    missing: {description: The digests of the members that it has lost., type: list, elements: str, returned: always}
    manifest:
      description: The document of the manifest or index; V(null) if it does not exist.
      type: dict
      returned: always
      sample:
        schemaVersion: 2
        mediaType: application/vnd.oci.image.manifest.v1+json
        config:
          mediaType: application/vnd.oci.image.config.v1+json
          digest: sha256:1fd6b7597613bd13440bc8c1a887fbfb71a98ee3c0111bbc4d943a9d9dfea34f
          size: 432
        layers:
          - mediaType: application/vnd.oci.image.layer.v1.tar+gzip
            digest: sha256:bba3865e8a07779e5517d2879baab4d7c4f71c25129fc0678741522798562a85
            size: 672115
    config:
      description: The configuration of the image; V(null) for an index, and if it is absent.
      type: dict
      returned: always
      sample:
        created: "2023-11-14T22:13:20Z"
        architecture: amd64
        os: linux
        config:
          Entrypoint:
            - /program
          Env:
            - DEMO=one
          Labels:
            io.buildah.version: 1.28.2
        rootfs:
          type: layers
          diff_ids:
            - sha256:d52c2f5a94a01e372b0f95c9043d7aa66eff9eb8062d35c49905cb5c9dfde241
        history:
          - created: "2023-11-14T22:13:20Z"
            created_by: /bin/sh
    manifests:
      description: The entries of an index, in its order; empty for a single manifest.
      type: list
      elements: dict
      returned: always
      contains:
        platform:
          description: The platform; V(null) for an attestation.
          type: str
          returned: always
          sample: linux/amd64
        digest:
          description: The digest of the manifest.
          type: str
          returned: always
          sample: sha256:0c249ffe57e7db3839671e14594453bf360a5a96a6a83b555b55578e17f15c00
        size:
          description: The number of bytes of its configuration and layers; V(null) if the manifest does not exist.
          type: int
          returned: always
          sample: 672547
        manifest:
          description: The document of the manifest; V(null) if it does not exist.
          type: dict
          returned: always
    referrers:
      description: The attachments of the image and of its members.
      type: list
      elements: dict
      returned: when O(referrers) is true
      contains:
        subject: {description: The digest of the manifest that it is attached to., type: str, returned: always}
        digest: {description: The digest of the attachment., type: str, returned: always}
        artifact_type: {description: The artifact type; V(null) if a tag attaches it., type: str, returned: always}
        media_type: {description: The media type; V(null) if a tag attaches it., type: str, returned: always}
        size: {description: The bytes of its manifest; V(null) if a tag attaches it., type: int, returned: always}
        annotations: {description: Its annotations., type: dict, returned: always}
        tag:
          description: The tag C(sha256-….sig), C(.att) or C(.sbom) by which cosign attaches it; V(null) otherwise.
          type: str
          returned: always
repositories:
  description: The tags of each of O(repositories), in their order.
  type: list
  elements: dict
  returned: success
  contains:
    registry: {description: The registry., type: str, returned: always, sample: oci.killinit.cc}
    repository: {description: The repository., type: str, returned: always, sample: openclaw/openclaw}
    exists: {description: Whether it exists in the registry., type: bool, returned: always, sample: true}
    tags:
      description: >-
        The tags, in the order of the registry, without upload tags, for example C(upload-3f2c1ab03f2c-3f2c1ab-amd64),
        which hold an image until M(killinit.zot.zot_publish) has moved its tags.
      type: list
      elements: str
      returned: always
      sample: ["3f2c1ab", latest]
    source:
      description:
        - V(search) if the images were read from the search extension of Zot, V(registry) if they were read from the
          registry itself; V(null) if the repository does not exist.
        - Tags that the search extension does not know yet are also read from the registry itself.
      type: str
      returned: when O(details) is true
      sample: search
    images:
      description: The image of each tag, except for upload tags and the tags of attachments.
      type: list
      elements: dict
      returned: when O(details) is true
      contains:
        tag: {description: The tag., type: str, returned: always, sample: 3f2c1ab}
        digest: {description: The digest of the manifest or index., type: str, returned: always}
        media_type: {description: The media type of the manifest or index., type: str, returned: always}
        platforms:
          description: The platforms, in the form C(os/architecture[/variant]).
          type: list
          elements: str
          returned: always
          sample: [linux/amd64]
        size:
          description: The number of bytes of its manifests with their configurations and layers.
          type: int
          returned: always
          sample: 672951
        pushed_at:
          description: When the digest was pushed; V(null) if the search extension does not report it.
          type: str
          returned: always
          sample: "2026-11-25T17:09:25.141399171Z"
        last_pulled_at:
          description: When the tag was last pulled; V(null) if never, or if the search extension does not report it.
          type: str
          returned: always
          sample: "2026-11-25T17:09:26.592610388Z"
        signed: {description: Whether it is signed; V(null) if that is not known., type: bool, returned: always}
        manifests:
          description: The manifests of an index; for a single manifest, only this manifest.
          type: list
          elements: dict
          returned: always
          contains:
            platform: {description: The platform; V(null) if there is none., type: str, returned: always}
            digest: {description: The digest of the manifest., type: str, returned: always}
            config_digest: {description: The digest of the configuration., type: str, returned: always}
            size: {description: The bytes of manifest and configuration and layers., type: int, returned: always}
catalog:
  description: The repositories of O(registry).
  type: list
  elements: str
  returned: when O(catalog) is true
  sample:
    - openclaw/openclaw
    - openclaw/workspace
result:
  description: The value of O(query).
  type: raw
  returned: when O(query) is given
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

from ansible_collections.killinit.zot.plugins.module_utils._image_info import run
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, run_registry_module

SPEC = Spec(
    {
        "images": {"type": "raw", "default": []},
        "repositories": {"type": "raw", "default": []},
        "details": {"type": "bool", "default": False},
        "referrers": {"type": "bool", "default": False},
        "catalog": {"type": "bool", "default": False},
        "query": {"type": "str"},
        "parallel": {"type": "int", "default": 8},
    }
)


def main() -> None:
    """Run the module."""
    run_registry_module(SPEC, lambda module, session: run(Registry(session), module.params))


if __name__ == "__main__":
    main()
