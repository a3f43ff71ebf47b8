# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The move of a tag, the keeper (the tag that keeps the previous image of a tag that moves), and the outcome of a task.

Private to killinit.zot: it may change at any time.

Zot deletes a manifest when its last tag is overwritten: https://github.com/project-zot/zot/issues/4444
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
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
    requests: t.Iterable[R], kind: str, read: t.Container[Reference] = (), name: t.Callable[[R], str] | None = None
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


# The maximum number of errors that a message contains.
_MESSAGES = 5


class TagOutcome(t.NamedTuple):
    """The outcome for one tag. In check mode *after* has no manifest if the tag would be written.

    *previous_tag* is the reference that keeps the image *before*. *error* is the reason why the tag was not checked or
    not written. *removed* means that the tag was removed.
    """

    before: Image
    after: Image
    changed: bool = False
    previous_tag: Reference | None = None
    error: ZotError | None = None
    removed: bool = False

    def for_ansible(self, raised: ZotError | None = None) -> dict[str, t.Any]:
        """An entry of C(tags) in the result. *raised* is the error of the task, which contains the remedy."""
        image = self.after.for_ansible()
        return {
            **{name: image[name] for name in ("reference", "repository", "tag", "digest", "platforms", "size")},
            "changed": self.changed,
            "previous_tag": str(self.previous_tag) if self.previous_tag else None,
            "error": self.error.for_tag(raised) if self.error else None,
        }

    def diff(self) -> dict[str, t.Any]:
        """The entry of the tag in the diff."""
        reference = str(self.after.reference)
        after = _diff_entry(self.after, planned=self.changed and not self.removed)
        return {
            "before_header": reference,
            "before": _diff_entry(self.before),
            "after_header": reference,
            "after": {**after, **({"previous_tag": str(self.previous_tag)} if self.previous_tag else {})},
        }


class Outcome:
    """The outcome for the tags of one archive, one index or one published image."""

    def __init__(self, references: t.Iterable[Reference], image: Reference | None = None) -> None:
        """*references* are the tags; none is settled. *image* is the one whose image the result shows, or the first."""
        self._image = image
        self._tags = {reference: TagOutcome(Image(reference), Image(reference)) for reference in references}
        self._settled: set[Reference] = set()

    def found(self, image: Image, *, settled: bool) -> None:
        """Record that the tag refers to *image*. The tag is *settled* if it needs no write."""
        self._tags[image.reference] = TagOutcome(image, image)
        if settled:
            self._settled.add(image.reference)

    def kept(self, reference: Reference, keeper: Reference | None) -> None:
        """Record that *keeper* was written, unless it is None. The write of the tag itself may fail."""
        self._tags[reference] = self._tags[reference]._replace(previous_tag=keeper)

    def wrote(self, after: Image, *, previous_tag: Reference | None = None) -> None:
        """Record that the tag was written, or in check mode would be written, and then refers to *after*."""
        before = self._tags[after.reference].before
        self._tags[after.reference] = TagOutcome(before, after, True, previous_tag)
        self._settled.add(after.reference)

    def removed(self, reference: Reference) -> None:
        """Record that the tag was removed, or would be removed in check mode."""
        before = self._tags[reference].before
        self._tags[reference] = TagOutcome(before, Image(reference), True, removed=True)
        self._settled.add(reference)

    def fail(self, error: ZotError, *references: Reference) -> None:
        """Set the error of *references*, also of settled ones. Without *references*, set it for all tags."""
        for reference in references or self._tags:
            self._tags[reference] = self._tags[reference]._replace(error=error)

    @property
    def failed(self) -> bool:
        """Whether a tag has an error."""
        return any(tag.error for tag in self._tags.values())

    @property
    def image(self) -> Image:
        """The image that the result shows."""
        return self._tags[self._image].after if self._image else self.tags[0].after

    @property
    def tags(self) -> list[TagOutcome]:
        """The tags in the order of the references."""
        return list(self._tags.values())

    @contextlib.contextmanager
    def catch(self) -> t.Iterator[None]:
        """Set a ZotError as the error of the tags that are not settled, or of all tags if all are settled."""
        try:
            yield
        except ZotError as error:
            self.fail(error, *(self._tags.keys() - self._settled))


def first_error(errors: t.Sequence[ZotError]) -> ZotError | None:
    """The error that a task reports. A retryable error must not hide one that needs a change."""
    return min(errors, key=lambda error: error.retryable, default=None)


NOTHING_WRITTEN = "nothing was written"


def nothing_written(first: ZotError, errors: t.Sequence[ZotError]) -> str:
    """The message of a task that found *errors* before its first write. It begins with the one of *first*."""
    return _joined(first, errors, NOTHING_WRITTEN)


def _joined(first: ZotError, errors: t.Sequence[ZotError], end: str) -> str:
    messages = list(dict.fromkeys([first.message, *(error.message for error in errors)]))
    more = [f"and {len(messages) - _MESSAGES} more"] if len(messages) > _MESSAGES else []
    return "; ".join([*messages[:_MESSAGES], *more, end])


def report(
    outcomes: t.Sequence[Outcome], *, single: bool, moves: t.Sequence[Move] | None = None, unmoved: str | None = None
) -> dict[str, t.Any]:
    """The result of a task: C(image) for a *single* request or C(images) for a list, C(tags) and C(diff).

    With *moves* also C(moved). Raises ZotError if a tag failed. The error contains the result, which shows the tags
    that were written. *unmoved* is the end of the message of a task that has stopped: it moved no tag after an error,
    so that tags without an error may not be in place either.
    """
    images = [outcome.image.for_ansible() for outcome in outcomes]
    tags = [tag for outcome in outcomes for tag in outcome.tags]
    errors = [tag.error for tag in tags if tag.error]
    first = first_error(errors)
    result: dict[str, t.Any] = {
        # A tag that failed can have a keeper that was written.
        "changed": any(tag.changed or tag.previous_tag for tag in tags),
        "tags": [tag.for_ansible(first) for tag in tags],
        "diff": [tag.diff() for tag in tags if tag.changed],
        **({"image": images[0]} if single else {"images": images}),
    }
    moved = moved_entries(moves or ())
    if moves is not None:
        result["moved"] = moved
    if first is None:
        return result
    end = f"moved: {', '.join(entry['reference'] for entry in moved)}" if moved else unmoved
    if end and unmoved:
        raise first.with_(message=_joined(first, errors, end), result=result) from first
    message = "; ".join(filter(None, (_summary(tags, first), end)))
    raise first.with_(message=message, result=result) from first


def _summary(tags: t.Sequence[TagOutcome], first: ZotError) -> str:
    failed = sum(tag.error is not None for tag in tags)
    if failed == len(tags) and all(tag.error is first for tag in tags):
        return first.message
    return f"{len(tags) - failed} of {len(tags)} tags are in place, {failed} failed: {first.message}"


def _diff_entry(image: Image, *, planned: bool = False) -> dict[str, t.Any]:
    digest = image.digest or ("(known after the push)" if planned else None)
    return {"reference": str(image.reference), "digest": digest, "platforms": image.platforms}
