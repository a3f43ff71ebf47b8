# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of a revision: their archives and their tags.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    Reference,
    tag_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import (
    Revisions,
    architecture_tag,
    is_attachment,
    is_upload,
    keeper_tag,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import UNQUOTED, text_problem
from ansible_collections.killinit.zot.plugins.module_utils._push.request import PushRequest
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import texts_option

_HINT = (
    "Correct the options and run the task again. The role zot_publish has a variable for each of them, for example"
    " zot_publish_revision and zot_publish_images."
)
_DEFAULT_TAGS, _DEFAULT_KEEPER = ("latest",), "{tag}-previous"


@dataclass(frozen=True)
class PublishRequest:
    """One image of the revision. All references are valid, and no other image of the task has its repository.

    *pushes* are its archives. With *indexed* the revision is an index although there may be only one archive.
    *overwrite* is whether another image of the revision may be replaced.
    """

    revision: Reference
    shared: tuple[Reference, ...]
    pushes: tuple[PushRequest, ...]
    indexed: bool
    overwrite: bool
    keep_previous: str | None


def publish_requests(registry: Registry, params: t.Mapping[str, t.Any]) -> list[PublishRequest]:
    """The images of *params*. Raises ZotError, with one sentence for each invalid option."""
    options = _Options.of(params)
    problems = list(options.problems)
    found = []
    images = params["images"] or []
    if not images:
        problems.append("images is empty: list at least one image.")
    for number, image in enumerate(images):
        repository = image.get("repository")
        name = f"images[{number}]" + (f" ({repository})" if repository else "")
        again = repository in [each.get("repository") for each in images[:number]]
        entry = _Entry(name, image, options)
        # Each image has the problems of the common tags.
        problems += [each for each in entry.problems(again=again) if each not in problems]
        found.append(entry)
    if problems:
        raise ZotError("invalid_option", " ".join(_explained_once(problems)).rstrip("."), hint=_HINT)
    return [each.request(registry) for each in found]


def _explained_once(problems: list[str]) -> list[str]:
    """Only the first problem with a value that is not text explains how YAML reads such a value."""
    repeated = [each for each in problems if UNQUOTED in each][1:]
    return [each.replace(UNQUOTED, "") if each in repeated else each for each in problems]


class _Options(t.NamedTuple):
    """The options that are the same for all images, and their problems."""

    revision: str
    tags: t.Any
    directory: str
    overwrite: bool
    keep_previous: str
    problems: t.Sequence[str]

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> _Options:
        revision, keeper = params["revision"], params["keep_previous"]
        # AWX turns an empty answer of a survey into null, which is not an empty text.
        keeper = _DEFAULT_KEEPER if keeper is None else keeper or ""
        problem = text_problem("keep_previous", keeper)
        return cls(
            revision,
            _DEFAULT_TAGS if params["tags"] is None else params["tags"],
            params["directory"] or "",
            bool(params["overwrite"]),
            keeper,
            [*_revision_problems(revision), *([f"{problem}."] if problem else [])],
        )


def _revision_problems(revision: t.Any) -> list[str]:
    if revision is None or revision == "":
        return ["revision is empty: set it to the tag of the build."]
    problem = text_problem("revision", revision)
    if problem:
        # https://github.com/ansible/awx/issues/16205
        return [f"{problem}; so does a survey of AWX: use a revision with a letter there."]
    return _tag_problems("revision", [revision])


class _Entry:
    """One of the images as the user wrote it."""

    def __init__(self, name: str, image: t.Mapping[str, t.Any], options: _Options) -> None:
        """*name* is how the messages name the image."""
        self._name, self._image, self._options = name, image, options
        self._owner = "tags" if image.get("tags") is None else f"{name}.tags"
        self._shared: list[str] = []
        self._platforms: dict[str, Platform] = {}

    def problems(self, *, again: bool) -> list[str]:
        """One sentence for each problem. *again* is whether another image has the repository, too."""
        found = [*self._image_problems(again=again), *self._tags_problems(), *self._platform_problems()]
        if not found and not self._options.problems:
            found = self._conflicts()
        return found

    def request(self, registry: Registry) -> PublishRequest:
        """The image without problems."""
        options, repository = self._options, self._image["repository"]
        revision = registry.reference(repository, options.revision)
        archives = self._image.get("archives") or {}
        if archives:
            pushes = [
                self._push(path, revision.tagged(tag), self._platforms[architecture])
                for (architecture, path), tag in zip(archives.items(), self._platform_tags())
            ]
        else:
            pushes = [self._push(self._image["archive"], revision, None)]
        shared = registry.references(repository, self._shared)
        keeper = options.keep_previous or None
        return PublishRequest(revision, shared, tuple(pushes), bool(archives), options.overwrite, keeper)

    def _push(self, path: str, tag: Reference, platform: Platform | None) -> PushRequest:
        """An archive without a platform is pushed for each of its platforms."""
        # skopeo runs in another working directory.
        path = os.path.abspath(os.path.join(self._options.directory, os.path.expanduser(os.path.expandvars(path))))
        return PushRequest(
            path, None, (tag,), platform, False, self._options.keep_previous or None, platform is None, frozenset()
        )

    def _platform_tags(self) -> list[str]:
        return [architecture_tag(self._options.revision, platform) for platform in self._platforms.values()]

    def _image_problems(self, *, again: bool) -> list[str]:
        image, name = self._image, self._name
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

    def _tags_problems(self) -> list[str]:
        tags = self._image.get("tags")
        try:
            names = texts_option(self._owner, self._options.tags if tags is None else tags)
        except ZotError as error:
            return [f"{error.message}."]
        self._shared = [name for name in dict.fromkeys(names) if name != self._options.revision]
        return _tag_problems(self._owner, names)

    def _platform_problems(self) -> list[str]:
        """The problems of the architectures: C(amd64), C(x86_64) or C(linux/amd64)."""
        name, found = self._name, []
        for architecture, archive in (self._image.get("archives") or {}).items():
            problem = text_problem(f"{name}: the architecture", architecture) or text_problem(
                f"{name}.archives[{architecture}]", archive
            )
            if problem:
                found.append(f"{problem}.")
                continue
            try:
                platform = Platform.parse(
                    architecture if architecture.startswith("linux/") else f"linux/{architecture}"
                )
            except ValueError as error:
                found.append(f"{name}: {error}.")
                continue
            if platform.normalized in [each.normalized for each in self._platforms.values()]:
                found.append(f"{name} has two archives for {platform}: remove one of them.")
            self._platforms[architecture] = platform
        return found

    def _conflicts(self) -> list[str]:
        """The problems of tags that the task would write with two images, and of the tags that keep previous images."""
        revision, keeper = self._options.revision, self._options.keep_previous
        of_platforms = self._platform_tags()
        # Before it is read, the platforms of an archive are unknown. So all tags of single architectures are refused.
        of_revision = Revisions(re.compile(re.escape(revision))).of
        found = [
            f"{self._owner} has {tag}, which is the tag of one architecture: choose another."
            for tag in self._shared
            if tag in of_platforms or of_revision(tag)
        ]
        if not keeper:
            return found
        if "{tag}" not in keeper:
            return [*found, f"keep_previous is {keeper}, without {{tag}}: use {{tag}}-previous."]
        tags = [revision, *self._shared, *of_platforms]
        keepers = {tag: keeper_tag(keeper, tag) for tag in tags}
        found += _tag_problems("keep_previous", keepers.values())[:1]
        return found + [
            f"keep_previous: {each} would keep the previous image of {tag}, but is also a tag to write: choose another."
            for tag, each in keepers.items()
            if each in tags or of_revision(each)
        ]


def _tag_problems(owner: str, tags: t.Iterable[str]) -> list[str]:
    found = []
    for tag in tags:
        try:
            tag_name(tag)
        except InvalidReferenceError as error:
            found.append(f"{owner}: {error}.")
        # All modules pass over such tags, and zot_prune removes them although no rule selects the revision.
        if is_upload(tag) or is_attachment(tag):
            found.append(f"{owner}: {tag} has the form of an upload tag or an attachment: choose another name.")
    return found
