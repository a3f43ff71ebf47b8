# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs all modules that use a registry or a cluster: meta/runtime.yml names this plugin for each of them.

It has the name of one module, because C(ansible-test sanity) refuses an action plugin without a module.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.killinit.zot.plugins.plugin_utils._progress import progress_lines
from ansible_collections.killinit.zot.plugins.plugin_utils._settings import (
    CLUSTER_MODULES,
    cluster_defaults,
    with_names,
    with_settings,
)

_SHOW_PROGRESS = ("zot_push", "zot_publish", "zot_copy", "zot_vulnerability_info")


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """Gives a module the settings that its task omits, and finds the kubeconfig on the controller."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module. The arguments of the task remain as they are, because callback plugins print them."""
        variables = task_vars or {}
        # ansible-core 2.16 sets resolved_action to the name of this plugin.
        module = self._task.action.rpartition(".")[2]
        reads_cluster = module in CLUSTER_MODULES
        # The worker removes a decrypted kubeconfig when it ends, and an asynchronous module runs longer.
        self._supports_async = not reads_cluster
        if reads_cluster:
            _require_kubernetes_core(module)
        result: dict[str, t.Any] = super().run(tmp, variables)
        given = {**cluster_defaults(self._task, self._templar), **self._task.args} if reads_cluster else self._task.args
        arguments = with_settings(module, given, self._templar, variables)
        # The module cannot know this: no_target_syslog in ansible.cfg also sets its attribute no_log.
        if module == "zot_api_key" and arguments.get("state", "present") != "absent" and not self._task.no_log:
            raise AnsibleActionFail(
                "zot_api_key makes no API key, because the task has no no_log: true, so Ansible would print the key."
                " Add no_log: true to the task."
            )
        if reads_cluster:
            self._find_kubeconfig(arguments)
        shown = (
            module in _SHOW_PROGRESS
            and not self._task.no_log
            and boolean(self._templar.template(variables.get("zot_push_progress", True)))
        )
        wrap_async = self._task.async_val and not self._connection.has_native_async
        with progress_lines(variables.get("inventory_hostname")) if shown else contextlib.nullcontext():
            result.update(self._execute_module(module_args=arguments, task_vars=variables, wrap_async=wrap_async))
        if result.get("failed"):
            result["msg"] = with_names(module, str(result.get("msg", "")))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _find_kubeconfig(self, arguments: dict[str, t.Any]) -> None:
        """Replace the paths of a kubeconfig on the controller, as the action plugin of kubernetes.core does.

        A relative path is searched in C(files/), and a file that is encrypted with a vault is decrypted.
        """
        kubeconfig = arguments.get("kubeconfig")
        if not isinstance(kubeconfig, str) or self._connection.transport != "local":
            return
        try:
            paths = [self._find_needle("files", path) for path in kubeconfig.split(os.pathsep)]
            found = [self._loader.get_real_file(path, decrypt=True) for path in paths]
        except AnsibleError:  # its text advises on options that this module does not have
            raise AnsibleActionFail(
                f"cannot read the kubeconfig {kubeconfig!r} on the controller. Correct zot_kubeconfig (variable),"
                " kubeconfig (option) or K8S_AUTH_KUBECONFIG (environment)."
            ) from None
        arguments["kubeconfig"] = os.pathsep.join(found)


def _require_kubernetes_core(module: str) -> None:
    """Fail before Ansible looks for the imports of the module, because its error does not say what to install."""
    with contextlib.suppress(ImportError):
        if importlib.util.find_spec("ansible_collections.kubernetes.core"):
            return
    raise AnsibleActionFail(
        f"killinit.zot.{module} uses a cluster and needs the collection kubernetes.core, which is not installed."
        " Install it with: ansible-galaxy collection install kubernetes.core"
    )
