# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of zot_prune.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import words
from ansible_collections.killinit.zot.plugins.module_utils._prune.plan import ImagesInUse, PruneRules
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    at_least,
    pattern_option,
    references_option,
    revisions_option,
    seconds_option,
    text_option,
    texts_option,
)

# A publish takes less time. After it, an upload tag is not needed.
_UPLOAD_SECONDS = 86400
_IN_NO_TAG = re.compile(r"[\s,]")
_REPETITION_OR_SET = re.compile(r"\{[\d,]*\}|\[[^\]]*\]")


@dataclass(frozen=True)
class PruneRequest:
    """What to prune. The repositories are references whose tag is not used.

    The age *keep_newer_than*, in seconds, becomes a rule when at() sets the time. If *listed* is given, only these
    references are removed, and only with these digests.
    """

    repositories: tuple[Reference, ...]
    rules: PruneRules
    keep_newer_than: int | None
    digests: frozenset[str]
    references: tuple[Reference, ...]
    max_deletes: int | None
    listed: frozenset[tuple[str, str]] | None = None

    @classmethod
    def from_params(cls, registry: Registry, params: t.Mapping[str, t.Any]) -> PruneRequest:
        """Parse the options of the module. Raises ZotError for an invalid option."""
        names = list(dict.fromkeys(texts_option("repositories", params["repositories"])))
        repositories = tuple(registry.reference(name, "latest") for name in names)
        if not repositories:
            raise ZotError("invalid_option", "repositories is empty: list at least one repository")
        if params["max_deletes"] is not None:
            at_least(0, max_deletes=params["max_deletes"])
        used, age = _in_use(params["in_use"]), params["keep_newer_than"]
        return cls(
            repositories,
            _rules(params),
            None if age is None else seconds_option("keep_newer_than", age),
            frozenset(filter(is_digest, used)),
            references_option("in_use", [each for each in used if not is_digest(each)], registry.name or ""),
            params["max_deletes"],
            None if params["only"] is None else _listed(params["only"], repositories),
        )

    def at(self, now: float) -> PruneRequest:
        """The same request at the time *now*, in seconds since 1970."""
        age = self.keep_newer_than
        newer_than = None if age is None else now - age
        return replace(self, rules=replace(self.rules, newer_than=newer_than, uploaded_before=now - _UPLOAD_SECONDS))

    def use_of(self, repository: Reference) -> ImagesInUse:
        """The images of a repository that are in use. A digest counts in every repository."""
        pinned = {each.digest for each in self.references if each.digest}
        tags = {each.tag for each in self.references if not each.digest and each.name == repository.name}
        return ImagesInUse(self.digests | pinned, frozenset(filter(None, tags)))


def _rules(params: t.Mapping[str, t.Any]) -> PruneRules:
    keep_last = params["keep_last"]
    if keep_last is not None:
        at_least(1, keep_last=keep_last)
    if params["keep_newer_than"] is not None:
        # The newest revision is kept, however old it is.
        keep_last = keep_last or 1
    if keep_last is None and not params["untag_members"]:
        raise ZotError(
            "invalid_option",
            "no option selects tags to remove",
            hint="Set keep_last or keep_newer_than to remove old revisions, or untag_members.",
        )
    revisions = revisions_option(params["revisions"])
    if revisions.of("latest"):
        raise ZotError(
            "invalid_option",
            f"revisions: {params['revisions']!r} also matches the shared tag latest, which must be kept",
            hint="Write an expression that matches only the tags of revisions.",
        )
    return PruneRules(
        revisions,
        keep_last,
        keep=_patterns(params["keep"]),
        untag_members=bool(params["untag_members"]),
        only_commits=not params["revisions"],
    )


def _listed(entries: t.Iterable[t.Any], repositories: t.Iterable[Reference]) -> frozenset[tuple[str, str]]:
    names = {each.name for each in repositories}
    found = set()
    for index, each in enumerate(entries):
        reference, digest = (text_option(f"only[{index}].{key}", each.get(key)) for key in ("reference", "digest"))
        # Another registry or repository means that the list is that of another task.
        if reference.rpartition(":")[0] not in names or not is_digest(digest):
            raise ZotError(
                "invalid_option",
                f"only[{index}] is not a tag of the repositories with its digest: {reference!r}, {digest!r}",
                hint="Use the list deleted that a dry run of the same repositories in the same registry returns.",
            )
        found.add((reference, digest))
    return frozenset(found)


def _patterns(keep: t.Any) -> tuple[re.Pattern[str], ...]:
    # A text is a single expression, because an expression may contain a comma.
    texts = texts_option("keep", [keep] if isinstance(keep, str) else keep or [])
    for text in texts:
        if _IN_NO_TAG.search(_REPETITION_OR_SET.sub("", text)):
            raise ZotError(
                "invalid_option",
                f"keep: {text!r} matches no tag, because it contains a comma or white space",
                hint="A text is a single expression: write a list, or join the expressions with |.",
            )
    return tuple(pattern_option("keep", text) for text in texts)


def _in_use(value: t.Any) -> list[str]:
    if value is None:
        return []
    found = words(texts_option("in_use", value))
    if not found:
        raise ZotError(
            "invalid_option",
            "in_use is empty: the cluster that it was read from uses no image, so it may be the wrong cluster",
            hint="Check the cluster. To prune without regard to images in use, do not set in_use.",
        )
    for each in found:
        # It would be parsed as a tag of a repository with the name sha256.
        if each.startswith("sha256:") and not is_digest(each):
            raise ZotError("invalid_option", f"in_use: {each!r} is not a digest: sha256: and 64 hexadecimal digits")
        # It would be parsed as the tag latest of a repository with this name, and protect no image.
        if not re.search("[/:@]", each):
            raise ZotError("invalid_option", f"in_use: {each!r} is neither reference nor digest: use repository:tag")
    return found
