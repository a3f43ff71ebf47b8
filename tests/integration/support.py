# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tools to test with, and what the tests read out of a run."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment.registry import Registry

Module = Callable[..., dict[str, Any]]
Bare = Callable[..., subprocess.CompletedProcess[str]]
Playbook = Callable[..., subprocess.CompletedProcess[str]]
ReadsOnly = Callable[[], AbstractContextManager[None]]


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar of these files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _programs(name: str) -> list[str]:
    """The programs of that name: the one in PATH, and those that ZOT_TEST_SKOPEO or ZOT_TEST_CRANE list."""
    listed = os.environ.get(f"ZOT_TEST_{name.upper()}", "").split(os.pathsep)
    found = [shutil.which(name), *listed]
    return list(dict.fromkeys(filter(None, found)))


@dataclass(frozen=True)
class Tools:
    """One skopeo and one crane."""

    skopeo: str
    crane: str

    def __str__(self) -> str:
        return f"skopeo {_version(self.skopeo)}, crane {_version(self.crane)}"

    def options(self) -> dict[str, str]:
        """The module options that choose them."""
        return {"skopeo_path": self.skopeo, "crane_path": self.crane}


def _version(program: str) -> str:
    argument = "--version" if "skopeo" in Path(program).name else "version"
    return subprocess.run([program, argument], capture_output=True, text=True, check=True).stdout.split()[-1]


def _pairs(skopeos: list[str], cranes: list[str]) -> list[Tools]:
    """Each program once or more. Not each with each: none depends on the version of the other."""
    pairs = zip(itertools.cycle(skopeos), itertools.cycle(cranes))
    return [Tools(*pair) for pair in itertools.islice(pairs, max(len(skopeos), len(cranes)))]


PAIRS = _pairs(_programs("skopeo"), _programs("crane"))


def recap(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of localhost in the recap of a playbook's run."""
    line = next(line for line in run.stdout.splitlines() if line.startswith("localhost") and "ok=" in line)
    return {key: int(value) for key, _equals, value in (word.partition("=") for word in line.split()[2:])}


def attach(registry: Registry, repository: str, digest: str, size: int) -> str:
    """Push an SBOM that is attached to a manifest: by plain requests, since crane cannot. Returns its digest."""
    empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    manifest = "application/vnd.oci.image.manifest.v1+json"
    blob = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2}
    document = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifest,
            "artifactType": "application/spdx+json",
            "config": blob,
            "layers": [blob],
            "subject": {"mediaType": manifest, "digest": digest, "size": size},
            "annotations": {"org.example.of": "sbom"},
        }
    )
    with registry.session(registry.writer) as session:
        address = f"https://{registry.host}/v2/{repository}"
        binary = {"Content-Type": "application/octet-stream"}
        place = session.post(f"{address}/blobs/uploads/", headers=binary).headers["Location"]
        place = f"https://{registry.host}{place}"
        upload = session.put(place, params={"digest": empty}, data=b"{}", headers=binary)
        assert upload.status_code == 201, upload.text
        pushed = f"sha256:{hashlib.sha256(document.encode()).hexdigest()}"
        written = session.put(f"{address}/manifests/{pushed}", data=document, headers={"Content-Type": manifest})
        assert written.status_code == 201, written.text
    return pushed
