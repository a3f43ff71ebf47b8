# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of the registry, and the comparison of one image of a workload, or of another pod, with what the pods run.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    VOLUMES,
    ImageUse,
    Object,
    digest_of,
    image_uses,
    is_name,
    recorded_for,
    reference_to,
    reported_by,
    started_with,
    template_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import lost_members, not_whole
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool

_PARALLEL = 8
_MANY = 100


class RegistryImages:
    """The images of one registry, by reference and by digest. *assumed* are references that a dry run would move."""

    def __init__(
        self, registry: Registry, assumed: t.Iterable[Reference] = (), moved: t.Mapping[Reference, str] | None = None
    ) -> None:
        """*moved* are the digests of tags that a dry run would move."""
        self.name = registry.name
        self.assumed = frozenset(assumed)
        self._moved = moved or {}
        self._registry = registry
        self._digests: dict[Reference, str | None] = {}
        # Why an index is not whole, by its digest.
        self._incomplete: dict[Reference, str] = {}
        self._whole: set[Reference] = set()
        self._by_digest: dict[str, Image] = {}

    def read(self, references: t.Iterable[Reference]) -> None:
        """Read the digests of references that have not been read yet, and which indexes have lost a member.

        This is faster than reading whole images, and Zot does not count it as a pull of a tag. Raises ZotError.
        """
        new = [each for each in dict.fromkeys(references) if each not in self._digests]
        if not new:
            return
        # Imported late: a task without a workload does not need it.
        from ansible_collections.killinit.zot.plugins.module_utils._registry.search import index_members

        # The search extension needs HTTP.
        self._registry.expect(_MANY)
        with thread_pool(_PARALLEL) as pool:
            now = dict(zip(new, map(self._now, new)))
            digests = dict(zip(now.values(), pool.map(self._registry.digest, now.values())))
            self._digests.update((reference, digests[each]) for reference, each in now.items())
            members = index_members(self._registry, {each: digest for each, digest in digests.items() if digest})
            places = [index.pinned(each) for index, platforms in members.items() for each in platforms]
            gone = {place for place, digest in zip(places, pool.map(self._registry.digest, places)) if digest is None}
        for index, platforms in members.items():
            lost = [(platform, each) for each, platform in platforms.items() if index.pinned(each) in gone]
            if lost:
                self._incomplete[index] = not_whole(index, lost).message

    def read_whole(self, references: t.Iterable[Reference]) -> bool:
        """Read the manifests and configurations of references. False if all have been read before. Raises ZotError."""
        new = [each for each in dict.fromkeys(references) if each not in self._whole]
        if new:
            with thread_pool(_PARALLEL) as pool:
                images = dict(zip(new, pool.map(self._registry.with_children, map(self._now, new))))
            self._whole.update(new)
            for reference, image in images.items():
                # The tag may have moved since.
                self._digests[reference] = image.digest
                error = lost_members(image)
                if error and image.digest:
                    self._incomplete[reference.pinned(image.digest)] = error.message
            self._by_digest.update((image.digest, image) for image in images.values() if image.digest)
        return bool(new)

    def incomplete(self, reference: Reference | None) -> str | None:
        """Why no new pod can use an image on some platform: the member that its index has lost."""
        digest = self._digests.get(reference) if reference else None
        return self._incomplete.get(reference.pinned(digest)) if reference and digest else None

    def _now(self, reference: Reference) -> Reference:
        digest = self._moved.get(reference)
        return reference.pinned(digest) if digest else reference

    def held(self, use: ImageUse) -> Reference | None:
        """The reference of an image of this registry, by its name; None for another image."""
        reference = use.reference()
        return reference if reference and reference.registry == self.name else None

    def holds(self, use: ImageUse) -> bool:
        """Whether the image is in this registry, by its name."""
        return self.held(use) is not None

    def is_used_by(self, workload: Object) -> bool:
        """Whether the template of the workload names an image of this registry."""
        return any(map(self.holds, image_uses(template_of(workload)["spec"])))

    @property
    def references(self) -> t.Collection[Reference]:
        """All references that were read."""
        return self._digests.keys()

    def exists(self, reference: Reference | None) -> bool:
        """Whether a reference that was read exists. An index that has lost a member does not count."""
        return bool(reference and self._digests.get(reference)) and not self.incomplete(reference)

    def is_published(self, reference: Reference) -> bool:
        """Whether a reference exists, or will exist when a dry run is repeated without check mode."""
        return self.exists(reference) or reference in self.assumed

    def digest(self, reference: Reference | None) -> str | None:
        """The digest of a reference; None if it does not exist, or if a dry run would move it."""
        return None if reference is None or reference in self.assumed else self._digests.get(reference)

    def matches(self, running: str, reference: Reference | None) -> bool:
        """Whether the image that a pod reports as *running* is that of *reference*.

        A runtime may report the digest of the index, of the manifest of a platform, or of a configuration. It stores
        images by their configuration, so it may also report another image with the same configuration.
        """
        digest, own = digest_of(running), self._digests.get(reference) or "" if reference else ""
        image = self._by_digest.get(own)
        entries = image.manifest.entries if image and image.manifest else ()
        expected = self._configurations(own)
        if digest in (own, *(entry.digest for entry in entries), *expected.values()):
            return True
        other = self._configurations(digest)
        # The platform of the node is not known here, so the configurations of all common platforms must be equal.
        shared = expected.keys() & other.keys()
        return bool(shared) and all(expected[platform] == other[platform] for platform in shared)

    def can_resolve(self, running: str) -> bool:
        """Whether the registry has the image that a pod reports as *running*."""
        return bool(self._configurations(digest_of(running)))

    def behind(self, reported: t.Iterable[str]) -> list[Reference]:
        """The references in this registry of the images that pods report."""
        found = []
        for text in reported:
            digest = digest_of(text)
            found += [reference for reference, known in self._digests.items() if known == digest]
            reference = reference_to(text)
            if reference and reference.registry == self.name and reference.digest:
                found.append(reference)
        return found

    def _configurations(self, digest: str) -> dict[str, str]:
        """The digest of the configuration for each platform of an image that was read whole."""
        image = self._by_digest.get(digest)
        if image is None or image.manifest is None:
            return {}
        if not image.manifest.is_index:
            return dict.fromkeys(image.platforms, image.manifest.config_digest)
        children = {child.digest: child.config_digest for child in image.children}
        entries = [(str(each.platform), children.get(each.digest)) for each in image.manifest.entries if each.platform]
        return {platform: config for platform, config in entries if config}


