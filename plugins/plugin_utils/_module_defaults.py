# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the module_defaults of a play.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t


def module_defaults(task: t.Any, templar: t.Any, *names: str) -> dict[str, t.Any]:
    """The defaults of a task for *names*, each an action or C(group/...). A later name has precedence.

    A role passes its variables as C({{ zot_registry | default(omit) }}). ansible-core removes such an option after it
    has merged module_defaults, and so discards the default of the play
    (https://github.com/ansible/ansible/blob/stable-2.19/lib/ansible/_internal/_templating/_chain_templar.py). The
    action plugins therefore apply the defaults to the options that the task lacks.
    """
    blocks: dict[str, t.Any] = {}
    for block in task.module_defaults or []:
        blocks.update(block)  # as in ansible-core, an inner block replaces the whole dictionary of an outer one
    defaults: dict[str, t.Any] = {}
    for name in names:
        # The value may be one template, or a dictionary with templates in it.
        defaults.update(templar.template(blocks.get(name)) or {})
    return defaults
