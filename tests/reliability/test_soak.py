# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Five hundred publishes of changing images, among random faults. Each tag ends as its last result reported.

ZOT_TEST_SOAK is another number of publishes, and ZOT_TEST_SEED repeats a run: the output of pytest begins with its
seed.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from reliability.support import Site, archive, require_correct_result, tags_in

from environment.faults import Fault

PUBLISHES = int(os.environ.get("ZOT_TEST_SOAK", "500"))
SECONDS = PUBLISHES  # several times the duration on two cores
AT_ONCE = 20
IMAGES = 12
TAGS = 60
PLACES = ("", "GET .*/manifests/", "GET .*/blobs/", "(POST|PATCH) .*/blobs/", "PUT .*/blobs/", "PUT .*/manifests/")
FAULTS = (
    *(Fault("status", status=status) for status in (401, 429, 500, 502, 503, 504)),
    *(Fault(what) for what in ("lost", "half", "slow")),
    *(Fault(what, size=100) for what in ("break-request", "break-answer")),
)


def test_soak(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twenty at a time, as a release of so many images is."""
    registry, repository, proxy, module, through = site.registry, site.repository, site.proxy, site.module, site.through
    # Other tests cover the waiting times.
    monkeypatch.setattr("ansible_collections.killinit.zot.plugins.module_utils._registry.runner._FIRST_WAIT", 0.05)
    chance = random.Random(os.environ["ZOT_TEST_SEED"])
    archives = [str(archive(tmp_path / f"{number}.tar")) for number in range(IMAGES)]
    reported: dict[str, str] = {}  # by the last result without an error for the tag
    unsure: set[str] = set()
    deadline = time.monotonic() + SECONDS
    published = hit = 0
    while published < PUBLISHES:
        assert time.monotonic() < deadline, f"{published} publishes in {SECONDS} seconds"
        wanted = {f"t{tag}": chance.choice(archives) for tag in chance.sample(range(TAGS), AT_ONCE)}
        fault = chance.choice(FAULTS)
        proxy.set(
            Fault(
                fault.what,
                chance.choice(PLACES),
                after=chance.randrange(15),
                times=chance.choice((1, 3, 10, 30, 100)),
                status=fault.status,
                size=fault.size,
            )
        )
        before = tags_in(registry, repository)
        result = through(
            "zot_push",
            images=[{"archive": path, "repository": repository, "tags": [tag]} for tag, path in wanted.items()],
            parallel=8,
            retries=2,
            timeout=60,
        )
        published += AT_ONCE
        hit += bool(proxy.recorded_requests())
        after = tags_in(registry, repository)
        require_correct_result(result, before, after)
        for tag in result["tags"]:
            name = tag["reference"].rpartition(":")[2]
            # An error before the first write stops all images, and a new tag then has no digest.
            if tag["error"] or tag["digest"] is None:
                unsure.add(name)
            else:
                reported[name] = tag["digest"]
                unsure.discard(name)
        assert all(after[tag] == digest for tag, digest in reported.items() if tag not in unsure)
    proxy.set()
    assert hit > published / AT_ONCE / 4, "hardly a fault met a request"
    # One more run finishes the failed pushes.
    images = [{"archive": archives[0], "repository": repository, "tags": [tag]} for tag in sorted(unsure)]
    if images:
        last = module("zot_push", images=images)
        assert last["failed"] is False, last
        reported |= {tag["reference"].rpartition(":")[2]: tag["digest"] for tag in last["tags"]}
    assert tags_in(registry, repository) == reported
