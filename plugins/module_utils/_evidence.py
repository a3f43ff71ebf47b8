# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cluster and registry say about images that cannot be pulled, held side by side.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    FIELDS,
    Entry,
    PullSecret,
    secret_names,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference

Failure = t.Mapping[str, t.Any]
Object = t.Mapping[str, t.Any]

_NEAR = 5
# As whom kubelet asks where it finds no account.
_NOBODY = ("", Entry("", "", "", "", contradicts=False))


@dataclass(frozen=True)
class View:
    """What the cluster says; None stands for what could not be read.

    *secret* is the pull secret that pods should name, *secrets* what is under each name, *failures* are those of
    _pull_failure.failures(), *accounts* the service accounts and *platforms* the nodes' platforms by name.
    """

    namespace: str
    registry: str
    secret: str
    failures: t.Sequence[Failure]
    secrets: t.Mapping[str, t.Sequence[Object] | None]
    accounts: t.Mapping[str, Object] | None
    platforms: t.Mapping[str, str] | None

    @classmethod
    def read(cls, view: Object) -> View:
        """Out of what zot_cluster_info has found."""
        accounts, nodes = view["service_accounts"], view["nodes"]
        return cls(
            namespace=view["namespace"],
            registry=view["registry"],
            secret=view["secret"],
            failures=view["failures"],
            secrets={name: each.get("resources") for name, each in view["secrets"].items()},
            accounts=None if accounts is None else {each["metadata"]["name"]: each for each in accounts},
            platforms=None if nodes is None else {each["metadata"]["name"]: _platform(each) for each in nodes},
        )

    def ours(self, failure: Failure) -> Reference | None:
        """The image, if the registry is to be asked about it."""
        reference = parsed(failure)
        return reference if reference and reference.registry == self.registry else None

    def names(self, failure: Failure) -> list[str]:
        """The pull secrets that count for a pod: its own, those that a new one gets, or the one that it should name."""
        usual = [self.secret] if self.ours(failure) else []
        return failure["secrets"] or self.of_account(failure) or usual

    def of_account(self, failure: Failure) -> list[str]:
        """The pull secrets that the service account names by now; a pod gets them when it is made."""
        return secret_names((self.accounts or {}).get(failure["service_account"], {}))

    def entries(self, failure: Failure) -> list[tuple[str, Entry]]:
        """What kubelet tries for an image, one after the other, each with the name of its secret."""
        reference = parsed(failure)
        if reference is None:
            return []
        found = []
        for name in self.names(failure):
            for secret in self.secrets.get(name) or ():
                read = PullSecret.read(secret)
                if read.type not in FIELDS:
                    continue
                if read.problems:
                    # Then kubelet uses none of the others, either.
                    return []
                found += [(name, entry) for entry in read.for_image(reference.name) if entry.is_complete]
        # The keys of all secrets together are what kubelet sorts.
        return sorted(found, key=lambda each: each[1].key, reverse=True)

    def questions(self) -> list[dict[str, t.Any]]:
        """What to ask the registry: for each repository, the images in it."""
        found: dict[str, dict[str, None]] = {}
        for reference in map(self.ours, self.failures):
            if reference:
                found.setdefault(reference.repository, {})[str(reference)] = None
        return [{"repository": repository, "images": list(images)} for repository, images in found.items()]

    def probes(self) -> list[dict[str, t.Any]]:
        """What to ask with the accounts that kubelet would use: the questions, each once for each account."""
        asked: dict[tuple[str, str, Entry], None] = {}
        for failure in self.failures:
            reference = self.ours(failure)
            if reference:
                entries = self.entries(failure)
                nobody = [] if failure["secrets"] and entries else [_NOBODY]
                asked |= {(reference.repository, *each): None for each in [*entries, *nobody]}
        images = {each["repository"]: each["images"] for each in self.questions()}
        return [
            {
                "repository": repository,
                "images": images[repository],
                "secret": name,
                "username": entry.username,
                "password": entry.password,
            }
            for repository, name, entry in asked
        ]


