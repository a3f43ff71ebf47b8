# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Publish the images of a revision as one transaction: upload all images, then move the tags, then confirm them.

Private to killinit.zot: it may change at any time.

Zot has no conditional write, and deletes an image when its last tag is overwritten. So each image is first pushed to an
upload tag, which no other revision writes and which this task never removes: it holds a member of an index even if
another job overwrites the tag of its architecture. All other tags move by digest, each right after it was read again.
"""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import Executor, ThreadPoolExecutor

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._publish.look import (
    ArchivePart,
    Publication,
    holds_parts,
    look,
)
from ansible_collections.killinit.zot.plugins.module_utils._publish.request import PublishRequest, publish_requests
from ansible_collections.killinit.zot.plugins.module_utils._push.request import OpenedArchive
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import (
    NOTHING_WRITTEN,
    UNWRITTEN,
    Move,
    Outcome,
    report,
)
from ansible_collections.killinit.zot.plugins.module_utils._vulnerability_info.run import VulnerabilityGate

# The number of tags and members that a task reads at the same time.
_PARALLEL_READS = 8


def run(session: Session, params: t.Mapping[str, t.Any], moves: list[Move], *, dry_run: bool) -> dict[str, t.Any]:
    """Publish the images of *params*. With *dry_run* only report what would be written.

    *moves* receives the tags that move, which show what was written if a signal ends the task. Raises ZotError.
    """
    registry = Registry(session)
    requests = publish_requests(registry, params)
    # Even if nothing is to do: the revision, and for each archive at least its image and its configuration.
    registry.expect(sum(len(each.pushes) * (3 if each.indexed else 1) + 1 + len(each.shared) for each in requests))
    rules = VulnerabilityGate(params, "zot_publish_max_severity")
    with contextlib.ExitStack() as stack, thread_pool(params["parallel"]) as pool:
        readers = stack.enter_context(ThreadPoolExecutor(max_workers=_PARALLEL_READS))
        # A compressed archive is read to its end. To avoid a second read, few archives stay open.
        keep = stack if sum(len(request.pushes) for request in requests) <= params["parallel"] else None
        publications = list(pool.map(lambda each: _read(registry, readers, each, keep), requests))
        outcomes = [each.outcome for each in publications]
        if any(outcome.failed for outcome in outcomes):
            return report(outcomes, single=False, moves=moves, unmoved=NOTHING_WRITTEN)
        if any(part.found is None for each in publications for part in each.parts):
            session.skopeo  # noqa: B018 - raises the error of a missing skopeo before the first write, and in check mode
        uploaded: list[Reference] = []
        scan: dict[str, t.Any] = {}

        def gate() -> None:
            """Check the images that the shared tags get, also if they have them already."""
            images = {
                each.request.revision: each.published.digest or ""
                for each in publications
                if each.shared and each.published
            }
            try:
                found = rules.require_passed(registry, images, pool)
            except ZotError as error:
                raise error.with_(result={**_report(outcomes, moves, uploaded), **error.result}) from error
            scan.update({"scan": found} if found else {})

        if dry_run:
            for each in publications:
                moves += _plan(registry, each)
        if dry_run or all(each.is_done for each in publications):
            gate()
        else:
            # Imported late: Python compiles all imports of a module in each task, and most tasks write nothing.
            from ansible_collections.killinit.zot.plugins.module_utils._publish.write import Publisher

            Publisher(session, registry, pool, moves, uploaded, gate).publish(publications)
    return {**_report(outcomes, moves, uploaded), **scan}


def _read(
    registry: Registry, readers: Executor, request: PublishRequest, keep: contextlib.ExitStack | None
) -> Publication:
    """Read the archives of an image and its tags."""
    tags = [push.references[0] for push in request.pushes] if request.indexed else []
    found = Publication(request, Outcome((*tags, request.revision, *request.shared), image=request.revision))
    with found.outcome.catch():
        found.parts = [
            ArchivePart(archive, image, part.references[0], Image(part.references[0]))
            for archive in map(OpenedArchive, request.pushes)
            for part, image in archive.read(keep)
        ]
        found.indexed = request.indexed or len(found.parts) > 1
        # The platforms of an archive are known only now.
        tags = [part.tag for part in found.parts] if found.indexed else []
        found.outcome = Outcome((*tags, request.revision, *request.shared), image=request.revision)
    if found.outcome.failed:
        return found
    for part in found.parts:
        registry.know(part.tag, part.image.predicted)
    with found.outcome.catch():
        look(registry, readers, found)
    return found


def _plan(registry: Registry, publication: Publication) -> t.Iterator[Move]:
    """Record in check mode which tags of an image would move. A digest is not known before the image is written."""
    planned = publication.planned
    held = [image for image in (publication.revision, *publication.shared) if holds_parts(registry, publication, image)]
    for image in held:
        # Publication.settle() has recorded the others, with their members.
        if not publication.is_published(image):
            publication.outcome.found(image, settled=True)
    afters = [(part.before, part.planned) for part in publication.parts if publication.indexed and not part.settled]
    afters += [(image, planned) for image in (publication.revision, *publication.shared) if image not in held]
    for before, after in afters:
        tag = before.reference
        move = Move.plan(tag, before.digest, after.digest or UNWRITTEN, publication.keeper_of(before), registry.digest)
        move.assume_written()
        publication.outcome.wrote(after._replace(reference=tag), previous_tag=move.previous_tag)
        yield move


def _report(
    outcomes: t.Sequence[Outcome], moves: t.Sequence[Move], uploaded: t.Sequence[Reference]
) -> dict[str, t.Any]:
    """The result of the task. Raises ZotError if a tag failed."""
    more = {"uploaded": [str(reference) for reference in uploaded]}
    try:
        result = report(outcomes, single=False, moves=moves, unmoved="no tag has moved")
    except ZotError as error:
        changed = error.result["changed"] or bool(uploaded)
        raise error.with_(result={**error.result, **more, "changed": changed}) from error
    return {**result, **more, "changed": result["changed"] or bool(uploaded)}
