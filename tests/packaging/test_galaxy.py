# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible Galaxy imports the tarball without a complaint."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

FETCHED = Path(__file__).resolve().parents[2] / ".cache" / "collections" / "ansible_collections"


def test_galaxy_imports_the_tarball(tarball: Path, bare_environment: dict[str, str], tmp_path: Path) -> None:
    programs = Path(os.environ["ZOT_TEST_IMPORTER"])
    (tmp_path / "ansible_collections").mkdir()
    for name in ("kubernetes", "awx"):
        (tmp_path / "ansible_collections" / name).symlink_to(FETCHED / name)
    environment = {
        **bare_environment,
        "PATH": f"{programs}:{bare_environment['PATH']}",
        # galaxy-importer sets ANSIBLE_COLLECTIONS_PATH itself, to the folder in which it unpacks the tarball.
        "PYTHONPATH": str(tmp_path),
    }
    done = subprocess.run(
        [programs / "python", "-m", "galaxy_importer.main", tarball.name],
        cwd=tarball.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    complaints = re.findall(r"^(?:WARNING|ERROR|CRITICAL): .*", done.stdout, re.MULTILINE)
    assert complaints == []
    assert done.returncode == 0, done.stdout
