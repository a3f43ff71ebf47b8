# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image, Manifest
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._tag.move import Outcome, report

ONE, TWO = Reference("h.example", "demo/app", "1"), Reference("h.example", "demo/app", "2")


def image(reference: Reference, digit: str) -> Image:
    manifest = Manifest(f"sha256:{digit * 64}", "application/vnd.oci.image.manifest.v1+json", {}, size=5)
    return Image(reference, manifest, {"os": "linux", "architecture": "amd64"})


def test_only_what_changed_is_in_the_diff() -> None:
    outcome = Outcome([ONE, TWO])
    with outcome.catch():
        outcome.found(image(ONE, "a"), settled=True)
        outcome.found(image(TWO, "a"), settled=False)
        outcome.wrote(image(TWO, "b"))
    (diff,) = report([outcome], single=True)["diff"]
    assert (diff["before"]["digest"], diff["after"]["digest"]) == (f"sha256:{'a' * 64}", f"sha256:{'b' * 64}")


def test_the_order_of_the_tags_is_that_of_the_references() -> None:
    outcome = Outcome([TWO, ONE])
    with outcome.catch():
        outcome.wrote(image(ONE, "a"))
        outcome.wrote(image(TWO, "a"))
    assert [tag["reference"] for tag in report([outcome], single=True)["tags"]] == [str(TWO), str(ONE)]


def test_an_error_is_that_of_the_tags_that_are_not_settled() -> None:
    outcome = Outcome([ONE, TWO])
    with outcome.catch():
        outcome.found(image(ONE, "a"), settled=True)
        raise ZotError("denied", "no")
    assert [tag.error is not None for tag in outcome.tags] == [False, True]


def test_an_error_is_not_lost_if_all_tags_are_settled() -> None:
    outcome = Outcome([ONE])
    with outcome.catch():
        outcome.found(image(ONE, "a"), settled=True)
        raise ZotError("denied", "no")
    assert outcome.failed


def test_another_exception_is_let_through() -> None:
    with pytest.raises(KeyError), Outcome([ONE]).catch():
        raise KeyError


def test_report_raises_with_the_result() -> None:
    outcome = Outcome([ONE])
    with outcome.catch():
        raise ZotError("denied", "no", rc=1, stderr="DENIED", command=["crane"], hint="Ask.")
    with pytest.raises(ZotError, match=r"^no$") as raised:
        report([outcome], single=True)
    error = raised.value
    assert (error.error_class, error.rc, error.stderr) == ("denied", 1, "DENIED")
    assert (error.command, error.hint) == (("crane",), "Ask.")
    assert error.result["image"]["exists"] is False
