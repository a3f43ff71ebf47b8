# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the modules of the action group killinit.zot.registry."""

from __future__ import annotations

import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction

_GROUP = "group/killinit.zot.registry"


class ActionModule(NormalAction):  # type: ignore[misc]  # ansible-core has no types
    """Applies module_defaults to options that a task omits.

    A role passes its variables as C({{ zot_registry | default(omit) }}). ansible-core removes such an option after it
    has merged module_defaults, and so discards the value that the play gave it
    (https://github.com/ansible/ansible/blob/stable-2.19/lib/ansible/_internal/_templating/_chain_templar.py).
    """

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module."""
        blocks: dict[str, t.Any] = {}
        for block in self._task.module_defaults or []:
            blocks.update(block)  # as in ansible-core, an inner block replaces the whole dictionary of an outer one
        defaults = {**self._dictionary(blocks.get(_GROUP)), **self._dictionary(blocks.get(self._task.resolved_action))}
        missing = {name: value for name, value in defaults.items() if name not in self._task.args}
        self._task.args = {**self._templar.template(missing), **self._task.args}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        return result

    def _dictionary(self, value: t.Any) -> t.Mapping[str, t.Any]:
        """A dictionary of module_defaults, which may be one template."""
        found: t.Mapping[str, t.Any] = self._templar.template(value) if isinstance(value, str) else value or {}
        return found
