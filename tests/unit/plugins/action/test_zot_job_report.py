# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.killinit.zot.plugins.action import zot_job_report

PINNED = f"oci.example.com/app@sha256:{'b' * 64}"
REPORT = {"ok": True, "revision": "r1", "images": [{"reference": "oci.example.com/app:r1", "pinned": PINNED}]}
Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)

    def run(hosts: tuple[str, ...] = ("localhost",), **options: t.Any) -> dict[str, t.Any]:
        task = mock.Mock(args={"reports": {"zot_publish_report": REPORT}, **options}, async_val=0, check_mode=False)
        action = zot_job_report.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
        result: dict[str, t.Any] = action.run(
            task_vars={"inventory_hostname": hosts[0], "ansible_play_hosts_all": list(hosts)}
        )
        return result

    return run


def test_without_a_path_only_the_stats_are_set(run: Run) -> None:
    assert run() == {
        "changed": False,
        "paths": [],
        "image": PINNED,
        "images": [PINNED],
        "ansible_stats": {"data": {"zot_publish_report": REPORT}, "per_host": False, "aggregate": False},
    }


def test_a_report_that_does_not_exist_is_left_out(run: Run) -> None:
    result = run(reports={"zot_publish_report": REPORT, "zot_verify_report": None, "zot_rollout_report": ""})
    assert result["ansible_stats"]["data"] == {"zot_publish_report": REPORT}


def test_the_extension_selects_the_format(run: Run, tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("report.json", "report.md", "report.env")]
    # Extra vars and AWX pass a list as text.
    for given in (paths, ",".join(paths), ", ".join(paths) + " ,"):
        assert run(paths=given)["paths"] == paths
    assert json.loads((tmp_path / "report.json").read_text()) == {"zot_publish_report": REPORT}
    assert (tmp_path / "report.md").read_text().startswith("## Publish: ok\n")
    assert (tmp_path / "report.env").read_text().startswith(f"IMAGE={PINNED}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.env", "report.json", "report.md"]


def test_others_may_read_the_file_as_the_umask_allows(run: Run, tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        run(path=str(tmp_path / "report.json"))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o640


def test_a_relative_path_starts_where_the_command_was_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(path="report.json")["paths"] == [str(tmp_path / "report.json")]


def test_each_of_several_hosts_has_its_own_file(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "report.md")
    assert run(("canary", "eu"), path=path)["paths"] == [str(tmp_path / "report-canary.md")]
    assert run(("../eu", "canary"), path=path)["paths"] == [str(tmp_path / "report-.._eu.md")]
    assert "Publish on canary" in (tmp_path / "report-canary.md").read_text()
    assert "Publish on" in (tmp_path / "report-.._eu.md").read_text()


def test_a_report_that_is_no_dictionary_is_an_error(run: Run) -> None:
    with pytest.raises(AnsibleActionFail, match="zot_publish_report is not a dictionary"):
        run(reports={"zot_publish_report": "text"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("report.html", "has no known extension: use .json, .md, .env"),
        ("missing/report.json", "cannot be written on the controller: No such file or directory"),
        ("directory.json", "cannot be written on the controller: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """The other files are written, and the output contains the reports: Ansible sets no stats if a task fails."""
    (tmp_path / "directory.json").mkdir()
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    paths = [str(tmp_path / name), str(tmp_path / "report.md")]
    result = run(paths=paths)
    assert (result["failed"], result["ansible_stats"]["data"]) == (True, {"zot_publish_report": REPORT})
    assert result["msg"].startswith(f"The report {paths[0]} {message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory.json", "output", "report.md"]


def test_a_job_that_fails_early_leaves_no_image_of_an_earlier_job(run: Run, tmp_path: Path) -> None:
    (tmp_path / "report.env").write_text(f"IMAGE={PINNED}\n")
    (tmp_path / "report.json").write_text("before")
    paths = [str(tmp_path / name) for name in ("report.env", "report.json")]
    assert run(paths=paths, reports=None)["paths"] == paths
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_without_reports_the_files_are_only_checked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    (tmp_path / "report.md").write_text("before")
    paths = [str(tmp_path / name) for name in ("report.json", "report.md")]
    assert run(paths=paths, reports=None) == {"changed": False, "paths": paths}
    assert run(reports=None) == {"changed": False, "paths": []}
    wrong = [str(tmp_path / "report.html"), str(tmp_path / "missing" / "report.json"), *paths]
    result = run(paths=wrong, reports=None)
    assert result["failed"] is True
    assert [line.split()[2] for line in result["msg"].splitlines()] == wrong[:2]
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "before"


def test_a_disk_that_is_full(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of the run before remains, and no temporary file."""
    (tmp_path / "report.json").write_text("before")
    monkeypatch.setattr(os, "replace", mock.Mock(side_effect=OSError(28, "No space left on device")))
    result = run(path=str(tmp_path / "report.json"))
    assert "No space left on device" in result["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_github_actions(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files are appended to: they belong to the whole step."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        (tmp_path / name).write_text("before\n")
        monkeypatch.setenv(name, str(tmp_path / name))
    run()
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f'before\nimage={PINNED}\nimages=["{PINNED}"]\nrevision=r1\n'
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text().startswith("before\n## Publish: ok\n")


def test_a_file_of_github_that_cannot_be_written_is_a_warning(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images are published: a missing summary must not make the job red."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "missing" / "output"))
    assert run()["warnings"] == [
        f"GITHUB_OUTPUT names {tmp_path}/missing/output, which cannot be written: No such file or directory."
    ]
