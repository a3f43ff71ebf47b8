# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module zot_push and shows its progress."""

from __future__ import annotations

import os
import signal
import threading
import typing as t

from ansible.module_utils.common.text.formatters import bytes_to_human
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.killinit.zot.plugins.action.zot_index import ActionModule as RegistryAction
from ansible_collections.killinit.zot.plugins.plugin_utils._progress import Copies

# Seconds between two reads of /proc. A layer that is pushed between two reads is counted when a later layer is read.
_READ_INTERVAL = 1.0
_READS_PER_LINE = 5


class ActionModule(RegistryAction):
    """Runs the module unchanged and reads the progress of its processes, if they run on this machine."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, and show progress lines unless they are disabled."""
        variables = task_vars or {}
        wanted = boolean(self._templar.template(variables.get("zot_push_progress", True)))
        ended = threading.Event()
        watcher = threading.Thread(target=_show, args=(ended, variables.get("inventory_hostname")), daemon=True)
        if wanted and not self._task.no_log:
            watcher.start()
        try:
            result: dict[str, t.Any] = super().run(tmp, task_vars)
            return result
        finally:
            ended.set()
            if watcher.ident:
                watcher.join()


def _show(ended: threading.Event, host: str | None) -> None:
    # Linux may deliver a signal to any thread, but only the main thread of the worker ends the module.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    # A worker sends the lines to the main process, which prints them in order: to stderr, since a callback plugin may
    # write JSON to stdout.
    display = Display()
    copies = Copies(os.getpid())
    reads = 0
    while not ended.wait(_READ_INTERVAL):
        running = copies.read()
        reads += 1
        if reads % _READS_PER_LINE == 0:
            for copy in running:
                far = f"{bytes_to_human(copy.done)} of {bytes_to_human(copy.size)} of layers"
                display.display(f"pushing: [{host}] => {copy.reference}: {far}", stderr=True)
