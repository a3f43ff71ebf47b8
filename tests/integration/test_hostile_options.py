# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""References and options that are none: refused before a tool starts, by the grammar of the distribution project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from integration.support import Module

from environment.images import Images

DIGEST = f"sha256:{'0' * 64}"
# No part of a reference anywhere. The unit tests have all that the grammar refuses.
TEXTS = (
    "--help",
    "a b",
    "a\n",
    "\0",
    "../a",
    "https://a/b:1",
    "$(id)",
    "\x1b[31m",
    "\u202eppa",
    f"a@{DIGEST}@{DIGEST}",
)
# By option: the module, and what it is given beside that option.
PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "registry": ("zot_push", {"repository": "a/b", "tags": ["1"]}),
    "repository": ("zot_push", {"tags": ["1"]}),
    "tags": ("zot_push", {"repository": "a/b"}),
    "keep_previous": ("zot_push", {"repository": "a/b", "tags": ["1"]}),
    "platform": ("zot_push", {"repository": "a/b", "tags": ["1"]}),
    "source": ("zot_tag", {"repository": "a/b", "tags": ["1"]}),
    "manifests": ("zot_index", {"repository": "a/b", "tags": ["1"]}),
    "platforms": ("zot_index", {"repository": "a/b", "tags": ["1"], "manifests": ["a"]}),
    "images": ("zot_image_info", {}),
    "repositories": ("zot_image_info", {}),
}
LISTS = ("tags", "manifests", "platforms", "images", "repositories")

# Further options: what is given, the class of the error, and words of the message.
PUSH: dict[str, Any] = {"repository": "a/b", "tags": ["1"]}
READ: dict[str, Any] = {"images": ["a/b:1"]}
OTHERS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "archive with a zero": ("zot_push", {**PUSH, "archive": "a\0b"}, "archive_invalid", "cannot be read"),
    "archive with escapes": ("zot_push", {**PUSH, "archive": "\x1b[2J\nok"}, "archive_invalid", r"\x1b[2J ok cannot"),
    "archive that is an option": ("zot_push", {**PUSH, "archive": "--help"}, "archive_invalid", "cannot be read"),
    "archive that is a device": ("zot_push", {**PUSH, "archive": "/dev/null"}, "archive_invalid", "is a device"),
    "archive_image with escapes": ("zot_push", {**PUSH, "archive_image": "\x1b[2J"}, "archive_invalid", r"\x1b[2J"),
    "ca_path with a zero": ("zot_image_info", {"ca_path": "a\0b"}, "invalid_option", "cannot be read"),
    "ca_path of a device": ("zot_image_info", {"ca_path": "/proc/self/mem"}, "invalid_option", "cannot be read"),
    "skopeo_path with a zero": ("zot_push", {**PUSH, "crane_path": "a\0b"}, "tool_missing", "is not a program"),
    "crane_path that is an option": (
        "zot_image_info",
        {**READ, "crane_path": "--help"},
        "tool_missing",
        "is not a program",
    ),
    "crane_path with arguments": (
        "zot_image_info",
        {**READ, "crane_path": "sh -c id"},
        "tool_missing",
        "is not a program",
    ),
    "query that is deep": ("zot_image_info", {"query": "[" * 5000}, "invalid_option", "not a JMESPath expression"),
}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A program in place of both tools, which leaves a trace when it is started: `marker.is_file()` is then true."""
    program = tmp_path / "tool"
    program.write_text('#!/bin/sh\ntouch "$0.started"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("option", PLACES)
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:24]))
def test_text_that_is_no_reference(option: str, text: str, marker: Path, images: Images, module: Module) -> None:
    """In every option that takes a reference or a part of one."""
    name, options = PLACES[option]
    if name == "zot_push":
        options = {"archive": str(images["buildah-amd64"]), **options}
    _refused(
        module(name, **_tools(marker), **{**options, option: [text] if option in LISTS else text}),
        "invalid_option",
        marker,
    )


@pytest.mark.parametrize("case", OTHERS)
def test_other_option(case: str, marker: Path, images: Images, module: Module) -> None:
    """Paths, choices and queries."""
    name, options, error_class, expected = OTHERS[case]
    if name == "zot_push":
        options = {"archive": str(images["buildah-amd64"]), **options}
    _refused(module(name, **{**_tools(marker), **options}), error_class, marker, expected)


def _tools(marker: Path) -> dict[str, str]:
    return {"skopeo_path": str(marker), "crane_path": str(marker)}


def _refused(result: dict[str, Any], error_class: str, marker: Path, expected: str = "") -> None:
    # From Python 3.12 on, Ansible itself refuses a zero when it logs the options.
    if "embedded null character" in result["msg"]:
        assert (result["failed"], "error_class" in result) == (True, False), result
    else:
        assert (result["failed"], result["error_class"], result["retryable"]) == (True, error_class, False), result
        assert expected in result["msg"]
        assert result["hint"]
    assert result["msg"].isprintable()
    # crane reads the tags while the archive is read.
    assert error_class == "archive_invalid" or not marker.with_name("tool.started").exists()
