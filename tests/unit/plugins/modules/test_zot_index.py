# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.modules import zot_index
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys

HOST = "127.0.0.1:5000"


@pytest.fixture(autouse=True)
def members(fake: t.Any, docker_config: t.Any) -> dict[str, str]:
    fake.put("demo/app", "amd64")
    fake.put("demo/app", "arm64", docker_config(architecture="arm64"))
    return dict(fake.tags["demo/app"])


@pytest.fixture
def options() -> dict[str, t.Any]:
    return {"repository": "demo/app", "tags": ["1", "latest"], "manifests": ["amd64", "arm64"]}


@pytest.fixture
def run(run_module: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """Run the module; its result has the keys that are documented."""

    def run(**options: t.Any) -> dict[str, t.Any]:
        result: dict[str, t.Any] = run_module(zot_index.main, **options)
        assert wrong_keys(zot_index.RETURN, {key: value for key, value in result.items() if key != "diff"}) == []
        return result

    return run


def test_changed_and_then_unchanged(run: t.Any, fake: t.Any, members: dict[str, str], options: t.Any) -> None:
    planned, first = run(check=True, **options), run(**options)
    digest = fake.tags["demo/app"]["1"]
    for result, written in ((planned, None), (first, digest)):
        assert (result["changed"], result["registry"], result["image"]["digest"]) == (True, HOST, written)
        assert [(tag["tag"], tag["changed"], tag["digest"]) for tag in result["tags"]] == [
            ("1", True, written),
            ("latest", True, written),
        ]
        reference, platforms = f"{HOST}/demo/app:1", ["linux/amd64", "linux/arm64"]
        after = {"reference": reference, "digest": written or "(known after the push)", "platforms": platforms}
        assert result["diff"][0] == {
            "before_header": reference,
            "after_header": reference,
            "before": {"reference": reference, "digest": None, "platforms": []},
            "after": after,
        }
        assert [each["digest"] for each in result["manifests"]] == [members["amd64"], members["arm64"]]
    writes = list(fake.writes)
    again = run(**options)
    assert (again["changed"], again["diff"], again["image"]) == (False, [], first["image"])
    assert fake.writes == writes


def test_failure(run: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    result = run(**{**options, "manifests": ["amd64", "arm46"]})
    message = f"cannot write the index: {HOST}/demo/app:arm46 does not exist"
    assert result["msg"].startswith(f"{message}; nothing was written. Push the missing images first. ")
    assert (result["failed"], result["changed"], result["error_class"]) == (True, False, "not_found")
    error = {"error_class": "not_found", "retryable": False, "msg": message}
    assert [(tag["changed"], tag["error"]) for tag in result["tags"]] == [(False, error), (False, error)]
    assert (result["image"]["exists"], fake.writes) == (False, [])


def test_failure_after_the_previous_image_was_kept(run: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    before = fake.put("demo/app", "1")
    fake.fail("append", "demo/app:1", "immutable-tag", tool="crane 0.22.1")
    result = run(**{**options, "tags": ["1"], "keep_previous": "{tag}-previous"})
    assert fake.tags["demo/app"]["1-previous"] == fake.tags["demo/app"]["1"] == before
    (of_tag,) = result["tags"]
    assert (result["error_class"], result["changed"], of_tag["changed"]) == ("denied", True, False)
    assert of_tag["previous_tag"] == f"{HOST}/demo/app:1-previous"


def test_check_mode_with_a_missing_member(run: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    """It would have been pushed, and the user sees which one that is."""
    result = run(check=True, **{**options, "manifests": ["amd64", "s390x"]})
    assert [f"{HOST}/demo/app:s390x does not exist yet" in warning for warning in result["warnings"]] == [True]
    assert (result["changed"], fake.writes) == (True, [])


def test_images(run: t.Any, fake: t.Any, options: dict[str, t.Any]) -> None:
    fake.put("demo/tool", "amd64")
    tool = {"repository": "demo/tool", "tag": ["1"], "manifests": "amd64", "platforms": "linux/amd64, "}
    result = run(images=[options, tool], parallel=2)
    assert [image["reference"] for image in result["images"]] == [f"{HOST}/demo/app:1", f"{HOST}/demo/tool:1"]
    assert [tag["changed"] for tag in result["tags"]] == [True] * 3
    assert "image" not in result
    assert "manifests" not in result


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"repository": None}, "one of the following is required: repository, images"),
        ({"tags": None}, "missing parameter(s) required by 'repository': tags"),
        ({"manifests": None}, "missing parameter(s) required by 'repository': manifests"),
        ({"images": [{"repository": "a", "tags": ["1"], "manifests": ["2"]}]}, "parameters are mutually exclusive"),
        ({"images": [{"repository": "a", "tags": ["1"]}], "repository": None}, "missing required arguments: manifests"),
        ({"repository": 83}, "repository is the number 83, not text: quote it"),
        ({"keep_previous": 5349}, "keep_previous is the number 5349, not text: quote it"),
        ({"images": [], "repository": None}, "images is empty: list at least one image"),
    ],
)
def test_required(run: t.Any, fake: t.Any, options: dict[str, t.Any], given: dict[str, t.Any], message: str) -> None:
    if "images" in given and "repository" in given:
        options = {}
    assert message in run(**{**options, **given})["msg"]
    assert fake.commands == []
