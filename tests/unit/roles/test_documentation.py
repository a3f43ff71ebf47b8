# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of the roles, as ansible-doc reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.release import __version__

from ansible_collections.killinit.zot.tests.unit import api_server

ROOT = Path(api_server.__file__ or "").parents[2]
COLLECTIONS = ROOT.parents[2]
ROLES = [f"killinit.zot.{path.name}" for path in sorted(ROOT.glob("roles/*"))]
pytestmark = pytest.mark.skipif(
    tuple(map(int, __version__.split(".")[:2])) < (2, 16), reason="an ansible-core that is not supported"
)
PROGRAM = shutil.which("ansible-doc", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def ansible_doc(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The pages of all roles."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(folder)}
    assert PROGRAM
    command = [PROGRAM, "--type", "role", *options, *ROLES]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_pages_have_no_warning(tmp_path: Path) -> None:
    """ansible-core 2.19 warns of a key that the next version does not know."""
    done = ansible_doc(tmp_path)
    assert done.returncode == 0, done.stderr
    # ansible-core 2.16 writes the names in upper case.
    assert all(role in done.stdout.lower() for role in ROLES)
    # ansible-core 2.20 also warns of a collection of its own.
    assert "DEPRECAT" not in done.stderr.upper()
    assert "attributes" not in done.stderr


def test_every_key_of_a_role_is_shown(tmp_path: Path) -> None:
    done = ansible_doc(tmp_path, "--json")
    documents = json.loads(done.stdout)
    assert sorted(documents) == ROLES
    known = {"author", "description", "options", "short_description", "version_added", "seealso"}
    for name, document in documents.items():
        assert set(document["entry_points"]["main"]) <= known, name
