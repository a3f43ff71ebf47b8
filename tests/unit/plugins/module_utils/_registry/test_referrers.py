# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.referrers import Referrer, all_referrers

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "dev.sigstore.bundle.predicateType"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


@pytest.mark.parametrize(
    ("artifact_type", "predicate", "kinds"),
    [
        (BUNDLE, "https://sigstore.dev/cosign/sign/v1", {"signature"}),
        (BUNDLE, None, {"signature"}),
        (BUNDLE, "https://slsa.dev/provenance/v1", {"attestation"}),
        (BUNDLE, "https://spdx.dev/Document", {"attestation", "sbom"}),
        (BUNDLE, "https://cyclonedx.org/bom", {"attestation", "sbom"}),
        ("application/vnd.cncf.notary.signature", None, {"signature"}),
        ("application/vnd.dev.cosign.artifact.sig.v1+json", None, {"signature"}),
        ("application/spdx+json", None, {"sbom"}),
        ("text/spdx", None, {"sbom"}),
        ("application/vnd.cyclonedx+json", None, {"sbom"}),
        ("application/vnd.syft+json", None, {"sbom"}),
        ("application/vnd.in-toto+json", None, {"attestation"}),
        ("application/vnd.example.signature", None, set()),
        (None, None, set()),
    ],
)
def test_kinds(artifact_type: str | None, predicate: str | None, kinds: set[str]) -> None:
    annotations = {PREDICATE: predicate} if predicate else {}
    assert Referrer(digest(0), digest(1), artifact_type, annotations=annotations).kinds == kinds


@pytest.mark.parametrize(("suffix", "kind"), [("sig", "signature"), ("att", "attestation"), ("sbom", "sbom")])
def test_kinds_of_tags(suffix: str, kind: str) -> None:
    assert Referrer(digest(0), digest(1), tag=f"sha256-{0:064x}.{suffix}").kinds == {kind}


def test_levels() -> None:
    """Each digest is requested once, also if two objects name it."""
    tree = {digest(0): [1, 2], digest(1): [3], digest(2): [3], digest(3): [0]}
    requested: list[str] = []

    def attached(subjects: t.Sequence[str]) -> list[Referrer]:
        requested.extend(subjects)
        return [Referrer(each, digest(number)) for each in subjects for number in tree.get(each, ())]

    found = all_referrers([digest(0)], attached)
    assert [each.digest for each in found] == [digest(number) for number in (1, 2, 3, 0)]
    assert requested == [digest(number) for number in (0, 1, 2, 3)]


def test_a_list_without_end() -> None:
    """A registry may invent something for each digest."""
    with pytest.raises(ZotError, match="more than 1000 objects"):
        all_referrers(
            [digest(0)], lambda subjects: [Referrer(each, f"sha256:{int(each[7:], 16) + 1:064x}") for each in subjects]
        )
