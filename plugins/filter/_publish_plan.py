# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _publish_plan
short_description: "[INTERNAL] Convert the images of a release into options of zot_push and zot_index"
version_added: 0.1.0
author:
  - killinit.zot contributors (@killinit)
description:
  - Only for P(killinit.zot.zot_publish#role). It may change at any time.
options:
  _input:
    description: The value of the role variable C(zot_publish_images).
    type: list
    elements: dict
    required: true
  revision:
    description: The tag of the build.
    type: str
    required: true
  tags:
    description: The additional tags of the images that have no C(tags) of their own. A text is split at commas.
    type: list
    elements: str
    default: []
  directory:
    description: The directory of relative paths. If empty, the modules resolve them.
    type: str
    default: ""
  keep_previous:
    description: The option C(keep_previous) of all pushes and indexes.
    type: str
    default: ""
  pushed:
    description: The result C(tags) of the task that pushes all archives. Without it, every archive has one platform.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the pushes and indexes of a release
  ansible.builtin.debug:
    msg: "{{ release | killinit.zot._publish_plan('3f2c1ab', ['latest']) }}"
  vars:
    release:
      - repository: openclaw/openclaw
        archives:
          amd64: dist/openclaw-amd64.tar
          arm64: dist/openclaw-arm64.tar
      - repository: openclaw/workspace
        archive: dist/workspace.tar
"""

RETURN = r"""
_value:
  description: The options of three tasks, in the order of the tasks.
  type: dict
  contains:
    pushes:
      description: The option O(killinit.zot.zot_push#module:images) of the task that pushes all archives.
      type: list
      elements: dict
    indexes:
      description: The option O(killinit.zot.zot_index#module:images) of the task that writes all indexes.
      type: list
      elements: dict
    moves:
      description:
        - The option O(killinit.zot.zot_push#module:images) of the task that pushes images without an index to their
          additional tags.
      type: list
      elements: dict
    problems:
      description: One sentence for each variable that cannot be used. Then nothing must be pushed.
      type: list
      elements: str
"""

import os.path
import re
import typing as t

Tags = t.Union[str, t.Sequence[t.Any], None]


def _publish_plan(
    images: t.Sequence[t.Mapping[str, t.Any]],
    revision: str | None,
    tags: Tags = (),
    directory: str = "",
    keep_previous: str = "",
    pushed: t.Sequence[t.Mapping[str, t.Any]] = (),
) -> dict[str, list[t.Any]]:
    """Return C(pushes), C(indexes), C(moves) and C(problems)."""
    plan: dict[str, list[t.Any]] = {"pushes": [], "indexes": [], "moves": [], "problems": _problems(images, revision)}
    if plan["problems"]:
        return plan
    revision = str(revision)
    common = {"keep_previous": keep_previous} if keep_previous else {}
    for image in images:
        repository, archive, archives = image["repository"], image.get("archive"), image.get("archives") or {}
        own = image.get("tags")
        additional = [tag for tag in dict.fromkeys(_texts(tags if own is None else own)) if tag != revision]
        if archive:
            push = {"archive": _located(archive, directory), "repository": repository, **common}
            plan["pushes"].append({**push, "tags": [revision], "split_platforms": True})
            members = [each for each in pushed if each["repository"] == repository and each["tag"] != revision]
            if members:
                plan["indexes"].append(
                    {
                        "repository": repository,
                        "manifests": [member["tag"] for member in members],
                        "platforms": [platform for member in members for platform in member["platforms"]],
                        "tags": [revision, *additional],
                        **common,
                    }
                )
            elif additional:
                plan["moves"].append({**push, "tags": additional})
            continue
        # The platform linux/arm/v7 has the tag REVISION-arm-v7: a tag cannot contain a slash.
        names = {architecture: f"{revision}-{architecture.replace('/', '-')}" for architecture in archives}
        plan["pushes"] += [
            {
                "archive": _located(path, directory),
                "repository": repository,
                "tags": [names[architecture]],
                "platform": f"linux/{architecture}",
                **common,
            }
            for architecture, path in archives.items()
        ]
        plan["indexes"].append(
            {
                "repository": repository,
                "manifests": list(names.values()),
                "platforms": [f"linux/{architecture}" for architecture in archives],
                "tags": [revision, *additional],
                **common,
            }
        )
    return plan


def _problems(images: t.Sequence[t.Mapping[str, t.Any]], revision: str | None) -> list[str]:
    found = [] if revision else ["zot_publish_revision is empty: set it to the tag of the build."]
    if not images:
        found.append("zot_publish_images is empty: list at least one image.")
    seen: set[str] = set()
    for number, image in enumerate(images):
        repository = image.get("repository")
        name = f"zot_publish_images[{number}]" + (f" ({repository})" if repository else "")
        if not repository:
            found.append(f"{name} has no repository: set it.")
        elif repository in seen:
            found.append(f"{name} has the repository of another entry: use one entry with archives.")
        seen.add(repository or "")
        if image.get("archives") and image.get("archive"):
            found.append(f"{name} has both archive and archives: remove one of them.")
        elif not image.get("archives") and not image.get("archive"):
            found.append(f"{name} has neither archive nor archives: set one of them.")
    return found


def _texts(tags: Tags) -> list[str]:
    # Extra vars and AWX surveys pass a list as one text.
    return [
        text for tag in ([tags] if isinstance(tags, str) else tags or []) for text in re.findall(r"[^, ]+", str(tag))
    ]


def _located(archive: str, directory: str) -> str:
    # The modules expand ~ and variables.
    return archive if archive.startswith(("~", "$")) else os.path.join(directory, archive)


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file, by name."""
        return {"_publish_plan": _publish_plan}
