# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import skopeo_message
from ansible_collections.killinit.zot.plugins.module_utils._registry import errors
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, classify
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import crane_message

OUTPUTS: list[dict[str, t.Any]] = json.loads((Path(__file__).parents[3] / "captured.json").read_text(encoding="utf-8"))[
    "outputs"
]


def outputs(*, fooling: bool) -> list[t.Any]:
    """A parameter for each captured output."""
    return [
        pytest.param(
            output,
            id=f"{output['scenario']}-{output['tools'][0]}-{' '.join(output['command'].split()[1:3])[:40]}-{number}",
        )
        for number, output in enumerate(OUTPUTS)
        if output["scenario"].startswith("fooling") is fooling
    ]


def message(output: dict[str, t.Any]) -> str:
    """What the runner finds in it, and has classified."""
    of_tool = skopeo_message if output["tools"][0].startswith("skopeo") else crane_message
    return of_tool(output["stderr"])


@pytest.mark.parametrize("output", outputs(fooling=False))
def test_class_of_what_the_tools_print(output: dict[str, t.Any]) -> None:
    assert classify(message(output), names=output["names"]) == output["error_class"]


@pytest.mark.parametrize("output", outputs(fooling=True))
def test_names_do_not_fool(output: dict[str, t.Any]) -> None:
    """Tags and repositories are called MANIFEST_UNKNOWN, 429, denied, 401, x509, quota, unauthorized."""
    assert classify(message(output), names=output["names"]) == output["error_class"]


def test_a_connection_that_broke_in_the_middle_of_a_blob() -> None:
    """skopeo 1.9.3, after the registry has reset it."""
    text = 'writing blob: Patch "https://h/v2/a/blobs/uploads/1": use of closed network connection'
    assert classify(text, names=["h/a:1"]) == "unavailable"


def test_a_layer_that_another_client_pushes_at_the_same_time() -> None:
    """skopeo 1.9.3 and CNCF Distribution 2.8.2, whose link to the layer is empty for a moment."""
    text = (
        "writing manifest: uploading manifest 1 to h/a: errors: digest invalid manifest blob unknown: blob unknown to"
        " registry"
    )
    assert classify(text, names=["h/a:1", "h/a"]) == "unavailable"


def test_a_layer_that_is_damaged() -> None:
    """skopeo 1.9.3, which compares the layer with its digest while it sends it."""
    text = (
        'writing blob: Patch "https://h/v2/a/blobs/uploads/1": happened during read: Digest did not match, expected'
        " sha256:7dfe08025b3a, got sha256:f9dfaa354ea6"
    )
    assert classify(text, names=["h/a:1"]) == "archive_invalid"


@pytest.mark.parametrize(
    "text",
    ['unknown command "index" for "crane"', "unknown flag: --digestfile", "flag provided but not defined: -digestfile"],
)
def test_a_tool_that_is_too_old(text: str) -> None:
    assert classify(text) == "tool_missing"


# The word stands where only the name is: without the names the answer would be the wrong one.
@pytest.mark.parametrize(
    ("name", "stderr", "expected"),
    [
        pytest.param(
            "h/manifest-unknown:MANIFEST_UNKNOWN",
            "Error: fetching manifest h/manifest-unknown:MANIFEST_UNKNOWN: connection refused",
            "unavailable",
            id="tag before a colon",
        ),
        pytest.param(
            "h/denied:denied",
            'Error: reading image "h/denied:denied": no such host',
            "unavailable",
            id="in quotation marks",
        ),
        pytest.param("h/x509", "reading tags for h/x509: dial: i/o timeout", "unavailable", id="repository"),
        pytest.param("h/x509", 'Get "https://h/v2/x509:": connection reset', "unavailable", id="in an address"),
    ],
)
def test_a_name_is_left_out(name: str, stderr: str, expected: str) -> None:
    assert classify(stderr, names=[name]) == expected


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        pytest.param('Get "https://h/v2/": net/http: TLS handshake timeout', "unavailable", id="TLS handshake timeout"),
        pytest.param('Get "https://h/v2/": dial tcp 192.0.2.1:443: i/o timeout', "unavailable", id="i/o timeout"),
        pytest.param("something quite new", "tool_failed", id="unknown"),
        pytest.param("", "tool_failed", id="nothing"),
        pytest.param("write /tmp/x: no space left on device", "tool_failed", id="disk full"),
    ],
)
def test_class_of_what_could_not_be_captured(stderr: str, expected: str) -> None:
    assert classify(stderr) == expected


@pytest.mark.parametrize("error_class", ["rate_limited", "unavailable"])
def test_worth_a_retry(error_class: str) -> None:
    assert ZotError(error_class, "m").retryable


