# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The references of a release, who follows them, and the patches that set images or restart pods.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.managers import managing_tool
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse, Object, record
from ansible_collections.killinit.zot.plugins.module_utils._cluster.release_records import RECORD
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import form_of, is_revision
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import RESTARTED_AT

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
