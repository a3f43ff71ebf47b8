# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, crane_message, open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.tests.unit.conftest import captured_outputs

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")


def test_the_hint_names_the_credentials(registry: Registry, fake: t.Any) -> None:
    fake.fail("manifest", "demo/app:1", "bad-password")
    with pytest.raises(ZotError, match="cannot read") as raised:
        registry.manifest(APP)
    assert (
        raised.value.hint
        == "The registry does not accept the credentials: user 'ci' from zot_username (variable) or username (option)."
    )


@pytest.mark.parametrize("prefix", ["", "registry_", "source_"])
def test_the_hint_names_the_options_of_the_module(fake: t.Any, tmp_path: Path, prefix: str) -> None:
    """A module with two registries, or with a cluster, has other names for them."""
    fake.fail("manifest", "demo/app:1", "unknown-authority")
    names = {name: f"{prefix}{name}" for name in ("ca_path", "validate_certs")}
    with open_task(str(tmp_path)) as task, pytest.raises(ZotError) as raised:
        Registry(task.session(Options(HOST, names=names, retries=0))).manifest(APP)
    assert f"{prefix}ca_path (option)" in raised.value.hint
    assert f"{prefix}validate_certs (option)" in raised.value.hint


def test_crane_cannot_fall_back_to_plain_http(registry: Registry, fake: t.Any) -> None:
    registry.digest(Reference("192.168.7.7:5000", "demo/app", "1"))
    assert fake.environments[0]["HTTP_PROXY"] == "http://127.0.0.1:1"


def test_no_core_dump(tmp_path: Path) -> None:
    """It would contain the credentials."""
    with open_task(str(tmp_path)):
        assert subprocess.run(["/bin/sh", "-c", "ulimit -c"], stdout=subprocess.PIPE, check=True).stdout == b"0\n"


def test_a_full_disk_is_an_error_of_the_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The directory of the task may be the last one for which there was room."""

    def full(**_options: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_task(str(tmp_path)) as task:
        monkeypatch.setattr(tempfile, "mkdtemp", full)
        with pytest.raises(ZotError, match=r"cannot write into .*: No space left on device") as raised:
            task.session(Options(HOST))
    assert "remote_tmp" in (raised.value.hint or "")


def test_a_clean_up_that_hangs(tmp_path: Path) -> None:
    """The module ends soon nevertheless, and its error is printed, also to a pipe."""
    program = """
import os, signal, sys, time
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import open_task

with open_task(sys.argv[1], print):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        time.sleep(60)
"""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, env=buffered, stdout=subprocess.PIPE, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, b"the task was interrupted by signal 15\n")
    assert list(tmp_path.iterdir()) == []


class TestEnvironment:
    """The environment of the tools."""

    @pytest.fixture
    def variables(self, tmp_path: Path) -> t.Callable[..., dict[str, str]]:
        (tmp_path / "private").mkdir()

        def variables(**options: t.Any) -> dict[str, str]:
            return Session(Options(HOST, **options), str(tmp_path / "private")).variables(HOST)

        return variables

    def test_no_secret_of_ours(self, variables: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_AUTHFILE"):
            monkeypatch.setenv(name, "s3cret")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
        found = variables()
        assert "s3cret" not in found.values()
        assert (found["DOCKER_CONFIG"], found["HTTPS_PROXY"]) == (str(tmp_path / "private"), "http://proxy.example")

    def test_ca_beside_the_others(self, variables: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        certificates = [f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n" for name in ("one", "two")]
        (tmp_path / "bundle").write_text(certificates[0])
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "two.pem").write_text("".join(certificates))
        (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nours")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "own"))
        found = variables(ca_path=str(tmp_path / "ca.pem"))
        assert found["SSL_CERT_FILE"] == str(tmp_path / "bundle")
        assert sorted(path.read_text() for path in Path(found["SSL_CERT_DIR"]).iterdir()) == [
            "-----BEGIN CERTIFICATE-----\nours",
            certificates[1],
        ]

    def test_http_1_unless_the_user_wants_http_2(self, variables: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """crane copies a large image faster with it. Go uses the last setting of a name."""
        monkeypatch.setenv("GODEBUG", "netdns=go,http2client=1")
        assert variables()["GODEBUG"] == "http2client=0,netdns=go,http2client=1"


@pytest.mark.parametrize("output", captured_outputs("crane"))
def test_crane_message_of_captured_output(output: dict[str, t.Any]) -> None:
    """A piece of the line that begins with Error; no line that crane prints on its way."""
    message = crane_message(output["stderr"])
    assert message
    assert message in output["stderr"].partition("Error: ")[2]


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        pytest.param(
            "2026/11/23 12:00:00 HEAD request failed, falling back on GET\nError: GET https://h: gone\n",
            "GET https://h: gone",
            id="noise before",
        ),
        pytest.param(
            'Error: Get "https://h:1/v2/": connection refused; Get "http://h:1/v2/": connection refused',
            'Get "https://h:1/v2/": connection refused',
            id="HTTPS and then HTTP",
        ),
        pytest.param(
            "Error: GET https://h/v2/: status code 429; GET http://h/v2/: status code 400 Bad Request: Client sent an"
            " HTTP request to an HTTPS server.\n\n",
            "GET https://h/v2/: status code 429",
            id="HTTPS is spoken there",
        ),
        pytest.param(
            'Error: Get "https://h/v2/": http: server gave HTTP response to HTTPS client; GET http://h/v2/: status'
            " code 503",
            "GET http://h/v2/: status code 503",
            id="HTTP is spoken there",
        ),
        pytest.param(
            'Error: Get "https://h/v2/": http: server gave HTTP response to HTTPS client; Get "http://h/v2/":'
            " proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused",
            'Get "https://h/v2/": http: server gave HTTP response to HTTPS client',
            id="HTTP was not let through",
        ),
        pytest.param("panic: x\n\ngoroutine 1", "goroutine 1", id="no Error line"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_crane_message(stderr: str, expected: str) -> None:
    assert crane_message(stderr) == expected
