# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The references that a release replaces in workloads, and the patches that set images or restart pods.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.managers import managing_tool
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse, Object, record, template_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import form_of, is_revision, is_short_version
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import RESTARTED_AT

Images = t.Sequence[tuple[ImageUse, str]]


class Release:
    """The references that a release published."""

    def __init__(self, references: t.Iterable[Reference]) -> None:
        """Raises InvalidReferenceError if two of the references are different revisions of one repository."""
        self.references = tuple(dict.fromkeys(references))
        self._tags = {(each.name, each.tag) for each in self.references}
        self._revisions: dict[tuple[str, str], Reference] = {}
        self._with_revision = {each.name for each in self.references if each.tag and is_revision(each.tag)}
        for each in self.references:
            form = self._form(each)
            if form:
                first = self._revisions.setdefault((each.name, form), each)
                if first != each:
                    raise InvalidReferenceError(
                        f"images names two revisions of {each.name}, {first.tag} and {each.tag}: name one"
                    )

    def successor(self, reference: Reference) -> Reference | None:
        """The released reference that replaces another revision of the same repository; None for any other tag."""
        if reference.tag is None or (reference.name, reference.tag) in self._tags:
            return None
        return self._revisions.get((reference.name, self._form(reference) or ""))

    def named(self, name: str) -> Reference | None:
        """The released reference of a repository, preferably its revision; None if the release has none."""
        found = [each for each in self.references if each.name == name and each.tag]
        return next((each for each in found if self._form(each)), found[0] if found else None)

    def _form(self, reference: Reference) -> str | None:
        """The form of a tag. Beside the revision 1.4.2 of a release, 1.4 is a shared tag."""
        tag = reference.tag or ""
        return None if reference.name in self._with_revision and is_short_version(tag) else form_of(tag)


def manager_of(workload: Object) -> str | None:
    """What Argo CD, Flux or Helm does to an image that it did not set; None if none of them manages the workload."""
    tool = managing_tool(workload)
    return tool and ("the next helm upgrade reverts it" if tool == "Helm" else f"{tool} reverts it")


def patch_and_undo(
    workload: Object, expected: t.Iterable[tuple[ImageUse, str | None]], images: Images, stamp: str
) -> tuple[dict[str, t.Any], dict[str, t.Any] | None]:
    """Strategic merge patches for kubernetes.core.k8s: one that restarts the pods and sets *images*, and its undo.

    *expected* are the digests that the annotations record. *stamp* is the time of the restart. A patch that only
    restarts has no undo, because it changes no image.
    """
    annotations: dict[str, str | None] = {**record(expected)}
    if workload["kind"] != "CronJob":
        annotations[RESTARTED_AT] = stamp
    patch = _definition(workload, annotations, images)
    if not images:
        return patch, None
    before = (template_of(workload).get("metadata") or {}).get("annotations") or {}
    # In a patch, null removes an annotation.
    former = {name: before.get(name) for name in annotations}
    return patch, _definition(workload, former, [(use, use.image) for use, _image in images])


def _definition(workload: Object, annotations: t.Mapping[str, str | None], images: Images) -> dict[str, t.Any]:
    template: dict[str, t.Any] = {"metadata": {"annotations": dict(annotations)}} if annotations else {}
    specification: dict[str, list[dict[str, t.Any]]] = {}
    for use, image in images:
        image = use.as_written(image)
        fields = {"image": {"reference": image}} if use.kind == "image volume" else {"image": image}
        specification.setdefault(use.path[0], []).append({"name": use.name, **fields})
    if specification:
        template["spec"] = specification
    is_cronjob = workload["kind"] == "CronJob"
    return {
        "apiVersion": "batch/v1" if is_cronjob else "apps/v1",
        "kind": workload["kind"],
        "metadata": {name: workload["metadata"][name] for name in ("name", "namespace")},
        "spec": {"jobTemplate": {"spec": {"template": template}}} if is_cronjob else {"template": template},
    }
