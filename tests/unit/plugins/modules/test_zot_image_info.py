# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.modules import zot_image_info

HOST = "127.0.0.1:5000"


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
    assert [each["repository"] for each in result["repositories"]] == ["demo/app", "demo/other"]


def test_absent_is_no_failure(run_module: t.Any) -> None:
    result = run_module(zot_image_info.main, images=["demo/none:1"])
    assert (result["images"][0]["exists"], result.get("failed")) == (False, None)


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
