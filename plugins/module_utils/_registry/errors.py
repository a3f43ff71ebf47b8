# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong, whether trying again can help, and what to do.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable

_RETRYABLE = frozenset({"rate_limited", "unavailable"})

# What to do, for each error class. {name} is filled in where the error is raised.
_HINTS: t.Mapping[str, str] = {
    "unauthorized": "The registry does not accept the credentials: {credentials}.",
    "denied": "The account lacks the right to create or update (or to read) here, or the tag is immutable and may not"
    " move: {credentials}. Ask for the right, or push under a new tag.",
    "not_found": "Check repository and tag for a typing error, or push the image first.",
    "manifest_invalid": "Zot takes OCI manifests only: push with killinit.zot.zot_push, not with docker push, crane"
    " push or buildx --push.",
    "rate_limited": "The registry limits the rate of requests: try again later, or lower the option parallel.",
    "quota_exceeded": "The registry's quota is used up: delete what is no longer needed, or raise the quota.",
    "unavailable": "Check that the registry is up and can be reached from this host, then run the task again.",
    "tls": "Give the registry's CA in the option ca_path. For a registry without TLS, or to check nothing, set"
    " validate_certs to false.",
    "archive_invalid": "Write the archive again, with docker save, podman save or buildah push docker-archive:FILE.",
    "platform_mismatch": "Give the archive or the manifest of the platform that was asked for.",
    "tool_missing": "Install it (skopeo 1.9 or later: the system's package; crane 0.20 or later:"
    " github.com/google/go-containerregistry), or say where it is with the options skopeo_path and crane_path.",
    "tool_failed": "Look at the tool's own words in stderr, put right what they name, and run the task again.",
    "invalid_option": "Correct the option and run the task again; nothing was written.",
}

# Words of skopeo, crane, Zot and CNCF Distribution; the first that fits wins, so the more special ones come first.
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
_SIGNS: t.Sequence[tuple[str, re.Pattern[str]]] = [
    (error_class, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for error_class, pattern in (
        ("unavailable", r"TLS handshake timeout"),
        # skopeo reads its source: a layer, at which the modules have not looked.
        (
            "archive_invalid",
            (
                r"(?:source|type for) docker-archive:|loading tar component|to find its size"
                r"|reading blob \S+: (?:file does not exist|Error reading tar archive component)"
            ),
        ),
        (
            "tls",
            r"x509:|tls: |server gave HTTP response to HTTPS client|HTTP request (?:was sent )?to (?:an )?HTTPS",
        ),
        # Zot's quota answers as the rate limit does, but names the limit: pkg/api/quota.go there.
        ("quota_exceeded", r"TOOMANYREQUESTS: .*\blimit:[0-9]"),
        ("rate_limited", r"TOOMANYREQUESTS: |too many requests|\b(?:status(?: code)?:?|StatusCode:) 429"),
        ("unauthorized", r"UNAUTHORIZED: |\b401 Unauthorized|authentication required|no basic auth credentials"),
        ("denied", r"DENIED: |\b403 Forbidden|access to the resource is denied"),
        ("not_found", r"MANIFEST_UNKNOWN: |manifest unknown|NAME_UNKNOWN: |repository name not known to registry"),
        ("manifest_invalid", r"MANIFEST_INVALID: |manifest invalid|\b415 Unsupported Media Type"),
        (
            "unavailable",
            (
                r"connection refused|connection reset|broken pipe|no such host|no route to host|network is unreachable"
                r"|i/o timeout|use of closed network connection"
                r"|context deadline exceeded|unexpected EOF|: EOF\b|server misbehaving|name resolution"
                r"|\b(?:status(?: code)?:?|StatusCode:|from registry) 5[0-9][0-9]\b|\b5[0-9][0-9] \([A-Z][A-Za-z ]+\)"
            ),
        ),
        ("tool_missing", r"error getting credentials.*executable file not found"),
        # One that is too old, or another program altogether.
        ("tool_missing", r'unknown (?:shorthand )?flag: |unknown command "|flag provided but not defined'),
    )
]
_URL = re.compile(r"\"?https?://[^\s\"]+\"?")
_RETRY_AFTER = re.compile(r"retry[- ]after:? *\"?([0-9]{1,5})\b", re.IGNORECASE)


class ZotError(Exception):
    """The one error that the parts of the collection raise: what happened, its class, and what to do now.

    *error_class* is one of the classes that the documentation lists; *stderr* and *command* come without secrets,
    *result* says what was done before it happened.
    """

    def __init__(
        self,
        error_class: str,
        message: str,
        *,
        hint: str | None = None,
        command: t.Sequence[str] = (),
        rc: int | None = None,
        stderr: str = "",
        result: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.hint = _HINTS[error_class] if hint is None else hint
        self.command = tuple(command)
        self.rc = rc
        self.stderr = stderr
        self.result = dict(result or {})

    def __str__(self) -> str:
        return self.message

    @property
    def retryable(self) -> bool:
        """Whether the same task can succeed later without anybody changing anything."""
        return self.error_class in _RETRYABLE

    @property
    def retry_after(self) -> int | None:
        """The seconds that the registry asked to wait, where the tool showed them."""
        found = _RETRY_AFTER.search(self.stderr)
        return int(found.group(1)) if found else None

    def for_ansible(self) -> dict[str, t.Any]:
        """The arguments of C(fail_json)."""
        return {
            "msg": printable(f"{self.message.strip().rstrip('.')}. {self.hint}"),
            "error_class": self.error_class,
            "retryable": self.retryable,
            "hint": printable(self.hint),
            "cmd": list(self.command),
            "rc": self.rc,
            "stderr": printable(self.stderr, line_end="\n"),
            **self.result,
        }


def classify(stderr: str, *, names: t.Iterable[str] = ()) -> str:
    """Return the error class of what a tool printed.

    *names* are the references that the caller put into the command: they and all addresses are left out, so that a tag
    named C(MANIFEST_UNKNOWN) is not mistaken for an answer.
    """
    text = _URL.sub(" ", stderr)
    for name in names:
        text = text.replace(f"{name}:", " ").replace(name, " ")
    for error_class, sign in _SIGNS:
        if sign.search(text):
            return error_class
    return "tool_failed"
