# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""That both sides did the same work: without that a ratio says nothing. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from environment.registry import Request

WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})


class DifferentWork(Exception):
    """One side did something else than was to be measured; the message says which and what."""


def succeeded(side: str, code: int, output: str) -> None:
    """The run ended well."""
    if code != 0:
        raise DifferentWork(f"{side} ended with {code}:\n{output}")


def same(side: str, what: str, found: Any, wanted: Any) -> None:
    """Something is as it was to be."""
    if found != wanted:
        raise DifferentWork(f"{side}: {what} is {found}, not {wanted}")


def report(side: str, output: str, name: str) -> dict[str, Any]:
    """The report of a role, which a playbook has passed on with set_stats."""
    found = re.search(r"RUN: (\{.*\})", output)
    if not found:
        raise DifferentWork(f"{side} has no report:\n{output}")
    document: dict[str, Any] = json.loads(found[1])[name]
    return document


def nothing_written(side: str, requests: Sequence[Request]) -> None:
    """The registry received requests, and none of them changed it."""
    if not requests:
        raise DifferentWork(f"{side} did not ask the registry at all")
    written = [f"{request.method} {request.path}" for request in requests if request.method in WRITES]
    if written:
        raise DifferentWork(f"{side} wrote where nothing was to be done: {', '.join(written)}")


def manifests_written(side: str, requests: Sequence[Request], paths: Collection[str]) -> None:
    """Each of these manifests was written, and no other one."""
    found = {request.path for request in requests if request.method == "PUT" and "/manifests/" in request.path}
    if found != set(paths):
        raise DifferentWork(f"{side} wrote {sorted(found)}, not {sorted(paths)}")


def digests_read(side: str, output: str, expected: Collection[str]) -> None:
    """The run printed these digests, and no other one."""
    found = set(re.findall(r"sha256:[0-9a-f]{64}", output))
    if not expected or found != set(expected):
        raise DifferentWork(
            f"{side} read {len(found)} digests: {sorted(found - set(expected))} are not to be there,"
            f" {sorted(set(expected) - found)} are missing"
        )


def numbers_read(side: str, output: str, expected: Sequence[int]) -> None:
    """The run printed these numbers, each on a line of its own, in this order."""
    found = [int(line.strip(" ,")) for line in output.splitlines() if line.strip(" ,").isdigit()]
    same(side, "what it counted", found, list(expected))


def holds_image(side: str, reference: str, config: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """The tag holds the image of the archive: its layers, for its platform."""
    for key in ("rootfs", "architecture", "os"):
        if not wanted.get(key) or config.get(key) != wanted[key]:
            raise DifferentWork(f"{side} left another image under {reference}: {key} is {config.get(key)}")