_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")


@dataclass(frozen=True)
class ImageVerdict:
    """Whether the pods run the image that a container names.

    *verdict* is C(current), C(mismatched), C(missing), C(pinned), C(not_running) or C(unknown). *expected* is the
    digest that the pods should run. *old* are the images in *running* that differ. *change* is the image that a patch
    sets so that new pods run *expected*; None if a restart is enough. *refusal* is why no patch may do that, with the
    remedy. *follows* is the reference of the release that the container follows. *our_pin* is true if a release added
    the digest in *change*, or the digest in the template if that stays. *unverified* is the reason why the digests do
    not prove the verdict.
    """

    use: ImageUse
    verdict: str
    reason: str
    expected: str | None
    running: t.Sequence[str] = ()
    old: t.Sequence[str] = ()
    change: str | None = None
    refusal: str | None = None
    follows: Reference | None = None
    our_pin: bool = False
    unverified: str | None = None

    def for_ansible(self) -> dict[str, t.Any]:
        """One of C(images) in a result."""
        return {
            "kind": self.use.kind,
            "name": printable(self.use.name),
            "image": printable(self.use.image),
            "pull_policy": printable(self.use.pull_policy),
            "expected": self.expected,
            "running": [printable(text) for text in self.running],
            "verdict": self.verdict,
            "reason": printable(self.reason),
        }


def where(use: ImageUse) -> str:
    """The kind and the name of the container or volume, as a part of a sentence."""
    return f"{use.kind} {use.name}"


def compare(use: ImageUse, registry: RegistryImages, pods: t.Sequence[Object], *, pin: bool) -> ImageVerdict:
    """Compare the image of a container with the pods. The reference of the image must have been read.

    With *pin*, a digest after a tag is outdated when the tag has moved.
    """
    reference, pinned = use.followed(), use.pinned()
    exists, expected = registry.exists(reference), registry.digest(reference)
    reported = [(pod, _running(pod, use)) for pod in pods]
    running = running_images(use, pods)
    old = [digest for digest in running if exists and not registry.matches(digest, reference)]
    mismatched = {
        digest
        for pod, digest in reported
        if digest in old and (registry.can_resolve(digest) or started_with(pod, use) != expected)
    }
    unverified = None
    if pinned and not (pin and reference and reference.tag):
        verdict, reason, expected = "pinned", f"{where(use)}: {use.image} is pinned", pinned.digest
        if lost := registry.incomplete(pinned):
            verdict = "missing"
            reason += f"; {lost}: publish the same archives again"
        elif not registry.exists(pinned):
            verdict = "missing"
            reason += " to a digest that is not in the registry, so that no new pod can pull it: set another image"
    elif reference in registry.assumed:
        verdict, reason = "mismatched" if pods else "not_running", f"{where(use)}: {reference} would mean another image"
    elif lost := registry.incomplete(reference):
        verdict, reason = "missing", f"{where(use)}: {lost}: publish the same archives again"
    elif not exists:
        verdict, reason = "missing", f"{where(use)}: {use.image} is not in the registry: publish it first"
    elif mismatched:
        verdict = "mismatched"
        reason = f"{where(use)} runs {_names(mismatched)}, but {reference} means {short(expected)} now"
    elif use.kind == "image volume" and any(digest is None for _pod, digest in reported):
        verdict = "mismatched"
        reason = f"{where(use)}: Kubernetes reports no digest of the volume, and no annotation {VOLUMES} records it"
    elif old:
        verdict = "unknown"
        reason = unverified = (
            f"{where(use)} was started when {reference} meant {short(expected)}, as it does now; it reports"
            f" {_names(old)}, which the registry does not have, so the digests do not show which image runs"
        )
    elif not running:
        verdict, reason = "not_running", f"{where(use)}: no pod runs it"
    else:
        verdict, reason = "current", f"{where(use)}: current"
        if use.kind == "image volume" and any(reported_by(pod, use) is None for pod in pods):
            unverified = (
                f"{where(use)}: Kubernetes reports no digest of the volume; the digest {short(expected)} is from the"
                f" annotation {VOLUMES}, which a restart wrote before the pods were started"
            )
    return ImageVerdict(use, verdict, reason, expected, running, old, unverified=unverified)


