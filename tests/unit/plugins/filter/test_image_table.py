# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.filter.image_table import FilterModule

image_table = FilterModule().filters()["image_table"]


def image(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "repository": "demo/app",
        "tag": "1",
        "digest": "sha256:0123456789abcdef",
        "platforms": ["linux/amd64"],
        "size": 1024,
        **changes,
    }


def test_table() -> None:
    images = [
        image(),
        image(repository="demo/longer", tag=None, platforms=["linux/amd64", "linux/arm64"]),
        image(digest=None, platforms=[], size=None),
        image(digest=None, size=None, changed=True),
        image(digest=None, size=None, error={"error_class": "unauthorized"}),
        image(missing=["sha256:ba9876543210"]),
    ]
    assert image_table(images) == [
        "REPOSITORY   TAG  DIGEST        PLATFORMS                 SIZE",
        "demo/app     1    0123456789ab  linux/amd64               1.0 KiB",
        "demo/longer  -    0123456789ab  linux/amd64, linux/arm64  1.0 KiB",
        "demo/app     1    absent        -                         -",
        "demo/app     1    new           linux/amd64               -",
        "demo/app     1    unknown       linux/amd64               -",
        "demo/app     1    not whole     linux/amd64               1.0 KiB",
    ]


def test_an_empty_table_is_its_heading() -> None:
    assert image_table([]) == ["REPOSITORY  TAG  DIGEST  PLATFORMS  SIZE"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (1024**3, "1.0 GiB"),
        (5 * 1024**4, "5120.0 GiB"),
    ],
)
def test_size(size: int, expected: str) -> None:
    assert image_table([image(size=size)])[1].endswith(f"  {expected}")
