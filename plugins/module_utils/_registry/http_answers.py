# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse the HTTP responses of a registry: addresses, error codes, JSON objects. Pure functions.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError, json_object
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError


@dataclass(frozen=True)
class Answer:
    """A response of the registry. *url* is the address that sent it."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes
    url: str


class TooLongError(Exception):
    """The answer exceeds the limit."""


def joined(base: str, location: str, what: str) -> str:
    """The absolute address of a link in a response. Raises ZotError for a malformed address."""
    try:
        url = urljoin(base, location)
        origin(url)
    except ValueError as error:
        raise invalid_answer(what, f"it names the address {location!r}: {error}") from error
    return url


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def authorize(request: t.Any, authorization: str) -> t.Any:
    """Set the header of one request. Always passed as the argument auth, because requests reads ~/.netrc without it."""
    request.headers.pop("Authorization", None)
    if authorization:
        request.headers["Authorization"] = authorization
    return request


def object_of(answer: Answer, what: str) -> dict[str, t.Any]:
    """The JSON object in an answer. Raises ZotError for anything else."""
    try:
        return json_object(answer.body, "the answer")
    except InvalidImageError as error:
        kind = answer.headers.get("Content-Type", "")
        raise invalid_answer(what, f"{error}{f' ({kind})' if 'json' not in kind else ''}") from error


def codes_of(body: bytes) -> set[str]:
    """The error codes of a response. Zot wraps them in a list, except for wrong credentials."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    errors = document.get("errors") if isinstance(document, dict) else None
    found = [each.get("code") for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    return {code for code in found if isinstance(code, str) and re.fullmatch("[A-Z_]{1,40}", code)}


def invalid_answer(what: str, reason: str) -> ZotError:
    """The error for a response that is not a response of a registry."""
    return ZotError(
        "tool_failed",
        f"{what}: the answer of the registry is invalid: {reason}",
        hint="Check that the address is that of a registry. If the error remains, ask its operator.",
    )
