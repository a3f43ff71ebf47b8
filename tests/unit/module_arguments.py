# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a module its arguments in the Python of the tests, on every supported ansible-core."""

from __future__ import annotations

import contextlib
import json
import typing as t
from unittest import mock

from ansible.module_utils import basic


@contextlib.contextmanager
def module_arguments(arguments: t.Mapping[str, t.Any]) -> t.Iterator[None]:
    """The arguments of the module that the block runs."""
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core before 2.17
        own = {"_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False, **arguments}
        raw = json.dumps({"ANSIBLE_MODULE_ARGS": own}).encode()
        with mock.patch.object(basic, "_ANSIBLE_ARGS", raw):
            yield
    else:
        with patch_module_args(dict(arguments)):
            yield
