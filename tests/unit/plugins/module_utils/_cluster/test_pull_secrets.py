# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import service_account_of
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    PullCredentials,
    PullSecret,
    SecretEntry,
    kubelet_key,
    printable_key,
)

CONFIG = "kubernetes.io/dockerconfigjson"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(document: t.Any, *, kind: str = CONFIG, field: str = ".dockerconfigjson") -> dict[str, t.Any]:
    text = document if isinstance(document, str) else json.dumps(document)
    return {"type": kind, "data": {field: encoded(text)}}


def auths(**entries: t.Any) -> dict[str, t.Any]:
    return secret({"auths": entries})


ACCOUNT = {"auth": encoded("ci:pass")}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("oci.killinit.cc", "oci.killinit.cc"),
        ("https://oci.killinit.cc", "oci.killinit.cc"),
        ("http://oci.killinit.cc/", "oci.killinit.cc"),
        ("https://oci.killinit.cc/v2/", "oci.killinit.cc"),
        ("https://oci.killinit.cc/v1/", "oci.killinit.cc"),
        ("oci.killinit.cc/v2", "oci.killinit.cc/v2"),
        ("oci.killinit.cc:5000", "oci.killinit.cc:5000"),
        ("oci.killinit.cc/openclaw", "oci.killinit.cc/openclaw"),
        ("oci.killinit.cc?query=1", "oci.killinit.cc"),
        ("oci.killinit.cc/a?from=http://x", "oci.killinit.cc/a"),
        ("https://user:pass@oci.killinit.cc", "oci.killinit.cc"),
        ("oci.killinit.cc/a%2Fb", "oci.killinit.cc/a/b"),
        ("[::1]:5000", "[::1]:5000"),
        ("oci killinit", None),
        ("oci.killinit.cc/%zz", None),
        ("oci.killinit.cc\n", None),
    ],
)
def test_key_as_kubelet_takes_it(name: str, key: str | None) -> None:
    assert kubelet_key(name) == key


def test_many_stars_take_no_time() -> None:
    """The key of an entry may be anybody's."""
    assert SecretEntry("", "*a" * 30 + ".cc", "ci", "pass", False).fits("a" * 60 + "b.cc/a") is False
    assert SecretEntry("", "*a" * 30 + ".cc", "ci", "pass", False).fits("a" * 60 + ".cc/a") is True


def test_a_key_is_shown_without_the_password_in_it() -> None:
    assert "hunter2" not in repr(SecretEntry("https://user:hunter2@bad host", "", "", "", False))
    assert "hunter2" not in printable_key("https://user:hunter2@bad host")
    assert printable_key("https://user:hunter2@oci.killinit.cc") == "oci.killinit.cc"
    assert printable_key("https://user:hun@ter2@bad host") == "'bad host'"


@pytest.mark.parametrize(
    ("key", "repository", "fits"),
    [
        ("oci.killinit.cc", "oci.killinit.cc/openclaw/openclaw", True),
        ("oci.killinit.cc", "oci.killinit.cc:443/openclaw/openclaw", False),
        ("oci.killinit.cc:5000", "oci.killinit.cc:5000/a", True),
        ("oci.killinit.cc", "other.killinit.cc/a", False),
        ("*.killinit.cc", "oci.killinit.cc/a", True),
        ("*.killinit.cc", "a.oci.killinit.cc/a", False),
        ("*.cc", "oci.killinit.cc/a", False),
        ("o*.killinit.cc", "oci.killinit.cc/a", True),
        ("x*.killinit.cc", "oci.killinit.cc/a", False),
        ("oci.killinit.cc/openclaw", "oci.killinit.cc/openclaw/openclaw", True),
        ("oci.killinit.cc/open", "oci.killinit.cc/openclaw/openclaw", True),
        ("oci.killinit.cc/other", "oci.killinit.cc/openclaw/openclaw", False),
        ("", "oci.killinit.cc/a", False),
        ("oci.killinit.cc:bad", "oci.killinit.cc/a", False),
    ],
)
def test_which_entry_fits(key: str, repository: str, fits: bool) -> None:
    assert SecretEntry(key, key, "ci", "pass", False).fits(repository) is fits


def test_the_longest_match_comes_first() -> None:
    read = PullSecret.read(
        auths(**{"oci.killinit.cc": ACCOUNT, "*.killinit.cc": ACCOUNT, "oci.killinit.cc/openclaw": ACCOUNT})
    )
    keys = [entry.key for entry in read.for_image("oci.killinit.cc/openclaw/openclaw")]
    assert keys == ["oci.killinit.cc/openclaw", "oci.killinit.cc", "*.killinit.cc"]


