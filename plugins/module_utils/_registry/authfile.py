# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read auth files, which docker login and skopeo login write, and call credential helpers.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import typing as t
from dataclasses import dataclass, field

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

# The time limit of a credential helper.
_SECONDS = 30


def default_authfiles() -> list[str]:
    """The default auth files: those of skopeo, then the one of Docker.

    https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
    """
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    return [
        *filter(None, [os.environ.get("REGISTRY_AUTH_FILE")]),
        os.path.join(runtime, "containers/auth.json" if os.environ.get("XDG_RUNTIME_DIR") else "auth.json"),
        os.path.join(config, "containers/auth.json"),
        os.path.join(os.environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json"),
    ]


def load(path: str, *, required: bool) -> dict[str, t.Any]:
    """The content of an auth file. Raises ZotError; a file that is not *required* may be missing."""
    hint = "Give a file that docker login or skopeo login wrote, or username and password."
    try:
        with open(path, "rb") as file:
            document = json.load(file)
    except OSError as error:
        if not required:
            return {}
        raise ZotError("invalid_option", f"authfile {path} cannot be read: {error.strerror}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        # The message of the parser can quote the file, so it is not used.
        raise ZotError("invalid_option", f"the auth file {path} is not valid JSON", hint=hint) from error
    auths = document.get("auths", {}) if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise ZotError("invalid_option", f"the auth file {path} has no object auths", hint=hint)
    return t.cast("dict[str, t.Any]", document)


def entry_of(document: dict[str, t.Any], registry: str, repository: str) -> tuple[str, dict[str, t.Any]] | None:
    """The longest key that matches a repository, and its entry."""
    entries = ((name, _entry(document, name)) for name in _keys(registry, repository))
    return next(((name, entry) for name, entry in entries if entry), None)


def _keys(registry: str, repository: str) -> t.Iterator[str]:
    """The keys of an auth file that match a repository, the longest first."""
    parts = repository.split("/")
    for count in range(len(parts), 0, -1):
        yield "/".join([registry, *parts[:count]])
    yield registry


def _entry(document: dict[str, t.Any], name: str) -> dict[str, t.Any] | None:
    for key, entry in document.get("auths", {}).items():
        bare = key.partition("://")[2] or key
        bare = bare.rstrip("/")
        for version in ("/v1", "/v2"):
            bare = bare[: -len(version)] if bare.endswith(version) else bare
        # Ignore fields that are not text.
        fields = (
            {field: value for field, value in entry.items() if isinstance(value, str)}
            if isinstance(entry, dict)
            else {}
        )
        if bare == name and any(fields.get(field) for field in ("auth", "password", "identitytoken")):
            if fields.get("auth") or fields.get("identitytoken"):
                return fields
            plain = f"{fields.get('username', '')}:{fields['password']}"
            return {"auth": base64.b64encode(plain.encode()).decode()}
    return None


def helper_of(document: dict[str, t.Any], registry: str) -> str | None:
    """The name of the credential helper for a registry; None if the file configures none."""
    helpers = document.get("credHelpers")
    named = helpers.get(registry) if isinstance(helpers, dict) else None
    found = named or document.get("credsStore")
    return found if isinstance(found, str) else None


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
