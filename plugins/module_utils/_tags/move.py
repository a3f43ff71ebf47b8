# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The move of a tag, and the keeper: the tag that keeps the previous image of a tag that moves.

Private to killinit.zot: it may change at any time.

Zot deletes a manifest when its last tag is overwritten: https://github.com/project-zot/zot/issues/4444
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import keeper_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import invalid_options

# The digest of an index that the registry does not have yet.
UNWRITTEN = ""


@dataclass
class Move:
    """A tag with its digest *before* and *after*. A tag without a digest does not exist.

    *after* is UNWRITTEN until the registry has an image whose digest is known only then.
    *keeper* is the move of the tag that keeps the image *before*. *written* means that this task has moved the tag, or
    may have moved it, or in check mode would move it.
    """

    tag: Reference
    before: str | None
    after: str | None
    keeper: Move | None = None
    written: bool = False

    @classmethod
    def plan(
        cls,
        tag: Reference,
        before: str | None,
        after: str | None,
        keep_previous: str | None,
        read: t.Callable[[Reference], str | None],
    ) -> Move:
        """The move of a tag, and if it needs a keeper, the move of the keeper, whose digest *read* returns."""
        keeper = keeper_of(tag, keep_previous) if before and before != after else None
        return cls(tag, before, after, cls(keeper, read(keeper), before) if keeper else None)

    @property
    def needed(self) -> bool:
        """Whether the tag must be written."""
        return self.before != self.after

    @property
    def keeps(self) -> bool:
        """Whether the keeper must be written."""
        return self.keeper is not None and self.keeper.needed

    @property
    def previous_tag(self) -> Reference | None:
        """The tag that keeps the image *before*."""
        return self.keeper.tag if self.keeper else None

    def assume_written(self) -> None:
        """Record in check mode that the tag would move."""
        self.written = self.needed
        if self.keeper:
            self.keeper.written = self.keeper.needed

    def for_ansible(self) -> dict[str, t.Any]:
        """An entry of C(moved) in the result."""
        return {
            "reference": str(self.tag),
            "repository": self.tag.repository,
            "tag": self.tag.tag,
            "from": self.before,
            "to": self.after or None,
        }


def moved_entries(moves: t.Sequence[Move]) -> list[dict[str, t.Any]]:
    """The list C(moved) of the result: the written tags, then the written keepers.

    Until a tag is restored, only its keeper may hold the image.
    """
    keepers = [move.keeper for move in moves if move.keeper]
    return [move.for_ansible() for move in (*moves, *keepers) if move.written]


def keeper_of(tag: Reference, keep_previous: str | None) -> Reference | None:
    """The keeper of a tag by the option keep_previous. Raises ZotError for a name that is not a tag."""
    if not keep_previous:
        return None
    with invalid_options():
        return tag.tagged(keeper_tag(keep_previous, tag.tag or ""))


def only_tag(tag: Reference, kind: str, image: Reference, hint: str) -> ZotError:
    """The error for a *tag* to overwrite that could be the only tag of *image*, which the task also uses."""
    return ZotError(
        "invalid_option",
        f"{tag} holds the {kind} {image}, and the task would overwrite that tag. If it is the only tag of the {kind},"
        f" the registry would delete the {kind}",
        hint=hint,
    )


class _Request(t.Protocol):
    """What one image of the options writes."""

    @property
    def references(self) -> tuple[Reference, ...]:
        """The tags to write."""

    @property
    def keep_previous(self) -> str | None:
        """The option keep_previous."""


R = t.TypeVar("R", bound=_Request)


def require_distinct(
    requests: t.Iterable[R],
    kind: str,
    read: t.Container[Reference] = (),
    name: t.Callable[[R], str] | None = None,
) -> dict[Reference, R]:
    """The request that writes each tag. Raises ZotError if two requests would write a tag.

    The same for a keeper that keeps two tags, or that is also a tag to write or one of the references to *read*. *kind*
    is the plural for the requests, and *name* returns the name of one.
    """
    owners: dict[Reference, R] = {}
    for request in requests:
        for tag in request.references:
            other = owners.setdefault(tag, request)
            if other is not request:
                names = f": {name(other)} and {name(request)}" if name else ""
                raise ZotError("invalid_option", f"{tag} is a tag of two {kind}{names}")
    kept: dict[Reference, Reference] = {}
    for tag, request in owners.items():
        keeper = keeper_of(tag, request.keep_previous)
        if keeper is None:
            continue
        if keeper in owners or keeper in read:
            raise ZotError(
                "invalid_option", f"keep_previous of {tag} is {keeper}, which is also a tag to write or to read"
            )
        if kept.setdefault(keeper, tag) != tag:
            raise ZotError(
                "invalid_option",
                f"keep_previous of {kept[keeper]} and of {tag} is {keeper}: use {{tag}} in keep_previous",
            )
    return owners
