# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of a search extension that is broken, foreign or hostile. tests/integration has those of Zot."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http
from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import (
    PROGRESS_FILE,
    Scan,
    ScanProgress,
    read_scan,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, open_task
from ansible_collections.killinit.zot.tests.unit.web_server import Reply, running

pytest.importorskip("requests")

PACKAGE = {"Name": "musl", "InstalledVersion": "1.0", "FixedVersion": "Not Specified"}
ENTRY = {
    "Id": "CVE-2026-0001",
    "Title": "a title",
    "Severity": "HIGH",
    "Reference": "https://example.org",
    "PackageList": [PACKAGE],
}


def answer(*entries: t.Any, **summary: t.Any) -> dict[str, t.Any]:
    """The answer of Zot with these entries."""
    found = {"Summary": {"MaxSeverity": "HIGH", "Count": len(entries), **summary}, "CVEList": list(entries)}
    return {"data": {"CVEListForImage": found}}


def read(directory: Path, reply: Reply | t.Mapping[str, t.Any]) -> Scan:
    """What is read from this answer."""
    sent = reply if isinstance(reply, Reply) else Reply(json.dumps(reply).encode())
    with running(lambda _request: sent) as server, open_task(str(directory)) as task:
        options = Options(server.host, username="ci", password="s3cret", timeout=20, retries=0)
        reference = Reference(server.host, "demo/app", None, f"sha256:{'a' * 64}")
        return read_scan(Http(task.session(options)), reference)


def test_the_form_of_an_answer(tmp_path: Path, tools: Path) -> None:
    """Otherwise the other tests here would show nothing."""
    assert tools.is_dir()
    scan = read(tmp_path, answer(ENTRY))
    assert (scan.reason, len(scan.findings), scan.findings[0].fixed) == (None, 1, None)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="no data"),
        pytest.param({"data": None}, id="null"),
        pytest.param({"data": {"CVEListForImage": None}}, id="null result"),
        pytest.param({"data": {"CVEListForImage": [1]}}, id="list"),
        pytest.param({"errors": "broken"}, id="errors are text"),
        pytest.param({"errors": [{"message": ["a"]}]}, id="message is a list"),
        pytest.param({"errors": [{"message": None}]}, id="message is null"),
        pytest.param(answer(ENTRY, Count=2), id="shortened"),
        pytest.param(answer(Count=3), id="counted, not listed"),
        pytest.param(answer("CVE-1"), id="entry is text"),
        pytest.param(answer({**ENTRY, "Id": 7}), id="id is a number"),
        pytest.param(answer({**ENTRY, "Severity": None}), id="no severity"),
        pytest.param(answer({**ENTRY, "Severity": "HARMLESS"}), id="another severity"),
        pytest.param(answer({**ENTRY, "PackageList": [{"Name": {}}]}), id="package"),
        pytest.param(answer({**ENTRY, "PackageList": 5}), id="packages are a number"),
        pytest.param(answer(MaxSeverity=""), id="not scanned"),
        pytest.param(answer(MaxSeverity=None), id="worst severity is null"),
        pytest.param(answer(MaxSeverity="FINE"), id="another worst severity"),
        pytest.param(
            {"data": {"CVEListForImage": {"Summary": {"MaxSeverity": "NONE", "Count": 0}, "CVEList": {}}}},
            id="list is an object",
        ),
        pytest.param(Reply(b"<html>", 200, {"Content-Type": "text/html"}), id="HTML"),
        pytest.param(Reply(b"[" * 100_000), id="deep"),
        pytest.param(Reply(b"404 page not found", 404), id="no extension"),
        pytest.param(Reply(b"{}", 400), id="unknown query"),
        pytest.param(Reply(b"{}", 403), id="denied"),
    ],
)
def test_an_answer_that_is_none_is_unknown(tmp_path: Path, document: t.Any) -> None:
    scan = read(tmp_path, document)
    assert scan.findings == ()
    assert scan.reason
    assert len(scan.reason) < 400
    assert scan.reason.isprintable()


@pytest.mark.usefixtures("tools")
def test_a_huge_answer(tmp_path: Path) -> None:
    pieces = (b" " * (1 << 20) for _number in range(1 << 20))
    assert "longer than 32 MiB" in (read(tmp_path, Reply(pieces)).reason or "")


@pytest.mark.usefixtures("tools")
def test_hostile_texts(tmp_path: Path) -> None:
    """They are data: printable, and short."""
    hostile = {"Title": "\x1b[2J<script>\n" * 100, "Id": "CVE-1\r", "Reference": "javascript:alert(1)\x00"}
    package = {"Name": "a\tb" * 1000, "InstalledVersion": "", "FixedVersion": ""}
    (finding,) = read(tmp_path, answer({**ENTRY, **hostile, "PackageList": [package]})).findings
    texts = [each for each in finding if each is not None]
    assert all(each.isprintable() for each in texts)
    assert max(map(len, texts)) < 1000


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("status", "error_class"), [(401, "unauthorized"), (503, "unavailable"), (429, "rate_limited")]
)
def test_an_outage_is_an_error(tmp_path: Path, status: int, error_class: str) -> None:
    with pytest.raises(ZotError) as raised:
        read(tmp_path, Reply(b"{}", status))
    assert raised.value.error_class == error_class


def progress_files() -> list[Path]:
    return [each for each in Path("/proc/self/fd").iterdir() if PROGRESS_FILE in str(each.resolve())]


@pytest.mark.skipif(sys.platform != "linux", reason="no such file on this system")
def test_each_step_can_be_read() -> None:
    before = progress_files()
    progress = ScanProgress("oci.example", 2)
    (file,) = set(progress_files()) - set(before)
    for step, text in (
        (lambda: progress.waits("no database"), "oci.example: 0 of 2 images are scanned (no database)"),
        (lambda: progress.waits(None), "oci.example: 0 of 2 images are scanned"),
        (progress.scanned, "oci.example: 1 of 2 images are scanned"),
    ):
        step()
        assert file.read_text() == text
    progress.close()
    progress.scanned()
    assert progress_files() == before
