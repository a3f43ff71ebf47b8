# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret in process lists, outputs, logs, results, diffs, or files that are left behind."""

from __future__ import annotations

import base64
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from environment.images import Images
from environment.registry import Registry

PLAY = """\
- name: Everything that takes a secret
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Push
      killinit.zot.zot_push:
        archive: "{{ archive }}"
        repository: "{{ repository }}"
        tags: [a, b]
        force: true
      register: pushed
    - name: Join
      killinit.zot.zot_index:
        repository: "{{ repository }}"
        manifests: [a]
        tags: [i]
      register: joined
    - name: Look
      killinit.zot.zot_image_info:
        images: ["{{ repository }}:i"]
      register: there
    - name: Fail
      killinit.zot.zot_index:
        repository: "{{ repository }}"
        manifests: [none]
        tags: [i]
      register: failed
      ignore_errors: true
    - name: Show
      ansible.builtin.debug:
        msg: "{{ [pushed, joined, there, failed] | to_nice_json }}"
    - name: Publish
      ansible.builtin.include_role:
        name: killinit.zot.zot_publish
      vars:
        zot_publish_revision: r1
        zot_publish_images:
          - repository: "{{ repository }}"
            archive: "{{ archive }}"
"""


class ProcessList:
    """What every user of the machine can read of the processes, and what skopeo and crane have in their environment."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.tools = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def _sample(self) -> None:
        while not self._stop.wait(0.003):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    arguments = (process / "cmdline").read_bytes().decode(errors="replace")
                    self.seen.add(arguments)
                    program = Path(arguments.partition("\0")[0]).name
                    if program in ("skopeo", "crane"):
                        self.tools += 1
                        self.seen.add((process / "environ").read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    def __enter__(self) -> ProcessList:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()


def _forms(registry: Registry) -> list[str]:
    password = registry.writer.password
    pair = f"{registry.writer.username}:{password}"
    return [password, base64.b64encode(password.encode()).decode(), base64.b64encode(pair.encode()).decode()]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A place for temporary files; Ansible puts a socket into it, whose path may not be long."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("place", ["environment", "options", "authfile"])
def test_secret_is_nowhere(
    place: str,
    images: Images,
    registry: Registry,
    repository: str,
    environment: dict[str, str],
    playbook: Callable[..., CompletedProcess[str]],
    tmp_path: Path,
    short_path: Path,
) -> None:
    """At -vvv, with a log and a diff, with results printed, with an error among them."""
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    log = tmp_path / "ansible.log"
    environment |= {"ANSIBLE_LOG_PATH": str(log), "TMPDIR": str(short_path)}
    variables: dict[str, Any] = {"archive": str(images["gzip"]), "repository": repository}
    kept = tmp_path / "kept"
    kept.mkdir()
    if place != "environment":
        del environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"]
    if place == "options":
        account = {"username": registry.writer.username, "password": registry.writer.password}
        (tmp_path / "play.yml").write_text(
            PLAY.replace(
                "  tasks:", f"  module_defaults: {{group/killinit.zot.zot: {json.dumps(account)}}}\n  tasks:", 1
            )
        )
        variables |= {f"zot_{name}": value for name, value in account.items()}
    if place == "authfile":
        auth = {"auths": {registry.host: {"auth": _forms(registry)[2]}}}
        (kept / "config.json").write_text(json.dumps(auth))
        environment["ZOT_AUTHFILE"] = str(kept / "config.json")

    with ProcessList() as processes:
        run = playbook(play, "-vvv", "--diff", **variables)

    assert run.returncode == 0, run.stdout + run.stderr
    assert processes.tools > 0
    ours = {play, kept / "config.json", tmp_path / "variables.json"}
    left = [*tmp_path.rglob("*"), *short_path.rglob("*")]
    files = [path for path in left if path.is_file() and path not in ours]
    assert log in files
    places = {
        "output": run.stdout + run.stderr,
        **{str(path): path.read_bytes().decode(errors="replace") for path in files},
        **{f"process {number}": text for number, text in enumerate(processes.seen)},
    }
    for name, text in places.items():
        for secret in _forms(registry):
            assert secret not in text, f"{name} shows a secret"
    assert not [path for path in left if path.name.startswith("zot-")]
