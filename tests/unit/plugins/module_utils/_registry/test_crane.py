# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import crane

CAPTURED = json.loads((Path(__file__).parents[3] / "captured.json").read_text(encoding="utf-8"))
OUTPUTS: list[dict[str, t.Any]] = [each for each in CAPTURED["outputs"] if each["tools"][0].startswith("crane")]


@pytest.mark.parametrize(
    ("build", "arguments", "expected"),
    [
        pytest.param(crane.manifest, ("h/r:1",), "manifest h/r:1", id="manifest"),
        pytest.param(crane.blob, ("h/r@sha256:1",), "blob h/r@sha256:1", id="blob"),
        pytest.param(crane.digest, ("h/r:1",), "digest h/r:1", id="digest"),
        pytest.param(crane.tags, ("h/r",), "ls h/r", id="tags"),
        pytest.param(crane.catalog, ("h",), "catalog h", id="catalog"),
        pytest.param(crane.tag, ("h/r:1", "2"), "tag h/r:1 2", id="tag"),
        pytest.param(crane.delete, ("h/r:1",), "delete h/r:1", id="delete"),
        pytest.param(
            crane.append,
            (["h/r:1", "h/r:2"], "h/r:i"),
            "index append --manifest h/r:1 --manifest h/r:2 --tag h/r:i",
            id="append",
        ),
    ],
)
def test_command(build: t.Callable[..., list[str]], arguments: tuple[t.Any, ...], expected: str) -> None:
    assert build("/bin/crane", *arguments, insecure=False) == ["/bin/crane", *expected.split()]
    assert build("/bin/crane", *arguments, insecure=True) == ["/bin/crane", "--insecure", *expected.split()]


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        *(
            pytest.param(each["stdout"].encode(), each["stdout"].split(), id=each["tool"])
            for each in CAPTURED["successes"]
            if each["command"] == "crane ls"
        ),
        pytest.param(b"", [], id="no tag at all"),
        pytest.param(b"latest\n", ["latest"], id="one"),
        pytest.param(b"\xff\n", ["\ufffd"], id="no text"),
    ],
)
def test_parse_lines(stdout: bytes, expected: list[str]) -> None:
    assert crane.parse_lines(stdout) == expected


@pytest.mark.parametrize(
    "output",
    [pytest.param(each, id=f"{each['scenario']}-{each['tools'][0]}-{n}") for n, each in enumerate(OUTPUTS)],
)
def test_message_of_captured_output(output: dict[str, t.Any]) -> None:
    """A piece of the line that begins with Error; no line that crane prints on its way."""
    message = crane.message(output["stderr"])
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
def test_message(stderr: str, expected: str) -> None:
    assert crane.message(stderr) == expected
