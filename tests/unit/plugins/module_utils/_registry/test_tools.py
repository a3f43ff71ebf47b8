# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import tools

CAPTURED = json.loads((Path(__file__).parents[3] / "captured.json").read_text(encoding="utf-8"))


def outputs(tool: str) -> list[t.Any]:
    """What a tool printed, as arguments of a test."""
    found = [each for each in CAPTURED["outputs"] if each["tools"][0].startswith(tool)]
    return [pytest.param(each, id=f"{each['scenario']}-{each['tools'][0]}-{n}") for n, each in enumerate(found)]


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
def test_crane_lines(stdout: bytes, expected: list[str]) -> None:
    assert tools.crane_lines(stdout) == expected


@pytest.mark.parametrize("output", outputs("crane"))
def test_crane_message_of_captured_output(output: dict[str, t.Any]) -> None:
    """A piece of the line that begins with Error; no line that crane prints on its way."""
    message = tools.crane_message(output["stderr"])
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
    assert tools.crane_message(stderr) == expected


@pytest.mark.parametrize("output", outputs("skopeo"))
def test_skopeo_message_of_captured_output(output: dict[str, t.Any]) -> None:
    """The text of the one fatal line as Go's strconv.Unquote reads it: nothing around it, nothing left escaped."""
    _before, _found, quoted = output["stderr"].partition("level=fatal msg=")
    assert tools.skopeo_message(output["stderr"]) == json.loads(quoted)


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        pytest.param(
            'time="2026-11-23T12:00:00Z" level=warning msg="Failed, retrying in 2s ... (1/3)"\n'
            'time="2026-11-23T12:00:02Z" level=fatal msg="writing manifest: denied"\n',
            "writing manifest: denied",
            id="a warning before",
        ),
        pytest.param(
            'FATA[0002] initializing source docker-archive:/builds/a.tar: "x" \n',
            'initializing source docker-archive:/builds/a.tar: "x"',
            id="on a terminal",
        ),
        pytest.param(
            'level=fatal msg="getting username: 1 error occurred:\\n\\t* no helper\\n\\n"',
            "getting username: 1 error occurred:\n\t* no helper\n\n",
            id="several lines in one",
        ),
        pytest.param("unknown flag: --x\nusage", "usage", id="no fatal line"),
        pytest.param("  \n", "", id="blank"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_skopeo_message(stderr: str, expected: str) -> None:
    assert tools.skopeo_message(stderr) == expected


WARNING = "WARNING: Skipping tlog verification is an insecure practice that lacks transparency and auditability."
# Of cosign 3.1.2: a signature by another key in both formats, no signature, and a key that does not exist.
OTHER_BUNDLE = """\
Error: no matching attestations: failed to verify signature: could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1
failed to verify signature: could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1
error during command execution: no matching attestations: failed to verify signature: could not verify envelope
"""  # noqa: E501
UNSIGNED = "Error: no signatures found\nerror during command execution: no signatures found\n"
NO_KEY = "Error: loading verifier from key opts: loading public key: open none.pub: no such file or directory\n"


@pytest.mark.parametrize(
    ("stderr", "message", "refused"),
    [
        (OTHER_BUNDLE, "no matching attestations: failed to verify signature", True),
        (UNSIGNED, "no signatures found", True),
        (NO_KEY, "loading verifier from key opts", False),
        ("panic: nil\n", "panic: nil", False),
        ("", "", False),
    ],
)
def test_cosign_message(stderr: str, message: str, refused: bool) -> None:
    """Only what says something about the image refuses it."""
    assert tools.cosign_message(f"{WARNING}\n{stderr}" if stderr else "").startswith(message)
    assert tools.is_unsigned(stderr) is refused
