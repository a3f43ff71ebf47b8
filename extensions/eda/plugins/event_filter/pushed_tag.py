# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep the repository, the tag and the digest of an event of Zot, or what a scan found, and drop everything else.

ansible-rulebook passes an event to a playbook as variables that Ansible templates: a Jinja expression in a field would
run as soon as a task reads that field. Therefore only text that cannot be an expression passes this filter.
"""

from __future__ import annotations

DOCUMENTATION = r"""
---
short_description: Reduce events of Zot to the repository, the tag and the digest of a pushed tag
description:
  - Reduces an event of the type C(zotregistry.image.updated) to C(payload.name), C(payload.reference) and
    C(payload.digest), and drops all other fields and headers.
  - Drops events of other types, manifests that were pushed without a tag, signatures, and the upload tags of
    C(killinit.zot.zot_publish), which hold images until their tags move.
  - With O(scanned), reduces an event of the type C(zotregistry.image.scanned) instead, to C(payload.name),
    C(payload.reference), which is a tag or a digest, C(payload.digest) and the numbers of C(payload.summary).
  - Refuses an event whose fields are not a valid repository, tag and digest, and logs a warning with the reason.
  - Refuses a repository whose first part could be a registry, for example C(docker.io/library/nginx).
options:
  scanned:
    description: Whether to pass the scans of images instead of pushes.
    type: bool
    default: false
"""

EXAMPLES = r"""
- eda.builtin.webhook:
    host: 127.0.0.1
    port: 5000
    token: "{{ zot_event_token }}"
  filters:
    - killinit.zot.pushed_tag:

- eda.builtin.webhook:
    host: 127.0.0.1
    port: 5001
    token: "{{ zot_event_token }}"
  filters:
    - killinit.zot.pushed_tag:
        scanned: true
"""

import logging
import re
import typing as t

_LOG = logging.getLogger("killinit.zot.pushed_tag")
_PUSHED, _SCANNED = "zotregistry.image.updated", "zotregistry.image.scanned"
# The same grammar as in the condition of the rulebooks.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_FIELDS = (
    ("name", "a repository", re.compile(rf"(?=.{{1,255}}\Z){_PART}(?:/{_PART})*")),
    ("reference", "a tag", re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")),
    ("digest", "a digest", re.compile(r"sha256:[0-9a-f]{64}")),
)
_REGISTRY = re.compile(r"(?:localhost|[^/]*\.[^/]*)/.*")
_COUNTS = tuple(f"{name}Count" for name in ("critical", "high", "medium", "low", "unknown", "fixable"))
# A manifest that was pushed by digest, for example a member of an index, the tags of signatures, and upload tags.
_NO_TAG = re.compile(r"sha256:[0-9a-f]{64}|sha256-[0-9a-f]{64}(?:\.[a-z]+)?|upload-[0-9a-f]{12}-.+")


def main(event: dict[str, t.Any], scanned: bool = False) -> dict[str, t.Any] | list[t.Any]:
    """Return the event with the fields that the description names, or an empty list to drop the event."""
    payload, kind = event.get("payload"), _type_of(event)
    if kind is None:
        # An event stream that does not forward the header. Only a scan has a summary.
        kind = _SCANNED if isinstance(payload, dict) and "summary" in payload else _PUSHED
    if kind != (_SCANNED if scanned else _PUSHED):
        _LOG.info("Ignored an event of the type %s", _printable(kind))
        return []
    if not isinstance(payload, dict):
        return _refuse("the body", payload, "is not a JSON object")
    reference = payload.get("reference")
    has_tag = not isinstance(reference, str) or not _NO_TAG.fullmatch(reference)
    if not has_tag and not scanned:
        _LOG.info("Ignored %s, which is not a tag of a release", _printable(reference))
        return []
    for name, noun, pattern in _FIELDS:
        value = payload.get(name)
        if not (name == "reference" and not has_tag) and not (isinstance(value, str) and pattern.fullmatch(value)):
            return _refuse(name, value, f"is not {noun}")
    if _REGISTRY.fullmatch(payload["name"]):
        return _refuse("name", payload["name"], "begins with the name of a registry")
    fields = {name: payload[name] for name, _noun, _pattern in _FIELDS}
    if not scanned:
        return {"payload": fields}
    summary = payload.get("summary")
    counts = {name: summary.get(name) for name in _COUNTS} if isinstance(summary, dict) else {}
    # bool is a subclass of int.
    valid = [isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts.values()]
    if not valid or not all(valid):
        return _refuse("summary", summary, "does not count vulnerabilities")
    return {"payload": {**fields, "summary": counts}}


def _type_of(event: dict[str, t.Any]) -> t.Any:
    """The type of the event; None if an event stream does not forward the header."""
    meta = event.get("meta")
    headers = meta.get("headers") if isinstance(meta, dict) else None
    # Proxies change the case of header names.
    found = {str(name).lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    return found.get("ce-type")


def _refuse(name: str, value: object, reason: str) -> list[t.Any]:
    _LOG.warning("Refused an event: %s %s %s", name, _printable(value), reason)
    return []


def _printable(value: object) -> str:
    if not isinstance(value, str):
        return f"of the type {type(value).__name__}"
    return ascii(value if len(value) <= 100 else f"{value[:100]}...")
