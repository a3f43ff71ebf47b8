# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a release or a rollback has moved, who follows it, and the patches that set images or restart pods.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import (
    RECORD,
    RecordedImage,
    ReleaseRecord,
    known_reference,
    managing_tool,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse, Object, record
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import form_of, is_revision
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import references_option
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import RESTARTED_AT


@dataclass(frozen=True)
class MovedTag:
    """A shared tag with its digest before the rollback, which may be unknown, and after it.

    *revision* is the revision of the digest before.
    """

    tag: Reference
    before: str | None
    after: str
    revision: str | None = None


@dataclass(frozen=True)
class Rollback:
    """The report of the role zot_rollback. *is_exact* is true if the user has named the *revision*."""

    moves: t.Sequence[MovedTag]
    revision: str | None
    is_exact: bool

    @classmethod
    def of(cls, option: t.Mapping[str, t.Any] | None, registry: str) -> Rollback | None:
        """The option C(rollback) of a task. Raises ZotError."""
        if not option:
            return None
        if not option.get("ok"):
            raise ZotError("invalid_option", "rollback is not the report of a rollback that succeeded")
        images, revision = option.get("images"), option.get("revision")
        if not isinstance(images, list) or not all(isinstance(each, dict) for each in images):
            raise ZotError("invalid_option", "rollback.images is not a list of shared tags")
        problem = None if revision is None else text_problem("rollback.revision", revision)
        if problem:
            raise ZotError("invalid_option", problem)
        moves = []
        for each in images:
            (tag,) = references_option("rollback.images", [each.get("reference")], registry)
            before, after = each.get("from"), each.get("to")
            if not isinstance(after, str) or not is_digest(after):
                raise ZotError("invalid_option", f"rollback.images has no digest in to for {tag}")
            before = before if isinstance(before, str) and is_digest(before) else None
            moves.append(MovedTag(tag, before, after, each.get("from_revision")))
        return cls(moves, revision or None, bool(option.get("exact")) and bool(revision))

    @property
    def names(self) -> frozenset[str]:
        """The repositories of the rollback, with their registry."""
        return frozenset(each.tag.name for each in self.moves)

    def move(self, reference: Reference) -> MovedTag | None:
        """The move of the tag that a reference names."""
        tagged = reference.tagged(reference.tag) if reference.tag else None
        return next((each for each in self.moves if each.tag == tagged), None)

    def lost(self, name: str) -> frozenset[str]:
        """The digests that the tags of a repository have lost. Empty if an earlier rollback has moved the tags."""
        return frozenset(
            each.before for each in self.moves if each.tag.name == name and each.before and each.before != each.after
        )

    def after(self, name: str) -> frozenset[str]:
        """The digests that the tags of a repository have now."""
        return frozenset(each.after for each in self.moves if each.tag.name == name)

    def is_done(self, record: ReleaseRecord) -> bool:
        """Whether this rollback, or an earlier one to the same revision, wrote the record."""
        return record.is_rollback and record.revision == self.revision

    def undoes(self, record: ReleaseRecord, image: RecordedImage) -> bool:
        """Whether the record says that a release started an image that is rolled back."""
        if image.name not in self.names or self.is_done(record):
            return False
        lost, after = self.lost(image.name), self.after(image.name)
        if image.runs in after:
            # The release has the same image as the one before it, but it has set its own revision.
            moved = {each.revision for each in self.moves if each.before != each.after}
            return image.before != image.after and record.revision is not None and record.revision in moved
        if lost:
            return image.runs in lost
        # The tags were moved by a rollback that did not finish. It restored what has the digest of the tags.
        return self.is_exact or image.ran in after or any(image.before.endswith(f"@{each}") for each in after)

    def references(self, record: ReleaseRecord | None) -> t.Iterator[Reference]:
        """What must be read in the registry to restore the workload of a record."""
        for image in record.images.values() if record else ():
            before = known_reference(image.before)
            yield before.tagged(before.tag) if before.tag else before
            for digest in filter(None, (before.digest, image.ran)):
                yield before.pinned(digest)

    @property
    def lost_references(self) -> list[Reference]:
        """The images that the tags have lost, by digest."""
        return [tag.pinned(digest) for tag in (each.tag for each in self.moves) for digest in self.lost(tag.name)]