@pytest.mark.parametrize(
    ("value", "account", "contradicts"),
    [
        pytest.param(ACCOUNT, ("ci", "pass"), False, id="auth"),
        pytest.param({"username": "ci", "password": "pass"}, ("ci", "pass"), False, id="both"),
        pytest.param({**ACCOUNT, "username": "ci", "password": "pass"}, ("ci", "pass"), False, id="the same"),
        pytest.param({**ACCOUNT, "username": "ci", "password": "old"}, ("ci", "pass"), True, id="another password"),
        pytest.param({**ACCOUNT, "username": "you"}, ("ci", "pass"), True, id="another user"),
        pytest.param({"Auth": ACCOUNT["auth"]}, ("ci", "pass"), False, id="as Go spells it"),
        pytest.param({"auth": encoded("ci:pa:ss")}, ("ci", "pa:ss"), False, id="a colon in the password"),
        pytest.param({"auth": encoded("ci:passw")[:-1]}, ("ci", "passw"), False, id="without padding"),
        pytest.param({"auth": "Y2k6\r\ncGFzcw==\n"}, ("ci", "pass"), False, id="in lines"),
        pytest.param({"auth": "Y2k6/w=="}, ("ci", "\ufffd"), False, id="a password that is no text"),
        pytest.param(None, ("", ""), False, id="null"),
    ],
)
def test_account_of_an_entry(value: t.Any, account: tuple[str, str], contradicts: bool) -> None:
    (entry,) = PullSecret.read(auths(**{"oci.killinit.cc": value})).entries
    assert ((entry.username, entry.password), entry.contradicts) == (account, contradicts)
    assert entry.is_complete is all(account)
    assert "pass" not in repr(entry)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param(
            {"type": "Opaque", "data": {"password": "eA=="}}, "it has no .dockerconfigjson, but password", id="Opaque"
        ),
        pytest.param({"type": CONFIG, "data": None}, "it has no .dockerconfigjson, but nothing", id="no data"),
        pytest.param({"type": CONFIG, "data": {".dockerconfigjson": "%"}}, "is not JSON", id="no base64"),
        pytest.param(
            {"type": CONFIG, "data": {".dockerconfigjson": encoded('{"auths": {}}') + "!"}},
            "is not JSON",
            id="not all of it base64",
        ),
        pytest.param(secret("hunter2"), "its .dockerconfigjson is not JSON", id="no JSON"),
        pytest.param(secret('{"auths": NaN}'), "is not JSON", id="NaN"),
        pytest.param(secret("[]"), "is not an object", id="a list"),
        pytest.param(secret({"auths": []}), "auths in its .dockerconfigjson is not an object", id="auths is a list"),
        pytest.param(secret({"HttpHeaders": 1, "auths": {}}), "HttpHeaders", id="headers"),
        pytest.param(secret({"httpheaders": {"a": "b", "c": 1}}), "HttpHeaders", id="a header is a number"),
        pytest.param(auths(host=[]), "the entry host is not an object", id="entry is a list"),
        pytest.param(auths(host={"username": 1}), "has a username that is not a text", id="username is a number"),
        pytest.param(auths(host={"email": 1}), "has a email that is not a text", id="email is a number"),
        pytest.param(auths(host={"auth": "%%%"}), "has an auth that is not base64", id="auth"),
        pytest.param(auths(host={"auth": encoded("hunter2")}), "not base64 of username:password", id="no colon"),
    ],
)
def test_what_kubelet_cannot_read(given: dict[str, t.Any], problem: str) -> None:
    read = PullSecret.read(given)
    assert problem in "; ".join(read.problems)
    assert "hunter2" not in "; ".join(read.problems)
    assert read.entries == ()


@pytest.mark.parametrize(
    "text",
    [b'{"HTTPHEADERS": {"a": "b"}, "Auths": {"h": {"auth": "Y2k6cGFzcw=="}}}', b'{"auths": {"h\xff": null}}'],
    ids=["any spelling", "no UTF-8"],
)
def test_what_kubelet_can_read(text: bytes) -> None:
    read = PullSecret.read({"type": CONFIG, "data": {".dockerconfigjson": base64.b64encode(text).decode()}})
    assert (len(read.entries), read.problems) == (1, ())


def test_a_type_that_is_not_said() -> None:
    """The API says Opaque then."""
    read = PullSecret.read({})
    assert (read.type, read.data_key) == ("Opaque", ".dockerconfigjson")
    assert PullSecret.read({"type": "kubernetes.io/dockercfg"}).data_key == ".dockercfg"


@pytest.mark.parametrize("document", ["null", {}, {"auths": None}], ids=["null", "empty", "auths is null"])
def test_a_secret_without_entries(document: t.Any) -> None:
    assert PullSecret.read(secret(document)) == PullSecret(CONFIG, ".dockerconfigjson", (), (), {})


