# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every ansible-core accepts the playbooks, with the roles that they import.

An older ansible-core refuses an option that it does not know before the first task runs.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
# It needs the collection awx.awx: tests/packaging/test_awx.py runs it.
WITHOUT_AWX = sorted(path for path in PLAYBOOKS.glob("*.yml") if path.stem != "awx")


def test_ansible_accepts_every_playbook(environment: dict[str, str]) -> None:
    assert len(WITHOUT_AWX) > 10
    command = ["ansible-playbook", "--syntax-check", "--extra-vars=zot_clusters=localhost", *map(str, WITHOUT_AWX)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("playbook: ") == len(WITHOUT_AWX)