Images = t.Sequence[tuple[ImageUse, str]]


class Release:
    """The references that a release published."""

    def __init__(self, references: t.Iterable[Reference]) -> None:
        self.references = tuple(dict.fromkeys(references))
        self._tags = {(each.name, each.tag) for each in self.references}
        self._revisions: dict[tuple[str, str], Reference] = {}
        self._with_revision = {each.name for each in self.references if each.tag and is_revision(each.tag)}
        for each in self.references:
            form = self._form(each)
            if form:
                self._revisions.setdefault((each.name, form), each)

    @property
    def revision(self) -> str | None:
        """The revision; None if only shared tags were released."""
        return next((each.tag for each in self.references if self.is_revision(each)), None)

    def target(self, reference: Reference) -> Reference | None:
        """The released reference that a container follows; None if it does not follow the release.

        A container follows a tag of the release, also with a digest. If it names another revision or only a digest, it
        follows the revision. It does not follow if it names another shared tag.
        """
        if reference.tag and (reference.name, reference.tag) in self._tags:
            return reference.tagged(reference.tag)
        released = self.named(reference.name)
        if reference.tag is None or released is None:
            return released
        # A release of shared tags has no revision, so every revision is another one.
        is_other = is_revision(reference.tag) and not self.is_revision(released)
        return released if is_other else self._revisions.get((reference.name, self._form(reference) or ""))

    def is_revision(self, reference: Reference) -> bool:
        """Whether a released reference is a revision, and not a shared tag."""
        return self._form(reference) is not None

    def named(self, name: str) -> Reference | None:
        """The released reference of a repository, preferably its revision; None if the release has none."""
        found = [each for each in self.references if each.name == name and each.tag]
        return next((each for each in found if self._form(each)), found[0] if found else None)

    def _form(self, reference: Reference) -> str | None:
        """The form of a tag. Beside a revision such as 1.4.2, another tag of the release is a shared tag."""
        tag = reference.tag or ""
        return None if reference.name in self._with_revision and not is_revision(tag) else form_of(tag)


def manager_of(workload: Object) -> str | None:
    """What Argo CD, Flux or Helm does to an image that it did not set; None if none of them manages the workload."""
    tool = managing_tool(workload)
    return tool and ("the next helm upgrade reverts it" if tool == "Helm" else f"{tool} reverts it")


def patch_of(
    workload: Object, digests: t.Iterable[tuple[ImageUse, str | None]], images: Images, release: str, restart: str
) -> dict[str, t.Any]:
    """A strategic merge patch for kubernetes.core.k8s that restarts the pods, sets *images*, and writes the record.

    *digests* are those that the annotations of the pods have, *release* is the record, *restart* the time.
    """
    is_cronjob = workload["kind"] == "CronJob"
    annotations = {} if is_cronjob else {**record(digests), RESTARTED_AT: restart}
    template: dict[str, t.Any] = {"metadata": {"annotations": annotations}} if annotations else {}
    specification: dict[str, list[dict[str, t.Any]]] = {}
    for use, image in images:
        fields = {"image": {"reference": image}} if use.kind == "image volume" else {"image": image}
        specification.setdefault(use.path[0], []).append({"name": use.name, **fields})
    if specification:
        template["spec"] = specification
    metadata = {name: workload["metadata"][name] for name in ("name", "namespace")}
    return {
        "apiVersion": "batch/v1" if is_cronjob else "apps/v1",
        "kind": workload["kind"],
        "metadata": {**metadata, "annotations": {RECORD: release}},
        "spec": {"jobTemplate": {"spec": {"template": template}}} if is_cronjob else {"template": template},
    }
