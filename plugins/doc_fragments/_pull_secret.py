# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to killinit.zot: it may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    """What the filters on a pull secret look at."""

    DOCUMENTATION = r"""
options:
  _input:
    description:
      - What there is in the cluster, a dictionary with C(name) and C(namespace) of the pull secret, C(only), the
        workloads that are asked for as C(deployment/openclaw) (empty means all), C(refused), the sentences of
        P(killinit.zot.cluster_error#filter) about what could not be read, and these lists of objects as
        C(kubernetes.core.k8s_info) returns them, each null where it could not be read -
        C(secret), C(workloads), C(service_accounts), and C(elsewhere), the namespaces that have such a secret.
    type: dict
    required: true
  registry:
    description: The registry, as C(host[:port]).
    type: str
    required: true
"""
