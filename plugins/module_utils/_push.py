# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Push archives, each only to the tags that do not hold its image.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from ansible_collections.killinit.zot.plugins.module_utils._keepers import keeper_of, require_own_keepers
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import Archive
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_file import (
    InvalidArchiveError,
    MissingLibraryError,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    InvalidImageError,
    Platform,
    image_identity,
    predicted_oci_configs,
    sha256,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._outcome import Outcome, report
from ansible_collections.killinit.zot.plugins.module_utils._overwrite import (
    OVERWRITE_HINT,
    confirm,
    occupied,
    overwrite_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import (
    invalid_options,
    platform_option,
    texts_option,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.threads import thread_pool
from ansible_collections.killinit.zot.plugins.module_utils._registry.workers import Worker
from ansible_collections.killinit.zot.plugins.module_utils._registry.writer import Writer


@dataclass(frozen=True)
class PushRequest:
    """One archive and its tags. The references are valid; the archive has not been read.

    *overwrite* are the tags that may be moved to another image. *index* will list the image: until it exists, all may.
    """

    archive: str
    archive_image: str | None
    references: tuple[Reference, ...]
    platform: Platform | None
    force: bool
    keep_previous: str | None
    split: bool
    overwrite: frozenset[Reference]
    index: Reference | None

    @classmethod
    def from_params(cls, registry: Writer, params: t.Mapping[str, t.Any]) -> PushRequest:
        """Raises ZotError for an option that cannot be used."""
        tags = texts_option("tags", params["tags"])
        if not tags:
            raise ZotError("invalid_option", f"tags is empty for {params['archive']}")
        references = registry.references(params["repository"], tags)
        request = cls(
            # skopeo runs in another working directory.
            os.path.abspath(params["archive"]),
            params["archive_image"],
            references,
            platform_option(params["platform"]) if params["platform"] else None,
            bool(params["force"]),
            params["keep_previous"],
            bool(params.get("split_platforms")),
            overwrite_option(params["overwrite"], references),
            registry.reference(params["repository"], "".join(texts_option("index", params["index"])))
            if params["index"] is not None
            else None,
        )
        if request.split and request.platform:
            raise ZotError("invalid_option", f"platform and split_platforms are both set for {params['archive']}")
        return request

    def part(self, platform: Platform) -> PushRequest:
        """The request for one platform of an archive with several: TAG-ARCHITECTURE instead of TAG."""
        # A tag cannot contain a slash. A Linux image is named without its operating system.
        suffix = str(platform.normalized).replace("linux/", "", 1).replace("/", "-")
        with invalid_options():
            references = tuple(reference.tagged(f"{reference.tag}-{suffix}") for reference in self.references)
        overwrite = frozenset(references if self.overwrite.issuperset(self.references) else ())
        return replace(
            self,
            references=references,
            platform=platform,
            split=False,
            overwrite=overwrite,
            index=self.references[0],
        )


@dataclass
class _Push:
    """A request whose archive and tags were read: what is left to write.

    *member* is the image in a published index that must be the one of the archive.
    """

    request: PushRequest
    outcome: Outcome
    archive: Archive | None = None
    wanted: t.Mapping[str, t.Any] = field(default_factory=dict)
    platform: Platform | None = None
    tags: list[Image] = field(default_factory=list)
    stale: list[Image] = field(default_factory=list)
    member: Image | None = None

    def keeper(self, image: Image) -> Reference | None:
        """The reference that keeps *image* when its tag moves. With force, it would keep the image that is pushed."""
        if not image.digest or _holds(image, self.wanted):
            return None
        return keeper_of(image.reference, self.request.keep_previous)


def push(registry: Writer, params: t.Mapping[str, t.Any], *, dry_run: bool) -> dict[str, t.Any]:
    """Push the archive, or the list of archives, of *params*. With *dry_run* only report what would be pushed.

    All archives and tags are read before the first write, and an error there stops the task. Later an error of one
    archive does not stop the others. Raises ZotError.
    """
    single = params["images"] is None
    requests = [PushRequest.from_params(registry, item) for item in ([params] if single else params["images"])]
    _require_distinct(requests)
    count = min(params["parallel"], len(requests))
    with registry.reading_archives(count), thread_pool(params["parallel"]) as pool:
        pushes = [each for found in pool.map(lambda each: _read(registry, each), requests) for each in found]
        _protect(registry, pushes)
        outcomes = [each.outcome for each in pushes]
        if any(each.failed for each in outcomes):
            return report(outcomes, single=single, begun=False)
        list(pool.map(lambda each: _push(registry, each, dry_run=dry_run), pushes))
        if not dry_run:
            confirm(registry, outcomes, pool)
        return report(outcomes, single=single)


def _read(registry: Writer, request: PushRequest) -> list[_Push]:
    """Read one archive, and the tags of its image or of its image for each platform."""
    what = f"cannot read {request.archive}"
    with Outcome(request.references) as outcome, _invalid_archives(), registry.open_archive(request.archive) as opened:
        if request.split:
            archives: list[Archive] = opened.call(what, "read_each", request.archive_image)
        else:
            archives = [opened.call(what, "read", request.archive_image, request.platform)]
        if len(archives) == 1:
            return [_compare(registry, request, archives[0])]
        return [_compare(registry, request.part(_platform(archive)), archive) for archive in archives]
    return [_Push(request, outcome)]


def _platform(archive: Archive) -> Platform:
    _wanted, platform = _identity(archive)
    if platform is None:
        raise ZotError("archive_invalid", f"{archive.path} has several images, and one without a platform")
    return platform


def _compare(registry: Writer, request: PushRequest, archive: Archive) -> _Push:
    """Compare the image of the archive with the tags."""
    found = _Push(request, Outcome(request.references), archive)
    with found.outcome as outcome:
        found.wanted, found.platform = _identity(archive)
        _require_platform(archive, found.platform, request.platform)
        registry.prime_config_cache(request.references[0], predicted_oci_configs(archive.config))
        for reference in request.references:
            image = registry.image(reference)
            equal = _holds(image, found.wanted) and not request.force
            outcome.found(image, settled=equal)
            found.tags.append(image)
            if not equal:
                found.stale.append(image)
        if found.stale:
            registry.require_skopeo()
    return found


def _protect(registry: Writer, pushes: t.Sequence[_Push]) -> None:
    """Set an error for each push that would replace an image which its request may not replace."""
    groups: dict[Reference, list[_Push]] = {}
    for each in pushes:
        if each.request.index and not each.request.overwrite.issuperset(each.request.references):
            groups.setdefault(each.request.index, []).append(each)
    published = {index for index, group in groups.items() if _is_published(registry, index, group)}
    for each in pushes:
        replaceable = each.request.overwrite
        if each.request.index in groups and each.request.index not in published:
            replaceable = frozenset(each.request.references)
        for image in each.stale:
            if image.manifest and image.reference not in replaceable and not _holds(image, each.wanted):
                each.outcome.fail(occupied(image, _described(each)), image.reference)


def _is_published(registry: Writer, reference: Reference, group: t.Sequence[_Push]) -> bool:
    """Whether the index exists. Then it must list the images of the group and no others."""
    if any(each.outcome.failed for each in group):
        return False
    try:
        manifest = registry.manifest(reference)
        if manifest is None:
            return False
        members = dict(manifest.by_platform)
        for each in group:
            if each.archive and each.platform:
                digest = members.pop(each.platform.normalized, None)
                _require_member(registry, Image(reference, manifest), each, digest)
        if members:
            lost = ", ".join(map(str, members))
            raise ZotError(
                "denied",
                f"{reference} is published as {manifest.digest}, which also has {lost}: its new index would lose that",
                hint=f"Publish all platforms of the revision. {OVERWRITE_HINT}",
            )
    except ZotError as error:
        for each in group:
            each.outcome.fail(error)
    return True


def _require_member(registry: Writer, index: Image, each: _Push, digest: str | None) -> None:
    known = next((image for image in each.tags if digest and image.digest == digest), None)
    member = known or (registry.image(index.reference.pinned(digest)) if digest else None)
    if member is None or not _holds(member, each.wanted):
        held = f"{digest} for {each.platform}" if digest else f"nothing for {each.platform}"
        raise ZotError(
            "denied",
            f"{index.reference} is published as {index.digest}, which has {held}, not {_described(each)}",
            hint=OVERWRITE_HINT,
        )
    each.member = member


def _described(each: _Push) -> str:
    """The image of an archive, whose digest in the registry is not known before the push."""
    configurations = predicted_oci_configs(each.archive.config) if each.archive else [b""]
    return f"the image of {each.request.archive} with the configuration {sha256(configurations[0])}"


def _push(registry: Writer, found: _Push, *, dry_run: bool) -> None:
    request, archive, stale = found.request, found.archive, found.stale
    if archive is None or not stale:
        return
    with found.outcome as outcome, _invalid_archives():
        if dry_run:
            for image in stale:
                planned = Image(image.reference, None, archive.config)
                outcome.wrote(planned, previous_tag=found.keeper(image))
            return
        if found.member and not request.force:
            # Another push could have another digest, and would change the index.
            for image in stale:
                outcome.wrote(_retag(registry, found.member, image.reference))
            return
        with registry.open_archive(archive.path) as opened:
            if _reread(opened, request, archive) != archive:
                raise ZotError(
                    "archive_invalid",
                    f"{archive.path} was replaced after it was read",
                    hint="Run the task again when the build has finished.",
                )
            with registry.readable(opened, archive) as path:
                for image in stale:
                    registry.keep(image, found.keeper(image))
                    copy = partial(registry.copy, opened, path, archive, image.reference)
                    after = _write(registry, copy, image, found.wanted, force=request.force)
                    outcome.wrote(after, previous_tag=found.keeper(image))


def _reread(opened: Worker, request: PushRequest, archive: Archive) -> Archive:
    """The image of the archive now. Another file can have the name since it was read."""
    return t.cast(
        "Archive", opened.call(f"cannot read {archive.path}", "read", request.archive_image, request.platform)
    )


def _retag(registry: Writer, image: Image, reference: Reference) -> Image:
    pinned, tag = image.reference.pinned(image.digest or ""), reference.tag or ""
    return registry.write(reference, lambda: registry.tag(pinned, tag), lambda now: now.digest == image.digest)


def _write(
    registry: Writer, copy: t.Callable[[], str], before: Image, wanted: t.Mapping[str, t.Any], *, force: bool
) -> Image:
    reported = []

    def is_written(now: Image) -> bool:
        return _holds(now, wanted) and not (force and now.digest == before.digest)

    after = registry.write(before.reference, lambda: reported.append(copy()), is_written)
    if reported and after.digest != reported[-1]:
        raise ZotError(
            "tool_failed",
            f"{before.reference} holds {after.digest or 'nothing'}, but skopeo reported {reported[-1]}",
            hint="Another client pushed this tag at the same time. Use one job per tag, and run the task again.",
        )
    if not _holds(after, wanted):
        raise ZotError(
            "archive_invalid",
            f"{before.reference} holds {after.digest}, which is not the image that was read from the archive",
            hint="The archive was changed during the push. Run the task again when the build has finished.",
        )
    return after


def _holds(image: Image, wanted: t.Mapping[str, t.Any]) -> bool:
    if image.config is None:
        return False
    try:
        return image_identity(image.config) == wanted
    except InvalidImageError:
        return False


def _identity(archive: Archive) -> tuple[dict[str, t.Any], Platform | None]:
    """The identity of the image in the archive, and its platform."""
    try:
        return image_identity(archive.config), Platform.of(archive.config)
    except InvalidImageError as error:
        raise ZotError("archive_invalid", f"the configuration in {archive.path} is invalid: {error}") from error


def _require_platform(archive: Archive, found: Platform | None, wanted: Platform | None) -> None:
    if wanted and not (found and found.satisfies(wanted)):
        raise ZotError("platform_mismatch", f"{archive.path} is for {found or 'an unknown platform'}, not for {wanted}")


def _require_distinct(requests: t.Sequence[PushRequest]) -> None:
    owners: dict[Reference, str] = {}
    for request in requests:
        for reference in request.references:
            if reference in owners:
                raise ZotError(
                    "invalid_option", f"{reference} is a tag of two archives: {owners[reference]} and {request.archive}"
                )
            owners[reference] = request.archive
    require_own_keepers([(request.references, request.keep_previous) for request in requests], owners)


@contextlib.contextmanager
def _invalid_archives() -> t.Iterator[None]:
    """Convert the errors of archive.py into errors of the module."""
    try:
        yield
    except InvalidArchiveError as error:
        raise ZotError("archive_invalid", str(error), hint=error.hint) from error
    except MissingLibraryError as error:
        raise ZotError(
            "tool_missing",
            f"the Python library {error} is required for an archive that is compressed with zstd",
            hint=f"Install {error} for the Python that runs the module, or give the archive uncompressed.",
        ) from error
