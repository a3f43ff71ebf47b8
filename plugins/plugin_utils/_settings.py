# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a module that a task omits: from the variables of the host.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleError

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import words
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import (
    ACCOUNT,
    OPTIONS_BESIDE_A_CLUSTER,
    SETTINGS,
    select_account,
    settable,
    variable,
)

# The modules that use a cluster. Their options username and password are those of the cluster.
CLUSTER_MODULES = frozenset(
    (
        "zot_workload_info",
        "zot_pull_secret",
        "zot_pull_secret_info",
        "zot_pull_secret_key",
        "zot_pull_failure_info",
        "zot_cluster_image_info",
    )
)
_CLUSTER = ("kubeconfig", "context")
# Without in_use a task prunes without a cluster. The error of an empty namespace says more than that of a missing one.
_NEVER_ABSENT = ("in_use", "namespace")
# Options whose empty text is no missing option: no revision is an error that names it, and no shared tags are no tags.
_MAY_BE_EMPTY = {"zot_publish": ("revision", "tags", "keep_previous")}


def option_names(module: str) -> t.Mapping[str, str]:
    """The option of each registry setting in a module."""
    return OPTIONS_BESIDE_A_CLUSTER if module in CLUSTER_MODULES else {name: name for name in SETTINGS}


def with_names(module: str, message: str) -> str:
    """The *message* of a failed module. If Ansible cannot convert a setting, it names only the option of the module."""
    found = re.match(r"argument '(\w+)' is of type ", message)
    settings = {option: setting for setting, option in option_names(module).items()}
    if not found or found[1] not in settings:
        return message
    return f"{message.rstrip('.')}. Correct {settable(settings[found[1]], found[1])}."


class Variables:
    """The variables of a task. Each is evaluated when it is needed: one that is not needed may be undefined."""

    def __init__(self, templar: t.Any, variables: t.Mapping[str, t.Any]) -> None:
        self._templar = templar
        self._variables = variables

    def given(self, settings: t.Iterable[str]) -> dict[str, t.Any]:
        """The values of those *settings* that are set, by variable. Raises AnsibleError."""
        found = {variable(setting): self.get(setting) for setting in settings}
        return {name: value for name, value in found.items() if value is not None}

    def get(self, setting: str) -> t.Any:
        """The value of a setting, None if it is not set. Raises AnsibleError if it cannot be evaluated."""
        name = variable(setting)
        if name not in self._variables:
            return None
        try:
            # ansible-core 2.19 refuses a template that is only omit, unless it is in a dictionary.
            value = self._templar.template({name: self._variables[name]}).get(name)
            return None if is_absent(value, self._variables) else value
        except Exception as error:  # an undefined variable, a vault without a password, a filter that fails
            raise AnsibleError(f"the variable {name} cannot be evaluated: {_reason(error)}") from None


def names_in(value: t.Any) -> list[str]:
    """The names in an option of a plugin: a list, or a text with commas or spaces."""
    return words([value] if isinstance(value, str) else map(str, value))


def is_absent(value: t.Any, variables: t.Mapping[str, t.Any]) -> bool:
    """Whether the value of an option or a variable counts as not set. AWX passes an empty answer as empty text."""
    # Before ansible-core 2.19 omit is a text.
    return value is None or (isinstance(value, str) and value in ("", variables.get("omit")))


def _reason(error: BaseException) -> str:
    """Why a template failed: the first cause, without the lines of the source that ansible-core adds."""
    while error.__cause__:
        error = error.__cause__
    text = getattr(error, "_original_message", None) or getattr(error, "message", None) or str(error)
    return str(text).strip().rstrip(".")


def with_settings(
    module: str, arguments: t.Mapping[str, t.Any], templar: t.Any, variables: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """The arguments of a task, with the settings that they omit. Raises AnsibleError."""
    found = Variables(templar, variables)
    options = option_names(module)
    # A role passes its variables unchanged, and an empty answer in AWX is null.
    given = {
        name: value
        for name, value in arguments.items()
        if name in _NEVER_ABSENT
        or (value == "" and name in _MAY_BE_EMPTY.get(module, ()))
        or not is_absent(value, variables)
    }
    for setting, option in options.items():
        if setting not in ACCOUNT and option not in given:
            value = found.get(setting)
            if value is not None:
                given[option] = value

    def levels() -> t.Iterator[dict[str, t.Any]]:
        yield {name: given.get(options[name]) for name in ACCOUNT}
        # Evaluated only if the task has no complete account.
        yield {name: found.get(name) for name in ACCOUNT}

    given.update((options[name], value) for name, value in select_account(levels()).items())
    # A task that names the server of the cluster must not send it the credentials of another cluster.
    if module in CLUSTER_MODULES and "host" not in given:
        for name in _CLUSTER:
            value = None if name in given else found.get(name)
            if value is not None:
                given[name] = value
    return given


def cluster_defaults(task: t.Any, templar: t.Any) -> dict[str, t.Any]:
    """The connection that module_defaults give the modules of kubernetes.core.

    A module cannot join the action group of another collection without taking that group's other options, or giving it
    its own: https://docs.ansible.com/ansible/latest/user_guide/playbooks_module_defaults.html
    """
    defaults = None
    for block in task.module_defaults or []:
        # As in ansible-core, an inner block replaces the whole dictionary of an outer one.
        defaults = block.get("group/kubernetes.core.k8s", defaults)
    if not defaults:
        return {}
    from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

    options = {alias for name, option in AUTH_ARG_SPEC.items() for alias in (name, *option.get("aliases", ()))}
    # The value may be one template, or a dictionary with templates in it.
    return {name: value for name, value in (templar.template(defaults) or {}).items() if name in options}
