# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.plugin_utils import _job_report

DIGEST = f"sha256:{'a' * 64}"
PUBLISHED: dict[str, t.Any] = {
    "ok": True,
    "changed": True,
    "registry": "oci.example.com",
    "revision": "3f2c1ab",
    "images": [
        {
            "reference": "oci.example.com/team/app:3f2c1ab",
            "digest": DIGEST,
            "pinned": f"oci.example.com/team/app@{DIGEST}",
            "platforms": ["linux/amd64", "linux/arm64"],
            "labels": {"one": "two"},
        }
    ],
    "written": ["oci.example.com/team/app:3f2c1ab"],
    "problems": [],
}


def test_a_publish_in_markdown() -> None:
    assert _job_report.as_markdown({"zot_publish_report": PUBLISHED}).splitlines() == [
        "## Publish: ok",
        "",
        "|  |  |",
        "| --- | --- |",
        "| registry | oci.example.com |",
        "| revision | 3f2c1ab |",
        "",
        "### Images",
        "",
        "| reference | digest | platforms |",
        "| --- | --- | --- |",
        f"| oci.example.com/team/app:3f2c1ab | {DIGEST} | linux/amd64<br>linux/arm64 |",
        "",
    ]


def test_a_failure_names_the_host_and_its_problems() -> None:
    report = {"ok": False, "problems": ["the tag is missing", "1. denied"], "workloads": []}
    text = _job_report.as_markdown({"zot_rollout_report": report}, host="canary")
    assert text.startswith("## Rollout on canary: failed\n")
    assert "| Problems |\n| --- |\n| the tag is missing |\n| 1. denied |\n" in text
    assert "Workloads" not in text


@pytest.mark.parametrize(
    ("hostile", "escaped"),
    [
        ("<script>alert(1)</script>", r"\<script\>alert\(1\)\</script\>"),
        ("a | b", r"a \| b"),
        ("`code` **bold** _it_ ~no~", r"\`code\` \*\*bold\*\* \_it\_ \~no\~"),
        ("![x](https://evil.example/p.png)", r"\!\[x\]\(https\://evil.example/p.png\)"),
        ("line\n# heading", r"line \# heading"),
        ("www.evil.example me@evil.example", r"www\.evil.example me\@evil.example"),
        ("&lt; \\ $x$", r"\&lt; \\ \$x\$"),
        ("\x1b[2J\r\u202e", r"\\x1b\[2J\\r\\u202e"),
    ],
)
def test_hostile_text_is_no_markup(hostile: str, escaped: str) -> None:
    """In every place that shows text: facts, problems, cells, keys and names."""
    report = {
        "ok": False,
        "registry": hostile,
        hostile: hostile,
        "problems": [hostile],
        "images": [{"reference": hostile, "platforms": [hostile]}],
        "others": [{hostile: hostile}],
    }
    text = _job_report.as_markdown({"zot_publish_report": report, hostile: {hostile: [{"x": hostile}]}}, host=hostile)
    assert hostile not in text.replace(escaped, "")
    assert text.lower().count(escaped.lower()) >= 8


def test_a_long_report_fits_into_a_summary() -> None:
    """GitHub takes at most 1 MiB."""
    report = {"ok": True, "images": [{"reference": "x" * 5000}] * 1000, "problems": ["y"] * 1000}
    text = _job_report.as_markdown({"zot_report": report})
    assert len(text) < 2**19
    assert text.count("800 more rows are in the JSON report.") == 2


def test_the_tags_that_a_prune_has_removed() -> None:
    undo = [{"repository": "team/app", "source": DIGEST, "tags": ["3f2c1ab", "3f2c1ab-amd64"]}]
    text = _job_report.as_markdown({"zot_prune_report": {"ok": True, "undo": undo}})
    assert f"| repository | source | tags |\n| --- | --- | --- |\n| team/app | {DIGEST} |" in text
    assert "| 3f2c1ab<br>3f2c1ab-amd64 |" in text


def test_json_has_everything() -> None:
    assert json.loads(_job_report.as_json({"zot_publish_report": PUBLISHED})) == {"zot_publish_report": PUBLISHED}


def test_variables_of_the_next_job() -> None:
    other = {"images": [{"pinned": f"localhost:5000/b@{DIGEST}"}, *PUBLISHED["images"], {"pinned": None}]}
    reports = {"zot_publish_report": PUBLISHED, "zot_copy_report": other}
    first, second = f"oci.example.com/team/app@{DIGEST}", f"localhost:5000/b@{DIGEST}"
    assert _job_report.variables(reports) == {
        "image": first,
        "images": f'["{first}","{second}"]',
        "revision": "3f2c1ab",
    }
    assert _job_report.as_dotenv(reports) == f'IMAGE={first}\nIMAGES=["{first}","{second}"]\nREVISION=3f2c1ab\n'


def test_a_failed_job_names_no_image() -> None:
    """The images are published, but no cluster runs them."""
    reports = {"zot_publish_report": PUBLISHED, "zot_release_report": {"ok": False}}
    assert _job_report.variables(reports) == {"revision": "3f2c1ab"}
    assert _job_report.pinned_images(reports) == []


@pytest.mark.parametrize(
    "pinned", [f"a\nPATH=/tmp\nb@{DIGEST}", f"a@{DIGEST}\n", f"a$(id)@{DIGEST}", "app:latest", "a@sha256:abc", 1]
)
def test_no_line_can_be_added_to_the_variables(pinned: t.Any) -> None:
    reports = {"zot_publish_report": {"images": [{"pinned": pinned}], "revision": "a\nPATH=/tmp"}}
    assert _job_report.variables(reports) == {}
    assert _job_report.as_dotenv(reports) == ""
