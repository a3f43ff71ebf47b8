# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the filters of the role zot_diagnose look at."""

    DOCUMENTATION = r"""
options:
  _input:
    description:
      - What there is in the cluster, a dictionary with C(namespace), C(registry) (as C(host[:port])), C(secret), the
        name of the pull secret that pods should name, C(failures), what
        P(killinit.zot.diagnose_failures#filter) returned, C(secrets), a dictionary from the names of pull secrets to
        what M(killinit.zot.zot_cluster_info) found by them, and C(service_accounts) and C(nodes), lists of objects,
        each null where it could not be read.
    type: dict
    required: true
"""

    ANSWERS = r"""
options:
  answers:
    description:
      - What the registry says, a dictionary with C(probed) and C(asked), the results of M(killinit.zot.zot_image_info)
        in loops over P(killinit.zot.diagnose_probes#filter) and P(killinit.zot.diagnose_questions#filter), C(looked),
        the images that P(killinit.zot.diagnose_nearest#filter) asked for, and C(catalog), the repositories. What is
        left out is not known.
    type: dict
    default: {}
"""
