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
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import texts_option

if t.TYPE_CHECKING:
    from ansible_collections.killinit.zot.plugins.module_utils._registry.inventory import Inventory

Query = t.Callable[[t.Mapping[str, t.Any]], t.Any]


def compile_query(expression: str) -> Query:
    """Return a function that applies a JMESPath expression to a result.

    Raises ZotError for an invalid expression, and if jmespath is not installed.
    """
    try:
        import jmespath
    except ImportError as error:
        raise ZotError(
            "tool_missing",
            "the Python library jmespath is required for the option query",
            hint="Install jmespath for the Python that runs the module.",
        ) from error
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


def read_images(registry: Registry, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Read the images and repositories of *params*. Raises ZotError, but not for one that does not exist."""
    query = compile_query(params["query"]) if params["query"] else None
    images = [registry.parse(text) for text in texts_option("images", params["images"])]
    attached = params.get("referrers", False)
    if attached:
        _require_one_registry(registry, images)
    repositories = [registry.reference(text, "latest") for text in texts_option("repositories", params["repositories"])]
    with thread_pool(params["parallel"]) as pool:
        found = dict(zip(dict.fromkeys(images), pool.map(lambda each: _image(registry, each), dict.fromkeys(images))))
        if attached:
            _add_referrers(registry, found, pool)
        if params.get("details"):
            # Imported late, like the referrers: other modules use this file, and each task compiles all imports.
            from ansible_collections.killinit.zot.plugins.module_utils._registry.inventory import read_inventory

            with thread_pool(params["parallel"]) as more:
                inventories = pool.map(lambda each: read_inventory(registry, each, more), repositories)
                listed = [_detailed(each, inventory) for each, inventory in zip(repositories, inventories)]
        else:
            listed = [_listed(each, tags) for each, tags in zip(repositories, pool.map(registry.tags, repositories))]
    result: dict[str, t.Any] = {
        "changed": False,
        "images": [found[reference] for reference in images],
        "repositories": listed,
    }
    if params["catalog"]:
        result["catalog"] = registry.catalog()
    if query:
        result["result"] = query(result)
    return result


def _listed(repository: Reference, tags: t.Sequence[str] | None) -> dict[str, t.Any]:
    return {
        "registry": repository.registry,
        "repository": repository.repository,
        "exists": tags is not None,
        "tags": list(tags or ()),
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


def _add_referrers(registry: Registry, found: t.Mapping[Reference, dict[str, t.Any]], pool: ThreadPoolExecutor) -> None:
    """Add the attachments of each image and of its members."""
    from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import referrers

    names = list(dict.fromkeys(each.repository for each, image in found.items() if image["exists"]))
    tags = dict(zip(names, pool.map(lambda name: registry.tags(registry.reference(name, "latest")), names)))

    def add(reference: Reference) -> None:
        image = found[reference]
        digests = [image["digest"], *(each["digest"] for each in image["manifests"])] if image["exists"] else []
        known = frozenset(tags.get(reference.repository) or ())
        subjects = [reference.pinned(digest) for digest in dict.fromkeys(digests)]
        image["referrers"] = [each.for_ansible() for one in subjects for each in referrers(registry, one, known)]

    list(pool.map(add, found))


def _image(registry: Registry, reference: Reference) -> dict[str, t.Any]:
    image = registry.image(reference)
    children = []
    if image.manifest and image.manifest.is_index:
        with registry.valid_response(reference):
            pinned = [reference.pinned(entry.digest) for entry in image.manifest.entries]
        children = [registry.manifest(each) for each in pinned]
        image = image._replace(children=tuple(child for child in children if child))
    return {**image.for_ansible(), **_details(image, children)}


def _details(image: Image, children: t.Sequence[t.Any]) -> dict[str, t.Any]:
    manifest = image.manifest
    return {
        "manifest": manifest.document if manifest else None,
        "config": image.config,
        "manifests": [
            {
                "platform": str(entry.platform) if entry.platform else None,
                "digest": entry.digest,
                "size": child.size if child else None,
                "manifest": child.document if child else None,
            }
            for entry, child in zip(manifest.entries if manifest else (), children)
        ],
    }
