# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault of the network and of the registry, once and for longer than the retries, while images are published.

In every case the result is correct, the next run finishes the work, and no write is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from integration.support import Module, Tools
from reliability.support import Site, archive, require_correct_result, tags_in, tools_of

from environment.faults import Fault

Result = dict[str, Any]

# For the modules. skopeo and crane also retry in each run, and wait up to four seconds.
SHORT = {"retries": 1, "timeout": 12}

# The requests that a fault can hit.
PLACES = {
    "zot_push": {
        "lookup": "GET .*/manifests/",
        "start": "POST .*/blobs/",
        "blob": "PATCH .*/blobs/",
        "write": "PUT .*/manifests/1$",
        "additional": "PUT .*/manifests/latest$",
    },
    "zot_index": {
        "lookup": "GET .*/manifests/",
        "config": "GET .*/blobs/",
        "write": "PUT .*/manifests/1$",
        "additional": "PUT .*/manifests/latest$",
    },
    "zot_image_info": {"lookup": "GET .*/manifests/", "config": "GET .*/blobs/", "list": "GET .*/tags/list"},
    "zot_publish": {
        "lookup": "GET .*/manifests/",
        "blob": "PATCH .*/blobs/",
        "write": "PUT .*/manifests/upload-[0-9a-f]+-1-amd64$",
        "additional": "PUT .*/manifests/1$",
    },
}


@dataclass(frozen=True)
class Kind:
    """A fault, the requests that it hits, and the allowed error classes if it lasts longer than the retries, and if it
    occurs once; "finished" is success."""

    fault: Fault
    places: dict[str, str]
    lasting: set[str]
    once: set[str]


def _answer(status: int, **more: Any) -> Fault:
    return Fault("status", status=status, **more)


def _places(push: str, index: str, info: str, publish: str) -> dict[str, str]:
    return dict(zip(PLACES, (push, index, info, publish)))


WRITES = _places("write", "write", "lookup", "write")
LOOKUPS = _places("lookup", "lookup", "lookup", "lookup")
READS = _places("lookup", "lookup config", "lookup config", "lookup")
EVERYWHERE = _places(
    "lookup start blob write additional", "lookup config write additional", "lookup config list", "additional"
)
LATE = _places("blob additional", "lookup additional", "lookup config list", "additional")
DONE, DOWN, LIMITED, REFUSED = {"finished"}, {"unavailable"}, {"rate_limited"}, {"unauthorized"}
TOO_MANY_REQUESTS = "Too Many Requests"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="registry"'}

KINDS = {
    "429": Kind(_answer(429, body=TOO_MANY_REQUESTS), WRITES, LIMITED, DONE),
    "429 with Retry-After": Kind(
        _answer(429, body=TOO_MANY_REQUESTS, headers={"Retry-After": "1"}),
        _places("start additional", "additional", "lookup", "additional"),
        LIMITED,
        DONE,
    ),
    "500": Kind(_answer(500), WRITES, DOWN, DONE),
    "502": Kind(_answer(502), WRITES, DOWN, DONE),
    "503": Kind(_answer(503), EVERYWHERE, DOWN, DONE),
    "504": Kind(_answer(504), WRITES, DOWN, DONE),
    "401 in the middle (a token that expires)": Kind(_answer(401, headers=CHALLENGE), LATE, REFUSED, REFUSED | DONE),
    "reset in the middle of a blob": Kind(
        Fault("break-request", size=300_000), _places("blob", "", "", "blob"), DOWN, DONE
    ),
    "reset in the middle of an answer": Kind(Fault("break-answer", size=100), READS, DOWN, DONE),
    "stall": Kind(Fault("stall"), LATE, DOWN, DONE),
    "half an answer": Kind(Fault("half"), READS, DOWN, DONE),
    "slow answer": Kind(Fault("slow"), WRITES, DONE, DONE),
    "wrong digest in a manifest": Kind(Fault("corrupt"), READS, {"tool_failed"}, {"tool_failed"} | DONE),
    "wrong digest in a header": Kind(Fault("digest"), WRITES, DONE, DONE),
    "lost answer to a write": Kind(
        Fault("lost"), _places("write additional", "write additional", "", "additional"), DONE, DONE
    ),
    "expired certificate": Kind(Fault("certificate", body="expired"), LOOKUPS, {"tls"}, {"tls"} | DONE),
    "foreign certificate": Kind(Fault("certificate", body="foreign"), LOOKUPS, {"tls"}, {"tls"} | DONE),
    "redirect to another host": Kind(
        Fault("redirect"), WRITES, {"unauthorized", "tool_failed"}, {"unauthorized", "tool_failed"} | DONE
    ),
    "100 MB where a manifest was expected": Kind(Fault("huge"), READS, {"tool_failed"}, {"tool_failed"} | DONE),
}
CASES = [
    pytest.param(who, place, name, lasting, id=f"{who}, {place}, {name}, {'lasting' if lasting else 'once'}")
    for name, kind in KINDS.items()
    for who, places in kind.places.items()
    for place in places.split()
    for lasting in (False, True)
]


