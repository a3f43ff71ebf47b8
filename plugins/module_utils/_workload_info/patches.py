# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create the patches that restart the pods of workloads or set images, and the patches that undo them.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import ImageUse, Object, record, template_of
from ansible_collections.killinit.zot.plugins.module_utils._workload_info.rollouts import RESTARTED_AT

Images = t.Sequence[tuple[ImageUse, str]]


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
