# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decision for each tag: examples, and properties of every repository."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import Revisions, subject_of
from ansible_collections.killinit.zot.plugins.module_utils._prune.plan import (
    ImagesInUse,
    PruneRules,
    plan_removals,
    pushed_at,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.search import ImageMember, TaggedImage

DEFAULT = Revisions()
DAY = 86400


def digest(name: object) -> str:
    return f"sha256:{name!s:0>64}"


def when(days: float | None) -> str | None:
    """A time as Zot writes it, *days* after the first of January 2026."""
    if days is None:
        return None
    time = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp() + days * DAY
    return f"{datetime.fromtimestamp(time, timezone.utc):%FT%T}.5Z"


def single(tag: str, name: object, day: float | None = 0, **more: t.Any) -> TaggedImage:
    """An image of one platform; its configuration has the digest of its name behind a c."""
    member = ImageMember(digest(name), digest(f"c{name}"), "linux/amd64", 1000)
    return TaggedImage(tag, digest(name), "manifest", [member], when(day), **more)


def index(tag: str, name: object, *members: TaggedImage, day: float | None = 0, **more: t.Any) -> TaggedImage:
    return TaggedImage(tag, digest(name), "index", [each.members[0] for each in members], when(day), **more)


def revision(name: str, number: int, day: float | None = 0) -> list[TaggedImage]:
    """An index and the tags of its two architectures."""
    members = [single(f"{name}-{each}", f"{number}{place}", day) for place, each in enumerate(("amd64", "arm64"))]
    return [index(name, f"{number}9", *members, day=day), *members]


def rules(**more: t.Any) -> PruneRules:
    keep = tuple(re.compile(each) for each in more.pop("keep", ()))
    return PruneRules(**{"revisions": DEFAULT, "keep": keep, **more})


def reasons(
    images: t.Sequence[TaggedImage],
    given_rules: PruneRules,
    use: ImagesInUse | None = None,
    attached: t.Sequence[str] = (),
    missing: t.Container[str] = (),
) -> dict[str, str]:
    """The reason for each tag. The reason to remove a tag begins with a minus."""
    tags = [*(image.tag for image in images), *attached]
    found = plan_removals(tags, images, given_rules, use or ImagesInUse(), missing)
    return {each.tag: f"{'-' if each.removed else ''}{each.reason}" for each in found}


THREE = [*revision("aaaaaa1", 1, 1), *revision("aaaaaa2", 2, 2), *revision("aaaaaa3", 3, 3)]
LATEST = index("latest", 39, *THREE[7:], day=3)


def test_revisions_are_counted_and_not_tags() -> None:
    """A tag of one architecture belongs to its revision."""
    found = reasons([*THREE, LATEST], rules(keep_last=2))
    assert found == {
        **dict.fromkeys(("aaaaaa1", "aaaaaa1-amd64", "aaaaaa1-arm64"), "-old"),
        **{tag: "keep_last" for tag in found if tag.startswith(("aaaaaa2", "aaaaaa3"))},
        "latest": "shared_tag",
    }


@pytest.mark.parametrize(
    ("more", "use", "reason"),
    [
        ({"keep": ["aaaaaa1"]}, ImagesInUse(), "name"),
        ({"keep": [".*-arm64"]}, ImagesInUse(), "name"),
        ({"keep": ["aaaaaa"]}, ImagesInUse(), "-old"),
        ({}, ImagesInUse(frozenset([digest(19)])), "in_use"),
        ({}, ImagesInUse(frozenset([digest(10)])), "in_use"),
        ({}, ImagesInUse(frozenset([digest("c11")])), "in_use"),
        ({}, ImagesInUse(tags=frozenset(["aaaaaa1-amd64"])), "in_use"),
        ({}, ImagesInUse(frozenset([digest(29)]), frozenset(["latest", "aaaaaa2"])), "-old"),
        ({"newer_than": 0.0}, ImagesInUse(), "newer"),
        ({"newer_than": 9e12}, ImagesInUse(), "-old"),
        ({"keep_last": None}, ImagesInUse(), "no_rule"),
        ({"keep_last": 3}, ImagesInUse(), "keep_last"),
        ({"revisions": Revisions(re.compile("v.*"))}, ImagesInUse(), "shared_tag"),
    ],
)
def test_a_rule(more: dict[str, t.Any], use: ImagesInUse, reason: str) -> None:
    """All tags of the oldest revision are kept, or all are removed."""
    found = reasons(THREE, rules(**{"keep_last": 1, **more}), use)
    assert {found[tag] for tag in ("aaaaaa1", "aaaaaa1-amd64", "aaaaaa1-arm64")} == {reason}


def test_an_index_in_use_keeps_its_members() -> None:
    """Also those whose tags are of another revision."""
    images = [*revision("aaaaaa1", 1), *revision("aaaaaa2", 2, 2), index("stable", 99, *THREE[1:3])]
    assert reasons(images, rules(keep_last=1), ImagesInUse(frozenset([digest(99)])))["aaaaaa1-amd64"] == "in_use"


@pytest.mark.parametrize("pushed", [None, "yesterday", "2026-02-30T10:00:00Z"])
def test_an_unknown_age_keeps(pushed: str | None) -> None:
    """It does not take the place of another revision."""
    members = revision("aaaaaa1", 1, -9)
    unknown = TaggedImage("aaaaaa1-s390x", digest(18), "manifest", [], pushed)
    found = reasons([*members, unknown, *THREE[3:]], rules(keep_last=1, newer_than=9e12))
    assert {found[tag] for tag in ("aaaaaa1", "aaaaaa1-amd64", "aaaaaa1-s390x")} == {"unknown_age"}
    assert (found["aaaaaa2"], found["aaaaaa3"]) == ("-old", "keep_last")


def test_the_same_time_keeps_all() -> None:
    images = [single(f"aaaaaa{number}", number, day) for number, day in enumerate((5, 4, 4, 3))]
    assert list(reasons(images, rules(keep_last=2)).values()) == ["keep_last", "keep_last", "keep_last", "-old"]


def test_two_builds_of_one_image() -> None:
    """The digest was pushed long ago; the tag is new."""
    images = [single("aaaaaa1", 1, 1, tagged_at=when(9)), single("aaaaaa2", 2, 5)]
    assert reasons(images, rules(keep_last=1)) == {"aaaaaa1": "keep_last", "aaaaaa2": "-old"}
    assert pushed_at(single("aaaaaa1", 1, 5, tagged_at=when(1))) == pushed_at(single("aaaaaa1", 1, 5))


VERSIONS = [*revision("1.4.2", 5, 1), index("1.4", 59, day=1), *revision("3f2c1ab-alpine", 6, 1)]


@pytest.mark.parametrize("more", [{"keep_last": 1}, {"newer_than": 9e12}, {"keep_last": 1, "untag_members": True}])
def test_only_commits_are_removed(more: dict[str, t.Any]) -> None:
    """By default. The other revisions do not count, either, so that they displace no commit."""
    found = reasons([*VERSIONS, *THREE[:3]], rules(only_commits=True, **more))
    assert {tag: found[tag] for tag in found if not tag.startswith("aaaaaa1")} == {
        **dict.fromkeys(("1.4.2", "1.4.2-amd64", "1.4.2-arm64"), "not_commit"),
        **dict.fromkeys(("3f2c1ab-alpine", "3f2c1ab-alpine-amd64", "3f2c1ab-alpine-arm64"), "not_commit"),
        "1.4": "shared_tag",
    }
    assert found["aaaaaa1"] == ("-old" if "newer_than" in more else "keep_last")
    # An expression for them says that they may be removed.
    given_pattern = rules(revisions=Revisions(re.compile(r"\d+\.\d+\.\d+")), newer_than=9e12)
    assert reasons(VERSIONS, given_pattern)["1.4.2-amd64"] == "-old"


def test_tags_of_members_are_removed_and_the_index_is_kept() -> None:
    """In every revision that is kept, for whatever reason, also because its age is unknown."""
    images = [*THREE, *revision("aaaaaa4", 4, None), LATEST]
    found = reasons(images, rules(keep_last=1, untag_members=True), ImagesInUse(frozenset([digest(29)])))
    assert {tag: found[tag] for tag in found if not tag.startswith("aaaaaa1")} == {
        "aaaaaa2": "in_use",
        "aaaaaa2-amd64": "-member",
        "aaaaaa2-arm64": "-member",
        "aaaaaa3": "keep_last",
        "aaaaaa3-amd64": "-member",
        "aaaaaa3-arm64": "-member",
        "aaaaaa4": "unknown_age",
        "aaaaaa4-amd64": "-member",
        "aaaaaa4-arm64": "-member",
        "latest": "shared_tag",
    }


@pytest.mark.parametrize(
    ("use", "keep"),
    [
        (ImagesInUse(tags=frozenset(["aaaaaa1-amd64"])), ()),
        (ImagesInUse(frozenset([digest(10)])), ()),
        (ImagesInUse(frozenset([digest("c10")])), ()),
        (ImagesInUse(), (".*-amd64",)),
    ],
)
def test_a_member_in_use_is_kept(use: ImagesInUse, keep: tuple[str, ...]) -> None:
    found = reasons(revision("aaaaaa1", 1), rules(untag_members=True, keep=keep), use)
    assert found["aaaaaa1-amd64"] in ("in_use", "name")
    assert found["aaaaaa1-arm64"] == "-member"


def test_a_publish_that_has_not_finished() -> None:
    """Its second build has an architecture in common with the first one, whose index is tagged already."""
    first = revision("aaaaaa1", 1)
    new = [single("aaaaaa2-amd64", 10), single("aaaaaa2-arm64", 21)]
    found = reasons([*first, *new], rules(untag_members=True))
    assert (found["aaaaaa2-amd64"], found["aaaaaa2-arm64"]) == ("no_rule", "no_rule")
    replaced = [first[0], first[1], single("aaaaaa1-arm64", 77)]
    assert reasons(replaced, rules(untag_members=True))["aaaaaa1-arm64"] == "no_rule"
    alone = [single("aaaaaa3", 3), single("aaaaaa3-amd64", 3)]
    assert reasons(alone, rules(untag_members=True))["aaaaaa3-amd64"] == "no_rule"


BROKEN = frozenset([digest(30)])


def test_a_broken_revision_does_not_count() -> None:
    """It displaces no intact one, is kept until there are enough newer ones, and is never counted as intact."""
    found = reasons(THREE, rules(keep_last=2), missing=BROKEN)
    assert [found[f"aaaaaa{number}"] for number in (1, 2, 3)] == ["keep_last", "keep_last", "broken"]
    found = reasons([*THREE, *revision("aaaaaa4", 4, 4)], rules(keep_last=1), missing=BROKEN)
    assert [found[f"aaaaaa{number}"] for number in (1, 2, 3, 4)] == ["-old", "-old", "-old", "keep_last"]
    found = reasons(THREE[6:], rules(keep_last=1), missing=BROKEN)
    assert set(found.values()) == {"broken"}
    assert set(reasons(THREE[6:], rules(keep_last=1, untag_members=True), missing=BROKEN).values()) == {"broken"}


def test_a_broken_index_is_reported_under_each_of_its_tags() -> None:
    images = [*THREE, LATEST]
    plan = plan_removals([each.tag for each in images], images, rules(keep_last=2), ImagesInUse(), BROKEN)
    lost = [digest(30)]
    assert {each.tag: each.missing for each in plan if each.missing} == {"aaaaaa3": lost, "latest": lost}


LIMIT = datetime(2026, 1, 5, tzinfo=timezone.utc).timestamp()


def upload(of: str, name: object, day: float | None, tagged: float | None) -> TaggedImage:
    return single(f"upload-0123456789ab-{of}", name, day, tagged_at=when(tagged))


@pytest.mark.parametrize(
    ("image", "use", "reason"),
    [
        pytest.param(upload("aaaaaa3-amd64", 30, 3, 3), ImagesInUse(), "-upload", id="old"),
        pytest.param(upload("aaaaaa3-amd64", 30, 3, 5), ImagesInUse(), "upload", id="adopted today"),
        pytest.param(upload("aaaaaa3-amd64", 30, 5, 3), ImagesInUse(), "upload", id="pushed again today"),
        pytest.param(upload("aaaaaa3-amd64", 30, 3, None), ImagesInUse(), "unknown_age", id="an older Zot"),
        pytest.param(upload("aaaaaa3-amd64", 30, None, None), ImagesInUse(), "unknown_age", id="no search"),
        pytest.param(upload("latest", 77, 3, 3), ImagesInUse(), "-upload", id="a publish that was killed"),
        pytest.param(upload("latest", 77, 3, 3), ImagesInUse(frozenset([digest(77)])), "in_use", id="alone in use"),
        pytest.param(upload("latest", 77, 3, 3), ImagesInUse(frozenset([digest("c77")])), "in_use", id="configuration"),
        pytest.param(upload("latest", 30, 3, 3), ImagesInUse(frozenset([digest(30)])), "-upload", id="in use and held"),
    ],
)
def test_an_upload_tag(image: TaggedImage, use: ImagesInUse, reason: str) -> None:
    """It is needed for a day, or if it is the only tag of an image in use. It is no revision."""
    found = reasons([*THREE, image], rules(keep_last=3, uploaded_before=LIMIT), use)
    assert found.pop(image.tag) == reason
    assert set(found.values()) <= {"keep_last", "in_use"}


@pytest.mark.parametrize(("tagged", "reason"), [(1, "-upload"), (1.1, "upload")])
def test_an_upload_tag_is_removed_with_its_revision(tagged: float, reason: str) -> None:
    """But not that of a publish of the revision that runs now."""
    images = [*THREE, upload("aaaaaa1-amd64", 10, 1, tagged)]
    assert reasons(images, rules(keep_last=2, uploaded_before=0.0))[images[-1].tag] == reason
    assert reasons(images, rules(keep_last=3, uploaded_before=0.0))[images[-1].tag] == "upload"


def test_an_upload_tag_keeps_neither_a_revision_nor_a_place() -> None:
    images = [*THREE, upload("aaaaaa9-amd64", 91, 9, 9)]
    assert reasons(images, rules(keep_last=1))["aaaaaa3"] == "keep_last"


def signature(name: object) -> str:
    return f"{digest(name).replace(':', '-')}.sig"


@pytest.mark.parametrize(
    ("subject", "use", "missing", "reason"),
    [
        (19, ImagesInUse(), (), "-attachment"),
        (11, ImagesInUse(), (), "-attachment"),
        (39, ImagesInUse(), (), "attachment"),
        (30, ImagesInUse(), (), "attachment"),
        (19, ImagesInUse(frozenset([digest(19)])), (), "in_use"),
        (77, ImagesInUse(), (), "attachment"),
        (77, ImagesInUse(), (digest(77),), "-attachment"),
        (77, ImagesInUse(frozenset([digest(77)])), (digest(77),), "in_use"),
    ],
)
def test_an_attachment_is_removed_with_its_image(
    subject: int, use: ImagesInUse, missing: tuple[str, ...], reason: str
) -> None:
    for tag in (signature(subject), signature(subject)[: -len(".sig")]):
        assert subject_of(tag) == digest(subject)
        assert reasons(THREE, rules(keep_last=1), use, [tag], missing)[tag] == reason
        assert not reasons(THREE, rules(untag_members=True), use, [tag], missing)[tag].startswith("-")
    assert reasons(THREE, rules(keep_last=1, keep=[r".*\.sig"]), use, [tag := signature(19)])[tag] == "name"


def test_a_tag_that_is_gone_is_not_planned() -> None:
    assert (
        plan_removals(["aaaaaa1", "aaaaaa2"], [single("aaaaaa2", 2)], rules(keep_last=1), ImagesInUse())[0].tag
        == "aaaaaa2"
    )


TAGS = [f"aaaaaa{number}{suffix}" for number in range(4) for suffix in ("", "-amd64", "-arm64")]
SHARED = ["latest", "stable", "aaaaaa1-previous", "1.4"]
UPLOADS = [f"upload-0123456789ab-{tag}" for tag in ("aaaaaa1", "aaaaaa2-amd64", "latest")]
DAYS = st.one_of(st.none(), st.integers(0, 5))


@st.composite
def repositories(draw: t.Callable[..., t.Any]) -> list[TaggedImage]:
    """Any tags, each of which holds one of a few images or indexes."""
    singles = [single("", number) for number in range(4)]
    images = []
    for tag in draw(st.lists(st.sampled_from(TAGS + SHARED + UPLOADS), unique=True)):
        members = draw(st.lists(st.sampled_from(singles), max_size=2, unique_by=id))
        name = draw(st.integers(0, 3)) if len(members) < 2 else f"9{''.join(each.digest[-1] for each in members)}"
        found = single(tag, name) if len(members) < 2 else index(tag, name, *members)
        day, tagged = draw(DAYS), draw(DAYS)
        images.append(
            TaggedImage(tag, found.digest, found.media_type, found.members, when(day), tagged_at=when(tagged))
        )
    return images


@given(
    images=repositories(),
    keep_last=st.one_of(st.none(), st.integers(1, 3)),
    newer=st.one_of(st.none(), st.integers(-1, 6)),
    keep=st.lists(st.sampled_from([*TAGS, ".*-amd64", "latest"]), max_size=2),
    used=st.frozensets(st.sampled_from([digest(name) for name in ("0", "1", "c2", "c3", "901", "923")]), max_size=2),
    named=st.frozensets(st.sampled_from(TAGS), max_size=2),
    untag=st.booleans(),
    lost=st.frozensets(st.sampled_from([digest(name) for name in range(4)]), max_size=2),
)
def test_every_needed_image_is_kept(
    images: list[TaggedImage],
    keep_last: int | None,
    newer: int | None,
    keep: list[str],
    used: frozenset[str],
    named: frozenset[str],
    untag: bool,
    lost: frozenset[str],
) -> None:
    """In any repository, under any rules."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    newer_than = None if newer is None else start + newer * DAY
    limits = {"newer_than": newer_than, "uploaded_before": start + 3 * DAY}
    own = rules(keep_last=keep_last, keep=keep, untag_members=untag, **limits)
    attached = [signature(name) for name in ("0", "1", "901")]
    tags = [*(image.tag for image in images), *attached]
    decisions = {each.tag: each for each in plan_removals(tags, images, own, ImagesInUse(used, named), lost)}
    assert list(decisions) == tags
    kept = [image for image in images if not decisions[image.tag].removed]
    kept_digests = {digest for image in kept for digest in image.digests}
    for image in images:
        decision = decisions[image.tag]
        revision_ = DEFAULT.of(image.tag)
        if decision.removed:
            # Neither the tag nor what it holds is needed by name, by digest or by configuration.
            assert not any(re.fullmatch(each, image.tag) for each in keep)
            assert image.tag not in named
            assert not image.digests & used or image.digest in kept_digests
            assert revision_ is not None or image.tag in UPLOADS
        if decision.removed and decision.reason == "upload":
            assert image.tagged_at
            assert image.pushed_at
        elif decision.removed and decision.reason == "old":
            group = [each for each in images if DEFAULT.of(each.tag) == revision_]
            assert not any(each.digests & used for each in group)
            times = [pushed_at(each) for each in group]
            assert None not in times
            assert all(decisions[each.tag].removed for each in group)
            newest = max(time for time in times if time is not None)
            assert newer_than is None or newest < newer_than
            broken = {DEFAULT.of(each.tag) for each in kept if decisions[each.tag].missing}
            others = {DEFAULT.of(each.tag) for each in kept if (pushed_at(each) or 0) > newest} - {
                None,
                revision_,
                *broken,
            }
            assert keep_last is None or len(others) >= keep_last
        elif decision.removed:
            # The image is kept, in the index of a revision that is kept.
            assert untag
            assert decision.index in kept
            assert image.digest in kept_digests
    # Every image in use is kept; an index in use keeps its members.
    for image in images:
        assert not image.digests & used or image.digests <= kept_digests
    for tag in attached:
        subject = subject_of(tag)
        was_tagged = any(subject in image.digests for image in images)
        known = was_tagged or subject in lost
        assert not decisions[tag].removed or (known and subject not in kept_digests | used)
    # The same plan again finds nothing more to remove.
    rest = [tag for tag in tags if not decisions[tag].removed]
    again = plan_removals(rest, kept, own, ImagesInUse(used, named), lost)
    assert not [each.tag for each in again if each.removed]
