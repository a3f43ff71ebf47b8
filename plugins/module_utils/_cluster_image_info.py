# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the images of a registry that a cluster uses, and those of them that can be lost.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.annotations import ReleaseRecord, known_reference
from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import ApiClient, Selection
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError, unreadable_texts
from ansible_collections.killinit.zot.plugins.module_utils._cluster.image_use import (
    RESOURCES_WITH_IMAGES,
    ImageInUse,
    has_pod_template,
    images_in_use,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    RESOURCES,
    WORKLOADS,
    Object,
    another_name,
    image_uses,
    name_of,
    namespace_name,
    registry_names,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import Revisions
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable, words
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import TaggedImage, read_inventory
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import registry_option, revisions_option

_PARALLEL = 8
_REASONS: t.Mapping[str, str] = {
    "missing": "the registry does not have it: a new pod cannot pull it",
    "incomplete": "the registry has lost its image for {lost}: a new pod on such a node cannot pull it",
    "untagged": "no tag refers to it: the registry deletes it with the next garbage collection",
    "shared_tag": "only shared tags ({tags}) refer to it: it is lost when they move",
}


@dataclass(frozen=True)
class ClusterImageQuery:
    """The options of a task, except for those of the connections."""

    registry: str
    aliases: t.Sequence[str]
    namespaces: t.Sequence[str]
    revisions: Revisions
    allow_empty: bool
    ignored_kinds: frozenset[str]

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> ClusterImageQuery:
        """Parse the options. Raises ZotError or InvalidNameError for an invalid option."""
        return cls(
            registry_option(params["registry"]),
            params["registry_aliases"],
            tuple(dict.fromkeys(map(namespace_name, words(params["namespaces"])))),
            revisions_option(params["revisions"]),
            params["allow_empty"],
            frozenset(kind.lower() for kind in words(params["ignore_kinds"])),
        )

    def reads(self, *names: str) -> bool:
        """Whether a resource with these names is read."""
        return not self.ignored_kinds & {name.lower() for name in names}


class IncompleteError(ClusterError):
    """A part of the cluster could not be read. With an incomplete list, images in use could be deleted."""

    def __init__(self, errors: t.Sequence[ClusterError]) -> None:
        self._unreadable = [error.unreadable() for error in errors]
        super().__init__(
            "; ".join(unreadable_texts(self._unreadable)),
            status=errors[-1].status,
            hint="Grant this permission to the user of the kubeconfig: the README of the role zot_prune has a suitable"
            " ClusterRole. Or leave kinds out whose images need not be kept: zot_prune_ignore_kinds (variable) or"
            " ignore_kinds (option).",
        )

    def __str__(self) -> str:
        return self.message

    def for_ansible(self) -> dict[str, t.Any]:
        """The arguments of C(fail_json)."""
        return {**super().for_ansible(), "unreadable": self._unreadable}


@dataclass(frozen=True)
class _UsedImage:
    """An image in use. *users* are the namespace, the owner and the kind of each use.

    *lost* are the platforms of an index whose manifests the registry has lost.
    """

    reference: Reference
    digest: str | None
    tags: t.Sequence[str]
    risk: str | None
    lost: t.Sequence[str]
    users: t.Sequence[tuple[str, str, str]]

    @property
    def reason(self) -> str | None:
        """Why the image can be lost."""
        if self.risk is None:
            return None
        return _REASONS[self.risk].format(tags=" and ".join(self.tags), lost=" and ".join(self.lost))

    def for_ansible(self) -> dict[str, t.Any]:
        """One of C(images) in a result."""
        return {
            "reference": str(self.reference),
            "digest": self.digest,
            "tags": list(self.tags),
            "risk": self.risk,
            "reason": self.reason,
            "used_by": [
                {"namespace": printable(namespace), "name": printable(owner), "use": how}
                for namespace, owner, how in self.users
            ],
        }

    def __str__(self) -> str:
        users = list(dict.fromkeys(printable(f"{namespace}/{owner}") for namespace, owner, _how in self.users))
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        digest = f" ({self.digest[:19]})" if self.digest and not self.reference.digest else ""
        return f"{self.reference}{digest}, used by {', '.join(users[:3])}{more}: {self.reason}"


def run(client: ApiClient, registry: Registry, query: ClusterImageQuery) -> dict[str, t.Any]:
    """The result of the module. Raises ClusterError or ZotError."""
    with registry_names(query.registry, query.aliases):
        uses, records = _read_cluster(client, query)
    used = [(reference, use) for use in uses for reference in _references(use, query)[:1]]
    if not used and not query.allow_empty:
        where = f"in the namespaces {', '.join(query.namespaces)}" if query.namespaces else "in any namespace"
        raise ClusterError(
            f"nothing {where} uses an image of {query.registry}; allow_empty accepts that",
            verb="find",
            resource="images",
            status=404,
            hint="Correct the registry or the namespaces.",
        )
    with thread_pool(_PARALLEL) as pool:
        repositories = {each.repository: each for _first, use in used for each in _references(use, query)}
        tagged = _TaggedImages(registry, query, repositories, pool)
        # If a tag has moved, a template that names it and a pod that reports the old digest use two images.
        tags = list(dict.fromkeys(reference for reference, use in used if not use.digest))
        current = dict(zip(tags, pool.map(registry.digest, tags)))
        found: dict[tuple[Reference, str | None], list[ImageInUse]] = {}
        for reference, use in used:
            found.setdefault((reference, use.digest or current[reference]), []).append(use)
        verdicts = pool.map(lambda key: tagged.assess(key[0], key[1], found[key]), found)
        images = [
            _UsedImage(reference, digest, tags_of, risk, lost, _users(found[reference, digest]))
            for (reference, digest), (tags_of, risk, lost) in zip(found, verdicts)
        ]
    images.sort(key=lambda each: (str(each.reference), each.digest or ""))
    digests = {use.digest for use in uses if use.digest} | {each.digest for each in images if each.digest}
    notes = _other_names(uses, tagged, query)
    return {
        "changed": False,
        "images": [each.for_ansible() for each in images],
        "at_risk": [str(each) for each in images if each.risk],
        "digests": sorted(digests),
        "records": records,
        "registry": query.registry,
        "namespaces": list(query.namespaces),
        "cluster": client.server,
        # Ansible shows them.
        **({"warnings": notes} if notes else {}),
    }


def _read_cluster(client: ApiClient, query: ClusterImageQuery) -> tuple[set[ImageInUse], list[dict[str, t.Any]]]:
    """Every use of an image, and the records of releases. Only one page of objects is in memory at a time."""
    found: set[ImageInUse] = set()
    records: dict[tuple[str, str], dict[str, t.Any]] = {}
    refused: list[ClusterError] = []
    built_in = [each for each in RESOURCES_WITH_IMAGES if query.reads(each, RESOURCES[each][1])]
    custom = _custom_resources(client, query, refused)
    for namespace in query.namespaces or (None,):
        if namespace is not None:
            Selection(namespace).require_namespace(client, "images")
        for resource in (*built_in, *custom):
            try:
                for page in client.pages(resource, namespace):
                    found.update(use for document in page for use in images_in_use(document))
                    if resource in WORKLOADS:
                        # An object may be in two pages.
                        named = filter(None, (_record(document, query) for document in page))
                        records.update(((each["namespace"], each["name"]), each) for each in named)
            except ClusterError as error:
                if error.status == 404 and resource in custom:  # its definition was deleted meanwhile
                    continue
                if error.status != 403:
                    raise
                refused.append(error)
    if refused:
        raise IncompleteError(refused)
    return found, [records[name] for name in sorted(records)]


def _record(workload: Object, query: ClusterImageQuery) -> dict[str, t.Any] | None:
    """What a workload runs since which release of this registry; None without a record."""
    record = ReleaseRecord.of(workload)
    if record is None or all(known_reference(each.after).registry != query.registry for each in record.images.values()):
        return None
    return {
        "namespace": printable(workload["metadata"].get("namespace") or ""),
        "name": printable(name_of(workload)),
        **record.for_ansible(image_uses(template_of(workload)["spec"])),
    }


def _custom_resources(client: ApiClient, query: ClusterImageQuery, refused: list[ClusterError]) -> list[str]:
    """The custom resources that may contain a pod template, by the schemas of their definitions."""
    found: list[str] = []
    if not query.reads("CustomResourceDefinition", "customresourcedefinitions"):
        return found
    try:
        for page in client.pages("customresourcedefinitions"):
            found += filter(None, (_custom_resource(each["spec"], query) for each in page))
    except ClusterError as error:
        if error.status != 403:
            raise
        # Definitions have no namespace: a user who may read only one namespace gets only the built-in kinds.
        if not query.namespaces:
            refused.append(error)
    return found


def _custom_resource(definition: t.Mapping[str, t.Any], query: ClusterImageQuery) -> str | None:
    names, group = definition["names"], definition["group"]
    is_read = definition["scope"] == "Namespaced" or not query.namespaces
    if not is_read or not query.reads(names["kind"], names["plural"], f"{names['plural']}.{group}"):
        return None
    versions = [each for each in definition["versions"] if each.get("served")]
    if not any(has_pod_template((each.get("schema") or {}).get("openAPIV3Schema") or {}) for each in versions):
        return None
    stored = next((each for each in versions if each.get("storage")), versions[0])
    return f"{names['plural']}.{stored['name']}.{group}"


def _references(use: ImageInUse, query: ClusterImageQuery) -> list[Reference]:
    """The images of the registry that a use names: in the specification first, then in the status of the pod.

    They have the name of the option, also if the use has another spelling of it, or an alias.
    """
    found = []
    for text in (use.image, use.reported or ""):
        with contextlib.suppress(InvalidReferenceError):
            reference = Reference.parse(text)
            reference = reference.known_as(query.registry, query.aliases)
            if reference.registry == query.registry:
                # The tag of a reference with a digest is ignored.
                found.append(reference.pinned(reference.digest) if reference.digest else reference)
    return found


def _other_names(uses: t.Iterable[ImageInUse], tagged: _TaggedImages, query: ClusterImageQuery) -> list[str]:
    """A sentence for each host that may be another name of the registry, if a prune could remove its image.

    What pods report protects an image under any name. Only a template without pods depends on the name.
    """
    reported = {use.image for use in uses if use.digest}
    found: dict[str, str] = {}
    for use in sorted(uses, key=lambda each: (each.namespace, each.owner)):
        with contextlib.suppress(InvalidReferenceError):
            reference = Reference.parse(use.image).known_as(query.registry, query.aliases)
            if reference.registry != query.registry and use.image not in reported and tagged.has(reference):
                user, host = f"{use.namespace}/{use.owner}", reference.registry
                text = another_name(user, use.image, query.registry, "this tag", host)
                found.setdefault(host, f"{text}. Otherwise a prune can remove the image")
    return list(found.values())


class _TaggedImages:
    """The tagged images of the used repositories."""

    def __init__(
        self,
        registry: Registry,
        query: ClusterImageQuery,
        repositories: t.Mapping[str, Reference],
        pool: ThreadPoolExecutor,
    ) -> None:
        """Read the inventory of each repository. A repository that does not exist has no tags."""
        self._registry = registry
        self._query = query
        with thread_pool(_PARALLEL) as more:
            found = pool.map(lambda each: read_inventory(registry, each, more), repositories.values())
            self._images: dict[str, t.Sequence[TaggedImage]] = {
                name: each.images if each else () for name, each in zip(repositories, found)
            }

    def has(self, reference: Reference) -> bool:
        """Whether an image of this repository and tag was read, of whatever registry."""
        return any(each.tag == reference.tag for each in self._images.get(reference.repository, ()))

    def assess(
        self, reference: Reference, digest: str | None, uses: t.Sequence[ImageInUse]
    ) -> tuple[list[str], str | None, list[str]]:
        """The tags that refer to a digest, its risk or None, and the platforms that the index has lost."""
        if digest is None:
            return [], "missing", []
        by_repository = {each.repository: each for use in uses for each in _references(use, self._query)}
        tags, risk = self._tags(reference, digest, by_repository, uses)
        lost = [] if risk in ("missing", "untagged") else self._lost_platforms(digest, by_repository)
        return tags, "incomplete" if lost else risk, lost

    def _lost_platforms(self, digest: str, by_repository: t.Mapping[str, Reference]) -> list[str]:
        """The platforms of an index whose manifests are in none of the repositories.

        Zot deletes a manifest that an index lists when another image gets the last tag of the manifest.
        """
        members = {
            (each.digest, each.platform)
            for name in by_repository
            for image in self._images[name]
            if image.digest == digest
            for each in image.members
            # No node pulls an attestation.
            if each.digest != digest and each.platform and not each.platform.startswith("unknown")
        }
        return sorted(
            str(platform)
            for member, platform in members
            if not any(self._registry.digest(place.pinned(member)) for place in by_repository.values())
        )

    def _tags(
        self, reference: Reference, digest: str, by_repository: t.Mapping[str, Reference], uses: t.Sequence[ImageInUse]
    ) -> tuple[list[str], str | None]:
        """The tags that refer to a digest, and its risk: C(missing), C(untagged), C(shared_tag) or None.

        Shared tags count only if there is no tag of a revision. The search extension may be outdated, so each tag is
        read again from the registry.
        """
        tagged = {
            place.tagged(image.tag): image.digest
            for name, place in by_repository.items()
            for image in self._images[name]
            if digest in image.digests
        }
        if reference.tag:
            tagged.setdefault(reference, digest)
        for of_revisions in (True, False):
            tags = [
                str(each.tag) if each.repository == reference.repository else f"{each.repository}:{each.tag}"
                for each, expected in tagged.items()
                if (self._query.revisions.of(str(each.tag)) is not None) is of_revisions
                and self._registry.digest(each) == expected
            ]
            if tags:
                # If every use names only the tag, the move of the tag loses nothing.
                return tags, None if of_revisions or not any(use.digest for use in uses) else "shared_tag"
        pinned = [place.pinned(digest) for place in by_repository.values()]
        # If a container runtime reports no repository, the digest is that of the configuration.
        is_config = any(use.reported and "@" not in use.reported for use in uses)
        exists = self._registry.http().has_blob if is_config else self._registry.digest
        return [], "untagged" if any(map(exists, pinned)) else "missing"


def _users(uses: t.Sequence[ImageInUse]) -> list[tuple[str, str, str]]:
    users = sorted({(use.namespace, use.owner, use.how) for use in uses})
    # The newest entry of a history is the current template.
    current = {(namespace, owner) for namespace, owner, how in users if how == "template"}
    return [each for each in users if each[2] != "history" or each[:2] not in current]
