# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import sys
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._image_info import compile_query, run
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.modules import zot_image_info

HOST = "127.0.0.1:5000"


def params(**options: t.Any) -> dict[str, t.Any]:
    return {"images": [], "repositories": [], "catalog": False, "query": None, "parallel": 8, **options}


def test_a_digest(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    (image,) = run(registry, params(images=[f"{HOST}/demo/app@{digest}"]))["images"]
    assert (image["tag"], image["pinned"]) == (None, f"{HOST}/demo/app@{digest}")


def test_an_index(registry: Registry, fake: t.Any, docker_config: t.Any) -> None:
    amd64, arm64 = fake.put("demo/app", "a"), fake.put("demo/app", "b", docker_config(architecture="arm64"))
    fake.put_index("demo/app", "1", amd64, arm64)
    (image,) = run(registry, params(images=["demo/app:1"]))["images"]
    assert image["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [(each["platform"], each["digest"]) for each in image["manifests"]] == [
        ("linux/amd64", amd64),
        ("linux/arm64", arm64),
    ]
    assert image["size"] == sum(each["size"] for each in image["manifests"])
    assert image["manifests"][0]["manifest"]["layers"]


def test_an_index_that_lost_a_member_does_not_exist(registry: Registry, fake: t.Any) -> None:
    """Two tags refer to it. Each of its members is read once."""
    digest, other = fake.put("demo/app", None), fake.put("demo/app", "other", salt="other")
    index = fake.put_index("demo/app", "1", digest, other)
    fake.put_index("demo/app", "latest", digest, other)
    del fake.manifests["demo/app"][digest]
    references = [f"demo/app:{tag}" for tag in ("1", "latest", "other", "none")]
    images = run(registry, params(images=references))["images"]
    assert [(each["digest"], each["exists"], each["whole"], each["missing"]) for each in images] == [
        *[(index, False, False, [digest])] * 2,
        (other, True, True, []),
        (None, False, None, []),
    ]
    assert images[0]["manifests"][0] == {
        "platform": "linux/amd64",
        "digest": digest,
        "size": None,
        "manifest": None,
    }
    assert sum(f"@{digest}" in command[-1] for command in fake.commands) == 1


def test_upload_tags_are_not_listed(registry: Registry, fake: t.Any) -> None:
    for tag in ("upload-0123456789ab-1", "1"):
        fake.put("demo/app", tag)
    assert run(registry, params(repositories=["demo/app"]))["repositories"][0]["tags"] == ["1"]


def test_an_index_with_a_digest_that_is_none(registry: Registry, fake: t.Any) -> None:
    """It is the registry's fault, and that of no option."""
    fake.put_manifest("demo/app", "1", {"manifests": [{"digest": "sha512:abc"}]})
    with pytest.raises(ZotError, match=r"response of the registry is invalid: .* is not a valid digest") as raised:
        run(registry, params(images=["demo/app:1"]))
    assert raised.value.error_class == "tool_failed"


def test_the_order_is_kept_and_each_image_is_read_once(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    images = run(registry, params(images=["demo/app:2", "demo/app:1", "demo/app:2"]))["images"]
    assert [image["digest"] for image in images] == [None, digest, None]
    assert sum(command[1] == "manifest" for command in fake.commands) == 2


@pytest.mark.parametrize("scenario", ["bad-password", "status-503", "unknown-authority", "rate-limit"])
def test_an_error_is_not_absence(registry: Registry, fake: t.Any, scenario: str) -> None:
    fake.fail("manifest", "demo/app:1", scenario, times=99)
    with pytest.raises(ZotError, match="cannot read"):
        run(registry, params(images=["demo/app:1"]))


def test_catalog(registry: Registry, fake: t.Any) -> None:
    for repository in ("demo/web", "demo/app"):
        fake.put(repository, "1")
    assert run(registry, params(catalog=True))["catalog"] == ["demo/app", "demo/web"]
    assert "catalog" not in run(registry, params())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"query": "images["}, "is not a JMESPath expression", id="query"),
        pytest.param({"query": "nofunction(@)", "images": []}, "cannot be applied|is not a JMESPath", id="function"),
        pytest.param({"query": "[" * 5000}, "is not a JMESPath expression", id="deep query"),
        pytest.param({"parallel": 0}, "parallel is 0, but must be at least 1", id="parallel"),
        pytest.param({"images": ["Demo/app:1"]}, "not a valid repository", id="image"),
        pytest.param({"images": ["https://h.example/app"]}, "not a valid", id="address"),
        pytest.param({"images": [5349]}, r"images\[0\] is the number 5349, not text: quote it", id="number"),
        pytest.param({"repositories": [5349]}, r"repositories\[0\] is the number 5349, not text", id="number of two"),
        pytest.param({"repositories": ["demo/app:1"]}, "not a valid repository", id="repository"),
    ],
)
def test_options_that_cannot_be_used(registry: Registry, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    """No request is sent before."""
    with pytest.raises(ZotError, match=message) as raised:
        run(registry, params(**options))
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


@pytest.mark.parametrize("expression", ["length(changed)", "[]" * 500, "images[::0]"], ids=["kind", "depth", "step"])
def test_a_query_that_does_not_fit_the_result(expression: str) -> None:
    query = compile_query(expression)
    with pytest.raises(ZotError, match="cannot be applied to the result") as raised:
        query({"changed": False, "images": [1]})
    assert raised.value.error_class == "invalid_option"


def test_no_jmespath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(ZotError, match="jmespath is required") as raised:
        compile_query("images")
    assert raised.value.error_class == "tool_missing"


@pytest.mark.parametrize("check", [False, True])
def test_result(run_module: t.Any, fake: t.Any, check: bool) -> None:
    digest = fake.put("demo/app", "1")
    manifest = json.loads(fake.manifests["demo/app"][digest])
    config = json.loads(fake.blobs[manifest["config"]["digest"]])
    result = run_module(
        zot_image_info.main, check=check, images=["demo/app:1"], repositories=["demo/app"], query="images[0].tag"
    )
    assert result == {
        "registry": HOST,
        "changed": False,
        "images": [
            {
                "reference": f"{HOST}/demo/app:1",
                "registry": HOST,
                "repository": "demo/app",
                "tag": "1",
                "digest": digest,
                "pinned": f"{HOST}/demo/app@{digest}",
                "media_type": "application/vnd.oci.image.manifest.v1+json",
                "platforms": ["linux/amd64"],
                "size": 1000 + manifest["config"]["size"],
                "created": "2026-11-23T10:00:00.5Z",
                "labels": {"org.example.first": "one", "org.example.second": "two"},
                "exists": True,
                "whole": True,
                "missing": [],
                "manifest": manifest,
                "config": config,
                "manifests": [],
            }
        ],
        "repositories": [{"registry": HOST, "repository": "demo/app", "exists": True, "tags": ["1"]}],
        "result": "1",
    }
    assert fake.writes == []


def test_lists_of_a_command_line_are_text(run_module: t.Any) -> None:
    result = run_module(zot_image_info.main, images="demo/app:1 , demo/app", repositories="demo/app, demo/other")
    assert [image["tag"] for image in result["images"]] == ["1", "latest"]
    assert [(image["exists"], image["manifest"], image["config"]) for image in result["images"]] == [
        (False, None, None)
    ] * 2
    assert [(each["repository"], each["exists"], each["tags"]) for each in result["repositories"]] == [
        ("demo/app", False, []),
        ("demo/other", False, []),
    ]
    assert "failed" not in result
    assert result.keys() == {"registry", "changed", "images", "repositories"}


def test_failure(run_module: t.Any, fake: t.Any) -> None:
    fake.fail("manifest", "demo/app:1", "bad-password", times=9)
    result = run_module(zot_image_info.main, images=["demo/app:1"])
    assert (result["failed"], result["error_class"], result["retryable"], result["rc"]) == (
        True,
        "unauthorized",
        False,
        1,
    )
    assert result["cmd"][1:] == ["manifest", f"{HOST}/demo/app:1"]
    assert "user 'ci' from zot_username (variable) or username (option)" in result["msg"]


def test_no_registry_is_needed_for_whole_references(run_module: t.Any) -> None:
    options = {"registry": None, "username": None, "password": None}
    result = run_module(zot_image_info.main, images=[f"{HOST}/demo/app:1"], **options)
    assert result["images"][0]["registry"] == HOST
