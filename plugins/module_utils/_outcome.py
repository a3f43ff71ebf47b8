# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of tags, as the modules report and show it.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError


@dataclass(frozen=True)
class TagOutcome:
    """What became of one tag. In check mode *after* has no manifest where there would be a write.

    *kept* is the reference under which the image that was there stays reachable, *error* what kept the tag from being
    judged or written.
    """

    before: Image
    after: Image
    changed: bool = False
    kept: Reference | None = None
    error: ZotError | None = None

    def for_ansible(self) -> dict[str, t.Any]:
        """One of C(tags) in a result."""
        image = self.after.for_ansible()
        return {
            **{name: image[name] for name in ("reference", "repository", "tag", "digest", "platforms", "size")},
            "changed": self.changed,
            "kept": str(self.kept) if self.kept else None,
            "error": self.error.for_ansible() if self.error else None,
        }

    def diff(self) -> dict[str, t.Any]:
        """Before and after, as Ansible shows them."""
        reference = str(self.after.reference)
        return {
            "before_header": reference,
            "before": _shown(self.before),
            "after_header": reference,
            "after": _shown(self.after, planned=self.changed),
        }


class Outcome:
    """What becomes of the tags of one archive or one index, filled in while it happens.

    In a with statement it takes a ZotError for the error of all tags that are not settled by then.
    """

    def __init__(self, references: t.Iterable[Reference]) -> None:
        """Nothing is known yet of any of *references*."""
        self._tags = {reference: TagOutcome(Image(reference), Image(reference)) for reference in references}
        self._settled: set[Reference] = set()

    def found(self, image: Image, *, settled: bool) -> None:
        """The tag means *image* now; it is *settled* if nothing is to be done to it."""
        self._tags[image.reference] = TagOutcome(image, image)
        if settled:
            self._settled.add(image.reference)

    def wrote(self, after: Image, *, kept: Reference | None = None) -> None:
        """The tag means *after* now, or in check mode would; what it meant before is *kept*."""
        before = self._tags[after.reference].before
        self._tags[after.reference] = TagOutcome(before, after, True, kept)
        self._settled.add(after.reference)

    @property
    def tags(self) -> list[TagOutcome]:
        """One for each reference, in their order."""
        return list(self._tags.values())

    def __enter__(self) -> Outcome:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, ZotError):
            return False
        for reference in self._tags.keys() - self._settled:
            self._tags[reference] = replace(self._tags[reference], error=error)
        return True


def report(outcomes: t.Sequence[Outcome], *, single: bool) -> dict[str, t.Any]:
    """The result of a task: C(image) for a *single* request, C(images) for a list, C(tags), and a diff for each change.

    Raises ZotError when one of them failed; the error carries the result, so that it is seen what landed.
    """
    images = [outcome.tags[0].after.for_ansible() for outcome in outcomes]
    tags = [tag for outcome in outcomes for tag in outcome.tags]
    result: dict[str, t.Any] = {
        "changed": any(tag.changed for tag in tags),
        "tags": [tag.for_ansible() for tag in tags],
        "diff": [tag.diff() for tag in tags if tag.changed],
        **({"image": images[0]} if single else {"images": images}),
    }
    errors = [tag.error for tag in tags if tag.error]
    if not errors:
        return result
    # One that passes by itself must not hide one that does not.
    first = min(errors, key=lambda error: error.retryable)
    landed = len(tags) - len(errors)
    raise ZotError(
        first.error_class,
        first.message
        if len(tags) == 1
        else f"{landed} of {len(tags)} tags are in place, {len(errors)} failed: {first.message}",
        hint=first.hint,
        command=first.command,
        rc=first.rc,
        stderr=first.stderr,
        result=result,
    )


def _shown(image: Image, *, planned: bool = False) -> dict[str, t.Any]:
    digest = image.digest or ("(known after the push)" if planned else None)
    return {"reference": str(image.reference), "digest": digest, "platforms": image.platforms}
