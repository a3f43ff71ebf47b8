# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy images with their attachments: the contents first, the tags last.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t
from functools import partial

from ansible_collections.killinit.zot.plugins.module_utils._copy.plan import Gate, Job, Plan, make_plans
from ansible_collections.killinit.zot.plugins.module_utils._copy.source import Source, copy_requests
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import NO_READ, ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import Referrer
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import ThreadPool, find_tool, thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, last_line
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import images_option
from ansible_collections.killinit.zot.plugins.module_utils._registry.tls import is_loopback
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import (
    Move,
    first_error,
    moved_entries,
    require_distinct,
)
from ansible_collections.killinit.zot.plugins.module_utils._tag.write import keep, move_tag, set_tag, still_needed
from ansible_collections.killinit.zot.plugins.module_utils._vulnerability_info.run import VulnerabilityGate

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.copier import Copier


class _Destination(t.NamedTuple):
    registry: Registry
    copier: Copier


def run(
    source: Session, destination: Session, params: t.Mapping[str, t.Any], moves: list[Move], *, dry_run: bool
) -> dict[str, t.Any]:
    """Copy the images of *params*. With *dry_run* only report the images that would be copied. Raises ZotError.

    The tags of images are written after the contents of all images, and the shared tags after all other tags. *moves*
    receives the moves of the tags, which show what was written if a signal ends the task.
    """
    reader, target = Registry(source), Registry(destination)
    requests = [each for item in images_option(params) for each in copy_requests(reader, target, item)]
    require_distinct(requests, "images", {request.source for request in requests})
    gate = _gate(source, params)
    with thread_pool(params["parallel"]) as pool:
        plans = make_plans(Source(reader, attached=params["referrers"]), target, requests, gate, pool)
        moves += [move for plan in plans for move in plan.moves]
        # The source scans its own images, so that nothing is written before the verdict.
        images = {plan.request.source: plan.job.contents.digest for plan in plans}
        scan = VulnerabilityGate(params, "zot_promote_max_severity").require_passed(reader, images, pool)
        if dry_run:
            for part in (part for plan in plans for part in plan.job.parts):
                part.copied = True
            for move in moves:
                move.assume_written()
        elif any(move.needed for move in moves) or any(plan.job.parts for plan in plans):
            # Imported late: most tasks write nothing.
            from ansible_collections.killinit.zot.plugins.module_utils._registry.copier import Copier

            _write(_Destination(target, Copier(source, destination)), plans, pool)
    return {**_report(plans, moves), **({"scan": scan} if scan else {})}


def _gate(source: Session, params: t.Mapping[str, t.Any]) -> Gate:
    if params["require"] and not params["referrers"]:
        raise ZotError("invalid_option", "require needs referrers: true, because required attachments must be copied")
    key = params["verify_key"]
    if key is None:
        return Gate(params["require"], None)
    try:
        with open(key, "rb"):
            pass
        program = find_tool(params["cosign_path"], "cosign")
    except ZotError as error:
        hint = "Install cosign (github.com/sigstore/cosign), or set cosign_path to its path."
        raise error.with_(hint=hint) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ZotError("invalid_option", f"verify_key {key!r} cannot be read: {reason}") from error

    key = os.path.abspath(key)  # cosign runs in another working directory

    def verify(image: Reference) -> None:
        command = [
            program,
            "verify",
            f"--key={key}",
            # A signature with a key does not need the transparency log, and a closed network cannot reach it.
            # https://github.com/sigstore/cosign/blob/main/doc/cosign_verify.md
            "--insecure-ignore-tlog=true",
            *(["--allow-insecure-registry"] if source.insecure else []),
            *(["--allow-http-registry"] if source.insecure or is_loopback(image.registry) else []),
            str(image),
        ]
        what = f"cosign does not verify {image} with {key}"
        try:
            source.runner.retry(lambda: source.run(command, image, what, message=cosign_message, denied=NO_READ))
        except ZotError as error:
            if is_unsigned(error.stderr):
                hint = "Sign the image with the private key of verify_key."
                raise error.with_(error_class="denied", hint=hint) from error
            raise

    return Gate(params["require"], verify)


def cosign_message(stderr: str) -> str:
    """The error message of cosign, or else the last line."""
    found = re.findall(r"^Error: (.*)", stderr, re.MULTILINE)
    return found[0].strip() if found else last_line(stderr)


def is_unsigned(stderr: str) -> bool:
    """Whether cosign found no valid signature. Other errors, for example of the network, do not prove that."""
    return bool(re.search(r"no (?:matching )?(?:signatures|attestations)\b", stderr))