@dataclass(frozen=True)
class Answers:
    """What the registry says: to the pods' accounts (*probed*), and to the operator's.

    *asked* are results of zot_image_info for each repository, *looked* the images of tags that may have been meant, by
    reference, *catalog* the repositories.
    """

    probed: t.Sequence[Object] = ()
    asked: t.Sequence[Object] = ()
    looked: t.Mapping[str, Object] = field(default_factory=dict)
    catalog: t.Sequence[str] = ()

    @classmethod
    def read(cls, answers: Object) -> Answers:
        """Out of the results of zot_image_info, as far as there are any."""
        return cls(
            probed=answers.get("probed") or (),
            asked=answers.get("asked") or (),
            looked={each["reference"]: each for each in answers.get("looked") or ()},
            catalog=answers.get("catalog") or (),
        )

    def of_pod(self, reference: Reference, names: t.Collection[str]) -> list[Object]:
        """The results for the accounts of these secrets; the empty name stands for no account."""
        return [
            each
            for each in self.probed
            if each["item"]["repository"] == reference.repository and each["item"]["secret"] in names
        ]

    def image(self, reference: Reference, results: t.Sequence[Object]) -> Object | None:
        """What the reference means, told by whoever may see it."""
        for result in [*self._of_operator(reference), *results]:
            for image in result.get("images") or ():
                if image["reference"] == str(reference):
                    return t.cast("Object", image)
        return None

    def tags(self, reference: Reference, results: t.Sequence[Object]) -> list[str] | None:
        """The tags of the repository, likewise; None if it is absent."""
        for result in [*self._of_operator(reference), *results]:
            for repository in result.get("repositories") or ():
                return list(repository["tags"]) if repository["exists"] else None
        return None

    def open_questions(self, view: View) -> list[str]:
        """What else to look at where an image is absent: tags that may have been meant, and what their indexes list."""
        wanted: dict[str, None] = {}
        for failure in view.failures:
            reference = view.ours(failure)
            results = self.of_pod(reference, [*view.names(failure), ""]) if reference else []
            image = self.image(reference, results) if reference else None
            if reference and image and not image["exists"]:
                for each in [*self.near(reference, results), *self.elsewhere(reference, results)]:
                    found = self.looked.get(str(each)) or {"manifests": []}
                    wanted |= dict.fromkeys([str(each), *(str(each.pinned(m["digest"])) for m in found["manifests"])])
        return [text for text in wanted if text not in self.looked]

    def near(self, reference: Reference, results: t.Sequence[Object]) -> list[Reference]:
        """The tags that may have been meant, the newest first as far as it is known."""
        tags = [tag for tag in self.tags(reference, results) or () if not tag.startswith("sha256-")]
        nearest = [reference.tagged(tag) for tag in _near(reference.tag or "latest", tags)]
        return sorted(nearest, key=self._created, reverse=True)

    def elsewhere(self, reference: Reference, results: t.Sequence[Object]) -> list[Reference]:
        """Where there is no such repository: the same in those that may have been meant, the nearest first."""
        if self.tags(reference, results) is not None:
            return []
        return [replace(reference, repository=name) for name in _near(reference.repository, self.catalog)]

    def _created(self, reference: Reference) -> str:
        image: Object = self.looked.get(str(reference)) or {}
        children = [reference.pinned(entry["digest"]) for entry in image.get("manifests") or ()]
        images = [image, *(self.looked.get(str(child)) or {} for child in children)]
        return max(str(each.get("created") or "") for each in images)

    def _of_operator(self, reference: Reference) -> list[Object]:
        return [each for each in self.asked if each["item"]["repository"] == reference.repository]


def parsed(failure: Failure) -> Reference | None:
    """The image as a reference; None if it is malformed."""
    try:
        return Reference.parse(failure["image"], registry="docker.io")
    except InvalidReferenceError:
        return None


def _near(name: str, names: t.Sequence[str]) -> list[str]:
    """The names that are most like *name*, the nearest first."""
    return difflib.get_close_matches(name, names, n=_NEAR, cutoff=0.0)


def _platform(node: Object) -> str:
    information = node["status"]["nodeInfo"]
    return f"{information['operatingSystem']}/{information['architecture']}"