class Work:
    """What one of the four has to do: two architectures or one, to the tags 1 and latest."""

    def __init__(self, who: str, repository: str, directory: Path) -> None:
        self.who = who
        self.repository = repository
        self.archives = {
            each: str(archive(directory / f"{each}.tar", architecture=each, size=1_000_000))
            for each in ("amd64", "arm64")
        }

    def prepare(self, module: Module) -> None:
        """Push what must exist before: the members of an index, the images that are read."""
        members = {"zot_index": ["amd64", "arm64"], "zot_image_info": ["1"]}.get(self.who, [])
        for tag, path in zip(members, self.archives.values()):
            assert module("zot_push", archive=path, repository=self.repository, tags=[tag])["changed"]

    def run(self, module: Module, **more: Any) -> Result:
        """Do it, and give the result."""
        wanted: dict[str, Any] = {"repository": self.repository, "tags": ["1", "latest"]}
        if self.who == "zot_push":
            wanted["archive"] = self.archives["amd64"]
        elif self.who == "zot_index":
            wanted["manifests"] = ["amd64", "arm64"]
        elif self.who == "zot_publish":
            images = [{"repository": self.repository, "archives": self.archives}]
            wanted = {"revision": "1", "images": images}
        else:
            wanted = {"images": [f"{self.repository}:1"], "repositories": [self.repository]}
        return module(self.who, **{**SHORT, **more, **wanted})


@pytest.mark.parametrize(("who", "place", "name", "lasting"), CASES)
def test_fault(site: Site, who: str, place: str, name: str, lasting: bool, tmp_path: Path) -> None:
    """The run ends as expected, with a right result; the next run does the rest of the work, and nothing else."""
    registry, repository, proxy, module, through = site.registry, site.repository, site.proxy, site.module, site.through
    kind = KINDS[name]
    work = Work(who, repository, tmp_path)
    work.prepare(module)
    before = tags_in(registry, repository)

    proxy.set(replace(kind.fault, where=PLACES[who][place], times=None if lasting else 1))
    result = work.run(through, **({"timeout": 3} if name == "stall" else {}))
    recorded = proxy.recorded_requests()
    proxy.set()

    ended = result["error_class"] if result["failed"] else "finished"
    assert recorded, "no request met the fault"
    assert ended in (kind.lasting if lasting else kind.once), result
    between = tags_in(registry, repository)
    require_correct_result(result, before, between)
    assert not tools_of(proxy.host)
    # A redirected request had no credentials.
    assert not [each for each in recorded if each.what == "elsewhere" and each.credentials]

    start = len(registry.requests())
    again = work.run(through)
    assert again["failed"] is False, again
    after = tags_in(registry, repository)
    assert after.keys() >= ({"1"} if who == "zot_image_info" else {"1", "latest"})
    assert again["changed"] == (after != between)
    written = {request.path.rpartition("/")[2] for request in registry.requests()[start:] if request.method == "PUT"}
    assert not {tag for tag, digest in between.items() if after[tag] == digest} & written
    if not again["changed"]:
        return
    start = len(registry.requests())
    assert work.run(through)["changed"] is False
    assert not [request for request in registry.requests()[start:] if request.method not in ("GET", "HEAD")]


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("place", ["write", "additional"])
@pytest.mark.parametrize("who", ["zot_push", "zot_index"])
def test_lost_answer_where_no_tag_may_move(site: Site, who: str, place: str, lasting: bool, tmp_path: Path) -> None:
    """crane repeats the write, and the registry denies it. The tag exists nevertheless."""
    registry, repository, proxy, module, through = site.registry, site.repository, site.proxy, site.module, site.through
    repository = f"immutable/{repository}"
    work = Work(who, repository, tmp_path)
    work.prepare(module)
    before, start = tags_in(registry, repository), len(registry.requests())
    proxy.set(Fault("lost", PLACES[who][place], times=None if lasting else 1))
    result = work.run(through)
    assert proxy.recorded_requests()
    proxy.set()
    assert (result["failed"], result["changed"]) == (False, True), result
    require_correct_result(result, before, tags_in(registry, repository))
    wrote = [each for each in registry.requests()[start:] if each.method == "PUT" and "/manifests/" in each.path]
    assert sorted(each.path.rpartition("/")[2] for each in wrote if each.status < 300) == ["1", "latest"]
    assert work.run(through)["changed"] is False


@pytest.mark.parametrize("place", ["GET .*/manifests/", "GET .*/blobs/", "PUT .*/manifests/", "POST .*/blobs/"])
def test_credentials_do_not_follow_a_redirect(site: Site, place: str, tools: Tools, tmp_path: Path) -> None:
    """With every version of the tools."""
    proxy, through, repository = site.proxy, site.through, site.repository
    path = str(archive(tmp_path / "1.tar"))
    options = {"archive": path, "repository": repository, "tags": ["1"], **tools.options()}
    if place.startswith("GET"):
        assert through("zot_push", **options)["changed"]
    proxy.set(Fault("redirect", place))
    if place.startswith("GET"):
        through("zot_image_info", images=[f"{repository}:1"], **tools.options())
    else:
        through("zot_push", **options)
    requests = proxy.recorded_requests()
    assert [each for each in requests if each.what == "redirect"]
    assert not [each for each in requests if each.what == "elsewhere" and each.credentials]


def test_registry_redirects_a_blob_to_another_host(site: Site, tmp_path: Path) -> None:
    """skopeo 1.9.3 sends the credentials to that host; other versions may not. The error is right in both cases."""
    proxy, through, repository = site.proxy, site.through, site.repository
    proxy.set(Fault("redirect", "POST .*/blobs/", status=202))
    path = str(archive(tmp_path / "1.tar"))
    result = through("zot_push", archive=path, repository=repository, tags=["1"])
    elsewhere = [each for each in proxy.recorded_requests() if each.what == "elsewhere"]
    proxy.set()
    assert elsewhere
    assert result["failed"] is True
    assert result["tags"][0]["digest"] is None
    assert through("zot_push", archive=path, repository=repository, tags=["1"])["changed"] is True
