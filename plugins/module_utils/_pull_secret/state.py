# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a verdict on a pull secret needs from the cluster.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import RESOURCES, Client, Object, Readings
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.names import (
    InvalidNameError,
    WorkloadName,
    namespace_name,
    object_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import image_uses, template_of
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, registry_name
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry

_WORKLOADS = ("deployments", "statefulsets", "daemonsets", "cronjobs")


@dataclass(frozen=True)
class Scope:
    """What the options of a task name."""

    namespace: str
    secret: str
    registry: str
    workloads: tuple[WorkloadName, ...]
    label_selectors: tuple[str, ...]
    images: tuple[Reference, ...]

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Scope:
        """Raises ZotError for an option that cannot be used, and InvalidReferenceError."""
        if not params["registry"]:
            raise missing_registry()
        registry = registry_name(params["registry"])
        images = tuple(Reference.parse(text, registry=registry) for text in _words(params["images"]))
        for image in images:
            if image.registry != registry:
                raise ZotError(
                    "invalid_option",
                    f"the image {image} is not in the registry {registry}",
                    hint="Correct the option images (zot_pull_secret_images) or the option registry (zot_registry).",
                )
        try:
            return cls(
                namespace=namespace_name(params["namespace"]),
                secret=object_name(params["name"]),
                registry=registry,
                workloads=tuple(dict.fromkeys(map(WorkloadName.parse, _words(params["workloads"])))),
                label_selectors=tuple(params["label_selectors"]),
                images=tuple(dict.fromkeys(images)),
            )
        except InvalidNameError as error:
            raise ZotError("invalid_option", str(error), hint="Correct the option.") from error

    @property
    def title(self) -> str:
        """The secret, as messages name it."""
        return f"secret {self.secret} in namespace {self.namespace}"


@dataclass(frozen=True)
class State:
    """What the cluster holds of a scope.

    *workloads* are those of the scope that use the registry, and *missing* those that were named and do not exist.
    *elsewhere* are the namespaces with a secret of the same name, where the scope's own does not exist. What cannot be
    read is None, and *unreadable* says why.
    """

    scope: Scope
    secret: Object | None
    workloads: tuple[Object, ...]
    missing: tuple[WorkloadName, ...]
    service_accounts: t.Mapping[str, Object] | None
    elsewhere: tuple[str, ...] | None
    unreadable: tuple[t.Mapping[str, t.Any], ...]

    @property
    def needed(self) -> dict[str, list[Reference]]:
        """The images that must be pullable, by C(registry/repository)."""
        found: dict[str, dict[Reference, None]] = {}
        used = [image for workload in self.workloads for image in _images(workload, self.scope.registry)]
        for image in (*used, *self.scope.images):
            found.setdefault(image.name, {})[image] = None
        return {repository: list(found[repository]) for repository in sorted(found)}

    def unread(self, *resources: str) -> str:
        """Why one of these resources could not be read, as a sentence; empty if all could."""
        wanted = [each for each in self.unreadable if each["resource"].partition("/")[0] in resources]
        return "; ".join(unreadable_text(each) for each in wanted)

    @property
    def unread_secret(self) -> str:
        """Why the secret could not be read; empty if it could, also if it does not exist."""
        return self.unread("secrets")

    @property
    def unread_workloads(self) -> str:
        """Why some workloads could not be read; empty if all could."""
        return self.unread(*_WORKLOADS)

    def changed(self, secret: Object | None, service_accounts: t.Mapping[str, Object] | None) -> State:
        """The same with another secret and other service accounts."""
        return replace(self, secret=secret, service_accounts=service_accounts, elsewhere=None)


def unreadable_text(reading: t.Mapping[str, t.Any]) -> str:
    """One of *unreadable* as a sentence."""
    return f"cannot {reading['verb']} {reading['resource']} in namespace {reading['namespace']}: {reading['message']}"


def read_state(client: Client, scope: Scope) -> State:
    """Read a scope. Raises ClusterError without a connection, and ZotError for a scope that names nothing."""
    readings = Readings(client)
    secret = readings.get("secrets", scope.namespace, scope.secret)
    is_missing = secret is None and not readings.unreadable
    found: list[Object] = []
    unread_kinds = set()
    for resource in _WORKLOADS:
        listed = readings.list(resource, scope.namespace, labels=scope.label_selectors)
        found += listed or []
        unread_kinds |= {RESOURCES[resource][1]} if listed is None else set()
    by_name = {WorkloadName(each["kind"], each["metadata"]["name"]): each for each in found}
    accounts = readings.list("serviceaccounts", scope.namespace)
    chosen = [each for name, each in by_name.items() if not scope.workloads or name in scope.workloads]
    state = State(
        scope=scope,
        secret=secret,
        workloads=tuple(each for each in chosen if _images(each, scope.registry)),
        missing=tuple(each for each in scope.workloads if each not in by_name and each.kind not in unread_kinds),
        service_accounts=None if accounts is None else {each["metadata"]["name"]: each for each in accounts},
        elsewhere=_elsewhere(client, scope) if is_missing else None,
        unreadable=tuple(readings.unreadable),
    )
    if not state.needed and not unread_kinds:
        raise _nothing_found(state)
    return state


def _nothing_found(state: State) -> ZotError:
    scope = state.scope
    selected = f" with the labels {', '.join(scope.label_selectors)}" if scope.label_selectors else ""
    named = f" among {', '.join(map(str, scope.workloads))}" if scope.workloads else ""
    missing = f" (not found: {', '.join(map(str, state.missing))})" if state.missing else ""
    return ZotError(
        "not_found",
        f"no workload in namespace {scope.namespace}{selected}{named} uses an image of the registry {scope.registry}"
        f"{missing}",
        hint="Correct the namespace, the workloads, the selectors or the registry. Before the first workload exists,"
        " name its images in the option images (zot_pull_secret_images).",
    )


def _elsewhere(client: Client, scope: Scope) -> tuple[str, ...] | None:
    """The namespaces that have a secret of this name. The right to list them is optional, so None is no error.

    The API sends the metadata alone: the data of other namespaces is not needed.
    """
    try:
        found = client.list("secrets", fields=[f"metadata.name={scope.secret}"], metadata_only=True)
    except ClusterError:
        return None
    return tuple(each["metadata"]["namespace"] for each in found)


def _images(workload: Object, registry: str) -> list[Reference]:
    references = [use.reference() for use in image_uses(template_of(workload)["spec"])]
    return [each for each in references if each and each.registry == registry]


def _words(texts: t.Iterable[str]) -> list[str]:
    """The items of a list; a command line and a survey of AWX give it as one text with commas or spaces."""
    return [word for text in texts for word in text.replace(",", " ").split()]
