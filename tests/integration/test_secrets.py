# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret in process lists, outputs, logs, results, diffs, or files that are left behind."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from integration.secret_leaks import Watched, assert_no_leak, forms, verbose_settings

from environment.images import Images
from environment.registry import Registry

WRONG = "a-wrong-password-0815"

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
    - name: Tag
      killinit.zot.zot_tag:
        repository: "{{ repository }}"
        source: i
        tags: [j]
      register: tagged
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
    - name: Be refused
      killinit.zot.zot_image_info:
        images: ["{{ repository }}:i"]
        username: somebody
        password: "{{ wrong }}"
        authfile: ""
      register: refused
      ignore_errors: true
    - name: Give what is no option
      killinit.zot.zot_image_info:
        images: ["{{ repository }}:i"]
        passwort: x
      register: mistaken
      ignore_errors: true
    - name: Crash
      killinit.zot.zot_push:
        archive: "{{ archive }}"
        repository: "{{ repository }}"
        tags: [c]
        skopeo_path: "{{ crashing }}"
      register: crashed
      ignore_errors: true
    - name: Show
      ansible.builtin.debug:
        msg: "{{ [pushed, joined, tagged, there, failed, refused, mistaken, crashed] | to_nice_json }}"

- name: Publish
  ansible.builtin.import_playbook: killinit.zot.publish
"""


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A place for temporary files; Ansible puts a socket into it, whose path may not be long."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("place", ["environment", "authfile", "usual place", "vault"])
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
    """At -vvvv, with logs, callbacks and a diff, with results printed, with errors and a crash among them.

    With the vault the secret is a variable of the role and, through module_defaults, an option of the modules.
    """
    writer = registry.writer
    account = {"username": writer.username, "password": writer.password}
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    crashing = tmp_path / "skopeo"
    crashing.write_text('#!/bin/sh\nkill -SEGV "$$"\n')
    crashing.chmod(0o755)
    environment |= {**verbose_settings(tmp_path), "TMPDIR": str(short_path)}
    variables: dict[str, Any] = {
        "archive": str(images["gzip"]),
        "repository": repository,
        "crashing": str(crashing),
        "wrong": WRONG,
        "zot_publish_revision": "r1",
        "zot_publish_images": [{"repository": repository, "archive": str(images["gzip"])}],
    }
    options = ["-vvvv", "--diff"]
    kept = tmp_path / "kept"
    kept.mkdir()
    if place != "environment":
        del environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"]
    if place in ("authfile", "usual place"):
        auth = {"auths": {registry.host: {"auth": forms(**account)[2]}}}
        (kept / "config.json").write_text(json.dumps(auth))
        environment["ZOT_AUTHFILE" if place == "authfile" else "REGISTRY_AUTH_FILE"] = str(kept / "config.json")
    if place == "vault":
        defaults = "{username: '{{ zot_username }}', password: '{{ zot_password }}'}"
        defaults = f"  module_defaults: {{group/killinit.zot.registry: {defaults}}}\n  tasks:"
        play.write_text(PLAY.replace("  tasks:", defaults, 1))
        options += _vault(kept, {f"zot_{name}": value for name, value in account.items()})

    with Watched(Path(environment["HOME"])) as watched:
        run = playbook(play, *options, **variables)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "ignored=4" in run.stdout
    for name in ("ansible.log", "everything.jsonl", "tree/localhost"):
        assert (tmp_path / name).stat().st_size > 0
    assert any((tmp_path / "junit").iterdir())
    assert_no_leak(
        [*forms(**account), *forms("somebody", WRONG)],
        watched,
        run,
        [tmp_path, short_path],
        ours={play, tmp_path / "variables.json", *kept.iterdir()},
        given=["ZOT_PASSWORD"] if place == "environment" else [],
    )


def _vault(directory: Path, variables: dict[str, str]) -> list[str]:
    """The options that give Ansible these variables out of a vault."""
    (directory / "key").write_text("open sesame")
    (directory / "vault.json").write_text(json.dumps(variables))
    given = f"--vault-password-file={directory / 'key'}"
    subprocess.run(["ansible-vault", "encrypt", given, str(directory / "vault.json")], check=True, capture_output=True)
    return [given, "--extra-vars", f"@{directory / 'vault.json'}"]
