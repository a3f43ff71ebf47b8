# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the modules that read a cluster, with the same connection as kubernetes.core."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError

from ansible_collections.killinit.zot.plugins.plugin_utils._module_defaults import module_defaults
from ansible_collections.kubernetes.core.plugins.action.k8s_info import ActionModule as K8sInfoAction
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC


class ActionModule(K8sInfoAction):  # type: ignore[misc]  # kubernetes.core has no types
    """Finds a kubeconfig like the action plugin of k8s_info, and applies the module_defaults of the play."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module with the connection that module_defaults give the group kubernetes.core.k8s.

        A module cannot join the action group of another collection without taking that group's other options, or
        giving it its own: https://docs.ansible.com/ansible/latest/user_guide/playbooks_module_defaults.html
        """
        options = {alias for name, option in AUTH_ARG_SPEC.items() for alias in (name, *option.get("aliases", ()))}
        connection = {
            name: value
            for name, value in module_defaults(self._task, self._templar, "group/kubernetes.core.k8s").items()
            if name in options
        }
        names = ("group/killinit.zot.cluster", self._task.resolved_action)
        own = module_defaults(self._task, self._templar, *names)
        self._task.args = {**connection, **own, **self._task.args}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        return result

    def get_kubeconfig(self, kubeconfig: t.Any, remote_transport: bool, new_module_args: dict[str, t.Any]) -> None:
        """Find the kubeconfig on the controller; the error of a missing file names the options."""
        try:
            super().get_kubeconfig(kubeconfig, remote_transport, new_module_args)
        except AnsibleError as error:
            # A kubeconfig that is a dictionary contains credentials.
            what = repr(kubeconfig) if isinstance(kubeconfig, str) else "of this type"
            raise AnsibleActionFail(
                f"cannot read the kubeconfig {what} on the controller. Correct zot_kubeconfig (roles), kubeconfig"
                " (modules), or K8S_AUTH_KUBECONFIG in the environment."
            ) from error

    def _ensure_invocation(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result unchanged.

        If a module ends without JSON, the inherited method would add the raw arguments, which contain the passwords.
        """
        return result
