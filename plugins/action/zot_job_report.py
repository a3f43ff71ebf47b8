# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the reports of a job on the controller."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.killinit.zot.plugins.plugin_utils import _job_report

_FORMATS: dict[str, t.Callable[..., str]] = {
    ".json": _job_report.as_json,
    ".md": _job_report.as_markdown,
    ".env": _job_report.as_dotenv,
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """Runs on the controller, without the connection and the privileges of the host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Write the files, append to the files of GitHub Actions, and set the custom stats.

        Without reports, only check that the files can be written.
        """
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _result, options = self.validate_argument_spec(
            {
                "reports": {"type": "dict"},
                "paths": {"type": "list", "elements": "path", "aliases": ["path"], "default": []},
            }
        )
        given = options["reports"]
        reports: dict[str, dict[str, t.Any]] = {name: each for name, each in (given or {}).items() if each}
        not_reports = [name for name, report in reports.items() if not isinstance(report, dict)]
        if not_reports:
            raise AnsibleActionFail(f"reports: {not_reports[0]} is not a dictionary. Give the report of a role.")
        hosts = variables.get("ansible_play_hosts_all") or []
        host = str(variables["inventory_hostname"]) if len(hosts) > 1 else None

        paths = [_path(path.strip(), host) for path in options["paths"] or [] if path.strip()]
        problems = [
            problem for path in paths if (problem := _check(path) if given is None else _write(path, reports, host))
        ]
        failure = {"failed": True, "msg": "\n".join(problems)} if problems else {}
        if given is None:
            return {"changed": False, "paths": paths, **failure}
        outputs = _job_report.variables(reports)
        warnings = [
            problem
            for name, text in (
                ("GITHUB_STEP_SUMMARY", _job_report.as_markdown(reports, host=host)),
                ("GITHUB_OUTPUT", "".join(f"{key}={value}\n" for key, value in outputs.items())),
            )
            if (problem := _append(name, text))
        ]
        return {
            "changed": False,
            "paths": paths,
            "image": outputs.get("image"),
            "images": _job_report.pinned_images(reports),
            # Ansible ignores the custom stats of a failed task, but its output contains them.
            "ansible_stats": {"data": reports, "per_host": False, "aggregate": False},
            **({"warnings": warnings} if warnings else {}),
            **failure,
        }


def _path(path: str, host: str | None) -> str:
    """The absolute path. If the play has several hosts, each host writes its own file."""
    stem, extension = os.path.splitext(os.path.abspath(os.path.expanduser(path)))
    return f"{stem}{'-' + re.sub('[^A-Za-z0-9._-]', '_', host) if host else ''}{extension}"


def _check(path: str) -> str | None:
    """Why the file cannot be written; None if it can be written. Removes the variables of an earlier job."""
    if os.path.splitext(path)[1] not in _FORMATS:
        return _unknown_format(path)
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path)):
            pass
        # After a failure the next job would deploy the image of an earlier job.
        if path.endswith(".env") and os.path.exists(path):
            os.unlink(path)
        return None
    except OSError as error:
        return _job_report.not_written(path, error)


def _unknown_format(path: str) -> str:
    return f"The report {path} has no known extension: use {', '.join(_FORMATS)} (JSON, Markdown, variables of a job)."


def _write(path: str, reports: dict[str, dict[str, t.Any]], host: str | None) -> str | None:
    """Write the file. Return why that failed, or None."""
    extension = os.path.splitext(path)[1]
    if extension not in _FORMATS:
        return _unknown_format(path)
    text = _job_report.as_markdown(reports, host=host) if extension == ".md" else _FORMATS[extension](reports)
    return _job_report.write_file(path, [text])


def _append(variable: str, text: str) -> str | None:
    """Append to the file that GitHub Actions names. A failure is only a warning, because the job itself succeeded."""
    path = os.environ.get(variable)
    if path and text:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            return f"{variable} names {path}, which cannot be written: {error.strerror}."
    return None
