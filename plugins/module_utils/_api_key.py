# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make, renew and revoke the API keys of one label.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._registry.api_keys import ApiKey, ApiKeys
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import at_least, seconds_option, text_option

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
