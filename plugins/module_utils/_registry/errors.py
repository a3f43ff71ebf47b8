# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The error of the collection: its class, whether a retry can help, and a hint.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import re
import sys
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_upload
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import settable

_RETRYABLE = frozenset({"rate_limited", "unavailable"})

# The hint for each error class, with the names of values in braces.
_HINTS: t.Mapping[str, str] = {
    "unauthorized": "The registry does not accept the credentials: {credentials}.",
    "denied": "The user may not read, create or update this repository, or the tag is immutable: {credentials}."
    " Request the permission, or push under a new tag.",
    "not_found": "Check the repository and the tag for a typing error, or push the image first.",
    "manifest_invalid": "Zot accepts OCI manifests only, unless its configuration has http.compat: push with"
    " killinit.zot.zot_push, not with docker push, crane push or buildx --push.",
    "rate_limited": "The registry limits the rate of requests: try again later, or lower the option parallel.",
    "quota_exceeded": "The quota of the registry is used up: delete repositories that are not needed, or raise the"
    " quota.",
    "unavailable": "Check that the registry runs and that this host can reach it, then run the task again.",
    "tls": "Set {ca_path} to the CA certificate of the registry. For a registry without TLS, or to skip the"
    " verification, set {validate_certs} to false.",
    "archive_invalid": "Build the image again: a layer is damaged or does not match the configuration.",
    "platform_mismatch": "Give the archive or the manifest of the requested platform.",
    "tool_missing": "Install it (skopeo 1.9 or later: the package of the distribution; crane 0.20 or later:"
    f" github.com/google/go-containerregistry), or set {settable('skopeo_path')}, or {settable('crane_path')}, to its"
    " path.",
    "tool_failed": "Remove the cause that the tool reports, and run the task again.",
    "invalid_option": "Correct the option and run the task again.",
}

_INSTALL = {
    "skopeo": "skopeo with sudo apt install skopeo, or dnf, or brew",
    "crane": "crane with brew, or on Linux with curl -fsSL https://github.com/google/go-containerregistry/releases/latest/"
    "download/go-containerregistry_Linux_x86_64.tar.gz | sudo tar -C /usr/local/bin -xz crane",
}

# The hints for a repository that the user may not read, and for a tag that the user may not remove.
NO_READ = "The user may not read this repository: {credentials}. In Zot this is the action read."
NO_DELETE = "The user may not remove tags of this repository: {credentials}. In Zot this is the action delete."

# Messages of skopeo, crane, Zot and CNCF Distribution. The first match wins, so specific patterns precede general ones.
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
# They are compiled when they are needed: most tasks have no error.
_PATTERNS: t.Sequence[tuple[str, str]] = (
    ("unavailable", r"TLS handshake timeout"),
    # skopeo fails to read a layer; the modules read the configuration of an archive, not its layers.
    (
        "archive_invalid",
        (
            r"(?:source|type for) docker-archive:|loading tar component|to find its size"
            r"|reading blob \S+: (?:file does not exist|Error reading tar archive component)"
            # skopeo compares each layer with its digest while it reads the layer.
            r"|Digest did not match, expected"
        ),
    ),
    ("tls", r"x509:|tls: |server gave HTTP response to HTTPS client|HTTP request (?:was sent )?to (?:an )?HTTPS"),
    # Zot uses one error code for quota and rate limit, but only the quota names its limit (Zot: pkg/api/quota.go).
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
            # skopeo has pushed the layer. Distribution does not find it while another client pushes the same layer.
            # https://github.com/distribution/distribution/issues/4489
            r"|manifest blob unknown: "
        ),
    ),
    ("tool_missing", r"error getting credentials.*executable file not found"),
    # The program is too old, or another program of that name.
    ("tool_missing", r'unknown (?:shorthand )?flag: |unknown command "|flag provided but not defined'),
)
# The same classes for responses that this collection reads itself.
_STATUSES: t.Mapping[int, str] = {401: "unauthorized", 403: "denied", 404: "not_found", 429: "rate_limited"}
# Zot sends these if it refuses to delete a digest that an index lists or that has several tags.
_NOT_REMOVED: t.Mapping[int, str] = {405: "denied", 409: "denied"}
_ABSENT = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})
_URL = r"\"?https?://[^\s\"]+\"?"
# For a known error the hint is more useful than the text of the registry. Otherwise the text is the only information.
_SHORT, _LONG = 240, 2000
# The document of a registry repeats the status before it. Zot sends a list, except for wrong credentials.
_DOCUMENT = r":? *\{\"(?:errors|code)\":.*"
# Zot has no such limit, but nginx refuses bodies of more than 1 MiB by default.
_TOO_LARGE = r"\b413 (?:Request Entity|Payload|Content) Too Large|\b[Ss]tatus(?: ?[Cc]ode)?:? 413\b"
_TOO_LARGE_HINT = (
    "The proxy in front of the registry limits the size of request bodies: raise the limit, for example"
    " client_max_body_size of nginx, which 0 disables."
)
_RETRY_AFTER = r"retry[- ]after:? *\"?([0-9]{1,5})\b"