def _write(to: _Destination, plans: t.Sequence[Plan], pool: ThreadPool) -> None:
    jobs = {id(plan.job): plan.job for plan in plans}
    list(pool.map(lambda job: _copy(to, job), jobs.values()))
    for shared in (False, True):
        if not any(plan.error or plan.job.error for plan in plans):
            list(pool.map(lambda plan: _move_tags(to, plan, shared=shared), plans))  # noqa: B023


def _copy(to: _Destination, job: Job) -> None:
    """Copy the parts that are missing at the destination. No tag of an image refers to them yet."""
    source, destination = job.contents.source, job.destination
    try:
        for part in job.parts:
            to.copier.copy(source.pinned(part.digest), destination.pinned(part.digest))
            if part.move:
                set_tag(to.registry, part.move.tag, part.digest)
            part.copied = True
    except ZotError as error:
        job.error = error


def _move_tags(to: _Destination, plan: Plan, *, shared: bool) -> None:
    """Write the tags of one image: its own tag, or with *shared* the shared tags."""
    try:
        for move in plan.moves:
            # Another client may have moved the tag since it was read: all contents were copied in between.
            if move.needed and (move.tag != plan.request.tag) is shared and still_needed(to.registry, move):
                keep(to.registry, move)
                move_tag(to.registry, move, partial(_set_tag, to, plan.job, move))
    except ZotError as error:
        plan.error = error


def _set_tag(to: _Destination, job: Job, move: Move) -> None:
    try:
        set_tag(to.registry, move.tag, move.after)
    except ZotError as error:
        if error.error_class not in ("not_found", "manifest_invalid"):
            raise
        # Zot has deleted the image or one of its parts: its last tag was the keeper that has just moved, or the garbage
        # collection ran before the image had a tag.
        to.copier.copy(job.contents.source, job.destination)
        set_tag(to.registry, move.tag, move.after)


def _report(plans: t.Sequence[Plan], moves: t.Sequence[Move]) -> dict[str, t.Any]:
    """The result of the task. If an image failed, raises a ZotError that contains the result."""
    failures = [(plan, plan.job.error or plan.error) for plan in plans]
    errors = [error for _plan, error in failures if error]
    first = first_error(errors)
    images = [_image_entry(plan, error.for_tag(first) if error else None) for plan, error in failures]
    moved = moved_entries(moves)
    result = {
        "changed": any(image["changed"] for image in images),
        "images": images,
        "moved": moved,
        "diff": [_diff(plan) for plan, image in zip(plans, images) if image["changed"]],
    }
    if first is None:
        return result
    message = f"{len(plans) - len(errors)} of {len(plans)} images are copied: {first.message}"
    raise first.with_(message=message if moved else f"{message}; no tag was written", result=result) from first


def _image_entry(plan: Plan, error: dict[str, t.Any] | None) -> dict[str, t.Any]:
    request, job = plan.request, plan.job
    pinned = job.destination
    return {
        "source": str(request.source),
        "reference": str(request.tag or pinned),
        "repository": pinned.repository,
        "tag": request.tag.tag if request.tag else None,
        "digest": pinned.digest,
        "pinned": str(pinned),
        "platforms": list(job.contents.platforms),
        "changed": bool(job.copied) or any(move.written for move in plan.moves),
        "copied": pinned.digest in job.copied,
        "referrers": [
            {
                "subject": each.subject,
                "digest": each.digest,
                "artifact_type": each.artifact_type,
                "tag": each.tag,
                "copied": (each.tag or each.digest) in job.copied,
            }
            for each in job.contents.referrers
        ],
        "tags": [
            {
                "reference": str(move.tag),
                "tag": move.tag.tag,
                "changed": move.written,
                "previous_tag": str(move.previous_tag) if move.previous_tag and move.written else None,
            }
            for move in plan.moves
        ],
        "error": error,
    }


def _diff(plan: Plan) -> dict[str, t.Any]:
    job, header = plan.job, f"{plan.job.destination.name} (from {plan.request.source})"
    before = job.contents.digest not in job.missing
    keys = {each.tag or each.digest: _referrer_text(each) for each in job.contents.referrers}
    moves = [each for move in plan.moves for each in (move, move.keeper) if each]
    return {
        "before_header": header,
        "before": {
            "digest": job.contents.digest if before else None,
            "referrers": [text for key, text in keys.items() if key not in job.missing],
            "tags": {str(move.tag.tag): move.before for move in moves},
        },
        "after_header": header,
        "after": {
            "digest": job.contents.digest if before or job.contents.digest in job.copied else None,
            "referrers": [text for key, text in keys.items() if key not in job.missing or key in job.copied],
            "tags": {str(move.tag.tag): move.after if move.written else move.before for move in moves},
        },
    }


def _referrer_text(referrer: Referrer) -> str:
    return f"{referrer.tag or referrer.artifact_type or 'unknown'} {referrer.digest}"
