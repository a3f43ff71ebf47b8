# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook promote copies, by variables as a person, a file or AWX gives them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.killinit.zot.plugins.plugin_utils._promotion import promotion, shared_tags

APP = {"repository": "app", "source_repository": "staging/app"}


def plan(images: Any, **variables: Any) -> dict[str, Any]:
    names = ("tags", "overwrite", "keep_previous", "source_registry")
    return promotion(images=images, revision="r1", **{**dict.fromkeys(names), **variables})


@pytest.mark.parametrize("given", [[APP], '[{"repository": "app", "source_repository": "staging/app"}]'])
def test_the_defaults(given: Any) -> None:
    (copied,) = plan(given)["copies"]
    assert copied == {
        **APP,
        "tags": ["r1"],
        "digests": [],
        "shared_tags": ["latest"],
        "overwrite": False,
        "keep_previous": "{tag}-previous",
    }


def test_an_image_by_its_digest() -> None:
    found = promotion(
        images=[{**APP, "digest": "sha256:1", "tags": ["stable"]}],
        revision=None,
        source_registry="oci.example",
        tags=[],
        overwrite="true",
        keep_previous="",
    )
    (copied,) = found["copies"]
    assert (copied["tags"], copied["digests"], copied["shared_tags"]) == ([], ["sha256:1"], ["stable"])
    assert (copied["overwrite"], copied["keep_previous"], found["problems"]) == (True, "", [])


@pytest.mark.parametrize(
    ("images", "variables", "problem"),
    [
        pytest.param([], {}, "zot_promote_images is empty", id="empty"),
        pytest.param(None, {}, "zot_promote_images is empty", id="not set"),
        pytest.param("[", {}, "zot_promote_images is not YAML", id="not YAML"),
        pytest.param(["app"], {}, "is not a list of dictionaries", id="texts"),
        pytest.param([{**APP, "tag": "x"}], {}, "has the unknown keys tag", id="unknown key"),
        pytest.param([{"repository": "app"}], {}, "Set zot_promote_source_registry, or", id="the same"),
        pytest.param([APP], {"revision": 12}, "zot_promote_revision is the number 12, not text", id="number"),
        pytest.param([APP], {"revision": ""}, "Set zot_promote_revision, or the digest", id="no revision"),
    ],
)
def test_variables_that_cannot_be_used(images: Any, variables: dict[str, Any], problem: str) -> None:
    given = {"revision": "r1", "source_registry": None, "tags": None, "overwrite": None, "keep_previous": None}
    (found,) = [each for each in promotion(images=images, **{**given, **variables})["problems"] if problem in each]
    assert found


def test_each_shared_tag_that_moves_or_stays() -> None:
    tags = [{"tag": name, "reference": f"app:{name}"} for name in ("r1", "latest", "stable")]
    image = {"digest": "sha256:2", "tag": "r1", "tags": tags}
    rows = shared_tags([image], [{"reference": "app:latest", "from": "sha256:1"}], "r1")
    assert [(each["reference"], each["from"], each["to"]) for each in rows] == [
        ("app:latest", "sha256:1", "sha256:2"),
        ("app:stable", "sha256:2", "sha256:2"),
    ]
