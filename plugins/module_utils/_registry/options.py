# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of option values beyond their type.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    MissingRegistryError,
    Reference,
    registry_name,
    repository_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import Revisions
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem, words
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry


@contextlib.contextmanager
def invalid_options() -> t.Iterator[None]:
    """Convert the errors of reference.py into an error of an option."""
    try:
        yield
    except MissingRegistryError as error:
        raise missing_registry() from error
    except InvalidReferenceError as error:
        raise ZotError("invalid_option", str(error)) from error


def registry_option(text: str | None) -> str:
    """The registry of a task. Raises ZotError if the task has none, or an invalid one."""
    if not text:
        raise missing_registry()
    with invalid_options():
        return registry_name(text)


def references_option(name: str, texts: t.Sequence[t.Any], registry: str) -> tuple[Reference, ...]:
    """The references of a list, without duplicates. *registry* is the default. Raises ZotError for another registry."""
    with invalid_options():
        found = tuple(
            dict.fromkeys(Reference.parse(text, registry=registry) for text in words(texts_option(name, texts)))
        )
    for each in found:
        if each.registry != registry:
            raise ZotError("invalid_option", f"{each} is not an image of {registry}")
    return found


def repositories_option(name: str, texts: t.Sequence[t.Any]) -> tuple[str, ...]:
    """The repositories of a list, without duplicates and registry. Raises ZotError for an invalid repository."""
    with invalid_options():
        return tuple(dict.fromkeys(repository_name(text) for text in words(texts_option(name, texts))))


def text_option(name: str, value: t.Any) -> str:
    """An option of the type raw that must be text. Raises ZotError for another value."""
    problem = text_problem(name, value)
    if problem:
        raise ZotError("invalid_option", problem)
    return str(value)


def optional_text(name: str, value: t.Any) -> str | None:
    """Like text_option(), but None if the option is not set."""
    return None if value is None else text_option(name, value)


def texts_option(name: str, value: t.Any) -> list[str]:
    """The items of a list or of a comma-separated text. Raises ZotError for an item that is not text."""
    if isinstance(value, (list, tuple)):
        return [text_option(f"{name}[{index}]", item) for index, item in enumerate(value)]
    return words([text_option(name, value)])


def images_option(params: t.Mapping[str, t.Any]) -> list[t.Mapping[str, t.Any]]:
    """The entries of the option images. Without this option, the task itself is the only entry. Raises ZotError."""
    if params["images"] is None:
        return [params]
    if not params["images"]:
        raise ZotError("invalid_option", "images is empty: list at least one image")
    return list(params["images"])


def overwrite_option(value: t.Any, references: t.Iterable[Reference]) -> frozenset[Reference]:
    """The tags that may be moved to another image: all, none, or those that the option lists. Raises ZotError."""
    if value is None or isinstance(value, bool):
        return frozenset(references) if value in (None, True) else frozenset()
    # Extra vars of a command line are text, not booleans.
    text = value.lower() if isinstance(value, str) else ""
    if text in ("true", "yes", "false", "no"):
        return overwrite_option(text in ("true", "yes"), references)
    if isinstance(value, (int, float)) or text in ("on", "off", "y", "n"):
        raise ZotError("invalid_option", f"overwrite is {value}: use true, false or a list of tags")
    tags = texts_option("overwrite", value)
    return frozenset(each for each in references if each.tag in tags)


def at_least(minimum: int, **values: int) -> None:
    """Raise ZotError for an option whose value is below *minimum*."""
    for name, value in values.items():
        if value < minimum:
            raise ZotError("invalid_option", f"{name} is {value}, but must be at least {minimum}")


def pattern_option(name: str, text: str) -> re.Pattern[str]:
    """A regular expression. Raises ZotError for any other text."""
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ZotError("invalid_option", f"{name}: {text!r} is not a regular expression: {error}") from error


def revisions_option(text: str | None) -> Revisions:
    """The tags that are revisions: those that the option matches, if it is set. Raises ZotError."""
    return Revisions(pattern_option("revisions", text) if text else None)


def platform_option(text: str) -> Platform:
    """The platform that an option names. Raises ZotError for any other text."""
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise ZotError("invalid_option", str(error)) from error
