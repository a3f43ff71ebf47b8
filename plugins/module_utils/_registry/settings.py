# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of the settings of a registry: option, variable and environment variable.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

ACCOUNT = ("username", "password", "authfile")
SETTINGS = (
    "registry",
    *ACCOUNT,
    "ca_path",
    "validate_certs",
    "timeout",
    "retries",
    "skopeo_path",
    "crane_path",
    "registry_aliases",
)


def variable(setting: str) -> str:
    """The Ansible variable of a setting."""
    return f"zot_{setting}"


def environment_variable(setting: str) -> str:
    """The environment variable of a setting."""
    return f"ZOT_{setting.upper()}"


def given(setting: str, option: str | None = None) -> str:
    """The two names by which a play sets a setting. *option* is its name in the module."""
    option = option or setting
    # The play that copies sets the options of the source by variables of its own.
    name = variable(f"promote_{option}" if option.startswith("source_") else setting)
    return f"{name} (variable) or {option} (option)"


def settable(setting: str, option: str | None = None) -> str:
    """All names by which the reader of an error can set a setting."""
    if option and option.startswith("source_"):  # the environment has only the settings of the destination
        return given(setting, option)
    names = f"{variable(setting)} (variable), {option or setting} (option)"
    return f"{names} or {environment_variable(setting)} (environment)"
