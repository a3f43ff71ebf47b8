# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Format reports as JSON, as Markdown, and as variables of the next job.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import typing as t

from ansible_collections.killinit.zot.plugins.plugin_utils._markdown import escaped, heading, markdown_table

Reports = t.Mapping[str, t.Mapping[str, t.Any]]

# The columns of the tables in Markdown. Other lists of dictionaries have a column for each key with a scalar value.
_COLUMNS = {
    "images": ("reference", "from", "to", "digest", "platforms"),
    "clusters": ("name", "ok", "result", "problem"),
    "workloads": ("name", "status", "reason"),
    "checks": ("check", "verdict", "reason", "remedy"),
    "findings": ("cause", "remedy", "commands"),
    "undo": ("repository", "source", "tags"),
    "vulnerabilities": ("image", "id", "severity", "package", "installed", "fixed", "title"),
    "ignored_vulnerabilities": ("image", "id", "severity", "package", "installed", "fixed", "why"),
}
# GitHub rejects a summary of more than 1 MiB.
_MOST_ROWS = 200
# A reference by digest. No character of this pattern can end a line in a file of variables.
_PINNED = re.compile(r"[A-Za-z0-9._:/\[\]-]+@sha256:[0-9a-f]{64}")
_COUNTS = ("critical", "high", "medium", "low", "unknown", "fixable", "not_scanned")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def write_file(path: str, parts: t.Iterable[str]) -> str | None:
    """Replace a file of a report. Return why that failed, or None."""
    temporary = None
    try:
        # Replace the file atomically, so that a full disk does not leave a truncated report.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(path), delete=False) as file:
            temporary = file.name
            file.writelines(parts)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        return None
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return not_written(path, error)


def not_written(path: str, error: OSError) -> str:
    """Why a file of a report cannot be written, and what to do."""
    return (
        f"The report {path} cannot be written on the controller: {error.strerror}. Name a file in a directory that"
        " exists and is writable."
    )


def pinned_images(reports: Reports) -> list[str]:
    """The references with digests of the images in all reports, without duplicates. A failed job has none to deploy."""
    if not all(report.get("ok", True) for report in reports.values()):
        return []
    images = [image for report in reports.values() for image in _dictionaries(report.get("images"))]
    found = [str(image["pinned"]) for image in images if image.get("pinned")]
    return [reference for reference in dict.fromkeys(found) if _PINNED.fullmatch(reference)]


def variables(reports: Reports) -> dict[str, str]:
    """The variables for the next job of a pipeline. Each value is one line of text."""
    images = pinned_images(reports)
    revisions = [str(report["revision"]) for report in reports.values() if report.get("revision")]
    result = {}
    if images:
        result = {"image": images[0], "images": json.dumps(images, separators=(",", ":"))}
    if revisions and _REVISION.fullmatch(revisions[0]):
        result["revision"] = revisions[0]
    counts: t.Mapping[str, int] = next(
        (each["vulnerability_counts"] for each in reports.values() if each.get("vulnerability_counts")), {}
    )
    result.update({f"vulnerabilities_{name}": str(int(counts[name])) for name in _COUNTS if name in counts})
    return result


def as_json(reports: Reports) -> str:
    """The reports as JSON, with the same names as in the custom stats."""
    return json.dumps(reports, indent=2, default=str) + "\n"


def as_dotenv(reports: Reports) -> str:
    """The variables for C(artifacts:reports:dotenv) of GitLab CI."""
    return "".join(f"{name.upper()}={value}\n" for name, value in variables(reports).items())


def as_markdown(reports: Reports, *, host: str | None = None) -> str:
    """A heading and tables for each report. Markdown in values is escaped: they come from a registry or a cluster."""
    return "\n".join(line for name, report in reports.items() for line in _section(name, report, host)) + "\n"


def _section(name: str, report: t.Mapping[str, t.Any], host: str | None) -> t.Iterator[str]:
    title = name.removeprefix("zot_").removesuffix("_report").replace("_", " ").capitalize()
    where = f" on {escaped(host)}" if host else ""
    yield from heading(2, f"{escaped(title)}{where}: {'ok' if report.get('ok') else 'failed'}")
    facts = [(key, value) for key, value in report.items() if key not in ("ok", "changed") and _is_single(value)]
    yield from _table(("", ""), [(key.replace("_", " "), value) for key, value in facts if value is not None])
    yield from _table(("Problems",), [(problem,) for problem in report.get("problems") or []])
    for key, value in report.items():
        rows = _dictionaries(value)
        single = dict.fromkeys(column for row in rows for column, cell in row.items() if _is_single(cell))
        columns = [column for column in _COLUMNS.get(key, single) if any(row.get(column) is not None for row in rows)]
        if columns:
            yield from heading(3, escaped(key.replace("_", " ").capitalize()))
            yield from _table(columns, [[row.get(column) for column in columns] for row in rows])


def _table(columns: t.Sequence[str], rows: t.Sequence[t.Sequence[t.Any]]) -> t.Iterator[str]:
    yield from markdown_table(columns, rows[:_MOST_ROWS])
    if len(rows) > _MOST_ROWS:
        yield f"{len(rows) - _MOST_ROWS} more rows are in the JSON report."
        yield ""


def _is_single(value: t.Any) -> bool:
    return not isinstance(value, (list, tuple, dict))


def _dictionaries(value: t.Any) -> list[t.Mapping[str, t.Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, (list, tuple)) else []
