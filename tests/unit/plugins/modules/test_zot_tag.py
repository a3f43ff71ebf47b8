# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
import threading
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry import runner
from ansible_collections.killinit.zot.plugins.modules import zot_tag
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys

HOST = "127.0.0.1:5000"


@pytest.fixture(autouse=True)
def digests(fake: t.Any, docker_config: t.Any) -> dict[str, str]:
    fake.put("demo/app", "latest")
    fake.put("demo/app", "r1", docker_config(architecture="arm64"))
    return dict(fake.tags["demo/app"])


@pytest.fixture
def run(run_module: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """Run the module; its result has the keys that are documented."""

    def run(**options: t.Any) -> dict[str, t.Any]:
        result: dict[str, t.Any] = run_module(zot_tag.main, **options)
        assert wrong_keys(zot_tag.RETURN, {key: value for key, value in result.items() if key != "diff"}) == []
        return result

    return run


def test_changed_and_then_unchanged(run: t.Any, fake: t.Any, digests: dict[str, str]) -> None:
    options = {"repository": "demo/app", "source": "r1", "tag": "latest"}
    first = run(**options)
    assert [(each["from"], each["to"]) for each in first["moved"]] == [(digests["latest"], digests["r1"])]
    reference = f"{HOST}/demo/app:latest"
    assert first["diff"] == [
        {
            "before_header": reference,
            "after_header": reference,
            "before": {"reference": reference, "digest": digests["latest"], "platforms": ["linux/amd64"]},
            "after": {"reference": reference, "digest": digests["r1"], "platforms": ["linux/arm64"]},
        }
    ]
    assert (first["changed"], first["registry"], first["image"]["digest"]) == (True, HOST, digests["r1"])
    again = run(**options)
    assert (again["changed"], again["moved"], again["diff"]) == (False, [], [])
    assert len(fake.writes) == 1


def test_check_mode(run: t.Any, fake: t.Any, digests: dict[str, str]) -> None:
    result = run(check=True, images=[{"repository": "demo/app", "source": "r1", "tags": ["latest", "x"]}])
    assert [each["from"] for each in result["moved"]] == [digests["latest"], None]
    assert (result["changed"], result["images"][0]["digest"], fake.writes) == (True, digests["r1"], [])


def test_absent(run: t.Any, fake: t.Any) -> None:
    result = run(repository="demo/app", tags=["latest"], state="absent")
    assert (result["changed"], result["image"]["exists"], list(fake.tags["demo/app"])) == (True, False, ["r1"])


@pytest.mark.parametrize("blocked", [False, True], ids=["the threads end", "a thread is blocked"])
def test_a_signal(
    run: t.Any,
    fake: t.Any,
    digests: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    blocked: bool,
) -> None:
    """The tags that moved, and the tag that is being written, are listed. So they can be moved back."""
    real = fake._do_tag
    printed: list[dict[str, t.Any]] = []
    given_up = threading.Event()

    def tag(*arguments: str) -> bytes:
        output: bytes = real(*arguments)
        if arguments[1] == "stable":
            os.kill(os.getpid(), signal.SIGTERM)
            if blocked:
                assert given_up.wait(10)
        return output

    def exit_process(_status: int) -> None:
        printed.append(json.loads(capsys.readouterr().out))
        given_up.set()

    monkeypatch.setattr(fake, "_do_tag", tag)
    monkeypatch.setattr(os, "_exit", exit_process)
    # That of pytest warns of SystemExit, which fail_json raises in a thread here.
    monkeypatch.setattr(threading, "excepthook", lambda _arguments: None)
    monkeypatch.setattr(runner, "_LONGEST_CLEAN_UP", 0.1 if blocked else 60)
    printed.append(run(repository="demo/app", source="r1", tags=["latest", "stable"], keep_previous="{tag}-previous"))
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
    assert len(printed) == 1 + blocked
    for result in printed:
        assert result["msg"].startswith("the task was interrupted by signal 15")
        assert [(each["tag"], each["from"]) for each in result["moved"]] == [
            ("latest", digests["latest"]),
            ("stable", None),
            ("latest-previous", None),
        ]


def test_failure_after_the_previous_image_was_kept(run: t.Any, fake: t.Any) -> None:
    fake.fail("tag", "demo/app:latest", "immutable-tag", times=9)
    result = run(repository="demo/app", source="r1", tags=["latest"], keep_previous="{tag}-previous")
    (of_tag,) = result["tags"]
    assert (result["error_class"], result["changed"], of_tag["changed"]) == ("denied", True, False)
    assert of_tag["previous_tag"] == f"{HOST}/demo/app:latest-previous"
    assert [each["tag"] for each in result["moved"]] == ["latest-previous"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "r1", "tags": ["1"]}, "one of the following is required: repository, images"),
        ({"repository": "a", "source": "r1"}, "missing parameter(s) required by 'repository': tags"),
        ({"repository": "a", "images": [{"repository": "a", "tags": ["1"]}]}, "parameters are mutually exclusive"),
        ({"images": [{"repository": "a"}]}, "missing required arguments: tags"),
        ({"images": []}, "images is empty"),
        ({"repository": 83, "source": "r1", "tags": ["1"]}, "repository is the number 83, not text: quote it"),
        (
            {"repository": "a", "source": "r1", "tags": ["1"], "keep_previous": 1.1},
            "keep_previous is the number 1.1, not text: quote it",
        ),
        ({"repository": "a", "tags": ["1"]}, "source is missing"),
    ],
)
def test_required(run: t.Any, fake: t.Any, given: dict[str, t.Any], message: str) -> None:
    assert message in run(**given)["msg"]
    assert fake.commands == []
