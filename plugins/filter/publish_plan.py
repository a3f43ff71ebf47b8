# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: publish_plan
short_description: Turn the images of a release into pushes and indexes
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Says what M(killinit.zot.zot_push) and M(killinit.zot.zot_index) have to do to publish a revision, in an order
    in which no tag that is shared moves before every architecture is in.
  - It is what R(the role zot_publish,ansible_collections.killinit.zot.zot_publish_role) runs on.
options:
  _input:
    description:
      - The images, each a dictionary with C(repository), optionally C(tags), and either C(archives), a dictionary
        from architecture to archive, or C(archive).
    type: list
    elements: dict
    required: true
  registry:
    description: The registry that they go to, as C(host[:port]).
    type: str
    required: true
  revision:
    description: The tag of this build.
    type: str
    required: true
  tags:
    description: The further tags of an image that does not have C(tags) of its own.
    type: list
    elements: str
    default: []
  directory:
    description: What the path of an archive is relative to. If empty, that is left to the modules.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: See what a release would do
  ansible.builtin.debug:
    msg: "{{ images | killinit.zot.publish_plan(registry='oci.killinit.cc', revision='3f2c1ab', tags=['latest']) }}"
  vars:
    images:
      - repository: openclaw/openclaw
        archives:
          amd64: dist/openclaw-amd64.tar
          arm64: dist/openclaw-arm64.tar
      - repository: openclaw/workspace
        archive: dist/workspace.tar
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    pushes:
      description: What goes first, under tags that no other release has. For RV(ignore:images) of zot_push.
      type: list
      elements: dict
    indexes:
      description:
        - The indexes to write then, each with the options of zot_index, with C(references), all that it is to be
          under, and with C(image), what the result will be as far as it can be known before.
      type: list
      elements: dict
    moves:
      description:
        - What is pushed to shared tags at the end, because it has no index. For RV(ignore:images) of zot_push.
      type: list
      elements: dict
    references:
      description: Every reference that there is in the end, those of one image together.
      type: list
      elements: str
"""

import os.path
import typing as t

from ansible.errors import AnsibleFilterError


def publish_plan(
    images: list[dict[str, t.Any]], registry: str, revision: str, tags: t.Sequence[str] = (), directory: str = ""
) -> dict[str, list[t.Any]]:
    """Return C(pushes), C(indexes), C(moves) and C(references); raises AnsibleFilterError for an image that is
    none."""
    plan: dict[str, list[t.Any]] = {"pushes": [], "indexes": [], "moves": [], "references": []}
    seen: set[str] = set()
    for image in images:
        repository, archive = image.get("repository"), image.get("archive")
        archives: dict[str, str] = image.get("archives") or {}
        if not repository or bool(archives) == bool(archive):
            raise AnsibleFilterError(f"an image needs repository, and either archives or archive: {image}")
        if repository in seen:
            raise AnsibleFilterError(f"{repository} is listed twice: give one image all its archives")
        seen.add(repository)
        further = [
            tag for tag in dict.fromkeys(tags if image.get("tags") is None else image["tags"]) if tag != revision
        ]
        name = f"{registry}/{repository}"
        if archive:
            archive = _located(archive, directory)
            plan["references"] += [f"{name}:{tag}" for tag in (revision, *further)]
            plan["pushes"].append({"archive": archive, "repository": repository, "tags": [revision]})
            if further:
                plan["moves"].append({"archive": archive, "repository": repository, "tags": further})
            continue
        # arm/v7 is the platform linux/arm/v7 and the tag REVISION-arm-v7: a tag has no slash.
        names = {architecture: f"{revision}-{architecture.replace('/', '-')}" for architecture in archives}
        plan["references"] += [f"{name}:{tag}" for tag in (*names.values(), revision, *further)]
        plan["pushes"] += [
            {
                "archive": _located(path, directory),
                "repository": repository,
                "tags": [names[architecture]],
                "platform": f"linux/{architecture}",
            }
            for architecture, path in archives.items()
        ]
        plan["indexes"].append(
            {
                "repository": repository,
                "manifests": list(names.values()),
                "platforms": [f"linux/{architecture}" for architecture in archives],
                "tags": [revision, *further],
                "references": [f"{name}:{tag}" for tag in (revision, *further)],
                "image": _planned(registry, repository, revision, list(archives)),
            }
        )
    return plan


def _located(archive: str, directory: str) -> str:
    # The modules know what these two mean.
    return archive if archive.startswith(("~", "$")) else os.path.join(directory, archive)


def _planned(registry: str, repository: str, tag: str, architectures: t.Iterable[str]) -> dict[str, t.Any]:
    unknown = dict.fromkeys(("digest", "pinned", "media_type", "size", "created"))
    return {
        "reference": f"{registry}/{repository}:{tag}",
        "registry": registry,
        "repository": repository,
        "tag": tag,
        "platforms": [f"linux/{architecture}" for architecture in architectures],
        "labels": {},
        "exists": False,
        **unknown,
    }


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name, as Ansible asks for it."""
        return {"publish_plan": publish_plan}
