# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-test needs: a copy of the checkout in which it sees the files, and a HOME in which it can work."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from environment.collection_path import CACHE, COLLECTIONS, ROOT

# ansible-test would download a script of that name.
GET_PIP = """\
import runpy, subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
sys.argv[1:] = ["install"] + [each for each in sys.argv[1:] if each not in ("--no-setuptools", "--no-wheel")]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """Copy the files that git has or would add; ansible-test follows no symlink, and sees nothing that git ignores."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "ansible_collections"
        copy = home / "killinit" / "zot"
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        (home / "kubernetes").symlink_to(COLLECTIONS / "ansible_collections" / "kubernetes")
        yield copy


def make_home() -> Path:
    """Make a HOME with GET_PIP, and with the settings of pip, which ansible-test does not pass on."""
    home = CACHE / "home"
    config = home / ".config" / "pip" / "pip.conf"
    for folder in (home / ".ansible" / "test" / "cache", config.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):
        (home / ".ansible" / "test" / "cache" / f"get_pip_{version}.py").write_text(GET_PIP)
    # Lines such as  :env:.cert='/etc/ssl/ca.pem'  and then  global.timeout='60'
    command = (sys.executable, "-m", "pip", "config", "list")
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    settings: dict[str, str] = {}
    for option, value in re.findall(r"^(?::env:|global)\.(.+?)=(.*)$", found, re.MULTILINE):
        settings.setdefault(option, str(ast.literal_eval(value)).replace("\n", "\n    "))
    settings.pop("config-file", None)
    config.touch(mode=0o600)
    config.write_text("[global]\n" + "".join(f"{option} = {value}\n" for option, value in settings.items()))
    return home
