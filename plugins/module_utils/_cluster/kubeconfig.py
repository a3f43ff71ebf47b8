# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubeconfig and the context of a task.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import os
import typing as t


def connection_options(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The options C(kubeconfig) and C(context) of a task, or their variables in the environment, if they are set.

    A kubeconfig is an absolute path, or several with the separator of C(KUBECONFIG). The content of a kubeconfig, which
    contains credentials, is omitted.
    """
    given = {name: params.get(name) or os.environ.get(f"K8S_AUTH_{name.upper()}") for name in ("kubeconfig", "context")}
    found = {name: value for name, value in given.items() if value and isinstance(value, str)}
    if "kubeconfig" in found:
        paths = found["kubeconfig"].split(os.pathsep)
        found["kubeconfig"] = os.pathsep.join(os.path.abspath(os.path.expanduser(path)) for path in paths if path)
    return found
