# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scanner of Zot found in one manifest, the options that name severities, and the progress of scans.

Private to killinit.zot: it may change at any time.

A query makes Zot scan a manifest that it has not scanned since its database changed, so the answer can take minutes.
One query is for one manifest: Zot answers none of several queries in a request if one of them fails. Its answer for an
index passes over members that cannot be scanned, and shows a vulnerability of several members with the package of one:
https://github.com/project-zot/zot/blob/main/pkg/extensions/search/cve/trivy/scanner.go (scanIndex)
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import typing as t
from urllib.parse import quote

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable, require_text
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, elide

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http

# The least severe first. Nobody has rated a vulnerability with the severity unknown.
SEVERITIES = ("unknown", "low", "medium", "high", "critical")
# The worst severities that an option can allow.
LIMITS = ("none", *SEVERITIES[1:])
# The option of a module.
EXEMPTIONS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "id": {"type": "str", "required": True},
        "reason": {"type": "str", "required": True},
        "expires": {"type": "str"},
    },
}
# The options of a module with the gate. The documentation fragment _gate describes them.
GATE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    "max_severity": {"type": "str", "choices": list(LIMITS)},
    "max_severity_fixable_only": {"type": "bool", "default": False},
    "max_severity_unscanned": {"type": "str", "choices": ["fail", "allow"], "default": "fail"},
    "max_severity_ignore": EXEMPTIONS,
    "max_severity_wait_timeout": {"type": "int", "default": 300},
}

_QUERY = (
    '{CVEListForImage(image:"%s",requestedPage:{limit:0,offset:0}){Summary{MaxSeverity Count}'
    "CVEList{Id Title Severity Reference PackageList{Name InstalledVersion FixedVersion}}}}"
)
_NO_FIX = ("", "Not Specified")
# The texts of a scanner are short. Longer ones would fill the terminal and the report.
_LONGEST_TEXT = 200
_NO_ACCESS = "the user may not read the repository in the search extension of the registry"
_NO_SCANNER = "the scanner of the registry is switched off (in the configuration of Zot: extensions.search.cve)"
_NO_SEARCH = "the registry has no search extension, which contains the scanner"
# Also of attestations, which an index lists like its members.
NOT_SCANNABLE = "the scanner does not support its media type"
# The errors of Zot (errors/errors.go), the reason for the user, and whether it can pass without a change.
_ERRORS = (
    ("cve search is disabled", _NO_SCANNER, False),
    ("cve-db is not present", "the scanner has no vulnerability database", True),
    ("scanning is not supported", NOT_SCANNABLE, False),
    ("not found", "the search extension of the registry does not know the image", True),
)


class Finding(t.NamedTuple):
    """A vulnerability of one package. *fixed* is the version that fixes it, None if there is none."""

    id: str
    severity: str
    title: str
    package: str
    installed: str
    fixed: str | None
    reference: str | None


class Scan(t.NamedTuple):
    """What was found in a manifest. If it is not scanned, *reason* says why, and *may_pass* whether to try again."""

    findings: tuple[Finding, ...] = ()
    reason: str | None = None
    may_pass: bool = False


def read_scan(http: Http, reference: Reference) -> Scan:
    """The scan of the manifest with the digest of *reference*. Raises ZotError if the registry does not answer."""
    query = quote(_QUERY % f"{reference.repository}@{reference.digest}", safe=":{}(),@")
    try:
        document = http.document(reference.repository, f"/v2/_zot/ext/search?query={query}")
    except ZotError as error:
        if error.retryable or error.error_class in ("tls", "unauthorized", "tool_missing"):
            raise
        return Scan(reason=_text(error.message))
    if document is None:
        return Scan(reason=_NO_SEARCH)
    try:
        return _scan(document)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return Scan(reason=_text(f"the answer of the search extension is invalid: {type(error).__name__} {error}"))


def _scan(document: t.Mapping[str, t.Any]) -> Scan:
    """Parse an answer. Raises an error of the standard library for values of the wrong types."""
    if document.get("errors"):
        message = document["errors"][0]["message"]
        for sign, reason, may_pass in _ERRORS:
            if sign in message:
                return Scan(reason=reason, may_pass=may_pass)
        return Scan(reason=f"the scan failed: {_text(message)}", may_pass=True)
    found = document["data"]["CVEListForImage"]
    summary, listed = found["Summary"], found["CVEList"]
    if summary is None or listed is None:
        return Scan(reason=_NO_ACCESS)
    if summary["MaxSeverity"] == "":
        return Scan(reason=NOT_SCANNABLE)
    if _text(summary["MaxSeverity"]).lower() not in ("none", *SEVERITIES) or not isinstance(listed, list):
        raise ValueError(f"the worst severity is {_text(summary['MaxSeverity'])}")
    if summary["Count"] != len(listed):
        raise ValueError(f"it counts {summary['Count']} vulnerabilities, and lists {len(listed)}")
    return Scan(tuple(finding for each in listed for finding in _findings(each)))


def _findings(fields: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    severity = _text(fields["Severity"]).lower()
    if severity not in SEVERITIES:
        raise ValueError(f"{severity!r} is not a severity")
    packages = fields["PackageList"] or [{"Name": "", "InstalledVersion": "", "FixedVersion": ""}]
    for package in packages:
        fixed = _text(package["FixedVersion"])
        yield Finding(
            _text(fields["Id"]),
            severity,
            _text(fields["Title"]),
            _text(package["Name"]),
            _text(package["InstalledVersion"]),
            None if fixed in _NO_FIX else fixed,
            _text(fields["Reference"]) or None,
        )


def _text(value: object) -> str:
    return printable(elide(require_text(value), _LONGEST_TEXT))


# The name that Linux shows for the file: https://man7.org/linux/man-pages/man2/memfd_create.2.html
PROGRESS_FILE = "killinit.zot-scans"


class ScanProgress:
    """The progress of *total* scans at a registry. Nothing happens on other systems than Linux.

    A module cannot print before its end. The text is in a file that exists only in memory, and the action plugin reads
    it in /proc while the module runs.
    """

    def __init__(self, registry: str, total: int) -> None:
        self._registry, self._total, self._done = registry, total, 0
        self._file = -1
        self._lock = threading.Lock()
        self._reason = ""
        if sys.platform == "linux":
            # A C library may be too old for it.
            with contextlib.suppress(OSError, AttributeError):
                self._file = os.memfd_create(PROGRESS_FILE)

    def scanned(self) -> None:
        """Count an image whose scan has ended."""
        with self._lock:
            self._done += 1
            self._write()

    def waits(self, reason: str | None) -> None:
        """Record why an image is not scanned yet."""
        with self._lock:
            self._reason = f" ({reason})" if reason else ""
            self._write()

    def close(self) -> None:
        """Remove the file."""
        with self._lock:
            if self._file != -1:
                os.close(self._file)
            self._file = -1

    def _write(self) -> None:
        if self._file != -1:
            text = f"{self._registry}: {self._done} of {self._total} images are scanned{self._reason}"
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, text.encode(), 0)
