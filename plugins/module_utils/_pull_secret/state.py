# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a verdict on a pull secret needs: resources of the cluster, and the answers of the registry.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient, Readings, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, unreadable_texts
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    RESOURCES,
    WORKLOADS,
    Object,
    WorkloadName,
    image_uses,
    is_name,
    object_name,
    secret_names,
    service_account_of,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    PullCredentials,
    PullSecret,
    SecretEntry,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, same_registry
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import words
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options, settable
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    references_option,
    registry_option,
    seconds_option,
)

# The timeout of a probe, and the time after which no probe starts, in seconds. All probes end within the sum of both.
LONGEST_PROBE = 15
LAST_START = 15.0
_PARALLEL = 16
# After these errors kubelet tries the next entry.
REFUSALS = ("unauthorized", "denied")


@dataclass(frozen=True)
class Scope:
    """The pull secret, the workloads and the images that the options of a task select.

    *credentials* are those that a repair would write, and with *assume_repaired* the verdict is that after the repair.
    A key that expires within *warned* seconds leads to a warning; None without warnings.
    """

    selection: Selection
    secret: str
    registry: str
    images: tuple[Reference, ...] = ()
    aliases: tuple[str, ...] = ()
    credentials: PullCredentials | None = field(default=None, repr=False)
    assume_repaired: bool = False
    warned: int | None = None

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Scope:
        """Parse the options, of which a module may lack some. Raises ZotError or InvalidNameError."""
        registry, within = registry_option(params["registry"]), params.get("expires_within")
        username, password = params.get("repair_username"), params.get("repair_password")
        return cls(
            Selection.of(params),
            object_name(params["name"]),
            registry,
            references_option("images", params["images"], registry),
            tuple(map(registry_option, words(params["registry_aliases"]))),
            PullCredentials(username, password) if username and password else None,
            params.get("assume_repaired", False),
            None if within is None else seconds_option("expires_within", within),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the registry in the entries of a pull secret."""
        return tuple(dict.fromkeys((self.registry, *self.aliases)))

    def images_of(self, workload: Object) -> list[Reference]:
        """The images of the registry as a workload names them: kubelet finds the entry by this name."""
        found = [use.reference() for use in image_uses(template_of(workload)["spec"])]
        return [each for each in found if each and same_registry(each.registry, self.registry, self.aliases)]

    @property
    def namespace(self) -> str:
        """The namespace of the secret and the workloads."""
        return self.selection.namespace

    @property
    def title(self) -> str:
        """The secret, as a part of a sentence."""
        return f"secret {self.secret} in namespace {self.namespace}"


@dataclass(frozen=True)
class State:
    """The resources of a scope in the cluster.

    *workloads* are those of the scope that use the registry, and *missing* those that were named and do not exist.
    *elsewhere* are the namespaces with a secret of the same name, if the secret of the scope does not exist. *broken*
    are the other pull secrets of the workloads that kubelet cannot read, each with the reason. A resource that cannot
    be read is None, and *unreadable* has the reason.
    """

    scope: Scope
    secret: Object | None = field(repr=False)
    workloads: tuple[Object, ...]
    missing: tuple[WorkloadName, ...]
    service_accounts: t.Mapping[str, Object] | None
    elsewhere: tuple[str, ...] | None
    unreadable: tuple[t.Mapping[str, t.Any], ...]
    broken: t.Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> PullSecret | None:
        """The content of the secret, as kubelet reads it."""
        return PullSecret.read(self.secret) if self.secret else None

    @property
    def needed(self) -> dict[str, list[Reference]]:
        """The images that must be pullable, by C(registry/repository)."""
        found: dict[str, dict[Reference, None]] = {}
        used = [image for workload in self.workloads for image in self.scope.images_of(workload)]
        for image in (*used, *self.scope.images):
            found.setdefault(image.name, {})[image] = None
        return {repository: list(found[repository]) for repository in sorted(found)}

    def unread(self, *resources: str) -> str:
        """Why one of these resources could not be read, as a sentence; empty if all could."""
        return "; ".join(unreadable_texts(self.unreadable, about=resources))

    @property
    def unread_secret(self) -> str:
        """Why the secret could not be read; empty if it could, also if it does not exist."""
        return self.unread("secrets")

    @property
    def unread_workloads(self) -> str:
        """Why some workloads could not be read; empty if all could."""
        return self.unread(*WORKLOADS)

    def named_secrets(self, workload: Object) -> list[str]:
        """The pull secrets of a new pod of a workload: those of its service account only if it names none itself."""
        specification = template_of(workload)["spec"]
        account = (self.service_accounts or {}).get(service_account_of(specification), {})
        return secret_names(specification) or secret_names(account)


@dataclass(frozen=True)
class Probe:
    """The result for one image. *entries* are the entries whose credentials were tried.

    Without an *error*, the registry accepted the last of them, and *exists* is whether the image exists.
    """

    image: Reference
    entries: tuple[SecretEntry, ...]
    exists: bool = False
    error: ZotError | None = None


def read_state(client: ApiClient, scope: Scope) -> State:
    """Read a scope. Raises ClusterError if the connection fails, or if the scope selects nothing."""
    readings = Readings(client)
    secret = readings.get("secrets", scope.namespace, scope.secret)
    is_missing = secret is None and not readings.unreadable
    found: list[Object] = []
    unread_kinds = set()
    for resource in WORKLOADS:
        listed = readings.list(resource, scope.namespace, labels=scope.selection.labels)
        found += listed or []
        unread_kinds |= {RESOURCES[resource][1]} if listed is None else set()
    by_name = {WorkloadName(each["kind"], each["metadata"]["name"]): each for each in found}
    accounts = readings.list("serviceaccounts", scope.namespace)
    chosen = [each for name, each in by_name.items() if not scope.selection.names or name in scope.selection.names]
    state = State(
        scope=scope,
        secret=secret,
        workloads=tuple(each for each in chosen if scope.images_of(each)),
        missing=tuple(each for each in scope.selection.names if each not in by_name and each.kind not in unread_kinds),
        service_accounts=None if accounts is None else {each["metadata"]["name"]: each for each in accounts},
        elsewhere=_elsewhere(client, scope) if is_missing else None,
        unreadable=tuple(readings.unreadable),
    )
    if not state.needed and not unread_kinds:
        scope.selection.require_namespace(client)
        if not scope.selection.allow_empty or scope.selection.names or scope.selection.labels:
            raise _nothing_found(state)
    names = dict.fromkeys(name for each in state.workloads for name in state.named_secrets(each))
    return replace(state, broken=_broken(client, scope, [name for name in names if name != scope.secret]))


def probe_images(
    task: Task, options: Options, secret: PullSecret, needed: t.Mapping[str, t.Sequence[Reference]]
) -> dict[str, list[Probe]]:
    """Probe every image for which the secret has credentials, by repository."""
    entries = {name: [each for each in secret.for_image(name) if each.is_complete] for name in needed}
    short = replace(options, timeout=min(options.timeout, LONGEST_PROBE), retries=0, authfile=None, ambient=False)
    readers: dict[SecretEntry, Registry] = {}
    for entry in dict.fromkeys(entry for tried in entries.values() for entry in tried):
        readers[entry] = Registry(task.session(replace(short, username=entry.username, password=entry.password)))
    end = time.monotonic() + LAST_START
    # Start with one image of each repository. It tests the credentials, even if the time is too short for all images.
    turns = sorted(
        ((turn, name, image) for name in needed for turn, image in enumerate(needed[name]) if entries[name]),
        key=lambda each: each[0],
    )
    with thread_pool(_PARALLEL) as pool:
        probes = list(pool.map(lambda each: _probe(each[2], entries[each[1]], readers, end, options), turns))
    found: dict[str, list[Probe]] = {name: [] for name in needed}
    for each in probes:
        found[each.image.name].append(each)
    return found


def _nothing_found(state: State) -> ClusterError:
    scope = state.scope
    named = f" among {', '.join(map(str, scope.selection.names))}" if scope.selection.names else ""
    missing = f" (not found: {', '.join(map(str, state.missing))})" if state.missing else ""
    return scope.selection.nothing(
        f"none{scope.selection.with_labels}{named} uses an image of {scope.registry}{missing}",
        hint="Correct the namespace, the workloads, the selectors or the registry. If the workloads name the"
        f" registry in another way, set {settable('registry_aliases')}. Before the first workload exists, name its"
        " images in the option images (zot_pull_secret_images).",
    )


def _elsewhere(client: ApiClient, scope: Scope) -> tuple[str, ...] | None:
    """The namespaces that have a secret of this name; None if the user may not list them, which is not an error.

    Only the metadata is requested, because the data of secrets in other namespaces is not needed.
    """
    try:
        found = client.list("secrets", fields=[f"metadata.name={scope.secret}"], metadata_only=True)
    except ClusterError:
        return None
    return tuple(each["metadata"]["namespace"] for each in found)


def _broken(client: ApiClient, scope: Scope, names: t.Iterable[str]) -> dict[str, str]:
    """The secrets among *names* that kubelet cannot read, each with the reason. The permission to read is optional."""
    found = {}
    for name in filter(is_name, names):
        try:
            document = client.get("secrets", scope.namespace, name)
        except ClusterError as error:
            if error.status != 403:
                raise
            continue
        secret = PullSecret.read(document) if document else None
        # Kubelet does not parse a secret of another type.
        if secret and secret.type in FIELDS and secret.problems:
            found[name] = "; ".join(secret.problems)
    return found


def _probe(
    image: Reference,
    entries: t.Sequence[SecretEntry],
    readers: t.Mapping[SecretEntry, Registry],
    end: float,
    options: Options,
) -> Probe:
    named = image.known_as(str(options.registry), options.registry_aliases)
    error: ZotError | None = None
    for count, entry in enumerate(entries, start=1):
        tried = tuple(entries[:count])
        if time.monotonic() >= end:
            message = f"{image} was not probed: the other probes took {LAST_START:.0f} seconds"
            return Probe(image, tried, error=ZotError("unavailable", message))
        try:
            # Use a HEAD request: a GET of the manifest counts as a pull, which the retention of Zot takes into account.
            return Probe(image, tried, exists=readers[entry].digest(named) is not None)
        except ZotError as refused:
            if refused.error_class not in REFUSALS:
                return Probe(image, tried, error=refused)
            # Report a user who lacks the permission rather than credentials that the registry rejects.
            if error is None or refused.error_class == "denied":
                error = refused
    return Probe(image, tuple(entries), error=error)
