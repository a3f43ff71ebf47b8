# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""While zot_push copies over a slow network, lines say how far it is; and only then."""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reliability.support import archive, tools_of, wait_until

from environment.registry import Registry
from environment.relay import slow

MB = 1024 * 1024
PLAY = """\
- name: Push slowly
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Push
      killinit.zot.zot_push:
        images: "{{ images }}"
      no_log: "{{ secret | default(false) | bool }}"
      register: pushed
    - name: Keep the result
      ansible.builtin.copy:
        content: "{{ pushed }}"
        dest: "{{ result }}"
        mode: "0600"
      check_mode: false
"""
LINE = re.compile(r"pushing: \[localhost\] => (\S+): ([0-9.]+) MB of ([0-9.]+) MB of layers")


@dataclass(frozen=True)
class Run:
    """What a playbook wrote, each line with the time at which it came, and the result of its push."""

    lines: list[tuple[float, str]]
    result: dict[str, Any]

    def progress(self) -> list[tuple[float, str, float, float]]:
        """Time, reference, megabytes done, megabytes in all."""
        found = [(at, LINE.fullmatch(line)) for at, line in self.lines]
        return [(at, match[1], float(match[2]), float(match[3])) for at, match in found if match]

    def task(self) -> tuple[float, float]:
        """When the push began and when it ended."""
        (began,) = (at for at, line in self.lines if line.startswith("TASK [Push]"))
        (ended,) = (at for at, line in self.lines if line.startswith("TASK [Keep the result]"))
        return began, ended


def push(environment: dict[str, str], images: list[dict[str, Any]], host: str, *options: str, **variables: Any) -> Run:
    """Run the playbook as a terminal or a job page would show it: without -v."""
    lines = []
    with playbook(environment, images, host, *options, **variables) as process:
        for line in process.stdout or ():
            lines.append((time.monotonic(), line.rstrip("\n")))
    assert process.returncode == 0, lines
    return Run(lines, json.loads(Path(environment["HOME"], "result.json").read_text()))


def playbook(
    environment: dict[str, str],
    images: list[dict[str, Any]],
    host: str,
    *options: str,
    stderr: int = subprocess.STDOUT,
    **variables: Any,
) -> subprocess.Popen[str]:
    """Start it; as on a terminal, both streams are one unless a test separates them."""
    home = Path(environment["HOME"])
    (home / "play.yml").write_text(PLAY)
    variables |= {"images": images, "result": str(home / "result.json")}
    command = ["ansible-playbook", "play.yml", "--extra-vars", json.dumps(variables), *options]
    return subprocess.Popen(
        command, env={**environment, "ZOT_REGISTRY": host}, cwd=home, text=True, stdout=subprocess.PIPE, stderr=stderr
    )


def test_lines_while_it_pushes(
    environment: dict[str, str], registry: Registry, repository: str, tmp_path: Path
) -> None:
    """They come before the end, name the image, and grow; the result is the one without them."""
    sizes = {"large": 28 * MB, "small": 24 * MB}
    images = [
        {"archive": str(archive(tmp_path / f"{name}.tar", size=sizes[name])), "repository": repository, "tag": name}
        for name in sizes
    ]
    with slow(registry.host, 2 * MB) as host:
        run = push(environment, images, host)
    began, ended = run.task()
    for name, tag in zip(sizes, run.result["tags"]):
        lines = [line for line in run.progress() if line[1] == f"{host}/{repository}:{name}"]
        assert len(lines) >= 2
        assert all(began < at < ended - 1 for at, *_rest in lines[:2])
        done = [line[2] for line in lines]
        assert done == sorted(done)
        assert done[0] < done[1] <= lines[0][3] == pytest.approx(sizes[name] / MB, abs=0.02)
        assert (tag["reference"], tag["changed"], tag["error"]) == (f"{host}/{repository}:{name}", True, None)

    elsewhere = [{**image, "repository": f"{repository}/elsewhere"} for image in images]
    without = push(environment, elsewhere, registry.host, zot_push_progress=False)
    assert without.result.keys() == run.result.keys()
    assert [image["digest"] for image in without.result["images"]] == [
        image["digest"] for image in run.result["images"]
    ]


@pytest.mark.parametrize("why", ["off", "no log", "check mode", "nothing to do"])
def test_silence(why: str, environment: dict[str, str], registry: Registry, repository: str, tmp_path: Path) -> None:
    """In tasks that take long enough for a line."""
    images = [{"archive": str(archive(tmp_path / "a.tar", size=16 * MB)), "repository": repository, "tags": ["1", "2"]}]
    if why == "nothing to do":
        # The tags of a single archive are read at the same time.
        images.append({**images[0], "tags": ["3"]})
        push(environment, images, registry.host)
    options = ["--check"] if why == "check mode" else []
    # As they come from the command line: texts.
    variables = {"off": {"zot_push_progress": "false"}, "no log": {"secret": "true"}}.get(why, {})
    with slow(registry.host, 2 * MB if variables else 500) as host:
        run = push(environment, images, host, *options, **variables)
    began, ended = run.task()
    assert ended - began > 6
    assert not [line for _at, line in run.lines if "pushing" in line]
    assert run.result["changed"] is (why != "nothing to do")


def test_the_end_of_a_task_ends_everything(
    environment: dict[str, str], registry: Registry, repository: str, tmp_path: Path
) -> None:
    """SIGTERM while lines are shown: no process and no file is left.

    The lines are on stderr alone: a callback plugin, as ansible.posix.json, may write JSON to stdout.
    """
    images = [{"archive": str(archive(tmp_path / "a.tar", size=48 * MB)), "repository": repository, "tag": "1"}]
    with slow(registry.host, 2 * MB) as host:
        with playbook(environment, images, host, stderr=subprocess.PIPE) as process:
            next(line for line in process.stderr or () if LINE.fullmatch(line.rstrip("\n")))
            assert tools_of(host)
            process.terminate()
            assert "pushing" not in (process.stdout or io.StringIO()).read()
        wait_until(lambda: not tools_of(host), "the end of the tools", 15)
    assert not list(tmp_path.rglob("zot-*"))
