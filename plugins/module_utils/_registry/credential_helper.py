# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read credentials from a credential helper of Docker, as skopeo and crane do.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import json
import subprocess

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError

_SECONDS = 30


def ask_helper(helper: str, registry: str) -> tuple[str, str]:
    """The user name and the secret that a credential helper has. Both are empty if it has none.

    https://github.com/docker/docker-credential-helpers#development
    """
    program = f"docker-credential-{helper}"
    failed = ZotError("tool_failed", f"{program} does not return the credentials for {registry}")
    try:
        done = subprocess.run(
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
        if done.returncode != 0:
            if b"not found" in done.stdout:
                return "", ""
            raise failed
        document = json.loads(done.stdout)
        return str(document["Username"]), str(document["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, RecursionError) as error:
        # Without the output, which may hold the secret.
        raise failed from error
