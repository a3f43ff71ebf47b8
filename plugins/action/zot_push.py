# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module zot_push as every module is run, and says meanwhile how far its copies are."""

from __future__ import annotations

import os
import threading
import typing as t

from ansible.module_utils.common.text.formatters import bytes_to_human
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from ansible_collections.killinit.zot.plugins.module_utils._progress import Copies

# Seconds. A layer that came and went between two looks is known by the layers behind it.
_BETWEEN_LOOKS = 1.0
_LOOKS_A_LINE = 5


class ActionModule(NormalAction):  # type: ignore[misc]  # ansible-core has no types
    """The module decides and does everything; this only watches its processes, where they are on this machine."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, and show lines if they are wanted."""
        variables = task_vars or {}
        wanted = boolean(self._templar.template(variables.get("zot_push_progress", True)))
        over = threading.Event()
        watcher = threading.Thread(target=_show, args=(over, variables.get("inventory_hostname")), daemon=True)
        if wanted and not self._task.no_log:
            watcher.start()
        try:
            result: dict[str, t.Any] = super().run(tmp, task_vars)
            return result
        finally:
            over.set()
            if watcher.ident:
                watcher.join()


def _show(over: threading.Event, host: str | None) -> None:
    # In a worker this goes to the main process, which prints one line after the other.
    display = Display()
    copies = Copies(os.getpid())
    looks = 0
    while not over.wait(_BETWEEN_LOOKS):
        running = copies.look()
        looks += 1
        if looks % _LOOKS_A_LINE == 0:
            for copy in running:
                far = f"{bytes_to_human(copy.done)} of {bytes_to_human(copy.size)} of layers"
                display.display(f"pushing: [{host}] => {copy.reference}: {far}")
