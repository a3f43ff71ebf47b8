# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a registry on the host, and writes the report on the controller.

The inventory of a large registry has many megabytes. It is read in parts, and none of them becomes a result or a fact,
which Ansible would copy.
"""

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.killinit.zot.plugins.plugin_utils._report import used_references
from ansible_collections.killinit.zot.plugins.plugin_utils._report_files import FORMATS, Report
from ansible_collections.killinit.zot.plugins.plugin_utils._settings import names_in, option_names, with_settings

_LISTS = ("namespaces", "problems", "at_risk", "stale")
_CLUSTER = {
    "name": {"type": "str", "required": True},
    "cluster": {"type": "str"},
    "workloads": {"type": "dict", "default": {}},
    "images": {"type": "list", "elements": "dict", "default": []},
    **{name: {"type": "list", "elements": "str", "default": []} for name in _LISTS},
}
_OPTIONS: dict[str, dict[str, t.Any]] = {
    "repositories": {"type": "raw"},
    "clusters": {"type": "list", "elements": "dict", "options": _CLUSTER, "default": []},
    "newest": {"type": "int", "default": 10},
    "vulnerabilities": {"type": "bool", "default": True},
    "cve": {"type": "str"},
    "paths": {"type": "list", "elements": "path", "required": True},
}
# How many repositories are read at first, and how many tags in each later part.
_FIRST, _TAGS_AT_ONCE = 20, 10_000
# No page can say anything about these mistakes of the caller.
_MISTAKES = ("invalid_option", "tool_missing")
# The errors that may concern one repository only.
_OF_ONE_REPOSITORY = ("denied", "manifest_invalid", "tool_failed")


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """Runs the modules that read on the host, and reduces what they return."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Read the registry, write the files, and return the summary."""
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        given = with_settings("zot_report", self._task.args, self._templar, self._variables)
        self._task.args = given
        settings = option_names("zot_report")
        _result, options = self.validate_argument_spec(
            {**_OPTIONS, **{name: {"type": "raw", "no_log": name == "password"} for name in settings}}
        )
        self._connection_options = {name: given[name] for name in settings if name in given}
        if options["newest"] < 0:
            raise AnsibleActionFail(f"newest: {options['newest']} is less than 0")
        paths = [os.path.realpath(os.path.expanduser(path.strip())) for path in options["paths"] if path.strip()]
        for path in paths:
            if os.path.splitext(path)[1] not in FORMATS or not os.path.isdir(os.path.dirname(path)):
                raise AnsibleActionFail(
                    f"paths: {path} must be a file {', '.join(FORMATS)} in a directory that exists on the controller"
                )
        names = names_in(options["repositories"] or [])
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            report = Report(list(dict.fromkeys(paths)), options["clusters"], options["newest"], file)
            self._read_repositories(report, names)
            images = used_references(options["clusters"]) if options["vulnerabilities"] else []
            if images:
                # A registry without a scanner is no problem: the report says that nothing is known.
                report.add_scan(self._read("zot_vulnerability_info", images=images, unscanned="allow"))
            return {"changed": True, **report.write(options["cve"], dry_run=self._task.check_mode)}

    def _read(self, module: str, **arguments: t.Any) -> dict[str, t.Any]:
        """The result of a module that reads the registry."""
        result: dict[str, t.Any] = self._execute_module(
            module_name=f"killinit.zot.{module}",
            module_args={**self._connection_options, **arguments},
            task_vars=self._variables,
        )
        if result.get("error_class") in _MISTAKES:
            raise AnsibleActionFail(str(result["msg"]), result={"error_class": result["error_class"]})
        return result

    def _read_repositories(self, report: Report, names: t.Sequence[str]) -> None:
        if not names:
            listed = self._read("zot_image_info", catalog=True)
            report.add_result(listed)
            names = listed.get("catalog") or ()
        first, count = 0, _FIRST
        while first < len(names):
            tags = self._read_part(report, names[first : first + count])
            first += count
            count = max(1, count * _TAGS_AT_ONCE // tags) if tags else _FIRST

    def _read_part(self, report: Report, names: t.Sequence[str]) -> int:
        """Read some repositories. If one of them cannot be read, the report still has the others."""
        found = self._read("zot_image_info", repositories=list(names), details=True)
        if len(names) > 1 and found.get("error_class") in _OF_ONE_REPOSITORY:
            half = len(names) // 2
            return self._read_part(report, names[:half]) + self._read_part(report, names[half:])
        return report.add_result(found)
