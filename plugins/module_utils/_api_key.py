# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List, create and revoke the API keys of one account of Zot, and decide which of them stay.

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
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_client import (
    Answer,
    HttpClient,
    HttpRequest,
    invalid_answer,
    object_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import at_least, seconds_option, text_option

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
            answer = self._client.send(HttpRequest("GET", _PATH, what, accept="application/json"), self._basic)
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
        if answer.status != status:
            hint = "The user may not have API keys: {credentials}."
            raise self._client.refused(answer, message, self._origin, denied=hint)


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


# The time that passes between the reading of the clock and the creation of a key, in seconds.
_MOMENT = 60
# A key that is not in use after this time, in seconds, is one of a run that was interrupted.
_LONGEST_RUN = 600


@dataclass(frozen=True)
class _Request:
    label: str
    expires_in: int
    renew_before: int
    keep: int | None
    in_use: str | None
    force: bool
    uuid: str | None
    unused_for: int

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> _Request:
        """The request of the options. Raises ZotError."""
        durations: dict[str, t.Any] = {
            name: seconds_option(name, params[name]) for name in ("expires_in", "renew_before", "unused_for")
        }
        if params["keep"] is not None:
            at_least(1, keep=params["keep"])
        label = text_option("label", params["label"])
        if not label.strip():
            raise ZotError("invalid_option", "label is empty: name what the key is for")
        if durations["renew_before"] >= durations["expires_in"]:
            raise ZotError(
                "invalid_option",
                f"renew_before is {params['renew_before']}, but must be less than expires_in, {params['expires_in']}",
                hint="Otherwise each run makes a new key.",
            )
        others: dict[str, t.Any] = {name: params[name] for name in ("keep", "in_use", "uuid", "force")}
        return cls(label=label, **others, **durations)

    def is_young(self, key: ApiKey, now: float) -> bool:
        """Whether a key needs no successor yet. A key that lives longer than expires_in does."""
        if key.expires is None or (self.in_use is not None and key.uuid != self.in_use):
            return False
        return key.expires - now > self.renew_before and key.expires - key.created <= self.expires_in + _MOMENT


def run(keys: ApiKeys, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Make or revoke keys, and return the result of the module. With *dry_run* nothing changes. Raises ZotError."""
    request = _Request.of(params)
    if params["state"] == "present" and keys.from_key:
        raise ZotError(
            "invalid_option",
            f"the password of {keys.username!r} is an API key, and a key must not make keys",
            hint="Otherwise who has one key has access forever, since its successors expire later. Use the password of"
            " the user. A key may list and revoke keys.",
        )
    every = keys.read()
    before = [key for key in every if key.label == request.label]
    made: tuple[ApiKey, str] | None = None
    current: ApiKey | None
    if params["state"] == "absent":
        current = _in_use(request, before)
        kept = [key for key in before if _stays(request, key, current, keys.now)]
    else:
        young = [key for key in before if request.is_young(key, keys.now)]
        current = None if request.force or not young else young[-1]
        if current is None and not dry_run:
            made = keys.create(request.label, keys.now + request.expires_in)
            current = made[0]
        kept = _kept(request, before, current, keys.now)
    revoked = [key for key in before if key not in kept]
    if not dry_run:
        _revoke(keys, revoked, made)
    gone = {key.uuid for key in revoked}
    after = [*(key for key in before if key.uuid not in gone), *([made[0]] if made else [])]
    planned: ApiKey | None = None
    if current is None and params["state"] == "present":
        planned = ApiKey("", request.label, keys.now, keys.now + request.expires_in, None, "")
    shown = planned or current
    return {
        "changed": bool(made or planned or revoked),
        "created": bool(made or planned),
        **({"key": made[1]} if made else {}),
        "account": keys.username,
        "label": request.label,
        "uuid": current.uuid if current else None,
        "expires_at": shown.expires_at if shown else None,
        "api_keys": [key.for_ansible(keys.now) for key in after],
        "revoked": [key.for_ansible(keys.now) for key in revoked],
        "unused": [
            key.for_ansible(keys.now)
            for key in every
            if key.uuid not in gone
            and not key.is_expired(keys.now)
            and max(key.created, key.last_used or 0) < keys.now - request.unused_for
        ],
        "diff": _diff(request.label, before, after, planned),
    }


def _stays(request: _Request, key: ApiKey, in_use: ApiKey | None, now: float) -> bool:
    """Whether a key stays although the keys of its label are revoked."""
    if request.uuid is not None:
        return key.uuid != request.uuid
    if in_use is None:
        return False
    # Another run may be about to write a newer key to the place that holds the keys of this label.
    return key == in_use or (key.created > in_use.created and key.created > now - _LONGEST_RUN)


def _in_use(request: _Request, before: t.Iterable[ApiKey]) -> ApiKey | None:
    """The only key that stays. Raises ZotError if it is no key of the label, since then all would be revoked."""
    if request.in_use is None:
        return None
    found = next((key for key in before if key.uuid == request.in_use), None)
    if found is None:
        raise ZotError(
            "not_found",
            f"in_use is {request.in_use}, which is not a key with the label {request.label!r}; nothing was revoked",
            hint="Correct label, in_use or the user. Without in_use all keys with this label are revoked.",
        )
    return found


def _kept(request: _Request, before: t.Sequence[ApiKey], current: ApiKey | None, now: float) -> list[ApiKey]:
    """The keys that stay: the current one, the one in use, and the newest that are valid, up to the option keep."""
    if request.keep is None:
        return list(before)
    others = [key for key in reversed(before) if key != current and not key.is_expired(now)]
    in_use = [key for key in others if key.uuid == request.in_use]
    newest = [key for key in others if key not in in_use]
    return [*([current] if current else []), *in_use, *newest[: max(0, request.keep - 1 - len(in_use))]]


def _revoke(keys: ApiKeys, revoked: t.Iterable[ApiKey], made: tuple[ApiKey, str] | None) -> None:
    """Revoke keys. If that fails, a key that was just *made* is revoked too, since a failed task does not return it."""
    done: list[ApiKey] = []
    try:
        for key in revoked:
            keys.revoke(key)
            done.append(key)
    except ZotError as error:
        message = error.message
        if made:
            try:
                keys.revoke(made[0])
            except ZotError:
                message += f"; the new key {made[0].uuid} is valid, and nobody knows it"
        gone = [key.for_ansible(keys.now) for key in done]
        raise error.with_(message=message, result={"changed": bool(gone), "revoked": gone}) from error


def _diff(label: str, before: t.Iterable[ApiKey], after: t.Iterable[ApiKey], planned: ApiKey | None) -> dict[str, str]:
    """The keys before and after, one a line. A real run would make the *planned* key."""

    def lines(keys: t.Iterable[ApiKey]) -> list[str]:
        return [f"{key.uuid} expires {key.expires_at or 'never'}\n" for key in keys]

    new = [f"new key expires {planned.expires_at}\n"] if planned else []
    header = f"API keys {label}"
    return {
        "before_header": header,
        "before": "".join(lines(before)),
        "after_header": header,
        "after": "".join([*lines(after), *new]),
    }
