# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the tool that manages a Kubernetes object, and would undo a change by another one.

Private to killinit.zot: it may change at any time.

What the tools write: https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/,
https://fluxcd.io/flux/components/kustomize/kustomizations/, https://helm.sh/docs/chart_best_practices/labels/,
https://external-secrets.io/latest/api/externalsecret/ and https://github.com/bitnami-labs/sealed-secrets.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import Object
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable

# The prefixes of labels and annotations that a tool writes on the objects that it manages.
_PREFIXES: t.Mapping[str, str] = {
    "argocd.argoproj.io/": "Argo CD",
    "kustomize.toolkit.fluxcd.io/": "Flux",
    "helm.toolkit.fluxcd.io/": "Flux",
    "meta.helm.sh/release-": "Helm",
    "reconcile.external-secrets.io/": "External Secrets",
    "sealedsecrets.bitnami.com/": "Sealed Secrets",
}
# The labels and annotations whose value names the application, the release and so on.
_NAMES: t.Mapping[str, str] = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}
# Argo CD tracks by this label if it does not track by an annotation. Charts and people use the same label, so it counts
# only if Argo CD has written the object.
_INSTANCE = "app.kubernetes.io/instance"


def managing_tool(document: Object) -> str | None:
    """The tool that manages an object, or its owner, for example C(Argo CD); None if there is none."""
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    names = (*labels, *(metadata.get("annotations") or {}))
    for prefix, tool in _PREFIXES.items():
        if any(name.startswith(prefix) for name in names):
            return tool
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    writers = (str(each.get("manager")) for each in metadata.get("managedFields") or ())
    return "Argo CD" if _INSTANCE in labels and any(name.startswith("argocd") for name in writers) else None


def owner_text(document: Object) -> str | None:
    """The owner or the manager of an object with its name, as a part of a sentence; None if there is none."""
    metadata = document["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        return printable(f"the {owner['kind']} {owner['name']}")
    tool = managing_tool(document)
    if tool is None:
        return None
    values = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    names = [name for name, of in {**_NAMES, _INSTANCE: "Argo CD"}.items() if of == tool and name in values]
    # The tracking annotation is APPLICATION:GROUP/KIND:NAMESPACE/NAME.
    return printable(f"{tool} ({str(values[names[0]]).partition(':')[0]})" if names else tool)
