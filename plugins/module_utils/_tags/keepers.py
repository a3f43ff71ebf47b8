# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keepers: the tags that keep the previous image of a tag that moves.

Zot deletes a manifest when its last tag is overwritten: https://github.com/project-zot/zot/issues/4444

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import invalid_options


def keeper_of(reference: Reference, template: str | None) -> Reference | None:
    """The keeper of a tag by the option keep_previous. Raises ZotError for a template that does not give a tag."""
    if not template:
        return None
    with invalid_options():
        return reference.tagged(template.replace("{tag}", reference.tag or ""))


def only_tag(tag: Reference, kind: str, image: Reference, hint: str) -> ZotError:
    """The error for a *tag* to overwrite that could be the only tag of *image*, which the task also uses."""
    return ZotError(
        "invalid_option",
        f"{tag} holds the {kind} {image}, and the task would overwrite that tag. If it is the only tag of the {kind},"
        f" the registry would delete the {kind}",
        hint=hint,
    )


def require_own_keepers(
    requests: t.Iterable[tuple[t.Iterable[Reference], str | None]], used: t.Container[Reference]
) -> None:
    """Raise ZotError if a keeper of the tags of *requests* keeps two tags, or is one of the *used* references."""
    owners: dict[Reference, Reference] = {}
    for references, template in requests:
        for reference in references:
            keeper = keeper_of(reference, template)
            if keeper is None:
                continue
            if keeper in used:
                raise ZotError(
                    "invalid_option",
                    f"keep_previous of {reference} is {keeper}, which is also a tag to write or to read",
                )
            other = owners.setdefault(keeper, reference)
            if other != reference:
                raise ZotError(
                    "invalid_option",
                    f"keep_previous of {other} and of {reference} is {keeper}: use {{tag}} in keep_previous",
                )
