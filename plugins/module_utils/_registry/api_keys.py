# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API keys of one account of Zot: list, create and revoke them.

Private to killinit.zot: it may change at any time.

https://zotregistry.dev/latest/articles/authn-authz/#api-keys
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import (
    parse_http_date,
    parse_time,
    printable,
    utc_text,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, classify_response
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_client import (
    Answer,
    HttpClient,
    codes_of,
    invalid_answer,
    object_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session

_PATH = "/zot/auth/apikey"
# What Zot writes for a time that does not exist.
_NO_TIME = "0001-"
_PREFIX = "zak_"


@dataclass(frozen=True)
class ApiKey:
    """An API key as Zot lists it, without the key itself. Times are in seconds since 1970; None means never."""

    uuid: str
    label: str
    created: float
    expires: float | None
    last_used: float | None
    creator: str

    def is_expired(self, now: float) -> bool:
        """Whether Zot refuses the key."""
        return self.expires is not None and self.expires <= now

    @property
    def expires_at(self) -> str | None:
        """The time of the expiry in the result."""
        return utc_text(self.expires)

    def for_ansible(self, now: float) -> dict[str, t.Any]:
        """An entry of a list of keys in the result."""
        return {
            "uuid": self.uuid,
            "label": printable(self.label),
            "created_at": utc_text(self.created),
            "expires_at": self.expires_at,
            "last_used_at": utc_text(self.last_used),
            "expired": self.is_expired(now),
        }


class ApiKeys:
    """The API keys of the account of a session. Every method raises ZotError."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._client = HttpClient(session, session.name)
        self.name = self._client.name
        # Zot asks for credentials also where anybody may pull, so any repository has the right ones.
        self._origin = session.credentials.origin(self.name, "")
        self._basic = session.credentials.account(self.name, "").basic
        self.username, password = self._account()
        self.from_key = password.startswith(_PREFIX)
        # The address of the list, which is known after the first request: https, or http where that is allowed.
        self._url = ""
        # The time of the registry, which decides when a key expires.
        self.now = 0.0

    def read(self) -> list[ApiKey]:
        """All keys of the account, the oldest first."""
        what = f"the API keys of {self.username!r} at {self.name}"

        def attempt() -> Answer:
            answer = self._client.send("GET", _PATH, what, "application/json", self._basic)
            if not self._client.is_ours(answer.url) or answer.status in (404, 405):
                raise self._no_keys()
            self._require(answer, 200, f"cannot list {what}")
            return answer

        answer = self._session.runner.retry(attempt)
        if "json" not in answer.headers.get("Content-Type", ""):  # the start page of another web server
            raise self._no_keys()
        date = parse_http_date(answer.headers.get("Date", ""))
        if date is None:
            raise invalid_answer(what, "it has no date")
        self._url, self.now = answer.url, date.timestamp
        found = object_of(answer, what).get("apiKeys")
        try:
            return sorted(map(_api_key, t.cast("list[t.Any]", found or [])), key=lambda key: (key.created, key.uuid))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise invalid_answer(what, "its keys are not API keys of Zot") from error

    def create(self, label: str, expires: float) -> tuple[ApiKey, str]:
        """Make a key, and return it and the key itself. read() must have been called before.

        If the response is lost, the key that nobody knows is revoked before the next attempt. It is recognized by the
        name of its creator, which only this attempt has.
        """
        what = f"the API key {label!r} of {self.username!r} at {self.name}"
        body: dict[str, t.Any] = {"label": label, "scopes": [], "expirationDate": utc_text(expires)}
        creators: list[str] = []

        def attempt() -> Answer:
            self._revoke_lost(creators)
            creators.append(f"killinit.zot/{secrets.token_hex(8)}")
            headers = {"User-Agent": creators[-1]}
            answer = self._client.send_once("POST", self._url, what, self._basic, json=body, headers=headers)
            if answer.status == 400:
                raise ZotError(
                    "invalid_option",
                    f"cannot create {what}: the registry refuses the expiry {utc_text(expires)} (HTTP status 400)",
                    hint="Zot refuses an expiry in the past. Check the clock of the registry.",
                )
            self._require(answer, 201, f"cannot create {what}")
            return answer

        try:
            document = object_of(self._session.runner.retry(attempt), what)
            key = document.get("apiKey")
            if not isinstance(key, str) or not key.startswith(_PREFIX):
                raise invalid_answer(what, "it has no API key")
            return _api_key(document), key
        except ZotError as error:
            try:
                self._revoke_lost(creators)
            except ZotError:
                note = f"{error.message}; a key that nobody knows may remain under this label"
                raise error.with_(message=note) from error
            raise

    def revoke(self, key: ApiKey) -> None:
        """Revoke a key. Zot also accepts a key that does not exist."""
        what = f"the API key {printable(key.label)!r} ({key.uuid}) of {self.username!r} at {self.name}"

        def attempt() -> None:
            url = f"{self._url}?id={quote(key.uuid, safe='')}"
            self._require(self._client.send_once("DELETE", url, what, self._basic), 200, f"cannot revoke {what}")

        self._session.runner.retry(attempt)

    def _revoke_lost(self, creators: t.Collection[str]) -> None:
        """Revoke the keys of earlier attempts, whose responses were lost."""
        for key in self.read() if creators else ():
            if key.creator in creators:
                self.revoke(key)

    def _account(self) -> tuple[str, str]:
        """The user name and the password. Raises ZotError if there are none."""
        with contextlib.suppress(ValueError):
            username, colon, password = base64.b64decode(self._basic.partition(" ")[2]).decode().partition(":")
            if colon and username:
                return username, password
        raise ZotError(
            "unauthorized",
            f"API keys of {self.name} need a user with a password",
            values=self._session.explained(self._origin),
        )

    def _no_keys(self) -> ZotError:
        return ZotError(
            "not_found",
            f"{self.name} has no API keys (no answer at {_PATH})",
            hint="In the configuration of Zot set http.auth.apikey to true, and start Zot again. Other registries have"
            " no such keys.",
        )

    def _require(self, answer: Answer, status: int, message: str) -> None:
        if answer.status == status:
            return
        text = answer.body.decode(errors="replace")
        error_class = classify_response(answer.status, codes_of(answer.body), text, removes=False)
        wait = answer.headers.get("Retry-After", "")
        raise ZotError(
            error_class,
            f"{message}: HTTP status {answer.status}",
            hint="The user may not have API keys: {credentials}." if error_class == "denied" else None,
            values=self._session.explained(self._origin),
            stderr=f"HTTP status {answer.status}\nRetry-After: {wait}",
        )


def _api_key(fields: t.Mapping[str, t.Any]) -> ApiKey:
    created = _seconds(fields["createdAt"])
    if created is None or not fields["uuid"]:
        raise ValueError(fields["uuid"])
    return ApiKey(
        str(fields["uuid"]),
        str(fields["label"]),
        created,
        _seconds(fields["expirationDate"]),
        _seconds(fields["lastUsed"]),
        str(fields.get("creatorUa", "")),
    )


def _seconds(text: str) -> float | None:
    if text.startswith(_NO_TIME):
        return None
    found = parse_time(text)
    if found is None:
        raise ValueError(text)
    return found.timestamp
