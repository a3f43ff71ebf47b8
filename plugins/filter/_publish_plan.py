# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _publish_plan
short_description: "[INTERNAL] Convert the images of a release into options of zot_push and zot_index"
version_added: 1.0.0
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
    type: raw
    required: true
  tags:
    description: The additional tags of the images that do not set C(tags). A text is split at commas.
    type: raw
    default: []
  directory:
    description: The directory of relative paths. If empty, the modules resolve them.
    type: str
    default: ""
  overwrite:
    description: Whether other images may replace the images of a published revision.
    type: bool
    default: false
  keep_previous:
    description: The option C(keep_previous) of all pushes and indexes. If empty, null or false, no image is kept.
    type: raw
    default: ""
  pushed:
    description: >-
      The result C(tags) of the task that pushes all archives. If empty, every archive counts as having one platform.
      Indexes list their members by digest if the result has it, because zot_prune may have removed their tags.
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
      description: One sentence for each invalid variable. If there is one, nothing may be pushed.
      type: list
      elements: str
"""

import os.path
import re
import typing as t

Image = t.Mapping[str, t.Any]


class _Options(t.NamedTuple):
    """The parameters of a plan that are the same for all images."""

    revision: str
    additional: list[str]
    directory: str
    overwrite: bool
    keep_previous: str
    pushed: t.Sequence[t.Mapping[str, t.Any]]


def _publish_plan(
    images: t.Sequence[Image],
    revision: t.Any,
    tags: t.Any = (),
    directory: str = "",
    overwrite: bool = False,
    keep_previous: t.Any = "",
    pushed: t.Sequence[t.Mapping[str, t.Any]] = (),
) -> dict[str, list[t.Any]]:
    """Return C(pushes), C(indexes), C(moves) and C(problems)."""
    plan: dict[str, list[t.Any]] = {"pushes": [], "indexes": [], "moves": [], "problems": []}
    problems_of_release = [*_revision_problems(revision), *_keeper_problems(keep_previous)]
    plan["problems"] += problems_of_release
    plan["problems"] += [] if images else ["zot_publish_images is empty: list at least one image."]
    repositories = [image.get("repository") for image in images]
    for number, image in enumerate(images):
        repository = image.get("repository")
        name = f"zot_publish_images[{number}]" + (f" ({repository})" if repository else "")
        problems = _image_problems(image, name, again=repository in repositories[:number])
        own = image.get("tags")
        owner = "zot_publish_tags" if own is None else f"{name}.tags"
        additional, problems_of_tags = _additional(owner, tags if own is None else own, revision)
        platforms, problems_of_platforms = _platforms(name, image.get("archives") or {})
        problems += problems_of_tags + problems_of_platforms
        if not problems and not problems_of_release:
            of_platforms = [_tag_of(revision, platform) for platform in platforms.values()]
            problems = _conflicts(owner, revision, additional, of_platforms, keep_previous)
        # Each image has the problems of the common tags.
        plan["problems"] += [each for each in problems if each not in plan["problems"]]
        if not plan["problems"]:
            options = _Options(revision, additional, directory, overwrite, keep_previous, pushed)
            _add(plan, image, platforms, options)
    if plan["problems"]:
        return {"pushes": [], "indexes": [], "moves": [], "problems": _explained_once(plan["problems"])}
    return plan


def _explained_once(problems: list[str]) -> list[str]:
    """Only the first problem with a value that is not text explains how YAML reads such a value."""
    from ansible_collections.killinit.zot.plugins.module_utils._oci.text import UNQUOTED

    repeated = [each for each in problems if UNQUOTED in each][1:]
    return [each.replace(UNQUOTED, "") if each in repeated else each for each in problems]


def _add(plan: dict[str, list[t.Any]], image: Image, platforms: t.Mapping[str, t.Any], options: _Options) -> None:
    revision, additional = options.revision, options.additional
    common = {"repository": image["repository"]}
    if options.keep_previous:
        common["keep_previous"] = options.keep_previous
    index = {**common, "tags": [revision, *additional], "overwrite": options.overwrite or additional}
    if image.get("archive"):
        push = {**common, "archive": _located(image["archive"], options.directory)}
        plan["pushes"].append({**push, "tags": [revision], "split_platforms": True, "overwrite": options.overwrite})
        members = [
            each for each in options.pushed if each["repository"] == image["repository"] and each["tag"] != revision
        ]
        if members:
            listed = [platform for member in members for platform in member["platforms"]]
            manifests = [each.get("digest") or each["tag"] for each in members]
            plan["indexes"].append({**index, "manifests": manifests, "platforms": listed})
        elif additional:
            plan["moves"].append({**push, "tags": additional})
        return
    names = {architecture: _tag_of(revision, platform) for architecture, platform in platforms.items()}
    plan["pushes"] += [
        {
            **common,
            "archive": _located(path, options.directory),
            "tags": [names[architecture]],
            "platform": str(platforms[architecture]),
            "overwrite": options.overwrite,
            "index": revision,
        }
        for architecture, path in image["archives"].items()
    ]
    listed = [str(platform) for platform in platforms.values()]
    digests = {each["tag"]: each.get("digest") for each in options.pushed if each["repository"] == image["repository"]}
    manifests = [digests.get(name) or name for name in names.values()]
    plan["indexes"].append({**index, "manifests": manifests, "platforms": listed})


def _tag_of(revision: str, platform: t.Any) -> str:
    from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import architecture_tag

    return architecture_tag(str(revision), platform)


def _revision_problems(revision: t.Any) -> list[str]:
    from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

    if revision is None or revision == "":
        return ["zot_publish_revision is empty: set it to the tag of the build."]
    problem = text_problem("zot_publish_revision", revision)
    if problem:
        # https://github.com/ansible/awx/issues/16205
        return [f"{problem}; so does a survey of AWX: use a revision with a letter there."]
    return _tag_problems("zot_publish_revision", [revision])


def _keeper_problems(keep_previous: t.Any) -> list[str]:
    from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

    problem = text_problem("zot_publish_keep_previous", keep_previous) if keep_previous else None
    return [f"{problem}."] if problem else []


def _image_problems(image: Image, name: str, *, again: bool) -> list[str]:
    from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

    found = []
    repository = image.get("repository")
    problem = text_problem(f"{name}.repository", repository) if repository else None
    if problem:
        found.append(f"{problem}.")
    elif not repository:
        found.append(f"{name} has no repository: set it.")
    elif again:
        found.append(f"{name} has the repository of another entry: use one entry with archives.")
    if image.get("archives") and image.get("archive"):
        found.append(f"{name} has both archive and archives: remove one of them.")
    elif not image.get("archives") and not image.get("archive"):
        found.append(f"{name} has neither archive nor archives: set one of them.")
    problem = text_problem(f"{name}.archive", image["archive"]) if image.get("archive") else None
    if problem:
        hint = ": use archives" if isinstance(image["archive"], dict) else ""
        found.append(f"{problem}{hint}.")
    return found


def _additional(owner: str, tags: t.Any, revision: t.Any) -> tuple[list[str], list[str]]:
    """The additional tags, and their problems. Extra vars and AWX surveys pass a list as one text."""
    from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

    items = tags if isinstance(tags, (list, tuple)) else [] if tags is None else [tags]
    problems = [problem + "." for problem in (text_problem(owner, item) for item in items) if problem]
    if problems:
        return [], problems
    names = list(dict.fromkeys(text for item in items for text in re.findall(r"[^, ]+", item)))
    return [name for name in names if name != revision], _tag_problems(owner, names)


def _conflicts(
    owner: str, revision: str, additional: t.Sequence[str], of_platforms: t.Sequence[str], keep_previous: str
) -> list[str]:
    """The problems of tags that the tasks would write with two images, and of the tags that keep previous images."""
    from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import Revisions, keeper_tag

    # Before the push, the platforms of an archive are unknown. So all tags of single architectures are refused.
    of_revision = Revisions(re.compile(re.escape(revision))).of
    found = [
        f"{owner} has {tag}, which is the tag of one architecture: choose another."
        for tag in additional
        if tag in of_platforms or of_revision(tag)
    ]
    if not keep_previous:
        return found
    if "{tag}" not in keep_previous:
        return [*found, f"zot_publish_keep_previous is {keep_previous}, without {{tag}}: use {{tag}}-previous."]
    tags = [revision, *additional, *of_platforms]
    keepers = {tag: keeper_tag(keep_previous, tag) for tag in tags}
    found += _tag_problems("zot_publish_keep_previous", keepers.values())[:1]
    return found + [
        f"zot_publish_keep_previous: {keeper} would keep the previous image of {tag}, but is also a tag to write:"
        " choose another."
        for tag, keeper in keepers.items()
        if keeper in tags or of_revision(keeper)
    ]


def _tag_problems(owner: str, tags: t.Iterable[str]) -> list[str]:
    from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, tag_name

    found = []
    for tag in tags:
        try:
            tag_name(tag)
        except InvalidReferenceError as error:
            found.append(f"{owner}: {error}.")
    return found


def _platforms(name: str, archives: t.Mapping[str, str]) -> tuple[dict[str, t.Any], list[str]]:
    """The platform of each architecture (C(amd64), C(x86_64) or C(linux/amd64)), and the problems."""
    from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
    from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem

    found: dict[str, Platform] = {}
    problems = []
    for architecture, archive in archives.items():
        problem = text_problem(f"{name}: the architecture", architecture) or text_problem(
            f"{name}.archives[{architecture}]", archive
        )
        if problem:
            problems.append(f"{problem}.")
            continue
        try:
            platform = Platform.parse(architecture if architecture.startswith("linux/") else f"linux/{architecture}")
        except ValueError as error:
            problems.append(f"{name}: {error}.")
            continue
        if platform.normalized in [each.normalized for each in found.values()]:
            problems.append(f"{name} has two archives for {platform}: remove one of them.")
        found[architecture] = platform
    return found, problems


def _located(archive: str, directory: str) -> str:
    # The modules expand paths that begin with ~ or a variable.
    return archive if archive.startswith(("~", "$")) else os.path.join(directory, archive)


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file, by name."""
        return {"_publish_plan": _publish_plan}
