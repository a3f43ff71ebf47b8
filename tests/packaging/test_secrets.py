# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The token for AWX appears nowhere when playbooks/awx.yml runs, also if AWX refuses it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from integration.secret_leaks import Watched, assert_no_leak, forms, verbose_settings

from environment import awx

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(f"playbooks/{path.name}" for path in ROOT.glob("playbooks/*.yml") if path.name != "awx.yml")


@pytest.mark.parametrize(
    ("token", "ends"),
    [pytest.param(awx.TOKEN, 0, id="accepted"), pytest.param("a-token-of-somebody-else-0815", 2, id="refused")],
)
def test_token_is_nowhere(token: str, ends: int, tmp_path: Path) -> None:
    """At -vvvv, with logs, callbacks and a diff."""
    home = tmp_path / "home"
    home.mkdir()
    # Ansible puts a socket into it, whose path may not be long.
    with (
        awx.running(PLAYBOOKS, "https://github.com/killinit/zot") as server,
        tempfile.TemporaryDirectory() as temporary,
    ):
        environment = {
            **os.environ,
            **verbose_settings(tmp_path),
            "HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_REMOTE_TMP": str(home / "tmp"),
            "TMPDIR": temporary,
            "CONTROLLER_HOST": server.url,
            "CONTROLLER_OAUTH_TOKEN": token,
        }
        images = [{"repository": "app", "archive": "/dist/app.tar"}]
        required = {"zot_awx_execution_environment_image": "registry.example.com/ee:1", "zot_awx_images": images}
        command = ["ansible-playbook", str(ROOT / "playbooks/awx.yml"), "-vvvv", "--diff"]
        command += ["--extra-vars", json.dumps(required)]
        with Watched(home) as watched:
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == ends, run.stdout + run.stderr
        places = [tmp_path, Path(temporary)]
        # The modules read it from the environment, as the user gave it.
        given = ["CONTROLLER_OAUTH_TOKEN"]
        assert_no_leak(forms("user", token), watched, run, places, ours=[], given=given, tools=())
