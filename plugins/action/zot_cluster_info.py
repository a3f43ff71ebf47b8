# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module zot_cluster_info on the cluster that kubernetes.core would take."""

from __future__ import annotations

import typing as t

from ansible.executor.module_common import _apply_action_arg_defaults

from ansible_collections.kubernetes.core.plugins.action.k8s_info import ActionModule as K8sInfoAction
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC


class ActionModule(K8sInfoAction):  # type: ignore[misc]  # kubernetes.core has no types
    """Finds a kubeconfig as that of k8s_info does, from which it differs by nothing but the module that it runs."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module with what module_defaults say of the connection for k8s_info, or for its group.

        A module cannot join the action group of another collection. As ansible.builtin.package does it:
        https://github.com/ansible/ansible/blob/devel/lib/ansible/plugins/action/package.py
        """
        defaults = _apply_action_arg_defaults("kubernetes.core.k8s_info", self._task, {}, self._templar)
        names = {alias for name, option in AUTH_ARG_SPEC.items() for alias in (name, *option.get("aliases", ()))}
        self._task.args = {name: defaults[name] for name in names & defaults.keys()} | self._task.args
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        return result
