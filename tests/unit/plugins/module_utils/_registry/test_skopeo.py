# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import skopeo

OUTPUTS: list[dict[str, t.Any]] = [
    output
    for output in json.loads((Path(__file__).parents[3] / "captured.json").read_text(encoding="utf-8"))["outputs"]
    if output["tools"][0].startswith("skopeo")
]


def copy(**changes: t.Any) -> list[str]:
    options: dict[str, t.Any] = {
        "archive": "/builds/app.tar",
        "index": None,
        "destination": "h/demo/app:1",
        "authfile": "/private/config.json",
        "digestfile": "/private/digest",
        "tmpdir": "/private",
        "policy": None,
        "verify_tls": True,
    }
    return skopeo.copy("/usr/bin/skopeo", **{**options, **changes})


def test_copy() -> None:
    assert copy() == [
        "/usr/bin/skopeo",
        "--tmpdir=/private",
        "copy",
        "--quiet",
        "--format=oci",
        "--authfile=/private/config.json",
        "--digestfile=/private/digest",
        "docker-archive:/builds/app.tar",
        "docker://h/demo/app:1",
    ]


def test_copy_of_one_image_of_several() -> None:
    assert copy(index=0)[-2] == "docker-archive:/builds/app.tar:@0"


def test_copy_with_a_policy_of_ours() -> None:
    """A global option: skopeo takes it only before the command."""
    command = copy(policy="/private/policy.json")
    assert command.index("--policy=/private/policy.json") < command.index("copy")


def test_copy_without_verification() -> None:
    assert "--dest-tls-verify=false" in copy(verify_tls=False)


@pytest.mark.parametrize(
    "output", [pytest.param(each, id=f"{each['scenario']}-{each['tools'][0]}-{n}") for n, each in enumerate(OUTPUTS)]
)
def test_message_of_captured_output(output: dict[str, t.Any]) -> None:
    """The text of the one fatal line as Go's strconv.Unquote reads it: nothing around it, nothing left escaped."""
    _before, _found, quoted = output["stderr"].partition("level=fatal msg=")
    assert skopeo.message(output["stderr"]) == json.loads(quoted)


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
def test_message(stderr: str, expected: str) -> None:
    assert skopeo.message(stderr) == expected
