# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trust neither more nor less than Go does, and no certificate twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import certificates
from ansible_collections.killinit.zot.plugins.module_utils._registry.certificates import extra_certificates


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
    monkeypatch.setattr(certificates, "_BUNDLES", ("/nowhere", str(directory / "bundle.crt"), "/never"))
    monkeypatch.setattr(certificates, "_DIRECTORIES", str(directory))
    (directory / "three.pem").write_text(_pem("three"))
    assert extra_certificates({}) == (str(directory / "bundle.crt"), _pem("three").encode())
    # An empty one is none to Go, and one that is named but not there stands for no bundle at all.
    assert extra_certificates({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}) == extra_certificates({})
    assert extra_certificates({"SSL_CERT_FILE": "/nowhere"})[0] is None
