# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pull secret says of the API key that it holds: an annotation beside the data.

Private to killinit.zot: it may change at any time.

The annotation has a fingerprint of the key. After somebody else has changed the entry, it says nothing of the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullCredentials, PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import object_in, parse_time, printable

# A JSON object with an entry for each registry.
API_KEYS = "killinit.zot/api-keys"


@dataclass(frozen=True)
class PullKey:
    """An API key in a pull secret, without the key itself. *expires_at* is a time of RFC 3339, or None for never."""

    uuid: str
    label: str
    expires_at: str | None

    def expiry_text(self, now: float, within: float) -> str | None:
        """A sentence if the key has expired, or expires *within* some seconds. Zot only says that it is not valid."""
        expires = parse_time(self.expires_at)
        if expires is None or expires.timestamp - now > within:
            return None
        word = "has expired" if expires.timestamp <= now else "expires"
        return printable(f"The API key {self.uuid} ({self.label}) {word} at {self.expires_at}.")

    def for_ansible(self) -> dict[str, t.Any]:
        """The value of C(key) in a result. The texts are escaped: they come from a cluster."""
        return {name: value and printable(value) for name, value in asdict(self).items()}


def held_key(secret: Object | None, registry: str) -> PullKey | None:
    """The API key in the entry of *registry*; None if the entry holds something else, or if nothing is known of it."""
    credentials = held_credentials(secret, registry)
    record = _records(secret).get(registry)
    with contextlib.suppress(KeyError, TypeError):
        if credentials and record["fingerprint"] == _fingerprint(credentials.password):  # type: ignore[index]
            expires = record["expires_at"]  # type: ignore[index]
            return PullKey(str(record["uuid"]), str(record["label"]), None if expires is None else str(expires))  # type: ignore[index]
    return None


def held_credentials(secret: Object | None, registry: str) -> PullCredentials | None:
    """The user name and the password in the entry of *registry*; None if there is no such entry."""
    found = [each for each in PullSecret.read(secret or {}).entries if each.key == registry]
    return PullCredentials(found[-1].username, found[-1].password) if found else None


def key_annotation(secret: Object | None, registries: t.Iterable[str], key: PullKey, password: str) -> dict[str, str]:
    """The annotation of a secret whose entries of *registries* hold *key*. *password* is the key itself."""
    entry = {**asdict(key), "fingerprint": _fingerprint(password)}
    return {API_KEYS: json.dumps({**_records(secret), **dict.fromkeys(registries, entry)}, sort_keys=True)}


def key_label(server: str, namespace: str, secret: str, accounts: t.Mapping[str, Object] | None) -> str | None:
    """The label of the keys of a pull secret. None if the service accounts are not known.

    Two clusters may have the same address, for example that of a tunnel, and would revoke the keys of each other. The
    identifier of the service account default, which each namespace has, differs.
    """
    identifier = (accounts or {}).get("default", {}).get("metadata", {}).get("uid")
    host = server.partition("://")[2] or server
    return f"{namespace}/{secret} at {host.rstrip('/')} ({identifier[:8]})" if identifier else None


def _records(secret: Object | None) -> dict[str, t.Any]:
    return object_in(((secret or {}).get("metadata", {}).get("annotations") or {}).get(API_KEYS))


def _fingerprint(password: str) -> str:
    # An API key has 128 random bits, so nobody finds it by its fingerprint.
    return hashlib.sha256(password.encode()).hexdigest()[:16]
