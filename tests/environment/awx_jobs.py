# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a job of AWX gets from the surveys of playbooks/vars/awx.yml: the file of variables, as AWX writes it.

AWX marks what users have typed as unsafe, keys too, and ansible-core 2.19 and later then read `1.10` as a number and an
empty answer as null: https://github.com/ansible/awx/issues/16205. awx_job.txt is a file that AWX 24.6.1 has written.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CAPTURED = Path(__file__).with_name("awx_job.txt")
Fields = dict[str, Any]


class Unsafe(str):
    """A text that AWX marks as unsafe."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes unsafe texts as AWX does."""


class _Loader(yaml.SafeLoader):
    """Reads unsafe texts as texts, which Ansible does not."""


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style="'"))
_Loader.add_constructor("!unsafe", lambda _loader, node: Unsafe(node.value))


def read(text: str) -> Fields:
    """The variables of a file that AWX has written, with the texts that users typed."""
    found = yaml.load(text, Loader=_Loader)
    assert isinstance(found, dict)
    return found


def written(variables: Fields) -> str:
    """The file of these variables; a key that is Unsafe, and its value, are what a user typed."""
    return "".join(
        yaml.dump({name: value}, Dumper=_Dumper, default_flow_style=False, width=1000)
        for name, value in variables.items()
    )


def job_templates(images: list[Fields]) -> dict[str, Fields]:
    """The job templates for these images, as Ansible evaluates them, by the name of the playbook.

    A second job template of a playbook has its own name.
    """
    variables = {"zot_awx_images": images, "zot_awx_execution_environment_image": "none"}
    command = ["ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "var=zot_awx_job_templates"]
    command += ["-e", f"@{ROOT / 'playbooks/vars/awx.yml'}", "-e", json.dumps(variables), "--one-line"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.partition("=>")[2])["zot_awx_job_templates"]
    first = {Path(each["playbook"]).stem: each for each in reversed(found)}
    return {**first, **{each["name"]: each for each in found if each not in first.values()}}


def unsafe(value: Any) -> Any:
    """The same value, with its texts and keys as AWX marks them."""
    if isinstance(value, dict):
        return {unsafe(name): unsafe(each) for name, each in value.items()}
    if isinstance(value, list):
        return [unsafe(each) for each in value]
    return Unsafe(value) if isinstance(value, str) else value


def variables_of(template: Fields, answers: Fields, artifacts: Fields | None = None) -> str:
    """The file for a job: the variables of the template, the default answers, and those that a user typed.

    *artifacts* are the reports of earlier jobs of a workflow.
    """
    questions = template["survey"]
    defaults = {each["variable"]: each["default"] for each in questions if "default" in each}
    assert answers.keys() <= {each["variable"] for each in questions}
    # AWX refuses other answers: https://github.com/ansible/awx/blob/24.6.1/awx/main/models/mixins.py
    choices = {each["variable"]: each["choices"] for each in questions if "choices" in each}
    assert all(answers[name] in choices[name] for name in answers.keys() & choices.keys())
    missing = [
        each["variable"] for each in questions if each["required"] and each["variable"] not in {**defaults, **answers}
    ]
    assert missing == []
    typed = unsafe({**defaults, **answers, **(artifacts or {})})
    job: Fields = {Unsafe("awx_job_id"): 28, Unsafe("awx_user_last_name"): Unsafe("")}
    return written({**template.get("extra_vars", {}), **typed, **job})
