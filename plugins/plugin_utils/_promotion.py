# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook promote copies, by its variables, and its report.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

_KEYS = ("repository", "source_repository", "tags", "digest")
Result = t.Mapping[str, t.Any]


def promotion(
    *, images: t.Any, revision: t.Any, source_registry: t.Any, tags: t.Any, overwrite: t.Any, keep_previous: t.Any
) -> dict[str, t.Any]:
    """The option C(images) of zot_copy, the name of what is promoted, and the *problems* of the variables.

    The variables may be None. AWX passes a list as text, and an empty answer as None or as an empty text.
    """
    listed, problems = _listed(images)
    revision = "" if revision is None else revision
    problem = text_problem("zot_promote_revision", revision)
    if problem:
        problems.append(problem)
    elif not revision and not all(each.get("digest") for each in listed):
        problems.append("Set zot_promote_revision, or the digest of each image.")
    if not source_registry and not all(each.get("source_repository") for each in listed):
        problems.append(
            "Set zot_promote_source_registry, or source_repository for each image: source and destination are the same."
            ' In AWX, start the job with a credential of the type "Zot source registry".'
        )
    copies = [
        {
            "repository": each.get("repository"),
            "source_repository": each.get("source_repository"),
            "tags": [] if each.get("digest") else [revision],
            "digests": [each["digest"]] if each.get("digest") else [],
            "shared_tags": each.get("tags", ["latest"] if tags in (None, "") else tags),
            "overwrite": boolean(overwrite or False, strict=False),
            "keep_previous": "{tag}-previous" if keep_previous is None else keep_previous,
        }
        for each in listed
    ]
    names = ", ".join(str(each.get("repository") or "an image without a repository") for each in listed)
    return {"copies": copies, "what": f"{revision or 'the digests'} of {names}", "problems": problems}


def _listed(images: t.Any) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The images, and what is wrong with their list."""
    if isinstance(images, str):
        try:
            # libyaml refuses the subclass of str that templates return since ansible-core 2.19.
            images = yaml_load(str(images))
        except Exception as error:  # PyYAML or libyaml, which have no common class
            return [], [f"zot_promote_images is not YAML: {str(error).splitlines()[0]}."]
    if not images:
        return [], ["zot_promote_images is empty: list at least one image."]
    if not isinstance(images, list) or not all(isinstance(each, dict) for each in images):
        return [], ["zot_promote_images is not a list of dictionaries: give each image a repository."]
    unknown = list(dict.fromkeys(str(key) for each in images for key in each if key not in _KEYS))
    use = f"use {', '.join(_KEYS)}."
    return images, [f"zot_promote_images has the unknown keys {', '.join(unknown)}: {use}"] if unknown else []


def shared_tags(images: t.Iterable[Result], moved: t.Iterable[Result], revision: t.Any) -> list[dict[str, t.Any]]:
    """Each shared tag, with the digests and the revision before and after. Of a tag that stays both are the same."""
    before = {each["reference"]: each["from"] for each in moved}
    return [
        {
            "reference": tag["reference"],
            "from": before.get(tag["reference"], image["digest"]),
            "to": image["digest"],
            "to_revision": image["tag"],
        }
        for image in images
        for tag in image["tags"]
        if tag["tag"] != revision
    ]
