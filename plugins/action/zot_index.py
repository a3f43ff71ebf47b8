# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the modules of the action group killinit.zot.registry."""

from __future__ import annotations

import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction

from ansible_collections.killinit.zot.plugins.plugin_utils._module_defaults import module_defaults


class ActionModule(NormalAction):  # type: ignore[misc]  # ansible-core has no types
    """Applies module_defaults to options that a task omits."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module."""
        names = ("group/killinit.zot.registry", self._task.resolved_action)
        self._task.args = {**module_defaults(self._task, self._templar, *names), **self._task.args}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        return result
