# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read images and repositories.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import is_upload
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_library
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import texts_option

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import Referrer
    from ansible_collections.killinit.zot.plugins.module_utils._registry.search import Inventory


def run(registry: Registry, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Read the images and repositories of *params*. Raises ZotError, but not for one that does not exist."""
    query = compile_query(params["query"]) if params["query"] else None
    images = [registry.parse(text) for text in texts_option("images", params["images"])]
    attached = params.get("referrers", False)
    if attached:
        _require_one_registry(registry, images)
    repositories = [registry.reference(text, "latest") for text in texts_option("repositories", params["repositories"])]
    distinct = list(dict.fromkeys(images))
    registry.expect(len(distinct) + len(repositories))
    with thread_pool(params["parallel"]) as pool:
        read = list(pool.map(registry.image, distinct))
        # Several tags often refer to one index, and several indexes can have a member in common.
        listed_members = (registry.members(image.reference, image.manifest) for image in read)
        members = list(dict.fromkeys(each for some in listed_members for each in some))
        manifests = dict(zip(members, pool.map(registry.manifest, members)))
        found = {image.reference: registry.completed(image, manifests.get) for image in read}
        entries = {reference: {**image.for_ansible(), **_details(image)} for reference, image in found.items()}
        for reference, referrers in _referrers(registry, found.values(), pool) if attached else ():
            entries[reference]["referrers"] = [each.for_ansible() for each in referrers]
        if params.get("details"):
            # Imported late, like the referrers: Ansible compiles all imports in each task.
            from ansible_collections.killinit.zot.plugins.module_utils._registry.search import read_inventory

            with thread_pool(params["parallel"]) as more:
                inventories = pool.map(lambda each: read_inventory(registry, each, more), repositories)
                listed = [_detailed(each, inventory) for each, inventory in zip(repositories, inventories)]
        else:
            listed = [_listed(each, tags) for each, tags in zip(repositories, pool.map(registry.tags, repositories))]
    result: dict[str, t.Any] = {
        "changed": False,
        "images": [entries[reference] for reference in images],
        "repositories": listed,
    }
    if params["catalog"]:
        result["catalog"] = registry.catalog()
    if query:
        result["result"] = query(result)
    return result


def compile_query(expression: str) -> t.Callable[[t.Mapping[str, t.Any]], t.Any]:
    """Return a function that applies a JMESPath expression to a result.

    Raises ZotError for an invalid expression, and if jmespath is not installed.
    """
    try:
        import jmespath
    except ImportError as error:
        raise missing_library("jmespath", "for the option query") from error
    try:
        compiled = jmespath.compile(expression)
    except (ValueError, RuntimeError) as error:  # JMESPathError, RecursionError
        raise ZotError("invalid_option", f"query {expression!r} is not a JMESPath expression: {error}") from error

    def apply(result: t.Mapping[str, t.Any]) -> t.Any:
        try:
            return compiled.search(result)
        except (ValueError, TypeError, RuntimeError) as error:  # JMESPathError, RecursionError
            raise ZotError(
                "invalid_option", f"query {expression!r} cannot be applied to the result: {error}"
            ) from error

    return apply


def _listed(repository: Reference, tags: t.Sequence[str] | None) -> dict[str, t.Any]:
    return {
        "registry": repository.registry,
        "repository": repository.repository,
        "exists": tags is not None,
        "tags": [tag for tag in tags or () if not is_upload(tag)],
    }


def _detailed(repository: Reference, inventory: Inventory | None) -> dict[str, t.Any]:
    return {
        **_listed(repository, inventory.tags if inventory else None),
        "images": [each.for_ansible() for each in inventory.images] if inventory else [],
        "source": inventory.source if inventory else None,
    }


def _require_one_registry(registry: Registry, images: t.Iterable[Reference]) -> None:
    for each in images:
        if each.registry != registry.name:
            raise ZotError("invalid_option", f"referrers are read from {registry.name}, but {each} is not in it")


def _referrers(
    registry: Registry, images: t.Collection[Image], pool: ThreadPoolExecutor
) -> t.Iterator[tuple[Reference, list[Referrer]]]:
    """The attachments of each image and of its members."""
    from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import referrers

    repositories = {image.reference.repository: image.reference for image in images if image.manifest}
    tags = dict(zip(repositories, (frozenset(found or ()) for found in pool.map(registry.tags, repositories.values()))))

    def read(image: Image) -> list[Referrer]:
        reference, manifest = image.reference, image.manifest
        entries = manifest.entries if manifest else ()
        subjects = dict.fromkeys(filter(None, [image.digest, *(entry.digest for entry in entries)]))
        known = tags.get(reference.repository, frozenset())
        return [each for digest in subjects for each in referrers(registry, reference.pinned(digest), known)]

    return zip([image.reference for image in images], pool.map(read, images))


def _details(image: Image) -> dict[str, t.Any]:
    manifest = image.manifest
    children = {child.digest: child for child in image.children}
    return {
        "whole": not image.missing if manifest else None,
        "missing": list(image.missing),
        "manifest": manifest.document if manifest else None,
        "config": image.config,
        "manifests": [
            {
                "platform": str(entry.platform) if entry.platform else None,
                "digest": entry.digest,
                "size": children[entry.digest].size if entry.digest in children else None,
                "manifest": children[entry.digest].document if entry.digest in children else None,
            }
            for entry in (manifest.entries if manifest else ())
        ],
    }
