# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the credentials for HTTP requests that this collection sends itself, also with Docker credential helpers.

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
    """Credentials: the value of the header Authorization, or an identity token that is exchanged for a token."""

    basic: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def account_in(written: t.Mapping[str, t.Any], registry: str, repository: str) -> tuple[Account, set[str]]:
    """The credentials in an auth file that Credentials has *written*, and the secrets that are not in the file."""
    auths, helper = written["auths"], written["credHelpers"].get(registry)
    entry = auths.get(f"{registry}/{repository}") or auths.get(registry) or {}
    if entry or not helper:
        basic = f"Basic {entry['auth']}" if entry.get("auth") else ""
        return Account(basic, entry.get("identitytoken", "")), set()
    username, secret = _call_helper(helper, registry)
    if not secret:
        return Account(), set()
    encoded = base64.b64encode(f"{username}:{secret}".encode()).decode()
    account = Account("", secret) if username == "<token>" else Account(f"Basic {encoded}")
    return account, {secret, encoded}


def _call_helper(helper: str, registry: str) -> tuple[str, str]:
    """The user name and the secret from a credential helper. Both are empty if it has no credentials.

    https://github.com/docker/docker-credential-helpers#development
    """
    program = f"docker-credential-{helper}"
    failed = ZotError("tool_failed", f"{program} does not return the credentials for {registry}")
    try:
        # run_command() of AnsibleModule has no time limit.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
        if done.returncode != 0:
            if b"not found" in done.stdout:
                return "", ""
            raise failed
        document = json.loads(done.stdout)
        return str(document["Username"]), str(document["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, RecursionError) as error:
        # The message must not contain the output, which may contain the secret.
        raise failed from error
