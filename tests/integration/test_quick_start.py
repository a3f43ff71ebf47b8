# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quick start works when it is followed line by line, without what only the internet has."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from integration.blocks import blocks, comparable, pattern

from environment.images import Images
from environment.registry import Registry, free_port
from environment.zot_program import find_zot

PAGE = "docs/docsite/rst/guide_start.rst"
# The first lines install the collection and crane: tests/packaging runs them.
INSTALL = ("ansible-galaxy ", "release=", "curl --fail --location --remote-name ", "sha256sum ")


def test_quick_start(zot: Registry, images: Images, environment: dict[str, str], tmp_path: Path) -> None:
    assert zot.kind == "zot"
    port, directory = str(free_port()), tmp_path / "project"
    directory.mkdir()
    own = {name: value for name, value in environment.items() if not name.startswith("ZOT_")}
    outputs = []
    script = []
    for block in blocks(PAGE):
        if block.language == "json":
            configuration = json.loads(block.text)
            configuration["http"]["port"] = port
            (directory / "zot.json").write_text(json.dumps(configuration))
        elif block.file:
            (directory / block.file).write_text(block.text)
        elif block.language == "console":
            script += [each for each in block.commands if not each.startswith((*INSTALL, "export ZOT_REGISTRY=oci."))]
            outputs += [output for _command, output in block.outputs]
    replaced = "\n".join(script)
    for documented, here in (
        (r"curl --fail --location --output zot \S+", f"ln -s {find_zot()} zot"),
        (r"docker://quay\.io/\S+", f"docker-archive:{images['buildah-amd64']}"),
        (r"chmod \+x zot", "test -x zot"),
        # A person needs longer for the next line than Zot to start.
        (
            r"(\./zot serve .*)",
            r"\1\nuntil curl --silent --output /dev/null http://127.0.0.1:5000/v2/; do sleep 0.1; done",
        ),
        (r":5000\b", f":{port}"),
        (r"(ansible-playbook .*)", r"\1\n\1"),
    ):
        replaced, count = re.subn(documented, here, replaced)
        assert count, documented
    run = subprocess.run(
        ["bash", "-euxc", replaced], env=own, cwd=directory, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert [int(changed) > 0 for changed in re.findall(r"changed=(\d+)", run.stdout)] == [True, False]
    assert outputs
    assert all(re.search(pattern(output), comparable(run.stdout)) for output in outputs), run.stdout
    assert sorted(path.name for path in directory.iterdir()) == ["dist", "release.yml"]
