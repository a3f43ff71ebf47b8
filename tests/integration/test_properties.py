# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What skopeo makes of a configuration is recognised as the same image, whatever the configuration says."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.support import Tools

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import image_identity

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
TIMES = st.one_of(
    st.none(),
    st.just("0001-01-01T00:00:00Z"),
    st.builds(
        "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}{}".format,
        *(st.integers(1970, 2200), st.integers(1, 12), st.integers(1, 28)),
        *(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59)),
        st.sampled_from(["", ".1", ".100", ".123456789", ".000000001", ".0"]),
        st.sampled_from(["Z", "+02:00", "-11:30", "+00:00"]),
    ),
)
MAPS = st.one_of(st.none(), st.dictionaries(TEXT, TEXT, max_size=3))
SETS = st.one_of(st.none(), st.dictionaries(TEXT, st.just({}), max_size=3))
LISTS = st.one_of(st.none(), st.lists(TEXT, max_size=3))
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "User": TEXT,
        "ExposedPorts": SETS,
        "Env": LISTS,
        "Entrypoint": LISTS,
        "Cmd": LISTS,
        "Volumes": SETS,
        "WorkingDir": TEXT,
        "Labels": MAPS,
        "StopSignal": TEXT,
        "ArgsEscaped": st.booleans(),
        # Docker's own: they are dropped, and do not count.
        "Hostname": TEXT,
        "Tty": st.booleans(),
        "OnBuild": LISTS,
        "Shell": LISTS,
        "Healthcheck": st.one_of(st.none(), st.fixed_dictionaries({"Test": st.lists(TEXT, max_size=2)})),
        "StopTimeout": st.integers(0, 100),
    },
)
HISTORY = st.fixed_dictionaries(
    {"empty_layer": st.just(True)},
    optional={"created": TIMES, "created_by": TEXT, "author": TEXT, "comment": TEXT},
)
CONFIG = st.fixed_dictionaries(
    {"architecture": st.sampled_from(["amd64", "arm64", "arm", "s390x", ""]), "os": st.sampled_from(["linux", ""])},
    optional={
        "variant": st.sampled_from(["", "v7", "v8"]),
        "os.version": TEXT,
        "os.features": LISTS,
        "created": TIMES,
        "author": TEXT,
        "config": st.one_of(st.none(), CONTAINER),
        "history": st.one_of(st.none(), st.lists(HISTORY, max_size=3)),
        "container": TEXT,
        "docker_version": TEXT,
        "container_config": CONTAINER,
    },
)


def _archive(path: Path, config: dict[str, Any]) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w"):
        pass
    members = {"layer.tar": layer.getvalue()}
    digest = f"sha256:{hashlib.sha256(members['layer.tar']).hexdigest()}"
    history = [*(config.get("history") or []), {"created_by": "the layer"}]
    config = {**config, "history": history, "rootfs": {"type": "layers", "diff_ids": [digest]}}
    members["config.json"] = json.dumps(config).encode()
    members["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=CONFIG)
def test_conversion_keeps_the_image_itself(tools: Tools, config: dict[str, Any]) -> None:
    """skopeo writes an OCI layout by the same conversion as a registry."""
    with tempfile.TemporaryDirectory() as directory:
        archive, layout = Path(directory, "archive.tar"), Path(directory, "layout")
        _archive(archive, config)
        command = [tools.skopeo, "copy", "--quiet", "--format=oci", f"docker-archive:{archive}", f"oci:{layout}:1"]
        subprocess.run(command, check=True, capture_output=True)

        def blob(digest: str) -> Any:
            return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())

        manifest = blob(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
        assert image_identity(blob(manifest["config"]["digest"])) == image_identity(
            OpenArchive(str(archive)).read(None, None).config
        )