@pytest.mark.parametrize("error_class", sorted(set(errors._HINTS) - {"rate_limited", "unavailable"}))
def test_not_worth_a_retry(error_class: str) -> None:
    assert not ZotError(error_class, "m").retryable


@pytest.mark.parametrize(
    ("stderr", "seconds"),
    [
        pytest.param("429 Too Many Requests, Retry-After: 7", 7, id="as a header"),
        pytest.param('retry after "30" seconds', 30, id="in words"),
        pytest.param("retrying GET https://h/v2/", None, id="only retrying"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_retry_after(stderr: str, seconds: int | None) -> None:
    assert ZotError("rate_limited", "m", stderr=stderr).retry_after == seconds


def test_for_ansible_has_every_documented_key() -> None:
    error = ZotError(
        "denied",
        "cannot push.",
        hint="Ask.",
        detail="DENIED: no\n",
        command=["crane", "tag"],
        rc=1,
        stderr="DENIED: no",
        result={"changed": True},
    )
    assert error.for_ansible() == {
        "msg": "cannot push. Ask. (crane: DENIED: no)",
        "error_class": "denied",
        "retryable": False,
        "hint": "Ask.",
        "cmd": ["crane", "tag"],
        "rc": 1,
        "changed": True,
    }


@pytest.mark.parametrize(
    "text",
    [
        "reading blob sha256:ca19: file does not exist",
        'reading blob sha256:ca19: Error reading tar archive component "layer.tar": not a regular file',
    ],
)
def test_a_layer_that_is_no_file_is_the_archives_fault(text: str) -> None:
    assert classify(text) == "archive_invalid"


def test_nothing_that_a_terminal_obeys_leaves() -> None:
    """Text of a registry must neither control the terminal nor imitate a line of Ansible."""
    text = "DENIED: \x1b[2J\x9b31m\u202e\ud800\x00\nok: [localhost]\t"
    found = ZotError("denied", text, hint=text, detail=text).for_ansible()
    escaped = r"DENIED: \x1b[2J\x9b31m\u202e\ud800\x00"
    assert found["msg"] == f"{escaped} ok: [localhost]. {found['hint']} (the registry: {escaped} ok: [localhost])"
    assert found["hint"].startswith(f"{escaped} ok: [localhost] ")


# Zot sends a list, except for wrong credentials.
@pytest.mark.parametrize("form", ['{"errors":[%s]}', "%s"], ids=["list", "object"])
def test_the_document_of_the_registry_is_left_out(form: str) -> None:
    document = form % '{"code":"UNAUTHORIZED","message":"authentication required","detail":{"description":"no"}}'
    found = ZotError("unauthorized", "m", hint="h", command=["/bin/crane"], detail=f"GET x: status 401: {document}")
    assert found.for_ansible()["msg"] == "m. h (crane: GET x: status 401)"
    unknown = ZotError("tool_failed", "m", hint="h", detail=document)
    assert document in unknown.for_ansible()["msg"]


@pytest.mark.parametrize(("error_class", "longest"), [("denied", 300), ("tool_failed", 2100)])
def test_the_words_of_the_registry_are_short_and_last(error_class: str, longest: int) -> None:
    """What is not known has no other remedy than its words."""
    text = f"begin {'x' * 5000}\n end"
    found = ZotError(error_class, "cannot push", hint="Ask.", detail=text, stderr=text).for_ansible()
    assert found["msg"].startswith("cannot push. Ask. (the registry: begin xx")
    assert found["msg"].endswith("xx end)")
    assert len(found["msg"]) < longest
    assert "stderr" not in found


def test_a_hint_may_be_empty() -> None:
    assert ZotError("denied", "m", hint="").hint == ""


def test_every_class_of_an_output_has_a_hint() -> None:
    assert {output["error_class"] for output in OUTPUTS} <= set(errors._HINTS)


def test_captured_outputs_name_no_machine() -> None:
    text = json.dumps(OUTPUTS)
    addresses = set(re.findall(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", text))
    assert addresses <= {"127.0.0.1", "192.0.2.53"}
    assert not re.search(r"/(?:tmp|root|home|work)/", text)


@pytest.mark.parametrize(
    "stderr", ['StatusCode: 413, "<html>', "unexpected status code 413 Request Entity Too Large", "status: 413"]
)
def test_a_body_that_a_proxy_refuses(stderr: str) -> None:
    assert "client_max_body_size" in ZotError(classify(stderr), "cannot push", stderr=stderr).hint
    assert "client_max_body_size" not in ZotError("tool_failed", "cannot push demo:413", stderr="demo:413").hint
