# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._image_info import compile_query, run
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry

HOST = "127.0.0.1:5000"


def params(**options: t.Any) -> dict[str, t.Any]:
    return {"images": [], "repositories": [], "catalog": False, "query": None, "parallel": 8, **options}


def test_a_tag(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    (image,) = run(registry, params(images=["demo/app:1"]))["images"]
    assert (image["digest"], image["exists"], image["platforms"], image["manifests"]) == (
        digest,
        True,
        ["linux/amd64"],
        [],
    )
    assert image["config"]["architecture"] == "amd64"
    assert image["manifest"]["layers"][0]["size"] == 1000


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


def test_an_index_whose_child_is_gone(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", None)
    fake.put_index("demo/app", "1", digest)
    del fake.manifests["demo/app"][digest]
    (image,) = run(registry, params(images=["demo/app:1"]))["images"]
    assert image["manifests"] == [{"platform": "linux/amd64", "digest": digest, "size": None, "manifest": None}]


def test_an_index_with_a_digest_that_is_none(registry: Registry, fake: t.Any) -> None:
    """It is the registry's fault, and that of no option."""
    fake.put_manifest("demo/app", "1", {"manifests": [{"digest": "sha512:abc"}]})
    with pytest.raises(ZotError, match=r"response of the registry is invalid: .* is not a valid digest") as raised:
        run(registry, params(images=["demo/app:1"]))
    assert raised.value.error_class == "tool_failed"


@pytest.mark.parametrize("there", [True, False], ids=["tag", "repository"])
def test_absent(registry: Registry, fake: t.Any, there: bool) -> None:
    if there:
        fake.put("demo/app", "2")
    (image,) = run(registry, params(images=["demo/app:1"]))["images"]
    assert (image["exists"], image["digest"], image["manifest"], image["config"]) == (False, None, None, None)


def test_the_order_is_kept_and_each_image_is_read_once(registry: Registry, fake: t.Any) -> None:
    digest = fake.put("demo/app", "1")
    images = run(registry, params(images=["demo/app:2", "demo/app:1", "demo/app:2"]))["images"]
    assert [image["digest"] for image in images] == [None, digest, None]
    assert sum(command[1] == "manifest" for command in fake.commands) == 2


def test_repositories(registry: Registry, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    assert run(registry, params(repositories=["demo/app", "demo/none"]))["repositories"] == [
        {"registry": HOST, "repository": "demo/app", "exists": True, "tags": ["1"]},
        {"registry": HOST, "repository": "demo/none", "exists": False, "tags": []},
    ]


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


def test_query(registry: Registry, fake: t.Any) -> None:
    fake.put("demo/app", "1")
    result = run(registry, params(images=["demo/app:1"], query="images[].config.os"))
    assert result["result"] == ["linux"]


def test_without_a_query_there_is_no_result(registry: Registry) -> None:
    assert run(registry, params()) == {"changed": False, "images": [], "repositories": []}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"query": "images["}, "is not a JMESPath expression", id="query"),
        pytest.param({"query": "nofunction(@)", "images": []}, "cannot be applied|is not a JMESPath", id="function"),
        pytest.param({"query": "[" * 5000}, "is not a JMESPath expression", id="deep query"),
        pytest.param({"images": ["Demo/app:1"]}, "not a valid repository", id="image"),
        pytest.param({"images": ["https://h.example/app"]}, "not a valid", id="address"),
        pytest.param({"repositories": ["demo/app:1"]}, "not a valid repository", id="repository"),
    ],
)
def test_options_that_cannot_be_used(registry: Registry, fake: t.Any, options: dict[str, t.Any], message: str) -> None:
    """No request is sent before."""
    with pytest.raises(ZotError, match=message) as raised:
        run(registry, params(**options))
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []


@pytest.mark.parametrize("parallel", [0, -1])
def test_parallel_below_one(registry: Registry, parallel: int) -> None:
    with pytest.raises(ZotError) as raised:
        run(registry, params(parallel=parallel))
    assert raised.value.error_class == "invalid_option"


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


@pytest.mark.parametrize("name", ["images", "repositories"])
def test_references_are_text(registry: Registry, fake: t.Any, name: str) -> None:
    """The number would be looked up as a repository, and not be found."""
    with pytest.raises(ZotError, match=rf"{name}\[0\] is the number 5349, not text: quote it"):
        run(registry, params(**{name: [5349]}))
    assert fake.commands == []
