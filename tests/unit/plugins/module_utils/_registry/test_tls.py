# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trust neither more nor less than Go does, and no certificate twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import tls
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.plugins.module_utils._registry.tls import Trust, is_loopback, without_plain_http


def _pem(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory as update-ca-certificates leaves it: the bundle, and each certificate by its name and its hash."""
    folder = tmp_path / "certs"
    folder.mkdir()
    for name in ("one", "two"):
        (tmp_path / f"{name}.crt").write_text(_pem(name))
        (folder / f"{name}.pem").symlink_to(tmp_path / f"{name}.crt")
        (folder / f"{name}.0").symlink_to(f"{name}.pem")
    (folder / "bundle.crt").write_text(_pem("one") + "# two\n" + _pem("two"))
    return folder


def extra_certificates(environment: dict[str, str]) -> tuple[str | None, bytes]:
    return tls._extra_certificates(environment)


def _variables(directory: Path) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(directory / "bundle.crt"), "SSL_CERT_DIR": f"{directory}:/nowhere"}


def test_the_same_twice(directory: Path) -> None:
    assert extra_certificates(_variables(directory)) == (str(directory / "bundle.crt"), b"")


def test_what_the_bundle_lacks(directory: Path) -> None:
    (directory / "three.pem").write_text("ours:\n" + _pem("three"))
    (directory / "four.pem").symlink_to(directory.parent / "nowhere")
    (directory / "subdirectory").mkdir()
    assert extra_certificates(_variables(directory))[1].decode() == _pem("three")


def test_no_bundle(directory: Path) -> None:
    (directory / "bundle.crt").unlink()
    assert extra_certificates(_variables(directory)) == (None, (_pem("one") + _pem("two")).encode())


def test_the_places_of_the_system(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_BUNDLES", ("/nowhere", str(directory / "bundle.crt"), "/never"))
    monkeypatch.setattr(tls, "_DIRECTORIES", str(directory))
    (directory / "three.pem").write_text(_pem("three"))
    assert extra_certificates({}) == (str(directory / "bundle.crt"), _pem("three").encode())
    # An empty one is none to Go, and one that is named but not there stands for no bundle at all.
    assert extra_certificates({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}) == extra_certificates({})
    assert extra_certificates({"SSL_CERT_FILE": "/nowhere"})[0] is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.pem", "cannot be read: No such file"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("key.pem", "has no certificate"),
    ],
    ids=["none", "a zero", "another file"],
)
def test_ca_that_cannot_be_used(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(ZotError, match=rf"ca_path .* {reason}") as raised:
        Trust(Options(None, ca_path=str(tmp_path / name)), {})
    assert raised.value.error_class == "invalid_option"
    assert "zot_ca_path" in raised.value.hint


@pytest.mark.parametrize(
    "registry", ["192.168.7.7", "192.168.7.7:5000", "10.0.0.1:443", "172.16.0.1", "zot.local", "zot.local:5000"]
)
def test_plain_http_is_kept_from_private_addresses(registry: str) -> None:
    found = without_plain_http({"HTTPS_PROXY": "http://proxy.example"}, registry)
    assert {name: found[name] for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")} == {
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "NO_PROXY": "",
        "no_proxy": "",
    }
    assert found["HTTPS_PROXY"] == "http://proxy.example"


@pytest.mark.parametrize("registry", ["oci.killinit.cc", "127.0.0.1:5000", "localhost:5000", "[::1]:5000", "8.8.8.8"])
def test_other_addresses_keep_their_environment(registry: str) -> None:
    before = {"HTTP_PROXY": "http://proxy.example", "NO_PROXY": "x"}
    assert without_plain_http(before, registry) == before


def test_a_registry_that_no_proxy_is_for_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY has to go, so the proxy for HTTPS has to go with it."""
    monkeypatch.setenv("no_proxy", "192.168.7.7")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    found = without_plain_http(dict(os.environ), "192.168.7.7:5000")
    assert "https_proxy" not in found


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("localhost:5000", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("192.168.7.7:5000", False),
        ("localhost.example:5000", False),
        ("127.example", False),
    ],
)
def test_is_loopback(registry: str, expected: bool) -> None:
    assert is_loopback(registry) is expected
