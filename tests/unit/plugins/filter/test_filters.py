# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the same for every filter."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

HOME = "ansible_collections.killinit.zot.plugins.filter"
NAMES = sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(HOME).__path__))


@pytest.mark.parametrize("name", NAMES)
def test_ansible_knows_it_by_the_name_of_its_file(name: str) -> None:
    module = importlib.import_module(f"{HOME}.{name}")
    assert module.FilterModule().filters() == {name: getattr(module, name)}


def test_loading_all_is_cheap() -> None:
    """Ansible does so for each task that uses one of them: none brings along what only it needs."""
    imports = "; ".join(f"import {HOME}.{name}" for name in NAMES)
    program = f"{imports}; import sys; print([name for name in sys.modules if 'zot.plugins.module_utils' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