def test_the_older_type() -> None:
    read = PullSecret.read(secret({"oci.killinit.cc": ACCOUNT}, kind="kubernetes.io/dockercfg", field=".dockercfg"))
    assert (read.data_key, [entry.key for entry in read.entries], read.problems) == (
        ".dockercfg",
        ["oci.killinit.cc"],
        (),
    )


@pytest.mark.parametrize(
    ("specification", "account"),
    [({}, "default"), ({"serviceAccountName": "a"}, "a"), ({"serviceAccount": "b"}, "b")],
)
def test_service_account(specification: dict[str, str], account: str) -> None:
    assert service_account_of(specification) == account


class TestEntryUpdate:
    """The entry of one registry is set. Everything else in the document stays as it is written."""

    NEW = PullCredentials("ci", "hunter2")
    TEXT = r""" {"HttpHeaders" : {"a": "\u00e4"},"Auths":{
        "ghcr.io":{ "auth" : "Y2k6\u0063GFzcw==", "n":1.50, "username":"ci", "username": "ci"},
        "\u006fci.killinit.cc/part": null ,
        "https://oci.killinit.cc/v2/":{}, "broken": 1
    }, "credHelpers":{"x" :  "y"}}"""

    def written(self, text: str) -> str:
        update = PullSecret.read(secret(text)).with_entry("oci.killinit.cc")
        return base64.b64decode(update.data(self.NEW)).decode()

    def test_what_is_kept_does_not_change_by_a_byte(self) -> None:
        written = self.written(self.TEXT)
        for text in (
            '{"a": "\\u00e4"}',
            r'{ "auth" : "Y2k6\u0063GFzcw==", "n":1.50, "username":"ci", "username": "ci"}',
            '{"x" :  "y"}',
        ):
            assert text in written
        read = PullSecret.read(secret(written))
        assert read.problems == ()
        assert list(read.auths) == ["ghcr.io", "oci.killinit.cc/part", "oci.killinit.cc"]
        assert json.loads(read.auths["oci.killinit.cc"]) == self.NEW.entry()
        # With the same credentials, the document stays as it is.
        update = read.with_entry("oci.killinit.cc")
        assert (update.changes(self.NEW), base64.b64decode(update.data(self.NEW)).decode()) == ((), written)

    def test_the_changes_name_no_secret(self) -> None:
        update = PullSecret.read(secret(self.TEXT)).with_entry("oci.killinit.cc")
        assert update.changes(self.NEW) == (
            "entry oci.killinit.cc: credentials updated",
            "entry broken: removed",
        )
        assert "hunter2" not in repr(update) + repr(self.NEW)
        assert PullSecret.read({}).with_entry("x").changes(None) == ("entry x: added",)

    @pytest.mark.parametrize(
        ("key", "is_kept"),
        [
            ("quay.io", True),
            ("https://user:secret@quay.io/v2/", True),
            ("*.killinit.cc", True),
            ("oci.killinit.cc/a", True),
            ("http://oci.killinit.cc", False),
            ("bad host", True),
            ("user:secret@bad host", False),
        ],
    )
    def test_which_entries_are_kept(self, key: str, is_kept: bool) -> None:
        written = self.written(json.dumps({"auths": {key: ACCOUNT}}))
        assert (key in PullSecret.read(secret(written)).auths) is is_kept

    def test_the_older_type_becomes_the_current_one(self) -> None:
        old = PullSecret.read(secret({"quay.io": ACCOUNT}, kind="kubernetes.io/dockercfg", field=".dockercfg"))
        written = PullSecret.read({"type": CONFIG, "data": {".dockerconfigjson": old.with_entry("x").data(self.NEW)}})
        assert list(written.auths) == ["quay.io", "x"]

    def test_only_the_entries_of_the_registry_are_removed(self) -> None:
        update = PullSecret.read(secret(self.TEXT)).without_entry("oci.killinit.cc")
        assert update.changes(None) == ("entry oci.killinit.cc: removed",)
        read = PullSecret.read(secret(base64.b64decode(update.data(None)).decode()))
        assert list(read.auths) == ["ghcr.io", "oci.killinit.cc/part", "broken"]
        assert not update.is_empty

    def test_an_entry_of_a_copy_is_added_if_its_registry_has_none(self) -> None:
        mine = PullSecret.read(secret({"auths": {"https://quay.io/v2/": ACCOUNT}}))
        copy = PullSecret.read(secret({"auths": {"quay.io": {"auth": "YTpi"}, "ghcr.io": ACCOUNT, "broken": 1}}))
        joined = mine.joined(copy)
        assert list(joined.auths) == ["https://quay.io/v2/", "ghcr.io"]
        assert [entry.key for entry in joined.entries] == ["quay.io", "ghcr.io"]
