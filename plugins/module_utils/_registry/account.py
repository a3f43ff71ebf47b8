# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account for requests that no tool makes. A credential helper of Docker may have it, as for skopeo and crane.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import base64
import json
import subprocess
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

_SECONDS = 30


@dataclass(frozen=True)
class Account:
    """What a request without a tool shows: the value of the header Authorization, or a token that gets another one."""

    basic: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def account_in(written: t.Mapping[str, t.Any], registry: str, repository: str) -> tuple[Account, set[str]]:
    """The account in an auth file that Credentials has *written*, and its secrets that are not in the file."""
    auths, helper = written["auths"], written["credHelpers"].get(registry)
    entry = auths.get(f"{registry}/{repository}") or auths.get(registry) or {}
    if entry or not helper:
        basic = f"Basic {entry['auth']}" if entry.get("auth") else ""
        return Account(basic, entry.get("identitytoken", "")), set()
    username, secret = _ask_helper(helper, registry)
    if not secret:
        return Account(), set()
    encoded = base64.b64encode(f"{username}:{secret}".encode()).decode()
    account = Account("", secret) if username == "<token>" else Account(f"Basic {encoded}")
    return account, {secret, encoded}


def _ask_helper(helper: str, registry: str) -> tuple[str, str]:
    """The user name and the secret that a credential helper has. Both are empty if it has none.

    https://github.com/docker/docker-credential-helpers#development
    """
    program = f"docker-credential-{helper}"
    failed = ZotError("tool_failed", f"{program} does not return the credentials for {registry}")
    try:
        done = subprocess.run(
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
        if done.returncode != 0:
            if b"not found" in done.stdout:
                return "", ""
            raise failed
        document = json.loads(done.stdout)
        return str(document["Username"]), str(document["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, RecursionError) as error:
        # Without the output, which may hold the secret.
        raise failed from error
