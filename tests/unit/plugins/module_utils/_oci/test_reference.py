# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    Reference,
    is_digest,
    registry_name,
    repository_name,
    same_registry,
    tag_name,
)

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
REGISTRY_FORM = "use host[:port], without a scheme and without a path"
REPOSITORY_FORM = "use lower-case letters, digits and single . _ - in components separated by /"
TAG_FORM = "use at most 128 letters, digits, _ . - and do not begin with . or -"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "oci.killinit.cc/openclaw/openclaw:1", ("oci.killinit.cc", "openclaw/openclaw", "1", None), id="tag"
        ),
        pytest.param("h.example/app", ("h.example", "app", "latest", None), id="latest is meant"),
        pytest.param(f"h.example/app@{DIGEST}", ("h.example", "app", None, DIGEST), id="digest"),
        pytest.param(f"h.example/app:1@{DIGEST}", ("h.example", "app", "1", DIGEST), id="tag and digest"),
        pytest.param("localhost/app:1", ("localhost", "app", "1", None), id="localhost"),
        pytest.param("localhost:5000/app:1", ("localhost:5000", "app", "1", None), id="port"),
        pytest.param("[::1]:5000/app:1", ("[::1]:5000", "app", "1", None), id="IPv6"),
        pytest.param("openclaw/app:1", ("default:5000", "openclaw/app", "1", None), id="default registry"),
        pytest.param("app", ("default:5000", "app", "latest", None), id="only a repository"),
    ],
)
def test_parse(text: str, expected: tuple[str, str, str | None, str | None]) -> None:
    found = Reference.parse(text, registry="default:5000")
    assert (found.registry, found.repository, found.tag, found.digest) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("https://h.example/app:1", id="a scheme"),
        pytest.param("h.example/app:", id="an empty tag"),
        pytest.param("h.example/app@", id="an empty digest"),
        pytest.param("h.example/app@sha256:abc", id="a short digest"),
        pytest.param(f"h.example/app@{DIGEST.upper()}", id="a digest in capitals"),
        pytest.param(f"h.example/app@{DIGEST}@{DIGEST}", id="two digests"),
        pytest.param("h.example/App:1", id="a capital"),
        pytest.param("h.example/a//b:1", id="an empty part"),
        pytest.param("h.example/../b:1", id="a path upwards"),
        pytest.param("h.example/a..b:1", id="two dots"),
        pytest.param("h.example/a___b:1", id="three underscores"),
        pytest.param("h.example/app:1:2", id="two tags"),
        pytest.param("h.example/app:-1", id="a tag that is an option"),
        pytest.param("h.example/app:.1", id="a tag that begins with a dot"),
        pytest.param("-h.example/app:1", id="a host that is an option"),
        pytest.param("--config=x/app:1", id="an option"),
        pytest.param("h.example:port/app:1", id="a port that is not a number"),
        pytest.param("h_x.example/app:1", id="an underscore in a host"),
        pytest.param("h.example/app:" + "a" * 129, id="a long tag"),
        pytest.param("h.example/" + "a" * 246 + ":1", id="a long name"),
        pytest.param("h.example/app:1\n", id="a newline"),
        pytest.param("h.example/app\n:1", id="a newline in the middle"),
        pytest.param("user@h.example/app:1", id="an account"),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text, registry="default:5000")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (Reference.parse, "openclaw/app:1", "'openclaw/app:1' has no registry"),
        (Reference.parse, "h.example/app@", "'h.example/app@' has no digest after the @"),
        (Reference.parse, "h.example/app@1", "'1' is not a valid digest: sha256: and 64 hexadecimal digits"),
        (Reference.parse, "h.example/" + "a" * 246, "'h.example/" + "a" * 246 + "' is longer than 255 characters"),
        (registry_name, "h.example/app", f"'h.example/app' is not a valid registry: {REGISTRY_FORM}"),
        (repository_name, "app:1", f"'app:1' is not a valid repository: {REPOSITORY_FORM}"),
        (tag_name, "a/b", f"'a/b' is not a valid tag: {TAG_FORM}"),
    ],
    ids=["none", "@", "digest", "length", "registry", "repository", "tag"],
)
def test_the_message_says_what_is_wrong(parse: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(InvalidReferenceError) as error:
        parse(text)
    assert str(error.value) == message


def test_the_longest_name_and_tag_pass() -> None:
    text = "h.example/" + "a" * 245 + ":" + "b" * 128
    assert str(Reference.parse(text)) == text


def test_neither_tag_nor_digest() -> None:
    with pytest.raises(InvalidReferenceError, match=r"^'h\.example/app' has neither a tag nor a digest$"):
        Reference("h.example", "app")


@pytest.mark.parametrize(
    ("one", "other", "aliases", "same"),
    [
        ("h.example", "h.example", [], True),
        ("H.example", "h.EXAMPLE:443", [], True),
        ("h.example:5000", "h.example", [], False),
        ("h.example:4430", "h.example", [], False),
        ("zot.zot.svc:5000", "h.example", ["localhost:5000", "zot.zot.SVC:5000"], True),
        ("zot.zot.svc", "h.example", ["zot.zot.svc:5000"], False),
    ],
)
def test_the_same_registry(one: str, other: str, aliases: list[str], same: bool) -> None:
    assert same_registry(one, other, aliases) is same
    named = Reference(one, "app", "1")
    assert named.known_as(other, aliases) == (Reference(other, "app", "1") if same else named)


def test_another_spelling_of_the_default_registry() -> None:
    assert Reference.parse("H.Example:443/app:1", registry="h.example") == Reference("h.example", "app", "1")


def test_a_reference_by_tag_and_by_digest() -> None:
    pinned = Reference("h.example", "app", "1").pinned(DIGEST)
    assert (pinned, str(pinned)) == (Reference("h.example", "app", None, DIGEST), f"h.example/app@{DIGEST}")
    assert str(pinned.tagged("2")) == "h.example/app:2"


@pytest.mark.parametrize(("text", "expected"), [(DIGEST, True), (DIGEST + "\n", False), (DIGEST[:-1], False)])
def test_is_digest(text: str, expected: bool) -> None:
    assert is_digest(text) is expected


HOSTS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?(\.[a-z0-9]{1,5}){1,3}(:[0-9]{1,5})?", fullmatch=True)
PARTS = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(HOSTS, st.lists(PARTS, min_size=1, max_size=4).map("/".join), st.none() | TAGS, st.none() | DIGESTS)
def test_printed_and_parsed_is_the_same(host: str, repository: str, tag: str | None, digest: str | None) -> None:
    reference = Reference(host, repository, tag or (None if digest else "latest"), digest)
    expected = Reference(host, repository, None, digest) if digest else reference
    assert Reference.parse(str(reference)) == expected


# What nearly is a reference, with one character that may not be there.
@given(
    st.sampled_from(["", "h.example/", "h.example/app", "h.example/app:1", f"h.example/app@{DIGEST}"]),
    st.sampled_from(list("\n\r\t \x00'\"\\$`;&|<>(){}*?~#%=,!^äé\u202e\u212a\u0663\uff11")),
    st.integers(0, 90),
)
def test_no_character_that_needs_quoting_passes(start: str, character: str, place: int) -> None:
    text = start[:place] + character + start[place:]
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text, registry="h.example")


@given(st.text(max_size=40))
def test_any_text_is_refused_or_harmless(text: str) -> None:
    try:
        printed = str(Reference.parse(text, registry="h.example"))
    except InvalidReferenceError:
        return
    assert printed.isascii()
    assert not set(printed) & set(" \t\r\n'\"\\$`;&|<>(){}*?~#%=,!^")
    assert not printed.startswith("-")