def differing(verdicts: t.Iterable[ImageVerdict], registry: RegistryImages) -> list[Reference]:
    """The references of images whose digests differ from the running ones. Their configurations may still be equal.

    A runtime may report an image by any name under which it has pulled it, or by the digest of its configuration.
    """
    found = [verdict for verdict in verdicts if verdict.old or (verdict.follows and verdict.change)]
    named = [
        reference for each in found for reference in (each.use.followed(), each.use.pinned(), each.follows) if reference
    ]
    return [*named, *registry.behind(text for verdict in found for text in verdict.old)]


def running_images(use: ImageUse, pods: t.Iterable[Object]) -> list[str]:
    """The images that the pods report for a container or volume, each once."""
    return sorted({found for found in (_running(pod, use) for pod in pods) if found})


def in_template(use: ImageUse, registry: RegistryImages, why: str, *, pin: bool) -> ImageVerdict:
    """The verdict on an image from the template alone. *why* is the reason, for example that it is of a CronJob."""
    verdict = compare(use, registry, [], pin=pin)
    reference = use.reference()
    if verdict.verdict != "not_running" or not reference:
        return verdict
    if pin and reference.digest and reference.digest != verdict.expected:
        now = f"means {short(verdict.expected)} now" if verdict.expected else "would mean another image"
        reason = f"{where(use)} is pinned to {short(reference.digest)}, but {use.followed()} {now}"
        return ImageVerdict(use, "mismatched", reason, verdict.expected)
    if use.pull_policy == "Always" or reference.digest:
        unverified = f"{where(use)}: {why}, and pull {use.image} then"
    else:
        unverified = f"{where(use)}: {why}, and its pull policy {use.pull_policy} takes the image of the node"
    return ImageVerdict(use, "not_running", unverified, verdict.expected, unverified=unverified)


def _running(pod: Object, use: ImageUse) -> str | None:
    reported = reported_by(pod, use)
    return recorded_for(pod, use) if reported is None and use.kind == "image volume" else reported


def _names(reported: t.Iterable[str]) -> str:
    return ", ".join(short(digest_of(text)) for text in sorted(reported))


def short(digest: str | None) -> str:
    """The beginning of a digest, as a part of a sentence."""
    return (digest or "")[:19]


def assess_other_pods(pods: t.Sequence[Object], registry: RegistryImages) -> tuple[list[str], list[str]]:
    """The problems and the unverified images, one sentence for each owner with stale pods. Raises ZotError.

    Stale pods of a Job are not a problem, because they end by themselves.
    """
    images = [(pod, use) for pod in pods for use in image_uses(pod["spec"]) if registry.holds(use)]
    first = [
        (pod, compare(use, registry, [pod], pin=False)) for pod, use in images if use.kind != "ephemeral container"
    ]
    registry.read_whole(differing((verdict for _pod, verdict in first), registry))
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for pod, verdict in first:
        now = compare(verdict.use, registry, [pod], pin=False)
        if now.verdict == "mismatched":
            kind, owner = _owner_of(pod)
            certain = bool(now.old) and kind != "Job"
            found.setdefault(owner, []).append((str(pod["metadata"]["name"]), now.reason, certain))
    problems: list[str] = []
    unverified: list[str] = []
    for owner, pods_of_owner in sorted(found.items()):
        name, reason, _certain = pods_of_owner[0]
        count = len({each for each, _reason, _certain in pods_of_owner})
        more = f" and {count - 1} more" if count > 1 else ""
        text = f"pod {name}{more} of {owner}: {reason}; this collection does not restart them"
        (problems if any(certain for _name, _reason, certain in pods_of_owner) else unverified).append(text)
    return problems, unverified


def _owner_of(pod: Object) -> tuple[str, str]:
    for owner in pod["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            kind, name = str(owner.get("kind")), str(owner.get("name"))
            # Every user who may create a pod can write its owner.
            if _KIND.fullmatch(kind) and is_name(name):
                return kind, f"{kind}/{name}"
            return "", f"the owner {kind!r} {name!r}"
    return "", "no owner"