class ZotError(Exception):
    """The only error that the files of the registry half raise: a message, an error class and a hint.

    *error_class* is one of the classes in the documentation of the modules. *values* are the values for the names in
    braces in the hint. *detail* is the text of the tool or the registry. *detail*, *stderr* and *command* contain no
    secrets. *result* is the result of the task before the error. An error does not change: with_() makes another one.
    """

    def __init__(
        self,
        error_class: str,
        message: str,
        *,
        hint: str | None = None,
        values: t.Mapping[str, str] | None = None,
        detail: str = "",
        command: t.Sequence[str] = (),
        rc: int | None = None,
        stderr: str = "",
        result: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        super().__init__(message)
        if hint is None:
            hint = _TOO_LARGE_HINT if re.search(_TOO_LARGE, stderr) else _HINTS[error_class]
        for name, value in (values or {}).items():
            hint = hint.replace(f"{{{name}}}", value)
        self.error_class: t.Final = error_class
        self.message: t.Final = message
        self.hint: t.Final = hint
        self.detail: t.Final = detail
        self.command: t.Final = tuple(command)
        self.rc: t.Final = rc
        self.stderr: t.Final = stderr
        self.result: t.Final[t.Mapping[str, t.Any]] = dict(result or {})

    def with_(self, **changes: t.Any) -> ZotError:
        """This error with other values of some arguments, to be raised C(from) this error."""
        names = ("error_class", "message", "hint", "detail", "command", "rc", "stderr", "result")
        return ZotError(**{**{name: getattr(self, name) for name in names}, **changes})

    def __str__(self) -> str:
        return f"{self.message}: {self.detail}" if self.detail else self.message

    @property
    def retryable(self) -> bool:
        """Whether the same task can succeed later without any change."""
        return self.error_class in _RETRYABLE

    @property
    def retry_after(self) -> int | None:
        """The number of seconds after which the registry accepts requests again, if the tool printed it."""
        found = re.search(_RETRY_AFTER, self.stderr, re.IGNORECASE)
        return int(found.group(1)) if found else None

    def for_ansible(self) -> dict[str, t.Any]:
        """The arguments of C(fail_json)."""
        text = f"{self.message.strip().rstrip('.')}. {self.hint}"
        if self.detail:
            program = os.path.basename(self.command[0]) if self.command else "the registry"
            limit = _LONG if self.error_class == "tool_failed" else _SHORT
            words = " ".join(self.detail.split())
            if self.error_class != "tool_failed":
                words = re.sub(_DOCUMENT, "", words) or words
            text = f"{text} ({program}: {elide(words, limit)})"
        return {
            "msg": printable(text),
            "error_class": self.error_class,
            "retryable": self.retryable,
            "hint": printable(self.hint),
            "cmd": list(self.command),
            "rc": self.rc,
            **self.result,
        }

    def for_tag(self, raised: ZotError | None) -> dict[str, t.Any]:
        """The error of one tag in a result. It has a remedy if the remedy of the *raised* error is different."""
        fields = self.for_ansible()
        message = printable(self.message) if raised and raised.hint == self.hint else fields["msg"]
        return {"error_class": fields["error_class"], "retryable": fields["retryable"], "msg": message}


def elide(text: str, limit: int) -> str:
    """Shorten a long text to its beginning and its end: tools print error texts of the registry, of any length."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"


def classify(stderr: str, *, names: t.Iterable[str] = ()) -> str:
    """Return the error class of the standard error of a tool.

    *names* are the references in the command. They and all URLs are ignored: a tag may be named C(MANIFEST_UNKNOWN).
    """
    text = re.sub(_URL, " ", stderr)
    for name in names:
        text = text.replace(f"{name}:", " ").replace(name, " ")
    for error_class, pattern in _PATTERNS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return error_class
    return "tool_failed"


def classify_response(status: int, codes: t.Collection[str], text: str, *, removes: bool) -> str:
    """Return the error class of a response with the error *codes* and the *text*. *removes* is whether it is DELETE."""
    if _ABSENT.intersection(codes):
        return "not_found"
    if "MANIFEST_INVALID" in codes and not removes:
        return "manifest_invalid"
    if status == 429 and re.search(r'"limit": ?"[0-9]', text):
        return "quota_exceeded"
    classes = {**_STATUSES, **(_NOT_REMOVED if removes else {})}
    return classes.get(status, "unavailable" if status >= 500 else "tool_failed")


def not_whole(index: Reference, lost: t.Iterable[tuple[object, str]]) -> ZotError:
    """The error of an *index* that must not be used. *lost* are the platforms, or None, and digests of its members."""
    names = ", ".join(f"{platform or ''} {digest}".strip() for platform, digest in lost)
    return ZotError(
        "not_found",
        f"{index} is not whole: the registry has lost its member {names}",
        hint="Publish the same archives again, which restores the member, or choose another revision.",
    )


def lost_members(image: Image) -> ZotError | None:
    """The error of an *image* whose index has lost a member; None if it is whole."""
    if image.manifest is None or not image.missing:
        return None
    return not_whole(image.reference, [(image.manifest.platform_by_digest.get(each), each) for each in image.missing])


def unread(error: ZotError, reference: object) -> ZotError:
    """The *error* of the read after a successful write of *reference*."""
    return error.with_(message=f"{reference} was written, but its current image is not known: {error.message}")


def unknown_image(error: ZotError, reference: object) -> ZotError:
    """The *error* of a write of *reference* after which the reference cannot be read."""
    return error.with_(message=f"{error.message}; the current image of {reference} is not known")


def missing_registry() -> ZotError:
    """The error of a task that needs a registry and has none."""
    return ZotError(
        "invalid_option",
        "no registry is given",
        hint=f"Set {settable('registry')}. The environment is that of the host where the module runs.",
    )


def missing_tools(names: t.Sequence[str], where: str) -> ZotError:
    """The error for all programs that are not installed, so that nobody installs them one after the other."""
    known = [name for name in names if name in _INSTALL]
    paths = " and ".join(settable(f"{name}_path") for name in known)
    commands = ", and ".join(_INSTALL[name] for name in known)
    hint = f"On the host of the task, install {commands}. Or set {paths} to the path." if known else None
    return ZotError("tool_missing", f"cannot find {' and '.join(names)}: {where}", hint=hint)


def missing_library(name: str, purpose: str, alternative: str = "") -> ZotError:
    """The error for a Python library that the module needs for a *purpose* and cannot import."""
    import sysconfig  # imported only here: most tasks have no error

    install = f"{sys.executable} -m pip install {name}"
    # pip does not change such a Python: https://peps.python.org/pep-0668/
    if sys.prefix == sys.base_prefix and os.path.exists(f"{sysconfig.get_path('stdlib')}/EXTERNALLY-MANAGED"):
        install = f"{sys.executable} needs the package of its distribution, for example apt install python3-{name}"
    return ZotError(
        "tool_missing",
        f"the Python library {name} is required {purpose} and cannot be imported",
        hint=f"Install it for the Python that runs the module: {install}{alternative}.",
    )


def most_similar(reference: Reference, tags: t.Sequence[str] | None) -> str:
    """A sentence that lists those of all *tags* of a repository that are the most similar to *reference*."""
    tags = [tag for tag in tags or () if not is_upload(tag)]
    if not tags:
        return f"{reference.name} has no tags: push the image first."
    import difflib  # imported only here: most tasks have no error

    near = difflib.get_close_matches(reference.tag or "", tags, n=5, cutoff=0.4) or tags[-5:]
    return f"{reference.name} has {len(tags)} tags. The most similar are {', '.join(near)}."
